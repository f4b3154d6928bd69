/**
 * Back-channel logout (OpenID Connect Back-Channel Logout 1.0), durable: a call is written down before the person's click is answered, made
 * at once, repeated with growing pauses, and after the last try kept in a list from which an operator can send it again.
 */
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import { newId, type Id } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';

export interface LogoutCall {
  readonly clientId: string;
  readonly accountId: string;
  /** Session ID, where the portal asked for it. */
  readonly sid: string | undefined;
}

export interface UndeliveredLogout extends LogoutCall {
  readonly id: Id<'out'>;
  readonly state: 'waiting' | 'dead';
  readonly attempts: number;
  readonly nextAttemptAt: Date;
  readonly lastProblem: string | undefined;
}

/** Makes one call. @throws when the portal did not accept it. */
export type Deliver = (call: LogoutCall) => Promise<void>;

export interface LogoutOutbox {
  /** Writes a call down. When it resolves, the call will be made even if this process dies. */
  enqueue(call: LogoutCall): Promise<void>;
  /** Begins to make calls, those of other processes that died included. */
  start(deliver: Deliver): void;
  /** Lets calls that are being made end. */
  stop(): Promise<void>;
  /** What has not been delivered, oldest first. */
  undelivered(): Promise<UndeliveredLogout[]>;
  /** Puts dead calls back to be made at once. @returns how many. */
  resend(ids?: readonly string[]): Promise<number>;
}

interface Row {
  id: Id<'out'>;
  client_id: string;
  account_id: string;
  sid: string | null;
  state: 'waiting' | 'dead';
  attempts: number;
  next_attempt_at: Date;
  last_problem: string | null;
}

/** Seconds until the next try, by tries made: half a day in all. A logout that is a day late protects nobody. */
const PAUSES = [5, 15, 60, 300, 900, 3600, 14_400, 28_800];
/** A call that its process did not settle within this time is taken over by another. Longer than a call can last. */
const LEASE_SECONDS = 30;
const POLL_MS = 2000;
const BATCH = 50;
const COLUMNS = 'id, client_id, account_id, sid, state, attempts, next_attempt_at, last_problem';

export function createLogoutOutbox(parts: { db: Db; clock: Clock; logger: Logger }): LogoutOutbox {
  const { db, clock, logger } = parts;
  let deliver: Deliver | undefined;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let again = false;

  /** Takes calls that are due. The lease keeps other processes from them, and gives them back if this one dies. */
  async function take(): Promise<Row[]> {
    const now = clock.now();
    return db.query<Row>(
      `UPDATE logout_outbox SET next_attempt_at = $1, attempts = attempts + 1 WHERE id IN (
         SELECT id FROM logout_outbox WHERE state = 'waiting' AND next_attempt_at <= $2
           ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
       RETURNING ${COLUMNS}`,
      [new Date(now.getTime() + LEASE_SECONDS * 1000), now, BATCH],
    );
  }

  async function settle(row: Row, attempt: Deliver): Promise<void> {
    try {
      await attempt({ clientId: row.client_id, accountId: row.account_id, sid: row.sid ?? undefined });
      await db.query('DELETE FROM logout_outbox WHERE id = $1', [row.id]);
    } catch (error) {
      const pause = PAUSES[row.attempts - 1];
      const problem = error instanceof Error ? error.message.slice(0, 200) : 'unknown';
      logger.warn(
        { err: error, clientId: row.client_id, attempts: row.attempts },
        'a logout was not accepted',
      );
      await db.query(
        'UPDATE logout_outbox SET state = $2, next_attempt_at = $3, last_problem = $4 WHERE id = $1',
        [
          row.id,
          pause === undefined ? 'dead' : 'waiting',
          new Date(clock.now().getTime() + (pause ?? 0) * 1000),
          problem,
        ],
      );
    }
  }

  async function work(attempt: Deliver): Promise<void> {
    for (;;) {
      again = false;
      const rows = await take();
      await Promise.all(rows.map((row) => settle(row, attempt)));
      if (rows.length < BATCH && !again) return;
    }
  }

  /** One worker at a time in each process; a call that arrives while it works makes it look once more. */
  function wake(): void {
    again = true;
    if (!deliver || working) return;
    working = work(deliver)
      .catch((error: unknown) =>
        logger.error({ err: error }, 'the logout outbox could not be worked off; trying again'),
      )
      .finally(() => (working = undefined));
  }

  return {
    async enqueue({ clientId, accountId, sid }) {
      const now = clock.now();
      await db.query(
        `INSERT INTO logout_outbox (id, client_id, account_id, sid, state, attempts, next_attempt_at, created_at)
           VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $5)`,
        [newId('out', now), clientId, accountId, sid ?? null, now],
      );
      wake();
    },
    start(attempt) {
      deliver = attempt;
      timer = setInterval(wake, POLL_MS);
      timer.unref();
      wake();
    },
    async stop() {
      clearInterval(timer);
      deliver = undefined;
      await working;
    },
    async undelivered() {
      const rows = await db.query<Row>(`SELECT ${COLUMNS} FROM logout_outbox ORDER BY id`);
      return rows.map((row) => ({
        id: row.id,
        clientId: row.client_id,
        accountId: row.account_id,
        sid: row.sid ?? undefined,
        state: row.state,
        attempts: row.attempts,
        nextAttemptAt: row.next_attempt_at,
        lastProblem: row.last_problem ?? undefined,
      }));
    },
    async resend(ids) {
      const rows = await db.query(
        `UPDATE logout_outbox SET state = 'waiting', attempts = 0, next_attempt_at = $1
          WHERE state = 'dead' AND ($2::text[] IS NULL OR id = ANY($2)) RETURNING id`,
        [clock.now(), ids ?? null],
      );
      wake();
      return rows.length;
    },
  };
}
