import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOutboundFetch } from '../../../src/platform/http/outbound.ts';

let port: number;
let hits = 0;
const server = createServer((_request, response) => {
  hits += 1;
  response.end('reached');
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.close();
});

test.each([
  '127.0.0.1',
  'localhost',
  '[::ffff:127.0.0.1]',
  '2130706433',
  '0x7f.1',
  '0.0.0.0',
  '[::1]',
  '10.0.0.1',
  '169.254.169.254',
  '[fe80::1]',
  '[::ffff:10.0.0.1]',
  '100.64.0.1',
])('a call to %s is refused before anything is sent', async (host) => {
  const before = hits;
  await expect(createOutboundFetch([])(`http://${host}:${port}/`)).rejects.toSatisfy((error: Error) =>
    /special-purpose/.test(`${error.message} ${String(error.cause)}`),
  );
  expect(hits).toBe(before);
});

test('a registered network is reached, and no other', async () => {
  const outbound = createOutboundFetch(['127.0.0.0/8']);
  expect(await (await outbound(`http://127.0.0.1:${port}/`)).text()).toBe('reached');
  expect(await (await outbound(`http://localhost:${port}/`)).text()).toBe('reached');
  await expect(outbound('http://10.0.0.1/')).rejects.toThrow();
});
