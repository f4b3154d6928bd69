/** RP-initiated and back-channel logout, over real HTTP. */
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { buildEndSessionUrl } from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let zhejiang: RelyingParty;
let guangdong: RelyingParty;
const person = newPerson();

beforeAll(async () => {
  t = await startApp();
  zhejiang = await registerRelyingParty(t, { clientId: 'zhejiang' });
  guangdong = await registerRelyingParty(t, { clientId: 'guangdong' });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await zhejiang.stop();
  await guangdong.stop();
  await t.stop();
});

async function signedInAtBoth() {
  const browser = new UserAgent();
  const first = await signIn(zhejiang, browser, person);
  const tokens = await zhejiang.redeem(first.callback, first);
  const second = await signIn(guangdong, browser, person);
  const others = await guangdong.redeem(second.callback, second);
  zhejiang.logouts.length = 0;
  guangdong.logouts.length = 0;
  return { browser, tokens, others };
}

function endSession(rp: RelyingParty, idToken: string | undefined): URL {
  return buildEndSessionUrl(rp.client, {
    id_token_hint: idToken ?? '',
    post_logout_redirect_uri: new URL('/', rp.redirectUri).href,
    state: 's-1',
  });
}

test('signing out everywhere reaches every portal with a valid logout token, ends the session and comes back with the state', async () => {
  const { browser, tokens, others } = await signedInAtBoth();
  const question = await browser.get(endSession(zhejiang, tokens.id_token));
  expect(question.text).toContain('测试门户 guangdong');
  expect(question.text).not.toContain(tokens.id_token);
  const after = await browser.submit(
    question,
    { logout: 'yes' },
    '/confirm',
    new URL('/', zhejiang.redirectUri).href,
  );
  expect(after.url.searchParams.get('state')).toBe('s-1');

  const keys = createRemoteJWKSet(new URL(`${t.origin}/jwks`));
  for (const [rp, claims] of [
    [zhejiang, tokens.claims()],
    [guangdong, others.claims()],
  ] as const) {
    await expect.poll(() => rp.logouts).toHaveLength(1);
    const { payload } = await jwtVerify(rp.logouts[0]?.get('logout_token') ?? '', keys, {
      issuer: t.origin,
      audience: rp.clientId,
      typ: 'logout+jwt',
      algorithms: ['ES256'],
    });
    expect(payload).toMatchObject({
      sub: claims?.sub,
      sid: claims?.['sid'],
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    expect(payload).not.toHaveProperty('nonce');
  }
  const again = await browser.get((await guangdong.begin({ prompt: 'none' })).url, guangdong.redirectUri);
  expect(again.url.searchParams.get('error')).toBe('login_required');
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${others.access_token}` },
  });
  expect(userinfo.status).toBe(401);
});

test('signing out of one portal alone leaves the other signed in', async () => {
  const { browser, tokens, others } = await signedInAtBoth();
  await browser.submit(
    await browser.get(endSession(zhejiang, tokens.id_token)),
    {},
    '/confirm',
    new URL('/', zhejiang.redirectUri).href,
  );
  await expect.poll(() => zhejiang.logouts).toHaveLength(1);
  expect(guangdong.logouts).toHaveLength(0);
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${others.access_token}` },
  });
  expect(userinfo.status).toBe(200);
  const silent = await browser.get((await guangdong.begin({ prompt: 'none' })).url, guangdong.redirectUri);
  expect(silent.url.searchParams.get('code')).toBeTruthy();
});

test('without a registered return address the person ends on our own page', async () => {
  const { browser } = await signedInAtBoth();
  const page = await browser.submit(
    await browser.get(`${t.origin}/end-session`),
    { logout: 'yes' },
    '/confirm',
  );
  expect(page.url.pathname).toBe('/end-session/success');
  expect(page.text).toContain('您已退出登录');
});

test('the session id changes at sign-in, and the one before it is worth nothing', async () => {
  const browser = new UserAgent();
  const attempt = await guangdong.begin();
  const page = await browser.get(attempt.url);
  // An attacker plants a session id before the victim signs in.
  await browser.jar.setCookie('yx_session=planted; Path=/', t.origin);
  await browser.submit(page, { ...person }, '/sign-in', guangdong.redirectUri);
  const cookies = await browser.jar.getCookies(t.origin);
  expect(cookies.find((cookie) => cookie.key === 'yx_session')?.value).not.toBe('planted');
});

test.each([
  ['locking an account', async (accountId: string) => t.app.lockAccount(accountId, 'operator')],
  [
    'signing out everywhere',
    async (accountId: string) => t.app.oidc.signOutEverywhere(accountId, 'operator', 'operator'),
  ],
  [
    'changing the password',
    async (accountId: string, present: string) =>
      t.app.changePassword({ accountId, present, password: `${present} anew` }),
  ],
])('%s ends every session on every device and tells every portal', async (_what, act) => {
  const other = newPerson();
  const { accountId } = await t.app.identity.register(other);
  const [phone, desktop] = [new UserAgent(), new UserAgent()];
  const first = await signIn(zhejiang, phone, other);
  const tokens = await zhejiang.redeem(first.callback, first);
  await signIn(guangdong, desktop, other);
  zhejiang.logouts.length = 0;
  guangdong.logouts.length = 0;

  await act(accountId, other.password);

  await expect.poll(() => zhejiang.logouts).toHaveLength(1);
  await expect.poll(() => guangdong.logouts).toHaveLength(1);
  for (const [rp, browser] of [
    [zhejiang, phone],
    [guangdong, desktop],
  ] as const) {
    const page = await browser.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri);
    expect(page.url.searchParams.get('error')).toBe('login_required');
  }
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  expect(userinfo.status).toBe(401);
});

test('a different person signing in over a live session signs the first one out, by a page of ours', async () => {
  const { browser } = await signedInAtBoth();
  const other = newPerson();
  await t.app.identity.register(other);
  const attempt = await zhejiang.begin({ prompt: 'login' });
  // The page asks for the password of whoever is signed in, and offers another account.
  const asked = await browser.get(attempt.url);
  const signIn = await browser.get(new URL(`${asked.url.pathname}?other=yes`, asked.url));
  const onward = await browser.submit(signIn, { ...other }, '/sign-in');
  expect(onward.text).toContain('id="onward"');
  expect(onward.headers.get('content-security-policy')).toContain("script-src 'nonce-");
  const callback = await browser.submit(onward, {}, '/confirm', zhejiang.redirectUri);
  const tokens = await zhejiang.redeem(callback.url, attempt);
  await expect.poll(() => guangdong.logouts).toHaveLength(1);
  const accountId = await t.app.identity.find(other.identifier);
  const [row] = await t.app.db.query<{ account_id: string }>(
    'SELECT account_id FROM pairwise_subjects WHERE sub = $1',
    [tokens.claims()?.sub],
  );
  expect(row?.account_id).toBe(accountId);
});

test('form_post carries the answer to the portal by a page of ours', async () => {
  const browser = new UserAgent();
  const attempt = await guangdong.begin({ response_mode: 'form_post' });
  const page = await browser.submit(await browser.get(attempt.url), { ...person }, '/sign-in');
  expect(page.forms[0]?.action.href).toBe(guangdong.redirectUri);
  expect(page.forms[0]?.fields).toMatchObject({
    state: attempt.state,
    iss: t.origin,
    code: expect.any(String) as string,
  });
  expect(page.text).toContain('继续前往');
});

test('signing out is on record', async () => {
  const rows = await t.app.db.query(`SELECT 1 FROM audit_events WHERE type = 'account.signed-out'`);
  expect(rows.length).toBeGreaterThanOrEqual(3);
});
