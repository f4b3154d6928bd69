/** A provider under fire: one valid request for every endpoint, a way to send any bytes, and what no answer may ever be. */
import { generateKeyPairSync, randomUUID, sign as signOctets, type KeyObject } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import * as oidc from 'openid-client';
import type { Logger } from '../../src/platform/logger.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from './app.ts';
import { recordingLogger } from './logger.ts';
import { registerRelyingParty, signIn, type Person, type RelyingParty } from './relying-party.ts';

/** Text that would run as a script, or end an attribute, wherever it is written as it came. */
export const MARKER = `<script>"'marker`;
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const CIBA = 'urn:openid:params:grant-type:ciba';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Of the form of what an authenticator answers, and of a code on a screen; neither is one. */
const CREDENTIAL = JSON.stringify({
  id: 'AAAA',
  rawId: 'AAAA',
  type: 'public-key',
  response: { clientDataJSON: 'e30', authenticatorData: 'AAAA', signature: 'AAAA', userHandle: 'AAAA' },
  clientExtensionResults: {},
});
const NO_CODE = `xdr_${'0'.repeat(26)}.${'A'.repeat(22)}`;

/** `oauth` answers programs with JSON and `error`; `page` answers people; `api` with problem details; `published` is the same for all. */
export type Kind = 'oauth' | 'page' | 'api' | 'published';
export type Params = readonly [string, string][];

export interface Valid {
  readonly name: string;
  readonly kind: Kind;
  readonly method: string;
  readonly path: string;
  /** In the address, or as the form, the JSON or the multipart body. */
  readonly params: Params;
  readonly media: 'query' | 'form' | 'json' | 'multipart';
  readonly headers: Readonly<Record<string, string>>;
}

export interface Shot {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  /** In order; a name may come twice. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: Buffer;
  /** Sent in chunks without a length. */
  readonly chunked?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  readonly ms: number;
}

export interface Field {
  readonly t: TestApp;
  readonly rp: RelyingParty;
  /** A portal that signs with a key of its own. */
  readonly keyed: {
    readonly clientId: string;
    readonly key: KeyObject;
    /** A client assertion, with other claims if they are given. */
    assertion(claims?: object): string;
  };
  readonly person: Person;
  readonly browser: UserAgent;
  readonly secrets: Readonly<Record<string, string>>;
  readonly valid: readonly Valid[];
  readonly log: Logger;
  /** Lines of the log so far. */
  readonly lines: readonly string[];
  /** Lines of the log that say that something went wrong on our side. */
  failures(): readonly string[];
  /** @throws when no answer comes in time. */
  send(shot: Shot): Promise<Answer>;
  healthy(): Promise<boolean>;
  stop(): Promise<void>;
}

export async function openField(): Promise<Field> {
  const { lines, logger } = recordingLogger('debug');
  const failed: string[] = [];
  let read = 0;
  const t = await startApp({ logger });
  const rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone' });
  const { origin } = t;
  const own = new URL(rp.redirectUri).origin;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'own', alg: 'ES256', use: 'sig' };
  const assertion = (claims: object = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const standard = { iss: 'keyed', sub: 'keyed', aud: origin, iat: now, nbf: now, exp: now + 60 };
    return toJws({ alg: 'ES256', kid: 'own' }, { ...standard, jti: randomUUID(), ...claims }, privateKey);
  };
  const keyed = { clientId: 'keyed', key: privateKey, assertion };
  const portal = (clientId: string, metadata: object) =>
    t.app.portals.register(
      {
        clientId,
        name: { 'zh-CN': clientId },
        sector: clientId,
        homeUri: `${own}/`,
        redirectUris: [rp.redirectUri],
        postLogoutRedirectUris: [`${own}/`],
        scopes: ['openid', 'profile', 'phone', 'seals:use'],
        metadata: {
          grant_types: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE, CIBA],
          backchannel_token_delivery_mode: 'poll',
          ...metadata,
        },
      },
      'system',
    );
  /** Each portal has grants of its own: a code shown twice ends what was given with it, and nothing else. */
  const openPortal = async (clientId: string): Promise<RelyingParty> => {
    await portal(clientId, {});
    const secret = await t.app.portals.issueSecret(clientId);
    const client = await oidc.discovery(new URL(origin), clientId, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    return {
      ...rp,
      clientId,
      secret,
      client,
      async begin(parameters = {}) {
        const { url, ...rest } = await rp.begin(parameters);
        url.searchParams.set('client_id', clientId);
        return { url, ...rest };
      },
      redeem: (callback, { verifier, state }) =>
        oidc.authorizationCodeGrant(client, callback, { pkceCodeVerifier: verifier, expectedState: state }),
    };
  };
  const wide = await openPortal('wide');
  const keeper = await openPortal('keeper');
  await portal('keyed', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] } });

  // A person, signed in, and everything that a portal can hold of them.
  const person = { identifier: '19912344321', password: 'a paper boat on the canal' };
  await t.app.identity.register(person);
  const browser = new UserAgent();
  const attempt = await signIn(wide, browser, person);
  const tokens = await wide.redeem(attempt.callback, attempt);
  const pending = await signIn(rp, browser, person);
  const kept = await signIn(keeper, browser, person);
  const refreshToken = (await keeper.redeem(kept.callback, kept)).refresh_token ?? '';
  const forSeals = await signIn(wide, browser, person, {
    scope: 'openid seals:use',
    resource: `${origin}/api/v1`,
  });
  const sealToken = (await wide.redeem(forSeals.callback, forSeals)).access_token;
  const begun = await browser.get((await wide.begin({ prompt: 'login', login_hint: person.identifier })).url);
  const csrf = begun.forms[0]?.fields['csrf'] ?? '';
  const cookieOf = (path: string) => browser.jar.getCookieString(`${origin}${path}`);
  const interaction = begun.url.pathname;
  const code = pending.callback.searchParams.get('code') ?? '';

  const form = (body: Record<string, string>) =>
    fetch(`${origin}${body['path'] ?? ''}`, { method: 'POST', body: new URLSearchParams(body) }).then(
      (response) => response.json() as Promise<Record<string, string>>,
    );
  const as = ({ clientId, secret }: RelyingParty) => ({ client_id: clientId, client_secret: secret });
  const asWide = as(wide);
  const device = await form({ path: '/device/authorization', ...asWide, scope: 'openid' });
  const ciba = await form({
    path: '/backchannel-authentication',
    ...asWide,
    scope: 'openid',
    login_hint: person.identifier,
  });
  const initial = await t.app.oidc.issueInitialAccessToken({ seconds: 86_400 });
  const metadata = { redirect_uris: ['https://portal.example.cn/callback'], client_name: '示例' };
  const registered = (await fetch(`${origin}/register`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${initial}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(metadata),
  }).then((response) => response.json())) as Record<string, string>;
  let rat = registered['registration_access_token'] ?? '';
  for (const [what, value] of Object.entries({
    csrf,
    code,
    device: device['device_code'],
    ciba: ciba['auth_req_id'],
    registered: registered['client_id'],
  }))
    if (!value) throw new Error(`the field has no ${what}: ${lines.at(-2)} ${lines.at(-1)}`);

  const request = {
    client_id: 'wide',
    response_type: 'code',
    redirect_uri: rp.redirectUri,
    scope: 'openid phone',
    state: 'state-of-the-portal',
    nonce: 'nonce-of-the-portal',
    code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
    code_challenge_method: 'S256',
    prompt: 'login',
    login_hint: person.identifier,
    ui_locales: 'en',
    max_age: '3600',
    acr_values: 'urn:x',
    claims: '{"id_token":{"phone_number":null}}',
    id_token_hint: tokens.id_token ?? '',
    resource: `${origin}/api/v1`,
    authorization_details: '[]',
    response_mode: 'query',
    display: 'page',
    dpop_jkt: 'x'.repeat(43),
  };
  // A hint of one portal is none for another.
  const { id_token_hint: _hint, ...unhinted } = request;
  const accept = { Accept: 'application/json' };
  const bearer = (token: string) => ({ ...accept, Authorization: `Bearer ${token}` });
  const token = (grant: string, rest: Record<string, string>, portalAs: object = asWide) =>
    valid(`token ${grant}`, 'oauth', 'POST', '/token', { grant_type: grant, ...rest, ...portalAs });
  const cookies = async (path: string) => ({ Accept: 'text/html', Cookie: await cookieOf(path) });
  const page = async (method: string, path: string, params: Record<string, string>) =>
    valid(`${method} ${path.replace(interaction, '/interaction')}`, 'page', method, path, params, {
      headers: await cookies(path),
    });
  const logout = {
    id_token_hint: tokens.id_token ?? '',
    client_id: 'wide',
    post_logout_redirect_uri: `${own}/`,
    state: 's',
    logout_hint: person.identifier,
    ui_locales: 'en',
  };
  const registration = `/register/${registered['client_id'] ?? ''}`;
  // Each change of the registration gives another token.
  const managing = {
    ...accept,
    get Authorization() {
      return `Bearer ${rat}`;
    },
  };
  const json = { media: 'json' } as const;
  const requests: Valid[] = [
    valid('authorize', 'oauth', 'GET', '/authorize', request),
    valid('authorize in a browser', 'page', 'GET', '/authorize', request, {
      headers: await cookies('/authorize'),
    }),
    valid('authorize by POST', 'oauth', 'POST', '/authorize', request),
    valid('authorize with a request object', 'oauth', 'GET', '/authorize', {
      client_id: 'keyed',
      request: keyed.assertion({
        ...unhinted,
        iss: 'keyed',
        client_id: 'keyed',
        exp: Math.floor(Date.now() / 1000) + 3000,
      }),
    }),
    valid('resume', 'oauth', 'GET', `/authorize/${interaction.split('/')[2] ?? ''}`, {}),
    valid('par', 'oauth', 'POST', '/par', { ...request, ...asWide }),
    valid('par with an assertion', 'oauth', 'POST', '/par', {
      ...unhinted,
      client_id: 'keyed',
      client_assertion_type: ASSERTION,
      get client_assertion() {
        return keyed.assertion();
      },
    }),
    token(
      'authorization_code',
      { code, redirect_uri: rp.redirectUri, code_verifier: pending.verifier },
      as(rp),
    ),
    token('refresh_token', { refresh_token: refreshToken, scope: 'openid' }, as(keeper)),
    token('client_credentials', { scope: 'openid', resource: `${origin}/api/v1` }),
    token(DEVICE_CODE, { device_code: device['device_code'] ?? '' }),
    token(CIBA, { auth_req_id: ciba['auth_req_id'] ?? '' }),
    token('password', { username: person.identifier, password: person.password }),
    valid('userinfo', 'oauth', 'GET', '/userinfo', {}, { headers: bearer(tokens.access_token) }),
    valid('userinfo by POST', 'oauth', 'POST', '/userinfo', { access_token: tokens.access_token }),
    valid('introspect', 'oauth', 'POST', '/introspect', {
      token: tokens.access_token,
      token_type_hint: 'access_token',
      ...asWide,
    }),
    valid('revoke', 'oauth', 'POST', '/revoke', {
      token: 'not-a-token-that-anyone-was-given',
      token_type_hint: 'access_token',
      ...asWide,
    }),
    valid('end-session', 'oauth', 'GET', '/end-session', logout),
    valid('end-session in a browser', 'page', 'GET', '/end-session', logout, {
      headers: await cookies('/end-session'),
    }),
    valid('end-session by POST', 'oauth', 'POST', '/end-session', logout),
    valid('end-session/confirm', 'oauth', 'POST', '/end-session/confirm', { xsrf: 'x', logout: 'yes' }),
    valid('end-session/success', 'page', 'GET', '/end-session/success', { client_id: 'wide' }),
    valid('device', 'page', 'GET', '/device', { user_code: device['user_code'] ?? '' }),
    valid('device by POST', 'page', 'POST', '/device', {
      xsrf: 'x',
      user_code: device['user_code'] ?? '',
      confirm: 'yes',
    }),
    valid('device/authorization', 'oauth', 'POST', '/device/authorization', {
      ...asWide,
      scope: 'openid',
      claims: '{"userinfo":{"phone_number":null}}',
      acr_values: 'urn:x',
    }),
    valid('backchannel-authentication', 'oauth', 'POST', '/backchannel-authentication', {
      ...asWide,
      scope: 'openid',
      login_hint: person.identifier,
      binding_message: 'A-1',
      requested_expiry: '60',
      acr_values: 'urn:x',
    }),
    valid(
      'register',
      'oauth',
      'POST',
      '/register',
      { ...strings(metadata), token_endpoint_auth_method: 'client_secret_basic', scope: 'openid' },
      { ...json, headers: bearer(initial) },
    ),
    valid('read a registration', 'oauth', 'GET', registration, {}, { headers: managing }),
    valid(
      'change a registration',
      'oauth',
      'PUT',
      registration,
      {
        client_id: registered['client_id'] ?? '',
        client_secret: registered['client_secret'] ?? '',
        ...strings(metadata),
      },
      { ...json, headers: managing },
    ),
    valid('delete a registration', 'oauth', 'DELETE', `${registration}x`, {}, { headers: bearer('nobodys') }),
    valid('discovery', 'published', 'GET', '/.well-known/openid-configuration', {}),
    valid('metadata', 'published', 'GET', '/.well-known/oauth-authorization-server', {}),
    valid('jwks', 'published', 'GET', '/jwks', {}),
    await page('GET', interaction, { other: 'yes' }),
    await page('GET', `${interaction}/register`, {}),
    await page('POST', `${interaction}/sign-in`, {
      csrf,
      identifier: 'nobody-at-all',
      password: 'a wrong password',
    }),
    await page('POST', `${interaction}/register`, { csrf, identifier: '' }),
    await page('POST', `${interaction}/register/code`, { csrf, code: '1' }),
    await page('POST', `${interaction}/register/code/resend`, { csrf }),
    await page('POST', `${interaction}/register/password`, { csrf, password: 'x', passwordAgain: 'y' }),
    await page('GET', `${interaction}/code`, {}),
    await page('POST', `${interaction}/code`, { csrf, identifier: '' }),
    await page('POST', `${interaction}/code/enter`, { csrf, code: '1' }),
    await page('POST', `${interaction}/code/enter/resend`, { csrf }),
    await page('POST', `${interaction}/sms`, { csrf, code: '1' }),
    await page('POST', `${interaction}/sms/resend`, { csrf }),
    await page('POST', `${interaction}/email`, { csrf, code: '1' }),
    await page('POST', `${interaction}/recovery-code`, { csrf, code: '1' }),
    await page('GET', `${interaction}/recover`, {}),
    await page('POST', `${interaction}/recover`, { csrf, identifier: '' }),
    await page('POST', `${interaction}/recover/code`, { csrf, code: '1' }),
    await page('POST', `${interaction}/recover/code/resend`, { csrf }),
    await page('GET', `${interaction}/recover/next`, {}),
    await page('POST', `${interaction}/recover/factor`, { csrf, code: '1' }),
    await page('POST', `${interaction}/recover/lost`, { csrf }),
    await page('POST', `${interaction}/recover/password`, { csrf, password: 'x', passwordAgain: 'y' }),
    await page('GET', '/recovery/stop', {}),
    await page('POST', '/recovery/stop', { csrf, word: 'x' }),
    await page('GET', '/outbox', {}),
    await page('POST', `${interaction}/consent`, { csrf, decision: 'allow' }),
    await page('POST', `${interaction}/confirm`, { csrf, password: 'a wrong password' }),
    await page('POST', `${interaction}/select-account`, { csrf }),
    await page('POST', `${interaction}/passkey`, { csrf, credential: CREDENTIAL }),
    await page('POST', `${interaction}/confirm-passkey`, { csrf, credential: CREDENTIAL }),
    await page('POST', `${interaction}/set-up/passkey`, { csrf, credential: CREDENTIAL, name: 'phone' }),
    await page('POST', `${interaction}/phone`, { csrf }),
    await page('GET', `${interaction}/phone`, { wait: 'no' }),
    await page('GET', `/phone/${NO_CODE}`, {}),
    await page('POST', '/phone/open', { csrf, token: NO_CODE }),
    await page('GET', '/phone', {}),
    await page('POST', '/phone', { csrf, request: NO_CODE, decision: 'allow', number: '42' }),
    await page('GET', '/account/passkeys', {}),
    await page('POST', '/account/passkeys', { csrf, credential: CREDENTIAL, name: 'phone' }),
    await page('POST', `/account/passkeys/${'0'.repeat(64)}/name`, { csrf, name: 'phone' }),
    await page('POST', `/account/passkeys/${'0'.repeat(64)}/remove`, { csrf }),
    await page('POST', '/interaction/nobodys/cancel', { csrf }),
    await page('GET', '/approvals', {}),
    await page('GET', '/signed-in', { state: '/approvals', code: 'x' }),
    await page('POST', '/approvals/bcr_00000000000000000000000000', { csrf, decision: 'allow' }),
    await page('GET', '/', { language: 'en' }),
    await page('GET', '/preferences', { language: 'en', type: 'large', back: '/approvals' }),
    valid('seals', 'api', 'GET', '/api/v1/seals', {}, { headers: bearer(sealToken) }),
    valid(
      'sealing',
      'api',
      'GET',
      '/api/v1/sealings/slg_00000000000000000000000000',
      {},
      {
        headers: bearer(sealToken),
      },
    ),
    valid(
      'seal',
      'api',
      'POST',
      '/api/v1/seals/seal_00000000000000000000000000/sealings',
      { options: '{"reason":"同意本协议"}', document: '%PDF-1.4' },
      { media: 'multipart', headers: { ...bearer(sealToken), 'Idempotency-Key': 'one' } },
    ),
    valid('verify', 'api', 'POST', '/api/v1/verifications', { document: '%PDF-1.4' }, { media: 'multipart' }),
    valid('audit keys', 'api', 'GET', '/api/v1/audit/keys', {}),
    valid('openapi', 'api', 'GET', '/api/v1/openapi.json', {}),
    valid('trust anchors', 'api', 'GET', '/api/v1/trust-anchors', {}),
  ];
  const session = (await browser.jar.getCookies(origin)).find(({ key }) => key === 'yx_session')?.value ?? '';

  return {
    t,
    rp,
    keyed,
    person,
    browser,
    valid: requests,
    log: logger,
    lines,
    secrets: {
      'client secret': wide.secret,
      'secret of a third portal': keeper.secret,
      'secret of the other portal': rp.secret,
      phone: person.identifier,
      password: person.password,
      code,
      'used code': attempt.callback.searchParams.get('code') ?? '',
      verifier: pending.verifier,
      'access token': tokens.access_token,
      'refresh token': refreshToken,
      'ID token': tokens.id_token ?? '',
      'device code': device['device_code'] ?? '',
      auth_req_id: ciba['auth_req_id'] ?? '',
      'initial access token': initial,
      'seal token': sealToken,
      'registration access token': rat,
      'registered secret': registered['client_secret'] ?? '',
      session,
    },
    async send(shot) {
      const answer = await shoot(origin, shot);
      const given = /"client_id":"([^"]+)".*"registration_access_token":"([^"]+)"/.exec(answer.text);
      if (given && given[1] === registered['client_id']) rat = given[2] ?? rat;
      return answer;
    },
    failures() {
      for (; read < lines.length; read++)
        if (lines[read]?.startsWith('{"level":50')) failed.push(lines[read] ?? '');
      return failed;
    },
    healthy: async () => (await fetch(`${origin}/readyz`)).status === 200,
    async stop() {
      await rp.stop();
      await t.stop();
    },
  };
}

function valid(
  name: string,
  kind: Kind,
  method: string,
  path: string,
  params: Readonly<Record<string, string>>,
  more: { media?: Valid['media']; headers?: Record<string, string> } = {},
): Valid {
  return {
    name,
    kind,
    method,
    path,
    // Read anew each time: an assertion is good once.
    get params() {
      return Object.entries(params);
    },
    media: more.media ?? (method === 'GET' || method === 'DELETE' ? 'query' : 'form'),
    headers: more.headers ?? { Accept: kind === 'page' ? 'text/html' : 'application/json' },
  };
}

/** A JWS of any header and payload; without a key, of no signature. */
export function toJws(header: object, payload: object | string, key?: KeyObject): string {
  const encode = (part: object | string) =>
    Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  const signature =
    key && signOctets('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return `${input}.${signature ?? ''}`;
}

/** Members that are lists travel as their JSON; see `toShot`. */
function strings(members: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}

export const FORM = 'application/x-www-form-urlencoded';
const BOUNDARY = 'yinxin-boundary';

/** A request as octets, with other parameters if they are given. */
export function toShot(valid: Valid, params: Params = valid.params): Shot {
  const headers = Object.entries(valid.headers);
  const encoded = () => new URLSearchParams(params as [string, string][]).toString();
  switch (valid.media) {
    case 'query': {
      const query = encoded();
      return { method: valid.method, target: query === '' ? valid.path : `${valid.path}?${query}`, headers };
    }
    case 'form':
      return withBody(valid, FORM, encoded());
    case 'json':
      return withBody(valid, 'application/json', toJson(params));
    case 'multipart':
      return withBody(valid, `multipart/form-data; boundary=${BOUNDARY}`, toMultipart(params));
  }
}

export function withBody(
  valid: Pick<Valid, 'method' | 'path' | 'headers'>,
  type: string,
  body: string | Buffer,
): Shot {
  const typed: (readonly [string, string])[] = type === '' ? [] : [['Content-Type', type]];
  return {
    method: valid.method,
    target: valid.path,
    headers: [...Object.entries(valid.headers), ...typed],
    body: Buffer.from(body),
  };
}

/** Written by hand, so that a member can come twice. */
function toJson(params: Params): string {
  const members = params.map(([name, value]) => {
    const literal = /^[[{]/.test(value) ? value : JSON.stringify(value);
    return `${JSON.stringify(name)}:${literal}`;
  });
  return `{${members.join(',')}}`;
}

function toMultipart(params: Params): string {
  const parts = params.map(([name, value]) => {
    const file = name === 'document' ? '; filename="a.pdf"\r\nContent-Type: application/pdf' : '';
    return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
  });
  return `${parts.join('')}--${BOUNDARY}--\r\n`;
}

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
/** The promise is a second; on a machine that is busy with other things only a hang is told apart from a pause. */
export const PATIENCE_MS = 5_000;

/** @throws when no answer comes in time. */
export function shoot(origin: string, shot: Shot): Promise<Answer> {
  const started = performance.now();
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const flat = shot.headers.flatMap(([name, value]) => [name, Buffer.from(value).toString('latin1')]);
    if (!shot.headers.some(([name]) => name.toLowerCase() === 'host'))
      flat.push('Host', `${hostname}:${port}`);
    if (shot.body) {
      if (shot.chunked) flat.push('Transfer-Encoding', 'chunked');
      else if (!shot.headers.some(([name]) => name.toLowerCase() === 'content-length'))
        flat.push('Content-Length', String(shot.body.length));
    }
    const request = httpRequest({
      hostname,
      port,
      path: shot.target,
      method: shot.method,
      agent,
      headers: flat,
      setHost: false,
    });
    let answered = false;
    const timer = setTimeout(() => {
      request.destroy();
      reject(new Error(`no answer in ${PATIENCE_MS} ms to ${shot.method} ${shot.target.slice(0, 200)}`));
    }, PATIENCE_MS);
    request.on('response', (response) => {
      answered = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        clearTimeout(timer);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString('utf8'),
          ms: performance.now() - started,
        });
      });
    });
    // After the answer the rest of a body may find nobody who reads it.
    request.on('error', (error) => {
      clearTimeout(timer);
      if (!answered) reject(error);
    });
    request.end(shot.body);
  });
}

/** Sends octets as they are. @returns all that came back until the other side closed, or said nothing more. */
export function shootOctets(
  origin: string,
  octets: string | Buffer,
  { hangUp = false }: { hangUp?: boolean } = {},
): Promise<string> {
  const { port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1');
    const chunks: Buffer[] = [];
    const end = () => {
      socket.destroy();
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    socket.setTimeout(400, end);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', end);
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? end() : reject(error),
    );
    socket.on('connect', () => {
      socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
      if (hangUp) setTimeout(end, 20);
    });
  });
}

/**
 * Sends every shot and asks that every answer keeps every promise.
 * @returns what is wrong, each with the label of its shot.
 */
export async function bombard(
  field: Field,
  shots: Iterable<{ readonly label: string; readonly kind: Kind; readonly shot: Shot }>,
): Promise<string[]> {
  const faults: string[] = [];
  for (const { label, kind, shot } of shots) {
    const before = field.failures().length;
    try {
      const answer = await field.send(shot);
      faults.push(...faultsOf(field, kind, shot, answer).map((fault) => `${label}: ${fault}`));
    } catch (error) {
      faults.push(`${label}: ${String(error)}`);
    }
    faults.push(
      ...field
        .failures()
        .slice(before)
        .map((line) => `${label}: ${line}`),
    );
  }
  if (!(await field.healthy())) faults.push('the process is not ready any more');
  return faults;
}

/** Every secret of the field that stands in `text`, in one of the forms in which octets are written. */
export function secretsIn(field: Field, text: string, more: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries({ ...field.secrets, ...more })
    .filter(([, secret]) => {
      const octets = Buffer.from(secret);
      const forms = [
        secret,
        encodeURIComponent(secret),
        octets.toString('hex'),
        octets.toString('base64').replace(/=+$/, ''),
        octets.toString('base64url'),
      ];
      return secret.length < 8 || forms.some((form) => text.includes(form));
    })
    .map(([name]) => name);
}

/** What is wrong with an answer; nothing, if it keeps every promise. */
export function faultsOf(field: Field, kind: Kind, shot: Shot, answer: Answer): string[] {
  const { status, headers, text, ms } = answer;
  const faults: string[] = [];
  const type = String(headers['content-type'] ?? '');
  if (status >= 500 || status < 200) faults.push(`status ${status}`);
  if (ms > PATIENCE_MS) faults.push(`${Math.round(ms)} ms`);
  if (text.includes(MARKER)) faults.push('the marker comes back as it was sent');
  if (type.includes('html') && /<script>["'\\]|<script>(?!\s*$)[^<]*marker/.test(text))
    faults.push('the marker comes back as a script');
  if (headers['x-injected'] !== undefined) faults.push('a header of the sender’s making');
  if (text.includes('    at ') || text.includes('node_modules')) faults.push('a stack trace');
  const location = headers['location'];
  if (typeof location === 'string') {
    const target = URL.parse(location, field.t.origin);
    const homes = [field.t.origin, new URL(field.rp.redirectUri).origin];
    if (!target || !homes.includes(target.origin)) faults.push(`Location: ${location}`);
  }
  // What HTTP itself does not allow the server answers before any of our code, without a body.
  const answered = headers['x-trace-id'] !== undefined || ![400, 417, 431].includes(status);
  if (!answered || status < 400 || shot.method === 'HEAD') return faults;
  const forPrograms = !shot.headers.some(([name, value]) => name === 'Accept' && value.includes('html'));
  if (text === '') faults.push(`${status} without a body`);
  else if (kind === 'oauth' && forPrograms && !type.includes('json')) faults.push(`${status} as ${type}`);
  else if (kind === 'oauth' && forPrograms && typeof errorOf(text) !== 'string')
    faults.push(`${status} without an OAuth error: ${text.slice(0, 200)}`);
  return faults;
}

function errorOf(text: string): unknown {
  try {
    return (JSON.parse(text) as { error?: unknown }).error;
  } catch {
    return undefined;
  }
}
