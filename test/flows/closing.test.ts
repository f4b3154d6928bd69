/** Closing an account: what names its person is gone beyond return, and what is kept leads to nobody. */
import { Secret, TOTP } from 'otpauth';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkChain } from '../../src/audit/index.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openRedis } from '../support/databases.ts';
import { registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

/** Tables in which a closed account leaves nothing. */
const ERASED = [
  'api_requests',
  'account_addresses',
  'account_identifiers',
  'account_links',
  'backchannel_requests',
  'claim_decisions',
  'consents',
  'cross_device_requests',
  'known_devices',
  'known_networks',
  'passkeys',
  'password_credentials',
  'password_history',
  'proofing_attempts',
  'recoveries',
  'recovery_codes',
  'totp_credentials',
  'upstream_links',
  'verified_documents',
];
/** Tables that keep its id, beside closed words, digests and ids of others: no name, no number. */
const KEPT = [
  'memberships_ended',
  'logout_outbox',
  'misuse_reports',
  'pairwise_subjects',
  'proofing_evidence',
  'register_events',
  'releases',
  'representative_proofs',
];

const person = { identifier: '19912349876', password: 'a quiet word by the closed gate' };
const other = { identifier: '19912349877', password: 'a quiet word by the open gate' };
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

async function open(browser: UserAgent, path: string): Promise<Page> {
  const page = await browser.get(`${t.origin}${path}`);
  return page.forms.some(({ action }) => action.pathname.endsWith('/sign-in'))
    ? browser.submit(page, { ...person }, '/sign-in')
    : page;
}

const count = async (table: string, accountId: string) =>
  (
    await t.app.db.query<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE account_id = $1`, [
      accountId,
    ])
  )[0]?.n ?? 0;

test('every table that names an account is either emptied or keeps nothing personal', async () => {
  const tables = await t.app.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns
      WHERE table_schema = 'public' AND column_name = 'account_id' ORDER BY table_name`,
  );
  // Whoever adds a table says here which it is. Memberships are handed over before an account is closed.
  expect(tables.map(({ name }) => name)).toEqual([...ERASED, ...KEPT, 'memberships'].toSorted());
});

test('a closed account is gone, its tokens with it, and its identifier is free for a new one', async () => {
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.register(other);
  const browser = new UserAgent();
  const attempt = await signIn(rp, browser, person);
  const tokens = await rp.redeem(attempt.callback, attempt);
  const sub = tokens.claims()?.sub ?? '';
  await oidc.fetchUserInfo(rp.client, tokens.access_token, sub);
  await t.app.identity.recoveryCodes.generate(accountId);
  await t.app.identity.recoveryCodes.remove(accountId);
  await t.app.identity.addresses.set(accountId, { locality: 'Gate Street of nowhere' });
  await t.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'operator');
  for (const table of [
    'account_identifiers',
    'password_credentials',
    'consents',
    'known_devices',
    'releases',
  ])
    expect(await count(table, accountId), table).toBeGreaterThan(0);

  const page = await open(browser, '/account/close');
  expect(page.url.pathname).toBe('/account/close');
  const wrong = await browser.submit(page, { word: '注' }, '/close');
  expect(wrong.status).toBe(422);
  expect(await t.app.identity.account(accountId)).toBeDefined();
  const told = rp.logouts.length;
  const done = await browser.submit(wrong, { word: ' 注销 ' }, '/close');
  expect(done.status).toBe(200);
  expect(done.text).toContain('账号已注销');

  for (const table of ERASED) expect(await count(table, accountId), table).toBe(0);
  await expect.poll(() => rp.logouts.length).toBe(told + 1);
  await expect(oidc.fetchUserInfo(rp.client, tokens.access_token, sub)).rejects.toThrow();
  expect(await oidc.tokenIntrospection(rp.client, tokens.access_token)).toEqual({ active: false });
  const again = await browser.get(`${t.origin}/account`);
  expect(again.forms.some(({ action }) => action.pathname.endsWith('/sign-in'))).toBe(true);
  await expect(t.app.identity.passwords.authenticate(person)).rejects.toMatchObject({
    code: 'CREDENTIALS_WRONG',
  });
  // Not even an operator opens it again.
  await t.app.identity.setState(accountId, 'active', 'operator');
  expect(await t.app.identity.account(accountId)).toBeUndefined();

  const fresh = await t.app.identity.register(person);
  expect(fresh.accountId).not.toBe(accountId);
  const anew = await signIn(rp, new UserAgent(), person);
  const newSub = (await rp.redeem(anew.callback, anew)).claims()?.sub;
  expect(newSub).not.toBe(sub);
  await t.app.closeAccount(fresh.accountId);
});

test('neither store shows anything of the person, and the audit chain stands', async () => {
  const tables = await t.app.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  let dump = '';
  for (const { name } of tables)
    for (const row of await t.app.db.query(`SELECT to_jsonb(x) AS row FROM "${name}" x`))
      dump += JSON.stringify(row);
  const { redis } = await openRedis();
  for await (const keys of redis.scanIterator({ MATCH: `${t.env['REDIS_KEY_PREFIX']}:*`, COUNT: 1000 }))
    dump += keys.join(' ');
  await redis.close();
  for (const personal of [person.identifier, `+86${person.identifier}`, 'Gate Street', person.password])
    for (const form of [
      personal,
      Buffer.from(personal).toString('base64'),
      Buffer.from(personal).toString('hex'),
    ])
      expect(dump).not.toContain(form);
  // One identifier is left in the whole database: the other person's.
  expect(await t.app.db.query('SELECT kind FROM account_identifiers')).toEqual([{ kind: 'phone' }]);
  expect((await checkChain(t.app.audit)).finding).toBeUndefined();
});

test('of several who close an account at once one does', async () => {
  const { accountId } = await t.app.identity.register({ ...person, identifier: '19912349878' });
  const closed = await Promise.all(
    Array.from({ length: 8 }, () => t.app.identity.personalData.close(accountId)),
  );
  expect(closed.filter(Boolean)).toHaveLength(1);
});

test('whoever is responsible for seals hands them over first', async () => {
  const officer = { identifier: '19912349879', password: 'a quiet word by the seal desk' };
  const { accountId } = await t.app.identity.register(officer);
  const organisation = await t.app.organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '虚构有限公司' },
    'system',
  );
  const unit = await t.app.organisations.createUnit(organisation, '办公室', 'system');
  await t.app.organisations.grant({ accountId, unitId: unit.id, role: 'seal-officer' }, 'system');
  const browser = new UserAgent();
  const page = await browser.get(`${t.origin}/account/close`);
  const close = await browser.submit(page, { ...officer }, '/sign-in');
  expect(close.text).toContain('请先由单位管理员解除您的用印权限');
  expect(close.forms.some(({ action }) => action.pathname.endsWith('/close'))).toBe(false);
});

test('a second factor is asked for, where there is one', async () => {
  const careful = { identifier: '19912349880', password: 'a quiet word by the second gate' };
  const { accountId } = await t.app.identity.register(careful);
  const { secret } = t.app.identity.totp.propose('');
  await t.app.identity.totp.enrol({
    accountId,
    secret,
    code: TOTP.generate({ secret: Secret.fromBase32(secret) }),
  });
  const browser = new UserAgent();
  const otp = await browser.submit(
    await browser.get(`${t.origin}/account/close`),
    { ...careful },
    '/sign-in',
  );
  expect(otp.forms.some(({ action }) => action.pathname.endsWith('/otp'))).toBe(true);
  expect((await browser.get(`${t.origin}/account/close`)).url.pathname).not.toBe('/account/close');
});
