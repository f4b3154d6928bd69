/**
 * Mandates (授权): an organisation or one of its units lets an agent (经办人) use named services or seals for a purpose and a time. Who grants
 * it can revoke it at once, and sees every use.
 */
import type { AuditEvents, AuditLog } from '../audit/index.ts';
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
import { announceEnd, notHere, type Changes, type Place } from './changes.ts';
import { DUTIES } from './duties.ts';
import { OrganisationError } from './errors.ts';
import { requireOthers, type Memberships } from './memberships.ts';
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

export interface Mandate {
  readonly id: MandateId;
  readonly organisation: Organisation;
  /** The unit that grants it; without one the organisation does. */
  readonly unit: Unit | undefined;
  readonly agentId: AccountId;
  /** Portals by client_id, resource servers by their identifier (RFC 8707). */
  readonly services: readonly string[];
  readonly seals: readonly SealId[];
  readonly purpose: string;
  readonly validFrom: Date;
  /** The first instant at which it is good no more. */
  readonly validTo: Date;
  readonly grantedBy: string;
  readonly grantedAt: Date;
  readonly revokedAt: Date | undefined;
}

export interface NewMandate extends Place {
  readonly agentId: AccountId;
  readonly services: readonly string[];
  readonly seals: readonly SealId[];
  /** What it is for, 1 to 200 letters. */
  readonly purpose: string;
  /** Absent or past: from now. */
  readonly validFrom?: Date | undefined;
  readonly validTo: Date;
}

export interface MandateUse {
  readonly id: string;
  readonly at: Date;
  readonly service: string | undefined;
  readonly sealId: SealId | undefined;
}

/** What this room asks of rooms that stand beside and above it. */
export interface MandateFacts {
  /** Whether a portal or a resource server has this name. */
  serviceExists(name: string): Promise<boolean>;
  /** The unit whose seal it is. @param q What to ask with: a transaction, where one is open. */
  unitOfSeal(q: Queryable, sealId: SealId): Promise<UnitId | undefined>;
}

type RevokeReason = AuditEvents['mandate.revoked']['reason'];
export interface Page {
  readonly limit: number;
  /** The last one of the page before. */
  readonly after?: string | undefined;
}

export interface Mandates {
  /**
   * @throws {OrganisationError} as `Changes.change`; ROLE_FOR_ONESELF; MANDATE_EMPTY: names nothing, or too much; MANDATE_PERIOD: it ends
   * before it begins, has ended, or is longer than `config/duties.json` lets it be; MANDATE_SERVICE_UNKNOWN; MANDATE_SEAL_UNKNOWN: no seal of
   * the grantor; DUTIES_SEPARATE: the agent keeps, approves or audits where the seal is used.
   */
  grant(mandate: NewMandate, actor: string): Promise<Mandate>;
  /** Ends a mandate at once; again changes nothing. @throws {OrganisationError} as `Changes.change` */
  revoke(id: string, actor: string): Promise<void>;
  /** Lets the agent give it up. @throws {OrganisationError} NOT_FOUND_HERE */
  giveUp(id: string, agentId: AccountId): Promise<void>;
  /** Within a change: revokes every mandate of a place. Without a unit: of the whole organisation. */
  revokeAll(tx: Queryable, place: Place, actor: string, reason: RevokeReason): Promise<void>;
  /** Within a transaction: revokes every mandate of an account that is closed. */
  revokeOfAgent(tx: Queryable, agentId: AccountId): Promise<void>;
  mandate(id: string): Promise<Mandate | undefined>;
  /** What an organisation or one unit has granted, by age; what is over, too. */
  granted(place: Place, page: Page): Promise<Mandate[]>;
  /** What an agent was granted, by age; what is over, too. */
  ofAgent(agentId: string, page: Page): Promise<Mandate[]>;
  /** Every use of a mandate, by age. */
  uses(id: MandateId, page: Page): Promise<MandateUse[]>;
}

interface MandateRow extends PlacedRow, UnitColumns {
  id: MandateId;
  agent_id: AccountId;
  services: string[];
  seals: { sealId: SealId; unitId: UnitId }[];
  purpose: string;
  valid_from: Date;
  valid_to: Date;
  granted_by: string;
  granted_at: Date;
  revoked_at: Date | null;
}

const QUERY = `SELECT d.id, d.agent_id, d.services, d.seals, d.purpose, d.valid_from, d.valid_to, d.granted_by, d.granted_at,
    d.revoked_at, ${ORGANISATION_COLUMNS}, ${UNIT_COLUMNS}
  FROM mandates d JOIN organisations o ON o.id = d.organisation_id LEFT JOIN units u ON u.id = d.unit_id`;
const DAY_MS = 86_400_000;

export function createMandates(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  changes: Changes;
  memberships: Memberships;
  facts: MandateFacts;
}): Mandates {
  const { db, clock, audit, changes, memberships, facts } = parts;

  async function find(id: string): Promise<Mandate | undefined> {
    const [row] = await db.query<MandateRow>(`${QUERY} WHERE d.id = $1`, [id]);
    return row && toMandate(row);
  }

  /** @param condition SQL over `mandates`, with its values. */
  async function revokeWhere(
    tx: Queryable,
    condition: string,
    values: readonly unknown[],
    actor: string,
    reason: RevokeReason,
  ): Promise<void> {
    const n = values.length;
    const revoked = await tx.query<{ id: MandateId; agent_id: AccountId; organisation_id: OrganisationId }>(
      `UPDATE mandates SET revoked_at = $${n + 1}, revoked_by = $${n + 2} WHERE revoked_at IS NULL AND ${condition}
         RETURNING id, agent_id, organisation_id`,
      [...values, clock.now(), actor],
    );
    for (const { agent_id } of revoked) await announceEnd(tx, agent_id);
    for (const { id, organisation_id: organisationId } of revoked)
      await audit.record(tx, {
        type: 'mandate.revoked',
        actor,
        subject: id,
        detail: { organisationId, reason },
      });
  }

  return {
    mandate: find,

    async grant(wanted, actor) {
      const { organisationId, unitId, agentId, purpose } = wanted;
      const services = [...new Set(wanted.services)];
      const seals = [...new Set(wanted.seals)];
      requireNames(services, seals);
      // Who may grant nothing learns nothing of which services and seals there are.
      if (isId('acc', actor)) await changes.require(actor, 'manage-mandates', { organisationId, unitId });
      for (const service of services)
        if (!(await facts.serviceExists(service)))
          throw new OrganisationError('MANDATE_SERVICE_UNKNOWN', 'One of the services does not exist.');
      const id = await changes.change(
        actor,
        'manage-mandates',
        { organisationId, unitId },
        async (tx, scene) => {
          requireOthers(scene, agentId, actor);
          const { at, tree } = scene;
          const validFrom = wanted.validFrom && wanted.validFrom > at ? wanted.validFrom : at;
          requirePeriod(validFrom, wanted.validTo);
          const sealed: MandateRow['seals'] = [];
          for (const sealId of seals) {
            const owner = await facts.unitOfSeal(tx, sealId);
            const isOwn =
              owner !== undefined && tree.has(owner) && (unitId === undefined || owner === unitId);
            if (!isOwn)
              throw new OrganisationError(
                'MANDATE_SEAL_UNKNOWN',
                'One of the seals is none of whoever grants the mandate.',
              );
            sealed.push({ sealId, unitId: owner });
          }
          const mandateId = newId('mdt', at);
          await tx.query(
            `INSERT INTO mandates
               (id, organisation_id, unit_id, agent_id, services, seals, purpose, valid_from, valid_to, granted_by, granted_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
            [
              mandateId,
              organisationId,
              unitId ?? null,
              agentId,
              JSON.stringify(services),
              JSON.stringify(sealed),
              purpose,
              validFrom,
              wanted.validTo,
              actor,
              at,
            ],
          );
          await memberships.requireSeparation(tx, organisationId, tree, agentId);
          await audit.record(tx, {
            type: 'mandate.granted',
            actor,
            subject: mandateId,
            detail: {
              organisationId,
              unitId: unitId ?? null,
              agentId,
              services,
              seals,
              validFrom: validFrom.toISOString(),
              validTo: wanted.validTo.toISOString(),
            },
          });
          return mandateId;
        },
      );
      const made = await find(id);
      if (!made) throw notHere();
      return made;
    },

    async revoke(id, actor) {
      const mandate = await find(id);
      if (!mandate) throw notHere();
      const place = { organisationId: mandate.organisation.id, unitId: mandate.unit?.id };
      await changes.change(actor, 'manage-mandates', place, (tx) =>
        revokeWhere(tx, 'id = $1', [mandate.id], actor, 'revoked'),
      );
    },

    async giveUp(id, agentId) {
      const mandate = await find(id);
      if (mandate?.agentId !== agentId) throw notHere();
      await db.transaction(async (tx) => {
        await changes.lock(tx, mandate.organisation.id);
        await revokeWhere(tx, 'id = $1', [mandate.id], agentId, 'given-up');
      });
    },

    revokeAll: (tx, { organisationId, unitId }, actor, reason) =>
      unitId === undefined
        ? revokeWhere(tx, 'organisation_id = $1', [organisationId], actor, reason)
        : revokeWhere(
            tx,
            // Those of the organisation that name a seal of the unit end with the unit's.
            `organisation_id = $1 AND (unit_id = $2 OR seals @> jsonb_build_array(jsonb_build_object('unitId', $2::text)))`,
            [organisationId, unitId],
            actor,
            reason,
          ),

    async revokeOfAgent(tx, agentId) {
      const organisations = await tx.query<{ organisation_id: OrganisationId }>(
        'SELECT DISTINCT organisation_id FROM mandates WHERE agent_id = $1 AND revoked_at IS NULL ORDER BY organisation_id',
        [agentId],
      );
      for (const { organisation_id } of organisations) await changes.lock(tx, organisation_id);
      await revokeWhere(tx, 'agent_id = $1', [agentId], agentId, 'account-closed');
    },

    async granted({ organisationId, unitId }, { limit, after }) {
      const rows = await db.query<MandateRow>(
        `${QUERY} WHERE d.organisation_id = $1 AND ($2::text IS NULL OR d.unit_id = $2) AND ($3::text IS NULL OR d.id > $3)
          ORDER BY d.id LIMIT $4`,
        [organisationId, unitId ?? null, after ?? null, limit],
      );
      return rows.map(toMandate);
    },

    async ofAgent(agentId, { limit, after }) {
      const rows = await db.query<MandateRow>(
        `${QUERY} WHERE d.agent_id = $1 AND ($2::text IS NULL OR d.id > $2) ORDER BY d.id LIMIT $3`,
        [agentId, after ?? null, limit],
      );
      return rows.map(toMandate);
    },

    async uses(id, { limit, after }) {
      const rows = await db.query<{
        id: string;
        used_at: Date;
        service: string | null;
        seal_id: SealId | null;
      }>(
        `SELECT id, used_at, service, seal_id FROM mandate_uses
          WHERE mandate_id = $1 AND ($2::text IS NULL OR id > $2) ORDER BY id LIMIT $3`,
        [id, after ?? null, limit],
      );
      return rows.map((row) => ({
        id: row.id,
        at: row.used_at,
        service: row.service ?? undefined,
        sealId: row.seal_id ?? undefined,
      }));
    },
  };
}

/** Mandates of an agent that are good at an instant, where organisation and unit are active. */
export async function mandatesInForce(
  q: Queryable,
  agentId: string,
  at: Date,
  id?: MandateId,
): Promise<Mandate[]> {
  const rows = await q.query<MandateRow>(
    `${QUERY} WHERE d.agent_id = $1 AND d.valid_from <= $2 AND d.valid_to > $2 AND (d.revoked_at IS NULL OR d.revoked_at > $2)
       AND ($3::text IS NULL OR d.id = $3) AND o.state = 'active' AND (d.unit_id IS NULL OR u.state = 'active') ORDER BY d.id`,
    [agentId, at, id ?? null],
  );
  return rows.map(toMandate);
}

function requirePeriod(from: Date, to: Date): void {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (!(days > 0) || days > DUTIES.mandates.longestDays)
    throw new OrganisationError(
      'MANDATE_PERIOD',
      `A mandate ends after it begins, in the future, and within ${DUTIES.mandates.longestDays} days.`,
    );
}

function requireNames(services: readonly string[], seals: readonly SealId[]): void {
  const { mandates } = DUTIES;
  if (
    services.length + seals.length === 0 ||
    services.length > mandates.services ||
    seals.length > mandates.seals
  )
    throw new OrganisationError(
      'MANDATE_EMPTY',
      `A mandate names services or seals, and at most ${mandates.services} and ${mandates.seals} of them.`,
    );
}

function toMandate(row: MandateRow): Mandate {
  return {
    id: row.id,
    organisation: placedOrganisation(row),
    unit: placedUnit(row),
    agentId: row.agent_id,
    services: row.services,
    seals: row.seals.map(({ sealId }) => sealId),
    purpose: row.purpose,
    validFrom: row.valid_from,
    validTo: row.valid_to,
    grantedBy: row.granted_by,
    grantedAt: row.granted_at,
    revokedAt: row.revoked_at ?? undefined,
  };
}
