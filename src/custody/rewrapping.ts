/**
 * A new wrapping key: the data keys are wrapped anew, one after the other, and nothing else is touched. What committed is done; whoever stops it
 * at any moment goes on from there, and several may work at once.
 */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import type { DataKeyRow, Envelope } from './envelope.ts';
import type { WrappingKeys } from './wrapping.ts';

export interface WrappingKeyUse {
  readonly id: string;
  /** Data keys that lie under it. */
  readonly dataKeys: number;
  readonly current: boolean;
  /** Whether this process has it. */
  readonly known: boolean;
}

export interface Rewrapping {
  /** What lies under which wrapping key, those with nothing under them included if they are known. */
  uses(): Promise<WrappingKeyUse[]>;
  /**
   * Wraps everything anew that lies under another key than the current one.
   * @param options.onProgress After each batch: how many are done, and how many are left.
   * @param options.signal Ends it after the batch in hand.
   * @returns how many were wrapped anew.
   * @throws {CustodyError} WRAPPING_KEY_WRONG: one lies under a key that is not known here; KEY_UNAVAILABLE: one does not open.
   */
  run(options?: {
    readonly onProgress?: (done: number, left: number) => void;
    readonly signal?: AbortSignal;
  }): Promise<number>;
}

const BATCH = 100;

export function createRewrapping(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  envelope: Envelope;
  wrapping: WrappingKeys;
}): Rewrapping {
  const { db, audit, envelope, wrapping } = parts;
  const current = wrapping.current.id;

  async function uses(): Promise<WrappingKeyUse[]> {
    const rows = await db.query<{ wrapping_key: string; n: number }>(
      'SELECT wrapping_key, count(*) AS n FROM custody_data_keys GROUP BY wrapping_key',
    );
    const counts = new Map([
      ...wrapping.ids.map((id) => [id, 0] as const),
      ...rows.map(({ wrapping_key: id, n }) => [id, n] as const),
    ]);
    return [...counts].map(([id, dataKeys]) => ({
      id,
      dataKeys,
      current: id === current,
      known: wrapping.ids.includes(id),
    }));
  }

  /** @returns whether the row was still as it had been read. */
  async function replace(row: DataKeyRow): Promise<boolean> {
    const wrapped = await envelope.rewrap(row);
    const replaced = await db.query(
      `UPDATE custody_data_keys SET wrapped = $4, wrapping_key = $5
        WHERE owner = $1 AND version = $2 AND wrapping_key = $3 RETURNING owner`,
      [row.owner, row.version, row.wrapping_key, wrapped, current],
    );
    return replaced.length > 0;
  }

  return {
    uses,
    async run({ onProgress, signal } = {}) {
      let done = 0;
      for (;;) {
        const rows = await db.query<DataKeyRow>(
          `SELECT owner, version, wrapping_key, wrapped FROM custody_data_keys WHERE wrapping_key <> $1
            ORDER BY owner, version LIMIT $2`,
          [current, BATCH],
        );
        for (const row of rows) if (await replace(row)) done += 1;
        const left = (await uses()).reduce((sum, use) => sum + (use.current ? 0 : use.dataKeys), 0);
        onProgress?.(done, left);
        if (rows.length === 0 || left === 0 || signal?.aborted) break;
      }
      if (done > 0)
        await db.transaction((tx) =>
          audit.record(tx, {
            type: 'wrapping-key.replaced',
            actor: 'operator',
            subject: current,
            detail: { dataKeys: done },
          }),
        );
      return done;
    },
  };
}
