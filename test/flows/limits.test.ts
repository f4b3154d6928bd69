/** The limits as they are shipped, seen from outside. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { DEVICE_CODE } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
const clock = new TestClock(new Date());

beforeAll(async () => {
  t = await startApp({ clock, env: { LIMITS: undefined, TRUSTED_PROXIES: '127.0.0.0/8,::1/128' } });
  rp = await registerRelyingParty(t, {
    clientId: 'kiosk',
    registration: { metadata: { grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE] } },
  });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

let addresses = 0;
/** Requests through a believed proxy, from an address that nobody else has. */
const from = (address = `198.51.100.${(addresses += 1)}`) => ({ 'X-Forwarded-For': address });

async function post(
  path: string,
  body: Record<string, string>,
  headers: Record<string, string>,
  secret = rp.secret,
) {
  const response = await fetch(`${t.origin}${path}`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${secret}`)}`, ...headers },
    body: new URLSearchParams(body),
  });
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as Record<string, string>,
  };
}
const startDevice = async () =>
  (await post('/device/authorization', { scope: 'openid' }, from())).body as Record<
    'device_code' | 'user_code',
    string
  >;

test('a device that polls sooner than every five seconds is slowed down, and one that keeps the interval is not', async () => {
  const { device_code: deviceCode } = await startDevice();
  const poll = async () =>
    (await post('/token', { grant_type: DEVICE_CODE, device_code: deviceCode }, from())).body['error'];
  expect(await poll()).toBe('authorization_pending');
  expect(await poll()).toBe('slow_down');
  clock.advance(5);
  expect(await poll()).toBe('authorization_pending');
  const other = await startDevice();
  const { body } = await post('/token', { grant_type: DEVICE_CODE, device_code: other.device_code }, from());
  expect(body['error']).toBe('authorization_pending');
});

test('guesses at user codes end with a page that says how long to wait, until that time is over', async () => {
  const headers = from();
  const browser = new UserAgent({ 'Accept-Language': 'en', ...headers });
  const { user_code: userCode } = await startDevice();
  const guess = async (code: string, agent = browser) =>
    agent.submit(await agent.get(`${t.origin}/device`), { user_code: code }, '/device');
  for (let i = 0; i < 10; i++) expect((await guess('BBBB-BBBB')).status).toBe(422);
  const refused = await guess(userCode);
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('60');
  expect(refused.text).toContain('Try again in 1 minute.');
  // Somebody elsewhere is not concerned, nor is this one a minute later.
  expect((await guess(userCode, new UserAgent({ ...from() }))).status).toBe(200);
  clock.advance(60);
  expect((await guess(userCode)).status).toBe(200);
});

test('a right user code is no guess', async () => {
  const browser = new UserAgent({ ...from() });
  for (let i = 0; i < 15; i++) {
    const { user_code: userCode } = await startDevice();
    const page = await browser.submit(
      await browser.get(`${t.origin}/device`),
      { user_code: userCode },
      '/device',
    );
    expect(page.status).toBe(200);
  }
});

test('a portal that fails to authenticate again and again is told to wait, and its right secret works all the time', async () => {
  const headers = from();
  const ask = (secret: string, path = '/token') =>
    post(path, { grant_type: 'refresh_token', refresh_token: 'x', token: 'x' }, headers, secret);
  for (let i = 0; i < 20; i++)
    expect(await ask('wrong')).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
  for (const path of ['/token', '/introspect', '/revoke'])
    expect(await ask('wrong', path)).toMatchObject({
      status: 429,
      retryAfter: '60',
      body: { error: 'invalid_client' },
    });
  expect(await ask(rp.secret)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  clock.advance(60);
  expect((await ask('wrong')).status).toBe(401);
});

test('an address that tries many portals is told the same, and unknown portals count like known ones', async () => {
  const headers = from();
  const statuses: number[] = [];
  for (let i = 0; i < 201; i++) {
    const response = await fetch(`${t.origin}/token`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ grant_type: 'refresh_token', client_id: randomUUID(), client_secret: 'x' }),
    });
    statuses.push(response.status);
    await response.body?.cancel();
  }
  expect(new Set(statuses.slice(0, 200))).toEqual(new Set([401]));
  expect(statuses[200]).toBe(429);
});

test('an address that a stranger writes into the header is not believed', async () => {
  const strict = await startApp({ env: { LIMITS: undefined } });
  try {
    const page = async (i: number) => {
      const agent = new UserAgent({ 'X-Forwarded-For': `198.51.100.${i}` });
      return agent.submit(await agent.get(`${strict.origin}/device`), { user_code: 'BBBB-BBBB' }, '/device');
    };
    const statuses: number[] = [];
    for (let i = 0; i < 11; i++) statuses.push((await page(i)).status);
    expect(statuses).toEqual([...Array<number>(10).fill(422), 429]);
  } finally {
    await strict.stop();
  }
});

test('limits that make no sense stop the start', async () => {
  await expect(startApp({ env: { LIMITS: '{"password":{}}' } })).rejects.toThrow(
    'LIMITS: password: has no budget',
  );
});
