/**
 * Acts that need two persons. One asks, others approve the very words (RFC 8785, SHA-256), and the act is done once, in the transaction
 * that takes it.
 */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Transaction } from '../platform/db/db.ts';
import { newId, type ActId } from '../platform/ids.ts';
import type { Act, Json } from './act.ts';
import { DualControlError } from './errors.ts';

/** `expired`: asked for, and not done in time. */
export type ActState = 'requested' | 'executed' | 'refused' | 'withdrawn' | 'expired';

export interface ActRecord {
  readonly id: ActId;
  readonly act: string;
  readonly scope: string;
  readonly parameters: Json;
  /** SHA-256 of the canonical JSON of the act (see {@link canonicalAct}), hex: what an approval names. */
  readonly digest: string;
  readonly state: ActState;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly expiresAt: Date;
  readonly approvalsNeeded: number;
  readonly approvers: readonly string[];
}

export interface ActRequest {
  /** One of the kinds that the door was made with. */
  readonly act: string;
  /** JSON; no secret and nothing personal, since people read it and the database keeps it. */
  readonly parameters: Json;
  readonly requestedBy: string;
  /** Whose matter it is: a unit, an organisation, or `provider`. */
  readonly scope: string;
  /** How many others must approve. Default 1, at most 10. */
  readonly approvals?: number;
  /** Until when it can be done. Default a day, at most 30. */
  readonly expiresAt?: Date;
}

export interface DualControl {
  /** Asks, in the caller's transaction. @throws {DualControlError} ACT_PARAMETERS, ACT_FORBIDDEN. */
  request(tx: Transaction, request: ActRequest): Promise<ActRecord>;
  /**
   * @param approval.digest Of what the approver saw.
   * @throws {DualControlError} ACT_NOT_FOUND, ACT_OVER, ACT_DIFFERS, ACT_OWN, ACT_FORBIDDEN, ACT_APPROVED_BEFORE.
   */
  approve(approval: { scope: string; id: string; by: string; digest: string }): Promise<ActRecord>;
  /** Ends it without effect. @throws {DualControlError} ACT_NOT_FOUND, ACT_OVER, ACT_FORBIDDEN. */
  refuse(refusal: { scope: string; id: string; by: string }): Promise<ActRecord>;
  /** Who asked takes it back. @throws {DualControlError} ACT_NOT_FOUND, ACT_OVER, ACT_FORBIDDEN. */
  withdraw(withdrawal: { scope: string; id: string; by: string }): Promise<ActRecord>;
  /**
   * Does it, once: whoever asked or may approve can say so, when enough have approved.
   * @returns what its kind returned.
   * @throws {DualControlError} ACT_NOT_FOUND, ACT_OVER, ACT_NOT_APPROVED, ACT_FORBIDDEN, ACT_DIFFERS, or what its kind throws.
   */
  execute(execution: { scope: string; id: string; by: string }): Promise<unknown>;
  /** @returns undefined in another scope, too. */
  find(scope: string, id: string): Promise<ActRecord | undefined>;
  /** Those of a scope, newest first, at most 200. */
  list(scope: string, options?: { readonly openOnly?: boolean }): Promise<ActRecord[]>;
}

interface Row {
  id: ActId;
  act: string;
  scope: string;
  canonical: string;
  digest: Uint8Array;
  state: Exclude<ActState, 'expired'>;
  approvals_needed: number;
  requested_by: string;
  requested_at: Date;
  expires_at: Date;
}

const COLUMNS =
  'id, act, scope, canonical, digest, state, approvals_needed, requested_by, requested_at, expires_at';
const DAY_MS = 86_400_000;
const MOST_APPROVALS = 10;
const MOST_DAYS = 30;
/** Longest canonical JSON, in characters: somebody is to read it. */
const MOST_CHARACTERS = 16_384;
const LISTED = 200;
/** What is put on record of those who try what is not theirs. */
const DENIALS: ReadonlySet<string> = new Set(['ACT_FORBIDDEN', 'ACT_OWN']);

/** What is hashed and approved: the kind, the scope, the id and the parameters, as canonical JSON (RFC 8785). */
export function canonicalAct(act: { act: string; scope: string; id: string; parameters: Json }): string {
  const { id, scope, parameters } = act;
  return canonicalize({ act: act.act, id, parameters, scope }) ?? '';
}

export function createDualControl(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  /** By name, such as `key.destroy`. */
  acts: Readonly<Record<string, Act>>;
}): DualControl {
  const { db, clock, audit } = parts;

  function kindOf(name: string): Act {
    const kind = Object.hasOwn(parts.acts, name) ? parts.acts[name] : undefined;
    if (!kind) throw new TypeError(`there is no kind of act ${name}`);
    return kind;
  }

  /** The row, locked until the transaction ends: whoever decides comes one after the other. */
  async function take(tx: Transaction, scope: string, id: string): Promise<Row> {
    const [row] = await tx.query<Row>(
      `SELECT ${COLUMNS} FROM dual_control_acts WHERE id = $1 AND scope = $2 FOR UPDATE`,
      [id, scope],
    );
    if (!row) throw new DualControlError('ACT_NOT_FOUND', 'There is no such act.');
    if (row.state !== 'requested' || row.expires_at <= clock.now())
      throw new DualControlError('ACT_OVER', 'This act is done, refused, withdrawn, or too old.');
    if (digestOf(row.canonical) !== hex(row.digest))
      throw new DualControlError('ACT_DIFFERS', 'What is kept of this act is not what was asked for.');
    return row;
  }

  /** One person's part in an act, in a transaction. That somebody may not take it is put on record when that has been undone. */
  async function taking<T>(
    { scope, id, by }: { scope: string; id: string; by: string },
    part: (tx: Transaction) => Promise<T>,
  ): Promise<T> {
    try {
      return await db.transaction(part);
    } catch (error) {
      if (error instanceof DualControlError && DENIALS.has(error.code))
        await db.transaction((tx) =>
          audit.record(tx, {
            type: 'act.denied',
            actor: by,
            subject: id,
            detail: { scope, code: error.code },
          }),
        );
      throw error;
    }
  }

  async function approversOf(on: Pick<Db, 'query'>, ids: readonly string[]) {
    return on.query<{ act_id: string; approver: string; digest: Uint8Array }>(
      'SELECT act_id, approver, digest FROM dual_control_approvals WHERE act_id = ANY($1) ORDER BY approved_at, approver',
      [ids],
    );
  }

  /** Ends it without effect, on record. */
  async function close(
    tx: Transaction,
    row: Row,
    state: 'refused' | 'withdrawn',
    by: string,
  ): Promise<ActRecord> {
    await decide(tx, row, state, by);
    await audit.record(tx, {
      type: `act.${state}`,
      actor: by,
      subject: row.id,
      detail: { act: row.act, scope: row.scope, digest: hex(row.digest) },
    });
    return afterwards(tx, row);
  }

  /** Ends it. The compare-and-set holds even where somebody forgot the lock. */
  async function decide(tx: Transaction, row: Row, state: Row['state'], by: string): Promise<void> {
    const taken = await tx.query(
      `UPDATE dual_control_acts SET state = $2, decided_by = $3, decided_at = $4
        WHERE id = $1 AND state = 'requested' RETURNING id`,
      [row.id, state, by, clock.now()],
    );
    if (taken.length === 0) throw new DualControlError('ACT_OVER', 'This act is over.');
  }

  async function record(on: Pick<Db, 'query'>, rows: readonly Row[]): Promise<ActRecord[]> {
    const approvals = await approversOf(
      on,
      rows.map(({ id }) => id),
    );
    return rows.map((row) =>
      toRecord(
        row,
        approvals.filter(({ act_id }) => act_id === row.id).map(({ approver }) => approver),
        clock.now(),
      ),
    );
  }

  async function reread(on: Pick<Db, 'query'>, scope: string, id: string): Promise<ActRecord | undefined> {
    const rows = await on.query<Row>(
      `SELECT ${COLUMNS} FROM dual_control_acts WHERE id = $1 AND scope = $2`,
      [id, scope],
    );
    const [found] = await record(on, rows);
    return found;
  }

  async function afterwards(tx: Transaction, { scope, id }: Row): Promise<ActRecord> {
    const found = await reread(tx, scope, id);
    if (!found) throw new TypeError('an act vanished within its transaction');
    return found;
  }

  return {
    async request(tx, request) {
      const { act, requestedBy, scope, approvals = 1 } = request;
      const kind = kindOf(act);
      const now = clock.now();
      const expiresAt = request.expiresAt ?? new Date(now.getTime() + DAY_MS);
      const parameters = readParameters(kind, request.parameters);
      const id = newId('act', now);
      const canonical = canonicalAct({ act, scope, id, parameters });
      if (
        !Number.isInteger(approvals) ||
        approvals < 1 ||
        approvals > MOST_APPROVALS ||
        !(expiresAt > now) ||
        expiresAt.getTime() > now.getTime() + MOST_DAYS * DAY_MS ||
        canonical.length > MOST_CHARACTERS
      )
        throw new DualControlError('ACT_PARAMETERS', 'The act, its time or its approvals are out of bounds.');
      if (!(await kind.mayRequest(tx, { person: requestedBy, scope }, parameters))) throw forbidden();
      const digest = digestOf(canonical);
      await tx.query(
        `INSERT INTO dual_control_acts (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, 'requested', $6, $7, $8, $9)`,
        [id, act, scope, canonical, Buffer.from(digest, 'hex'), approvals, requestedBy, now, expiresAt],
      );
      await audit.record(tx, {
        type: 'act.requested',
        actor: requestedBy,
        subject: id,
        detail: { act, scope, digest, approvals, expiresAt: expiresAt.toISOString() },
      });
      return {
        id,
        act,
        scope,
        parameters,
        digest,
        state: 'requested',
        requestedBy,
        requestedAt: now,
        expiresAt,
        approvalsNeeded: approvals,
        approvers: [],
      };
    },

    approve: ({ scope, id, by, digest }) =>
      taking({ scope, id, by }, async (tx) => {
        const row = await take(tx, scope, id);
        if (digest !== hex(row.digest))
          throw new DualControlError('ACT_DIFFERS', 'This is not what was asked for.');
        if (by === row.requested_by)
          throw new DualControlError('ACT_OWN', 'Who asked for an act cannot approve it.');
        const kind = kindOf(row.act);
        if (!(await kind.mayApprove(tx, { person: by, scope }, parametersOf(row)))) throw forbidden();
        const added = await tx.query(
          `INSERT INTO dual_control_approvals (act_id, approver, digest, approved_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT DO NOTHING RETURNING approver`,
          [id, by, row.digest, clock.now()],
        );
        if (added.length === 0)
          throw new DualControlError('ACT_APPROVED_BEFORE', 'You have approved this act.');
        await audit.record(tx, {
          type: 'act.approved',
          actor: by,
          subject: id,
          detail: { act: row.act, scope, digest },
        });
        return afterwards(tx, row);
      }),

    refuse: ({ scope, id, by }) =>
      taking({ scope, id, by }, async (tx) => {
        const row = await take(tx, scope, id);
        const kind = kindOf(row.act);
        if (by === row.requested_by || !(await kind.mayApprove(tx, { person: by, scope }, parametersOf(row))))
          throw forbidden();
        return close(tx, row, 'refused', by);
      }),

    withdraw: ({ scope, id, by }) =>
      taking({ scope, id, by }, async (tx) => {
        const row = await take(tx, scope, id);
        if (by !== row.requested_by) throw forbidden();
        return close(tx, row, 'withdrawn', by);
      }),

    execute: ({ scope, id, by }) =>
      taking({ scope, id, by }, async (tx) => {
        const row = await take(tx, scope, id);
        const kind = kindOf(row.act);
        const parameters = parametersOf(row);
        const approvals = await approversOf(tx, [row.id]);
        if (approvals.some(({ digest }) => hex(digest) !== hex(row.digest)))
          throw new DualControlError('ACT_DIFFERS', 'What was approved is not what is kept.');
        const approvers = approvals
          .map(({ approver }) => approver)
          .filter((each) => each !== row.requested_by);
        const requester = { person: row.requested_by, scope };
        if (by !== row.requested_by && !(await kind.mayApprove(tx, { person: by, scope }, parameters)))
          throw forbidden();
        // Those who took part may have lost their office since.
        if (!(await kind.mayRequest(tx, requester, parameters))) throw notApproved();
        const standing: string[] = [];
        for (const person of approvers)
          if (await kind.mayApprove(tx, { person, scope }, parameters)) standing.push(person);
        if (standing.length < row.approvals_needed) throw notApproved();
        await decide(tx, row, 'executed', by);
        const result = await kind.run(tx, parameters, {
          actId: row.id,
          scope,
          requestedBy: row.requested_by,
          approvers: standing,
          executedBy: by,
        });
        await audit.record(tx, {
          type: 'act.executed',
          actor: by,
          subject: id,
          detail: {
            act: row.act,
            scope,
            digest: hex(row.digest),
            requestedBy: row.requested_by,
            approvers: standing,
          },
        });
        return result;
      }),

    find: (scope, id) => reread(db, scope, id),

    async list(scope, { openOnly = false } = {}) {
      const rows = await db.query<Row>(
        `SELECT ${COLUMNS} FROM dual_control_acts
          WHERE scope = $1 AND (NOT $2 OR (state = 'requested' AND expires_at > $3))
          ORDER BY requested_at DESC, id DESC LIMIT $4`,
        [scope, openOnly, clock.now(), LISTED],
      );
      return record(db, rows);
    },
  };
}

function readParameters(kind: Act, parameters: Json): Json {
  try {
    return kind.parse(parameters);
  } catch (cause) {
    throw new DualControlError('ACT_PARAMETERS', 'What was asked for cannot be read.', { cause });
  }
}

function parametersOf(row: Row): Json {
  return (JSON.parse(row.canonical) as { parameters: Json }).parameters;
}

function toRecord(row: Row, approvers: readonly string[], now: Date): ActRecord {
  return {
    id: row.id,
    act: row.act,
    scope: row.scope,
    parameters: parametersOf(row),
    digest: hex(row.digest),
    state: row.state === 'requested' && row.expires_at <= now ? 'expired' : row.state,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    approvalsNeeded: row.approvals_needed,
    approvers,
  };
}

function forbidden(): DualControlError {
  return new DualControlError('ACT_FORBIDDEN', 'You may not take this part in this act.');
}

function notApproved(): DualControlError {
  return new DualControlError('ACT_NOT_APPROVED', 'Too few of those who may have approved this act.');
}

const digestOf = (canonical: string) => createHash('sha256').update(canonical, 'utf8').digest('hex');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
