/**
 * oidcc-config-certification-test-plan, oidcc-dynamic-certification-test-plan and
 * oidcc-3rdparty-init-login-certification-test-plan: portals that register themselves, `private_key_jwt`.
 */
import { randomUUID } from 'node:crypto';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import * as s from './support.ts';

let receiver: s.Receiver;
let suite: s.Suite;

beforeAll(async () => {
  receiver = await s.startReceiver();
  suite = await s.startSuite(receiver);
});
afterAll(async () => {
  await suite.t.stop();
  await receiver.stop();
});

/** Asks for a registration (RFC 7591, section 3.1), with an initial access token. */
async function ask(metadata: object): Promise<s.Answer> {
  const token = await suite.t.app.oidc.issueInitialAccessToken({ seconds: 60 });
  return s.send(suite.endpoint('registration'), {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(metadata),
  });
}

const newRedirectUri = () => s.redirectUriOf(randomUUID());

/** Registers a client and checks the answer (RFC 7591, section 3.2.1). */
async function register(
  metadata: Record<string, unknown> & { redirect_uris?: string[] } = {},
): Promise<s.KeyedClient & { answer: s.Answer }> {
  const key = await s.newKey('RS256');
  const redirectUris = metadata.redirect_uris ?? [newRedirectUri()];
  const asked = {
    redirect_uris: redirectUris,
    token_endpoint_auth_method: 'private_key_jwt',
    id_token_signed_response_alg: 'ES256',
    ...('jwks_uri' in metadata ? {} : { jwks: { keys: [key.jwk] } }),
    ...metadata,
  };
  const answer = await ask(asked);
  expect(answer.status, answer.text).toBe(201);
  expect(answer.body).toMatchObject(asked);
  expect(answer.body['registration_client_uri']).toBe(
    `${suite.endpoint('registration')}/${String(answer.body['client_id'])}`,
  );
  const [redirectUri] = redirectUris;
  const clientId = String(answer.body['client_id']);
  const algs = { id_token_signed_response_alg: answer.body['id_token_signed_response_alg'] };
  return { ...s.keyedClient(suite, clientId, key, redirectUri, algs as oidc.ClientMetadata), answer };
}

describe('OP Config', () => {
  test('oidcc-discovery-endpoint-verification', async () => {
    const answer = await s.send(`${suite.issuer}/.well-known/openid-configuration`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.body).toMatchObject({
      issuer: suite.issuer,
      response_types_supported: ['code'],
      grant_types_supported: expect.arrayContaining(['authorization_code', 'refresh_token']) as string[],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: expect.arrayContaining(['RS256', 'ES256']) as string[],
      userinfo_signing_alg_values_supported: expect.arrayContaining(['RS256', 'ES256']) as string[],
      request_object_signing_alg_values_supported: expect.arrayContaining(['RS256', 'ES256']) as string[],
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      claims_parameter_supported: true,
      claims_supported: expect.arrayContaining(['sub', 'phone_number', 'acr', 'auth_time']) as string[],
      scopes_supported: expect.arrayContaining(['openid', 'profile', 'phone', 'offline_access']) as string[],
    });
    for (const [name, value] of Object.entries(answer.body))
      if (name.endsWith('_endpoint') || name === 'jwks_uri')
        expect(new URL(String(value)).origin, name).toBe(suite.issuer);
    for (const value of Object.values(answer.body))
      if (Array.isArray(value)) expect(new Set(value).size).toBe(value.length);
    const { keys } = (await s.send(String(answer.body['jwks_uri']))).body as {
      keys: Record<string, string>[];
    };
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(keys.length);
    expect(new Set(keys.map(({ alg }) => alg))).toEqual(new Set(['ES256', 'RS256']));
    for (const key of keys)
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).not.toHaveProperty(secret);
  });
});

describe('OP Dynamic', () => {
  test('oidcc-idtoken-rs256', async () => {
    const client = await register({ id_token_signed_response_alg: 'RS256' });
    await s.obtainTokens(suite, client, {}, { alg: 'RS256' });
  });

  test('oidcc-idtoken-unsigned: `none` is not offered, and refused', async () => {
    expect(suite.metadata['id_token_signing_alg_values_supported']).not.toContain('none');
    const answer = await ask({ redirect_uris: [newRedirectUri()], id_token_signed_response_alg: 'none' });
    s.expectError(answer, 400, 'invalid_client_metadata');
  });

  test('oidcc-userinfo-rs256', async () => {
    const client = await register({ userinfo_signed_response_alg: 'RS256' });
    const { tokens, claims } = await s.obtainTokens(suite, client);
    const info = await s.userinfo(suite, tokens.body['access_token']);
    expect(info.headers.get('content-type')).toMatch(/^application\/jwt/);
    const { clientId } = client;
    expect((await s.verified(suite, info.text, { clientId, alg: 'RS256' })).sub).toBe(claims.sub);
  });

  test('oidcc-ensure-redirect-uri-in-authorization-request', async () => {
    const client = await register({ redirect_uris: [newRedirectUri(), newRedirectUri()] });
    const arrival = await s.authorize(suite, client, { redirect_uri: undefined });
    s.expectErrorPage(suite, arrival, /invalid_request/);
  });

  test('oidcc-redirect-uri-query-OK', async () => {
    const client = await register({ redirect_uris: [`${newRedirectUri()}?foo=bar`] });
    const { authorization } = await s.obtainTokens(suite, client);
    expect(authorization.answer.get('foo')).toBe('bar');
  });

  test.each([
    ['oidcc-redirect-uri-query-mismatch', '?foo=bar', '?foo=baz'],
    ['oidcc-redirect-uri-query-added', '', '?foo=bar'],
  ])('%s', async (_module, registered, asked) => {
    const uri = newRedirectUri();
    const client = await register({ redirect_uris: [uri + registered] });
    s.expectErrorPage(suite, await s.authorize(suite, client, { redirect_uri: uri + asked }), /redirect_uri/);
  });

  test('oidcc-redirect-uri-regfrag', async () => {
    const answer = await ask({ redirect_uris: [`${newRedirectUri()}#foobar`] });
    s.expectError(answer, 400, 'invalid_redirect_uri');
  });

  test('what the registry refuses, and user codes, are invalid_client_metadata', async () => {
    for (const wrong of [{ contacts: ['nobody'] }, { backchannel_user_code_parameter: true }]) {
      const answer = await ask({ redirect_uris: [newRedirectUri()], ...wrong });
      s.expectError(answer, 400, 'invalid_client_metadata');
      expect(answer.body['error_description']).not.toContain('"');
    }
  });

  test('oidcc-server', async () => {
    const client = await register();
    const library = await client.library();
    const authorization = await s.authorize(suite, client);
    const tokens = await oidc.authorizationCodeGrant(library, authorization.page.url, {
      pkceCodeVerifier: authorization.verifier,
      expectedState: authorization.parameters['state'] ?? '',
      expectedNonce: authorization.parameters['nonce'] ?? '',
      idTokenExpected: true,
    });
    const info = await oidc.fetchUserInfo(library, tokens.access_token, tokens.claims()?.sub ?? '');
    expect(info.sub).toBe(tokens.claims()?.sub);
  });

  test('oidcc-registration-logo-uri: the registration is accepted', async () => {
    await s.obtainTokens(suite, await register({ logo_uri: 'https://portal.example.cn/logo.png' }));
  });

  test.each([
    ['oidcc-registration-policy-uri', 'policy_uri'],
    ['oidcc-registration-tos-uri', 'tos_uri'],
  ])('%s', async (_module, member) => {
    const address = `https://portal.example.cn/${member}?a=1&b=2`;
    const client = await register({ [member]: address });
    const { parameters } = await s.newAttempt(client);
    const page = await new UserAgent().get(s.authorizationUrl(suite, parameters));
    expect(page.text).toContain(`href="${address.replace('&', '&amp;')}"`);
    await s.obtainTokens(suite, client);
  });

  test('oidcc-registration-jwks-uri', async () => {
    const client = await register({ jwks_uri: `${receiver.origin}/jwks-1` });
    receiver.answers.set('/jwks-1', { body: { keys: [client.key.jwk] } });
    await s.obtainTokens(suite, client);
    expect(receiver.calls.filter(({ path }) => path === '/jwks-1')).toHaveLength(1);
  });

  test('oidcc-registration-sector-uri', async () => {
    const redirectUri = newRedirectUri();
    receiver.answers.set('/sector-good', { body: [redirectUri, newRedirectUri()] });
    const sector = { sector_identifier_uri: `${receiver.origin}/sector-good` };
    const client = await register({ redirect_uris: [redirectUri], ...sector });
    await s.obtainTokens(suite, client);
  });

  test('oidcc-registration-sector-bad', async () => {
    receiver.answers.set('/sector-bad', { body: [newRedirectUri()] });
    const sector = { sector_identifier_uri: `${receiver.origin}/sector-bad` };
    const answer = await ask({ redirect_uris: [newRedirectUri()], ...sector });
    s.expectError(answer, 400, 'invalid_client_metadata');
  });

  test('oidcc-server-rotate-keys', async () => {
    const published = async () => {
      const { body } = await s.send(String(suite.metadata['jwks_uri']));
      return (body as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    };
    const before = await published();
    await suite.t.app.tokenKeys.rotate({ now: false });
    await expect.poll(published).toHaveLength(before.length + 2);
    expect(await published()).toEqual(expect.arrayContaining(before));
    await s.obtainTokens(suite, await register());
  });

  test('oidcc-refresh-token-rp-key-rotation', async () => {
    const client = await register({
      jwks_uri: `${receiver.origin}/jwks-2`,
      grant_types: ['authorization_code', 'refresh_token'],
    });
    receiver.answers.set('/jwks-2', { body: { keys: [client.key.jwk] } });
    const { tokens } = await s.obtainTokens(suite, client, {
      scope: 'openid offline_access',
      prompt: 'consent',
    });
    const next = await s.newKey('RS256');
    receiver.answers.set('/jwks-2', { body: { keys: [next.jwk] } });
    await s.later(61, async () => {
      const rotated = s.keyedClient(suite, client.clientId, next);
      const answer = await s.askForTokens(suite, rotated, s.refreshGrant(tokens.body['refresh_token']));
      expect(answer.status, answer.text).toBe(200);
      const withOld = await s.askForTokens(suite, client, s.refreshGrant(answer.body['refresh_token']));
      s.expectError(withOld, 401, 'invalid_client');
    });
  });

  test('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const client = await register({ request_object_signing_alg: 'RS256' });
    const attempt = await s.newAttempt(client);
    const request = await s.sign(client.key, {
      ...attempt.parameters,
      iss: client.clientId,
      aud: suite.issuer,
      exp: s.seconds() + 60,
    });
    const outside = { ...attempt.parameters, redirect_uri: 'https://evil.example.cn/callback', request };
    const arrival = await s.walk(suite, s.authorizationUrl(suite, outside), client.redirectUri);
    s.expectCode(suite, { ...attempt, ...arrival });
  });

  test('oidcc-refresh-token', async () => {
    const grantTypes = { grant_types: ['authorization_code', 'refresh_token'] };
    const [client, other] = [await register(grantTypes), await register(grantTypes)];
    const { tokens, claims } = await s.obtainTokens(suite, client, {
      scope: 'openid offline_access',
      prompt: 'consent',
    });
    const grant = s.refreshGrant(tokens.body['refresh_token']);
    s.expectError(await s.askForTokens(suite, other, grant), 400, 'invalid_grant');
    const answer = await s.askForTokens(suite, client, grant);
    expect(answer.status, answer.text).toBe(200);
    const again = await s.verified(suite, answer.body['id_token'], client);
    expect(again).toMatchObject({ sub: claims.sub, auth_time: claims['auth_time'] });
  });

  test('oidcc-ensure-client-assertion-with-iss-aud-succeeds', async () => {
    const client = await register();
    for (const aud of [suite.issuer, suite.endpoint('token'), [suite.issuer]]) {
      const authorization = await s.authorize(suite, client);
      const answer = await s.askForTokens(suite, client, s.codeGrant(client, authorization), {
        credentials: await client.authenticate({ aud }),
      });
      expect(answer.status, answer.text).toBe(200);
    }
  });
});

describe('3rd Party-Init OP', () => {
  test('oidcc-3rd_party-init-login', async () => {
    const address = { initiate_login_uri: 'https://portal.example.cn/begin' };
    const { answer } = await register(address);
    const read = await s.send(String(answer.body['registration_client_uri']), {
      headers: { Authorization: `Bearer ${String(answer.body['registration_access_token'])}` },
    });
    expect(read).toMatchObject({ status: 200, body: address });
  });

  test('oidcc-3rd_party-init-login-nohttps', async () => {
    const answer = await ask({
      redirect_uris: [newRedirectUri()],
      initiate_login_uri: 'http://portal.example.cn/begin',
    });
    s.expectError(answer, 400, 'invalid_client_metadata');
  });
});
