/** Databases and key spaces of a test's own, on the services that the set-up brought. */
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { connectPg } from '../../src/platform/db/pg.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import { openPglite } from '../../src/platform/db/pglite.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import { silentLogger } from './logger.ts';

/** Creates an empty database. @returns its URL, and what drops it. */
export async function createDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `yinxin_test_${randomBytes(6).toString('hex')}`;
  const admin = connectPg(inject('databaseUrl'), { poolSize: 2, logger: silentLogger });
  await admin.script(`CREATE DATABASE ${name}`);
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      await admin.script(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.close();
    },
  };
}

/** Both drivers, each on an empty database of its own. */
export const DRIVERS: Readonly<Record<string, () => Promise<{ db: Db; close(): Promise<void> }>>> = {
  async PGlite() {
    const db = await openPglite();
    return { db, close: () => db.close() };
  },
  async PostgreSQL() {
    const database = await createDatabase();
    const db = connectPg(database.url, { poolSize: 10, logger: silentLogger });
    return {
      db,
      async close() {
        await db.close();
        await database.drop();
      },
    };
  },
};

/** A migrated database in this process, for tests of one room. */
export async function openMigrated(): Promise<Db> {
  const db = await openPglite();
  await migrate(db);
  return db;
}

/** A connection to Redis and a prefix that nobody else uses. */
export async function openRedis() {
  const redis = await connectRedis(inject('redisUrl'), silentLogger);
  return { redis, prefix: `test-${randomBytes(6).toString('hex')}` };
}
