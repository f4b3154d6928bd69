/** What the conformance tests stand on: the program with people and portals, a walk from a portal's request to its answer, and signed things. */
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  calculateJwkThumbprint,
  createRemoteJWKSet,
  exportJWK,
  generateKeyPair,
  importJWK,
  jwtVerify,
  SignJWT,
  type CryptoKey,
  type JWK,
  type JWTPayload,
} from 'jose';
import * as oidc from 'openid-client';
import { expect, vi } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import type { PortalRegistration } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, type Person } from '../support/relying-party.ts';
import { selfSigned } from '../support/tls.ts';

/** Parameters; one that is undefined is left out. */
export type Parameters = Readonly<Record<string, string | undefined>>;

/** Does something as if it were `seconds` later, for the program and for its clients. */
export async function later<T>(seconds: number, work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + seconds * 1000 });
  try {
    return await work();
  } finally {
    vi.useRealTimers();
  }
}

export interface Suite {
  readonly t: TestApp;
  readonly issuer: string;
  readonly person: Person;
  readonly accountId: AccountId;
  /** The discovery document. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The address of an endpoint, by its name in the discovery document without `_endpoint`. */
  endpoint(name: string): string;
}

/** @param receiver Where the program may call clients. */
export async function startSuite(receiver?: Receiver): Promise<Suite> {
  const t = await startApp({ env: { OUTBOUND_AUTHORITIES: receiver?.certificate } });
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'system');
  const metadata = await json(await fetch(`${t.origin}/.well-known/openid-configuration`));
  const endpoint = (name: string) => String(metadata[`${name}_endpoint`]);
  return { t, issuer: t.origin, person, accountId, metadata, endpoint };
}

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

export interface Call {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server of clients' own, on https: what the program fetches from them, and where it calls them. */
export interface Receiver {
  readonly origin: string;
  /** Its certificate, PEM. */
  readonly certificate: string;
  /** Calls so far, in order. */
  readonly calls: Call[];
  /** What it answers by path; 204 to any other. */
  readonly answers: Map<string, { status?: number; headers?: Record<string, string>; body?: unknown }>;
  stop(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const { key, certificate } = selfSigned('127.0.0.1');
  const calls: Call[] = [];
  const answers: Receiver['answers'] = new Map();
  const server = createServer({ key, cert: certificate }, (request, response) => {
    void text(request).then((body) => {
      const path = request.url ?? '/';
      calls.push({ path, headers: request.headers, body });
      const answer = answers.get(path) ?? { status: 204 };
      response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json', ...answer.headers });
      response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    certificate,
    calls,
    answers,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

// Requests

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body if it is JSON, else an empty object. */
  readonly body: Readonly<Record<string, unknown>>;
}

export async function send(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const { status, headers } = response;
  const content = await response.text();
  const isJson = /^application\/([a-z-]+\+)?json\b/.test(headers.get('content-type') ?? '');
  const body = isJson ? (JSON.parse(content) as Record<string, unknown>) : {};
  return { status, headers, text: content, body };
}

export function present(parameters: Parameters): Record<string, string> {
  return Object.fromEntries(
    Object.entries(parameters).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}

export function post(url: string, form: Parameters, headers: Record<string, string> = {}): Promise<Answer> {
  return send(url, { method: 'POST', body: new URLSearchParams(present(form)), headers });
}

/** Expects an OAuth error (RFC 6749, section 5.2) by its code. */
export function expectError(
  answer: Answer,
  status: number | readonly number[],
  error: string | RegExp,
): void {
  expect(answer.body, answer.text).toMatchObject({
    error: typeof error === 'string' ? error : (expect.stringMatching(error) as string),
  });
  expect([status].flat()).toContain(answer.status);
  expect(answer.body).not.toHaveProperty('access_token');
  expect(answer.body['error_description'] ?? '').not.toMatch(/[\r\n\t]/);
}

// Keys and what they sign

export interface Key {
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  /** The public key. */
  readonly jwk: JWK & { readonly kid: string };
}

export async function newKey(alg = 'ES256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return { alg, privateKey, publicKey, jwk: { ...jwk, kid, alg, use: 'sig' } };
}

/** The same key under another algorithm of its kind. */
export async function withAlg(key: Key, alg: string): Promise<Key> {
  const privateKey = await importJWK(await exportJWK(key.privateKey), alg);
  const publicKey = await importJWK(await exportJWK(key.publicKey), alg);
  if (privateKey instanceof Uint8Array || publicKey instanceof Uint8Array) throw new TypeError('no key pair');
  return { ...key, alg, privateKey, publicKey };
}

export const seconds = (): number => Math.floor(Date.now() / 1000);

/** Claims; one that is undefined is left out. */
export type Claims = Readonly<Record<string, unknown>>;

export function sign(key: Key, claims: Claims, header: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: key.alg, kid: key.jwk.kid, ...header })
    .sign(key.privateKey);
}

/** The token with its signature spoilt. */
export function spoilt(token: string): string {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes.writeUInt8(bytes.readUInt8(5) ^ 0x5a, 5);
  return [header, payload, bytes.toString('base64url')].join('.');
}

/** A JWT that nobody signed. */
export function unsigned(claims: Claims): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.`;
}

/** A DPoP proof (RFC 9449, section 4.2). */
export async function proof(
  key: Key,
  target: { method?: string; url: string; token?: string },
  changes: { claims?: Claims; header?: Record<string, unknown> } = {},
): Promise<string> {
  const { kid: _kid, alg: _alg, use: _use, ...jwk } = key.jwk;
  const ath = target.token && createHash('sha256').update(target.token).digest('base64url');
  const claims = {
    jti: randomUUID(),
    htm: target.method ?? 'POST',
    htu: target.url,
    iat: seconds(),
    ath,
    ...changes.claims,
  };
  return sign(key, claims, { kid: undefined, typ: 'dpop+jwt', jwk, ...changes.header });
}

// Portals as clients

export interface Credentials {
  readonly form?: Parameters;
  readonly headers?: Record<string, string>;
}

export interface Client {
  readonly clientId: string;
  readonly redirectUri: string;
  /** What the client adds to a request of its own. @param claims Changes to a client assertion, if it makes one. */
  authenticate(claims?: Claims): Promise<Credentials>;
  /** Stock `openid-client` in this client's name. */
  library(): Promise<oidc.Configuration>;
}

/** A client that signs what it says. */
export interface KeyedClient extends Client {
  readonly key: Key;
}

type Registration = Partial<PortalRegistration> & { readonly clientId: string };

/** Where nothing listens: browsers stop there. */
export const redirectUriOf = (clientId: string): string => `http://127.0.0.1:9/${clientId}/callback`;

async function register({ t }: Suite, { clientId, ...rest }: Registration): Promise<string> {
  const redirectUri = rest.redirectUris?.[0] ?? redirectUriOf(clientId);
  await t.app.portals.register(
    {
      clientId,
      name: { 'zh-CN': `测试门户 ${clientId}` },
      sector: clientId,
      homeUri: 'http://127.0.0.1:9/',
      redirectUris: [redirectUri],
      scopes: ['openid', 'profile', 'phone', 'email', 'address', 'offline_access'],
      ...rest,
    },
    'system',
  );
  return redirectUri;
}

/** RFC 6749, section 2.3.1. */
export function secretBasic(clientId: string, secret: string): Credentials {
  const pair = [clientId, secret].map(encodeURIComponent).join(':');
  return { headers: { Authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

export const secretPost = (clientId: string, secret: string): Credentials => ({
  form: { client_id: clientId, client_secret: secret },
});

export async function registerSecretClient(
  suite: Suite,
  registration: Registration,
  method: 'client_secret_basic' | 'client_secret_post' = 'client_secret_basic',
): Promise<Client & { readonly secret: string }> {
  const { clientId } = registration;
  const metadata = { token_endpoint_auth_method: method, ...registration.metadata };
  const redirectUri = await register(suite, { ...registration, metadata });
  const secret = await suite.t.app.portals.issueSecret(clientId);
  const credentials = method === 'client_secret_post' ? secretPost : secretBasic;
  const withLibrary = method === 'client_secret_post' ? oidc.ClientSecretPost : oidc.ClientSecretBasic;
  return {
    clientId,
    redirectUri,
    secret,
    authenticate: () => Promise.resolve(credentials(clientId, secret)),
    library: () => discover(suite, clientId, metadata, withLibrary(secret)),
  };
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** RFC 7523, section 3. */
export function assertion(
  key: Key,
  clientId: string,
  audience: string,
  claims: Claims = {},
): Promise<string> {
  const now = seconds();
  const standing = {
    iss: clientId,
    sub: clientId,
    aud: audience,
    jti: randomUUID(),
    iat: now,
    exp: now + 60,
  };
  return sign(key, { ...standing, ...claims });
}

export function keyedClient(
  suite: Suite,
  clientId: string,
  key: Key,
  redirectUri = redirectUriOf(clientId),
  metadata: Partial<oidc.ClientMetadata> = {},
): KeyedClient {
  return {
    clientId,
    redirectUri,
    key,
    authenticate: async (claims) => ({
      form: {
        client_id: clientId,
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await assertion(key, clientId, suite.issuer, claims),
      },
    }),
    library: () =>
      discover(suite, clientId, metadata, oidc.PrivateKeyJwt({ key: key.privateKey, kid: key.jwk.kid })),
  };
}

/** @param key Another than a new ES256 key. */
export async function registerKeyedClient(
  suite: Suite,
  registration: Registration,
  key?: Key,
): Promise<KeyedClient> {
  const own = key ?? (await newKey());
  const metadata = {
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [own.jwk] },
    ...registration.metadata,
  };
  const redirectUri = await register(suite, { ...registration, metadata });
  const { jwks: _jwks, ...told } = metadata;
  return keyedClient(suite, registration.clientId, own, redirectUri, told as Partial<oidc.ClientMetadata>);
}

function discover(
  suite: Suite,
  clientId: string,
  metadata: object,
  authentication: oidc.ClientAuth,
): Promise<oidc.Configuration> {
  return oidc.discovery(new URL(suite.issuer), clientId, metadata, authentication, {
    execute: [oidc.allowInsecureRequests],
  });
}

// From a portal's request to its answer

export interface Attempt {
  readonly parameters: Readonly<Record<string, string>>;
  readonly verifier: string;
}

/** The parameters of an authorization request, with what every client sends. */
export async function newAttempt(client: Client, changes: Parameters = {}): Promise<Attempt> {
  const verifier = oidc.randomPKCECodeVerifier();
  const parameters = present({
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: client.redirectUri,
    scope: 'openid',
    state: oidc.randomState(),
    nonce: oidc.randomNonce(),
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...changes,
  });
  return { parameters, verifier };
}

export function authorizationUrl(suite: Suite, parameters: Parameters): URL {
  const query = new URLSearchParams(present(parameters)).toString();
  return new URL(`${suite.endpoint('authorization')}?${query}`);
}

export interface Arrival {
  readonly page: Page;
  /** What the portal was told, by whatever response mode; empty if the person did not get there. */
  readonly answer: URLSearchParams;
  /** What the person was asked on the way, such as `sign-in`. */
  readonly asked: readonly string[];
}

/** What a person does on the way. */
export interface Walk {
  readonly browser?: UserAgent;
  readonly person?: Person;
  readonly decision?: 'allow' | 'deny' | 'cancel';
}

const STEPS = ['sign-in', 'confirm', 'select-account', 'consent'] as const;

/** Goes where the address leads, signs in and decides when asked, and stops at the portal, or where nothing is asked any more. */
export async function walk(
  suite: Suite,
  url: URL,
  redirectUri: string,
  options: Walk = {},
): Promise<Arrival> {
  const { browser = new UserAgent(), person = suite.person, decision = 'allow' } = options;
  const asked: string[] = [];
  let page = await browser.get(url, redirectUri);
  for (let i = 0; i < STEPS.length; i++) {
    const step = STEPS.find((name) => page.forms.some(({ action }) => action.pathname.endsWith(`/${name}`)));
    if (step === undefined || !page.url.pathname.startsWith('/interaction/')) break;
    asked.push(step);
    if (decision === 'cancel') {
      page = await browser.submit(page, {}, '/cancel', redirectUri);
      break;
    }
    const fields = step === 'consent' ? { decision } : step === 'select-account' ? {} : { ...person };
    page = await browser.submit(page, fields, `/${step}`, redirectUri);
  }
  const form = page.forms.find(({ action }) => action.href === redirectUri);
  const there = page.url.href.startsWith(redirectUri);
  return { page, asked, answer: there ? page.url.searchParams : new URLSearchParams(form?.fields) };
}

export type Authorization = Attempt & Arrival;

export async function authorize(
  suite: Suite,
  client: Client,
  changes: Parameters = {},
  options: Walk = {},
): Promise<Authorization> {
  const attempt = await newAttempt(client, changes);
  const url = authorizationUrl(suite, attempt.parameters);
  return { ...attempt, ...(await walk(suite, url, client.redirectUri, options)) };
}

/** Expects the answer of a successful request (RFC 6749, section 4.1.2; RFC 9207). @returns the code. */
export function expectCode(suite: Suite, { answer, page, parameters }: Authorization): string {
  expect(answer.get('error'), page.text).toBeNull();
  expect(answer.get('iss')).toBe(suite.issuer);
  expect(answer.get('state')).toBe(parameters['state'] ?? null);
  expect(answer.get('code')).toMatch(/^[\w-]{43}$/);
  return answer.get('code') ?? '';
}

/** Expects an error page of our own, and that the portal heard nothing. */
export function expectErrorPage(suite: Suite, { page, answer }: Arrival, what: string | RegExp): void {
  expect(page.url.origin).toBe(suite.issuer);
  expect(page.status).toBeGreaterThanOrEqual(400);
  expect(page.status).toBeLessThan(500);
  expect(page.text).toMatch(what);
  expect(answer.size).toBe(0);
}

// Requests that are pushed (RFC 9126), signed (RFC 9101), and answered by a JWT (JARM)

/** Parameters as a request object. @param changes Changes to its claims. */
export function requestObject(
  suite: Suite,
  { clientId, key }: KeyedClient,
  parameters: Parameters,
  changes: Claims = {},
): Promise<string> {
  return sign(
    key,
    { ...requestClaims(suite, clientId, parameters), ...changes },
    { typ: 'oauth-authz-req+jwt' },
  );
}

export function requestClaims(suite: Suite, clientId: string, parameters: Parameters): Claims {
  const now = seconds();
  return { iss: clientId, aud: suite.issuer, iat: now, nbf: now, exp: now + 60, ...present(parameters) };
}

/** What goes with a request of a client's own. */
export interface Sending {
  readonly credentials?: Credentials;
  readonly headers?: Record<string, string>;
}

export async function push(
  suite: Suite,
  client: Client,
  form: Parameters,
  sending: Sending = {},
): Promise<Answer> {
  const credentials = sending.credentials ?? (await client.authenticate());
  return post(
    suite.endpoint('pushed_authorization_request'),
    { ...form, ...credentials.form },
    { ...credentials.headers, ...sending.headers },
  );
}

/** Goes on with what was pushed. @param outside What is in the address besides. */
export async function follow(
  suite: Suite,
  client: Client,
  pushed: Answer,
  options: Walk & { outside?: Parameters } = {},
): Promise<Arrival> {
  const { outside, ...walking } = options;
  const requestUri = String(pushed.body['request_uri']);
  const url = authorizationUrl(suite, { client_id: client.clientId, request_uri: requestUri, ...outside });
  const arrival = await walk(suite, url, client.redirectUri, walking);
  const response = arrival.answer.get('response');
  if (response === null) return arrival;
  expect([...arrival.answer.keys()]).toEqual(['response']);
  const { aud: _aud, exp, ...answer } = await verified(suite, response, client);
  expect(exp).toBeGreaterThan(seconds());
  return { ...arrival, answer: new URLSearchParams(answer as Record<string, string>) };
}

// Tokens

/** Redeems a code, or whatever `grant` says, at the token endpoint. */
export async function askForTokens(
  suite: Suite,
  client: Client,
  grant: Parameters,
  sending: Sending = {},
): Promise<Answer> {
  const credentials = sending.credentials ?? (await client.authenticate());
  return post(
    suite.endpoint('token'),
    { ...grant, ...credentials.form },
    { ...credentials.headers, ...sending.headers },
  );
}

export function codeGrant(
  client: Client,
  { answer, verifier }: Attempt & Pick<Arrival, 'answer'>,
): Parameters {
  return {
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: client.redirectUri,
    code_verifier: verifier,
  };
}

export const refreshGrant = (refreshToken: unknown): Parameters => ({
  grant_type: 'refresh_token',
  refresh_token: String(refreshToken),
});

/** Checks signature, issuer, audience and times of something that was signed for a client. */
export async function verified(
  suite: Suite,
  token: unknown,
  { clientId, alg = 'ES256' }: { clientId: string; alg?: string },
): Promise<JWTPayload> {
  const keys = createRemoteJWKSet(new URL(String(suite.metadata['jwks_uri'])));
  const { payload, protectedHeader } = await jwtVerify(String(token), keys, {
    issuer: suite.issuer,
    audience: clientId,
    algorithms: [alg],
  });
  expect(protectedHeader.kid).toMatch(/^[\w-]+$/);
  return payload;
}

/** Checks a token response (OpenID Connect Core 1.0, section 3.1.3.3) with its ID token. @returns the ID token's claims. */
export async function expectTokens(
  suite: Suite,
  client: Client,
  answer: Answer,
  expected: { nonce?: string | undefined; alg?: string; tokenType?: string } = {},
): Promise<JWTPayload> {
  expect(answer.status, answer.text).toBe(200);
  expect(answer.headers.get('cache-control')).toContain('no-store');
  expect(answer.body).toMatchObject({
    access_token: expect.stringMatching(/^[\w.~+/-]+=*$/) as string,
    token_type: expected.tokenType ?? 'Bearer',
    expires_in: 600,
  });
  const { alg = 'ES256' } = expected;
  const claims = await verified(suite, answer.body['id_token'], { clientId: client.clientId, alg });
  expect(claims.sub).toMatch(/^[\x21-\x7e]{16,255}$/);
  expect(claims['nonce']).toBe(expected.nonce);
  expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBeGreaterThan(0);
  expect(Math.abs(seconds() - (claims.iat ?? 0))).toBeLessThan(60);
  return claims;
}

/** Signs in, redeems, checks. */
export async function obtainTokens(
  suite: Suite,
  client: Client,
  changes: Parameters = {},
  options: Walk & { alg?: string } = {},
): Promise<{ authorization: Authorization; tokens: Answer; claims: JWTPayload }> {
  const authorization = await authorize(suite, client, changes, options);
  expectCode(suite, authorization);
  const tokens = await askForTokens(suite, client, codeGrant(client, authorization));
  const claims = await expectTokens(suite, client, tokens, {
    nonce: authorization.parameters['nonce'],
    ...(options.alg === undefined ? {} : { alg: options.alg }),
  });
  return { authorization, tokens, claims };
}

export function userinfo(suite: Suite, token: unknown, init: RequestInit = {}): Promise<Answer> {
  return send(suite.endpoint('userinfo'), {
    ...init,
    headers: { Authorization: `Bearer ${String(token)}`, ...(init.headers as Record<string, string>) },
  });
}
