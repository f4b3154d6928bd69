/** Signing in as an organisation: chosen and switched without a new login, said to nobody else, and over at once when the authority ends. */
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { Mandate, Organisation, Unit } from '../../src/organisations/index.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { CODES } from '../support/organisations.ts';
import { freePort } from '../setup/services.ts';
import { startProcess, type ServerProcess } from '../support/processes.ts';
import { newPerson, registerRelyingParty, type Person, type RelyingParty } from '../support/relying-party.ts';

const API = 'https://records.example/api';
const [FIRST, SECOND] = ['虚构甲有限公司', '虚构乙有限公司'] as const;
const DAY_MS = 86_400_000;

let t: TestApp;
/** Another process on the same stores. */
let there: ServerProcess;
let thereOrigin: string;
let portal: RelyingParty;
let other: RelyingParty;
let plain: RelyingParty;
let first: Organisation;
let second: Organisation;
let office: Unit;

beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  const port = await freePort();
  thereOrigin = `http://127.0.0.1:${port}`;
  there = await startProcess(['serve'], { ...t.env, PORT: String(port) });
  await t.app.resources.register(
    {
      identifier: API,
      name: { 'zh-CN': '档案', en: 'Records' },
      scopes: { read: { 'zh-CN': '查看档案', en: 'Read records' } },
      tokenFormat: 'jwt',
      tokenSeconds: 300,
      introspectedBy: [],
    },
    'system',
  );
  const scopes = ['openid', 'profile', 'organisation', 'offline_access'];
  const registration = {
    resources: { [API]: ['read'] },
    metadata: { grant_types: ['authorization_code', 'refresh_token'] as const },
  };
  portal = await registerRelyingParty(t, {
    clientId: 'portal',
    scopes,
    scope: 'openid organisation',
    registration: { ...registration, metadata: { grant_types: [...registration.metadata.grant_types] } },
  });
  other = await registerRelyingParty(t, { clientId: 'other', scopes, scope: 'openid organisation' });
  plain = await registerRelyingParty(t, { clientId: 'plain', scopes: ['openid', 'profile'] });
  const { organisations } = t.app;
  first = await organisations.found({ unifiedSocialCreditCode: CODES[0], name: FIRST }, 'system');
  second = await organisations.found({ unifiedSocialCreditCode: CODES[1], name: SECOND }, 'system');
  office = await organisations.createUnit(first, '办公室', 'system');
});
afterAll(async () => {
  await Promise.all([portal.stop(), other.stop(), plain.stop()]);
  await there.stop();
  await t.stop();
});

let person: Person;
let accountId: AccountId;
let browser: UserAgent;
beforeEach(async () => {
  person = newPerson();
  ({ accountId } = await t.app.identity.register(person));
  browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
});

/** The person audits the office of the first organisation. */
const audits = () => t.app.organisations.grant({ accountId, unitId: office.id, role: 'auditor' }, 'system');
/** The person is an agent of the second organisation. */
const isAgent = (services: readonly string[] = ['portal'], validTo = new Date(Date.now() + DAY_MS)) =>
  t.app.organisations.mandates.grant(
    {
      organisationId: second.id,
      agentId: accountId,
      services,
      seals: [],
      purpose: '年度报告',
      validTo,
    },
    'system',
  );

const has = (page: Page, action: string) => page.forms.some((form) => form.action.pathname.endsWith(action));
/** The word of the choice whose name this is. */
function wordOf({ text }: Page, name: string): string {
  const [, word] = new RegExp(`value="([^"]+)"[^>]*>\\s*(?:<bdi>)?${name}`).exec(text) ?? [];
  if (word === undefined) throw new Error(`${name} is no choice`);
  return word;
}

/** Goes to a portal, choosing `name` if asked. */
async function visit(rp: RelyingParty, name?: string, parameters: Record<string, string> = {}) {
  const attempt = await rp.begin(parameters);
  let page = await browser.get(attempt.url, rp.redirectUri);
  const asked: string[] = [];
  const goOn = async (action: string, fields: Record<string, string>) => {
    if (!has(page, action)) return;
    asked.push(action);
    page = await browser.submit(page, fields, action, rp.redirectUri);
  };
  await goOn('/sign-in', { ...person });
  if (name !== undefined) await goOn('/organisation', { as: wordOf(page, name) });
  const consent = page.text;
  await goOn('/consent', { decision: 'allow' });
  return { attempt, page, asked, consent };
}
async function tokensOf(rp: RelyingParty, { attempt, page }: Awaited<ReturnType<typeof visit>>) {
  const tokens = await rp.redeem(page.url, attempt);
  const userinfo = async () => oidc.fetchUserInfo(rp.client, tokens.access_token, tokens.claims()?.sub ?? '');
  return { tokens, claims: tokens.claims(), userinfo };
}
async function elsewhere(path: string, init: RequestInit) {
  const response = await fetch(thereOrigin + path, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const asPortal = (rp: RelyingParty, fields: Record<string, string>): RequestInit => ({
  method: 'POST',
  headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
  body: new URLSearchParams(fields),
});

test('who can act for more than one chooses; tokens, userinfo and introspection say the one that was chosen, and who acts', async () => {
  await audits();
  const mandate = await isAgent();
  const visited = await visit(portal, `${FIRST} 办公室`);
  expect(visited.asked).toEqual(['/sign-in', '/organisation', '/consent']);
  expect(visited.consent).toContain(`${FIRST} 办公室`);
  expect(visited.consent).not.toContain(SECOND);
  const { tokens, claims, userinfo } = await tokensOf(portal, visited);
  const said = {
    organisation: { unified_social_credit_code: CODES[0], name: FIRST, unit: '办公室' },
    act: { sub: claims?.sub },
    organisation_authority: { kind: 'role', roles: ['auditor'] },
  };
  expect(claims).toMatchObject(said);
  expect(await userinfo()).toEqual({ sub: claims?.sub, ...said });
  const introspected = await oidc.tokenIntrospection(portal.client, tokens.access_token);
  expect(introspected).toMatchObject({ active: true, sub: claims?.sub, ...said });
  expect(JSON.stringify([claims, introspected])).not.toContain(SECOND);

  // Switched: no password, and what was given for the first organisation is good no more.
  const switched = await visit(portal, SECOND, { prompt: 'select_organisation' });
  expect(switched.asked).toEqual(['/organisation']);
  const after = await tokensOf(portal, switched);
  expect(after.claims).toMatchObject({
    sub: claims?.sub,
    organisation: { unified_social_credit_code: CODES[1], name: SECOND },
    organisation_authority: {
      kind: 'mandate',
      purpose: '年度报告',
      valid_to: Math.floor(mandate.validTo.getTime() / 1000),
    },
  });
  expect(await oidc.tokenIntrospection(portal.client, tokens.access_token)).toEqual({ active: false });
  // Later requests go on with it, and ask nothing.
  const again = await visit(portal);
  expect(again.asked).toEqual([]);
  expect((await tokensOf(portal, again)).claims).toMatchObject({ organisation: { name: SECOND } });
});

test('whoever acts for themselves is no organisation, and the portal learns of none', async () => {
  await audits();
  await isAgent();
  const visited = await visit(portal, '本人办理');
  expect(visited.consent).toContain('不代表单位');
  const { claims, userinfo } = await tokensOf(portal, visited);
  for (const said of [claims, await userinfo()])
    for (const name of ['organisation', 'act', 'organisation_authority'])
      expect(said).not.toHaveProperty(name);
  expect((await visit(portal)).asked).toEqual([]);
});

test('who can act for one acts for it, and can say otherwise; who can act for none is asked nothing', async () => {
  const alone = await visit(portal);
  expect(alone.asked).toEqual(['/sign-in', '/consent']);
  expect((await tokensOf(portal, alone)).claims).not.toHaveProperty('organisation');
  await audits();
  const visited = await visit(portal);
  expect(visited.asked).toEqual([]);
  expect((await tokensOf(portal, visited)).claims).toMatchObject({ organisation: { name: FIRST } });
  const changed = await visit(portal, '本人办理', { prompt: 'select_organisation' });
  expect(changed.asked).toEqual(['/organisation']);
  expect((await tokensOf(portal, changed)).claims).not.toHaveProperty('organisation');
});

test('nothing of one organisation reaches the portals of another', async () => {
  await audits();
  await isAgent();
  const chosen = await visit(portal, SECOND);
  const { claims } = await tokensOf(portal, chosen);
  // The mandate does not name the other portal: there is one organisation to act for there, and the second is not even a choice.
  const visited = await visit(other);
  expect(visited.asked).toEqual(['/consent']);
  expect(visited.consent).not.toContain(SECOND);
  const elsewhereKnown = await tokensOf(other, visited);
  const told = JSON.stringify([elsewhereKnown.claims, await elsewhereKnown.userinfo()]);
  expect(told).toContain(FIRST);
  for (const secret of [SECOND, CODES[1], '年度报告', String(claims?.sub)])
    expect(told).not.toContain(secret);
  // A portal without the scope gets nothing, whatever it asks for.
  const { page } = await visit(plain, undefined, { scope: 'openid organisation' });
  expect(page.url.searchParams.get('error')).toBe('invalid_scope');
  const bare = await tokensOf(plain, await visit(plain, undefined, { scope: 'openid profile' }));
  expect(JSON.stringify([bare.claims, await bare.userinfo()])).not.toMatch(/organisation|虚构|"act"/);
  // Nor by name, one by one.
  const asked = { userinfo: { organisation: null, act: null, organisation_authority: null } };
  const named = await visit(plain, undefined, { scope: 'openid profile', claims: JSON.stringify(asked) });
  expect(JSON.stringify(await (await tokensOf(plain, named)).userinfo())).not.toMatch(
    /organisation|虚构|"act"/,
  );
  // Nor does the same portal where it has not asked this time.
  const without = await tokensOf(portal, await visit(portal, undefined, { scope: 'openid' }));
  expect(without.claims).not.toHaveProperty('organisation');
  expect(await oidc.tokenIntrospection(portal.client, without.tokens.access_token)).not.toHaveProperty(
    'organisation',
  );
});

test("nobody chooses another's organisation, or one that the mandate does not let them act for here", async () => {
  await audits();
  const mandate = await isAgent(['other']);
  const attempt = await portal.begin({ prompt: 'select_organisation' });
  const page = await browser.submit(
    await browser.get(attempt.url, portal.redirectUri),
    { ...person },
    '/sign-in',
    portal.redirectUri,
  );
  expect(page.text).not.toContain(SECOND);
  for (const as of [second.id, mandate.id, first.id, 'nonsense', '']) {
    const answer = await browser.submit(page, { as }, '/organisation', portal.redirectUri);
    expect(has(answer, '/organisation'), as).toBe(true);
  }
});

test.each<[string, (mandate: Mandate) => Promise<void>]>([
  ['revoked', (mandate) => t.app.organisations.mandates.revoke(mandate.id, 'system')],
  ['given up', (mandate) => t.app.organisations.mandates.giveUp(mandate.id, accountId)],
  [
    'of an organisation that is suspended',
    async () => {
      await t.app.organisations.setState(second.id, 'suspended', 'system');
    },
  ],
])('a mandate that is %s here stops every token there, at once', async (_how, end) => {
  const mandate = await isAgent();
  const visited = await visit(portal, undefined, {
    scope: 'openid organisation offline_access',
    prompt: 'consent',
  });
  const { tokens, claims } = await tokensOf(portal, visited);
  expect(claims).toMatchObject({ organisation: { name: SECOND } });
  const userinfo = () =>
    elsewhere('/userinfo', { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  const introspect = (token: string) => elsewhere('/introspect', asPortal(portal, { token }));
  const refresh = (token = '') =>
    elsewhere('/token', asPortal(portal, { grant_type: 'refresh_token', refresh_token: token }));
  // Good there, and remembered there.
  expect((await userinfo()).body).toMatchObject({ organisation: { name: SECOND } });
  const refreshed = await refresh(tokens.refresh_token);
  expect(refreshed.body).toMatchObject({ access_token: expect.any(String) });
  const pending = await visit(portal);
  expect((await introspect(tokens.access_token)).body).toMatchObject({ active: true });

  await end(mandate);
  expect((await userinfo()).status).toBe(401);
  expect((await introspect(tokens.access_token)).body).toEqual({ active: false });
  expect((await refresh(String(refreshed.body['refresh_token']))).body).toMatchObject({
    error: 'invalid_grant',
  });
  await expect(portal.redeem(pending.page.url, pending.attempt)).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  // The person is still signed in, for themselves.
  const after = await visit(portal);
  expect(after.asked).toEqual([]);
  expect((await tokensOf(portal, after)).claims).not.toHaveProperty('organisation');
  await t.app.organisations.setState(second.id, 'active', 'system');
});

test('a mandate that expires, and a role that ends, stop the next token', async () => {
  const mandate = await isAgent(['portal'], new Date(Date.now() + DAY_MS));
  const { tokens } = await tokensOf(portal, await visit(portal));
  // The day goes by.
  await t.app.db.query('UPDATE mandates SET valid_from = $2, valid_to = $3 WHERE id = $1', [
    mandate.id,
    new Date(Date.now() - DAY_MS),
    new Date(Date.now() - 1000),
  ]);
  expect(await oidc.tokenIntrospection(portal.client, tokens.access_token)).toEqual({ active: false });
  await expect(oidc.refreshTokenGrant(portal.client, tokens.refresh_token ?? '')).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  const held = await audits();
  const role = await tokensOf(portal, await visit(portal));
  expect(role.claims).toMatchObject({ organisation: { name: FIRST } });
  await t.app.organisations.end(held.id, 'system');
  await expect(role.userinfo()).rejects.toThrow();
});

test('every token that rests on a mandate is on record for whoever granted it', async () => {
  const mandate = await isAgent();
  const { tokens } = await tokensOf(portal, await visit(portal));
  await oidc.refreshTokenGrant(portal.client, tokens.refresh_token ?? '');
  const uses = await t.app.organisations.mandates.uses(mandate.id, { limit: 10 });
  expect(uses).toMatchObject([{ service: 'portal' }, { service: 'portal' }]);
});

test('an API learns of it from its own token (RFC 9068), and only where the portal asked', async () => {
  await audits();
  const payloadOf = (jwt: string) =>
    JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
  const asking = { scope: 'openid organisation read', resource: API };
  const visited = await visit(portal, undefined, asking);
  const tokens = await oidc.authorizationCodeGrant(
    portal.client,
    visited.page.url,
    { pkceCodeVerifier: visited.attempt.verifier, expectedState: visited.attempt.state },
    { resource: API },
  );
  expect(payloadOf(tokens.access_token)).toMatchObject({
    aud: API,
    organisation: { unified_social_credit_code: CODES[0] },
    act: { sub: tokens.claims()?.sub },
  });
});
