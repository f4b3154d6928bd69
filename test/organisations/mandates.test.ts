import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Ended, NewMandate } from '../../src/organisations/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { TestClock } from '../support/clock.ts';
import { openMigrated } from '../support/databases.ts';
import { CODES, foundWorld, tellFacts, type World } from '../support/organisations.ts';

const clock = new TestClock();
const DAY = 86_400;
const inDays = (days: number) => new Date(clock.now().getTime() + days * DAY * 1000);
let db: Db;
let world: World;
let agentId: AccountId;
beforeAll(async () => {
  db = await openMigrated();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.script(
    `TRUNCATE mandate_uses, mandates, memberships_ended, memberships, units, organisations CASCADE`,
  );
  clock.advance(1);
  world = await foundWorld({ db, clock });
  agentId = await world.account();
});

function grant(more: Partial<NewMandate> = {}, actor: string = world.administrator) {
  return world.organisations.mandates.grant(
    {
      organisationId: world.organisation.id,
      agentId,
      services: ['portal'],
      seals: [],
      purpose: '代为申报年度材料',
      validTo: inDays(30),
      ...more,
    },
    actor,
  );
}
const ask = (mandateId: Awaited<ReturnType<typeof grant>>['id'], service = 'portal') =>
  world.organisations.authority(agentId, { organisationId: world.organisation.id, mandateId }, { service });

describe('a mandate', () => {
  test('lets its agent act for whoever granted it, in what it names, and for nobody and nothing else', async () => {
    const { organisations, organisation, units } = world;
    const seal = world.seal(units.desk);
    const { id: mandateId } = await grant({ unitId: units.desk.id, seals: [seal] });
    const acting = { organisationId: organisation.id, unitId: units.desk.id, mandateId };
    const may = async (...asked: Parameters<typeof organisations.authority>) =>
      (await organisations.authority(...asked)) !== undefined;
    expect(await may(agentId, acting, { service: 'portal' })).toBe(true);
    expect(await may(agentId, acting, { sealId: seal })).toBe(true);
    expect(await may(agentId, acting, { service: 'other-portal' })).toBe(false);
    expect(await may(agentId, acting, { sealId: world.seal(units.desk) })).toBe(false);
    expect(await may(agentId, { ...acting, unitId: units.office.id }, { service: 'portal' })).toBe(false);
    expect(await may(agentId, { ...acting, unitId: undefined }, { service: 'portal' })).toBe(false);
    expect(await may(agentId, { ...acting, mandateId: undefined }, { service: 'portal' })).toBe(false);
    expect(await may(await world.account(), acting, { service: 'portal' })).toBe(false);
    expect(await may(world.representative, acting, { service: 'portal' })).toBe(false);
    expect(await organisations.authority(agentId, acting, { service: 'portal' })).toMatchObject({
      organisation: { unifiedSocialCreditCode: CODES[0] },
      unit: { name: '前台' },
      roles: [],
      thirdParty: true,
      validTo: inDays(30),
    });
  });

  test('begins and ends at its instants', async () => {
    const { id } = await grant({ validFrom: inDays(1), validTo: inDays(2) });
    expect(await ask(id)).toBeUndefined();
    clock.advance(DAY);
    expect(await ask(id)).toBeDefined();
    clock.advance(DAY - 1);
    expect(await ask(id)).toBeDefined();
    clock.advance(1);
    expect(await ask(id)).toBeUndefined();
  });

  test('is revoked at once, again without effect, and of two that overlap the other goes on', async () => {
    const [one, other] = [await grant(), await grant()];
    await world.organisations.mandates.revoke(one.id, world.representative);
    await world.organisations.mandates.revoke(one.id, world.administrator);
    expect(await ask(one.id)).toBeUndefined();
    expect(await ask(other.id)).toBeDefined();
    expect(await world.log(one.id)).toEqual(['mandate.revoked', 'mandate.granted']);
  });

  test('is given up by its agent and by no other', async () => {
    const { id } = await grant();
    await expect(world.organisations.mandates.giveUp(id, await world.account())).rejects.toMatchObject({
      code: 'NOT_FOUND_HERE',
    });
    await world.organisations.mandates.giveUp(id, agentId);
    expect(await ask(id)).toBeUndefined();
  });

  test('ends with the unit that granted it, and with the unit whose seal it names', async () => {
    const { organisations, units, administrator } = world;
    const byUnit = await grant({ unitId: units.desk.id });
    const bySeal = await grant({ services: [], seals: [world.seal(units.desk)] });
    const neither = await grant({ unitId: units.workshop.id });
    await organisations.closeUnit(units.desk.id, administrator);
    const revoked = async (id: typeof neither.id) =>
      (await organisations.mandates.mandate(id))?.revokedAt !== undefined;
    expect([await revoked(byUnit.id), await revoked(bySeal.id), await revoked(neither.id)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('ends with the account of its agent', async () => {
    const { id } = await grant();
    await db.transaction((tx) => world.organisations.mandates.revokeOfAgent(tx, agentId));
    expect(await ask(id)).toBeUndefined();
  });

  test.each([
    ['names nothing', { services: [] }, 'MANDATE_EMPTY'],
    ['names a service that does not exist', { services: ['nowhere'] }, 'MANDATE_SERVICE_UNKNOWN'],
    [
      'names a seal that does not exist',
      { seals: ['seal_00000000000000000000000000'] },
      'MANDATE_SEAL_UNKNOWN',
    ],
    [
      'names more services than are counted',
      { services: Array.from({ length: 51 }, (_, i) => `p${i}`) },
      'MANDATE_EMPTY',
    ],
    ['has ended before it begins', { validTo: new Date(0) }, 'MANDATE_PERIOD'],
    [
      'ends before it begins',
      { validFrom: new Date('2027-05-01'), validTo: new Date('2027-04-01') },
      'MANDATE_PERIOD',
    ],
    ['is longer than three years', { validTo: new Date('2031-01-01') }, 'MANDATE_PERIOD'],
    ['ends at no time', { validTo: new Date(Number.NaN) }, 'MANDATE_PERIOD'],
  ] as const)('that %s is not granted', async (_what, more, code) => {
    await expect(grant(more as Partial<NewMandate>)).rejects.toMatchObject({ code });
  });

  test('names no seal of another unit or another organisation', async () => {
    const facts = tellFacts();
    const other = await foundWorld({ db, clock }, CODES[1], facts);
    const foreign = other.seal(other.units.desk);
    const own = world.seal(world.units.office);
    await expect(grant({ seals: [foreign] })).rejects.toMatchObject({ code: 'MANDATE_SEAL_UNKNOWN' });
    await expect(grant({ unitId: world.units.desk.id, seals: [own] })).rejects.toMatchObject({
      code: 'MANDATE_SEAL_UNKNOWN',
    });
    await grant({ seals: [own] });
  });

  test('lets nobody use seals that they keep or approve, and no later role undoes it', async () => {
    const { organisations, units, administrator } = world;
    const seal = world.seal(units.desk);
    await organisations.grant(
      { accountId: agentId, unitId: units.desk.id, role: 'seal-keeper' },
      administrator,
    );
    await expect(grant({ seals: [seal] })).rejects.toMatchObject({ code: 'DUTIES_SEPARATE' });
    agentId = await world.account();
    await grant({ seals: [seal] });
    const approver = { accountId: agentId, unitId: units.office.id, role: 'approver' } as const;
    await expect(organisations.grant(approver, administrator)).rejects.toMatchObject({
      code: 'DUTIES_SEPARATE',
    });
    // What is over is no duty.
    clock.advance(31 * DAY);
    await organisations.grant(approver, administrator);
  });

  test('is granted by whoever manages the place, to another', async () => {
    const { organisations, units } = world;
    const officer = await world.account();
    await organisations.grant({ accountId: officer, unitId: units.desk.id, role: 'seal-officer' }, 'system');
    await expect(grant({ unitId: units.desk.id }, officer)).rejects.toMatchObject({ code: 'NOT_PERMITTED' });
    await expect(grant({}, await world.account())).rejects.toMatchObject({ code: 'NOT_FOUND_HERE' });
    await expect(grant({ agentId: world.administrator })).rejects.toMatchObject({ code: 'ROLE_FOR_ONESELF' });
  });
});

describe('acting for others', () => {
  test('lists every place where roles are held and every mandate in force, of several organisations', async () => {
    const other = await foundWorld({ db, clock }, CODES[1]);
    const { organisations, units, administrator } = world;
    await organisations.grant(
      { accountId: agentId, unitId: units.desk.id, role: 'seal-officer' },
      administrator,
    );
    const [own, foreign, later] = [
      await grant({ unitId: units.workshop.id }),
      await other.organisations.mandates.grant(
        {
          organisationId: other.organisation.id,
          agentId,
          services: ['other-portal'],
          seals: [],
          purpose: '记账报税',
          validTo: inDays(10),
        },
        other.representative,
      ),
      await grant({ validFrom: inDays(5) }),
    ];
    const acting = await organisations.actingFor(agentId);
    expect(
      acting.map(({ unit, roles, mandate, thirdParty }) => [unit?.name, roles, mandate?.id, thirdParty]),
    ).toEqual(
      expect.arrayContaining([
        ['前台', ['seal-officer'], undefined, false],
        ['车间', [], own.id, false],
        [undefined, [], foreign.id, true],
      ]),
    );
    expect(acting).toHaveLength(3);
    expect((await organisations.actingFor(agentId, inDays(6))).map(({ mandate }) => mandate?.id)).toContain(
      later.id,
    );
    expect(
      (await organisations.actingFor(agentId, inDays(11))).map(({ mandate }) => mandate?.id),
    ).not.toContain(foreign.id);
    expect(await organisations.actingFor('system')).toEqual([]);
  });

  test('by roles: a service by whatever reaches the place, a seal by an officer of its unit', async () => {
    const { organisations, organisation, units, administrator } = world;
    const officer = await world.account();
    await organisations.grant(
      { accountId: officer, unitId: units.desk.id, role: 'seal-officer' },
      administrator,
    );
    const seal = world.seal(units.desk);
    const desk = { organisationId: organisation.id, unitId: units.desk.id };
    const service = { service: 'portal' };
    const since = clock.now();
    clock.advance(60);
    expect(await organisations.authority(officer, desk, service)).toMatchObject({
      roles: ['seal-officer'],
      validFrom: since,
      validTo: undefined,
    });
    expect(await organisations.authority(officer, desk, { sealId: seal })).toBeDefined();
    expect(await organisations.authority(administrator, desk, service)).toMatchObject({
      roles: ['administrator'],
    });
    expect(await organisations.authority(administrator, desk, { sealId: seal })).toBeUndefined();
    expect(
      await organisations.authority(officer, { organisationId: organisation.id }, service),
    ).toBeUndefined();
    expect(
      await organisations.authority(officer, { ...desk, unitId: units.office.id }, service),
    ).toBeUndefined();
    const other = await foundWorld({ db, clock }, CODES[1]);
    expect(
      await organisations.authority(officer, { ...desk, organisationId: other.organisation.id }, service),
    ).toBeUndefined();
  });

  test('is recorded for whoever granted the mandate, use by use', async () => {
    const { organisations, organisation, units } = world;
    const seal = world.seal(units.desk);
    const { id: mandateId } = await grant({ seals: [seal] });
    const acting = { organisationId: organisation.id, mandateId };
    for (const purpose of [{ service: 'portal' }, { sealId: seal }]) {
      clock.advance(1);
      await db.transaction((tx) => organisations.use(tx, agentId, acting, purpose));
    }
    await expect(
      db.transaction((tx) => organisations.use(tx, agentId, acting, { service: 'other-portal' })),
    ).rejects.toMatchObject({ code: 'AUTHORITY_MISSING' });
    const uses = await organisations.mandates.uses(mandateId, { limit: 10 });
    expect(uses.map(({ service, sealId }) => [service, sealId])).toEqual([
      ['portal', undefined],
      [undefined, seal],
    ]);
    expect(await world.log(mandateId)).toEqual(['mandate.used', 'mandate.used', 'mandate.granted']);
  });

  test('ends everywhere at once when a role ends, a mandate is revoked or an organisation is suspended', async () => {
    const { organisations, organisation, units, administrator } = world;
    const heard: Ended[] = [];
    const stop = await organisations.watchEnds((ended) => heard.push(ended));
    const { id: membershipId } = await organisations.grant(
      { accountId: agentId, unitId: units.desk.id, role: 'approver' },
      administrator,
    );
    const { id } = await grant({ services: ['portal'] });
    expect(heard).toEqual([]);
    await organisations.end(membershipId, administrator);
    await organisations.mandates.revoke(id, administrator);
    await organisations.setState(organisation.id, 'suspended', 'system');
    await expect
      .poll(() => heard)
      .toEqual([{ accountId: agentId }, { accountId: agentId }, { organisationId: organisation.id }]);
    await stop();
  });
});

test('an authority holds exactly while one of the mandates that name the matter does, whatever was granted and revoked', async () => {
  const { organisations, organisation } = world;
  const start = clock.now().getTime();
  const services = ['portal', 'other-portal', 'https://api.example/'];
  const model: { id: string; services: string[]; from: number; to: number; revoked: boolean }[] = [];
  for (let step = 0; step < 120; step++) {
    const now = clock.now().getTime();
    const choice = randomInt(4);
    if (choice === 0) {
      const from = now + randomInt(5) * DAY * 1000;
      const to = from + randomInt(1, 6) * DAY * 1000;
      const named = services.filter(() => randomInt(2) === 0);
      if (named.length === 0) continue;
      const { id } = await grant({ services: named, validFrom: new Date(from), validTo: new Date(to) });
      model.push({ id, services: named, from, to, revoked: false });
    } else if (choice === 1 && model.length > 0) {
      const one = model[randomInt(model.length)];
      if (one) {
        await organisations.mandates.revoke(one.id, world.administrator);
        one.revoked = true;
      }
    } else clock.advance(randomInt(1, 3) * (DAY / 2));
    const at = clock.now().getTime();
    const inForce = model.filter(({ from, to, revoked }) => !revoked && from <= at && at < to);
    const listed = await organisations.actingFor(agentId);
    expect(new Set(listed.map(({ mandate }) => mandate?.id))).toEqual(new Set(inForce.map(({ id }) => id)));
    expect(listed).toHaveLength(inForce.length);
    const one = model[randomInt(Math.max(model.length, 1))];
    if (!one) continue;
    for (const service of services) {
      const authority = await organisations.authority(
        agentId,
        { organisationId: organisation.id, mandateId: one.id as `mdt_${string}` },
        { service },
      );
      expect(authority !== undefined, `${service} at ${at - start}`).toBe(
        inForce.includes(one) && one.services.includes(service),
      );
    }
  }
});
