/** PostgreSQL in this process (PGlite, WebAssembly): one connection, data in a folder, one process at a time. */
import { mkdirSync } from 'node:fs';
import { PGlite, types, type Transaction } from '@electric-sql/pglite';
import type { Db, Queryable } from './db.ts';

const parsers = { [types.INT8]: Number };

/** @param directory Where the data lives; absent: in memory, for tests. */
export async function openPglite(directory?: string): Promise<Db> {
  if (directory !== undefined) mkdirSync(directory, { recursive: true, mode: 0o700 });
  const pglite = await PGlite.create({ ...(directory === undefined ? {} : { dataDir: directory }), parsers });
  return {
    ...queryable(pglite),
    transaction: (work) => pglite.transaction((tx) => work(queryable(tx))),
    listen: (channel, handler) => pglite.listen(channel, handler),
    close: () => pglite.close(),
  };
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
