import { createSecretKey } from 'node:crypto';
import { expect, inject, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import { createBlindIndex, createCipher } from '../../src/platform/cipher.ts';
import { toConfig } from '../../src/platform/config.ts';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import { connectPg } from '../../src/platform/db/pg.ts';
import { freePort } from '../setup/services.ts';
import { newSecrets } from '../support/app.ts';
import { createDatabase } from '../support/databases.ts';
import { recordingLogger, silentLogger } from '../support/logger.ts';
import { runProcess, startProcess } from '../support/processes.ts';

const PEOPLE = 6000;
const phone = (i: number) => `+86199${String(i).padStart(8, '0')}`;

test('a rotation that is killed in the middle loses nothing and goes on where it was', async () => {
  const database = await createDatabase();
  const [first, second] = [newSecrets(), newSecrets()];
  const env = {
    ...first,
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    REDIS_KEY_PREFIX: 'killed-rotation',
    ISSUER: `http://localhost:${await freePort()}`,
  };
  const keyOf = ({ DATA_KEY = '' }: typeof first) => createSecretKey(Buffer.from(DATA_KEY, 'base64'));
  const [before, after] = [toDataKeys(keyOf(first)), toDataKeys(keyOf(second))];
  await (await createApp(toConfig(env), { logger: silentLogger })).stop();

  const db = connectPg(database.url, { poolSize: 2, logger: silentLogger });
  const [index, cipher] = [
    createBlindIndex(before, 'account-identifier'),
    createCipher(before, 'field/account-identifier'),
  ];
  const rows = Array.from({ length: PEOPLE }, (_, i) => ({
    id: `acc_${i}`,
    index: `\\x${Buffer.from(index.current(`phone:${phone(i)}`)).toString('hex')}`,
    value: `\\x${Buffer.from(cipher.encrypt(Buffer.from(phone(i)), `acc_${i}`)).toString('hex')}`,
  }));
  const given = 'jsonb_to_recordset($1::jsonb) AS n(id text, index bytea, value bytea)';
  await db.query(
    `WITH made AS (INSERT INTO accounts (id, state, created_at) SELECT id, 'active', now() FROM ${given})
     INSERT INTO account_identifiers (kind, blind_index, account_id, value, created_at)
       SELECT 'phone', index, id, value, now() FROM ${given}`,
    [JSON.stringify(rows)],
  );
  const lying = async () => {
    const counted = await db.query<{ key: string; n: number }>(
      `SELECT encode(substring(value from 2 for 8), 'hex') AS key, count(*) AS n FROM account_identifiers GROUP BY 1`,
    );
    return new Map(counted.map(({ key, n }) => [key, n]));
  };
  const passOf = async () => {
    const [pass] = await db.query<{ started_at: Date; position: string | null; records_left: number }>(
      `SELECT started_at, position, records_left FROM data_key_passes WHERE holding = 'account_identifiers'`,
    );
    return pass;
  };

  const rotating = { ...env, DATA_KEY: second['DATA_KEY'], DATA_KEY_OTHERS: first['DATA_KEY'] };
  const killed = await startProcess(['data-keys', 'rotate', '--wait'], rotating, /[1-9]\d? % of/);
  await killed.stop('SIGKILL');
  const half = await lying();
  const done = half.get(after.current.id) ?? 0;
  expect(done).toBeGreaterThan(0);
  expect(done).toBeLessThan(PEOPLE);
  expect(done + (half.get(before.current.id) ?? 0)).toBe(PEOPLE);
  const pass = await passOf();
  // What is written down is exactly what was done.
  expect(pass?.records_left).toBe(PEOPLE - done);

  // Whoever was killed holds the work for a minute.
  await db.query(`UPDATE data_key_worker SET until = 'epoch'`);
  const { lines, logger } = recordingLogger('info');
  const app = await createApp(toConfig(rotating), { logger });
  while ((await app.rotation.step()) !== 'done');
  await app.stop();
  expect(await lying()).toEqual(new Map([[after.current.id, PEOPLE]]));
  expect(lines.join('')).toContain('it may be dropped');
  // The pass that was begun is the one that was ended.
  expect((await passOf())?.started_at).toEqual(pass?.started_at);

  // With the new key alone everything opens, and everybody is found.
  const status = await runProcess(['data-keys'], { ...env, DATA_KEY: second['DATA_KEY'] });
  expect(status.code).toBe(0);
  expect(status.output).toContain(
    `account_identifiers ${PEOPLE} records, ${PEOPLE} (100 %) under ${after.current.id}\n`,
  );
  expect(status.output).toMatch(new RegExp(`key ${after.current.id} encrypts\\n$`));
  const [found, opened] = [
    createBlindIndex(after, 'account-identifier'),
    createCipher(after, 'field/account-identifier'),
  ];
  const all = await db.query<{ account_id: string; blind_index: Uint8Array; value: Uint8Array }>(
    'SELECT account_id, blind_index, value FROM account_identifiers',
  );
  const wrong = all.filter((row) => {
    const number = phone(Number(row.account_id.slice(4)));
    return (
      Buffer.from(opened.decrypt(row.value, row.account_id)).toString() !== number ||
      !Buffer.from(row.blind_index).equals(found.current(`phone:${number}`))
    );
  });
  expect(wrong).toEqual([]);
  await db.close();
  await database.drop();
}, 120_000);
