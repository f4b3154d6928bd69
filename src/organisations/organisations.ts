/** Organisations: who they are, and whether they are active. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db, type Queryable } from '../platform/db/db.ts';
import { newId, type OrganisationId } from '../platform/ids.ts';
import { isRegion } from '../platform/regions.ts';
import { announceEnd, notHere, type Changes } from './changes.ts';
import { OrganisationError } from './errors.ts';
import type { Mandates } from './mandates.ts';
import type { Memberships } from './memberships.ts';
import { toOrganisation, type Organisation, type OrganisationRow, type OrganisationState } from './rows.ts';
import {
  divisionOf,
  isUnifiedSocialCreditCode,
  kindOf,
  type OrganisationKind,
} from './unified-social-credit-code.ts';

export interface NewOrganisation {
  readonly unifiedSocialCreditCode: string;
  readonly name: string;
  /** Default: the kind that the code is issued to. */
  readonly kind?: OrganisationKind | undefined;
  /** GB/T 2260. Default: the division that the code names. */
  readonly region?: string | undefined;
}

export interface Registry {
  /** @throws {OrganisationError} CREDIT_CODE_INVALID, REGION_UNKNOWN, ORGANISATION_EXISTS */
  found(organisation: NewOrganisation, actor: string): Promise<Organisation>;
  /** The same in the caller's transaction. @throws {OrganisationError} as `found`; a unique violation where another was quicker. */
  foundIn(tx: Queryable, organisation: NewOrganisation, actor: string): Promise<Organisation>;
  organisation(id: string): Promise<Organisation | undefined>;
  findByCode(unifiedSocialCreditCode: string): Promise<Organisation | undefined>;
  /**
   * Suspends an organisation, makes it active again, or dissolves it for good, with every role and mandate in it. For operators and registers.
   * @throws {OrganisationError} NOT_FOUND_HERE, ORGANISATION_DISSOLVED
   */
  setState(id: OrganisationId, state: OrganisationState, actor: string): Promise<void>;
}

/** Bodies of the whole state are registered by it, and not in a province. */
const WHOLE_STATE = '100000';
const COLUMNS = 'id, unified_social_credit_code, name, kind, region, state';

export function createRegistry(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  changes: Changes;
  memberships: Memberships;
  mandates: Mandates;
}): Registry {
  const { db, clock, audit, changes, memberships, mandates } = parts;

  async function foundIn(tx: Queryable, wanted: NewOrganisation, actor: string): Promise<Organisation> {
    const { unifiedSocialCreditCode, name } = wanted;
    if (!isUnifiedSocialCreditCode(unifiedSocialCreditCode))
      throw new OrganisationError(
        'CREDIT_CODE_INVALID',
        'The unified social credit code is not valid (GB 32100).',
      );
    const region = wanted.region ?? divisionOf(unifiedSocialCreditCode);
    if (!isRegion(region) && region !== WHOLE_STATE)
      throw new OrganisationError('REGION_UNKNOWN', 'The region is none of GB/T 2260.');
    const organisation: Organisation = {
      id: newId('org', clock.now()),
      unifiedSocialCreditCode,
      name,
      kind: wanted.kind ?? kindOf(unifiedSocialCreditCode),
      region,
      state: 'active',
    };
    await tx.query(
      `INSERT INTO organisations (${COLUMNS}, created_at) VALUES ($1, $2, $3, $4, $5, 'active', $6)`,
      [organisation.id, unifiedSocialCreditCode, name, organisation.kind, region, clock.now()],
    );
    await audit.record(tx, {
      type: 'organisation.founded',
      actor,
      subject: organisation.id,
      detail: { unifiedSocialCreditCode },
    });
    return organisation;
  }

  return {
    foundIn,

    async found(wanted, actor) {
      try {
        return await db.transaction((tx) => foundIn(tx, wanted, actor));
      } catch (cause) {
        if (isUniqueViolation(cause)) throw existsAlready(cause);
        throw cause;
      }
    },

    async organisation(id) {
      const [row] = await db.query<OrganisationRow>(`SELECT ${COLUMNS} FROM organisations WHERE id = $1`, [
        id,
      ]);
      return row && toOrganisation(row);
    },

    async findByCode(code) {
      const [row] = await db.query<OrganisationRow>(
        `SELECT ${COLUMNS} FROM organisations WHERE unified_social_credit_code = $1`,
        [code],
      );
      return row && toOrganisation(row);
    },

    async setState(id, state, actor) {
      await db.transaction(async (tx) => {
        const found = await changes.lock(tx, id);
        if (!found) throw notHere();
        if (found.organisation.state === state) return;
        if (found.organisation.state === 'dissolved')
          throw new OrganisationError('ORGANISATION_DISSOLVED', 'The organisation is dissolved, for good.');
        await tx.query('UPDATE organisations SET state = $2 WHERE id = $1', [id, state]);
        if (state !== 'active') await announceEnd(tx, id);
        if (state === 'dissolved') {
          await mandates.revokeAll(tx, { organisationId: id }, actor, 'dissolved');
          await memberships.endAll(tx, { organisationId: id }, actor, 'dissolved');
        }
        await audit.record(tx, {
          type: 'organisation.state-changed',
          actor,
          subject: id,
          detail: { state },
        });
      });
    },
  };
}

export function existsAlready(cause: unknown): OrganisationError {
  return new OrganisationError('ORGANISATION_EXISTS', 'An organisation with this code exists.', { cause });
}
