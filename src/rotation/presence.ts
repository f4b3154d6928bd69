/** Which processes run with which data keys. Each says so when it starts, and every few seconds after. */
import type { AuditLog } from '../audit/index.ts';
import { DataKeyError } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { LIVE_SECONDS, refusalOf, type KeyInUse, type ProcessKeys, type Refusal } from './standing.ts';

export interface Presence {
  /** This process among the others. */
  readonly process: string;
  /** Whether no running process encrypts with another key. */
  agreed(on: Queryable): Promise<boolean>;
  /** The keys under which records may lie. */
  inUse(on: Queryable): Promise<KeyInUse[]>;
  /** @throws {DataKeyError} this process should not have been let run, as it turned out since. */
  check(): Promise<void>;
  /** Says that this process is gone. */
  leave(): Promise<void>;
}

const BEAT_MS = 20_000;
/** Any number that nothing else in the database locks. */
const LOCK = 20_260_113;

/**
 * Joins the processes that run. Those that start together are asked one after the other.
 * @throws {DataKeyError} DATA_KEY_MISSING: records lie under a key that is not known here; DATA_KEY_EARLY: the current key is not known to
 *   a process that runs.
 */
export async function joinProcesses(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  logger: Logger;
  dataKeys: DataKeys;
}): Promise<Presence> {
  const { db, clock, audit, logger, dataKeys } = parts;
  const process = newId('proc', clock.now());
  let problem: DataKeyError | undefined;

  async function others(on: Queryable): Promise<ProcessKeys[]> {
    const rows = await on.query<{ process: string; current_key: string; known_keys: string[] }>(
      'SELECT process, current_key, known_keys FROM data_key_processes WHERE process <> $1 AND seen_at > $2',
      [process, new Date(clock.now().getTime() - LIVE_SECONDS * 1000)],
    );
    return rows.map((row) => ({ process: row.process, current: row.current_key, known: row.known_keys }));
  }

  async function inUse(on: Queryable): Promise<KeyInUse[]> {
    const rows = await on.query<{ id: string; last_current_at: Date }>(
      'SELECT id, last_current_at FROM data_keys ORDER BY last_current_at',
    );
    return rows.map(({ id, last_current_at }) => ({ id, lastCurrentAt: last_current_at }));
  }

  async function say(tx: Queryable): Promise<void> {
    const now = clock.now();
    // First: whoever holds a key's row waits for no process's.
    await tx.query('DELETE FROM data_key_processes WHERE seen_at < $1', [
      new Date(now.getTime() - 10 * LIVE_SECONDS * 1000),
    ]);
    await tx.query(
      `INSERT INTO data_key_processes (process, current_key, known_keys, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (process) DO UPDATE SET seen_at = $4`,
      [process, dataKeys.current.id, JSON.stringify(dataKeys.known.map(({ id }) => id)), now],
    );
    await tx.query(
      `INSERT INTO data_keys (id, last_current_at) VALUES ($1, $2)
         ON CONFLICT (id) DO UPDATE SET last_current_at = greatest(data_keys.last_current_at, $2)`,
      [dataKeys.current.id, now],
    );
  }

  async function join(tx: Queryable): Promise<void> {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    const present = await inUse(tx);
    const refusal = refusalOf(dataKeys, await others(tx), present);
    if (refusal) throw toError(refusal);
    // Records from before keys had names may lie under any that is known.
    if (present.length === 0)
      for (const { id } of dataKeys.known)
        await tx.query('INSERT INTO data_keys (id, last_current_at) VALUES ($1, $2)', [id, clock.now()]);
    await say(tx);
    if (!present.some(({ id }) => id === dataKeys.current.id))
      await audit.record(tx, {
        type: 'data-key.introduced',
        actor: 'system',
        subject: dataKeys.current.id,
        detail: {},
      });
  }

  /** A process that was stopped for a while may come back among others that have given it up. */
  async function beat(): Promise<void> {
    const refusal = await db.transaction(async (tx) => {
      await say(tx);
      return refusalOf(dataKeys, await others(tx), await inUse(tx));
    });
    problem = refusal && toError(refusal);
    if (problem) logger.error({ err: problem }, 'the data keys of this process do not go with what is there');
  }

  await db.transaction(join);
  let beating: Promise<void> | undefined;
  const timer = setInterval(() => {
    beating ??= beat()
      .catch((error: unknown) => logger.warn({ err: error }, 'this process could not say that it runs'))
      .finally(() => (beating = undefined));
  }, BEAT_MS);
  timer.unref();

  return {
    process,
    agreed: async (on) => (await others(on)).every(({ current }) => current === dataKeys.current.id),
    inUse,
    async check() {
      if (problem) throw problem;
    },
    async leave() {
      clearInterval(timer);
      await beating;
      await db.query('DELETE FROM data_key_processes WHERE process = $1', [process]);
    },
  };
}

function toError(refusal: Refusal): DataKeyError {
  switch (refusal.code) {
    case 'DATA_KEY_MISSING':
      return new DataKeyError(
        'DATA_KEY_MISSING',
        `Records may lie under data keys that are not known here: ${refusal.keyIds.join(', ')}. Add them to DATA_KEY_OTHERS.`,
      );
    case 'DATA_KEY_EARLY':
      return new DataKeyError(
        'DATA_KEY_EARLY',
        `Processes that ran within the last minute do not know data key ${refusal.keyId}. First add it to DATA_KEY_OTHERS everywhere, then make it DATA_KEY.`,
      );
  }
}
