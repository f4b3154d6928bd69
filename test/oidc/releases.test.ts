import { afterAll, beforeAll, expect, test } from 'vitest';
import { createReleases } from '../../src/oidc/releases.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { TestClock } from '../support/clock.ts';
import { openMigrated } from '../support/databases.ts';

let db: Db;
const clock = new TestClock();

beforeAll(async () => {
  db = await openMigrated();
});
afterAll(() => db.close());

/** The database, with its statements counted, and broken on wish. */
function watched() {
  const statements: string[] = [];
  let broken = false;
  const own: Db = {
    ...db,
    query(sql, parameters) {
      statements.push(sql);
      return broken ? Promise.reject(new Error('the disk is full')) : db.query(sql, parameters);
    },
  };
  return { own, statements, break: () => (broken = true), mend: () => (broken = false) };
}

const phone = (accountId: string) =>
  ({ accountId, clientId: 'zhejiang', way: 'userinfo', claims: ['sub', 'phone_number'] }) as const;

test('a release is on record when it resolves, without what says nothing of a person', async () => {
  const releases = createReleases({ db, clock });
  await releases.record(phone('acc_1'));
  expect(await releases.of('acc_1', { limit: 10 })).toMatchObject([
    { clientId: 'zhejiang', way: 'userinfo', claims: ['phone_number'], at: clock.now() },
  ]);
});

test('an answer with nothing personal in it asks the database for nothing', async () => {
  const { own, statements } = watched();
  const releases = createReleases({ db: own, clock });
  await releases.record({ ...phone('acc_2'), claims: ['sub', 'acr', 'amr', 'auth_time'] });
  expect(statements).toEqual([]);
});

test('answers that leave at the same time share statements, and none is lost', async () => {
  const { own, statements } = watched();
  const releases = createReleases({ db: own, clock });
  await Promise.all(Array.from({ length: 1200 }, (_, i) => releases.record(phone(`acc_3_${i % 3}`))));
  // Each statement takes at most five hundred.
  expect(statements).toHaveLength(3);
  for (const i of [0, 1, 2]) expect(await releases.of(`acc_3_${i}`, { limit: 1000 })).toHaveLength(400);
});

test('a release that cannot be recorded is refused, and those after it are recorded', async () => {
  const store = watched();
  const releases = createReleases({ db: store.own, clock });
  store.break();
  const refused = await Promise.allSettled([
    releases.record(phone('acc_4')),
    releases.record(phone('acc_4')),
  ]);
  expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  store.mend();
  await releases.record(phone('acc_4'));
  expect(await releases.of('acc_4', { limit: 10 })).toHaveLength(1);
});

test('releases are read page by page, the newest first, and summed up by portal', async () => {
  const releases = createReleases({ db, clock });
  for (const claim of ['phone_number', 'email', 'name']) {
    clock.advance(1);
    await releases.record({ ...phone('acc_5'), claims: [claim] });
  }
  const [newest, second] = await releases.of('acc_5', { limit: 2 });
  expect([newest?.claims, second?.claims]).toEqual([['name'], ['email']]);
  expect(await releases.of('acc_5', { limit: 2, before: second?.id })).toMatchObject([
    { claims: ['phone_number'] },
  ]);
  expect(await releases.byPortal('acc_5')).toMatchObject([
    { clientId: 'zhejiang', claims: ['email', 'name', 'phone_number'], last: clock.now() },
  ]);
});

test('what is older than it is kept is forgotten', async () => {
  const releases = createReleases({ db, clock });
  await releases.record(phone('acc_6'));
  clock.advance(10);
  const border = clock.now();
  await releases.record(phone('acc_6'));
  expect(await releases.forget(border)).toBeGreaterThan(0);
  expect(await releases.of('acc_6', { limit: 10 })).toHaveLength(1);
});
