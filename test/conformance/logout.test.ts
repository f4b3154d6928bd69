/**
 * oidcc-rp-initiated-logout-certification-test-plan and oidcc-backchannel-rp-initiated-logout-certification-test-plan: a person signs in,
 * the portal sends them to the end-session endpoint, and then asks with prompt=none whether they are still signed in.
 */
import { createRemoteJWKSet, jwtVerify, type JWTPayload } from 'jose';
import { buildEndSessionUrl } from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import * as s from './support.ts';

const HOME = 'http://127.0.0.1:9/signed-out';

let receiver: s.Receiver;
let suite: s.Suite;
let client: s.Client & { readonly secret: string };

beforeAll(async () => {
  receiver = await s.startReceiver();
  suite = await s.startSuite(receiver);
  client = await s.registerSecretClient(suite, {
    clientId: 'logout',
    postLogoutRedirectUris: [HOME],
    backchannelLogoutUri: `${receiver.origin}/logout`,
  });
});
afterAll(async () => {
  await suite.t.stop();
  await receiver.stop();
});

interface SignedIn {
  readonly browser: UserAgent;
  readonly idToken: string;
  readonly claims: JWTPayload;
}

async function signIn(): Promise<SignedIn> {
  const browser = new UserAgent();
  const { tokens, claims } = await s.obtainTokens(suite, client, {}, { browser });
  return { browser, idToken: String(tokens.body['id_token']), claims };
}

function endSession(browser: UserAgent, parameters: s.Parameters): Promise<Page> {
  const query = new URLSearchParams(s.present(parameters)).toString();
  return browser.get(`${suite.endpoint('end_session')}?${query}`, HOME);
}

/** The person is asked, and says yes. */
const confirm = (browser: UserAgent, question: Page) =>
  browser.submit(question, { logout: 'yes' }, '/confirm', HOME);

async function expectSignedIn(browser: UserAgent, still: boolean): Promise<void> {
  const { answer } = await s.authorize(suite, client, { prompt: 'none' }, { browser });
  expect(answer.get('error')).toBe(still ? null : 'login_required');
  expect(answer.has('code')).toBe(still);
}

const cameHome = (page: Page) => page.url.href.startsWith(HOME);

describe('RP-Initiated OP', () => {
  test('oidcc-rp-initiated-logout-discovery-endpoint-verification', () => {
    expect(suite.endpoint('end_session')).toBe(`${suite.issuer}/end-session`);
  });

  test('oidcc-rp-initiated-logout', async () => {
    const { browser, idToken } = await signIn();
    await expectSignedIn(browser, true);
    const url = buildEndSessionUrl(await client.library(), {
      id_token_hint: idToken,
      post_logout_redirect_uri: HOME,
      state: 'state-of-the-portal',
    });
    const after = await confirm(browser, await browser.get(url, HOME));
    expect(after.url.href).toBe(`${HOME}?state=state-of-the-portal`);
    await expectSignedIn(browser, false);
  });

  test('oidcc-rp-initiated-logout-no-state', async () => {
    const { browser, idToken } = await signIn();
    const question = await endSession(browser, { id_token_hint: idToken, post_logout_redirect_uri: HOME });
    expect((await confirm(browser, question)).url.href).toBe(HOME);
    await expectSignedIn(browser, false);
  });

  test.each<[string, (hint: string) => s.Parameters]>([
    [
      'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
      (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: `${HOME}/elsewhere` }),
    ],
    [
      'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
      (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: `${HOME}?foo=bar` }),
    ],
    [
      'oidcc-rp-initiated-logout-modified-id-token-hint',
      (hint) => {
        const claims = JSON.parse(Buffer.from(hint.split('.')[1] ?? '', 'base64url').toString()) as s.Claims;
        return { id_token_hint: s.unsigned(claims), post_logout_redirect_uri: HOME };
      },
    ],
  ])('%s', async (_module, parameters) => {
    const { browser, idToken } = await signIn();
    const page = await endSession(browser, { ...parameters(idToken), state: 's' });
    expect(page.status).toBe(400);
    expect(page.text).toContain('invalid_request');
    expect(cameHome(page)).toBe(false);
    await expectSignedIn(browser, true);
  });

  test('oidcc-rp-initiated-logout-bad-id-token-hint', async () => {
    const { browser, claims } = await signIn();
    const hint = await s.sign(await s.newKey(), claims);
    const page = await endSession(browser, { id_token_hint: hint, post_logout_redirect_uri: HOME });
    expect(page.status).toBe(400);
    expect(page.text).toContain('invalid_request');
    await expectSignedIn(browser, true);
  });

  test.each<[string, s.Parameters, hinted: boolean]>([
    ['oidcc-rp-initiated-logout-no-id-token-hint', { post_logout_redirect_uri: HOME, state: 's' }, false],
    ['oidcc-rp-initiated-logout-no-params', {}, false],
    ['oidcc-rp-initiated-logout-no-post-logout-redirect-uri', { state: 's' }, true],
    ['oidcc-rp-initiated-logout-only-state', { state: 's' }, false],
  ])('%s', async (_module, parameters, hinted) => {
    const { browser, idToken } = await signIn();
    const hint = hinted ? { id_token_hint: idToken } : {};
    const question = await endSession(browser, { ...parameters, ...hint });
    expect(question.status).toBe(200);
    await expectSignedIn(browser, true);
    const after = await confirm(browser, question);
    expect(cameHome(after)).toBe(false);
    expect(after.text).toContain('您已退出登录');
    await expectSignedIn(browser, false);
  });
});

describe('Back-Channel OP', () => {
  test('oidcc-backchannel-logout-discovery-endpoint-verification', () => {
    expect(suite.metadata).toMatchObject({
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
      end_session_endpoint: expect.any(String) as string,
    });
  });

  test('oidcc-backchannel-rp-initiated-logout', async () => {
    const { browser, idToken, claims } = await signIn();
    expect(claims['sid']).toEqual(expect.any(String));
    await expect.poll(() => suite.t.app.logouts.undelivered()).toEqual([]);
    receiver.calls.length = 0;
    const hints = { id_token_hint: idToken, post_logout_redirect_uri: HOME, state: 's' };
    const after = await confirm(browser, await endSession(browser, hints));
    expect(cameHome(after)).toBe(true);
    await expect.poll(() => receiver.calls).toHaveLength(1);
    const [call] = receiver.calls;
    expect(call?.path).toBe('/logout');
    expect(call?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    const form = new URLSearchParams(call?.body);
    expect([...form.keys()]).toEqual(['logout_token']);
    const { payload, protectedHeader } = await jwtVerify(
      form.get('logout_token') ?? '',
      createRemoteJWKSet(new URL(String(suite.metadata['jwks_uri']))),
      { issuer: suite.issuer, audience: client.clientId, typ: 'logout+jwt', maxTokenAge: 60 },
    );
    expect(protectedHeader.alg).toBe('ES256');
    expect(payload).toMatchObject({
      sub: claims.sub,
      sid: claims['sid'],
      jti: expect.any(String) as string,
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    expect(payload).not.toHaveProperty('nonce');
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBeLessThanOrEqual(120);
    await expectSignedIn(browser, false);
  });
});
