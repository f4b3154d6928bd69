import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createGatewayCarrier, type GatewayAuthentication } from '../../../src/identity/messages/gateway.ts';
import { createOutboundFetch } from '../../../src/platform/http/outbound.ts';
import { Unacceptable } from '../../../src/platform/outbox.ts';
import { freePort } from '../../setup/services.ts';
import { TestClock } from '../../support/clock.ts';

let url: URL;
let status = 202;
const asked: { request: IncomingMessage; body: string }[] = [];
const server = createServer((request, response) => {
  void text(request).then((body) => {
    asked.push({ request, body });
    response
      .writeHead(status, status === 302 ? { Location: '/elsewhere' } : {})
      .end('{"said":"+8619912340001"}');
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/messages?tenant=a`);
});
beforeEach(() => {
  asked.length = 0;
  status = 202;
});
afterAll(() => {
  server.close();
});

const clock = new TestClock();
const letter = {
  id: 'msg_1',
  to: '+8619912340001',
  kind: 'signInCode',
  language: 'zh-CN',
  parameters: { code: '246810', minutes: 10 },
  subject: '登录验证码',
  text: '【印信】246810 是您的登录验证码',
} as const;
const carrier = (authentication: GatewayAuthentication, networks = ['127.0.0.0/8']) =>
  createGatewayCarrier({ url, authentication, fetch: createOutboundFetch(networks), clock });
const bearer = { kind: 'bearer', token: 'a-token' } as const;

test('a text message is one POST that a token vouches for', async () => {
  await carrier(bearer)(letter);
  const [{ request, body } = { request: undefined, body: '{}' }] = asked;
  expect(request).toMatchObject({ method: 'POST', url: '/v1/messages?tenant=a' });
  expect(request?.headers).toMatchObject({
    authorization: 'Bearer a-token',
    'content-type': 'application/json',
    'idempotency-key': 'msg_1',
  });
  const { subject: _, ...sent } = letter;
  expect(JSON.parse(body)).toEqual(sent);
});

test('or that a key signs, as RFC 9421 and RFC 9530 have it', async () => {
  const key = randomBytes(32);
  await carrier({ kind: 'signature', key, keyId: 'yinxin-2' })(letter);
  const [{ request, body } = { request: undefined, body: '' }] = asked;
  const headers = request?.headers ?? {};
  expect(headers['authorization']).toBeUndefined();
  expect(headers['content-digest']).toBe(`sha-256=:${createHash('sha256').update(body).digest('base64')}:`);
  const parameters = String(headers['signature-input']).replace(/^yinxin=/, '');
  expect(parameters).toBe(
    `("@method" "@target-uri" "content-type" "content-digest");created=${clock.now().getTime() / 1000};keyid="yinxin-2";alg="hmac-sha256"`,
  );
  const base = [
    `"@method": ${request?.method}`,
    `"@target-uri": ${url.href}`,
    `"content-type": ${headers['content-type']}`,
    `"content-digest": ${String(headers['content-digest'])}`,
    `"@signature-params": ${parameters}`,
  ].join('\n');
  expect(headers['signature']).toBe(`yinxin=:${createHmac('sha256', key).update(base).digest('base64')}:`);
});

test.each([
  [302, false],
  [400, true],
  [401, false],
  [404, false],
  [422, true],
  [429, false],
  [500, false],
  [503, false],
])('the answer %i ends a message: %s; what the gateway says of it is not repeated', async (answer, ends) => {
  status = answer;
  const error = await carrier(bearer)(letter).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ message: `HTTP ${answer}` });
  expect(error instanceof Unacceptable).toBe(ends);
  // A redirect is not followed: it would carry the token along.
  expect(asked).toHaveLength(1);
});

test('a gateway in a network that is not registered, or that is away, gets nothing', async () => {
  await expect(carrier(bearer, [])(letter)).rejects.toThrow('no answer: OutboundRefused');
  expect(asked).toEqual([]);
  const fetch = createOutboundFetch(['127.0.0.0/8']);
  const away = createGatewayCarrier({
    url: new URL(`http://127.0.0.1:${await freePort()}/`),
    authentication: bearer,
    fetch,
    clock,
  });
  await expect(away(letter)).rejects.toThrow('no answer: ECONNREFUSED');
});
