/** Discovery and JWKS as portals fetch them, and that every member of the metadata is true. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../support/app.ts';
import { registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
let metadata: Record<string, unknown>;

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, { clientId: 'zhejiang' });
  metadata = (await (await fetch(`${t.origin}/.well-known/openid-configuration`)).json()) as Record<
    string,
    unknown
  >;
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

describe.each(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/jwks'])(
  '%s',
  (path) => {
    test('is the same bytes each time, may be kept for five minutes, and is not sent again to who has it', async () => {
      const [first, second] = [await fetch(t.origin + path), await fetch(t.origin + path)];
      expect(await first.text()).toBe(await second.text());
      for (const response of [first, second]) {
        expect(response.headers.get('cache-control')).toBe('public, max-age=300');
        expect(response.headers.get('content-type')).toMatch(/^application\/(jwk-set\+)?json/);
        expect(response.headers.get('access-control-allow-origin')).toBe('*');
      }
      const etag = first.headers.get('etag') ?? '';
      expect(etag).toMatch(/^"[\w-]{22}"$/);
      const again = await fetch(t.origin + path, { headers: { 'If-None-Match': etag } });
      expect([again.status, await again.text()]).toEqual([304, '']);
      const changed = await fetch(t.origin + path, { headers: { 'If-None-Match': '"another"' } });
      expect(changed.status).toBe(200);
    });

    test('does not change with the Host header', async () => {
      const { request } = await import('node:http');
      const body = await new Promise<string>((resolve, reject) => {
        const url = new URL(path, t.origin);
        request(
          { host: '127.0.0.1', port: url.port, path, headers: { Host: 'evil.example' } },
          (response) => {
            let text = '';
            response.on('data', (chunk: Buffer) => (text += chunk.toString()));
            response.on('end', () => resolve(text));
          },
        )
          .on('error', reject)
          .end();
      });
      expect(body).not.toContain('evil.example');
    });
  },
);

test('both discovery addresses say the same', async () => {
  expect(await (await fetch(`${t.origin}/.well-known/oauth-authorization-server`)).json()).toEqual(metadata);
});

test('every endpoint that is named answers, and every one that answers is named', async () => {
  const named = Object.entries(metadata).filter(([member]) => /(_endpoint|jwks_uri)$/.test(member));
  expect(named.map(([member]) => member).toSorted()).toEqual([
    'authorization_endpoint',
    'backchannel_authentication_endpoint',
    'device_authorization_endpoint',
    'end_session_endpoint',
    'introspection_endpoint',
    'jwks_uri',
    'pushed_authorization_request_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
    'token_endpoint',
    'userinfo_endpoint',
  ]);
  for (const [member, url] of named) {
    const method = /token|revocation|pushed|introspection|registration|device|backchannel/.test(member)
      ? 'POST'
      : 'GET';
    const response = await fetch(String(url), {
      method,
      redirect: 'manual',
      headers: { Accept: 'application/json' },
    });
    expect(response.status, member).not.toBe(404);
    expect(response.status, member).toBeLessThan(500);
  }
});

test('what the metadata says is supported is supported, and nothing else is promised', () => {
  expect(metadata).toMatchObject({
    issuer: t.origin,
    response_types_supported: ['code'],
    response_modes_supported: [
      'form_post',
      'fragment',
      'query',
      'jwt',
      'query.jwt',
      'fragment.jwt',
      'form_post.jwt',
    ],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:openid:params:grant-type:ciba',
    ],
    subject_types_supported: ['pairwise'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    code_challenge_methods_supported: ['S256'],
    scopes_supported: [
      'openid',
      'profile',
      'phone',
      'email',
      'address',
      'realname',
      'organisation',
      'offline_access',
    ],
    authorization_response_iss_parameter_supported: true,
    authorization_details_types_supported: ['urn:yinxin:seal-act'],
    acr_values_supported: [1, 2, 3, 4].map((level) => `urn:yinxin:loa:${level}`),
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    backchannel_token_delivery_modes_supported: ['poll', 'ping'],
    backchannel_user_code_parameter_supported: false,
    claims_parameter_supported: true,
    request_parameter_supported: true,
    request_uri_parameter_supported: false,
    dpop_signing_alg_values_supported: ['ES256', 'PS256', 'EdDSA', 'Ed25519'],
  });
  // RFC 8414, section 2: what has no members is left out. No key of ours decrypts request objects.
  expect(Object.values(metadata).filter((value) => Array.isArray(value) && value.length === 0)).toEqual([]);
  expect(metadata).not.toHaveProperty('request_object_encryption_alg_values_supported');
  expect(metadata['claims_supported']).toEqual(
    expect.arrayContaining([
      'sub',
      'preferred_username',
      'phone_number',
      'phone_number_verified',
      'auth_time',
      'amr',
      'sid',
      'iss',
    ]),
  );
});
