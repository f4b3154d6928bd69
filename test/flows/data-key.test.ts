/** The data key is replaced under load: two processes at every step, each request answered by the one or the other. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createApp, type App } from '../../src/app.ts';
import { startGateway, type FictionalGateway } from '../../src/demo/gateway.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { toConfig, type RawEnv } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { newSecrets } from '../support/app.ts';
import { createDatabase, openRedis } from '../support/databases.ts';
import { silentLogger } from '../support/logger.ts';
import {
  newPerson,
  newPhonePerson,
  registerByCode,
  registerRelyingParty,
  signIn,
  type RelyingParty,
} from '../support/relying-party.ts';

const [a, b] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
let database: Awaited<ReturnType<typeof createDatabase>>;
let ports: [number, number];
let env: RawEnv;
let gateway: FictionalGateway;
let rp: RelyingParty;
/** What runs, by its port. */
const running = new Map<number, App>();

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway();
  ports = [await freePort(), await freePort()];
  env = {
    ...newSecrets(),
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    REDIS_KEY_PREFIX: `data-key-${randomBytes(6).toString('hex')}`,
    HOST: '127.0.0.1',
    ISSUER: `http://localhost:${ports[0]}`,
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
    DRAIN_SECONDS: '1',
    ...gateway.env,
  };
});
afterAll(async () => {
  await rp.stop();
  await Promise.all([...running.values()].map((app) => app.stop()));
  await gateway.close();
  await database.drop();
});

/** Stops what runs on a port, if anything does, and starts it with other keys. */
async function restart(port: number, ...[current, ...others]: string[]): Promise<App> {
  await running.get(port)?.stop();
  const keys = { DATA_KEY: current, DATA_KEY_OTHERS: others.join(',') || undefined };
  const app = await createApp(toConfig({ ...env, ...keys, PORT: String(port) }), { logger: silentLogger });
  await app.start();
  running.set(port, app);
  return app;
}

let turn = 0;
/** Behind a load balancer that sends every request to the process after the one before. */
function alternate(url: URL): URL {
  const other = new URL(url);
  if (url.origin === env['ISSUER']) other.port = String(ports[turn++ % 2]);
  return other;
}
const newBrowser = () => new UserAgent({ 'Accept-Language': 'zh-CN' }, alternate);

const refresh = (token: string) =>
  fetch(alternate(new URL(`${env['ISSUER']}/token`)), {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(`${rp.clientId}:${rp.secret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
  });

/** Registers over HTTP, with the code that came to the phone. @returns whether the portal was reached. */
async function register(person: { identifier: string; password: string }): Promise<boolean> {
  const browser = newBrowser();
  const page = await browser.get((await rp.begin()).url);
  const end = await registerByCode(gateway, browser, page, person, rp.redirectUri);
  if (!end.forms.some(({ action }) => action.pathname.endsWith('/consent'))) return false;
  const back = await browser.submit(end, { decision: 'allow' }, '/consent', rp.redirectUri);
  return back.url.href.startsWith(rp.redirectUri);
}

test('people sign in, stay signed in and register through every step of it, and nothing is left under the old key', async () => {
  const first = await restart(ports[0], a);
  await restart(ports[1], a);
  rp = await registerRelyingParty(
    { app: first, origin: env['ISSUER'] ?? '' },
    {
      clientId: 'zhejiang',
      scope: 'openid phone offline_access',
      scopes: ['openid', 'phone', 'offline_access'],
      registration: { metadata: { grant_types: ['authorization_code', 'refresh_token'] } },
    },
  );
  const person = newPhonePerson();
  const early = newBrowser();
  expect(await register(person)).toBe(true);
  const attempt = await signIn(rp, early, person, { prompt: 'consent' });
  let token = (await rp.redeem(attempt.callback, attempt)).refresh_token ?? '';
  expect(token).not.toBe('');

  const everythingWorks = async () => {
    for (let i = 0; i < 2; i++) {
      // Signed in before, and asked for nothing.
      const again = await signIn(rp, early, { identifier: '', password: '' });
      expect(again.callback.searchParams.get('code')).toBeTruthy();
      const other = newPhonePerson();
      expect(await register(other)).toBe(true);
      const process = [...running.values()][i];
      await expect(process?.identity.register(other)).rejects.toMatchObject({ code: 'IDENTIFIER_TAKEN' });
      const anew = await signIn(rp, newBrowser(), i === 0 ? person : other);
      expect(anew.callback.searchParams.get('code')).toBeTruthy();
      const refreshed = await refresh(token);
      expect(refreshed.status).toBe(200);
      token = ((await refreshed.json()) as { refresh_token: string }).refresh_token;
    }
  };
  const oneAccountEach = async () => {
    for (let round = 0; round < 3; round++) {
      const person = newPerson();
      const apps = [...running.values()];
      const attempts = await Promise.allSettled(
        Array.from({ length: 16 }, async (_, i) => apps[i % 2]?.identity.register(person)),
      );
      const refused = attempts.filter((each) => each.status === 'rejected');
      expect(refused).toHaveLength(15);
      for (const { reason } of refused) expect(reason).toMatchObject({ code: 'IDENTIFIER_TAKEN' });
    }
  };

  await everythingWorks();
  // The new key is made known, to one process after the other.
  await restart(ports[1], a, b);
  await everythingWorks();
  await oneAccountEach();
  await restart(ports[0], a, b);
  // It becomes the current one.
  await restart(ports[1], b, a);
  await everythingWorks();
  await oneAccountEach();
  const [old, fresh] = [running.get(ports[0]), running.get(ports[1])];
  expect([await old?.rotation.step(), await fresh?.rotation.step()]).toEqual(['waits', 'waits']);
  const second = await restart(ports[0], b, a);
  await everythingWorks();
  // Both processes may be at it.
  await expect.poll(() => second.rotation.step(), { timeout: 30_000, interval: 20 }).toBe('done');
  expect((await second.rotation.keys()).map(({ empty }) => empty)).toEqual([false, true]);
  await everythingWorks();
  // The old one is dropped.
  await restart(ports[1], b);
  await everythingWorks();
  await oneAccountEach();
  const last = await restart(ports[0], b);
  await everythingWorks();

  const oldKey = toConfig({ ...env, DATA_KEY: a }).secrets.dataKeys.current.id;
  const newKey = toConfig({ ...env, DATA_KEY: b }).secrets.dataKeys.current.id;
  const dump = await dumpOf(last);
  expect(dump).toContain(`02${newKey}`);
  expect(dump).not.toContain(`02${oldKey}`);
});

/** Everything in both stores, bytes as hexadecimal digits. */
async function dumpOf({ db }: App): Promise<string> {
  let dump = '';
  const tables = await db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  for (const { name } of tables)
    dump += JSON.stringify(await db.query(`SELECT to_jsonb(x) AS row FROM "${name}" x`));
  const { redis } = await openRedis();
  for await (const keys of redis.scanIterator({ MATCH: `${env['REDIS_KEY_PREFIX']}:*`, COUNT: 1000 }))
    for (const key of keys) {
      const type = await redis.type(key);
      if (type !== 'hash' && type !== 'string') continue;
      const values = type === 'hash' ? Object.values(await redis.hGetAll(key)) : [await redis.get(key)];
      for (const value of values) dump += ` ${Buffer.from(value ?? '', 'base64').toString('hex')}`;
    }
  await redis.close();
  return dump;
}
