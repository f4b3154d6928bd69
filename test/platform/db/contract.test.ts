/** One contract for `db`, held by both drivers. */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isUniqueViolation, only, type Db } from '../../../src/platform/db/db.ts';
import { migrate } from '../../../src/platform/db/migrate.ts';
import { DRIVERS } from '../../support/databases.ts';

describe.each(Object.entries(DRIVERS))('db on %s', (_name, open) => {
  let db: Db;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ db, close } = await open());
    await db.script(
      'CREATE TABLE things (id text PRIMARY KEY, n bigint, at timestamptz, raw bytea, doc jsonb); CREATE TABLE others (id text)',
    );
  });
  afterAll(() => close());

  test('gives values the same types from either driver', async () => {
    const at = new Date('2026-11-23T08:00:00.123Z');
    const raw = Uint8Array.of(0, 1, 254, 255);
    await db.query('INSERT INTO things VALUES ($1, $2, $3, $4, $5)', [
      'types',
      9_007_199_254_740_991,
      at,
      raw,
      JSON.stringify({ a: [1, '二'] }),
    ]);
    const row = only(await db.query('SELECT * FROM things WHERE id = $1', ['types']));
    expect(row).toMatchObject({ id: 'types', n: 9_007_199_254_740_991, doc: { a: [1, '二'] } });
    expect(row['at']).toEqual(at);
    expect(row['raw']).toBeInstanceOf(Uint8Array);
    expect(Buffer.from(row['raw'] as Uint8Array)).toEqual(Buffer.from(raw));
    expect(only(await db.query('SELECT count(*) AS n FROM things')).n).toBe(1);
  });

  test('commits what a transaction did when its work resolves', async () => {
    const answer = await db.transaction(async (tx) => {
      await tx.query('INSERT INTO things (id) VALUES ($1)', ['committed']);
      return 'done';
    });
    expect(answer).toBe('done');
    expect(await db.query('SELECT id FROM things WHERE id = $1', ['committed'])).toHaveLength(1);
  });

  test('rolls back all of a transaction when its work rejects, and passes the error on', async () => {
    const work = db.transaction(async (tx) => {
      await tx.query('INSERT INTO things (id) VALUES ($1)', ['rolled-back']);
      throw new Error('changed my mind');
    });
    await expect(work).rejects.toThrow('changed my mind');
    expect(await db.query('SELECT id FROM things WHERE id = $1', ['rolled-back'])).toHaveLength(0);
  });

  test('a statement that is sent without waiting takes part, in its order, and its failure is the failure of the transaction', async () => {
    await db.transaction(async (tx) => {
      tx.send('INSERT INTO things (id, n) VALUES ($1, $2)', ['sent', 1]);
      tx.send('UPDATE things SET n = n + 1 WHERE id = $1', ['sent']);
    });
    expect(await db.query('SELECT n FROM things WHERE id = $1', ['sent'])).toEqual([{ n: 2 }]);
    const acts: string[] = [];
    const failing = db.transaction(async (tx) => {
      tx.afterCommit(() => acts.push('committed'));
      tx.send('UPDATE things SET n = 3 WHERE id = $1', ['sent']);
      tx.send('INSERT INTO things (id) VALUES ($1)', ['sent']);
    });
    await expect(failing.catch((error: unknown) => isUniqueViolation(error))).resolves.toBe(true);
    expect(await db.query('SELECT n FROM things WHERE id = $1', ['sent'])).toEqual([{ n: 2 }]);
    expect(acts).toEqual([]);
    // The connection is good for the next one.
    expect(await db.transaction((tx) => tx.query('SELECT 1 AS one'))).toEqual([{ one: 1 }]);
  });

  test('a transaction in which a statement failed does not pass for one that committed, whoever caught the error', async () => {
    const work = db.transaction(async (tx) => {
      await tx.query('INSERT INTO things (id) VALUES ($1)', ['swallowed']);
      await tx.query('SELECT nothing FROM nowhere').catch(() => undefined);
    });
    await expect(work).rejects.toThrow();
    expect(await db.query('SELECT id FROM things WHERE id = $1', ['swallowed'])).toEqual([]);
  });

  test('does what was left for after a transaction once it has committed, and not if it has not', async () => {
    const seen: number[] = [];
    const count = async () =>
      only(await db.query<{ n: number }>(`SELECT count(*) AS n FROM things WHERE id LIKE 'after-%'`)).n;
    const done: Promise<unknown>[] = [];
    const look = () => done.push(count().then((n) => seen.push(n)));
    await db.transaction(async (tx) => {
      tx.afterCommit(look);
      await tx.query('INSERT INTO things (id) VALUES ($1)', ['after-1']);
      expect(done).toEqual([]);
    });
    await db
      .transaction(async (tx) => {
        tx.afterCommit(look);
        await tx.query('INSERT INTO things (id) VALUES ($1)', ['after-1']);
      })
      .catch(() => undefined);
    await Promise.all(done);
    expect(seen).toEqual([1]);
  });

  test('serves on after a statement failed inside a transaction', async () => {
    await expect(db.transaction((tx) => tx.query('SELECT * FROM nowhere'))).rejects.toThrow(/nowhere/);
    expect(await db.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('tells a unique violation from other errors', async () => {
    await db.query('INSERT INTO things (id) VALUES ($1)', ['twice']);
    const again = await db
      .query('INSERT INTO things (id) VALUES ($1)', ['twice'])
      .catch((error: unknown) => error);
    expect(isUniqueViolation(again)).toBe(true);
    const other = await db.query('SELECT * FROM nowhere').catch((error: unknown) => error);
    expect(isUniqueViolation(other)).toBe(false);
  });

  test('of ten transactions on one row in parallel none loses an update', async () => {
    await db.query('INSERT INTO things (id, n) VALUES ($1, 0)', ['counter']);
    await Promise.all(
      Array.from({ length: 10 }, () =>
        db.transaction(async (tx) => {
          const { n } = only(
            await tx.query<{ n: number }>('SELECT n FROM things WHERE id = $1 FOR UPDATE', ['counter']),
          );
          await tx.query('UPDATE things SET n = $2 WHERE id = $1', ['counter', n + 1]);
        }),
      ),
    );
    expect(only(await db.query('SELECT n FROM things WHERE id = $1', ['counter'])).n).toBe(10);
  });

  test('delivers notifications when their transaction commits, and none after it stopped listening', async () => {
    const heard: string[] = [];
    const stop = await db.listen('news', (payload) => heard.push(payload));
    await db.transaction((tx) => tx.query('SELECT pg_notify($1, $2)', ['news', 'first']));
    await db
      .transaction(async (tx) => {
        await tx.query('SELECT pg_notify($1, $2)', ['news', 'rolled back']);
        throw new Error('no');
      })
      .catch(() => undefined);
    await expect.poll(() => heard).toEqual(['first']);
    await stop();
    await db.query('SELECT pg_notify($1, $2)', ['news', 'late']);
    await db.query('SELECT 1');
    expect(heard).toEqual(['first']);
  });

  test('two processes that start together migrate an empty database once', async () => {
    const [one, two] = await Promise.all([migrate(db), migrate(db)]);
    expect(one.length === 0 || two.length === 0).toBe(true);
    const versions = readdirSync('migrations').map((file) => Number(file.slice(0, 3)));
    expect([...one, ...two]).toEqual(versions.toSorted((a, b) => a - b));
    expect(await migrate(db)).toEqual([]);
  });

  test('the audit table refuses to change or lose a row', async () => {
    await db.query(
      `INSERT INTO audit_events (seq, at, type, actor, subject, detail, previous, hash) VALUES (1, now(), 't', 'a', 's', '{}', '\\x00', '\\x01')`,
    );
    await expect(db.query(`UPDATE audit_events SET actor = 'b'`)).rejects.toThrow(/append-only/);
    await expect(db.query('DELETE FROM audit_events')).rejects.toThrow(/append-only/);
    await expect(db.script('TRUNCATE audit_events')).rejects.toThrow(/append-only/);
  });
});
