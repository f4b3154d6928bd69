/**
 * The one way in which anything of an organisation changes. Changes of one organisation follow one another: its row is locked first, so that
 * no two of them together break a rule that each of them keeps, and so that the right of whoever asks still holds when it is used.
 */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { isId, type AccountId, type OrganisationId, type UnitId } from '../platform/ids.ts';
import { gives, type Held, type Right, type Role } from './duties.ts';
import { OrganisationError } from './errors.ts';
import { toOrganisation, type Organisation, type OrganisationRow } from './rows.ts';
import { Tree } from './tree.ts';

/** An organisation, or one of its units. */
export interface Place {
  readonly organisationId: OrganisationId;
  readonly unitId?: UnitId | undefined;
}

/** What a change finds. */
export interface Scene {
  readonly organisation: Organisation;
  /** Of the units that are not closed. */
  readonly tree: Tree;
  /** What whoever asks holds here. Nothing for the program itself. */
  readonly holds: readonly Held[];
  readonly at: Date;
}

export interface Changes {
  /**
   * Runs `work` in one transaction that no other change of the organisation overlaps, after asking whether `actor` may.
   * @param actor An account, whose right is checked and whose refusal is put on record; any other word is the program itself, which may.
   * @throws {OrganisationError} NOT_FOUND_HERE for whoever holds nothing in the organisation, so that nobody can look around;
   * NOT_PERMITTED; UNIT_CLOSED: the place is none; ORGANISATION_NOT_ACTIVE.
   */
  change<T>(
    actor: string,
    right: Right,
    place: Place,
    work: (tx: Queryable, scene: Scene) => Promise<T>,
  ): Promise<T>;
  /**
   * What an account may see in an organisation, place by place.
   * @throws {OrganisationError} NOT_FOUND_HERE for whoever holds nothing in it, which is put on record.
   */
  sight(
    accountId: string,
    organisationId: OrganisationId,
  ): Promise<(right: Right, unitId: UnitId | undefined) => boolean>;
  /** Inside a change: asks for a right in one more place. @throws {OrganisationError} NOT_PERMITTED */
  allow(scene: Scene, actor: string, right: Right, unitId: UnitId | undefined): void;
  /** Whether an account has a right, read under the organisation's lock in the caller's transaction. */
  may(tx: Queryable, accountId: AccountId, right: Right, place: Place): Promise<boolean>;
  /** The same of a unit that is known by its id alone. */
  mayInUnit(tx: Queryable, accountId: AccountId, right: Right, unitId: UnitId): Promise<boolean>;
  /** Asks whether an account may see something. @throws as `change`. */
  require(accountId: string, right: Right, place: Place): Promise<void>;
  /** Locks an organisation and reads what a change needs, in the transaction of a caller who asks for no right. */
  lock(tx: Queryable, organisationId: OrganisationId): Promise<Scene | undefined>;
}

/** Announces that what an account, or everybody in an organisation, may do has become less. */
export async function announceEnd(tx: Queryable, of: AccountId | OrganisationId): Promise<void> {
  await tx.query('SELECT pg_notify($1, $2)', [ENDED, of]);
}
export const ENDED = 'authorities_ended';

/** One answer for what does not exist and for what is somebody else's. */
export function notHere(): OrganisationError {
  return new OrganisationError(
    'NOT_FOUND_HERE',
    'There is nothing at this address, or it is not yours to see.',
  );
}

/** What is put on record of whoever is refused. */
const REFUSALS: ReadonlySet<string> = new Set([
  'NOT_FOUND_HERE',
  'NOT_PERMITTED',
  'ROLE_FOR_ONESELF',
  'TWO_PERSONS_NEEDED',
]);

export function createChanges(parts: { db: Db; clock: Clock; audit: AuditLog }): Changes {
  const { db, clock, audit } = parts;

  async function scene(
    tx: Queryable,
    organisationId: OrganisationId,
    actor: string,
    lock: boolean,
  ): Promise<Scene | undefined> {
    const [row] = await tx.query<OrganisationRow>(
      `SELECT id, unified_social_credit_code, name, kind, region, state FROM organisations WHERE id = $1
       ${lock ? 'FOR NO KEY UPDATE' : ''}`,
      [organisationId],
    );
    if (!row) return undefined;
    const branches = await tx.query<{ id: UnitId; parent_id: UnitId | null }>(
      `SELECT id, parent_id FROM units WHERE organisation_id = $1 AND state = 'active'`,
      [organisationId],
    );
    const holds = isId('acc', actor)
      ? await tx.query<{ role: Role; unit_id: UnitId | null }>(
          'SELECT role, unit_id FROM memberships WHERE account_id = $1 AND organisation_id = $2',
          [actor, organisationId],
        )
      : [];
    return {
      organisation: toOrganisation(row),
      tree: new Tree(branches.map(({ id, parent_id }) => ({ id, parentId: parent_id ?? undefined }))),
      holds: holds.map(({ role, unit_id }) => ({ role, unitId: unit_id ?? undefined })),
      at: clock.now(),
    };
  }

  /** Why somebody may not, or undefined. */
  function refusal(
    found: Scene | undefined,
    actor: string,
    right: Right,
    place: Place,
  ): OrganisationError | undefined {
    const isPerson = isId('acc', actor);
    if (!found || (isPerson && found.holds.length === 0)) return notHere();
    if (isPerson && !gives(found.holds, right, place.unitId, found.tree))
      return new OrganisationError(
        'NOT_PERMITTED',
        'Your roles in the organisation do not give you the right to do this.',
      );
    return undefined;
  }

  const may: Changes['may'] = async (tx, accountId, right, place) => {
    const found = await scene(tx, place.organisationId, accountId, true);
    return found?.organisation.state === 'active' && refusal(found, accountId, right, place) === undefined;
  };

  async function recordRefusal(actor: string, right: Right, place: Place, found: Scene): Promise<void> {
    await db.transaction((tx) =>
      audit.record(tx, {
        type: 'organisation.refused',
        actor,
        subject: place.organisationId,
        detail: { right, unitId: place.unitId ?? null, member: found.holds.length > 0 },
      }),
    );
  }

  return {
    lock: (tx, organisationId) => scene(tx, organisationId, 'system', true),

    async change(actor, right, place, work) {
      let found: Scene | undefined;
      try {
        return await db.transaction(async (tx) => {
          found = await scene(tx, place.organisationId, actor, true);
          const refused = refusal(found, actor, right, place);
          if (refused) throw refused;
          if (!found) throw new TypeError('an organisation that is not there refuses');
          if (place.unitId !== undefined && !found.tree.has(place.unitId))
            throw new OrganisationError('UNIT_CLOSED', 'There is no such unit, or it is closed.');
          if (found.organisation.state !== 'active' && isId('acc', actor))
            throw new OrganisationError(
              'ORGANISATION_NOT_ACTIVE',
              'The organisation is suspended or dissolved.',
            );
          return await work(tx, found);
        });
      } catch (error) {
        if (found && error instanceof OrganisationError && REFUSALS.has(error.code))
          await recordRefusal(actor, right, place, found);
        throw error;
      }
    },

    may,

    async mayInUnit(tx, accountId, right, unitId) {
      const [unit] = await tx.query<{ organisation_id: OrganisationId }>(
        'SELECT organisation_id FROM units WHERE id = $1',
        [unitId],
      );
      return (
        unit !== undefined && may(tx, accountId, right, { organisationId: unit.organisation_id, unitId })
      );
    },

    allow(found, actor, right, unitId) {
      const refused = refusal(found, actor, right, { organisationId: found.organisation.id, unitId });
      if (refused) throw refused;
    },

    async sight(accountId, organisationId) {
      const found = await scene(db, organisationId, accountId, false);
      if (found && found.holds.length > 0)
        return (right, unitId) => gives(found.holds, right, unitId, found.tree);
      if (found) await recordRefusal(accountId, 'see', { organisationId }, found);
      throw notHere();
    },

    async require(accountId, right, place) {
      const found = await scene(db, place.organisationId, accountId, false);
      const refused = refusal(found, accountId, right, place);
      if (!refused) return;
      if (found) await recordRefusal(accountId, right, place, found);
      throw refused;
    },
  };
}
