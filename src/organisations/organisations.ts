/** Organisations, their tree of units, and who holds which role in a unit. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db, type Queryable } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';
import { newId, type AccountId, type OrganisationId, type UnitId } from '../platform/ids.ts';
import { isUnifiedSocialCreditCode } from './unified-social-credit-code.ts';

export class OrganisationError extends AppError<
  'CREDIT_CODE_INVALID' | 'ORGANISATION_EXISTS' | 'UNIT_EXISTS'
> {}

/** `seal-officer` (用印): may use the seals of the unit. */
export type Role = 'seal-officer';

export interface Organisation {
  readonly id: OrganisationId;
  readonly unifiedSocialCreditCode: string;
  readonly name: string;
}

export interface Unit {
  readonly id: UnitId;
  readonly organisation: Organisation;
  readonly name: string;
}

export interface Membership {
  readonly unit: Unit;
  readonly role: Role;
}

export interface Organisations {
  /** @throws {OrganisationError} CREDIT_CODE_INVALID, ORGANISATION_EXISTS */
  found(
    organisation: { unifiedSocialCreditCode: string; name: string },
    actor: string,
  ): Promise<Organisation>;
  findByCode(unifiedSocialCreditCode: string): Promise<Organisation | undefined>;
  /** @throws {OrganisationError} UNIT_EXISTS: the organisation has a unit of this name. */
  createUnit(organisation: Organisation, name: string, actor: string): Promise<Unit>;
  unit(id: UnitId): Promise<Unit | undefined>;
  units(organisation: Organisation): Promise<Unit[]>;
  /** Grants a role; granting it again changes nothing. */
  grant(membership: { accountId: AccountId; unitId: UnitId; role: Role }, actor: string): Promise<void>;
  /** The roles that an account holds in a unit now. */
  rolesOf(accountId: string, unitId: UnitId): Promise<Role[]>;
  /** The units in which an account holds a role. */
  unitsOf(accountId: string, role: Role): Promise<UnitId[]>;
  /** What an account is in which organisation, by age. */
  membershipsOf(accountId: string): Promise<Membership[]>;
  /** Lets an account take over the roles of another that is closed into it. */
  moveMemberships(tx: Queryable, from: AccountId, into: AccountId): Promise<void>;
}

interface UnitRow {
  id: UnitId;
  name: string;
  organisation_id: OrganisationId;
  unified_social_credit_code: string;
  organisation_name: string;
}

const UNIT_QUERY = `SELECT u.id, u.name, o.id AS organisation_id, o.unified_social_credit_code, o.name AS organisation_name
  FROM units u JOIN organisations o ON o.id = u.organisation_id`;

export function createOrganisations(parts: { db: Db; clock: Clock; audit: AuditLog }): Organisations {
  const { db, clock, audit } = parts;
  return {
    async found({ unifiedSocialCreditCode, name }, actor) {
      if (!isUnifiedSocialCreditCode(unifiedSocialCreditCode))
        throw new OrganisationError(
          'CREDIT_CODE_INVALID',
          'The unified social credit code is not valid (GB 32100).',
        );
      const organisation: Organisation = { id: newId('org', clock.now()), unifiedSocialCreditCode, name };
      try {
        await db.transaction(async (tx) => {
          await tx.query(
            `INSERT INTO organisations (id, unified_social_credit_code, name, state, created_at) VALUES ($1, $2, $3, 'active', $4)`,
            [organisation.id, unifiedSocialCreditCode, name, clock.now()],
          );
          await audit.record(tx, {
            type: 'organisation.founded',
            actor,
            subject: organisation.id,
            detail: { unifiedSocialCreditCode },
          });
        });
      } catch (cause) {
        if (isUniqueViolation(cause))
          throw new OrganisationError('ORGANISATION_EXISTS', 'An organisation with this code exists.', {
            cause,
          });
        throw cause;
      }
      return organisation;
    },

    async findByCode(code) {
      const [row] = await db.query<{ id: OrganisationId; name: string }>(
        'SELECT id, name FROM organisations WHERE unified_social_credit_code = $1',
        [code],
      );
      return row && { id: row.id, unifiedSocialCreditCode: code, name: row.name };
    },

    async createUnit(organisation, name, actor) {
      const unit: Unit = { id: newId('unit', clock.now()), organisation, name };
      try {
        await db.transaction(async (tx) => {
          await tx.query(
            'INSERT INTO units (id, organisation_id, name, created_at) VALUES ($1, $2, $3, $4)',
            [unit.id, organisation.id, name, clock.now()],
          );
          await audit.record(tx, {
            type: 'unit.created',
            actor,
            subject: unit.id,
            detail: { organisationId: organisation.id },
          });
        });
      } catch (cause) {
        if (isUniqueViolation(cause))
          throw new OrganisationError('UNIT_EXISTS', 'The organisation has a unit of this name.', { cause });
        throw cause;
      }
      return unit;
    },

    async unit(id) {
      const [row] = await db.query<UnitRow>(`${UNIT_QUERY} WHERE u.id = $1`, [id]);
      return row && toUnit(row);
    },

    async units(organisation) {
      const rows = await db.query<UnitRow>(`${UNIT_QUERY} WHERE o.id = $1 ORDER BY u.id`, [organisation.id]);
      return rows.map(toUnit);
    },

    async grant({ accountId, unitId, role }, actor) {
      await db.transaction(async (tx) => {
        const added = await tx.query(
          `INSERT INTO memberships (account_id, unit_id, role, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING account_id`,
          [accountId, unitId, role, clock.now()],
        );
        if (added.length > 0)
          await audit.record(tx, {
            type: 'membership.granted',
            actor,
            subject: unitId,
            detail: { accountId, role },
          });
      });
    },

    async rolesOf(accountId, unitId) {
      const rows = await db.query<{ role: Role }>(
        'SELECT role FROM memberships WHERE account_id = $1 AND unit_id = $2',
        [accountId, unitId],
      );
      return rows.map((row) => row.role);
    },

    async unitsOf(accountId, role) {
      const rows = await db.query<{ unit_id: UnitId }>(
        'SELECT unit_id FROM memberships WHERE account_id = $1 AND role = $2 ORDER BY unit_id',
        [accountId, role],
      );
      return rows.map((row) => row.unit_id);
    },

    async membershipsOf(accountId) {
      const rows = await db.query<UnitRow & { role: Role }>(
        `SELECT u.id, u.name, o.id AS organisation_id, o.unified_social_credit_code, o.name AS organisation_name, m.role
           FROM memberships m JOIN units u ON u.id = m.unit_id JOIN organisations o ON o.id = u.organisation_id
          WHERE m.account_id = $1 AND o.state = 'active' ORDER BY m.created_at, m.unit_id, m.role`,
        [accountId],
      );
      return rows.map((row) => ({ unit: toUnit(row), role: row.role }));
    },

    async moveMemberships(tx, from, into) {
      await tx.query(
        `INSERT INTO memberships (account_id, unit_id, role, created_at)
           SELECT $2, unit_id, role, created_at FROM memberships WHERE account_id = $1 ON CONFLICT DO NOTHING`,
        [from, into],
      );
      await tx.query('DELETE FROM memberships WHERE account_id = $1', [from]);
    },
  };
}

function toUnit(row: UnitRow): Unit {
  return {
    id: row.id,
    name: row.name,
    organisation: {
      id: row.organisation_id,
      unifiedSocialCreditCode: row.unified_social_credit_code,
      name: row.organisation_name,
    },
  };
}
