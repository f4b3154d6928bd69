/** What a thief of a database dump, of a Redis dump or of the logs would hold: no secret, nobody's number, no live session. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openRedis } from '../support/databases.ts';
import { recordingLogger } from '../support/logger.ts';
import { registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

const person = { identifier: '19912344321', password: 'a paper boat on the canal' };
const { lines, logger } = recordingLogger('debug');
let t: TestApp;
let rp: RelyingParty;
let secrets: Record<string, string>;

beforeAll(async () => {
  t = await startApp({ mode: 'server', logger });
  rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone' });
  await t.app.identity.register(person);
  const browser = new UserAgent();
  // A wrong password first, and a code that stays unredeemed: both leave traces where they can.
  const page = await browser.get((await rp.begin({ login_hint: person.identifier })).url);
  await browser.submit(page, { ...person, password: 'a wrong password of fifteen' }, '/sign-in');
  const attempt = await signIn(rp, browser, person);
  const tokens = await rp.redeem(attempt.callback, attempt);
  const pending = await signIn(rp, browser, person);
  await fetch(`${t.origin}/userinfo`, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
  const cookies = await browser.jar.getCookies(t.origin);
  secrets = {
    password: person.password,
    'wrong password': 'a wrong password of fifteen',
    phone: person.identifier,
    session: cookies.find(({ key }) => key === 'yx_session')?.value ?? '',
    'access token': tokens.access_token,
    'ID token': tokens.id_token ?? '',
    'used code': attempt.callback.searchParams.get('code') ?? '',
    'unused code': pending.callback.searchParams.get('code') ?? '',
    'client secret': rp.secret,
    'code verifier': attempt.verifier,
    'key-encryption key': t.env['KEY_ENCRYPTION_KEY'] ?? '',
    'data key': t.env['DATA_KEY'] ?? '',
    pepper: t.env['PASSWORD_PEPPER'] ?? '',
    'cookie key': t.env['COOKIE_KEYS'] ?? '',
  };
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

/** Every form in which bytes could lie in a dump. */
function forms(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    bytes.toString('hex'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    encodeURIComponent(secret),
  ];
}

function expectNone(dump: string): void {
  for (const [name, secret] of Object.entries(secrets)) {
    expect(secret.length, name).toBeGreaterThan(8);
    for (const form of forms(secret)) expect(dump.includes(form), `${name} lies in the clear`).toBe(false);
  }
}

test('the database holds no secret, no phone number, no private key in the clear', async () => {
  const tables = await t.app.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  expect(tables.length).toBeGreaterThan(10);
  let dump = '';
  for (const { name } of tables)
    for (const row of await t.app.db.query(`SELECT to_jsonb(x) AS row FROM "${name}" x`))
      dump += JSON.stringify(row);
  expect(dump).toContain('argon2id');
  expectNone(dump);
  // Every PKCS #8 document of a P-256 key begins with these octets; PEM with its line.
  expect(dump).not.toContain('308187020100301306072a8648ce3d0201');
  expect(dump).not.toContain('PRIVATE KEY');
});

test('Redis holds no session id, code, token or phone number in the clear', async () => {
  const { redis } = await openRedis();
  let dump = '';
  for await (const keys of redis.scanIterator({ MATCH: `${t.env['REDIS_KEY_PREFIX']}:*`, COUNT: 1000 }))
    for (const key of keys) {
      const type = await redis.type(key);
      const value =
        type === 'hash'
          ? await redis.hGetAll(key)
          : type === 'zset'
            ? await redis.zRange(key, 0, -1)
            : await redis.get(key);
      dump += key + JSON.stringify(value);
    }
  await redis.close();
  expect(dump).toContain('Session');
  expectNone(dump);
});

test('the logs of all this hold none of it', () => {
  expect(lines.length).toBeGreaterThan(10);
  expectNone(lines.join('\n'));
});

test('the metrics hold none of it', async () => {
  const metrics = await (await fetch(`${t.origin}/metrics`)).text();
  expect(metrics).toMatch(/yinxin_sign_ins_total\{outcome="accepted"\} [1-9]/);
  expectNone(metrics);
});
