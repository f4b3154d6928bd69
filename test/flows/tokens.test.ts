/** Tokens in their other forms: for resources, signed and encrypted for a portal, for a single act. */
import {
  compactDecrypt,
  createRemoteJWKSet,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
} from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

const JWT_API = 'https://licences.example.cn/api';
const OPAQUE_API = 'https://records.example.cn/api';
let t: TestApp;
let rp: RelyingParty;
let sealed: RelyingParty;
/** The portal that runs the opaque resource, and may look into tokens made for it. */
let keeper: RelyingParty;
let decryptionKey: Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
const person = newPerson();

beforeAll(async () => {
  t = await startApp();
  for (const [identifier, tokenFormat] of [
    [JWT_API, 'jwt'],
    [OPAQUE_API, 'opaque'],
  ] as const)
    await t.app.resources.register(
      {
        identifier,
        name: { 'zh-CN': '电子证照', en: 'Licences' },
        scopes: { 'licences:read': { 'zh-CN': '查看您的电子证照', en: 'see your licences' } },
        tokenFormat,
        introspectedBy: ['keeper'],
      },
      'system',
    );
  rp = await registerRelyingParty(t, {
    clientId: 'reader',
    registration: {
      resources: { [JWT_API]: ['licences:read'], [OPAQUE_API]: ['licences:read'] },
      metadata: { authorization_details_types: ['urn:yinxin:seal-act'] },
    },
  });
  keeper = await registerRelyingParty(t, { clientId: 'keeper' });
  const pair = await generateKeyPair('ECDH-ES', { extractable: true });
  decryptionKey = pair.privateKey;
  sealed = await registerRelyingParty(t, {
    clientId: 'sealed',
    registration: {
      metadata: {
        jwks: { keys: [{ ...(await exportJWK(pair.publicKey)), use: 'enc', alg: 'ECDH-ES', kid: 'e' }] },
        id_token_encrypted_response_alg: 'ECDH-ES',
        id_token_encrypted_response_enc: 'A256GCM',
        id_token_signed_response_alg: 'RS256',
        userinfo_signed_response_alg: 'ES256',
        userinfo_encrypted_response_alg: 'ECDH-ES',
        userinfo_encrypted_response_enc: 'A256GCM',
      },
    },
  });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await Promise.all([rp.stop(), sealed.stop(), keeper.stop()]);
  await t.stop();
});

const post = async (portal: RelyingParty, path: string, body: Record<string, string>) => {
  const response = await fetch(`${t.origin}${path}`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${portal.clientId}:${portal.secret}`)}` },
    body: new URLSearchParams(body),
  });
  return (await response.json()) as Record<string, unknown>;
};

test('a resource that wants JWTs gets one that it can check alone, for itself and no other, and short-lived', async () => {
  const attempt = await signIn(rp, new UserAgent(), person, {
    scope: 'openid licences:read',
    resource: JWT_API,
  });
  const tokens = await rp.redeem(attempt.callback, attempt);
  const { payload, protectedHeader } = await jwtVerify(
    tokens.access_token,
    createRemoteJWKSet(new URL(`${t.origin}/jwks`)),
    { issuer: t.origin, audience: JWT_API, typ: 'at+jwt' },
  );
  expect(protectedHeader.alg).toBe('ES256');
  expect(payload).toMatchObject({ client_id: 'reader', scope: 'licences:read', sub: tokens.claims()?.sub });
  expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
  // RFC 8707: it says nothing at userinfo.
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  expect(userinfo.status).toBe(401);
});

test('a resource that wants opaque tokens looks into them by introspection; no other portal does', async () => {
  const attempt = await signIn(rp, new UserAgent(), person, {
    scope: 'openid licences:read',
    resource: OPAQUE_API,
  });
  const { access_token: token } = await rp.redeem(attempt.callback, attempt);
  expect(await post(keeper, '/introspect', { token })).toMatchObject({
    active: true,
    aud: OPAQUE_API,
    scope: 'licences:read',
    client_id: 'reader',
  });
  expect(await post(sealed, '/introspect', { token })).toEqual({ active: false });
  await post(rp, '/revoke', { token }).catch(() => undefined);
  expect(await post(keeper, '/introspect', { token })).toEqual({ active: false });
});

test('a resource that the portal may not ask for is refused', async () => {
  const { url } = await sealed.begin({ scope: 'openid licences:read', resource: JWT_API });
  const page = await new UserAgent().get(url, sealed.redirectUri);
  expect(page.url.searchParams.get('error')).toBe('invalid_target');
});

test('ID tokens and userinfo come signed and encrypted to the portals that want them so', async () => {
  const attempt = await sealed.begin({ scope: 'openid profile' });
  const browser = new UserAgent();
  let page = await browser.submit(
    await browser.get(attempt.url),
    { ...person },
    '/sign-in',
    sealed.redirectUri,
  );
  page = await browser.submit(page, { decision: 'allow' }, '/consent', sealed.redirectUri);
  const tokens = await post(sealed, '/token', {
    grant_type: 'authorization_code',
    code: page.url.searchParams.get('code') ?? '',
    redirect_uri: sealed.redirectUri,
    code_verifier: attempt.verifier,
  });
  const idToken = String(tokens['id_token']);
  expect(decodeProtectedHeader(idToken)).toMatchObject({ alg: 'ECDH-ES', enc: 'A256GCM', kid: 'e' });
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${String(tokens['access_token'])}` },
  });
  expect(userinfo.headers.get('content-type')).toContain('application/jwt');
  const keys = createRemoteJWKSet(new URL(`${t.origin}/jwks`));
  for (const [encrypted, alg] of [
    [idToken, 'RS256'],
    [await userinfo.text(), 'ES256'],
  ] as const) {
    const { plaintext } = await compactDecrypt(encrypted, decryptionKey);
    const { payload, protectedHeader } = await jwtVerify(new TextDecoder().decode(plaintext), keys, {
      issuer: t.origin,
      audience: 'sealed',
    });
    expect(protectedHeader.alg).toBe(alg);
    expect(payload.sub).toBeTypeOf('string');
  }
});

const act = {
  type: 'urn:yinxin:seal-act',
  identifier: 'seal_01',
  document_digest: 'ab'.repeat(32),
  document_name: '租赁合同.pdf',
  purpose: '签订合同',
};

test('a single act is shown to the person by name, agreed to, and stands in the token for that once', async () => {
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  const parameters = {
    resource: OPAQUE_API,
    scope: 'openid licences:read',
    authorization_details: JSON.stringify([act]),
  };
  for (let time = 0; time < 2; time++) {
    const attempt = await rp.begin(parameters);
    // Agreement to one act is no agreement to the next.
    const page = await browser.get(attempt.url, rp.redirectUri);
    expect(page.text).toContain('租赁合同.pdf');
    expect(page.text).toContain('seal_01');
    const callback = await browser.submit(page, { decision: 'allow' }, '/consent', rp.redirectUri);
    const tokens = await rp.redeem(callback.url, attempt);
    expect(tokens['authorization_details']).toEqual([act]);
    expect(await post(keeper, '/introspect', { token: tokens.access_token })).toMatchObject({
      authorization_details: [act],
    });
  }
});

test.each([
  ['no JSON', 'x'],
  ['another type', JSON.stringify([{ ...act, type: 'payment' }])],
  ['no digest', JSON.stringify([{ ...act, document_digest: undefined }])],
  ['a member that nobody knows', JSON.stringify([{ ...act, amount: 1 }])],
])('an act with %s is refused', async (_what, details) => {
  const { url } = await rp.begin({
    resource: OPAQUE_API,
    scope: 'openid licences:read',
    authorization_details: details,
  });
  const page = await new UserAgent().get(url, rp.redirectUri);
  expect(page.url.searchParams.get('error')).toBe('invalid_authorization_details');
});
