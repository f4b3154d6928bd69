/**
 * Brings everything under the current data key, in the background: batch by batch, each one transaction that commits with its position, so
 * that it may be interrupted at any moment and goes on where it was. It begins once no process encrypts with another key.
 */
import { setTimeout } from 'node:timers/promises';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Holding } from './holding.ts';
import type { Presence } from './presence.ts';
import { emptiedKeys, nextWork, type Pass } from './standing.ts';
import { isLockTimeout } from './table.ts';

/** `worked`: there may be more; `waits`: a process still encrypts with another key; `elsewhere`: another process does the work; `done`. */
export type Outcome = 'worked' | 'waits' | 'elsewhere' | 'done';

export interface KeyStanding {
  readonly id: string;
  readonly current: boolean;
  readonly known: boolean;
  /** Nothing lies under it and no process encrypts with it: no process needs it any more. */
  readonly empty: boolean;
}

export interface HoldingStanding {
  readonly name: string;
  /** Records under each key, by its id; those that name none under ''. */
  readonly records: ReadonlyMap<string, number>;
}

export interface Rotation {
  /** Works in the background from now on, whenever there is something to do. */
  start(): void;
  /** Lets the batch in hand end. */
  stop(): Promise<void>;
  /** Does one batch, if there is one and nobody else is at it. */
  step(): Promise<Outcome>;
  /** Forgets what was finished: everything is looked through again. */
  again(): Promise<void>;
  /** How far the passes are. */
  passes(): Promise<Pass[]>;
  keys(): Promise<KeyStanding[]>;
  /** Counts what lies under each key: as much work as reading all of it. */
  count(): Promise<HoldingStanding[]>;
}

const TICK_MS = 20_000;
/** A worker that did not finish a batch within this time is taken for gone. */
const LEASE_SECONDS = 60;
/** Of every second the work may take a quarter; the rest belongs to people. */
const PAUSE_FACTOR = 3;
const LEAST_PAUSE_MS = 20;
const REPORT_SECONDS = 30;

export function createRotation(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  logger: Logger;
  metrics: Metrics;
  dataKeys: DataKeys;
  presence: Presence;
  holdings: readonly Holding[];
}): Rotation {
  const { db, clock, audit, logger, metrics, presence, holdings } = parts;
  const current = parts.dataKeys.current.id;
  const names = holdings.map(({ name }) => name);
  let reportedAt = 0;

  async function load(on: Queryable): Promise<Pass[]> {
    const rows = await on.query<{
      holding: string;
      key_id: string;
      position: string | null;
      records: number;
      records_left: number;
      started_at: Date;
      finished_at: Date | null;
    }>(
      'SELECT holding, key_id, position, records, records_left, started_at, finished_at FROM data_key_passes ORDER BY holding',
    );
    return rows.map((row) => ({
      holding: row.holding,
      keyId: row.key_id,
      position: row.position ?? undefined,
      records: row.records,
      recordsLeft: row.records_left,
      startedAt: row.started_at,
      finishedAt: row.finished_at ?? undefined,
    }));
  }

  async function save(tx: Queryable, pass: Pass): Promise<void> {
    await tx.query(
      `INSERT INTO data_key_passes (holding, key_id, position, records, records_left, started_at, finished_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (holding) DO UPDATE SET key_id = $2, position = $3, records = $4, records_left = $5, started_at = $6, finished_at = $7`,
      [
        pass.holding,
        pass.keyId,
        pass.position ?? null,
        pass.records,
        pass.recordsLeft,
        pass.startedAt,
        pass.finishedAt ?? null,
      ],
    );
  }

  function holdingOf(name: string): Holding {
    const holding = holdings.find((each) => each.name === name);
    if (!holding) throw new TypeError(`${name} is no holding`);
    return holding;
  }

  /** How many records lie in a holding, and how many of them under another key. */
  async function measure(tx: Queryable, name: string): Promise<{ records: number; recordsLeft: number }> {
    const counted = await holdingOf(name).count(tx);
    const records = [...counted.values()].reduce((sum, n) => sum + n, 0);
    return { records, recordsLeft: records - (counted.get(current) ?? 0) };
  }

  async function begin(tx: Queryable, holding: string): Promise<void> {
    const startedAt = clock.now();
    const measured = await measure(tx, holding);
    await save(tx, {
      holding,
      keyId: current,
      position: undefined,
      ...measured,
      startedAt,
      finishedAt: measured.recordsLeft === 0 ? startedAt : undefined,
    });
    if (measured.recordsLeft > 0)
      logger.info({ holding, ...measured }, 'records are brought under the current data key');
  }

  async function goOn(tx: Queryable, pass: Pass): Promise<void> {
    const { holding } = pass;
    const { position, renewed, failed } = await holdingOf(holding).renew(tx, pass.position);
    if (failed > 0)
      logger.error({ holding, failed }, 'records could not be brought under the current data key');
    const recordsLeft = Math.max(0, pass.recordsLeft - renewed);
    const ended = position === undefined;
    const after: Pass = {
      ...pass,
      position,
      recordsLeft,
      ...(ended ? { ...(await measure(tx, holding)), finishedAt: clock.now() } : {}),
    };
    await save(tx, after);
    const now = clock.now().getTime();
    if (!ended && now < reportedAt + REPORT_SECONDS * 1000) return;
    reportedAt = now;
    logger.info(
      { holding, records: after.records, recordsLeft: after.recordsLeft },
      ended ? 'a holding has been gone through' : 'records are being brought under the current data key',
    );
  }

  /** What is left when all is done: keys that nobody needs any more. */
  async function forgetEmptied(tx: Queryable, passes: readonly Pass[]): Promise<void> {
    for (const id of emptiedKeys(current, names, passes, await presence.inUse(tx))) {
      await tx.query('DELETE FROM data_keys WHERE id = $1', [id]);
      await audit.record(tx, { type: 'data-key.emptied', actor: 'system', subject: id, detail: {} });
      logger.info({ keyId: id }, 'nothing lies under this data key any more: it may be dropped');
    }
  }

  async function stepIn(tx: Queryable): Promise<Outcome> {
    const now = clock.now();
    const [lease] = await tx.query(
      'SELECT process FROM data_key_worker WHERE process = $1 OR until < $2 FOR UPDATE SKIP LOCKED',
      [presence.process, now],
    );
    if (!lease) return 'elsewhere';
    const passes = await load(tx);
    const work = nextWork(current, names, passes, await presence.inUse(tx), now);
    if (!(await presence.agreed(tx))) return release(tx, 'waits');
    if (!work) {
      await forgetEmptied(tx, passes);
      return release(tx, 'done');
    }
    await tx.query('UPDATE data_key_worker SET process = $1, until = $2', [
      presence.process,
      new Date(now.getTime() + LEASE_SECONDS * 1000),
    ]);
    await (work.kind === 'begin' ? begin(tx, work.holding) : goOn(tx, work.pass));
    return 'worked';
  }

  async function release(tx: Queryable, outcome: Outcome): Promise<Outcome> {
    await tx.query('UPDATE data_key_worker SET until = $2 WHERE process = $1', [
      presence.process,
      new Date(0),
    ]);
    return outcome;
  }

  async function step(): Promise<Outcome> {
    try {
      return await db.transaction(stepIn);
    } catch (error) {
      if (isLockTimeout(error)) return 'worked';
      throw error;
    }
  }

  async function measureProgress(): Promise<void> {
    for (const { holding, records, recordsLeft } of await load(db)) {
      metrics.dataKeyRecords.set({ holding, key: 'current' }, records - recordsLeft);
      metrics.dataKeyRecords.set({ holding, key: 'other' }, recordsLeft);
    }
  }

  let timer: NodeJS.Timeout | undefined;
  let stopping = new AbortController();
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    for (;;) {
      const began = performance.now();
      const outcome = await step();
      await measureProgress();
      if (outcome !== 'worked' || stopping.signal.aborted) return;
      const pause = Math.max(LEAST_PAUSE_MS, PAUSE_FACTOR * (performance.now() - began));
      await setTimeout(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
    }
  }

  function wake(): void {
    working ??= work()
      .catch((error: unknown) =>
        logger.error({ err: error }, 'records could not be brought under the current data key; trying again'),
      )
      .finally(() => (working = undefined));
  }

  return {
    start() {
      stopping = new AbortController();
      timer = setInterval(wake, TICK_MS);
      timer.unref();
      wake();
    },
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await working;
      await release(db, 'done');
    },
    step,
    async again() {
      await db.query('DELETE FROM data_key_passes');
    },
    passes: () => load(db),
    async keys() {
      const inUse = new Set((await presence.inUse(db)).map(({ id }) => id));
      const known = parts.dataKeys.known.map(({ id }) => id);
      return [...new Set([...known, ...inUse])].map((id) => ({
        id,
        current: id === current,
        known: known.includes(id),
        empty: !inUse.has(id),
      }));
    },
    count: () =>
      Promise.all(
        holdings.map(async (holding) => ({ name: holding.name, records: await holding.count(db) })),
      ),
  };
}
