/** PostgreSQL in this process (PGlite, WebAssembly): one connection, data in a folder, one process at a time. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { PGlite, types, type Transaction } from '@electric-sql/pglite';
import type { Db, Queryable } from './db.ts';

const parsers = { [types.INT8]: Number };

/**
 * @param directory Where the data lives; absent: in memory, for tests.
 * @throws another process has the folder open: two of them would destroy the data.
 */
export async function openPglite(directory?: string): Promise<Db> {
  const release = directory === undefined ? () => undefined : lock(directory);
  try {
    const pglite = await PGlite.create({
      ...(directory === undefined ? {} : { dataDir: directory }),
      parsers,
    });
    return {
      ...queryable(pglite),
      async transaction(work) {
        const acts: (() => void)[] = [];
        const result = await pglite.transaction(async (tx) => {
          const inside = queryable(tx);
          const sent: Promise<unknown>[] = [];
          const done = await work({
            ...inside,
            afterCommit: (act) => acts.push(act),
            send(sql, parameters) {
              const answer = inside.query(sql, parameters);
              answer.catch(() => undefined);
              sent.push(answer);
            },
          });
          await Promise.all(sent);
          return done;
        });
        for (const act of acts) act();
        return result;
      },
      listen: (channel, handler) => pglite.listen(channel, handler),
      async close() {
        await pglite.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** A file beside the folder that names the process which has it open. One whose process is gone was left by a crash. */
function lock(directory: string): () => void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = `${directory}.pid`;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { mode: 0o600, flag: 'wx' });
      break;
    } catch (error) {
      if (!existsSync(path)) throw error;
      const owner = Number(readFileSync(path, 'utf8'));
      if (owner !== process.pid && isRunning(owner))
        throw new Error(`Process ${owner} has the data in ${directory} open. Stop it first.`, {
          cause: error,
        });
      rmSync(path, { force: true });
    }
  }
  return () => rmSync(path, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function queryable(executor: PGlite | Transaction): Queryable {
  return {
    async query<R extends object>(sql: string, parameters: readonly unknown[] = []) {
      const { rows } = await executor.query<R>(sql, [...parameters]);
      return rows;
    },
    async script(sql) {
      await executor.exec(sql);
    },
  };
}
