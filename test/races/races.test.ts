import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectPg } from '../../src/platform/db/pg.ts';
import { createDatabase } from '../support/databases.ts';
import { silentLogger } from '../support/logger.ts';
import { startField, type RunningField } from './field.ts';
import { openEightPortals, raceForCode, raceForRequestUri } from './races.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let field: RunningField;

beforeAll(async () => {
  database = await createDatabase();
  field = await startField({ databaseUrl: database.url, redisUrl: inject('redisUrl') });
});
afterAll(async () => {
  await field.stop();
  await database.drop();
});

test('two processes that start at once on an empty database make one set of tables and one set of keys', async () => {
  const db = connectPg(database.url, { poolSize: 1, logger: silentLogger });
  expect(
    await db.query('SELECT purpose, count(*) AS n FROM custody_keys GROUP BY purpose ORDER BY purpose'),
  ).toEqual([
    { purpose: 'audit', n: 1 },
    { purpose: 'issuing-ca', n: 1 },
    { purpose: 'root-ca', n: 1 },
    // One for each algorithm.
    { purpose: 'token', n: 2 },
  ]);
  expect(await db.query('SELECT count(*) AS n FROM certificates')).toEqual([{ n: 2 }]);
  await db.close();
});

test('of twenty that redeem one code at two processes exactly one gets tokens, and they fall with the replay', async () => {
  for (let round = 0; round < 3; round++) {
    const { statuses, errors, tokenAfterwards } = await raceForCode(field);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 400)).toHaveLength(19);
    expect(errors).toEqual(['invalid_grant']);
    expect(tokenAfterwards).toBe(401);
  }
});

test('of twenty that use one pushed request at two processes exactly one gets a code', async () => {
  const { codes, errors, serverErrors } = await raceForRequestUri(field);
  expect({ codes, serverErrors }).toEqual({ codes: 1, serverErrors: 0 });
  expect(errors).toEqual(['invalid_request_uri']);
});

test('eight portals opened at once in one session are all reached when it ends', async () => {
  for (let round = 0; round < 3; round++) expect(await openEightPortals(field)).toBe(8);
});
