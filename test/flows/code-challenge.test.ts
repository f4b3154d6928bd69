/** PKCE (RFC 7636): for every portal, but those that are registered as unable to send it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { PortalError } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let strict: RelyingParty;
let lenient: RelyingParty;
const person = newPerson();

beforeAll(async () => {
  t = await startApp();
  strict = await registerRelyingParty(t, { clientId: 'strict' });
  lenient = await registerRelyingParty(t, {
    clientId: 'lenient',
    registration: { codeChallenge: 'optional' },
  });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await Promise.all([strict.stop(), lenient.stop()]);
  await t.stop();
});

async function withoutChallenge(rp: RelyingParty, browser: UserAgent) {
  const { url } = await rp.begin();
  url.searchParams.delete('code_challenge');
  url.searchParams.delete('code_challenge_method');
  let page = await browser.get(url, rp.redirectUri);
  if (page.forms.some(({ action }) => action.pathname.endsWith('/sign-in')))
    page = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  return page.url.searchParams;
}
const redeem = async (rp: RelyingParty, code: string, more: Record<string, string> = {}) =>
  (
    await fetch(`${t.origin}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: rp.redirectUri,
        ...more,
      }),
    })
  ).status;

test('a request without it is refused', async () => {
  expect((await withoutChallenge(strict, new UserAgent())).get('error')).toBe('invalid_request');
});

test('a portal that cannot send it is served without, also in a session; a verifier out of nowhere is refused', async () => {
  const browser = new UserAgent();
  for (let time = 0; time < 2; time++) {
    const code = (await withoutChallenge(lenient, browser)).get('code') ?? '';
    expect(await redeem(lenient, code, { code_verifier: 'v'.repeat(43) })).toBe(400);
    const next = (await withoutChallenge(lenient, browser)).get('code') ?? '';
    expect(await redeem(lenient, next)).toBe(200);
  }
});

test('what such a portal does send is checked: a code that was bound cannot be redeemed unbound', async () => {
  const attempt = await signIn(lenient, new UserAgent(), person);
  const code = attempt.callback.searchParams.get('code') ?? '';
  expect(await redeem(lenient, code)).toBe(400);
  expect(await redeem(lenient, code, { code_verifier: 'w'.repeat(43) })).toBe(400);
  expect(await redeem(lenient, code, { code_verifier: attempt.verifier })).toBe(200);
});

test('a FAPI 2.0 portal cannot be registered so', async () => {
  await expect(
    t.app.portals.register(
      {
        clientId: 'fapi',
        name: { 'zh-CN': '门户' },
        sector: 'fapi',
        homeUri: 'https://portal.example.cn/',
        redirectUris: ['https://portal.example.cn/cb'],
        scopes: ['openid'],
        profile: 'fapi2',
        codeChallenge: 'optional',
        metadata: { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [] } },
      },
      'system',
    ),
  ).rejects.toBeInstanceOf(PortalError);
});

/** A request of dynamic registration, or of its management. */
async function send(path: string, method: string, bearer: string, body: object) {
  return (await (
    await fetch(new URL(path, t.origin), {
      method,
      headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  ).json()) as Record<string, string>;
}

test('a portal registers itself as one that cannot, if its initial access token says so, and stays one', async () => {
  for (const codeChallenge of ['required', 'optional'] as const) {
    const token = await t.app.oidc.issueInitialAccessToken({ seconds: 60, codeChallenge });
    const metadata = { redirect_uris: ['https://portal.example.cn/cb'] };
    const made = await send('/register', 'POST', token, metadata);
    const clientId = made['client_id'] ?? '';
    expect((await t.app.portals.find(clientId))?.codeChallenge).toBe(codeChallenge);
    // OpenID Connect Dynamic Client Registration 1.0, section 2.
    expect(made['id_token_signed_response_alg']).toBe('RS256');
    await send(made['registration_client_uri'] ?? '', 'PUT', made['registration_access_token'] ?? '', {
      ...metadata,
      client_id: clientId,
      client_name: 'changed',
    });
    expect(await t.app.portals.find(clientId)).toMatchObject({ codeChallenge, name: { 'zh-CN': 'changed' } });
  }
});

test('what operators ask of a portal outlasts its own changes of its registration, and what they allow it does not', async () => {
  const metadata = { redirect_uris: ['https://portal.example.cn/cb'] };
  const token = await t.app.oidc.issueInitialAccessToken({ seconds: 60 });
  const made = await send('/register', 'POST', token, metadata);
  const clientId = made['client_id'] ?? '';
  const before = await t.app.portals.find(clientId);
  await t.app.portals.register(
    {
      clientId,
      name: { 'zh-CN': '示例门户' },
      sector: before?.sector ?? '',
      homeUri: 'https://portal.example.cn/',
      redirectUris: ['https://portal.example.cn/cb'],
      scopes: ['openid', 'phone'],
      minimumAcr: 'urn:yinxin:loa:2',
      entitlements: ['id-number'],
    },
    'operator',
  );
  await send(made['registration_client_uri'] ?? '', 'PUT', made['registration_access_token'] ?? '', {
    client_id: clientId,
    redirect_uris: ['https://elsewhere.example.cn/cb'],
  });
  expect(await t.app.portals.find(clientId)).toMatchObject({
    redirectUris: ['https://elsewhere.example.cn/cb'],
    minimumAcr: 'urn:yinxin:loa:2',
    entitlements: [],
  });
});
