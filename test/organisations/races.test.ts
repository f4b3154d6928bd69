/** Two connections of one PostgreSQL at the same moment. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Db } from '../../src/platform/db/db.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import { TestClock } from '../support/clock.ts';
import { DRIVERS } from '../support/databases.ts';
import { CODES, foundWorld, newAccount, type World } from '../support/organisations.ts';

const clock = new TestClock();
let db: Db;
let close: () => Promise<void>;
let world: World;
beforeAll(async () => {
  const opened = await DRIVERS['PostgreSQL']?.();
  if (!opened) throw new Error('no driver');
  ({ db, close } = opened);
  await migrate(db);
  world = await foundWorld({ db, clock }, CODES[2]);
});
afterAll(() => close());

const outcomes = async (acts: Promise<unknown>[]) =>
  (await Promise.allSettled(acts)).map((result) =>
    result.status === 'fulfilled' ? 'done' : (result.reason as { code?: string }).code,
  );

test('of two grants that together would break the separation of duties one is refused', async () => {
  const { organisations, units, administrator } = world;
  for (let round = 0; round < 10; round++) {
    const accountId = await newAccount(db, clock);
    const done = await outcomes([
      organisations.grant({ accountId, unitId: units.desk.id, role: 'seal-keeper' }, administrator),
      organisations.grant({ accountId, unitId: units.workshop.id, role: 'auditor' }, administrator),
    ]);
    expect(new Set(done)).toEqual(new Set(['DUTIES_SEPARATE', 'done']));
  }
});

test('of a grant and a move of its unit that together would let duties meet one is refused', async () => {
  const { organisations, organisation, administrator } = world;
  for (let round = 0; round < 5; round++) {
    const accountId = await newAccount(db, clock);
    const above = await organisations.createUnit(organisation, `上级${round}`, administrator);
    const moved = await organisations.createUnit(organisation, `下级${round}`, administrator);
    await organisations.grant({ accountId, unitId: above.id, role: 'approver' }, administrator);
    const done = await outcomes([
      organisations.grant({ accountId, unitId: moved.id, role: 'seal-officer' }, administrator),
      organisations.moveUnit(moved.id, above.id, administrator),
    ]);
    expect(new Set(done)).toEqual(new Set(['DUTIES_SEPARATE', 'done']));
  }
});

test('two units that are each put below the other make no ring', async () => {
  const { organisations, organisation, administrator } = world;
  for (let round = 0; round < 5; round++) {
    const one = await organisations.createUnit(organisation, `甲${round}`, administrator);
    const other = await organisations.createUnit(organisation, `乙${round}`, administrator);
    const done = await outcomes([
      organisations.moveUnit(one.id, other.id, administrator),
      organisations.moveUnit(other.id, one.id, administrator),
    ]);
    expect(new Set(done)).toEqual(new Set(['UNIT_CYCLE', 'done']));
  }
});

test('of twenty that end one role one does', async () => {
  const { organisations, units, administrator } = world;
  const accountId = await newAccount(db, clock);
  const { id } = await organisations.grant(
    { accountId, unitId: units.desk.id, role: 'seal-officer' },
    administrator,
  );
  const done = await outcomes(Array.from({ length: 20 }, () => organisations.end(id, administrator)));
  expect(done.filter((each) => each === 'done')).toHaveLength(1);
});

test('whoever loses the right to grant while granting grants before or not at all', async () => {
  const { organisations, organisation, units } = world;
  for (let round = 0; round < 5; round++) {
    const manager = await newAccount(db, clock);
    const accountId = await newAccount(db, clock);
    const { id } = await organisations.grant(
      { accountId: manager, organisationId: organisation.id, role: 'administrator' },
      'system',
    );
    const [granted] = await outcomes([
      organisations.grant({ accountId, unitId: units.desk.id, role: 'seal-officer' }, manager),
      organisations.end(id, 'system'),
    ]);
    const entries = await db.query<{ type: string }>(
      `SELECT type FROM audit_events WHERE detail ->> 'accountId' IN ($1, $2) AND type LIKE 'membership.%' ORDER BY seq DESC`,
      [manager, accountId],
    );
    // The end is the last word, or it came first and nothing was granted.
    expect(entries[0]?.type).toBe('membership.ended');
    expect(entries).toHaveLength(granted === 'done' ? 3 : 2);
  }
});

test('no use of a mandate follows its revocation', async () => {
  const { organisations, organisation, administrator } = world;
  for (let round = 0; round < 5; round++) {
    const agentId = await newAccount(db, clock);
    const { id: mandateId } = await organisations.mandates.grant(
      {
        organisationId: organisation.id,
        agentId,
        services: ['portal'],
        seals: [],
        purpose: '办事',
        validTo: new Date(clock.now().getTime() + 1000),
      },
      administrator,
    );
    const acting = { organisationId: organisation.id, mandateId };
    const use = () => db.transaction((tx) => organisations.use(tx, agentId, acting, { service: 'portal' }));
    const done = await outcomes([
      use(),
      use(),
      organisations.mandates.revoke(mandateId, administrator),
      use(),
      use(),
    ]);
    const log = (await world.log(mandateId)).toReversed();
    expect(log.at(-1)).toBe('mandate.revoked');
    const used = done.filter((each) => each === 'done').length - 1;
    expect(log.filter((type) => type === 'mandate.used')).toHaveLength(used);
    expect(await organisations.mandates.uses(mandateId, { limit: 10 })).toHaveLength(used);
    expect(done.filter((each) => each === 'AUTHORITY_MISSING')).toHaveLength(4 - used);
  }
});
