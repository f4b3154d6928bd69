/**
 * For whom a person may act, and for what. It is asked anew at each use, since a role or a mandate may have ended in between, and what rests
 * on a mandate is put on record for whoever granted it.
 */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import {
  isId,
  newId,
  type AccountId,
  type MandateId,
  type OrganisationId,
  type SealId,
  type UnitId,
} from '../platform/ids.ts';
import { ENDED, type Place } from './changes.ts';
import type { Role } from './duties.ts';
import { OrganisationError } from './errors.ts';
import { mandatesInForce, type Mandate, type MandateFacts } from './mandates.ts';
import { rolesIn, type Membership } from './memberships.ts';
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

/** Whom a person acts for: an organisation, or one of its units; by roles, or by the mandate that is named. */
export interface Acting extends Place {
  readonly mandateId?: MandateId | undefined;
}

/** What an authority is to be used for. `service`: a portal's client_id or the identifier of a resource server (RFC 8707). */
export type Purpose = { readonly service: string } | { readonly sealId: SealId };

/** That a person may act for an organisation or one of its units. */
export interface Authority {
  readonly accountId: AccountId;
  readonly organisation: Organisation;
  readonly unit: Unit | undefined;
  /** What the person is there. Empty where a mandate is the reason. */
  readonly roles: readonly Role[];
  readonly mandate: Mandate | undefined;
  /** The person has a mandate and no role in the organisation: an agent from outside. */
  readonly thirdParty: boolean;
  readonly validFrom: Date;
  /** The first instant at which it is good no more, if that is known. */
  readonly validTo: Date | undefined;
}

/** Whose authority became less: of one account, of everybody in an organisation, or, when word may have been missed, of anybody. */
export type Ended = { readonly accountId: AccountId } | { readonly organisationId: OrganisationId } | 'any';

export interface Authorities {
  /**
   * Every organisation and unit that a person may act for at an instant: one entry for each place where roles are held, one for each
   * mandate. Units that roles reach from above are not listed; `authority` knows them.
   */
  actingFor(accountId: string, at?: Date): Promise<Authority[]>;
  /**
   * Whether a person may act for somebody for a purpose, now. Roles: a service by any role that reaches the place, a seal by a seal officer
   * of its unit. Mandates: services and seals that are named in it, for the place that granted it.
   */
  authority(accountId: string, acting: Acting, purpose: Purpose): Promise<Authority | undefined>;
  /**
   * Asks once more in the caller's transaction, and puts the use of a mandate on record in it. What ends an authority waits for the
   * transaction or is seen by it. Call it before anything is recorded in the audit log, whose lock comes after the organisation's.
   * @throws {OrganisationError} AUTHORITY_MISSING
   */
  use(tx: Queryable, accountId: string, acting: Acting, purpose: Purpose): Promise<Authority>;
  /**
   * For whom a person uses a seal now: as was chosen; without a choice, as an officer of its unit or else by the first mandate that names it.
   */
  actingWithSeal(accountId: string, sealId: SealId, chosen: Acting | undefined): Promise<Acting | undefined>;
  /** The seals that a person may use now: all of some units, and single ones. @param chosen As what: anything, if nothing was chosen. */
  sealsFor(
    accountId: string,
    chosen: Acting | undefined,
  ): Promise<{ readonly unitIds: UnitId[]; readonly sealIds: SealId[] }>;
  /** Calls `handler` in this process whenever, in any process, an authority ended before its time. @returns what stops it. */
  watchEnds(handler: (ended: Ended) => void): Promise<() => Promise<void>>;
}

export function createAuthorities(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  facts: MandateFacts;
  memberships: { membershipsOf(accountId: string): Promise<Membership[]> };
}): Authorities {
  const { db, clock, audit, facts } = parts;

  async function ask(
    q: Queryable,
    accountId: string,
    acting: Acting,
    purpose: Purpose,
  ): Promise<Authority | undefined> {
    if (!isId('acc', accountId)) return undefined;
    const at = clock.now();
    if (acting.mandateId !== undefined) {
      const [mandate] = await mandatesInForce(q, accountId, at, acting.mandateId);
      if (!mandate || mandate.organisation.id !== acting.organisationId || mandate.unit?.id !== acting.unitId)
        return undefined;
      const named =
        'service' in purpose
          ? mandate.services.includes(purpose.service)
          : mandate.seals.includes(purpose.sealId);
      return named ? byMandate(mandate, await hasRoles(q, accountId, mandate.organisation.id)) : undefined;
    }
    const [placed] = await q.query<PlacedRow & UnitColumns>(
      `SELECT ${ORGANISATION_COLUMNS}, ${UNIT_COLUMNS} FROM organisations o
         LEFT JOIN units u ON u.id = $2 AND u.organisation_id = o.id WHERE o.id = $1`,
      [acting.organisationId, acting.unitId ?? null],
    );
    const unit = placed && placedUnit(placed);
    if (!placed || unit?.id !== acting.unitId) return undefined;
    const { roles, since } = await rolesIn(q, accountId, acting);
    const may =
      'service' in purpose
        ? roles.length > 0
        : roles.includes('seal-officer') && (await facts.unitOfSeal(q, purpose.sealId)) === acting.unitId;
    if (!may || since === undefined) return undefined;
    return {
      accountId,
      organisation: placedOrganisation(placed),
      unit,
      roles,
      mandate: undefined,
      thirdParty: false,
      validFrom: since,
      validTo: undefined,
    };
  }

  async function actingFor(accountId: string, at = clock.now()): Promise<Authority[]> {
    if (!isId('acc', accountId)) return [];
    const [memberships, mandates] = await Promise.all([
      parts.memberships.membershipsOf(accountId),
      mandatesInForce(db, accountId, at),
    ]);
    const places = new Map<string, Authority>();
    for (const { organisation, unit, role, since } of memberships) {
      if (organisation.state !== 'active' || (unit && unit.state !== 'active') || since > at) continue;
      const key = unit?.id ?? organisation.id;
      const known = places.get(key);
      places.set(key, {
        accountId,
        organisation,
        unit,
        roles: [...(known?.roles ?? []), role],
        mandate: undefined,
        thirdParty: false,
        validFrom: known?.validFrom ?? since,
        validTo: undefined,
      });
    }
    const within = new Set(memberships.map(({ organisation }) => organisation.id));
    return [
      ...places.values(),
      ...mandates.map((mandate) => byMandate(mandate, within.has(mandate.organisation.id))),
    ];
  }

  return {
    actingFor,

    async actingWithSeal(accountId, sealId, chosen) {
      const candidates = chosen ? [chosen] : (await actingFor(accountId)).map(toActing);
      for (const acting of candidates) if (await ask(db, accountId, acting, { sealId })) return acting;
      return undefined;
    },

    async sealsFor(accountId, chosen) {
      const all = await actingFor(accountId);
      const taken = all.filter((each) => chosen === undefined || isSame(toActing(each), chosen));
      return {
        unitIds: taken.flatMap(({ unit, roles }) => (unit && roles.includes('seal-officer') ? unit.id : [])),
        sealIds: [...new Set(taken.flatMap(({ mandate }) => mandate?.seals ?? []))],
      };
    },

    authority: (accountId, acting, purpose) => ask(db, accountId, acting, purpose),

    async use(tx, accountId, acting, purpose) {
      // Changes of the organisation lock the same row against this.
      await tx.query('SELECT id FROM organisations WHERE id = $1 FOR SHARE', [acting.organisationId]);
      const authority = await ask(tx, accountId, acting, purpose);
      if (!authority)
        throw new OrganisationError(
          'AUTHORITY_MISSING',
          'You may not act for this organisation in this matter, or no longer.',
        );
      const { mandate } = authority;
      if (mandate) {
        const service = 'service' in purpose ? purpose.service : null;
        const sealId = 'sealId' in purpose ? purpose.sealId : null;
        await tx.query(
          'INSERT INTO mandate_uses (id, mandate_id, used_at, service, seal_id) VALUES ($1, $2, $3, $4, $5)',
          [newId('use', clock.now()), mandate.id, clock.now(), service, sealId],
        );
        await audit.record(tx, {
          type: 'mandate.used',
          actor: accountId,
          subject: mandate.id,
          detail: { organisationId: mandate.organisation.id, service, sealId },
        });
      }
      return authority;
    },

    watchEnds: (handler) =>
      db.listen(ENDED, (payload) => {
        if (isId('acc', payload)) handler({ accountId: payload });
        else if (isId('org', payload)) handler({ organisationId: payload });
        else handler('any');
      }),
  };
}

function toActing({ organisation, unit, mandate }: Authority): Acting {
  return { organisationId: organisation.id, unitId: unit?.id, mandateId: mandate?.id };
}

function isSame(one: Acting, other: Acting): boolean {
  return (
    one.organisationId === other.organisationId &&
    one.unitId === other.unitId &&
    one.mandateId === other.mandateId
  );
}

function byMandate(mandate: Mandate, isMember: boolean): Authority {
  return {
    accountId: mandate.agentId,
    organisation: mandate.organisation,
    unit: mandate.unit,
    roles: [],
    mandate,
    thirdParty: !isMember,
    validFrom: mandate.validFrom,
    validTo: mandate.validTo,
  };
}

async function hasRoles(q: Queryable, accountId: string, organisationId: OrganisationId): Promise<boolean> {
  const rows = await q.query(
    'SELECT id FROM memberships WHERE account_id = $1 AND organisation_id = $2 LIMIT 1',
    [accountId, organisationId],
  );
  return rows.length > 0;
}
