/** Mutual TLS (RFC 8705): what a proxy that ends TLS says of certificates (RFC 9440), believed and not believed. */
import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { createServer, type Server } from 'node:https';
import { text } from 'node:stream/consumers';
import type { TLSSocket } from 'node:tls';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { Agent, fetch as undiciFetch } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { derToPem, distinguishedName } from '../../src/pki/index.ts';
import type { PortalRegistration } from '../../src/portals/index.ts';
import { issue, issueCa, privateKeyPem, type Holder, type Wishes } from '../pki/support.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';
import { selfSigned } from '../support/tls.ts';

type Headers = Readonly<Record<string, string | readonly string[]>>;
type Metadata = NonNullable<PortalRegistration['metadata']>;

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const now = new Date();
const clock = new TestClock(now);
const inDays = (days: number) => new Date(now.getTime() + days * 86_400_000);

let t: TestApp;
let root: Holder;
let intermediate: Holder;
let strangeRoot: Holder;
let own: Holder;
let other: Holder;
let terminator: Server;
let terminatorCertificate: string;
let mtlsOrigin: string;
const parties: RelyingParty[] = [];

const pem = ({ certificate }: Holder) => derToPem('CERTIFICATE', certificate.der);
const x5c = ({ certificate }: Holder) => certificate.der.toString('base64');
const bytes = (holder: Holder) => `:${x5c(holder)}:`;
const thumbprintOf = (holder: Holder) =>
  Buffer.from(new X509Certificate(holder.certificate.der).fingerprint256.replaceAll(':', ''), 'hex').toString(
    'base64url',
  );
const shown = (holder: Holder, ...chain: Holder[]): Headers => ({
  'Client-Cert': bytes(holder),
  ...(chain.length > 0 ? { 'Client-Cert-Chain': chain.map(bytes).join(', ') } : {}),
});
const jwkOf = (holder: Holder) => ({
  ...holder.signer.publicKey.export({ format: 'jwk' }),
  x5c: [x5c(holder)],
});

/** A certificate for clients, by the authority in the middle unless said otherwise. */
function issueClient(commonName: string, wishes: Wishes = {}): Promise<Holder> {
  return issue(commonName, {
    issuer: intermediate,
    ...wishes,
    extensions: {
      keyUsage: ['digitalSignature'],
      extKeyUsage: { keyPurposeIds: [CLIENT_AUTH], critical: false },
      subjectAltName: {
        dNSName: ['portal.example.cn', '*.wild.example.cn'],
        uniformResourceIdentifier: ['https://portal.example.cn/id'],
        rfc822Name: ['portal@example.cn'],
        iPAddress: [Buffer.from([192, 0, 2, 7]), Buffer.from(`20010db8${'0'.repeat(23)}7`, 'hex')],
        critical: false,
      },
      ...wishes.extensions,
    },
  });
}

beforeAll(async () => {
  root = await issueCa('客户端根');
  intermediate = await issueCa('客户端签发', { issuer: root });
  strangeRoot = await issueCa('别人的根');
  own = await issue('门户');
  other = await issue('门户');
  const port = await freePort();
  mtlsOrigin = `https://127.0.0.1:${port}`;
  t = await startApp({
    clock,
    env: {
      CLIENT_CERTIFICATE_PROXIES: '127.0.0.1/32',
      CLIENT_CERTIFICATE_AUTHORITIES: pem(root),
      MUTUAL_TLS_ORIGIN: mtlsOrigin,
    },
  });
  const address = selfSigned('127.0.0.1');
  terminatorCertificate = address.certificate;
  terminator = await terminate(port, address);
});
afterAll(async () => {
  await Promise.all(parties.map((party) => party.stop()));
  terminator.closeAllConnections();
  await new Promise((resolve) => terminator.close(resolve));
  await t.stop();
});

/** What nginx or HAProxy do: asks for a certificate, sets the header itself, and drops what the client wrote there. */
async function terminate(port: number, { key, certificate }: { key: string; certificate: string }) {
  const server = createServer(
    { key, cert: certificate, requestCert: true, rejectUnauthorized: false },
    (incoming, response) => {
      const peer = (incoming.socket as TLSSocket).getPeerCertificate(true);
      const headers = { ...incoming.headers };
      delete headers['client-cert'];
      delete headers['client-cert-chain'];
      if ((peer.raw as Buffer | undefined) !== undefined)
        headers['client-cert'] = `:${peer.raw.toString('base64')}:`;
      const upstream = httpRequest(
        new URL(incoming.url ?? '/', t.origin),
        { method: incoming.method, headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      incoming.pipe(upstream);
    },
  );
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

let portals = 0;
/** A portal that does everything; `metadata` says how it authenticates. */
async function portal(metadata: Metadata, authentication: oidc.ClientAuth = oidc.TlsClientAuth()) {
  portals += 1;
  const rp = await registerRelyingParty(t, {
    clientId: `mtls-${portals}`,
    scopes: ['openid', 'seals:use'],
    authentication,
    registration: {
      metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'], ...metadata },
    },
  });
  parties.push(rp);
  return rp;
}
const selfSignedPortal = (...holders: Holder[]) =>
  portal({
    token_endpoint_auth_method: 'self_signed_tls_client_auth',
    jwks: { keys: holders.map(jwkOf) },
    tls_client_certificate_bound_access_tokens: true,
  });
const subjectPortal = (name: Metadata) => portal({ token_endpoint_auth_method: 'tls_client_auth', ...name });

/** A request as a proxy sends it on, headers line by line. @param from Address of the socket. */
async function send(
  path: string,
  {
    body,
    headers = {},
    from = '127.0.0.1',
  }: { body?: Record<string, string>; headers?: Headers; from?: string },
) {
  return new Promise<{ status: number; body: Record<string, unknown>; header: string }>((resolve, reject) => {
    const outgoing = httpRequest(
      new URL(path, t.origin),
      {
        method: body ? 'POST' : 'GET',
        localAddress: from,
        agent: false,
        headers: {
          ...(body ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {}),
          ...(headers as Record<string, string | string[]>),
        },
      },
      (response) => {
        void text(response).then((answer) => {
          const isJson = response.headers['content-type']?.includes('json') ?? false;
          resolve({
            status: response.statusCode ?? 0,
            body: isJson ? (JSON.parse(answer) as Record<string, unknown>) : {},
            header: response.headers['www-authenticate'] ?? '',
          });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body ? new URLSearchParams(body).toString() : undefined);
  });
}

const basic = (rp: RelyingParty) => ({ Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` });
const authenticate = (rp: RelyingParty, headers: Headers, from?: string) =>
  send('/token', {
    body: { grant_type: 'client_credentials', client_id: rp.clientId },
    headers,
    ...(from === undefined ? {} : { from }),
  });
const refused = { status: 401, body: { error: 'invalid_client' } };

async function code(rp: RelyingParty, parameters: Record<string, string> = {}) {
  const person = newPerson();
  await t.app.identity.register(person);
  const { callback, verifier } = await signIn(rp, new UserAgent(), person, parameters);
  return {
    grant_type: 'authorization_code',
    code: callback.searchParams.get('code') ?? '',
    code_verifier: verifier,
    redirect_uri: rp.redirectUri,
    client_id: rp.clientId,
  };
}
async function tokens(rp: RelyingParty, headers: Headers, parameters: Record<string, string> = {}) {
  const { status, body } = await send('/token', { body: await code(rp, parameters), headers });
  expect(status, JSON.stringify(body)).toBe(200);
  return { access: String(body['access_token']), refresh: String(body['refresh_token']), body };
}
const userinfo = (token: string, headers: Headers = {}, scheme = 'Bearer', from = '127.0.0.1') =>
  send('/userinfo', { headers: { Authorization: `${scheme} ${token}`, ...headers }, from });
const refresh = (rp: RelyingParty, token: string, headers: Headers = {}) =>
  send('/token', {
    body: { grant_type: 'refresh_token', refresh_token: token, client_id: rp.clientId },
    headers,
  });

describe('the metadata', () => {
  test('names both methods, bound tokens, and where certificates are asked for', async () => {
    const { body } = await send('/.well-known/openid-configuration', {});
    expect(body).toMatchObject({
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: {
        token_endpoint: `${mtlsOrigin}/token`,
        userinfo_endpoint: `${mtlsOrigin}/userinfo`,
        introspection_endpoint: `${mtlsOrigin}/introspect`,
        revocation_endpoint: `${mtlsOrigin}/revoke`,
        pushed_authorization_request_endpoint: `${mtlsOrigin}/par`,
        device_authorization_endpoint: `${mtlsOrigin}/device/authorization`,
        backchannel_authentication_endpoint: `${mtlsOrigin}/backchannel-authentication`,
      },
    });
    expect(body['token_endpoint_auth_methods_supported']).toEqual(
      expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']),
    );
  });
});

describe('self_signed_tls_client_auth', () => {
  let rp: RelyingParty;
  beforeAll(async () => {
    rp = await selfSignedPortal(own);
  });

  test('lets in who has a registered certificate, and whose name it bears means nothing', async () => {
    expect(await authenticate(rp, shown(own))).toMatchObject({ status: 200 });
    // The same name, another key.
    expect(await authenticate(rp, shown(other))).toMatchObject(refused);
    expect(await authenticate(rp, {})).toMatchObject(refused);
  });

  test('has room for the next certificate beside the present one', async () => {
    const renewing = await selfSignedPortal(own, other);
    const { refresh: token } = await tokens(renewing, shown(own));
    expect(await authenticate(renewing, shown(other))).toMatchObject({ status: 200 });
    // RFC 8705, section 7.1: the refresh token is bound by authentication, so it survives the change of certificates.
    const renewed = await refresh(renewing, token, shown(other));
    expect(renewed.status).toBe(200);
    expect(await userinfo(String(renewed.body['access_token']), shown(other))).toMatchObject({ status: 200 });
    expect(await userinfo(String(renewed.body['access_token']), shown(own))).toMatchObject({ status: 401 });
  });

  test('does not let in a registered certificate that is expired, or not valid yet', async () => {
    for (const template of [
      { notBefore: inDays(-2), notAfter: inDays(-1) },
      { notBefore: inDays(1), notAfter: inDays(2) },
    ]) {
      const untimely = await issue('不在有效期', { template });
      expect(await authenticate(await selfSignedPortal(untimely), shown(untimely))).toMatchObject(refused);
    }
  });

  test.each<[string, (certificate: string) => Headers]>([
    ['twice', (value) => ({ 'Client-Cert': [value, value] })],
    ['twice in one line', (value) => ({ 'Client-Cert': `${value}, ${value}` })],
    ['with parameters', (value) => ({ 'Client-Cert': `${value};a=1` })],
    ['without its colons', (value) => ({ 'Client-Cert': value.slice(1, -1) })],
    ['in base64url', (value) => ({ 'Client-Cert': value.replace(/[+/]|(?<=.{40})A/, '_') })],
    [
      'with a space in the base64',
      (value) => ({ 'Client-Cert': `${value.slice(0, 40)} ${value.slice(40)}` }),
    ],
    ['cut short', (value) => ({ 'Client-Cert': `${value.slice(0, 100)}:` })],
    ['with octets after the certificate', () => ({ 'Client-Cert': `:${longer(own)}:` })],
    ['as garbage', () => ({ 'Client-Cert': ':!!!!:' })],
    ['as base64 of garbage', () => ({ 'Client-Cert': ':AAAA:' })],
    ['empty', () => ({ 'Client-Cert': '' })],
    ['as an empty byte sequence', () => ({ 'Client-Cert': '::' })],
    ['as PEM in percent-encoding', () => ({ 'Client-Cert': encodeURIComponent(pem(own)) })],
    ['ten thousand signs long', (value) => ({ 'Client-Cert': `:${'A'.repeat(10_000)}${value.slice(1)}` })],
    ['with a chain of garbage', (value) => ({ 'Client-Cert': value, 'Client-Cert-Chain': ':AAAA:' })],
    [
      'with a chain that does not end',
      (value) => ({ 'Client-Cert': value, 'Client-Cert-Chain': Array(20).fill(value).join(',') }),
    ],
    ['under the names of other proxies', (value) => ({ 'X-SSL-Client-Cert': value, 'X-Client-Cert': value })],
  ])('takes a certificate that comes %s for none', async (_how, headers) => {
    expect(await authenticate(rp, headers(bytes(own)))).toMatchObject(refused);
  });

  test('answers a header that no server reads with 431', async () => {
    const huge = { 'Client-Cert': `:${'A'.repeat(20_000)}:` };
    expect(await authenticate(rp, huge)).toMatchObject({ status: 431 });
  });

  test('believes the socket and no header about where a request comes from', async () => {
    expect(await authenticate(rp, shown(own), '127.0.0.2')).toMatchObject(refused);
    const forwarded = {
      'X-Forwarded-For': '127.0.0.1',
      Forwarded: 'for=127.0.0.1',
      'X-Real-IP': '127.0.0.1',
    };
    expect(await authenticate(rp, { ...shown(own), ...forwarded }, '127.0.0.2')).toMatchObject(refused);
  });
});

describe('tls_client_auth', () => {
  test.each<[string, Metadata]>([
    ['the subject', { tls_client_auth_subject_dn: 'CN=门户,O=示例市,C=CN' }],
    [
      'the subject in other words',
      { tls_client_auth_subject_dn: 'cn=门户, 2.5.4.10=#0c09e7a4bae4be8be5b882, C=cn' },
    ],
    ['a DNS name', { tls_client_auth_san_dns: 'Portal.example.cn' }],
    ['a URI', { tls_client_auth_san_uri: 'https://portal.example.cn/id' }],
    ['an IPv4 address', { tls_client_auth_san_ip: '192.0.2.7' }],
    ['an IPv6 address', { tls_client_auth_san_ip: '2001:DB8:0:0::7' }],
    ['a mail address', { tls_client_auth_san_email: 'portal@example.cn' }],
  ])('knows a portal by %s, with the chain that the client sent', async (_what, name) => {
    const rp = await subjectPortal(name);
    const holder = await issueClient('门户');
    expect(await authenticate(rp, shown(holder, intermediate))).toMatchObject({ status: 200 });
    // Nobody knows the authority in the middle.
    expect(await authenticate(rp, shown(holder))).toMatchObject(refused);
    expect(await authenticate(rp, shown(holder, intermediate), '127.0.0.2')).toMatchObject(refused);
  });

  test.each<[string, Metadata]>([
    ['another subject', { tls_client_auth_subject_dn: 'CN=门户二,O=示例市,C=CN' }],
    ['less of the subject', { tls_client_auth_subject_dn: 'CN=门户,O=示例市' }],
    ['the subject in the other order', { tls_client_auth_subject_dn: 'C=CN,O=示例市,CN=门户' }],
    ['the levels of the subject as one', { tls_client_auth_subject_dn: 'CN=门户+O=示例市,C=CN' }],
    ['another DNS name', { tls_client_auth_san_dns: 'www.example.cn' }],
    ['a name that a wildcard covers', { tls_client_auth_san_dns: 'a.wild.example.cn' }],
    ['a DNS name that is the common name', { tls_client_auth_san_dns: '门户' }],
    ['another URI', { tls_client_auth_san_uri: 'https://portal.example.cn/ID' }],
    ['a URI that is another name', { tls_client_auth_san_uri: 'portal.example.cn' }],
    ['another address', { tls_client_auth_san_ip: '192.0.2.8' }],
  ])('does not take a certificate for that of %s', async (_what, name) => {
    const holder = await issueClient('门户');
    expect(await authenticate(await subjectPortal(name), shown(holder, intermediate))).toMatchObject(refused);
  });

  test.each<[string, () => Promise<Holder[]>]>([
    ['of another authority', async () => [await issueClient('门户', { issuer: strangeRoot }), strangeRoot]],
    [
      'of an authority that took the name of ours',
      async () => {
        const twin = await issueCa('客户端根');
        return [await issueClient('门户', { issuer: twin }), twin];
      },
    ],
    ['that it made itself', async () => [await issue('门户')]],
    [
      'that a client issued to another',
      async () => {
        const client = await issueClient('客户');
        return [await issueClient('门户', { issuer: client }), client, intermediate];
      },
    ],
    [
      'that is expired',
      async () => [
        await issueClient('门户', { template: { notBefore: inDays(-2), notAfter: inDays(-1) } }),
        intermediate,
      ],
    ],
    [
      'of an authority that is expired',
      async () => {
        const old = await issueCa('旧签发', {
          issuer: root,
          template: { notBefore: inDays(-2), notAfter: inDays(-1) },
        });
        return [await issueClient('门户', { issuer: old }), old];
      },
    ],
    [
      'for servers',
      async () => [
        await issueClient('门户', {
          extensions: { extKeyUsage: { keyPurposeIds: [SERVER_AUTH], critical: false } },
        }),
        intermediate,
      ],
    ],
    [
      'of an authority for servers',
      async () => {
        const forServers = await issueCa('服务器签发', {
          issuer: root,
          extensions: { extKeyUsage: { keyPurposeIds: [SERVER_AUTH], critical: false } },
        });
        return [await issueClient('门户', { issuer: forServers }), forServers];
      },
    ],
    [
      'whose key does not sign handshakes',
      async () => [
        await issueClient('门户', { extensions: { keyUsage: ['keyEncipherment'] } }),
        intermediate,
      ],
    ],
  ])('does not take a certificate %s', async (_what, make) => {
    const rp = await subjectPortal({ tls_client_auth_subject_dn: 'CN=门户,O=示例市,C=CN' });
    const [holder, ...chain] = await make();
    expect(await authenticate(rp, holder ? shown(holder, ...chain) : {})).toMatchObject(refused);
  });

  test('takes a certificate that says nothing of its use, and one that ends while the clock goes on no more', async () => {
    const rp = await subjectPortal({ tls_client_auth_subject_dn: 'CN=短,C=CN' });
    const subject = distinguishedName([{ countryName: 'CN' }, { commonName: '短' }]);
    const holder = await issueClient('短', {
      template: { subject, notAfter: new Date(clock.now().getTime() + 60_000) },
      extensions: { extKeyUsage: undefined, keyUsage: undefined },
    });
    expect(await authenticate(rp, shown(holder, intermediate))).toMatchObject({ status: 200 });
    clock.advance(62);
    expect(await authenticate(rp, shown(holder, intermediate))).toMatchObject(refused);
  });
});

describe('a token bound to a certificate', () => {
  let rp: RelyingParty;
  beforeAll(async () => {
    rp = await selfSignedPortal(own);
  });

  test('is good with that certificate and no other, whatever it is called', async () => {
    const { access, body } = await tokens(rp, shown(own));
    expect(body['token_type']).toBe('Bearer');
    expect(await userinfo(access, shown(own))).toMatchObject({ status: 200 });
    for (const answer of [
      await userinfo(access),
      await userinfo(access, shown(other)),
      await userinfo(access, shown(own), 'Bearer', '127.0.0.2'),
      await userinfo(access, { 'Client-Cert': [bytes(other), bytes(own)] }),
      await userinfo(access, shown(own), 'DPoP'),
    ]) {
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.body).not.toHaveProperty('sub');
      expect(answer.header).toMatch(/invalid_token|invalid_request|DPoP/);
    }
  });

  test('is introspected with the thumbprint of its certificate', async () => {
    const { access } = await tokens(rp, shown(own));
    const { body } = await send('/introspect', {
      body: { token: access, client_id: rp.clientId },
      headers: shown(own),
    });
    expect(body).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprintOf(own) } });
  });

  test('of a client that acts for itself is bound, too', async () => {
    const { body: token } = await authenticate(rp, shown(own));
    const { body } = await send('/introspect', {
      body: { token: String(token['access_token']), client_id: rp.clientId },
      headers: shown(own),
    });
    expect(body).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprintOf(own) } });
  });

  test('does for the profile fapi2 what a DPoP key does: pushed, authenticated and bound by one certificate', async () => {
    const fapi = await registerRelyingParty(t, {
      clientId: 'mtls-fapi',
      scopes: ['openid'],
      authentication: oidc.TlsClientAuth(),
      registration: {
        profile: 'fapi2',
        metadata: {
          token_endpoint_auth_method: 'self_signed_tls_client_auth',
          jwks: { keys: [jwkOf(own)] },
          tls_client_certificate_bound_access_tokens: true,
        },
      },
    });
    parties.push(fapi);
    const { url, verifier } = await fapi.begin();
    const request = Object.fromEntries(url.searchParams);
    expect(await send('/par', { body: request, headers: shown(other) })).toMatchObject(refused);
    const pushed = await send('/par', { body: request, headers: shown(own) });
    expect(pushed.status).toBe(201);
    const person = newPerson();
    await t.app.identity.register(person);
    const browser = new UserAgent();
    const query = new URLSearchParams({
      client_id: fapi.clientId,
      request_uri: String(pushed.body['request_uri']),
    });
    const page = await browser.get(`${t.origin}/authorize?${query.toString()}`);
    const { url: callback } = await browser.submit(page, { ...person }, '/sign-in', fapi.redirectUri);
    const body = {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      code_verifier: verifier,
      redirect_uri: fapi.redirectUri,
      client_id: fapi.clientId,
    };
    const { body: answer } = await send('/token', { body, headers: shown(own) });
    const access = String(answer['access_token']);
    expect(await userinfo(access, shown(own))).toMatchObject({ status: 200 });
    expect(await userinfo(access)).toMatchObject({ status: 401 });
  });

  test('is no bearer token for our own API, with its certificate or without', async () => {
    const { access } = await tokens(rp, shown(own), {
      scope: 'openid seals:use',
      resource: `${t.origin}/api/v1`,
    });
    for (const headers of [{}, shown(own)])
      expect(
        await send('/api/v1/seals', { headers: { Authorization: `Bearer ${access}`, ...headers } }),
      ).toMatchObject({ status: 401, body: { code: 'TOKEN_INVALID' } });
  });

  test('does not pass for one with a DPoP key, nor is one made that has both', async () => {
    const bound = await portal({ tls_client_certificate_bound_access_tokens: true }, oidc.None());
    const keys = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(keys.publicKey);
    const proof = (method: string, path: string, token?: string) =>
      new SignJWT({
        htm: method,
        htu: t.origin + path,
        jti: randomUUID(),
        ...(token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') }),
      })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
        .setIssuedAt()
        .sign(keys.privateKey);
    const mine = { ...basic(bound), ...shown(own) };
    const both = await send('/token', {
      body: await code(bound),
      headers: { ...mine, DPoP: await proof('POST', '/token') },
    });
    expect(both).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const { access } = await tokens(bound, mine);
    for (const certificate of [{}, shown(own)]) {
      const headers = { DPoP: await proof('GET', '/userinfo', access), ...certificate };
      const answer = await userinfo(access, headers, 'DPoP');
      expect(answer.status).toBe(401);
      expect(answer.body).not.toHaveProperty('sub');
    }
  });

  test('is not given to who shows no certificate', async () => {
    const bound = await portal({ tls_client_certificate_bound_access_tokens: true }, oidc.None());
    expect(await send('/token', { body: await code(bound), headers: basic(bound) })).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
  });
});

describe('a refresh token', () => {
  test('of a portal with a secret is bound to the certificate itself', async () => {
    const rp = await portal({ tls_client_certificate_bound_access_tokens: true }, oidc.None());
    const mine = { ...basic(rp), ...shown(own) };
    const { refresh: token } = await tokens(rp, mine);
    for (const theirs of [{ ...basic(rp), ...shown(other) }, basic(rp)])
      expect(await refresh(rp, token, theirs)).toMatchObject({
        status: 400,
        body: { error: 'invalid_grant' },
      });
    const { status, body } = await refresh(rp, token, mine);
    expect(status).toBe(200);
    // What it was rotated to is bound as it was.
    const next = String(body['refresh_token']);
    expect(await refresh(rp, next, { ...basic(rp), ...shown(other) })).toMatchObject({ status: 400 });
    expect(await refresh(rp, next, mine)).toMatchObject({ status: 200 });
  });

  test('of a portal that authenticates by certificate is of no use to another certificate', async () => {
    const rp = await selfSignedPortal(own);
    const { refresh: token } = await tokens(rp, shown(own));
    expect(await refresh(rp, token, shown(other))).toMatchObject(refused);
    expect(await refresh(rp, token, shown(own))).toMatchObject({ status: 200 });
  });

  test('of a portal that has nothing to do with certificates is no matter of what the proxy passes on', async () => {
    const rp = await portal({}, oidc.None());
    const { refresh: token } = await tokens(rp, { ...basic(rp), ...shown(own) });
    const first = await refresh(rp, token, { ...basic(rp), ...shown(own) });
    for (const headers of [basic(rp), { ...basic(rp), ...shown(other) }])
      expect(await refresh(rp, token, headers)).toMatchObject({ status: 200, body: first.body });
  });

  test('shown again within three seconds is answered again to the same certificate alone', async () => {
    const rp = await selfSignedPortal(own, other);
    const { refresh: token } = await tokens(rp, shown(own));
    const first = await refresh(rp, token, shown(own));
    const again = await refresh(rp, token, shown(own));
    expect([again.status, again.body]).toEqual([200, first.body]);
    expect(await refresh(rp, token, shown(other))).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
  });
});

describe('a portal', () => {
  const register = (clientId: string, metadata: Metadata, app = t) =>
    app.app.portals.register(
      {
        clientId,
        name: { 'zh-CN': '门户' },
        sector: clientId,
        homeUri: 'https://portal.example.cn/',
        redirectUris: ['https://portal.example.cn/callback'],
        scopes: ['openid'],
        metadata,
      },
      'system',
    );

  test.each<[string, Metadata, RegExp]>([
    [
      'a name that is none',
      { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'portal' },
      /tls_client_auth_subject_dn is not a distinguished name/,
    ],
    ['no name', { token_endpoint_auth_method: 'tls_client_auth' }, /requires one of the certificate subject/],
    [
      'two names',
      {
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'a.example.cn',
        tls_client_auth_san_uri: 'https://a.example.cn',
      },
      /only one tls_client_auth certificate subject value/,
    ],
    ['no keys', { token_endpoint_auth_method: 'self_signed_tls_client_auth' }, /jwks or jwks_uri/],
    [
      'keys without certificates',
      {
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b' }] },
      },
      /no key with a certificate/,
    ],
    [
      'tokens bound in two ways',
      { tls_client_certificate_bound_access_tokens: true, dpop_bound_access_tokens: true },
      /only one proof of possession/,
    ],
  ])('with %s is not registered, and it is said why', async (_what, metadata, why) => {
    await expect(register('refused', metadata)).rejects.toMatchObject({
      code: 'PORTAL_INVALID',
      message: expect.stringMatching(why) as string,
    });
    expect(await t.app.portals.find('refused')).toBeUndefined();
  });

  describe('where mutual TLS is off', () => {
    let off: TestApp;
    beforeAll(async () => {
      off = await startApp();
    });
    afterAll(() => off.stop());

    test('cannot be registered for it, by operators or by itself', async () => {
      for (const metadata of [
        { token_endpoint_auth_method: 'self_signed_tls_client_auth', jwks: { keys: [jwkOf(own)] } },
        { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'a.example.cn' },
        { tls_client_certificate_bound_access_tokens: true },
      ])
        await expect(register('off', metadata, off)).rejects.toMatchObject({
          code: 'PORTAL_INVALID',
          message: expect.stringContaining('needs mutual TLS, which is not offered here') as string,
        });
      const token = await off.app.oidc.issueInitialAccessToken({ seconds: 60 });
      const response = await fetch(`${off.origin}/register`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify({
          redirect_uris: ['https://portal.example.cn/callback'],
          token_endpoint_auth_method: 'tls_client_auth',
          tls_client_auth_san_dns: 'a.example.cn',
        }),
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: 'invalid_client_metadata' });
    });

    test('that was registered for it before gets nothing at all, rather than tokens that are bound to nothing', async () => {
      const env = {
        ...off.env,
        PORT: String(await freePort()),
        DATA_DIRECTORY: `${off.env['DATA_DIRECTORY']}-later`,
      };
      const before = await startApp({ env: { ...env, CLIENT_CERTIFICATE_PROXIES: '127.0.0.1/32' } });
      const bound = {
        tls_client_certificate_bound_access_tokens: true,
        grant_types: ['authorization_code', 'client_credentials'],
      };
      await register('bound', bound, before);
      const secret = await before.app.portals.issueSecret('bound');
      await before.stop();
      const after = await startApp({ env });
      const response = await fetch(`http://127.0.0.1:${env.PORT}/token`, {
        method: 'POST',
        headers: {
          Authorization: `Basic ${btoa(`bound:${secret}`)}`,
          ...(shown(own) as Record<string, string>),
        },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: 'invalid_client_metadata' });
      await after.stop();
    });

    test('finds nothing of it in the metadata', async () => {
      const metadata = await (await fetch(`${off.origin}/.well-known/openid-configuration`)).text();
      expect(metadata).not.toMatch(/tls_client|mtls/);
    });
  });

  test('may register itself with a certificate', async () => {
    const token = await t.app.oidc.issueInitialAccessToken({ seconds: 60 });
    const response = await fetch(`${t.origin}/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({
        redirect_uris: ['https://portal.example.cn/callback'],
        grant_types: ['authorization_code', 'client_credentials'],
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_ip: '192.0.2.7',
        tls_client_certificate_bound_access_tokens: true,
        use_mtls_endpoint_aliases: true,
      }),
    });
    const client = (await response.json()) as Record<string, string>;
    expect(response.status, JSON.stringify(client)).toBe(201);
    const holder = await issueClient('自助');
    expect(
      await send('/token', {
        body: { grant_type: 'client_credentials', client_id: client['client_id'] ?? '' },
        headers: shown(holder, intermediate),
      }),
    ).toMatchObject({ status: 200 });
  });
});

describe('a proxy that writes PEM in percent-encoding', () => {
  let nginx: TestApp;
  let rp: RelyingParty;
  beforeAll(async () => {
    nginx = await startApp({
      env: { CLIENT_CERTIFICATE_PROXIES: '127.0.0.1/32', CLIENT_CERTIFICATE_FORMAT: 'urlencoded-pem' },
    });
    rp = await registerRelyingParty(nginx, {
      clientId: 'behind-nginx',
      authentication: oidc.TlsClientAuth(),
      registration: {
        metadata: {
          grant_types: ['authorization_code', 'client_credentials'],
          token_endpoint_auth_method: 'self_signed_tls_client_auth',
          jwks: { keys: [jwkOf(own)] },
        },
      },
    });
  });
  afterAll(async () => {
    await rp.stop();
    await nginx.stop();
  });
  const grant = async (value: string) =>
    (
      await fetch(`${nginx.origin}/token`, {
        method: 'POST',
        headers: { 'Client-Cert': value },
        body: new URLSearchParams({ grant_type: 'client_credentials', client_id: rp.clientId }),
      })
    ).status;

  test('is understood when the installation says so, and then nothing else is', async () => {
    expect(await grant(encodeURIComponent(pem(own)))).toBe(200);
    for (const value of [
      bytes(own),
      encodeURIComponent(pem(other)),
      encodeURIComponent(pem(own) + pem(other)),
      encodeURIComponent(pem(own)).replace('BEGIN', 'BEGAN'),
      '%E0%A4%A',
      '%',
    ])
      expect(await grant(value), value.slice(0, 20)).toBe(401);
  });

  test('offers no tls_client_auth where no authority is trusted', async () => {
    const metadata = (await (await fetch(`${nginx.origin}/.well-known/openid-configuration`)).json()) as {
      token_endpoint_auth_methods_supported: string[];
      mtls_endpoint_aliases?: unknown;
    };
    expect(metadata.token_endpoint_auth_methods_supported).toContain('self_signed_tls_client_auth');
    expect(metadata.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
    expect(metadata.mtls_endpoint_aliases).toBeUndefined();
  });
});

describe('behind a TLS terminator', () => {
  /** A client that dials with a certificate, and tries to pass another in the header. */
  function dialWith(holder: Holder | undefined, smuggled: Headers = {}): oidc.CustomFetch {
    const dispatcher = new Agent({
      connect: {
        ca: terminatorCertificate,
        ...(holder ? { cert: pem(holder), key: privateKeyPem(holder) } : {}),
      },
    });
    return async (url, options) => {
      const response = await undiciFetch(url, {
        method: options.method,
        body: options.body as string | null,
        headers: { ...options.headers, ...(smuggled as Record<string, string>) },
        redirect: 'manual',
        dispatcher,
      });
      return new Response(await response.text(), {
        status: response.status,
        headers: [...response.headers],
      });
    };
  }

  async function client(rp: RelyingParty, dial: oidc.CustomFetch) {
    const configuration = await oidc.discovery(
      new URL(t.origin),
      rp.clientId,
      { use_mtls_endpoint_aliases: true },
      oidc.TlsClientAuth(),
      { execute: [oidc.allowInsecureRequests] },
    );
    configuration[oidc.customFetch] = dial;
    return configuration;
  }

  test('a stock client signs a person in, refreshes and asks for userinfo at the aliases', async () => {
    const holder = await issue('真实门户');
    const rp = await selfSignedPortal(holder);
    const configuration = await client(rp, dialWith(holder));
    const person = newPerson();
    await t.app.identity.register(person);
    const attempt = await signIn(rp, new UserAgent(), person);
    const first = await oidc.authorizationCodeGrant(configuration, attempt.callback, {
      pkceCodeVerifier: attempt.verifier,
      expectedState: attempt.state,
    });
    const second = await oidc.refreshTokenGrant(configuration, first.refresh_token ?? '');
    const sub = first.claims()?.sub ?? '';
    expect(await oidc.fetchUserInfo(configuration, second.access_token, sub)).toMatchObject({ sub });
    expect(await oidc.tokenIntrospection(configuration, second.access_token)).toMatchObject({
      active: true,
      cnf: { 'x5t#S256': thumbprintOf(holder) },
    });
    const thief = await client(rp, dialWith(await issue('小偷')));
    await expect(oidc.fetchUserInfo(thief, second.access_token, sub)).rejects.toMatchObject({ status: 401 });
  });

  test('a header that a client writes itself does not arrive', async () => {
    const holder = await issue('真实门户');
    const rp = await selfSignedPortal(holder);
    for (const showing of [undefined, await issue('小偷')]) {
      const thief = await client(rp, dialWith(showing, shown(holder)));
      await expect(oidc.clientCredentialsGrant(thief)).rejects.toMatchObject({ error: 'invalid_client' });
    }
  });

  test('a client authenticates by certificate and binds its tokens to a DPoP key, whose proofs name the alias', async () => {
    const holder = await issueClient('门户', { issuer: root });
    const rp = await subjectPortal({
      tls_client_auth_san_dns: 'portal.example.cn',
      dpop_bound_access_tokens: true,
    });
    const configuration = await client(rp, dialWith(holder));
    const DPoP = oidc.getDPoPHandle(configuration, await generateKeyPair('ES256', { extractable: true }));
    const answer = await oidc.clientCredentialsGrant(configuration, {}, { DPoP });
    expect(answer.token_type).toBe('dpop');
    const introspection = await oidc.tokenIntrospection(configuration, answer.access_token);
    expect(introspection.cnf).toEqual({ jkt: await DPoP.calculateThumbprint() });
  });
});

/** DER with an octet too many. */
function longer({ certificate }: Holder): string {
  return Buffer.concat([certificate.der, Buffer.alloc(1)]).toString('base64');
}
