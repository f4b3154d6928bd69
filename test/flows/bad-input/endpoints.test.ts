/** Every endpoint, every kind of request that nobody should send: a 4xx with its OAuth error, soon, and nothing worse. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../../src/demo/user-agent.ts';
import {
  bombard,
  FORM,
  MARKER,
  openField,
  secretsIn,
  shootOctets,
  toShot,
  withBody,
  type Field,
  type Kind,
  type Params,
  type Shot,
  type Valid,
} from '../../support/hostile.ts';

let field: Field;
beforeAll(async () => {
  field = await openField();
});
afterAll(() => field.stop());

type Spoilt = Generator<readonly [label: string, shot: Shot]>;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'];
const VALUES: Readonly<Record<string, string>> = {
  'a script': MARKER,
  'a NUL': 'a\0b',
  'a line break': 'a\r\nX-Injected: 1\r\n\r\n',
  'text of another script': '密码😀\u202e',
  'an empty text': '',
  'a number': '-1e999',
  'a JSON list': '[[]]',
  'a JSON object': '{"__proto__":{"a":1},"constructor":{"prototype":{"b":1}}}',
  'a member of every object': 'constructor',
  'the prototype': '__proto__',
  'an address': '//evil.example/%2e%2e',
  'a long text': 'x'.repeat(5000),
};
const LITERALS = [
  '[]',
  '{}',
  '[null]',
  '[{"a":1}]',
  `[${JSON.stringify(MARKER)}]`,
  String.raw`["a\u0000b"]`,
  String.raw`["\ud800"]`,
  `["https://portal.example.cn/\\u0000"]`,
];

function* parameters(valid: Valid): Spoilt {
  const { params } = valid;
  for (const method of METHODS)
    // A registration that is deleted could not be read any more.
    if (method !== valid.method && method !== 'DELETE')
      yield [`method ${method}`, { ...toShot(valid), method }];
  yield ['every parameter twice', toShot(valid, [...params, ...params])];
  for (const [i, [name, value]] of params.entries()) {
    const put = (...pairs: Params) => toShot(valid, [...valid.params.filter((_, j) => j !== i), ...pairs]);
    yield [`${name} missing`, put()];
    yield [`${name} twice`, put([name, value], [name, 'another'])];
    yield [`${name} as a member`, put([`${name}[a]`, value])];
    yield [`${name} as a list`, put([`${name}[]`, value], [`${name}[]`, value])];
    for (const [what, odd] of Object.entries(VALUES)) yield [`${name} is ${what}`, put([name, odd])];
    if (valid.media === 'json')
      for (const literal of LITERALS) yield [`${name} is ${literal}`, put([name, literal])];
  }
  // An address of 10,000 parameters is longer than any header may be; 1,500 pass.
  const flood = Array.from({ length: valid.media === 'query' ? 1500 : 10_000 }, (_, i): [string, string] => [
    `p${i}`,
    'x',
  ]);
  yield [`${flood.length} parameters`, toShot(valid, [...params, ...flood])];
  const inherited = ['__proto__', 'constructor', '__proto__[a]', 'toString', 'hasOwnProperty'];
  yield [
    'members of every object',
    toShot(valid, [...params, ...inherited.map((name): [string, string] => [name, 'x'])]),
  ];
}

function* bodies(valid: Valid): Spoilt {
  if (valid.media === 'query') return;
  const body = toShot(valid).body ?? Buffer.of();
  const [first] = valid.params[0] ?? ['a'];
  const type = { form: FORM, json: 'application/json', multipart: 'multipart/form-data; boundary=b' }[
    valid.media
  ];
  const huge = withBody(valid, type, Buffer.alloc(10 * 1024 * 1024, 'a'));
  yield ['1 MB in one parameter', toShot(valid, [...valid.params, ['x', 'x'.repeat(1_048_576)]])];
  yield ['10 MB', huge];
  yield ['10 MB in chunks', { ...huge, chunked: true }];
  yield ['1 MB of no type', withBody(valid, '', Buffer.alloc(1_048_576, 'a'))];
  const types = [
    '',
    'text/plain',
    FORM,
    'application/json',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    `multipart/form-data; boundary=${'b'.repeat(300)}`,
    ';;;',
    '/',
    'a/b; charset="',
    ...['utf-7', 'utf-16', 'utf-16le', '', MARKER, 'constructor'].map(
      (charset) => `${type}; charset=${charset}`,
    ),
    `${type}, ${type}`,
  ];
  for (const media of types) yield [`media type ${media.slice(0, 80)}`, withBody(valid, media, body)];
  const octets: Readonly<Record<string, string | Buffer>> = {
    'octets that are not UTF-8': Buffer.concat([
      body,
      Buffer.from(`&${first}=`),
      Buffer.from('fffec080eda080', 'hex'),
    ]),
    'escapes that are not UTF-8': Buffer.concat([body, Buffer.from(`&${first}=%ff%fe%c0%80&b=%zz&%`)]),
    'an empty body': '',
    'a NUL': '\0',
    null: 'null',
    'a list': '[1,2]',
    'a text': '"text"',
    'deep JSON': '{"a":'.repeat(8000) + '1' + '}'.repeat(8000),
    'a deep list': '['.repeat(25_000) + ']'.repeat(25_000),
    'a deep member': `{"redirect_uris":["https://a.example/"],"jwks":${'{"a":'.repeat(8000)}1${'}'.repeat(8001)}`,
    'half of it': body.subarray(0, Math.floor(body.length / 2)),
  };
  for (const [what, content] of Object.entries(octets)) yield [what, withBody(valid, type, content)];
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  Authorization: [
    'Bearer',
    'Bearer ',
    'Bearer a b',
    `Bearer ${MARKER}`,
    'Basic',
    'Basic ====',
    basic(':'),
    basic('wide:%zz'),
    basic('a%00b:x'),
    basic('密:码'),
    'DPoP x',
    'Digest a="b"',
    'constructor',
    '密码',
  ],
  DPoP: ['x', 'a.b.c', '..', 'e30.e30.', MARKER, '密码'],
  Cookie: [
    'yx_session=%%%; yx_interaction=%00; yx_resume=\u00ff',
    `yx_session=${MARKER}`,
    'yx_session=a; yx_session.sig=b; yx_session=c',
    '=;=;=',
    `yx_csrf=${'a'.repeat(3000)}`,
    'yx_language=__proto__; yx_mode=constructor',
    'yx_origin=x; yx_origin.sig=y',
  ],
  Accept: [MARKER, 'text/html', '*/*;q=x'],
  'Accept-Language': ['a,'.repeat(3000), '__proto__'],
  Origin: ['null', 'https://evil.example'],
  'Content-Encoding': ['gzip'],
  'If-None-Match': [MARKER],
  Range: ['bytes=0-0,1-1'],
  traceparent: [MARKER],
  'Idempotency-Key': ['密'],
  'OAuth-Client-Attestation': ['x'],
  Expect: ['100-continue'],
  Upgrade: ['h2c'],
  'Access-Control-Request-Method': [MARKER],
  'X-Long': ['x'.repeat(20_000)],
};
const LYING_PROXY: [string, string][] = [
  ['X-Forwarded-Host', 'evil.example'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded-For', MARKER],
  ['Forwarded', 'host=evil.example;proto=https'],
  ['X-Original-URL', '/metrics'],
  ['X-HTTP-Method-Override', 'DELETE'],
];

function* headers(valid: Valid): Spoilt {
  const good = toShot(valid);
  const plus = (more: [string, string][]) => ({ ...good, headers: [...good.headers, ...more] });
  yield ['a proxy that lies', plus(LYING_PROXY)];
  yield ['another host', plus([['Host', 'evil.example']])];
  yield ['300 headers', plus(Array.from({ length: 300 }, (_, i) => [`X-${i}`, 'x']))];
  for (const [name, values] of Object.entries(HEADERS))
    for (const value of values) {
      const others = good.headers.filter(([other]) => other !== name);
      yield [`${name}: ${value.slice(0, 40)}`, { ...good, headers: [...others, [name, value]] }];
    }
  if (valid.media === 'query')
    yield [
      'a body',
      { ...plus([['Content-Type', FORM]]), body: Buffer.from('client_id=x&state=y&access_token=z') },
    ];
  else {
    const query = new URLSearchParams(valid.params as [string, string][]).toString().slice(0, 8000);
    yield ['parameters in the address', { ...good, target: `${good.target}?${query}` }];
  }
  const also = `${good.target.includes('?') ? '&' : '?'}state=%ff%fe&%=%zz&a[b]=c&__proto__[x]=1`;
  yield ['a query that is not UTF-8', { ...good, target: good.target + also }];
}

const TAILS = [
  '%ff',
  '%00',
  '%2e%2e/token',
  '/',
  '?',
  ';a=b',
  '%0d%0aX-Injected:1',
  `/${encodeURIComponent(MARKER)}`,
  '/../../etc/passwd',
  '\\..\\x',
  '/%ff',
  '/%00',
  '/a/b/c',
];

function* addresses(valid: Valid): Spoilt {
  const good = toShot(valid);
  for (const tail of TAILS) yield [`address with ${tail}`, { ...good, target: `${valid.path}${tail}` }];
  const capitals = good.target.replace(valid.path, valid.path.toUpperCase());
  yield ['address in capitals', { ...good, target: capitals }];
  yield ['address with two slashes', { ...good, target: `/${good.target}` }];
  yield ['address with a host', { ...good, target: `http://evil.example${good.target}` }];
}

test('the field has every endpoint that discovery names, and one request for each that is well formed', async () => {
  const metadata = (await (
    await fetch(`${field.t.origin}/.well-known/openid-configuration`)
  ).json()) as Record<string, unknown>;
  const named = Object.entries(metadata)
    .filter(([name]) => /_endpoint$|^jwks_uri$/.test(name))
    .map(([, address]) => new URL(String(address)).pathname);
  expect(named.length).toBeGreaterThan(9);
  expect(field.valid.map(({ path }) => path)).toEqual(expect.arrayContaining(named));
  for (const valid of field.valid) {
    const answer = await field.send(toShot(valid));
    expect(answer.status, valid.name).toBeLessThan(500);
    expect(answer.text, valid.name).not.toContain('could not be read');
  }
});

test.each([
  ['method or parameters', parameters, 2500],
  ['body', bodies, 600],
  ['header', headers, 2000],
  ['address', addresses, 800],
] as const)(
  'a request that nobody should send, by its %s, is refused at every endpoint without harm',
  async (_part, spoil, atLeast) => {
    let sent = 0;
    // One after the other: what an answer gives, the next request uses.
    function* shots() {
      for (const valid of field.valid)
        for (const [label, shot] of spoil(valid)) {
          sent += 1;
          // At other addresses nobody expects an OAuth error.
          const kind: Kind = spoil === addresses ? 'api' : valid.kind;
          yield { label: `${valid.name}: ${label}`, kind, shot };
        }
    }
    expect(await bombard(field, shots())).toEqual([]);
    expect(sent).toBeGreaterThan(atLeast);
  },
  180_000,
);

test('a wrong method is told which ones there are, another writing of an address leads nowhere', async () => {
  const wrong = await fetch(`${field.t.origin}/token`);
  expect(wrong.status).toBe(405);
  expect(wrong.headers.get('allow')).toBe('POST');
  expect(await wrong.json()).toMatchObject({ error: 'invalid_request' });
  for (const path of ['/TOKEN', '/token/', '/Register', '/end-session/CONFIRM', '/userinfo/']) {
    const answer = await fetch(field.t.origin + path, { method: 'POST' });
    expect(answer.status, path).toBe(404);
    expect(await answer.json(), path).toMatchObject({ error: 'invalid_request' });
  }
});

test('two headers that say different things are not chosen between', async () => {
  for (const header of ['Host', 'Authorization', 'Content-Type'])
    for (const [target, told] of [
      ['/userinfo', '"error":"invalid_request"'],
      ['/api/v1/seals', '"code":"HEADER_TWICE"'],
    ] as const) {
      const headers = [
        [header, 'a'],
        [header, 'b'],
        ['Accept', 'application/json'],
      ] as const;
      const answer = await field.send({ method: 'GET', target, headers });
      expect(answer.status, `${header} at ${target}`).toBe(400);
      expect(answer.text, `${header} at ${target}`).toContain(told);
    }
});

test('a request that is taken up again heeds no parameters of its address', async () => {
  for (const path of ['/authorize/nobodys', '/device/nobodys'])
    for (const query of [
      'client_id=wide',
      'client_id=wide&redirect_uri=https://evil.example/',
      'client_id=x',
    ]) {
      const shot = {
        method: 'GET',
        target: `${path}?${query}`,
        headers: [['Accept', 'application/json']],
      } as const;
      expect(await bombard(field, [{ label: shot.target, kind: 'page', shot }])).toEqual([]);
    }
});

test('an upload that ends before its boundary, wherever that is, ends nothing else', async () => {
  for (const valid of field.valid.filter(({ media }) => media === 'multipart')) {
    const shot = toShot(valid);
    const whole = shot.body ?? Buffer.of();
    for (let length = 0; length < whole.length; length += 7) {
      const answer = await field.send({ ...shot, body: whole.subarray(0, length) });
      expect(answer.status, `${valid.name} cut after ${length}`).toBeLessThan(500);
      expect(answer.status, `${valid.name} cut after ${length}`).toBeGreaterThanOrEqual(400);
    }
  }
  expect(await field.healthy()).toBe(true);
});

test('a person who sends the device page without a session gets the page again, and can go on', async () => {
  const browser = new UserAgent();
  const first = await fetch(`${field.t.origin}/device`, {
    method: 'POST',
    headers: { Accept: 'text/html' },
    body: new URLSearchParams({ user_code: 'AAAA-BBBB', xsrf: 'x' }),
  });
  expect(first.status).toBe(422);
  for (const line of first.headers.getSetCookie()) await browser.jar.setCookie(line, field.t.origin);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(await first.text())?.[1] ?? '';
  const again = await fetch(`${field.t.origin}/device`, {
    method: 'POST',
    headers: { Accept: 'text/html', Cookie: await browser.jar.getCookieString(field.t.origin) },
    body: new URLSearchParams({ user_code: 'AAAA-BBBB', xsrf }),
  });
  expect(again.status).toBe(422);
  expect(await again.text()).toContain('AAAA-BBBB');
});

test('what is left of a refused body does not hold its connection', async () => {
  const { port } = new URL(field.t.origin);
  const body = 'a'.repeat(3_000_000);
  const octets =
    `POST /authorize HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Type: ${FORM}\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
    'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const answers = await shootOctets(`http://localhost:${port}`, octets);
  expect(answers).toContain('HTTP/1.1 400');
  expect(answers).toContain('{"status":"ok"}');
});

test('neither the log nor the metrics of all this hold a secret', async () => {
  expect(field.lines.length).toBeGreaterThan(5000);
  expect(secretsIn(field, field.lines.join('\n'))).toEqual([]);
  expect(secretsIn(field, await (await fetch(`${field.t.origin}/metrics`)).text())).toEqual([]);
});
