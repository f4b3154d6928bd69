/** Tokens that are not what they say: forged, of someone else, for something else, or made to break whoever reads them. */
import {
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  type JsonWebKey,
} from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  faultsOf,
  FORM,
  openField,
  toJws,
  toShot,
  withBody,
  type Answer,
  type Field,
  type Shot,
} from '../../support/hostile.ts';

let field: Field;
let lure: Server;
let lured = 0;
let lureUrl: string;
let ours: JsonWebKey & { kid: string };
beforeAll(async () => {
  field = await openField();
  const published = await fetch(`${field.t.origin}/jwks`).then((answer) => answer.json());
  ours = (published as { keys: (typeof ours)[] }).keys[0] as typeof ours;
  lure = createServer((_request, response) => {
    lured += 1;
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: [stranger.jwk] }));
  });
  await new Promise<void>((resolve) => lure.listen(0, '127.0.0.1', resolve));
  lureUrl = `http://127.0.0.1:${(lure.address() as AddressInfo).port}/keys`;
});
afterAll(async () => {
  lure.closeAllConnections();
  await new Promise((resolve) => lure.close(resolve));
  await field.stop();
});

const strangers = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = { key: strangers.privateKey, jwk: strangers.publicKey.export({ format: 'jwk' }) };
const now = () => Math.floor(Date.now() / 1000);
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

/** A JWS made with HMAC, the secret being any octets that a stranger knows. */
function hmacJws(payload: object, secret: string | Buffer, header: object = {}): string {
  const input = toJws({ alg: 'HS256', ...header }, payload).slice(0, -1);
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** Where a JWT is taken, and how one that is in order looks there. */
interface Door {
  readonly header: object;
  readonly claims: () => Record<string, unknown>;
  readonly key: Parameters<typeof toJws>[2];
  /** A public key that the other side verifies with. */
  readonly known: JsonWebKey;
  readonly shot: (jwt: string) => Shot;
  readonly taken: (answer: Answer) => boolean;
}

function doors(): Readonly<Record<string, Door>> {
  const { origin } = field.t;
  const own = {
    header: { alg: 'ES256', kid: 'own' },
    key: field.keyed.key,
    known: createPublicKey(field.keyed.key).export({ format: 'jwk' }),
  };
  const request = {
    client_id: 'keyed',
    response_type: 'code',
    redirect_uri: field.rp.redirectUri,
    scope: 'openid',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  };
  const standard = () => ({
    iss: 'keyed',
    aud: origin,
    iat: now(),
    nbf: now(),
    exp: now() + 60,
    jti: randomUUID(),
  });
  const post = (path: string, parameters: Record<string, string>, headers: Record<string, string> = {}) =>
    withBody(
      { method: 'POST', path, headers: { Accept: 'application/json', ...headers } },
      FORM,
      new URLSearchParams(parameters).toString(),
    );
  const get = (path: string, parameters: Record<string, string>): Shot => ({
    method: 'GET',
    target: `${path}?${new URLSearchParams(parameters).toString()}`,
    headers: [['Accept', 'application/json']],
  });
  const assertion = (jwt: string) => ({
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: jwt,
  });
  const location = (answer: Answer) => String(answer.headers['location']);
  return {
    'client assertion': {
      ...own,
      claims: () => ({ ...standard(), sub: 'keyed' }),
      shot: (jwt) => post('/token', { grant_type: 'client_credentials', ...assertion(jwt) }),
      taken: (answer) => answer.text.includes('access_token'),
    },
    'request object': {
      ...own,
      claims: () => ({ ...request, ...standard() }),
      shot: (jwt) => get('/authorize', { client_id: 'keyed', request: jwt }),
      taken: (answer) => location(answer).startsWith('/interaction/'),
    },
    'pushed request object': {
      ...own,
      claims: () => ({ ...request, ...standard() }),
      shot: (jwt) =>
        post('/par', { client_id: 'keyed', request: jwt, ...assertion(field.keyed.assertion()) }),
      taken: (answer) => answer.status === 201,
    },
    'DPoP proof': {
      header: { alg: 'ES256', typ: 'dpop+jwt', jwk: stranger.jwk },
      claims: () => ({ htm: 'POST', htu: `${origin}/token`, iat: now(), jti: randomUUID() }),
      key: stranger.key,
      known: stranger.jwk,
      shot: (jwt) =>
        post(
          '/token',
          { grant_type: 'client_credentials', ...assertion(field.keyed.assertion()) },
          { DPoP: jwt },
        ),
      taken: (answer) => answer.text.includes('"DPoP"'),
    },
  };
}

/** What must never be taken. */
function* forged(door: Door): Generator<readonly [string, string]> {
  const { header, claims, key, known } = door;
  const signed = (more: object, other: object = {}) =>
    toJws({ ...header, ...other }, { ...claims(), ...more }, key);
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'HS256', 'ES512', 'RS256', 'constructor', 'dir']) {
    yield [`alg ${alg}, not signed`, toJws({ ...header, alg }, claims())];
    yield [`alg ${alg}, signed`, toJws({ ...header, alg }, claims(), key)];
  }
  const publicKey = createPublicKey({ key: known, format: 'jwk' });
  for (const [what, secret] of Object.entries({
    PEM: publicKey.export({ type: 'spki', format: 'pem' }),
    'PEM without its last line': String(publicKey.export({ type: 'spki', format: 'pem' })).trim(),
    DER: publicKey.export({ type: 'spki', format: 'der' }),
    JWK: JSON.stringify(known),
    'x of the JWK': Buffer.from(known.x ?? '', 'base64url'),
    'our stand-in': 'kept as a digest by the registry',
    nothing: '',
  }))
    yield [`HMAC with the public key as ${what}`, hmacJws(claims(), secret, { ...header, alg: 'HS256' })];
  const impostor = (other: object) =>
    toJws(
      { ...header, jwk: known, ...other },
      claims(),
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    );
  yield ['another key', impostor({})];
  yield ['a key that it brings in a URL', impostor({ jku: lureUrl, x5u: lureUrl })];
  for (const kid of [
    '../../../../dev/null',
    "' OR 1=1 --",
    lureUrl,
    'x'.repeat(5000),
    '__proto__',
    '\0',
    ['own'],
    { a: 1 },
    null,
  ])
    yield [`another key, kid ${JSON.stringify(kid).slice(0, 40)}`, impostor({ kid })];
  yield ['a critical header of no meaning', signed({}, { crit: ['x'], x: 1 })];
  const [head = '', body = '', signature = ''] = signed({}).split('.');
  yield ['no signature', `${head}.${body}.`];
  yield ['half a signature', `${head}.${body}.${signature.slice(0, 40)}`];
  yield ['a signature of zeros', `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`];
  yield [
    'the signature of another',
    `${head}.${Buffer.from(JSON.stringify({ ...claims(), x: 1 })).toString('base64url')}.${signature}`,
  ];
  yield ['two parts', `${head}.${body}`];
  yield ['a JWS inside', `${head}.${body}.${signature}.${signature}`];
  for (const text of [
    '.',
    '..',
    '...',
    '....',
    '.....',
    'x',
    'e30.e30.e30',
    '{}',
    '[]',
    'null',
    `${head}..${signature}`,
    `${head}.!!!.${signature}`,
  ])
    yield [`the text ${JSON.stringify(text).slice(0, 20)}`, text];
  for (const payload of ['null', '[]', '1', '"x"', 'x', '{', '[1,2', '', '{"iss":'])
    yield [`the payload ${payload}`, toJws(header, payload, key)];
  // 40 MB of spaces in 40 KB, for whoever unpacks before asking who sent it.
  const bomb = deflateRawSync(Buffer.alloc(40_000_000, ' ')).toString('base64url').slice(0, 45_000);
  for (const zip of [{ zip: 'DEF' }, {}])
    for (const alg of ['dir', 'ECDH-ES', 'RSA-OAEP', 'A128KW', 'PBES2-HS256+A128KW', 'none'])
      yield [
        `a JWE of ${alg}`,
        [
          JSON.stringify({ alg, enc: 'A128GCM', p2c: 2 ** 31, p2s: 'x', epk: ours, ...zip }),
          '',
          'x'.repeat(12),
        ]
          .map((part) => Buffer.from(part).toString('base64url'))
          .concat(bomb, Buffer.alloc(16).toString('base64url'))
          .join('.'),
      ];
}

/** What is signed as it should be and says what it must not. */
const MISLEADING: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  'client assertion': [
    { exp: 1 },
    { exp: undefined },
    { exp: 'soon' },
    { exp: Number.MAX_SAFE_INTEGER },
    { exp: 1e300 },
    { nbf: now() + 3600 },
    { nbf: 'x' },
    { iat: 'x' },
    { iss: 'zhejiang' },
    { iss: {} },
    { sub: 'zhejiang' },
    { sub: 'nobody' },
    { sub: ['keyed'] },
    { sub: { a: 1 } },
    { sub: 'keyed\0' },
    { aud: 'https://evil.example' },
    { aud: ['https://evil.example'] },
    { aud: {} },
    { aud: undefined },
    { jti: undefined },
    { jti: { a: 1 } },
    { jti: 5 },
  ],
  'request object': [
    { exp: 1 },
    { exp: 'soon' },
    { nbf: now() + 3600 },
    { iss: 'zhejiang' },
    { iss: {} },
    { aud: 'https://evil.example' },
    { client_id: 'zhejiang' },
    { client_id: ['keyed'] },
    { response_type: ['code'] },
    { redirect_uri: 'https://evil.example/' },
    { redirect_uri: ['https://evil.example/'] },
    { request: 'x' },
    { request_uri: 'urn:x' },
    { claims: 'x' },
    { claims: '{"id_token":1}' },
    { claims: 5 },
    { code_challenge: 'x' },
    { max_age: {} },
    { prompt: 'none login' },
    { resource: 'constructor' },
    { resource: ['https://evil.example/', 'x'] },
    { authorization_details: [{ type: 'constructor' }] },
    { authorization_details: [[]] },
    { authorization_details: 'null' },
    { response_mode: 'constructor' },
    { id_token_hint: 'x' },
  ],
  'DPoP proof': [
    { htm: 'GET' },
    { htm: {} },
    { htu: 'https://evil.example/token' },
    { htu: 'x' },
    { htu: {} },
    { iat: 1 },
    { iat: 'x' },
    { iat: undefined },
    { jti: undefined },
    { jti: {} },
    { nonce: 'x' },
    { nonce: {} },
  ],
};

/** What may be taken or not, and must do no harm either way. */
function* odd(door: Door): Generator<readonly [string, string]> {
  const { header, claims, key } = door;
  const signed = (more: object, other: object = {}) =>
    toJws({ ...header, ...other }, { ...claims(), ...more }, key);
  yield ['URLs to fetch keys from', signed({}, { jku: lureUrl, x5u: lureUrl, x5c: [lureUrl] })];
  yield [
    'members of every object',
    toJws(
      header,
      `{"__proto__":{"a":1},"constructor":{"prototype":{}},${JSON.stringify(claims()).slice(1)}`,
      key,
    ),
  ];
  yield [
    'members that come twice',
    toJws(header, `{"iss":"evil","sub":"evil","aud":"evil",${JSON.stringify(claims()).slice(1)}`, key),
  ];
  // As text: who writes such a thing does not do it by recursion.
  const beginning = (member: string) => toJws(header, `{${member},${JSON.stringify(claims()).slice(1)}`, key);
  for (const member of ['x', 'claims', 'authorization_details', 'aud', 'resource', 'state', 'max_age'])
    for (const levels of [50, 3000, 15_000])
      yield [`${member} of ${levels} lists`, beginning(`"${member}":${deep(levels)}`)];
  for (const levels of [50, 2000])
    yield [
      `claims of ${levels} objects`,
      beginning(`"claims":${'{"id_token":'.repeat(levels)}1${'}'.repeat(levels)}`),
    ];
  yield ['a payload that is not encoded', signed({}, { b64: false, crit: ['b64'] })];
  yield ['a scope that is no text', signed({ scope: { a: 1 } })];
  yield ['a long member', signed({ x: 'x'.repeat(30_000) })];
  yield ['3,000 members', signed(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`m${i}`, 1])))];
  yield ['text of another script', signed({ jti: '密码😀\ud800', state: '\ud800\0', nonce: '\u202e' })];
}

async function send(label: string, shot: Shot, faults: string[]): Promise<Answer | undefined> {
  const before = field.failures().length;
  // An address of 16 KB is too long for any server, and answered before anyone reads it.
  if (shot.target.length > 15_000) return undefined;
  try {
    const answer = await field.send(shot);
    faults.push(...faultsOf(field, 'oauth', shot, answer).map((fault) => `${label}: ${fault}`));
    faults.push(
      ...field
        .failures()
        .slice(before)
        .map((line) => `${label}: ${line}`),
    );
    return answer;
  } catch (error) {
    faults.push(`${label}: ${String(error)}`);
    return undefined;
  }
}

test('a JWT that is in order is taken at each door', async () => {
  for (const [name, { header, claims, key, shot, taken }] of Object.entries(doors())) {
    const answer = await field.send(shot(toJws(header, claims(), key)));
    expect(
      taken(answer),
      `${name}: ${answer.status} ${answer.text} ${String(answer.headers['location'])}`,
    ).toBe(true);
  }
});

test('a forged JWT is refused at each door', async () => {
  const faults: string[] = [];
  for (const [name, door] of Object.entries(doors())) {
    for (const [what, jwt] of forged(door)) {
      const answer = await send(`${name}: ${what}`, door.shot(jwt), faults);
      if (answer && door.taken(answer)) faults.push(`${name}: ${what}: taken`);
    }
  }
  expect(faults).toEqual([]);
});

test('a JWT that says what it must not is refused, however well it is signed', async () => {
  const faults: string[] = [];
  for (const [name, door] of Object.entries(doors()))
    for (const claims of MISLEADING[name.replace('pushed ', '')] ?? []) {
      const label = `${name}: ${JSON.stringify(claims)}`;
      const jwt = toJws(door.header, { ...door.claims(), ...claims }, door.key);
      const answer = await send(label, door.shot(jwt), faults);
      if (answer && door.taken(answer)) faults.push(`${label}: taken`);
    }
  expect(faults).toEqual([]);
});

test('a JWT that is made to break its reader breaks nothing', async () => {
  const faults: string[] = [];
  for (const [name, door] of Object.entries(doors()))
    for (const [what, jwt] of odd(door)) await send(`${name}: ${what}`, door.shot(jwt), faults);
  expect(faults).toEqual([]);
});

test('an assertion and a proof are good once', async () => {
  for (const name of ['client assertion', 'DPoP proof']) {
    const door = doors()[name] as Door;
    const jwt = toJws(door.header, door.claims(), door.key);
    expect(door.taken(await field.send(door.shot(jwt))), name).toBe(true);
    expect(door.taken(await field.send(door.shot(jwt))), name).toBe(false);
  }
});

test('a hint is an ID token of ours for this portal, and nothing else', async () => {
  const { origin } = field.t;
  const {
    'ID token': idToken = '',
    'access token': accessToken = '',
    'refresh token': refreshToken = '',
  } = field.secrets;
  const claims = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString('utf8')) as object;
  const door: Door = {
    header: { alg: 'ES256', kid: ours.kid },
    claims: () => ({ ...claims }),
    key: stranger.key,
    known: ours,
    shot: () => ({ method: 'GET', target: '/', headers: [] }),
    taken: () => false,
  };
  const hints: (readonly [string, string])[] = [
    ...forged(door),
    ['an access token', accessToken],
    ['a refresh token', refreshToken],
    ['another issuer', toJws(door.header, { ...claims, iss: 'https://evil.example' }, stranger.key)],
    ['a list for a portal', toJws(door.header, { ...claims, aud: ['wide'] }, stranger.key)],
    ['no portal', toJws(door.header, { ...claims, aud: { a: 1 } }, stranger.key)],
    ['a portal with a NUL', toJws(door.header, { ...claims, aud: 'wide\0' }, stranger.key)],
  ];
  const cookie = await field.browser.jar.getCookieString(origin);
  const wide = { client_id: 'wide', client_secret: field.secrets['client secret'] ?? '' };
  const authorize = field.valid.find(({ name }) => name === 'authorize');
  if (!authorize) throw new Error('no request');
  const faults: string[] = [];
  for (const [what, hint] of hints) {
    const asked = toShot(
      authorize,
      authorize.params.map(([name, value]) => [name, name === 'id_token_hint' ? hint : value]),
    );
    const authorized = await send(`authorize: ${what}`, asked, faults);
    if (authorized && String(authorized.headers['location']).startsWith('/interaction'))
      faults.push(`authorize: ${what}: taken`);
    const ended = await send(
      `end-session: ${what}`,
      {
        method: 'GET',
        target: `/end-session?${new URLSearchParams({ id_token_hint: hint }).toString()}`,
        headers: [
          ['Accept', 'application/json'],
          ['Cookie', cookie],
        ],
      },
      faults,
    );
    if (ended && ended.status !== 400) faults.push(`end-session: ${what}: ${ended.status}`);
    const asking = withBody(
      { method: 'POST', path: '/backchannel-authentication', headers: { Accept: 'application/json' } },
      FORM,
      new URLSearchParams({ ...wide, scope: 'openid', id_token_hint: hint }).toString(),
    );
    const asked2 = await send(`backchannel: ${what}`, asking, faults);
    if (asked2?.status === 200) faults.push(`backchannel: ${what}: taken`);
  }
  expect(faults).toEqual([]);
});

test('a token is good for what it was made for, and for whom', async () => {
  const { origin } = field.t;
  const { secrets } = field;
  const as = (clientId: string, secret = '') => ({
    client_id: clientId,
    client_secret: secrets[secret] ?? '',
  });
  const wide = as('wide', 'client secret');
  const zhejiang = as('zhejiang', 'secret of the other portal');
  const userinfo = (token: string) =>
    fetch(`${origin}/userinfo`, { headers: { Authorization: `Bearer ${token}` } }).then(
      ({ status }) => status,
    );
  expect(await userinfo(secrets['access token'] ?? '')).toBe(200);
  for (const kind of [
    'ID token',
    'refresh token',
    'code',
    'device code',
    'auth_req_id',
    'session',
    'initial access token',
    'registration access token',
    'seal token',
    'client secret',
  ])
    expect([401, 403], kind).toContain(await userinfo(secrets[kind] ?? ''));
  for (const kind of [
    'ID token',
    'refresh token',
    'access token',
    'code',
    'session',
    'registration access token',
  ]) {
    const answer = await fetch(`${origin}/api/v1/seals`, {
      headers: { Authorization: `Bearer ${secrets[kind]}` },
    });
    expect(answer.status, kind).toBe(401);
  }

  const send = async (path: string, parameters: Record<string, string>) => {
    const answer = await fetch(origin + path, { method: 'POST', body: new URLSearchParams(parameters) });
    return { status: answer.status, text: await answer.text() };
  };
  const { rp } = field;
  const redirect = { redirect_uri: rp.redirectUri, code_verifier: secrets['verifier'] ?? '' };
  const grants: Readonly<Record<string, Record<string, string>>> = {
    'the code of another portal': {
      grant_type: 'authorization_code',
      code: secrets['code'] ?? '',
      ...redirect,
      ...wide,
    },
    'the refresh token of another portal': {
      grant_type: 'refresh_token',
      refresh_token: secrets['refresh token'] ?? '',
      ...wide,
    },
    'an access token for a refresh token': {
      grant_type: 'refresh_token',
      refresh_token: secrets['access token'] ?? '',
      ...wide,
    },
    'a refresh token for a code': {
      grant_type: 'authorization_code',
      code: secrets['refresh token'] ?? '',
      ...redirect,
      ...wide,
    },
    'an access token for a device code': {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: secrets['access token'] ?? '',
      ...wide,
    },
    'the secret of another portal': {
      grant_type: 'client_credentials',
      ...wide,
      client_secret: zhejiang.client_secret,
    },
    'our stand-in for a secret': {
      grant_type: 'client_credentials',
      ...wide,
      client_secret: 'kept as a digest by the registry',
    },
  };
  for (const [what, parameters] of Object.entries(grants)) {
    const { status, text } = await send('/token', parameters);
    expect([400, 401], what).toContain(status);
    expect(text, what).toMatch(/"error":"(?:invalid_grant|invalid_client)"/);
  }
  // To another portal a token says nothing, and is not for it to end.
  const seen = await send('/introspect', { token: secrets['access token'] ?? '', ...zhejiang });
  expect(JSON.parse(seen.text)).toEqual({ active: false });
  await send('/revoke', { token: secrets['access token'] ?? '', ...zhejiang });
  expect(await userinfo(secrets['access token'] ?? '')).toBe(200);
  // Nor is what a portal pushed for another to use.
  const pushed = await send('/par', {
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
    redirect_uri: rp.redirectUri,
    ...wide,
  });
  const { request_uri } = JSON.parse(pushed.text) as { request_uri: string };
  const query = new URLSearchParams({ client_id: 'zhejiang', request_uri }).toString();
  const used = await fetch(`${origin}/authorize?${query}`, {
    redirect: 'manual',
    headers: { Accept: 'application/json' },
  });
  expect(used.headers.get('location') ?? '').not.toMatch(/^\/interaction/);
  // A token bound to a key is no bearer token, and its proof names it.
  const door = doors()['DPoP proof'] as Door;
  const bound = JSON.parse(
    (await field.send(door.shot(toJws(door.header, door.claims(), door.key)))).text,
  ) as { access_token: string };
  expect(await userinfo(bound.access_token)).toBe(401);
  const ath = createHash('sha256').update('another').digest('base64url');
  const proof = toJws(
    door.header,
    { ...door.claims(), htm: 'GET', htu: `${origin}/userinfo`, ath },
    door.key,
  );
  const shown = await fetch(`${origin}/userinfo`, {
    headers: { Authorization: `DPoP ${bound.access_token}`, DPoP: proof },
  });
  expect(shown.status).toBe(401);
});

test('nobody was asked for a key that a token named', () => {
  expect(lured).toBe(0);
});
