/** What people report of their accounts that was not theirs. A report is for operators; what it ends, whoever takes it ends at once. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { only, type Db } from '../platform/db/db.ts';
import { newId, type AccountId, type ReportId } from '../platform/ids.ts';

/** A sign-in by the sequence number of its audit entry, a device by its id, a portal by its client id. */
export interface Misuse {
  readonly kind: 'sign-in' | 'device' | 'portal';
  readonly about: string;
}

export interface MisuseReport extends Misuse {
  readonly id: ReportId;
  readonly accountId: AccountId;
  readonly state: 'open' | 'settled';
  readonly reportedAt: Date;
}

export interface MisuseReports {
  /** Takes a report, and tells its owner. One that was made before is the same report. @returns its id, and whether it is new. */
  report(accountId: AccountId, misuse: Misuse): Promise<{ readonly id: ReportId; readonly isNew: boolean }>;
  /** What operators have not settled, oldest first. */
  open(): Promise<MisuseReport[]>;
  /** @returns whether there was such an open report. */
  settle(id: string, actor: string): Promise<boolean>;
  /** The reports of one account, for its owner's eyes. */
  of(accountId: string): Promise<MisuseReport[]>;
}

interface Row {
  readonly id: ReportId;
  readonly account_id: AccountId;
  readonly kind: Misuse['kind'];
  readonly about: string;
  readonly state: MisuseReport['state'];
  readonly reported_at: Date;
}

const COLUMNS = 'id, account_id, kind, about, state, reported_at';

export function createMisuseReports(parts: { db: Db; clock: Clock; audit: AuditLog }): MisuseReports {
  const { db, clock, audit } = parts;
  return {
    report: (accountId, { kind, about }) =>
      db.transaction(async (tx) => {
        const now = clock.now();
        const [added] = await tx.query<{ id: ReportId }>(
          `INSERT INTO misuse_reports (id, account_id, kind, about, state, reported_at) VALUES ($1, $2, $3, $4, 'open', $5)
             ON CONFLICT (account_id, kind, about) DO NOTHING RETURNING id`,
          [newId('rep', now), accountId, kind, about, now],
        );
        if (!added) {
          const before = await tx.query<{ id: ReportId }>(
            'SELECT id FROM misuse_reports WHERE account_id = $1 AND kind = $2 AND about = $3',
            [accountId, kind, about],
          );
          return { id: only(before).id, isNew: false };
        }
        await audit.record(tx, {
          type: 'account.misuse-reported',
          actor: accountId,
          subject: accountId,
          detail: { reportId: added.id, kind, about },
        });
        return { id: added.id, isNew: true };
      }),

    async open() {
      const rows = await db.query<Row>(
        `SELECT ${COLUMNS} FROM misuse_reports WHERE state = 'open' ORDER BY id`,
      );
      return rows.map(toReport);
    },

    settle: (id, actor) =>
      db.transaction(async (tx) => {
        const [settled] = await tx.query<{ account_id: AccountId }>(
          `UPDATE misuse_reports SET state = 'settled', settled_at = $2 WHERE id = $1 AND state = 'open' RETURNING account_id`,
          [id, clock.now()],
        );
        if (!settled) return false;
        await audit.record(tx, {
          type: 'account.misuse-settled',
          actor,
          subject: settled.account_id,
          detail: { reportId: id },
        });
        return true;
      }),

    async of(accountId) {
      const rows = await db.query<Row>(
        `SELECT ${COLUMNS} FROM misuse_reports WHERE account_id = $1 ORDER BY id`,
        [accountId],
      );
      return rows.map(toReport);
    },
  };
}

const toReport = (row: Row): MisuseReport => ({
  id: row.id,
  accountId: row.account_id,
  kind: row.kind,
  about: row.about,
  state: row.state,
  reportedAt: row.reported_at,
});
