/**
 * Durable outboxes: what is to be delivered is written down first, delivered at once, repeated with growing pauses, and after the last try
 * kept in a list from which an operator can send it again. Of all processes one delivers an item; one that dies leaves it to the others.
 */
import { AsyncResource } from 'node:async_hooks';
import type { Clock } from './clock.ts';
import type { Db, Queryable } from './db/db.ts';
import { newId, type Id, type IdPrefix } from './ids.ts';
import type { Logger } from './logger.ts';

/** It will never be accepted: trying again is of no use. Like any problem of a delivery, its message is kept and logged: nothing personal. */
export class Unacceptable extends Error {}

/** What has not been delivered. */
export interface Undelivered {
  readonly id: string;
  readonly state: 'waiting' | 'dead';
  readonly attempts: number;
  readonly nextAttemptAt: Date;
  readonly lastProblem: string | undefined;
}

export interface Outbox<Item> {
  /**
   * Writes an item down. When it resolves, or `tx` commits, it will be delivered even if this process dies.
   * @param tx The transaction of the change that the item belongs to.
   */
  enqueue(item: Item, tx?: Queryable): Promise<void>;
  /** Begins to deliver, what other processes left included. @param deliver Rejects when the item was not accepted. */
  start(deliver: (item: Item, id: string) => Promise<void>): void;
  /** Delivers what rests now, and waits for what is being delivered: for whoever shows what has come. */
  settle(): Promise<void>;
  /** Lets deliveries that are being made end. */
  stop(): Promise<void>;
  /** What has not been delivered, oldest first. */
  undelivered(): Promise<(Undelivered & Item)[]>;
  /** Puts dead items back to be delivered at once. @returns how many. */
  resend(ids?: readonly string[]): Promise<number>;
}

/** One outbox: its table, which has the columns of `COLUMNS` and `created_at` besides those of an item, and its rules. */
export interface OutboxPlan<Item> {
  readonly table: string;
  readonly prefix: IdPrefix;
  /** Columns of an item. */
  readonly columns: readonly string[];
  /** An item's values, by those columns. */
  values(item: Item, id: string): readonly unknown[];
  item(row: Readonly<Record<string, unknown>>): Item;
  /**
   * Milliseconds that an item rests before it is delivered. Default 0. Where a delivery would tell strangers something by the work that it
   * is, whoever asked has their answer first.
   */
  readonly restMs?: number;
  /** Seconds until the next try, by tries made. */
  readonly pauses: readonly number[];
  /** An item that its process did not settle within this time is taken over by another: longer than a delivery can last. */
  readonly leaseSeconds: number;
  /** Deliveries that are made at the same time, in each process. */
  readonly parallel: number;
  /** Log line of a delivery that failed, and what it says of the item. */
  readonly refused: { readonly say: string; about(item: Item): object };
}

interface Row extends Record<string, unknown> {
  id: string;
  state: 'waiting' | 'dead';
  attempts: number;
  next_attempt_at: Date;
  last_problem: string | null;
}

const POLL_MS = 2000;
const COLUMNS = ['id', 'state', 'attempts', 'next_attempt_at', 'last_problem'];

export function createOutbox<Item extends object>(
  parts: { db: Db; clock: Clock; logger: Logger },
  plan: OutboxPlan<Item>,
): Outbox<Item> {
  const { db, clock, logger } = parts;
  const { table } = plan;
  const columns = [...COLUMNS, ...plan.columns].join(', ');
  const inFlight = new Set<Promise<void>>();
  let deliver: ((item: Item, id: string) => Promise<void>) | undefined;
  let timer: NodeJS.Timeout | undefined;
  let filling: Promise<void> | undefined;
  let again = false;
  /** Whether every place was taken at the last look, so that more may be waiting for one. */
  let more = false;

  /** Takes items that are due. The lease keeps other processes from them, and gives them back if this one dies. */
  async function take(limit: number): Promise<Row[]> {
    const now = clock.now();
    return db.query<Row>(
      `UPDATE ${table} SET next_attempt_at = $1, attempts = attempts + 1 WHERE id IN (
         SELECT id FROM ${table} WHERE state = 'waiting' AND next_attempt_at <= $2
           ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
       RETURNING ${columns}`,
      [new Date(now.getTime() + plan.leaseSeconds * 1000), now, limit],
    );
  }

  async function settle(row: Row, attempt: NonNullable<typeof deliver>): Promise<void> {
    const item = plan.item(row);
    try {
      await attempt(item, row.id);
      await db.query(`DELETE FROM ${table} WHERE id = $1`, [row.id]);
    } catch (error) {
      const pause = error instanceof Unacceptable ? undefined : plan.pauses[row.attempts - 1];
      const problem = error instanceof Error ? error.message.slice(0, 200) : 'unknown';
      logger.warn({ err: error, ...plan.refused.about(item), attempts: row.attempts }, plan.refused.say);
      await db.query(
        `UPDATE ${table} SET state = $2, next_attempt_at = $3, last_problem = $4 WHERE id = $1`,
        [
          row.id,
          pause === undefined ? 'dead' : 'waiting',
          new Date(clock.now().getTime() + (pause ?? 0) * 1000),
          problem,
        ],
      );
    }
  }

  /** Fills the free places; a delivery that hangs holds its own place alone. */
  async function fill(attempt: NonNullable<typeof deliver>): Promise<void> {
    do {
      again = false;
      const places = plan.parallel - inFlight.size;
      const rows = places > 0 ? await take(places) : [];
      more = rows.length === places;
      for (const row of rows) {
        const delivery = settle(row, attempt)
          .catch((error: unknown) => logger.error({ err: error, table }, 'an outbox item was not settled'))
          .finally(() => {
            inFlight.delete(delivery);
            if (more) wake();
          });
        inFlight.add(delivery);
      }
    } while (again && inFlight.size < plan.parallel);
  }

  /** One look at a time in each process; an item that arrives meanwhile makes it look once more. What is done belongs to no request. */
  const wake = AsyncResource.bind(() => {
    again = true;
    if (!deliver || filling) return;
    filling = fill(deliver)
      .catch((error: unknown) =>
        logger.error({ err: error, table }, 'an outbox could not be worked off; trying again'),
      )
      .finally(() => {
        filling = undefined;
        if (again) wake();
      });
  });

  const arrived = plan.restMs === undefined ? wake : () => void setTimeout(wake, plan.restMs).unref();

  return {
    async enqueue(item, tx = db) {
      const now = clock.now();
      const id: Id<IdPrefix> = newId(plan.prefix, now);
      const values = plan.values(item, id);
      const names = ['id', 'next_attempt_at', ...plan.columns].join(', ');
      const places = plan.columns.map((_, i) => `$${i + 3}`).join(', ');
      await tx.query(
        `INSERT INTO ${table} (state, attempts, created_at, ${names}) VALUES ('waiting', 0, $2, $1, $2, ${places})`,
        [id, now, ...values],
      );
      if (tx.afterCommit) tx.afterCommit(arrived);
      else arrived();
    },
    start(attempt) {
      deliver = attempt;
      timer = setInterval(wake, POLL_MS);
      timer.unref();
      wake();
    },
    async settle() {
      do {
        wake();
        await filling;
        await Promise.all(inFlight);
      } while (filling !== undefined);
    },
    async stop() {
      clearInterval(timer);
      deliver = undefined;
      await filling;
      await Promise.all(inFlight);
    },
    async undelivered() {
      const rows = await db.query<Row>(`SELECT ${columns} FROM ${table} ORDER BY id`);
      return rows.map((row) => ({
        ...plan.item(row),
        id: row.id,
        state: row.state,
        attempts: row.attempts,
        nextAttemptAt: row.next_attempt_at,
        lastProblem: row.last_problem ?? undefined,
      }));
    },
    async resend(ids) {
      const rows = await db.query(
        `UPDATE ${table} SET state = 'waiting', attempts = 0, next_attempt_at = $1
          WHERE state = 'dead' AND ($2::text[] IS NULL OR id = ANY($2)) RETURNING id`,
        [clock.now(), ids ?? null],
      );
      wake();
      return rows.length;
    },
  };
}
