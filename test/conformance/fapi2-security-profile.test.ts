/**
 * fapi2-security-profile-final-test-plan (plain_fapi, openid_connect, private_key_jwt, dpop), and the same modules once more as
 * fapi2-message-signing-final-test-plan runs them: with signed request objects, answered by JARM.
 */
import { setTimeout } from 'node:timers/promises';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import * as s from './support.ts';

let suite: s.Suite;

beforeAll(async () => {
  suite = await s.startSuite();
});
afterAll(() => suite.t.stop());

const PREFIX = 'fapi2-security-profile-final';

describe.each([
  ['FAPI 2.0 Security Profile', false],
  ['FAPI 2.0 Message Signing', true],
])('%s', (_plan, signed) => {
  let client: s.KeyedClient;
  let other: s.KeyedClient;
  let rsa: s.KeyedClient;
  /** With which the client shows that tokens are its own. */
  let holder: s.Key;

  beforeAll(async () => {
    const register = (clientId: string, key?: s.Key, alg = 'ES256') =>
      s.registerKeyedClient(
        suite,
        {
          clientId: `${signed ? 'signing' : 'plain'}-${clientId}`,
          profile: 'fapi2',
          claims: ['preferred_username'],
          metadata: {
            grant_types: ['authorization_code', 'refresh_token'],
            ...(signed ? { require_signed_request_object: true, request_object_signing_alg: alg } : {}),
            ...(key ? { jwks: { keys: [{ ...key.jwk, alg: undefined }] } } : {}),
          },
        },
        key,
      );
    client = await register('one');
    other = await register('two');
    rsa = await register('rsa', await s.newKey('PS256'), 'PS256');
    holder = await s.newKey();
  });

  /** The form of a pushed request: as parameters, or as a request object. */
  const formOf = async (attempt: s.Attempt, by = client): Promise<s.Parameters> =>
    signed ? { request: await s.requestObject(suite, by, attempt.parameters) } : attempt.parameters;

  const newAttempt = (changes: s.Parameters = {}, by = client) =>
    s.newAttempt(by, { response_mode: signed ? 'jwt' : undefined, ...changes });

  /** Pushes a request that is not to be accepted as it stands. */
  async function push(changes: s.Parameters, sending?: s.Sending, by = client) {
    return s.push(suite, by, await formOf(await newAttempt(changes, by), by), sending);
  }

  interface Way extends s.Walk {
    readonly by?: s.KeyedClient;
    readonly sending?: s.Sending;
    readonly outside?: s.Parameters;
  }

  /** Pushes a request, goes there, and arrives. */
  async function authorize(changes: s.Parameters = {}, { by = client, sending, ...way }: Way = {}) {
    const attempt = await newAttempt(changes, by);
    const pushed = await s.push(suite, by, await formOf(attempt, by), sending);
    expect(pushed.status, pushed.text).toBe(201);
    expect(pushed.body).toEqual({
      request_uri: expect.stringMatching(/^urn:ietf:params:oauth:request_uri:[\w-]{43}$/) as string,
      expires_in: expect.any(Number) as number,
    });
    return { ...attempt, pushed, ...(await s.follow(suite, by, pushed, way)) };
  }

  /** Asks for tokens with a DPoP proof. */
  async function redeem(
    authorization: s.Authorization,
    options: {
      by?: s.KeyedClient;
      key?: s.Key;
      grant?: s.Parameters;
      claims?: s.Claims;
      credentials?: s.Credentials;
    } = {},
  ) {
    const { by = client, key = holder, grant, claims = {}, ...sending } = options;
    const DPoP = await s.proof(key, { url: suite.endpoint('token') }, { claims });
    const asked = { ...s.codeGrant(by, authorization), ...grant };
    return s.askForTokens(suite, by, asked, { ...sending, headers: { DPoP } });
  }

  async function obtain(
    changes: s.Parameters = {},
    { claims = {}, ...way }: Way & { claims?: s.Claims } = {},
  ) {
    const authorization = await authorize(changes, way);
    s.expectCode(suite, authorization);
    const { by = client } = way;
    const tokens = await redeem(authorization, { by, claims });
    const { nonce } = authorization.parameters;
    const idToken = await s.expectTokens(suite, by, tokens, { nonce, tokenType: 'DPoP' });
    const token = String(tokens.body['access_token']);
    return { authorization, tokens, token, claims: idToken };
  }

  /** Uses an access token at a resource: userinfo. */
  async function use(
    token: string,
    changes: { claims?: s.Claims; header?: Record<string, unknown>; key?: s.Key; scheme?: string } = {},
  ) {
    const target = { method: 'GET', url: suite.endpoint('userinfo'), token };
    const DPoP = await s.proof(changes.key ?? holder, target, changes);
    return useWith(token, DPoP, changes.scheme);
  }
  const useWith = (token: string, proof: string | undefined, scheme = 'DPoP') =>
    s.send(suite.endpoint('userinfo'), {
      headers: { Authorization: `${scheme} ${token}`, ...(proof === undefined ? {} : { DPoP: proof }) },
    });

  const fails = (answer: s.Answer, error: string | RegExp = /^invalid_request(_object)?$/) =>
    s.expectError(answer, 400, error);

  test(`${PREFIX}-discovery-end-point-verification`, async () => {
    expect(suite.metadata).toMatchObject({
      issuer: suite.issuer,
      response_types_supported: expect.arrayContaining(['code']) as string[],
      authorization_response_iss_parameter_supported: true,
      pushed_authorization_request_endpoint: `${suite.issuer}/par`,
      code_challenge_methods_supported: ['S256'],
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256', 'PS256']) as string[],
      token_endpoint_auth_methods_supported: expect.arrayContaining(['private_key_jwt']) as string[],
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining([
        'ES256',
        'PS256',
      ]) as string[],
      id_token_signing_alg_values_supported: expect.arrayContaining(['ES256']) as string[],
      userinfo_signing_alg_values_supported: expect.arrayContaining(['ES256']) as string[],
    });
    expect([true, false]).toContain(suite.metadata['require_pushed_authorization_requests'] ?? false);
    expect(suite.metadata['dpop_signing_alg_values_supported']).not.toContain('RS256');
    const other = await s.send(`${suite.issuer}/.well-known/oauth-authorization-server`);
    expect(other.body).toEqual(suite.metadata);
    if (!signed) return;
    expect(suite.metadata).toMatchObject({
      response_modes_supported: expect.arrayContaining(['jwt', 'query.jwt', 'form_post.jwt']) as string[],
      authorization_signing_alg_values_supported: expect.arrayContaining(['ES256']) as string[],
      request_object_signing_alg_values_supported: expect.arrayContaining(['ES256', 'PS256']) as string[],
    });
  });

  test(`${PREFIX}-happy-flow`, async () => {
    const tokensOf = async (by: s.KeyedClient) => {
      const library = await by.library();
      if (signed) oidc.useJwtResponseMode(library);
      const keys = { publicKey: holder.publicKey, privateKey: holder.privateKey };
      const DPoP = oidc.getDPoPHandle(library, keys);
      const { parameters, verifier } = await s.newAttempt(by);
      const { client_id: _clientId, ...asked } = parameters;
      const pushing = signed
        ? Object.fromEntries(
            (
              await oidc.buildAuthorizationUrlWithJAR(
                library,
                { ...asked, response_mode: 'jwt' },
                by.key.privateKey,
              )
            ).searchParams,
          )
        : asked;
      const url = await oidc.buildAuthorizationUrlWithPAR(library, pushing, { DPoP });
      const { page } = await s.walk(suite, url, by.redirectUri);
      const tokens = await oidc.authorizationCodeGrant(
        library,
        page.url,
        {
          pkceCodeVerifier: verifier,
          expectedState: parameters['state'] ?? '',
          expectedNonce: parameters['nonce'] ?? '',
          idTokenExpected: true,
        },
        {},
        { DPoP },
      );
      expect(tokens).toMatchObject({ token_type: 'dpop', expires_in: 600 });
      const sub = tokens.claims()?.sub ?? '';
      expect(await oidc.fetchUserInfo(library, tokens.access_token, sub, { DPoP })).toEqual({ sub });
      return tokens;
    };
    await tokensOf(client);
    const second = await tokensOf(other);
    const stolen = await use(second.access_token, { key: await s.newKey() });
    expect(stolen.status).toBe(401);
  });

  test(`${PREFIX}-user-rejects-authentication`, async () => {
    for (const [scope, decision] of [
      ['openid', 'cancel'],
      ['openid phone', 'deny'],
    ] as const) {
      const { answer, parameters } = await authorize({ scope }, { decision });
      expect(Object.fromEntries(answer)).toMatchObject({
        error: 'access_denied',
        state: parameters['state'],
        iss: suite.issuer,
      });
      expect(answer.has('code')).toBe(false);
    }
  });

  test(`${PREFIX}-ensure-authorization-request-without-state-success`, async () => {
    const { authorization, claims } = await obtain({ state: undefined });
    expect(authorization.answer.has('state')).toBe(false);
    expect(claims).not.toHaveProperty('s_hash');
  });

  test(`${PREFIX}-ensure-authorization-request-without-nonce-success`, async () => {
    expect((await obtain({ nonce: undefined })).claims).not.toHaveProperty('nonce');
  });

  test.each([
    [`${PREFIX}-ensure-authorization-request-with-64-char-nonce-success`, { nonce: 'n'.repeat(64) }],
    [`${PREFIX}-ensure-authorization-request-with-long-nonce`, { nonce: 'n'.repeat(384) }],
    [`${PREFIX}-ensure-authorization-request-with-long-state`, { state: 's'.repeat(1000) }],
  ])('%s', async (_module, changes) => {
    await obtain(changes);
  });

  test(`${PREFIX}-ensure-other-scope-order-succeeds`, async () => {
    const { token } = await obtain({ scope: 'profile openid' });
    expect((await use(token)).body['preferred_username']).toBe(suite.person.identifier);
  });

  test(`${PREFIX}-test-claims-parameter-identity-claims`, async () => {
    const claims = JSON.stringify({
      id_token: { preferred_username: null },
      userinfo: { preferred_username: { essential: true } },
    });
    const { claims: idToken, token } = await obtain({ claims });
    expect(idToken['preferred_username']).toBe(suite.person.identifier);
    expect((await use(token)).body).toEqual({
      sub: idToken.sub,
      preferred_username: suite.person.identifier,
    });
  });

  test(`${PREFIX}-access-token-type-header-case-sensitivity`, async () => {
    const { token } = await obtain();
    for (const scheme of ['dpop', 'DPOP', 'dPoP']) expect((await use(token, { scheme })).status).toBe(200);
  });

  test(`${PREFIX}-check-dpop-proof-nbf-exp`, async () => {
    const lifetime = () => ({ nbf: s.seconds(), exp: s.seconds() + 300 });
    const { token } = await obtain({}, { claims: lifetime() });
    expect((await use(token, { claims: lifetime() })).status).toBe(200);
  });

  test.each([
    [`${PREFIX}-ensure-dpopproof-with-iat-10seconds-before-succeeds`, -10],
    [`${PREFIX}-ensure-dpopproof-with-iat-10seconds-after-succeeds`, 10],
  ])('%s', async (_module, shift) => {
    const claims = { iat: s.seconds() + shift };
    const DPoP = await s.proof(holder, { url: suite.endpoint('pushed_authorization_request') }, { claims });
    const { token } = await obtain({}, { claims, sending: { headers: { DPoP } } });
    expect((await use(token, { claims })).status).toBe(200);
  });

  describe('the code is bound to a key', () => {
    const parProof = async (key: s.Key) => ({
      headers: { DPoP: await s.proof(key, { url: suite.endpoint('pushed_authorization_request') }) },
    });

    test(`${PREFIX}-ensure-mismatched-dpop-jkt-fails`, async () => {
      const { kid } = (await s.newKey()).jwk;
      fails(await push({ dpop_jkt: kid }, await parProof(holder)));
    });

    test(`${PREFIX}-ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt`, async () => {
      const authorization = await authorize({}, { sending: await parProof(await s.newKey()) });
      s.expectCode(suite, authorization);
      fails(await redeem(authorization), /^invalid_(grant|dpop_proof)$/);
    });

    test(`${PREFIX}-ensure-token-endpoint-fails-with-mismatched-dpop-jkt`, async () => {
      const authorization = await authorize({ dpop_jkt: (await s.newKey()).jwk.kid });
      s.expectCode(suite, authorization);
      fails(await redeem(authorization), /^invalid_(grant|dpop_proof)$/);
    });

    test(`${PREFIX}-ensure-dpopproof-at-par-endpoint-binding-success`, async () => {
      await obtain({}, { sending: await parProof(holder) });
    });

    test(`${PREFIX}-ensure-dpop-auth-code-binding-success`, async () => {
      await obtain({ dpop_jkt: holder.jwk.kid }, { sending: await parProof(holder) });
    });
  });

  describe('what is outside the pushed request does not count', () => {
    test(`${PREFIX}-ensure-different-nonce-inside-and-outside-request-object`, async () => {
      await obtain({}, { outside: { nonce: 'outside' } });
    });

    test(`${PREFIX}-ensure-different-state-inside-and-outside-request-object`, async () => {
      await obtain({}, { outside: { state: 'outside' } });
    });

    test(`${PREFIX}-state-only-outside-request-object-not-used`, async () => {
      const { authorization } = await obtain({ state: undefined }, { outside: { state: 'outside' } });
      expect(authorization.answer.has('state')).toBe(false);
    });
  });

  describe('redirect URIs', () => {
    test.each([
      `${PREFIX}-ensure-request-object-without-redirect-uri-fails`,
      `${PREFIX}-ensure-redirect-uri-in-authorization-request`,
    ])('%s', async () => {
      fails(await push({ redirect_uri: undefined }));
    });

    test.each([
      `${PREFIX}-ensure-registered-redirect-uri`,
      `${PREFIX}-plain-fapi-tolerate-unregistered-redirect-uri`,
    ])('%s', async () => {
      fails(await push({ redirect_uri: `${client.redirectUri}/elsewhere` }));
    });
  });

  test(`${PREFIX}-ensure-unsigned-authorization-request-without-using-par-fails`, async () => {
    const { answer, parameters } = await s.authorize(suite, client);
    expect(Object.fromEntries(answer)).toMatchObject({
      error: 'invalid_request',
      state: parameters['state'],
    });
    expect(answer.has('code')).toBe(false);
  });

  test.each([
    [`${PREFIX}-ensure-response-type-code-idtoken-fails`, 'code id_token'],
    [`${PREFIX}-ensure-response-type-token-fails`, 'token'],
  ])('%s', async (_module, responseType) => {
    const answer = await push({ response_type: responseType });
    fails(answer, /^(invalid_request|unsupported_response_type|unauthorized_client)$/);
  });

  describe('at the token endpoint', () => {
    test(`${PREFIX}-ensure-client-id-in-token-endpoint`, async () => {
      const authorization = await authorize();
      const { form } = await client.authenticate();
      const credentials = { form: { ...form, client_id: other.clientId } };
      s.expectError(
        await redeem(authorization, { credentials }),
        [400, 401],
        /^invalid_(client|grant|request)$/,
      );
    });

    test(`${PREFIX}-ensure-holder-of-key-required`, async () => {
      const authorization = await authorize();
      const answer = await s.askForTokens(suite, client, s.codeGrant(client, authorization));
      fails(answer, /^invalid_(request|grant|dpop_proof)$/);
    });

    test(`${PREFIX}-ensure-authorization-code-is-bound-to-client`, async () => {
      const authorization = await authorize();
      fails(await redeem(authorization, { by: other }), 'invalid_grant');
      const grant = { redirect_uri: client.redirectUri };
      fails(await redeem(await authorize(), { by: other, grant }), 'invalid_grant');
    });

    test(`${PREFIX}-attempt-reuse-authorization-code-after-one-second`, async () => {
      const { authorization, token } = await obtain();
      await setTimeout(1000);
      fails(await redeem(authorization), 'invalid_grant');
      expect((await use(token)).status).toBe(401);
    });

    test(`${PREFIX}-ensure-token-endpoint-fails-with-expired-auth-code`, async () => {
      const authorization = await authorize();
      s.expectCode(suite, authorization);
      await s.later(61, async () => fails(await redeem(authorization), 'invalid_grant'));
    });

    test(`${PREFIX}-ensure-signed-client-assertion-with-RS256-fails`, async () => {
      const byRs256 = s.keyedClient(suite, rsa.clientId, await s.withAlg(rsa.key, 'RS256'));
      const authorization = await authorize({}, { by: rsa });
      const credentials = await byRs256.authenticate();
      s.expectError(await redeem(authorization, { by: rsa, credentials }), 401, 'invalid_client');
      await s.expectTokens(suite, rsa, await redeem(authorization, { by: rsa }), {
        nonce: authorization.parameters['nonce'],
        tokenType: 'DPoP',
      });
    });

    test(`${PREFIX}-ensure-client-assertion-in-token-endpoint`, async () => {
      const credentials = { form: { client_id: client.clientId } };
      s.expectError(
        await redeem(await authorize(), { credentials }),
        [400, 401],
        /^invalid_(client|request)$/,
      );
    });

    test.each<[string, () => s.Claims]>([
      [
        `${PREFIX}-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails`,
        () => ({ iat: s.seconds() - 360, exp: s.seconds() - 300 }),
      ],
      [
        `${PREFIX}-ensure-client-assertion-with-wrong-aud-fails`,
        () => ({ aud: 'https://elsewhere.example.cn' }),
      ],
      [`${PREFIX}-ensure-client-assertion-with-no-sub-fails`, () => ({ sub: undefined })],
    ])('%s', async (_module, claims) => {
      const credentials = await client.authenticate(claims());
      s.expectError(await redeem(await authorize(), { credentials }), 401, 'invalid_client');
    });

    test(`${PREFIX}-ensure-pkce-code-verifier-required`, async () => {
      fails(await redeem(await authorize(), { grant: { code_verifier: undefined } }), 'invalid_grant');
    });

    test(`${PREFIX}-incorrect-pkce-code-verifier-rejected`, async () => {
      const grant = { code_verifier: oidc.randomPKCECodeVerifier() };
      fails(await redeem(await authorize(), { grant }), 'invalid_grant');
    });
  });

  test(`${PREFIX}-dpop-negative-tests`, async () => {
    const { token } = await obtain();
    const good = () => s.proof(holder, { method: 'GET', url: suite.endpoint('userinfo'), token });
    const { jwk } = holder;
    const [, payload = '', signature = ''] = (await good()).split('.');
    const headerWithoutAlg = Buffer.from(JSON.stringify({ typ: 'dpop+jwt', jwk })).toString('base64url');
    const stranger = await s.newKey();
    const elsewhere = { url: 'https://elsewhere.example.cn/userinfo' };
    const statuses = {
      'not a JWT': useWith(token, 'not-a-jwt'),
      'no alg': useWith(token, [headerWithoutAlg, payload, signature].join('.')),
      'alg none': useWith(token, s.unsigned({ htm: 'GET', iat: s.seconds() })),
      'spoilt signature': useWith(token, s.spoilt(await good())),
      'two proofs': useWith(token, `${await good()}, ${await good()}`),
      'no typ': use(token, { header: { typ: undefined } }),
      'wrong typ': use(token, { header: { typ: 'jwt' } }),
      'no jwk': use(token, { header: { jwk: undefined } }),
      'private jwk': use(token, { header: { jwk: { ...jwk, d: signature } } }),
      'no jti': use(token, { claims: { jti: undefined } }),
      'no htm': use(token, { claims: { htm: undefined } }),
      'wrong htm': use(token, { claims: { htm: 'PUT' } }),
      'no htu': use(token, { claims: { htu: undefined } }),
      'wrong htu': use(token, { claims: { htu: elsewhere.url } }),
      'no iat': use(token, { claims: { iat: undefined } }),
      'iat in an hour': use(token, { claims: { iat: s.seconds() + 3600 } }),
      'iat an hour ago': use(token, { claims: { iat: s.seconds() - 3600 } }),
      'no ath': use(token, { claims: { ath: undefined } }),
      'wrong ath': use(token, { claims: { ath: 'x'.repeat(43) } }),
      'another key': use(token, { key: stranger }),
      'no proof': useWith(token, undefined),
      'no proof, as a bearer token': useWith(token, undefined, 'Bearer'),
    };
    for (const [what, answer] of Object.entries(statuses))
      expect([400, 401], what).toContain((await answer).status);

    const once = { claims: { jti: 'only-once' } };
    expect((await use(token, once)).status).toBe(200);
    expect((await use(token, once)).status).toBe(401);
    const htu = suite.endpoint('userinfo');
    expect((await use(token, { claims: { htu: `${htu}?query=1#fragment` } })).status).toBe(200);
    expect(
      (await use(token, { claims: { htu: htu.replace('http://localhost', 'HTTP://LOCALHOST') } })).status,
    ).toBe(200);
    expect((await use(token, { claims: { extra: 1 }, header: { extra: 1 } })).status).toBe(200);
    expect((await use(token)).status).toBe(200);
  });

  test(`${PREFIX}-refresh-token`, async () => {
    const offline = { scope: 'openid offline_access', prompt: 'consent' };
    const { tokens, claims } = await obtain(offline);
    const grant = s.refreshGrant(tokens.body['refresh_token']);
    const headers = async () => ({ DPoP: await s.proof(holder, { url: suite.endpoint('token') }) });
    const refreshed = await s.askForTokens(suite, client, grant, { headers: await headers() });
    expect(refreshed.status, refreshed.text).toBe(200);
    expect(refreshed.body['token_type']).toBe('DPoP');
    // FAPI 2.0 Security Profile, section 5.3.2.1: refresh tokens are not rotated.
    expect([undefined, tokens.body['refresh_token']]).toContain(refreshed.body['refresh_token']);
    expect((await s.verified(suite, refreshed.body['id_token'], client)).sub).toBe(claims.sub);
    expect((await use(String(refreshed.body['access_token']))).status).toBe(200);

    const credentials = { form: { client_id: client.clientId } };
    const anonymous = await s.askForTokens(suite, client, grant, { credentials, headers: await headers() });
    s.expectError(anonymous, [400, 401], /^invalid_(client|request)$/);
    fails(await s.askForTokens(suite, client, grant), /^invalid_(request|grant|dpop_proof)$/);
    fails(await s.askForTokens(suite, other, grant, { headers: await headers() }), 'invalid_grant');
  });

  describe('pushed requests', () => {
    test(`${PREFIX}-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds`, async () => {
      const attempt = await newAttempt();
      const pushed = await s.push(suite, client, await formOf(attempt));
      const browser = new UserAgent();
      const address = { client_id: client.clientId, request_uri: String(pushed.body['request_uri']) };
      const first = await browser.get(s.authorizationUrl(suite, address));
      expect(first.forms.some(({ action }) => action.pathname.endsWith('/sign-in'))).toBe(true);
      s.expectCode(suite, { ...attempt, ...(await s.follow(suite, client, pushed, { browser })) });
    });

    test(`${PREFIX}-par-attempt-reuse-request_uri`, async () => {
      const { authorization } = await obtain();
      const again = await s.follow(suite, client, authorization.pushed);
      s.expectErrorPage(suite, again, /invalid_request_uri/);
    });

    test(`${PREFIX}-par-attempt-to-use-expired-request_uri`, async () => {
      const pushed = await push({});
      await s.later(Number(pushed.body['expires_in']) + 1, async () => {
        s.expectErrorPage(suite, await s.follow(suite, client, pushed), /invalid_request_uri/);
      });
    });

    test(`${PREFIX}-par-attempt-to-use-request_uri-for-different-client`, async () => {
      const pushed = await push({});
      s.expectErrorPage(suite, await s.follow(suite, other, pushed), /invalid_request/);
    });

    test(`${PREFIX}-par-without-duplicate-parameters`, async () => {
      await obtain();
    });

    test(`${PREFIX}-par-authorization-request-containing-request_uri-form-param`, async () => {
      const form = await formOf(await newAttempt());
      const answer = await s.push(suite, client, {
        ...form,
        request_uri: 'urn:ietf:params:oauth:request_uri:1',
      });
      fails(answer, /^(invalid_request|request_uri_not_supported)$/);
    });

    test(`${PREFIX}-par-attempt-invalid-http-method`, async () => {
      const { form } = await client.authenticate();
      for (const method of ['PUT', 'PATCH', 'DELETE']) {
        const body = new URLSearchParams(s.present({ ...(await formOf(await newAttempt())), ...form }));
        const answer = await s.send(suite.endpoint('pushed_authorization_request'), { method, body });
        expect([404, 405]).toContain(answer.status);
      }
    });

    test(`${PREFIX}-par-ensure-pkce-required`, async () => {
      fails(await push({ code_challenge: undefined, code_challenge_method: undefined }));
    });

    test(`${PREFIX}-par-plain-pkce-rejected`, async () => {
      fails(await push({ code_challenge_method: 'plain' }));
      fails(await push({ code_challenge_method: undefined }));
    });

    test(`${PREFIX}-par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted`, async () => {
      const later = s.seconds() + 8;
      const credentials = await client.authenticate({ iat: later, nbf: later, exp: later + 60 });
      expect((await push({}, { credentials })).status).toBe(201);
    });

    test.each<[string, () => s.Claims]>([
      [
        `${PREFIX}-par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails`,
        () => ({ iat: s.seconds() + 70, nbf: s.seconds() + 70, exp: s.seconds() + 130 }),
      ],
      [`${PREFIX}-par-test-array-as-audience-fails`, () => ({ aud: [suite.issuer] })],
      [
        `${PREFIX}-par-test-par-endpoint-url-as-audience-fails`,
        () => ({ aud: suite.endpoint('pushed_authorization_request') }),
      ],
      [`${PREFIX}-par-test-token-endpoint-url-as-audience-fails`, () => ({ aud: suite.endpoint('token') })],
    ])('%s', async (_module, claims) => {
      const credentials = await client.authenticate(claims());
      s.expectError(await push({}, { credentials }), [400, 401], /^invalid_(client|request)$/);
    });

    test('a client assertion is good for one request', async () => {
      const credentials = await client.authenticate();
      expect((await push({}, { credentials })).status).toBe(201);
      s.expectError(await push({}, { credentials }), 401, 'invalid_client');
    });
  });
});
