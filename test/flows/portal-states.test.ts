import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { createApp, type App } from '../../src/app.ts';
import { toConfig } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { silentLogger } from '../support/logger.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
/** A second process on the same stores, behind the same issuer. */
let second: { app: App; origin: string };
let rp: RelyingParty;
const person = newPerson();

beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  const port = await freePort();
  const app = await createApp(toConfig({ ...t.env, PORT: String(port) }), { logger: silentLogger });
  await app.start();
  second = { app, origin: `http://localhost:${port}` };
  rp = await registerRelyingParty(t, {
    clientId: 'to-be-suspended',
    registration: {
      scopes: ['openid', 'offline_access'],
      metadata: { grant_types: ['authorization_code', 'refresh_token'] },
    },
  });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await rp.stop();
  await second.app.stop();
  await t.stop();
});

const userinfo = async (origin: string, token: string) =>
  (await fetch(`${origin}/userinfo`, { headers: { Authorization: `Bearer ${token}` } })).status;
const refresh = async (origin: string, token: string) =>
  (
    await fetch(`${origin}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
    })
  ).status;

test('suspending a portal ends its tokens and sign-ins within a second in every process, and its return does not bring them back', async () => {
  const browser = new UserAgent();
  const attempt = await signIn(rp, browser, person, { scope: 'openid offline_access', prompt: 'consent' });
  const tokens = await rp.redeem(attempt.callback, attempt);
  const { access_token: token, refresh_token: refreshToken = '' } = tokens;
  expect(await userinfo(second.origin, token)).toBe(200);

  await t.app.portals.setState(rp.clientId, 'suspended', 'system');
  const options = { timeout: 1000, interval: 20 };
  for (const origin of [t.origin, second.origin]) {
    await expect.poll(() => userinfo(origin, token), options).toBe(401);
    await expect.poll(() => refresh(origin, refreshToken), options).toBe(401);
    const page = await browser.get((await rp.begin()).url);
    expect(page.status).toBe(400);
  }

  await t.app.portals.setState(rp.clientId, 'approved', 'system');
  await expect.poll(() => refresh(second.origin, refreshToken), options).toBe(400);
  expect(await userinfo(second.origin, token)).toBe(401);
  // The person's own session goes on: a new sign-in needs no password.
  const again = await browser.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri);
  expect(again.url.searchParams.get('code')).not.toBeNull();
});

test('a portal in its sandbox works, and people are told', async () => {
  await t.app.portals.setState(rp.clientId, 'sandbox', 'system');
  const page = await new UserAgent().get((await rp.begin()).url);
  expect(page.text).toContain('这是测试平台');
  await t.app.portals.setState(rp.clientId, 'approved', 'system');
});

test('old secrets stop after the time they are given, and until then a portal can change without a pause', async () => {
  const check = (secret: string) => second.app.portals.checkSecret(rp.clientId, secret);
  const fresh = await t.app.portals.issueSecret(rp.clientId, { othersExpireAfter: 1 });
  await expect.poll(() => check(fresh)).toBe(true);
  expect(await t.app.portals.checkSecret(rp.clientId, rp.secret)).toBe(true);
  await expect.poll(() => check(rp.secret), { timeout: 3000 }).toBe(false);
  expect(await check(fresh)).toBe(true);
});

test('two thousand portals cost no more than two: each is parsed once and kept', async () => {
  const many = 2000;
  // More than the hundred that the library itself would keep.
  const asking = 400;
  await t.app.db.query(
    `INSERT INTO portals (client_id, name, sector, state, home_uri, redirect_uris, post_logout_redirect_uris, scopes, created_at, updated_at)
       SELECT 'many-' || i, '{"zh-CN":"门户"}', 'many-' || i, 'approved', 'https://p.example/', '["https://p.example/cb"]', '[]', '["openid"]', now(), now()
         FROM generate_series(1, $1) AS i`,
    [many],
  );
  const asked = vi.spyOn(t.app.db, 'query');
  const reads = () => asked.mock.calls.filter(([sql]) => sql.includes('FROM portals')).length;
  const askAll = async () => {
    for (let i = 1; i <= asking; i += 40)
      await Promise.all(
        Array.from({ length: 40 }, async (_, j) => {
          const query = `client_id=many-${i + j}&response_type=code&redirect_uri=https://p.example/cb&scope=openid`;
          await (await fetch(`${t.origin}/authorize?${query}`, { redirect: 'manual' })).text();
        }),
      );
    return reads();
  };
  // Each portal is read once; afterwards the registry's table is not asked again.
  expect(await askAll()).toBe(asking);
  expect(await askAll()).toBe(asking);
  asked.mockRestore();
});
