/** Who holds which role where. A role begins, is moved when two accounts become one, and ends; what has ended is kept as a record. */
import type { AuditEvents, AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import {
  newId,
  type AccountId,
  type MembershipId,
  type OrganisationId,
  type UnitId,
} from '../platform/ids.ts';
import { announceEnd, notHere, type Changes, type Place, type Scene } from './changes.ts';
import { canBeHeldOn, conflictAmong, DUTIES, type Held, type Role } from './duties.ts';
import { OrganisationError } from './errors.ts';
import {
  ORGANISATION_COLUMNS,
  placedOrganisation,
  placedUnit,
  UNIT_COLUMNS,
  type Organisation,
  type PlacedRow,
  type Unit,
  type UnitColumns,
} from './rows.ts';
import type { Tree } from './tree.ts';

export interface Membership {
  readonly id: MembershipId;
  readonly accountId: AccountId;
  readonly organisation: Organisation;
  /** Without it the role is held on the organisation. */
  readonly unit: Unit | undefined;
  readonly role: Role;
  readonly since: Date;
}

/** A role to be held on a unit, or on a whole organisation. */
export type Appointment = { readonly accountId: AccountId; readonly role: Role } & (
  { readonly unitId: UnitId } | { readonly organisationId: OrganisationId; readonly unitId?: undefined }
);

type EndReason = AuditEvents['membership.ended']['reason'];

export interface Memberships {
  /**
   * Grants a role; granting it again changes nothing.
   * @throws {OrganisationError} as `Changes.change`; TWO_PERSONS_NEEDED: the role is granted by an act of two persons alone;
   * ROLE_FOR_ONESELF; ROLE_PLACE: the role is not held on such a place; ROLE_HELD: another is the legal representative; DUTIES_SEPARATE.
   */
  grant(appointment: Appointment, actor: string): Promise<Membership>;
  /** Within a change: grants without asking for a right. @throws {OrganisationError} ROLE_PLACE, ROLE_HELD, DUTIES_SEPARATE */
  appoint(tx: Queryable, scene: Scene, appointment: Appointment, actor: string): Promise<MembershipId>;
  /**
   * Ends a role; of several who end it at once one does, and the others are told that there is none. Nobody ends the legal representative:
   * a new one takes the place.
   * @throws {OrganisationError} as `Changes.change`; TWO_PERSONS_NEEDED
   */
  end(id: string, actor: string): Promise<void>;
  /** Lets whoever holds a role give it up. @throws {OrganisationError} NOT_FOUND_HERE, TWO_PERSONS_NEEDED */
  giveUp(id: string, accountId: AccountId): Promise<void>;
  /** Within a change: ends every role in a place. Without a unit: in the whole organisation. */
  endAll(tx: Queryable, place: Place, actor: string, reason: EndReason): Promise<void>;
  /** Within a change: ends the role of the legal representative, for another who takes the place. */
  endRepresentative(tx: Queryable, organisationId: OrganisationId, actor: string): Promise<void>;
  /** Within a change: ends one role. @returns whether it was there. */
  endOne(tx: Queryable, id: MembershipId, actor: string, reason: EndReason): Promise<boolean>;
  membership(id: string): Promise<Membership | undefined>;
  /** Who holds what in an organisation or in one unit of it, by age. @param page.after The last one of the page before. */
  members(
    place: Place,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<Membership[]>;
  /** The roles that an account has in a unit now: held on it, or reaching it from above. None where unit or organisation is not active. */
  rolesOf(accountId: string, unitId: UnitId): Promise<Role[]>;
  /** The units on which an account holds a role now. */
  unitsOf(accountId: string, role: Role): Promise<UnitId[]>;
  /** What an account holds, by age; in suspended organisations too. */
  membershipsOf(accountId: string): Promise<Membership[]>;
  /** Lets an account take over the roles and mandates of another that is closed into it, as far as duties stay separate; the rest ends. */
  moveMemberships(tx: Queryable, from: AccountId, into: AccountId): Promise<void>;
  /** Within a change: whether nobody's duties meet in this tree. @throws {OrganisationError} DUTIES_SEPARATE */
  requireSeparation(
    tx: Queryable,
    organisationId: OrganisationId,
    tree: Tree,
    accountId?: AccountId,
  ): Promise<void>;
}

interface MembershipRow extends PlacedRow, UnitColumns {
  id: MembershipId;
  account_id: AccountId;
  role: Role;
  created_at: Date;
}

const QUERY = `SELECT m.id, m.account_id, m.role, m.created_at, ${ORGANISATION_COLUMNS}, ${UNIT_COLUMNS}
  FROM memberships m JOIN organisations o ON o.id = m.organisation_id LEFT JOIN units u ON u.id = m.unit_id`;

export function createMemberships(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  changes: Changes;
}): Memberships {
  const { db, clock, audit, changes } = parts;

  async function find(id: string): Promise<Membership | undefined> {
    const [row] = await db.query<MembershipRow>(`${QUERY} WHERE m.id = $1`, [id]);
    return row && toMembership(row);
  }

  async function requireSeparation(
    tx: Queryable,
    organisationId: OrganisationId,
    tree: Tree,
    accountId?: AccountId,
  ): Promise<void> {
    const duties = await dutiesOf(tx, organisationId, clock.now(), accountId);
    for (const holds of duties.values())
      if (conflictAmong(holds, tree))
        throw new OrganisationError(
          'DUTIES_SEPARATE',
          'One person would have duties that are to be separate: system, security and audit, or keeping, using and approving.',
        );
  }

  async function appoint(
    tx: Queryable,
    scene: Scene,
    { accountId, role, unitId }: Appointment,
    actor: string,
  ): Promise<MembershipId> {
    const organisationId = scene.organisation.id;
    if (!canBeHeldOn(role, unitId))
      throw new OrganisationError(
        'ROLE_PLACE',
        'This role is not held on an organisation, or not on a unit.',
      );
    const id = newId('mbr', clock.now());
    const [added] = await tx.query<{ id: MembershipId }>(
      `INSERT INTO memberships (id, account_id, organisation_id, unit_id, role, granted_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
      [id, accountId, organisationId, unitId ?? null, role, actor, scene.at],
    );
    if (!added) {
      const [held] = await tx.query<{ id: MembershipId }>(
        `SELECT id FROM memberships WHERE account_id = $1 AND organisation_id = $2 AND coalesce(unit_id, '') = $3 AND role = $4`,
        [accountId, organisationId, unitId ?? '', role],
      );
      if (held) return held.id;
      throw new OrganisationError('ROLE_HELD', 'The organisation has a legal representative.');
    }
    await requireSeparation(tx, organisationId, scene.tree, accountId);
    await audit.record(tx, {
      type: 'membership.granted',
      actor,
      subject: unitId ?? organisationId,
      detail: { membershipId: id, organisationId, accountId, role },
    });
    return id;
  }

  /** Ends what the condition names, each with its entry. @param condition SQL over `memberships`, with its values. */
  async function endWhere(
    tx: Queryable,
    condition: string,
    values: readonly unknown[],
    actor: string,
    reason: EndReason,
  ): Promise<number> {
    const at = clock.now();
    const ended = await tx.query<{
      id: MembershipId;
      account_id: AccountId;
      organisation_id: OrganisationId;
      unit_id: UnitId | null;
      role: Role;
    }>(
      `WITH gone AS (
         DELETE FROM memberships WHERE ${condition}
           RETURNING id, account_id, organisation_id, unit_id, role, granted_by, created_at)
       INSERT INTO memberships_ended
           (id, account_id, organisation_id, unit_id, role, granted_by, created_at, ended_at, ended_by)
         SELECT id, account_id, organisation_id, unit_id, role, granted_by, created_at,
                $${values.length + 1}::timestamptz, $${values.length + 2} FROM gone
         RETURNING id, account_id, organisation_id, unit_id, role`,
      [...values, at, actor],
    );
    for (const { account_id } of ended) await announceEnd(tx, account_id);
    for (const { id, account_id: accountId, organisation_id: organisationId, unit_id, role } of ended)
      await audit.record(tx, {
        type: 'membership.ended',
        actor,
        subject: unit_id ?? organisationId,
        detail: { membershipId: id, organisationId, accountId, role, reason },
      });
    return ended.length;
  }

  const endOne: Memberships['endOne'] = async (tx, id, actor, reason) =>
    (await endWhere(tx, 'id = $1', [id], actor, reason)) > 0;

  return {
    requireSeparation,
    appoint,
    endOne,
    membership: find,

    async grant(appointment, actor) {
      const place = await placeOf(db, appointment);
      const { accountId, role, unitId } = appointment;
      const id = await changes.change(actor, 'manage-members', place, async (tx, scene) => {
        requireOthers(scene, accountId, actor);
        if (actor.startsWith('acc_') && DUTIES.twoPersons.includes(role)) throw twoPersons();
        return appoint(tx, scene, unitId === undefined ? { ...appointment, ...place } : appointment, actor);
      });
      const made = await find(id);
      if (!made) throw notHere();
      return made;
    },

    async end(id, actor) {
      const membership = await find(id);
      if (!membership) throw notHere();
      const place = { organisationId: membership.organisation.id, unitId: membership.unit?.id };
      await changes.change(actor, 'manage-members', place, async (tx) => {
        if (membership.role === 'legal-representative') throw twoPersons();
        if (!(await endOne(tx, membership.id, actor, 'ended'))) throw notHere();
      });
    },

    async giveUp(id, accountId) {
      const membership = await find(id);
      if (membership?.accountId !== accountId) throw notHere();
      if (membership.role === 'legal-representative') throw twoPersons();
      await db.transaction(async (tx) => {
        await changes.lock(tx, membership.organisation.id);
        if (!(await endOne(tx, membership.id, accountId, 'given-up'))) throw notHere();
      });
    },

    async endRepresentative(tx, organisationId, actor) {
      await endWhere(
        tx,
        `organisation_id = $1 AND role = 'legal-representative'`,
        [organisationId],
        actor,
        'replaced',
      );
    },

    async endAll(tx, { organisationId, unitId }, actor, reason) {
      await (unitId === undefined
        ? endWhere(tx, 'organisation_id = $1', [organisationId], actor, reason)
        : endWhere(tx, 'organisation_id = $1 AND unit_id = $2', [organisationId, unitId], actor, reason));
    },

    async members({ organisationId, unitId }, { limit, after }) {
      const rows = await db.query<MembershipRow>(
        `${QUERY} WHERE m.organisation_id = $1 AND ($2::text IS NULL OR m.unit_id = $2) AND ($3::text IS NULL OR m.id > $3)
          ORDER BY m.id LIMIT $4`,
        [organisationId, unitId ?? null, after ?? null, limit],
      );
      return rows.map(toMembership);
    },

    async rolesOf(accountId, unitId) {
      const rows = await db.query<HeldRow>(ROLES_IN_UNIT, [accountId, unitId]);
      return rolesOfRows(reaching(rows, unitId));
    },

    async unitsOf(accountId, role) {
      const rows = await db.query<{ unit_id: UnitId }>(
        `SELECT m.unit_id FROM memberships m JOIN units u ON u.id = m.unit_id JOIN organisations o ON o.id = m.organisation_id
          WHERE m.account_id = $1 AND m.role = $2 AND u.state = 'active' AND o.state = 'active' ORDER BY m.unit_id`,
        [accountId, role],
      );
      return rows.map((row) => row.unit_id);
    },

    async membershipsOf(accountId) {
      const rows = await db.query<MembershipRow>(
        `${QUERY} WHERE m.account_id = $1 ORDER BY m.created_at, m.unit_id, m.role`,
        [accountId],
      );
      return rows.map(toMembership);
    },

    async moveMemberships(tx, from, into) {
      const organisations = await tx.query<{ organisation_id: OrganisationId }>(
        `SELECT organisation_id FROM memberships WHERE account_id = $1
         UNION SELECT organisation_id FROM mandates WHERE agent_id = $1 ORDER BY organisation_id`,
        [from],
      );
      // All of them first: what is recorded holds the log, which whoever changes an organisation waits for.
      const scenes: Scene[] = [];
      for (const { organisation_id } of organisations) {
        const scene = await changes.lock(tx, organisation_id);
        if (scene) scenes.push(scene);
      }
      for (const { organisation, tree, at } of scenes) {
        const holds = (await dutiesOf(tx, organisation.id, at, into)).get(into) ?? [];
        const moving = await tx.query<{ id: MembershipId; role: Role; unit_id: UnitId | null }>(
          'SELECT id, role, unit_id FROM memberships WHERE account_id = $1 AND organisation_id = $2 ORDER BY id',
          [from, organisation.id],
        );
        for (const { id, role, unit_id } of moving) {
          const held: Held = { role, unitId: unit_id ?? undefined };
          const twice = holds.some((each) => each.role === role && each.unitId === held.unitId);
          if (twice) await endOne(tx, id, 'system', 'merged');
          else if (conflictAmong([...holds, held], tree)) await endOne(tx, id, 'system', 'separate-duties');
          else {
            await tx.query('UPDATE memberships SET account_id = $2 WHERE id = $1', [id, into]);
            holds.push(held);
          }
        }
        const mandates = await tx.query<{ id: string; seals: { unitId: UnitId }[] }>(
          'SELECT id, seals FROM mandates WHERE agent_id = $1 AND organisation_id = $2 AND revoked_at IS NULL ORDER BY id',
          [from, organisation.id],
        );
        for (const { id, seals } of mandates) {
          const duties = seals.map(({ unitId }): Held => ({ role: 'seal-officer', unitId }));
          if (conflictAmong([...holds, ...duties], tree)) {
            await tx.query('UPDATE mandates SET revoked_at = $2, revoked_by = $3 WHERE id = $1', [
              id,
              at,
              'system',
            ]);
            await audit.record(tx, {
              type: 'mandate.revoked',
              actor: 'system',
              subject: id,
              detail: { organisationId: organisation.id, reason: 'separate-duties' },
            });
          } else holds.push(...duties);
        }
      }
      await tx.query('UPDATE mandates SET agent_id = $2 WHERE agent_id = $1', [from, into]);
      await announceEnd(tx, from);
    },
  };
}

/** Roles held on a unit, on one above it or on its organisation ($1 account, $2 unit), where all of it is active. */
const ROLES_IN_UNIT = `WITH RECURSIVE path AS (
    SELECT u.id, u.parent_id, u.organisation_id FROM units u JOIN organisations o ON o.id = u.organisation_id
     WHERE u.id = $2 AND u.state = 'active' AND o.state = 'active'
    UNION SELECT u.id, u.parent_id, u.organisation_id FROM units u JOIN path ON u.id = path.parent_id)
  SELECT m.role, m.unit_id, m.created_at FROM memberships m
   WHERE m.account_id = $1 AND m.organisation_id = (SELECT organisation_id FROM path LIMIT 1)
     AND (m.unit_id IS NULL OR m.unit_id IN (SELECT id FROM path))`;

interface HeldRow {
  role: Role;
  unit_id: UnitId | null;
  created_at: Date;
}

/** @param rows Roles on the path from a unit up to its organisation. */
function reaching(rows: readonly HeldRow[], unitId: UnitId): HeldRow[] {
  return rows.filter((row) => row.unit_id === unitId || DUTIES.roles[row.role].reaches === 'below');
}

function rolesOfRows(rows: readonly HeldRow[]): Role[] {
  return [...new Set(rows.map(({ role }) => role))];
}

/** The roles that an account has in a place now, and since when it has the first of them, read by `q`. */
export async function rolesIn(
  q: Queryable,
  accountId: string,
  { organisationId, unitId }: Place,
): Promise<{ roles: Role[]; since: Date | undefined }> {
  const rows =
    unitId === undefined
      ? await q.query<HeldRow>(
          `SELECT m.role, m.unit_id, m.created_at FROM memberships m JOIN organisations o ON o.id = m.organisation_id
            WHERE m.account_id = $1 AND m.organisation_id = $2 AND m.unit_id IS NULL AND o.state = 'active' ORDER BY m.role`,
          [accountId, organisationId],
        )
      : reaching(await q.query<HeldRow>(ROLES_IN_UNIT, [accountId, unitId]), unitId);
  const [first, ...others] = rows.map(({ created_at }) => created_at);
  const since = others.reduce((earliest, at) => (earliest && at < earliest ? at : earliest), first);
  return { roles: rolesOfRows(rows), since };
}

/** What each account has to do in an organisation: its roles, and the seals that mandates let it use, which is an officer's duty. */
async function dutiesOf(
  tx: Queryable,
  organisationId: OrganisationId,
  at: Date,
  accountId?: AccountId,
): Promise<Map<AccountId, Held[]>> {
  const rows = await tx.query<{ account_id: AccountId; role: Role; unit_id: UnitId | null }>(
    `SELECT account_id, role, unit_id FROM memberships
      WHERE organisation_id = $1 AND ($2::text IS NULL OR account_id = $2)
     UNION ALL
     SELECT d.agent_id, 'seal-officer', s ->> 'unitId' FROM mandates d CROSS JOIN jsonb_array_elements(d.seals) s
      WHERE d.organisation_id = $1 AND ($2::text IS NULL OR d.agent_id = $2) AND d.revoked_at IS NULL AND d.valid_to > $3`,
    [organisationId, accountId ?? null, at],
  );
  const duties = new Map<AccountId, Held[]>();
  for (const { account_id, role, unit_id } of rows)
    duties.set(account_id, [...(duties.get(account_id) ?? []), { role, unitId: unit_id ?? undefined }]);
  return duties;
}

async function placeOf(db: Queryable, appointment: Appointment): Promise<Place> {
  if (appointment.unitId === undefined) return { organisationId: appointment.organisationId };
  const [unit] = await db.query<{ organisation_id: OrganisationId }>(
    'SELECT organisation_id FROM units WHERE id = $1',
    [appointment.unitId],
  );
  if (!unit) throw notHere();
  return { organisationId: unit.organisation_id, unitId: appointment.unitId };
}

/** Nobody appoints themselves, unless they are the one who answers for the organisation. @throws {OrganisationError} ROLE_FOR_ONESELF */
export function requireOthers(scene: Scene, accountId: AccountId, actor: string): void {
  if (accountId !== actor || scene.holds.some(({ role }) => DUTIES.appointThemselves.includes(role))) return;
  throw new OrganisationError('ROLE_FOR_ONESELF', 'Nobody gives a role or a mandate to themselves.');
}

function twoPersons(): OrganisationError {
  return new OrganisationError(
    'TWO_PERSONS_NEEDED',
    'This takes two persons: ask for it, and another approves it.',
  );
}

function toMembership(row: MembershipRow): Membership {
  return {
    id: row.id,
    accountId: row.account_id,
    organisation: placedOrganisation(row),
    unit: placedUnit(row),
    role: row.role,
    since: row.created_at,
  };
}
