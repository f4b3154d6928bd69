import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Db } from '../../src/platform/db/db.ts';
import { TestClock } from '../support/clock.ts';
import { openMigrated } from '../support/databases.ts';
import { CODES, foundWorld, newAccount, type World } from '../support/organisations.ts';

const clock = new TestClock();
let db: Db;
let world: World;
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
});

describe('an organisation', () => {
  test('has a valid code, a known region, and is there once', async () => {
    const found = (more: object) =>
      world.organisations.found({ unifiedSocialCreditCode: CODES[1], name: '虚构', ...more }, 'system');
    await expect(found({ unifiedSocialCreditCode: '91350100M000100Y4Z' })).rejects.toMatchObject({
      code: 'CREDIT_CODE_INVALID',
    });
    await expect(found({ region: '990000' })).rejects.toMatchObject({ code: 'REGION_UNKNOWN' });
    await expect(found({ region: '100000', kind: 'institution' })).resolves.toMatchObject({
      region: '100000',
    });
    await expect(found({})).rejects.toMatchObject({ code: 'ORGANISATION_EXISTS' });
  });

  test('that is suspended lets nobody act or change anything, and goes on where it was', async () => {
    const { organisations, organisation, units, administrator } = world;
    await organisations.setState(organisation.id, 'suspended', 'system');
    const acting = { organisationId: organisation.id };
    expect(await organisations.actingFor(administrator)).toEqual([]);
    expect(await organisations.authority(administrator, acting, { service: 'portal' })).toBeUndefined();
    expect(await organisations.rolesOf(administrator, units.desk.id)).toEqual([]);
    await expect(organisations.createUnit(organisation, '新', administrator)).rejects.toMatchObject({
      code: 'ORGANISATION_NOT_ACTIVE',
    });
    // Whoever answers for it does so meanwhile.
    expect(await organisations.membershipsOf(administrator)).toHaveLength(1);
    await organisations.setState(organisation.id, 'active', 'system');
    expect(await organisations.authority(administrator, acting, { service: 'portal' })).toBeDefined();
  });

  test('that is dissolved ends every role and mandate in it, for good', async () => {
    const { organisations, organisation, administrator, representative } = world;
    const agentId = await world.account();
    const mandate = await organisations.mandates.grant(
      {
        organisationId: organisation.id,
        agentId,
        services: ['portal'],
        seals: [],
        purpose: '代为申报',
        validTo: new Date(clock.now().getTime() + 86_400_000),
      },
      administrator,
    );
    await organisations.setState(organisation.id, 'dissolved', 'system');
    expect(await organisations.membershipsOf(representative)).toEqual([]);
    expect((await organisations.mandates.mandate(mandate.id))?.revokedAt).toEqual(clock.now());
    await expect(organisations.setState(organisation.id, 'active', 'system')).rejects.toMatchObject({
      code: 'ORGANISATION_DISSOLVED',
    });
  });
});

describe('the tree of units', () => {
  test('is read back as it was built', async () => {
    const { organisations, organisation, units } = world;
    const read = await organisations.units(organisation);
    expect(new Map(read.map(({ name, parentId }) => [name, parentId]))).toEqual(
      new Map([
        ['办公室', undefined],
        ['前台', units.office.id],
        ['车间', undefined],
      ]),
    );
  });

  test('has different names side by side, and the same ones in different places', async () => {
    const { organisations, organisation, units, administrator } = world;
    await expect(organisations.createUnit(organisation, '车间', administrator)).rejects.toMatchObject({
      code: 'UNIT_EXISTS',
    });
    await organisations.createUnit(organisation, '车间', administrator, units.office.id);
    await expect(organisations.renameUnit(units.office.id, '车间', administrator)).rejects.toMatchObject({
      code: 'UNIT_EXISTS',
    });
    await organisations.closeUnit(units.workshop.id, administrator);
    expect(await organisations.renameUnit(units.office.id, '车间', administrator)).toMatchObject({
      name: '车间',
    });
  });

  test('has no unit below itself', async () => {
    const { organisations, units, administrator } = world;
    for (const below of [units.office.id, units.desk.id])
      await expect(organisations.moveUnit(units.office.id, below, administrator)).rejects.toMatchObject({
        code: 'UNIT_CYCLE',
      });
    await organisations.moveUnit(units.office.id, units.workshop.id, administrator);
    expect((await organisations.unit(units.office.id))?.parentId).toBe(units.workshop.id);
    await expect(
      organisations.moveUnit(units.workshop.id, units.desk.id, administrator),
    ).rejects.toMatchObject({
      code: 'UNIT_CYCLE',
    });
  });

  test('is no deeper than the rules let it be', async () => {
    const { organisations, organisation, administrator } = world;
    let parent = world.units.desk;
    for (let depth = 3; depth <= 12; depth++)
      parent = await organisations.createUnit(organisation, `第${depth}层`, administrator, parent.id);
    await expect(
      organisations.createUnit(organisation, '太深', administrator, parent.id),
    ).rejects.toMatchObject({ code: 'TREE_BEYOND_LIMITS' });
    await expect(
      organisations.moveUnit(world.units.office.id, world.units.workshop.id, administrator),
    ).rejects.toMatchObject({ code: 'TREE_BEYOND_LIMITS' });
  });

  test('is not moved so that the duties of one person meet', async () => {
    const { organisations, units, administrator, account } = world;
    const accountId = await account();
    await organisations.grant({ accountId, unitId: units.workshop.id, role: 'approver' }, administrator);
    await organisations.grant({ accountId, unitId: units.desk.id, role: 'seal-officer' }, administrator);
    await expect(
      organisations.moveUnit(units.office.id, units.workshop.id, administrator),
    ).rejects.toMatchObject({ code: 'DUTIES_SEPARATE' });
    expect((await organisations.unit(units.office.id))?.parentId).toBeUndefined();
  });

  test('loses a unit with its roles and mandates, once nothing is below it', async () => {
    const { organisations, organisation, units, administrator, account } = world;
    await expect(organisations.closeUnit(units.office.id, administrator)).rejects.toMatchObject({
      code: 'UNIT_IN_USE',
    });
    const accountId = await account();
    await organisations.grant({ accountId, unitId: units.desk.id, role: 'seal-officer' }, administrator);
    await organisations.closeUnit(units.desk.id, administrator);
    expect(await organisations.membershipsOf(accountId)).toEqual([]);
    expect(await organisations.rolesOf(administrator, units.desk.id)).toEqual([]);
    await expect(organisations.closeUnit(units.desk.id, administrator)).rejects.toMatchObject({
      code: 'UNIT_CLOSED',
    });
    await expect(
      organisations.createUnit(organisation, '新', administrator, units.desk.id),
    ).rejects.toMatchObject({ code: 'UNIT_CLOSED' });
    expect((await world.log(units.desk.id)).slice(0, 2)).toEqual(['unit.closed', 'membership.ended']);
  });
});

describe('a role', () => {
  test('is granted once, ends, and may begin again; what was is kept', async () => {
    const { organisations, units, administrator, account } = world;
    const accountId = await account();
    const appointment = { accountId, unitId: units.desk.id, role: 'seal-officer' } as const;
    const first = await organisations.grant(appointment, administrator);
    expect((await organisations.grant(appointment, administrator)).id).toBe(first.id);
    expect(await organisations.rolesOf(accountId, units.desk.id)).toEqual(['seal-officer']);
    expect(await organisations.unitsOf(accountId, 'seal-officer')).toEqual([units.desk.id]);
    await organisations.end(first.id, administrator);
    expect(await organisations.rolesOf(accountId, units.desk.id)).toEqual([]);
    await expect(organisations.end(first.id, administrator)).rejects.toMatchObject({
      code: 'NOT_FOUND_HERE',
    });
    expect((await organisations.grant(appointment, administrator)).id).not.toBe(first.id);
    expect(
      await db.query('SELECT id, role, ended_by FROM memberships_ended WHERE account_id = $1', [accountId]),
    ).toEqual([{ id: first.id, role: 'seal-officer', ended_by: administrator }]);
  });

  test('on a unit reaches below if it manages, approves or audits, and not if it keeps or uses seals', async () => {
    const { organisations, units, administrator, account } = world;
    for (const [role, below] of [
      ['administrator', true],
      ['approver', true],
      ['auditor', true],
      ['seal-keeper', false],
      ['seal-officer', false],
    ] as const) {
      const accountId = await account();
      const by = role === 'administrator' ? 'system' : administrator;
      await organisations.grant({ accountId, unitId: units.office.id, role }, by);
      expect(await organisations.rolesOf(accountId, units.office.id)).toEqual([role]);
      expect(await organisations.rolesOf(accountId, units.desk.id)).toEqual(below ? [role] : []);
      expect(await organisations.rolesOf(accountId, units.workshop.id)).toEqual([]);
    }
  });

  test('is given up by whoever holds it and by nobody else; the representative is replaced, not ended', async () => {
    const { organisations, units, administrator, representative, account } = world;
    const accountId = await account();
    const { id } = await organisations.grant(
      { accountId, unitId: units.desk.id, role: 'approver' },
      administrator,
    );
    await expect(organisations.giveUp(id, await account())).rejects.toMatchObject({ code: 'NOT_FOUND_HERE' });
    await organisations.giveUp(id, accountId);
    expect(await organisations.membershipsOf(accountId)).toEqual([]);
    const [own] = await organisations.membershipsOf(representative);
    await expect(organisations.giveUp(own?.id ?? '', representative)).rejects.toMatchObject({
      code: 'TWO_PERSONS_NEEDED',
    });
    await expect(organisations.end(own?.id ?? '', administrator)).rejects.toMatchObject({
      code: 'TWO_PERSONS_NEEDED',
    });
  });

  test('that two persons grant is granted by no one of them, and an organisation has one representative', async () => {
    const { organisations, organisation, representative, account } = world;
    const accountId = await account();
    const organisationId = organisation.id;
    for (const role of ['administrator', 'legal-representative'] as const)
      await expect(
        organisations.grant({ accountId, organisationId, role }, representative),
      ).rejects.toMatchObject({ code: 'TWO_PERSONS_NEEDED' });
    await expect(
      organisations.grant({ accountId, organisationId, role: 'legal-representative' }, 'system'),
    ).rejects.toMatchObject({ code: 'ROLE_HELD' });
    expect(await world.log(organisationId)).toContain('organisation.refused');
  });

  test('is not taken by an administrator for themselves; the representative may', async () => {
    const { organisations, units, administrator, representative } = world;
    const role = 'seal-officer';
    await expect(
      organisations.grant({ accountId: administrator, unitId: units.desk.id, role }, administrator),
    ).rejects.toMatchObject({ code: 'ROLE_FOR_ONESELF' });
    await organisations.grant({ accountId: representative, unitId: units.desk.id, role }, representative);
  });

  test('that would bring separate duties together is not granted', async () => {
    const { organisations, organisation, units, administrator, account } = world;
    const accountId = await account();
    await organisations.grant({ accountId, unitId: units.desk.id, role: 'seal-keeper' }, administrator);
    for (const appointment of [
      { accountId, unitId: units.desk.id, role: 'seal-officer' },
      { accountId, unitId: units.office.id, role: 'approver' },
      { accountId, unitId: units.workshop.id, role: 'auditor' },
      { accountId, organisationId: organisation.id, role: 'administrator' },
    ] as const)
      await expect(organisations.grant(appointment, 'system')).rejects.toMatchObject({
        code: 'DUTIES_SEPARATE',
      });
    await organisations.grant({ accountId, unitId: units.workshop.id, role: 'seal-officer' }, administrator);
    expect(await organisations.membershipsOf(accountId)).toHaveLength(2);
  });

  test('is held where it belongs', async () => {
    const { organisations, organisation, units, administrator, account } = world;
    const accountId = await account();
    await expect(
      organisations.grant(
        { accountId, organisationId: organisation.id, role: 'seal-officer' },
        administrator,
      ),
    ).rejects.toMatchObject({ code: 'ROLE_PLACE' });
    await expect(
      organisations.grant({ accountId, unitId: units.desk.id, role: 'legal-representative' }, 'system'),
    ).rejects.toMatchObject({ code: 'ROLE_PLACE' });
  });

  test('of one unit gives nothing in another, and an outsider is told that nothing is there', async () => {
    const { organisations, organisation, units, account } = world;
    const own = await account();
    await organisations.grant({ accountId: own, unitId: units.office.id, role: 'administrator' }, 'system');
    const [accountId, outsider] = [await account(), await account()];
    const appointment = { accountId, unitId: units.workshop.id, role: 'seal-officer' } as const;
    await expect(organisations.grant(appointment, own)).rejects.toMatchObject({ code: 'NOT_PERMITTED' });
    await expect(organisations.grant(appointment, outsider)).rejects.toMatchObject({
      code: 'NOT_FOUND_HERE',
    });
    await expect(organisations.moveUnit(units.desk.id, units.workshop.id, own)).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
    });
    await expect(organisations.moveUnit(units.desk.id, undefined, own)).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
    });
    expect((await world.log(organisation.id)).filter((type) => type === 'organisation.refused')).toHaveLength(
      4,
    );
    await organisations.grant({ ...appointment, unitId: units.desk.id }, own);
  });

  test('moves with an account that is closed into another, as far as duties stay separate', async () => {
    const { organisations, organisation, units, administrator, account } = world;
    const [from, into] = [await account(), await account()];
    const grant = (
      accountId: typeof from,
      unitId: typeof units.desk.id,
      role: 'seal-officer' | 'approver' | 'seal-keeper',
    ) => organisations.grant({ accountId, unitId, role }, administrator);
    await grant(into, units.desk.id, 'seal-keeper');
    await grant(from, units.desk.id, 'seal-officer');
    await grant(from, units.workshop.id, 'approver');
    const seal = world.seal(units.desk);
    const validTo = new Date(clock.now().getTime() + 86_400_000);
    const mandate = (seals: (typeof seal)[]) =>
      organisations.mandates.grant(
        {
          organisationId: organisation.id,
          agentId: from,
          services: ['portal'],
          seals,
          purpose: '办事',
          validTo,
        },
        administrator,
      );
    const [sealing, serving] = [await mandate([seal]), await mandate([])];
    await db.transaction((tx) => organisations.moveMemberships(tx, from, into));
    expect(await organisations.membershipsOf(from)).toEqual([]);
    const held = await organisations.membershipsOf(into);
    expect(new Map(held.map(({ unit, role }) => [unit?.name, role]))).toEqual(
      new Map([
        ['前台', 'seal-keeper'],
        ['车间', 'approver'],
      ]),
    );
    expect(await organisations.mandates.mandate(sealing.id)).toMatchObject({ revokedAt: clock.now() });
    expect(await organisations.mandates.mandate(serving.id)).toMatchObject({
      agentId: into,
      revokedAt: undefined,
    });
  });
});

test('members are read page by page', async () => {
  const { organisations, organisation, units, administrator } = world;
  for (let i = 0; i < 5; i++)
    await organisations.grant(
      { accountId: await newAccount(db, clock), unitId: units.desk.id, role: 'seal-officer' },
      administrator,
    );
  const place = { organisationId: organisation.id, unitId: units.desk.id };
  const first = await organisations.members(place, { limit: 3 });
  const second = await organisations.members(place, { limit: 3, after: first.at(-1)?.id });
  expect(first).toHaveLength(3);
  expect(second).toHaveLength(2);
  expect(new Set([...first, ...second].map(({ id }) => id)).size).toBe(5);
});
