/** Migrations: numbered SQL files, forward only, all in one transaction under a lock, so that processes starting together run them once. */
import { fileURLToPath } from 'node:url';
import Postgrator from 'postgrator';
import type { Db } from './db.ts';

const MIGRATIONS = fileURLToPath(new URL('../../../migrations/', import.meta.url));
/** Any number that nothing else in the database locks. */
const LOCK = 20_260_101;

/**
 * Brings the database to the newest version. Code of the version before must keep running against it.
 * @returns the versions that this call applied; empty when the database was current.
 * @throws when a file that was applied has changed since, or a statement fails: then nothing is applied.
 */
export async function migrate(db: Db): Promise<number[]> {
  return db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    const postgrator = new Postgrator({
      driver: 'pg',
      migrationPattern: `${MIGRATIONS}*.sql`,
      schemaTable: 'schema_version',
      execQuery: async (sql) => ({ rows: await tx.query(sql) }),
      execSqlScript: (sql) => tx.script(sql),
    });
    const applied = await postgrator.migrate();
    return applied.map((migration) => migration.version);
  });
}
