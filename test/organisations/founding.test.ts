import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createFictionalOrganisationRegister } from '../../src/organisations/register/fictional-register.ts';
import { APPOINT_ADMINISTRATOR, FICTIONAL_ORGANISATIONS } from '../../src/organisations/index.ts';
import type { NaturalPerson } from '../../src/organisations/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { TestClock } from '../support/clock.ts';
import { openMigrated } from '../support/databases.ts';
import { newAccount, openRooms } from '../support/organisations.ts';

const [INVENTED] = FICTIONAL_ORGANISATIONS;
if (!INVENTED) throw new Error('no invented organisation');
const { unifiedSocialCreditCode, representative } = INVENTED;
const clock = new TestClock();
const persons = new Map<AccountId, NaturalPerson>();
let db: Db;
let rooms: ReturnType<typeof openRooms>;
let li: AccountId;
beforeAll(async () => {
  db = await openMigrated();
});
afterAll(() => db.close());
beforeEach(async () => {
  await db.script('TRUNCATE dual_control_acts, memberships_ended, memberships, units, organisations CASCADE');
  clock.advance(1);
  rooms = openRooms({
    db,
    clock,
    register: createFictionalOrganisationRegister(),
    person: async (accountId) => persons.get(accountId),
  });
  li = await person(representative);
});

/** An account whose person was checked live. */
async function person({ name, kind, number }: typeof representative): Promise<AccountId> {
  const accountId = await newAccount(db, clock);
  persons.set(accountId, { name, document: { kind, number } });
  return accountId;
}
const prove = (accountId: AccountId, level = 3) =>
  rooms.organisations.founding.prove({ accountId, level, unifiedSocialCreditCode });
const roles = async (accountId: AccountId) =>
  (await rooms.organisations.membershipsOf(accountId)).map(({ role }) => role);

describe('founding', () => {
  test('makes whoever the register confirms the legal representative, once', async () => {
    const founded = await prove(li);
    expect(founded).toMatchObject({
      kind: 'founded',
      organisation: { unifiedSocialCreditCode, name: INVENTED.name, kind: 'enterprise', region: '330106' },
    });
    expect(await roles(li)).toEqual(['legal-representative']);
    expect(await prove(li)).toMatchObject({ kind: 'known' });
    expect(await db.query('SELECT register FROM representative_proofs')).toEqual([
      { register: 'fiction' },
      { register: 'fiction' },
    ]);
  });

  test('asks for level 3, an identity that was checked, and the register', async () => {
    await expect(prove(li, 2)).rejects.toMatchObject({ code: 'LEVEL_INSUFFICIENT' });
    await expect(prove(await newAccount(db, clock))).rejects.toMatchObject({ code: 'LEVEL_INSUFFICIENT' });
    for (const change of [{ name: '李樺' }, { number: '449999198506120024' }, { kind: 'passport' }])
      await expect(prove(await person({ ...representative, ...change }))).rejects.toMatchObject({
        code: 'REPRESENTATIVE_REFUSED',
      });
    await expect(
      rooms.organisations.founding.prove({
        accountId: li,
        level: 3,
        unifiedSocialCreditCode: '91350100M000100Y4Z',
      }),
    ).rejects.toMatchObject({ code: 'CREDIT_CODE_INVALID' });
    rooms = openRooms({ db, clock });
    await expect(prove(li)).rejects.toMatchObject({ code: 'REGISTER_MISSING' });
    expect(await db.query('SELECT id FROM organisations')).toEqual([]);
  });

  test('of several at the same moment founds one organisation with one representative', async () => {
    const done = await Promise.allSettled([prove(li), prove(li), prove(li)]);
    expect(done.filter((each) => each.status === 'fulfilled').length).toBeGreaterThan(0);
    expect(await db.query('SELECT count(*) AS n FROM organisations')).toEqual([{ n: 1 }]);
    expect(await roles(li)).toEqual(['legal-representative']);
  });

  test('of an organisation that is here already, and that nobody answers for, gives it its representative', async () => {
    const organisation = await rooms.organisations.found(
      { unifiedSocialCreditCode, name: INVENTED.name },
      'system',
    );
    expect(await prove(li)).toMatchObject({ kind: 'founded', organisation: { id: organisation.id } });
  });

  test('names nobody in the log', async () => {
    await prove(li);
    const entries = await db.query('SELECT detail::text AS detail FROM audit_events');
    expect(JSON.stringify(entries)).not.toMatch(
      new RegExp(`${representative.name}|${representative.number}`),
    );
  });
});

/** An organisation with its representative and an administrator. */
async function established() {
  const founded = await prove(li);
  const scope = founded.organisation.id;
  const administrator = await newAccount(db, clock);
  await rooms.organisations.grant(
    { accountId: administrator, organisationId: scope, role: 'administrator' },
    'system',
  );
  return { scope, administrator };
}

describe('a new legal representative', () => {
  test('is confirmed by the register and by a second person who answers for the organisation', async () => {
    const { scope, administrator } = await established();
    const heir = await person(representative);
    const asked = await prove(heir);
    if (asked.kind !== 'requested') throw new Error(asked.kind);
    const { id, digest } = asked.act;
    expect(await roles(heir)).toEqual([]);
    await expect(rooms.dualControl.execute({ scope, id, by: heir })).rejects.toMatchObject({
      code: 'ACT_NOT_APPROVED',
    });
    await expect(rooms.dualControl.approve({ scope, id, digest, by: heir })).rejects.toMatchObject({
      code: 'ACT_OWN',
    });
    await expect(
      rooms.dualControl.approve({ scope, id, digest, by: await newAccount(db, clock) }),
    ).rejects.toMatchObject({ code: 'ACT_FORBIDDEN' });
    await rooms.dualControl.approve({ scope, id, digest, by: administrator });
    await rooms.dualControl.execute({ scope, id, by: heir });
    expect(await roles(heir)).toEqual(['legal-representative']);
    expect(await roles(li)).toEqual([]);
    expect(await db.query('SELECT account_id FROM memberships_ended')).toEqual([{ account_id: li }]);
  });

  test('is asked for by nobody whom the register has not confirmed', async () => {
    const { scope } = await established();
    const stranger = await newAccount(db, clock);
    const [proof] = await db.query<{ id: string }>('SELECT id FROM representative_proofs');
    for (const requestedBy of [stranger, li])
      await expect(
        db.transaction((tx) =>
          rooms.dualControl.request(tx, {
            act: 'organisation.change-representative',
            parameters: { accountId: stranger, proofId: proof?.id ?? '' },
            requestedBy,
            scope,
          }),
        ),
      ).rejects.toMatchObject({ code: 'ACT_FORBIDDEN' });
  });
});

describe('rights of an administrator', () => {
  const ask = (scope: string, requestedBy: string, accountId: AccountId) =>
    db.transaction((tx) =>
      rooms.dualControl.request(tx, {
        act: APPOINT_ADMINISTRATOR,
        parameters: { accountId, unitId: null },
        requestedBy,
        scope,
      }),
    );

  test('are given by two persons, neither of them the one who receives them', async () => {
    const { scope, administrator } = await established();
    const nominee = await newAccount(db, clock);
    const { id, digest } = await ask(scope, li, nominee);
    for (const by of [li, nominee])
      await expect(rooms.dualControl.approve({ scope, id, digest, by })).rejects.toThrow();
    await rooms.dualControl.approve({ scope, id, digest, by: administrator });
    await rooms.dualControl.execute({ scope, id, by: li });
    expect(await roles(nominee)).toEqual(['administrator']);
    await expect(rooms.dualControl.execute({ scope, id, by: li })).rejects.toMatchObject({
      code: 'ACT_OVER',
    });
  });

  test('are given with an operator as the second person, where an organisation has only one', async () => {
    const founded = await prove(li);
    const nominee = await newAccount(db, clock);
    const { id, digest } = await ask(founded.organisation.id, li, nominee);
    const scope = founded.organisation.id;
    await rooms.dualControl.approve({ scope, id, digest, by: 'operator' });
    await rooms.dualControl.execute({ scope, id, by: li });
    expect(await roles(nominee)).toEqual(['administrator']);
  });

  test('are not given on the word of somebody who has lost their own', async () => {
    const { scope, administrator } = await established();
    const nominee = await newAccount(db, clock);
    const { id, digest } = await ask(scope, li, nominee);
    await rooms.dualControl.approve({ scope, id, digest, by: administrator });
    const [membership] = await rooms.organisations.membershipsOf(administrator);
    await rooms.organisations.end(membership?.id ?? '', li);
    await expect(rooms.dualControl.execute({ scope, id, by: li })).rejects.toMatchObject({
      code: 'ACT_NOT_APPROVED',
    });
    expect(await roles(nominee)).toEqual([]);
  });

  test('are not given against the separation of duties', async () => {
    const { scope, administrator } = await established();
    const auditor = await newAccount(db, clock);
    await rooms.organisations.grant(
      { accountId: auditor, organisationId: scope, role: 'auditor' },
      administrator,
    );
    const { id, digest } = await ask(scope, li, auditor);
    await rooms.dualControl.approve({ scope, id, digest, by: administrator });
    await expect(rooms.dualControl.execute({ scope, id, by: li })).rejects.toMatchObject({
      code: 'DUTIES_SEPARATE',
    });
    expect(await roles(auditor)).toEqual(['auditor']);
  });
});
