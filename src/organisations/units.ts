/** The units of an organisation: a tree that is built, moved about and closed. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db } from '../platform/db/db.ts';
import { newId, type OrganisationId, type UnitId } from '../platform/ids.ts';
import { announceEnd, notHere, type Changes } from './changes.ts';
import { DUTIES } from './duties.ts';
import { OrganisationError } from './errors.ts';
import type { Memberships } from './memberships.ts';
import type { Mandates } from './mandates.ts';
import {
  ORGANISATION_COLUMNS,
  placedUnit,
  UNIT_COLUMNS,
  type Organisation,
  type PlacedRow,
  type Unit,
  type UnitColumns,
} from './rows.ts';

export interface Units {
  /**
   * @param parentId The unit that it belongs to.
   * @throws {OrganisationError} as `Changes.change`; UNIT_EXISTS: a sibling has this name; TREE_BEYOND_LIMITS.
   */
  createUnit(
    organisation: Pick<Organisation, 'id'>,
    name: string,
    actor: string,
    parentId?: UnitId,
  ): Promise<Unit>;
  /** A unit, closed ones too. */
  unit(id: UnitId): Promise<Unit | undefined>;
  /** The units that are not closed, by age. */
  units(organisation: Pick<Organisation, 'id'>): Promise<Unit[]>;
  /** @throws {OrganisationError} UNIT_EXISTS */
  renameUnit(id: UnitId, name: string, actor: string): Promise<Unit>;
  /**
   * Puts a unit, with all that is below it, under another or right under the organisation. Whoever moves it manages both places.
   * @throws {OrganisationError} UNIT_CYCLE: it would stand below itself; DUTIES_SEPARATE: somebody's duties would meet; UNIT_EXISTS.
   */
  moveUnit(id: UnitId, parentId: UnitId | undefined, actor: string): Promise<Unit>;
  /** Ends a unit for good, with the roles and mandates in it. @throws {OrganisationError} UNIT_IN_USE: it has sub-units. */
  closeUnit(id: UnitId, actor: string): Promise<void>;
}

const QUERY = `SELECT ${UNIT_COLUMNS}, ${ORGANISATION_COLUMNS} FROM units u JOIN organisations o ON o.id = u.organisation_id`;

export function createUnits(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  changes: Changes;
  memberships: Memberships;
  mandates: Mandates;
}): Units {
  const { db, clock, audit, changes, memberships, mandates } = parts;

  async function find(id: UnitId): Promise<Unit | undefined> {
    const [row] = await db.query<PlacedRow & UnitColumns>(`${QUERY} WHERE u.id = $1`, [id]);
    return row && placedUnit(row);
  }

  /** A unit that is there to be changed. */
  async function open(id: UnitId): Promise<Unit> {
    const unit = await find(id);
    if (!unit) throw notHere();
    return unit;
  }

  async function named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (!isUniqueViolation(cause)) throw cause;
      throw new OrganisationError('UNIT_EXISTS', 'There is a unit of this name beside it.', { cause });
    }
  }

  return {
    createUnit: ({ id: organisationId }, name, actor, parentId) =>
      named(() =>
        changes.change(
          actor,
          'manage-units',
          { organisationId, unitId: parentId },
          async (tx, { organisation, tree }) => {
            const id = newId('unit', clock.now());
            const grown = tree.withParent(id, parentId);
            if (grown.pathOf(id).length > DUTIES.tree.deepest || grown.size > DUTIES.tree.units)
              throw new OrganisationError(
                'TREE_BEYOND_LIMITS',
                'The organisation has too many units, or too deep a tree.',
              );
            await tx.query(
              'INSERT INTO units (id, organisation_id, parent_id, name, created_at) VALUES ($1, $2, $3, $4, $5)',
              [id, organisationId, parentId ?? null, name, clock.now()],
            );
            await audit.record(tx, {
              type: 'unit.created',
              actor,
              subject: id,
              detail: { organisationId, parentId: parentId ?? null },
            });
            return { id, organisation, name, parentId, state: 'active' };
          },
        ),
      ),

    unit: find,

    async units({ id }) {
      const rows = await db.query<PlacedRow & UnitColumns>(
        `${QUERY} WHERE o.id = $1 AND u.state = 'active' ORDER BY u.id`,
        [id],
      );
      return rows.flatMap((row) => placedUnit(row) ?? []);
    },

    async renameUnit(id, name, actor) {
      const unit = await open(id);
      const organisationId = unit.organisation.id;
      return named(() =>
        changes.change(actor, 'manage-units', { organisationId, unitId: id }, async (tx) => {
          await tx.query('UPDATE units SET name = $2 WHERE id = $1', [id, name]);
          await audit.record(tx, { type: 'unit.renamed', actor, subject: id, detail: { organisationId } });
          return { ...unit, name };
        }),
      );
    },

    async moveUnit(id, parentId, actor) {
      const unit = await open(id);
      const organisationId = unit.organisation.id;
      return named(() =>
        changes.change(actor, 'manage-units', { organisationId, unitId: id }, async (tx, scene) => {
          changes.allow(scene, actor, 'manage-units', parentId);
          if (parentId !== undefined && !scene.tree.has(parentId))
            throw new OrganisationError(
              'UNIT_CLOSED',
              'There is no such unit to move it to, or it is closed.',
            );
          if (parentId !== undefined && scene.tree.isWithin(parentId, id))
            throw new OrganisationError('UNIT_CYCLE', 'A unit cannot stand below itself.');
          const moved = scene.tree.withParent(id, parentId);
          if (moved.depth() > DUTIES.tree.deepest)
            throw new OrganisationError('TREE_BEYOND_LIMITS', 'The tree of units would be too deep.');
          await tx.query('UPDATE units SET parent_id = $2 WHERE id = $1', [id, parentId ?? null]);
          // What reaches down from above reaches other units now.
          await memberships.requireSeparation(tx, organisationId, moved);
          await announceEnd(tx, organisationId);
          await audit.record(tx, {
            type: 'unit.moved',
            actor,
            subject: id,
            detail: { organisationId, parentId: parentId ?? null },
          });
          return { ...unit, parentId };
        }),
      );
    },

    async closeUnit(id, actor) {
      const unit = await open(id);
      const organisationId: OrganisationId = unit.organisation.id;
      if (unit.state === 'closed') throw new OrganisationError('UNIT_CLOSED', 'The unit is closed.');
      await changes.change(actor, 'manage-units', { organisationId, unitId: id }, async (tx, { tree }) => {
        if (tree.below(id).length > 1)
          throw new OrganisationError(
            'UNIT_IN_USE',
            'The unit has units below it. Move or close them first.',
          );
        await tx.query(`UPDATE units SET state = 'closed', closed_at = $2 WHERE id = $1`, [id, clock.now()]);
        await mandates.revokeAll(tx, { organisationId, unitId: id }, actor, 'unit-closed');
        await memberships.endAll(tx, { organisationId, unitId: id }, actor, 'unit-closed');
        await audit.record(tx, { type: 'unit.closed', actor, subject: id, detail: { organisationId } });
      });
    },
  };
}
