/** What no client library would send: requests that two readers could cut in different places, broken off, or never begun properly. */
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FORM, openField, shootOctets, type Field } from '../../support/hostile.ts';

let field: Field;
beforeAll(async () => {
  field = await openField();
});
afterAll(() => field.stop());

const SMUGGLED = 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (headers: readonly string[], body: string) =>
  ['POST /token HTTP/1.1', 'Host: a', `Content-Type: ${FORM}`, ...headers, '', body].join('\r\n');
const get = (headers: readonly string[], target = '/userinfo') =>
  [`GET ${target} HTTP/1.1`, ...headers, '', ''].join('\r\n');

/** Refused before any endpoint sees them: the connection ends with a 400 or 431. */
const REFUSED: Readonly<Record<string, string>> = {
  'a length and chunks': post(['Content-Length: 4', 'Transfer-Encoding: chunked'], `0\r\n\r\n${SMUGGLED}`),
  'chunks and a length': post(
    ['Transfer-Encoding: chunked', `Content-Length: ${SMUGGLED.length}`],
    `0\r\n\r\n${SMUGGLED}`,
  ),
  'two lengths': post(['Content-Length: 0', `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
  'a list of lengths': post([`Content-Length: 0, ${SMUGGLED.length}`], SMUGGLED),
  'a length with a sign': post(['Content-Length: +4'], 'a=b&'),
  'a length below nothing': post(['Content-Length: -1'], SMUGGLED),
  'a hexadecimal length': post(['Content-Length: 0x10'], SMUGGLED),
  'a length beyond all numbers': post(['Content-Length: 99999999999999999999999'], SMUGGLED),
  'a space before the colon': post(['Transfer-Encoding : chunked'], `0\r\n\r\n${SMUGGLED}`),
  'a header over two lines': get(['Host: a', 'Authorization: Bearer', ' x']),
  'a header that begins with a space': get([' Host: a']),
  'chunks that are not last': post(['Transfer-Encoding: chunked, identity'], `0\r\n\r\n${SMUGGLED}`),
  'chunks with another name': post(['Transfer-Encoding: xchunked'], `0\r\n\r\n${SMUGGLED}`),
  'a chunk whose size is no number': post(['Transfer-Encoding: chunked'], 'zz\r\na=b\r\n0\r\n\r\n'),
  'a chunk whose size is beyond all numbers': post(
    ['Transfer-Encoding: chunked'],
    'ffffffffffffffffff\r\na=b\r\n0\r\n\r\n',
  ),
  'a chunk that is longer than it says': post(
    ['Transfer-Encoding: chunked'],
    `1\r\na=b\r\n0\r\n\r\n${SMUGGLED}`,
  ),
  'lines that end with a line feed alone': get(['Host: a']).replaceAll('\r\n', '\n') + SMUGGLED,
  'a carriage return within a header': get(['Host: a', 'X-A: b\rX-B: c']),
  'a NUL in a header': get(['Host: a', 'X-A: b\0c']),
  'a NUL in the address': get(['Host: a'], '/userinfo\0'),
  'no host': get([]),
  'a method of its own': get(['Host: a']).replace('GET', 'G\u0000T'),
  'a method in small letters': get(['Host: a']).replace('GET', 'get'),
  'another protocol': get(['Host: a']).replace('HTTP/1.1', 'HTTP/9.9'),
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a TLS hello': '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
  'an address of 20 KB': get(['Host: a'], `/userinfo?${'x'.repeat(20_000)}`),
  'a cookie of 20 KB': get(['Host: a', `Cookie: yx_session=${'x'.repeat(20_000)}`]),
};

test('a request that could be cut in two places is refused, and what hides in it is not served', async () => {
  for (const [what, octets] of Object.entries(REFUSED)) {
    const answer = await shootOctets(field.t.origin, octets);
    expect(answer, what).not.toContain('yinxin_http_requests_total');
    expect(answer, what).not.toContain('HTTP/1.1 200');
    const last = answer.slice(answer.lastIndexOf('HTTP/1.1'));
    expect(last, what).toMatch(/^HTTP\/1\.1 4(?:00|31) /);
    expect(last, what).toMatch(/connection: close/i);
  }
  expect(await field.healthy()).toBe(true);
});

test('two headers that may stand once are refused where the request is otherwise sound', async () => {
  const bearer = (token: string) => `Authorization: Bearer ${token}`;
  const { 'access token': token = '' } = field.secrets;
  const end = ['Accept: application/json', 'Connection: close'];
  for (const headers of [
    ['Host: a', 'Host: evil.example', bearer(token)],
    ['Host: a', bearer(token), bearer('another')],
    ['Host: a', bearer('another'), bearer(token)],
  ]) {
    const answer = await shootOctets(field.t.origin, get([...headers, ...end]));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).not.toContain('"sub"');
  }
});

test('an address with a host, an asterisk or a tunnel leads nowhere else', async () => {
  const end = ['Host: evil.example', 'Accept: application/json', 'Connection: close'];
  const absolute = await shootOctets(
    field.t.origin,
    get(end, 'http://evil.example/.well-known/openid-configuration'),
  );
  expect(absolute).toMatch(/^HTTP\/1\.1 200 /);
  expect(absolute).not.toContain('evil.example');
  const asterisk = await shootOctets(field.t.origin, get(end, '*').replace('GET', 'OPTIONS'));
  expect(asterisk).toMatch(/^HTTP\/1\.1 4\d\d /);
  const tunnel = await shootOctets(field.t.origin, get(end, 'evil.example:443').replace('GET', 'CONNECT'));
  expect(tunnel).not.toMatch(/^HTTP\/1\.1 2/);
});

test('a body that is broken off harms nobody', async () => {
  const cookie = await field.browser.jar.getCookieString(field.t.origin);
  const targets = field.valid.filter(({ method }) => method === 'POST' || method === 'PUT');
  const types = {
    form: FORM,
    json: 'application/json',
    multipart: 'multipart/form-data; boundary=b',
    query: FORM,
  };
  const parts = {
    form: 'client_id=wide&cl',
    json: '{"redirect_uris":["ht',
    multipart: '--b\r\nContent-Disposition: form-data; name="document"; filename="a"\r\n\r\n%PDF-1.4',
    query: 'a',
  };
  const before = field.failures().length;
  for (const { path, media } of targets)
    for (const length of ['Content-Length: 5000', 'Transfer-Encoding: chunked']) {
      const head = [
        `POST ${path} HTTP/1.1`,
        'Host: a',
        `Cookie: ${cookie}`,
        `Authorization: Bearer ${field.secrets['seal token']}`,
        `Content-Type: ${types[media]}`,
        length,
        '',
        '',
      ].join('\r\n');
      const chunk = length.startsWith('T')
        ? `${parts[media].length.toString(16)}\r\n${parts[media]}\r\n5`
        : parts[media];
      await shootOctets(field.t.origin, head + chunk, { hangUp: true });
    }
  await setTimeout(100);
  expect(await field.healthy()).toBe(true);
  expect(field.failures().slice(before)).toEqual([]);
});
