import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { DEVICE_CODE } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
const person = newPerson();

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, {
    clientId: 'kiosk',
    registration: { metadata: { grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE] } },
  });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

const post = async (path: string, body: Record<string, string>) => {
  const response = await fetch(`${t.origin}${path}`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
    body: new URLSearchParams(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
};
const start = async (scope = 'openid profile') =>
  (await post('/device/authorization', { scope })).body as Record<
    'device_code' | 'user_code' | 'verification_uri' | 'verification_uri_complete',
    string
  >;
const poll = (deviceCode: string) => post('/token', { grant_type: DEVICE_CODE, device_code: deviceCode });

test('a device shows a code, a person types it, confirms, signs in and agrees, and the device gets its tokens once', async () => {
  const device = await start();
  expect(device.user_code).toMatch(/^[B-Z]{4}-[B-Z]{4}$/);
  expect((await poll(device.device_code)).body['error']).toBe('authorization_pending');
  const browser = new UserAgent();
  const page = await browser.get(device.verification_uri);
  // Typed as people type: small letters, no hyphen.
  const typed = device.user_code.replace('-', '').toLowerCase();
  const confirm = await browser.submit(page, { user_code: typed }, '/device');
  expect(confirm.text).toContain(device.user_code);
  expect(confirm.text).toContain('测试门户 kiosk');
  const signIn = await browser.submit(confirm, { confirm: 'yes' }, '/device');
  const consent = await browser.submit(signIn, { ...person }, '/sign-in');
  const done = await browser.submit(consent, { decision: 'allow' }, '/consent');
  expect(done.text).toContain('设备已连接');
  const answer = await poll(device.device_code);
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ token_type: 'Bearer', scope: 'openid profile' });
  expect(answer.body['id_token']).toBeTypeOf('string');
  expect((await poll(device.device_code)).body['error']).toBe('invalid_grant');
});

test('the complete address shows the code to be compared, and does nothing by itself', async () => {
  const device = await start();
  const browser = new UserAgent();
  const onward = await browser.get(device.verification_uri_complete);
  const confirm = await browser.submit(onward, {}, '/device');
  expect(confirm.text).toContain(device.user_code);
  expect((await poll(device.device_code)).body['error']).toBe('authorization_pending');
});

test('who polls too late is told that the code has expired', async () => {
  const device = await start();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 601_000 });
  try {
    expect(await poll(device.device_code)).toMatchObject({ status: 400, body: { error: 'expired_token' } });
    const browser = new UserAgent();
    const page = await browser.submit(await browser.get(device.verification_uri_complete), {}, '/device');
    expect(page.status).toBe(422);
  } finally {
    vi.useRealTimers();
  }
});

test('whoever refuses gives the device nothing', async () => {
  const device = await start();
  const browser = new UserAgent();
  const confirm = await browser.submit(await browser.get(device.verification_uri), {
    user_code: device.user_code,
  });
  const refused = await browser.submit(confirm, { abort: 'yes' }, '/device');
  expect(refused.text).toContain('您已拒绝');
  expect((await poll(device.device_code)).body['error']).toBe('access_denied');
});

test.each([
  ['nothing', '', '请输入设备上显示的代码'],
  ['a code that does not exist', 'BBBB-BBBB', '没有这个代码'],
  ['markup', '<b>"x', '没有这个代码'],
])('typing %s asks again and says why', async (_what, code, message) => {
  const browser = new UserAgent();
  const page = await browser.submit(await browser.get(`${t.origin}/device`), { user_code: code });
  expect(page.status).toBe(422);
  expect(page.text).toContain(message);
  expect(page.text).not.toContain('<b>"x');
});

test('a code that is being used cannot be used by another', async () => {
  const device = await start();
  const [one, two] = [new UserAgent(), new UserAgent()];
  const confirm = async (browser: UserAgent) =>
    browser.submit(await browser.get(device.verification_uri), { user_code: device.user_code });
  const pages = [await confirm(one), await confirm(two)] as const;
  expect((await one.submit(pages[0], { confirm: 'yes' }, '/device')).text).toContain('name="password"');
  expect((await two.submit(pages[1], { confirm: 'yes' }, '/device')).text).toContain('代码已被使用');
});
