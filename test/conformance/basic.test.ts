/**
 * oidcc-basic-certification-test-plan and oidcc-formpost-basic-certification-test-plan: the modules of the OpenID Foundation's suite,
 * with portals of the registry, `client_secret_basic`.
 */
import { randomInt } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import type { PostalAddress } from '../../src/identity/index.ts';
import { newPerson, type Person } from '../support/relying-party.ts';
import * as s from './support.ts';

let suite: s.Suite;
let client: s.Client & { readonly secret: string };
let other: s.Client;
let signer: s.KeyedClient;

beforeAll(async () => {
  suite = await s.startSuite();
  const metadata = { grant_types: ['authorization_code', 'refresh_token'] };
  client = await s.registerSecretClient(suite, {
    clientId: 'basic-1',
    claims: ['preferred_username'],
    metadata,
  });
  other = await s.registerSecretClient(suite, { clientId: 'basic-2', metadata });
  signer = await s.registerKeyedClient(suite, { clientId: 'basic-signer' });
});
afterAll(() => suite.t.stop());

/** What goes before each request of a plan. */
const MODES: readonly [plan: string, parameters: s.Parameters][] = [
  ['OP Basic', {}],
  ['OP Form Post Basic', { response_mode: 'form_post' }],
];

describe.each(MODES)('%s', (_plan, mode) => {
  const authorize = (changes: s.Parameters = {}, walk: s.Walk = {}) =>
    s.authorize(suite, client, { ...mode, ...changes }, walk);
  const obtain = (changes: s.Parameters = {}, walk: s.Walk = {}) =>
    s.obtainTokens(suite, client, { ...mode, ...changes }, walk);

  /** Signs in twice in one browser. */
  async function twice(
    first: s.Parameters,
    second: s.Parameters | ((hint: string) => s.Parameters),
    pause = 0,
  ) {
    const browser = new UserAgent();
    const before = await obtain(first, { browser });
    await setTimeout(pause);
    const changes = typeof second === 'function' ? second(String(before.tokens.body['id_token'])) : second;
    const after = await obtain(changes, { browser });
    expect(after.claims.sub).toBe(before.claims.sub);
    return { before, after, asked: after.authorization.asked };
  }

  /** A new person agrees to a scope. @returns what userinfo says besides `sub`. */
  async function share(scope: string, person: Person, address?: PostalAddress) {
    const { accountId } = await suite.t.app.identity.register(person);
    if (address) await suite.t.app.identity.addresses.set(accountId, address);
    const { tokens, authorization, claims } = await obtain({ scope }, { person });
    expect(authorization.asked).toEqual(['sign-in', 'consent']);
    const { sub, ...released } = (await s.userinfo(suite, tokens.body['access_token'])).body;
    expect(sub).toBe(claims.sub);
    return { released, person };
  }

  test('oidcc-server', async () => {
    for (const each of [client, other]) {
      const library = await each.library();
      const authorization = await s.authorize(suite, each, mode);
      s.expectCode(suite, authorization);
      expect(authorization.asked).toEqual(['sign-in']);
      // By form_post the browser is still with the provider, on a page that sends itself on.
      expect(authorization.page.url.href.startsWith(each.redirectUri)).toBe(
        mode['response_mode'] === undefined,
      );
      const callback = new URL(`${each.redirectUri}?${authorization.answer.toString()}`);
      const tokens = await oidc.authorizationCodeGrant(library, callback, {
        pkceCodeVerifier: authorization.verifier,
        expectedState: authorization.parameters['state'] ?? '',
        expectedNonce: authorization.parameters['nonce'] ?? '',
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      expect(claims).toMatchObject({ iss: suite.issuer, aud: each.clientId });
      expect(tokens.expires_in).toBe(600);
      const info = await oidc.fetchUserInfo(library, tokens.access_token, claims?.sub ?? '');
      expect(info).toEqual({ sub: claims?.sub });
    }
  });

  test('oidcc-response-type-missing', async () => {
    const { answer, parameters } = await authorize({ response_type: undefined });
    expect(Object.fromEntries(answer)).toMatchObject({
      error: 'invalid_request',
      state: parameters['state'],
      iss: suite.issuer,
    });
    expect(answer.has('code')).toBe(false);
  });

  test('oidcc-idtoken-signature', async () => {
    const portal = await s.registerSecretClient(suite, {
      clientId: 'basic-rs256',
      metadata: { id_token_signed_response_alg: 'RS256' },
    });
    await s.obtainTokens(suite, portal, mode, { alg: 'RS256' });
  });

  test('oidcc-userinfo-get', async () => {
    const { tokens, claims } = await obtain();
    const info = await s.userinfo(suite, tokens.body['access_token']);
    expect(info).toMatchObject({ status: 200, body: { sub: claims.sub } });
    expectRefused(await s.userinfo(suite, 'not-a-token'));
  });

  test('oidcc-userinfo-post-header', async () => {
    const { tokens, claims } = await obtain();
    const info = await s.userinfo(suite, tokens.body['access_token'], { method: 'POST' });
    expect(info).toMatchObject({ status: 200, body: { sub: claims.sub } });
    expectRefused(await s.userinfo(suite, 'not-a-token', { method: 'POST' }));
  });

  test('oidcc-userinfo-post-body', async () => {
    const { tokens, claims } = await obtain();
    const form = { access_token: String(tokens.body['access_token']) };
    const info = await s.post(suite.endpoint('userinfo'), form);
    expect(info).toMatchObject({ status: 200, body: { sub: claims.sub } });
    expectRefused(await s.post(suite.endpoint('userinfo'), { access_token: 'not-a-token' }));
  });

  test('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const { claims } = await obtain({ nonce: undefined });
    expect(claims).not.toHaveProperty('nonce');
  });

  test('oidcc-scope-profile', async () => {
    const { released, person } = await share('openid profile', newPerson());
    expect(released).toEqual({ preferred_username: person.identifier });
  });

  test('oidcc-scope-email', async () => {
    const email = `heron-${randomInt(1e8)}@example.cn`;
    const { released } = await share('openid email', { ...newPerson(), identifier: email });
    expect(released).toEqual({ email, email_verified: false });
  });

  test('oidcc-scope-address', async () => {
    const address = { region: '浙江省', locality: '杭州市' };
    const { released } = await share('openid address', newPerson(), address);
    expect(released).toEqual({ address: { ...address, formatted: '杭州市\n浙江省' } });
  });

  test('oidcc-scope-all', async () => {
    const { released, person } = await share('openid profile email address phone', newPerson(), {
      region: '浙江省',
    });
    expect(released).toMatchObject({
      preferred_username: person.identifier,
      address: { region: '浙江省' },
    });
  });

  test('oidcc-scope-phone', async () => {
    const phone = `139${String(randomInt(1e8)).padStart(8, '0')}`;
    const { released } = await share('openid phone', { ...newPerson(), identifier: phone });
    expect(released).toEqual({ phone_number: `+86${phone}`, phone_number_verified: false });
  });

  test('oidcc-alternate-happy-flow', async () => {
    const attempt = await s.newAttempt(client, { ...mode, scope: 'phone profile openid' });
    const reversed = Object.fromEntries(Object.entries(attempt.parameters).toReversed());
    const arrival = await s.walk(suite, s.authorizationUrl(suite, reversed), client.redirectUri);
    s.expectCode(suite, { ...attempt, ...arrival });
    const tokens = await s.askForTokens(suite, client, s.codeGrant(client, { ...attempt, ...arrival }));
    await s.expectTokens(suite, client, tokens, { nonce: attempt.parameters['nonce'] });
    const { body } = await s.userinfo(suite, tokens.body['access_token']);
    expect(body['preferred_username']).toBe(suite.person.identifier);
  });

  test.each(['page', 'popup'])('oidcc-display-%s', async (display) => {
    const { authorization } = await obtain({ display });
    expect(authorization.asked).toEqual(['sign-in']);
  });

  test('oidcc-prompt-login', async () => {
    const { before, after, asked } = await twice({}, { prompt: 'login' }, 1100);
    expect(asked).toEqual(['confirm']);
    expect(after.claims['auth_time']).toBeGreaterThan(before.claims['auth_time'] as number);
  });

  test('oidcc-prompt-none-not-logged-in', async () => {
    const { answer, asked } = await authorize({ prompt: 'none' });
    expect(answer.get('error')).toBe('login_required');
    expect(answer.has('code')).toBe(false);
    expect(asked).toEqual([]);
  });

  test('oidcc-prompt-none-logged-in', async () => {
    const { before, after, asked } = await twice({}, { prompt: 'none' });
    expect(asked).toEqual([]);
    expect(after.claims['auth_time']).toBe(before.claims['auth_time']);
  });

  test('oidcc-max-age-1', async () => {
    const { before, after, asked } = await twice({ max_age: '15000' }, { max_age: '1' }, 2100);
    expect(asked).toEqual(['confirm']);
    expect(after.claims['auth_time']).toBeGreaterThan(before.claims['auth_time'] as number);
  });

  test('oidcc-max-age-10000', async () => {
    const { before, after, asked } = await twice({ max_age: '15000' }, { max_age: '10000' });
    expect(asked).toEqual([]);
    expect(before.claims['auth_time']).toEqual(expect.any(Number));
    expect(after.claims['auth_time']).toBe(before.claims['auth_time']);
  });

  test('oidcc-ensure-request-with-unknown-parameter-succeeds', async () => {
    const { authorization } = await obtain({ extra: 'foobar' });
    expect(authorization.answer.has('extra')).toBe(false);
  });

  test('oidcc-id-token-hint', async () => {
    const { before, after, asked } = await twice({}, (hint) => ({ prompt: 'none', id_token_hint: hint }));
    expect(asked).toEqual([]);
    expect(after.claims['auth_time']).toBe(before.claims['auth_time']);
  });

  test('oidcc-login-hint', async () => {
    const attempt = await s.newAttempt(client, { ...mode, login_hint: 'buffy@localhost' });
    const page = await new UserAgent().get(s.authorizationUrl(suite, attempt.parameters));
    expect(page.text).toContain('value="buffy@localhost"');
    await obtain({ login_hint: 'buffy@localhost' });
  });

  test('oidcc-ui-locales', async () => {
    const attempt = await s.newAttempt(client, { ...mode, ui_locales: 'se en' });
    const page = await new UserAgent().get(s.authorizationUrl(suite, attempt.parameters));
    expect(page.text).toContain('lang="en"');
    await obtain({ ui_locales: 'se' });
  });

  test('oidcc-claims-locales', async () => {
    await obtain({ claims_locales: 'se' });
  });

  test('oidcc-ensure-request-with-acr-values-succeeds', async () => {
    const supported = suite.metadata['acr_values_supported'] as string[];
    expect(supported).toContain('urn:yinxin:loa:1');
    const all = await obtain({ acr_values: supported.join(' ') });
    expect(all.claims['acr']).toBe('urn:yinxin:loa:1');
    await obtain({ acr_values: '1 2' });
  });

  test('oidcc-codereuse', async () => {
    const { authorization } = await obtain();
    const again = await s.askForTokens(suite, client, s.codeGrant(client, authorization));
    s.expectError(again, 400, 'invalid_grant');
  });

  test('oidcc-codereuse-30seconds', async () => {
    const { authorization, tokens } = await obtain();
    await s.later(30, async () => {
      expect((await s.userinfo(suite, tokens.body['access_token'])).status).toBe(200);
      const again = await s.askForTokens(suite, client, s.codeGrant(client, authorization));
      s.expectError(again, 400, 'invalid_grant');
      expectRefused(await s.userinfo(suite, tokens.body['access_token']));
    });
  });

  test('oidcc-ensure-registered-redirect-uri', async () => {
    const arrival = await authorize({ redirect_uri: `${client.redirectUri}/elsewhere` });
    s.expectErrorPage(suite, arrival, /redirect_uri/);
  });

  test('oidcc-ensure-post-request-succeeds', async () => {
    const attempt = await s.newAttempt(client, mode);
    const posted = await s.post(suite.endpoint('authorization'), attempt.parameters);
    expect(posted.status).toBe(303);
    const url = new URL(posted.headers.get('location') ?? '', suite.issuer);
    const arrival = await s.walk(suite, url, client.redirectUri);
    s.expectCode(suite, { ...attempt, ...arrival });
    const tokens = await s.askForTokens(suite, client, s.codeGrant(client, { ...attempt, ...arrival }));
    await s.expectTokens(suite, client, tokens, { nonce: attempt.parameters['nonce'] });
  });

  test('oidcc-server-client-secret-post', async () => {
    const portal = await s.registerSecretClient(suite, { clientId: 'basic-post' }, 'client_secret_post');
    await s.obtainTokens(suite, portal, mode);
    const authorization = await s.authorize(suite, portal, mode);
    const wrong = { credentials: s.secretPost(portal.clientId, 'wrong') };
    const refused = await s.askForTokens(suite, portal, s.codeGrant(portal, authorization), wrong);
    s.expectError(refused, 401, 'invalid_client');
  });

  test('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    const { answer } = await authorize({ request_uri: 'https://portal.example.cn/request.jwt' });
    expect(answer.get('error')).toBe('request_uri_not_supported');
    expect(suite.metadata['request_uri_parameter_supported']).toBe(false);
  });

  test('oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported: `none` is not offered, and refused', async () => {
    expect(suite.metadata['request_object_signing_alg_values_supported']).not.toContain('none');
    const { parameters } = await s.newAttempt(client, mode);
    const request = s.unsigned({ ...parameters, iss: client.clientId, aud: suite.issuer });
    const { answer } = await authorize({ request });
    expect(answer.get('error')).toBe('invalid_request_object');
  });

  test('oidcc-claims-essential', async () => {
    const claims = JSON.stringify({ userinfo: { preferred_username: { essential: true } } });
    const { tokens } = await obtain({ claims });
    const { body } = await s.userinfo(suite, tokens.body['access_token']);
    expect(body['preferred_username']).toBe(suite.person.identifier);
    // The suite asks for `name`, which no account has: that is no error either.
    await obtain({ claims: JSON.stringify({ userinfo: { name: { essential: true } } }) });
  });

  test('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const attempt = await s.newAttempt(signer, mode);
    const request = await s.sign(signer.key, {
      ...attempt.parameters,
      iss: signer.clientId,
      aud: suite.issuer,
      exp: s.seconds() + 60,
    });
    const outside = { ...attempt.parameters, redirect_uri: 'https://evil.example.cn/callback', request };
    const arrival = await s.walk(suite, s.authorizationUrl(suite, outside), signer.redirectUri);
    s.expectCode(suite, { ...attempt, ...arrival });
  });

  test('oidcc-refresh-token', async () => {
    const { tokens, claims, authorization } = await obtain({
      scope: 'openid offline_access',
      prompt: 'consent',
    });
    expect(authorization.asked).toEqual(['sign-in', 'consent']);
    const grant = s.refreshGrant(tokens.body['refresh_token']);
    s.expectError(await s.askForTokens(suite, other, grant), 400, 'invalid_grant');
    const refreshed = await s.askForTokens(suite, client, grant);
    const again = await s.expectTokens(suite, client, refreshed, {
      nonce: authorization.parameters['nonce'],
    });
    expect(again).toMatchObject({ sub: claims.sub, auth_time: claims['auth_time'] });
    expect(refreshed.body['access_token']).not.toBe(tokens.body['access_token']);
    expect(refreshed.body['refresh_token']).not.toBe(tokens.body['refresh_token']);
    expect((await s.userinfo(suite, refreshed.body['access_token'])).status).toBe(200);
  });

  test('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const { authorization } = await obtain();
    expect(authorization.parameters['code_challenge_method']).toBe('S256');
    const next = await authorize();
    const grant = { ...s.codeGrant(client, next), code_verifier: oidc.randomPKCECodeVerifier() };
    s.expectError(await s.askForTokens(suite, client, grant), 400, 'invalid_grant');
  });
});

/** RFC 6750, section 3. */
function expectRefused(answer: s.Answer): void {
  expect(answer.status).toBe(401);
  expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/);
}
