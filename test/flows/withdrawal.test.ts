/** A consent that is withdrawn in one process takes its tokens with it in every other, within a second. */
import * as oidc from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { freePort } from '../setup/services.ts';
import { startProcess, type ServerProcess } from '../support/processes.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let here: TestApp;
/** Another process on the same stores, which portals ask. */
let there: ServerProcess;
let port: number;
let rp: RelyingParty;

beforeAll(async () => {
  here = await startApp({ mode: 'server' });
  port = await freePort();
  there = await startProcess(['serve'], { ...here.env, PORT: String(port) });
  await here.app.resources.register(
    {
      identifier: 'https://records.example/api',
      name: { 'zh-CN': '病历', en: 'Medical records' },
      scopes: { read: { 'zh-CN': '查看病历', en: 'Read records' } },
      tokenFormat: 'jwt',
      tokenSeconds: 3600,
      introspectedBy: [],
    },
    'system',
  );
  rp = await registerRelyingParty(here, {
    clientId: 'clinic',
    scopes: ['openid', 'profile', 'offline_access'],
    registration: {
      resources: { 'https://records.example/api': ['read'] },
      metadata: { grant_types: ['authorization_code', 'refresh_token'] },
    },
  });
});
afterAll(async () => {
  await rp.stop();
  await there.stop();
  await here.stop();
});

/** Asks the other process as the portal would. */
async function ask(
  path: string,
  init: RequestInit,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const basic = () => ({ Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` });

test('access tokens, refresh tokens and pending codes are dead in the other process, and others go on', async () => {
  const [person, other] = [newPerson(), newPerson()];
  for (const each of [person, other]) await here.app.identity.register(each);
  const [browser, bystander] = [new UserAgent(), new UserAgent()];
  const wanted = { scope: 'openid profile offline_access', prompt: 'consent' };
  const attempt = await signIn(rp, browser, person, wanted);
  const tokens = await rp.redeem(attempt.callback, attempt);
  const elsewhere = await signIn(rp, bystander, other, wanted);
  const others = await rp.redeem(elsewhere.callback, elsewhere);
  const pending = await signIn(rp, browser, person, { scope: 'openid profile' });

  const userinfo = (token: string) => ask('/userinfo', { headers: { Authorization: `Bearer ${token}` } });
  const refresh = (token: string) =>
    ask('/token', {
      method: 'POST',
      headers: basic(),
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
    });
  // Both are good there, and remembered there.
  for (const token of [tokens.access_token, others.access_token])
    expect((await userinfo(token)).status).toBe(200);

  const page = await browser.get(`${here.origin}/account/portals/clinic`);
  expect((await browser.submit(page, {}, '/withdraw')).status).toBe(200);

  expect((await userinfo(tokens.access_token)).status).toBe(401);
  const looked = await ask('/introspect', {
    method: 'POST',
    headers: basic(),
    body: new URLSearchParams({ token: tokens.access_token }),
  });
  expect(looked.body).toEqual({ active: false });
  expect(await refresh(tokens.refresh_token ?? '')).toMatchObject({
    status: 400,
    body: { error: 'invalid_grant' },
  });
  const code = await ask('/token', {
    method: 'POST',
    headers: basic(),
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: pending.callback.searchParams.get('code') ?? '',
      redirect_uri: rp.redirectUri,
      code_verifier: pending.verifier,
    }),
  });
  expect(code).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  expect((await userinfo(others.access_token)).status).toBe(200);
  expect((await refresh(others.refresh_token ?? '')).status).toBe(200);
});

test('a JWT access token speaks for a person for five minutes at most, and the page says so', async () => {
  const person = newPerson();
  await here.app.identity.register(person);
  const browser = new UserAgent({ 'Accept-Language': 'en' });
  const attempt = await signIn(rp, browser, person, {
    scope: 'openid read',
    resource: 'https://records.example/api',
  });
  const tokens = await oidc.authorizationCodeGrant(
    rp.client,
    attempt.callback,
    { pkceCodeVerifier: attempt.verifier, expectedState: attempt.state },
    { resource: 'https://records.example/api' },
  );
  const [, payload = ''] = tokens.access_token.split('.');
  const { iat, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
    iat: number;
    exp: number;
  };
  expect(exp - iat).toBe(300);
  const page = await browser.get(`${here.origin}/account/portals/clinic`);
  expect(page.text).toContain('Read records');
  expect(page.text).toContain('within 5 minutes at the latest');
});

test('a consent given at the same moment as it is withdrawn leaves no token that outlives both', async () => {
  const person = newPerson();
  const { accountId } = await here.app.identity.register(person);
  for (let i = 0; i < 6; i++) {
    const browser = new UserAgent();
    const attempt = await rp.begin({ scope: 'openid profile', prompt: 'consent' });
    let page = await browser.get(attempt.url, rp.redirectUri);
    page = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
    const [answer] = await Promise.all([
      browser.submit(page, { decision: 'allow' }, '/consent', rp.redirectUri),
      here.app.oidc.own.withdraw(accountId, 'clinic'),
    ]);
    const given = await here.app.oidc.own.agreements(accountId);
    const stands = given.some(({ clientId }) => clientId === 'clinic');
    const tokens = answer.url.searchParams.has('code')
      ? await rp.redeem(answer.url, attempt).catch(() => undefined)
      : undefined;
    const claims =
      tokens &&
      (await oidc
        .fetchUserInfo(rp.client, tokens.access_token, tokens.claims()?.sub ?? '')
        .catch(() => undefined));
    // Whichever was last counts: with no consent in the book, nothing personal leaves.
    if (!stands) expect(claims?.preferred_username).toBeUndefined();
    await here.app.oidc.own.withdraw(accountId, 'clinic');
  }
});
