/** Bringing records under another key, on both drivers. */
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuditLog } from '../../src/audit/index.ts';
import { createBlindIndex, createCipher, createKeyCipher, keyIdOf } from '../../src/platform/cipher.ts';
import { toDataKeys, type DataKeys } from '../../src/platform/data-keys.ts';
import type { Db, Queryable } from '../../src/platform/db/db.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { deriveKey } from '../../src/platform/secrets.ts';
import {
  createRotation,
  joinProcesses,
  tableHolding,
  type EncryptedTable,
} from '../../src/rotation/index.ts';
import { TestClock } from '../support/clock.ts';
import { DRIVERS } from '../support/databases.ts';
import { recordingLogger } from '../support/logger.ts';

const newKey = () => createSecretKey(randomBytes(32));
const [a, b] = [newKey(), newKey()] as const;
const idOf = (key: KeyObject) => toDataKeys(key).current.id;

const NOTES: EncryptedTable = {
  table: 'notes',
  key: { kind: 'text', blind_index: 'bytea' },
  reads: ['owner'],
  values: {
    name: { purpose: 'field/name', context: (row) => row['owner'] },
    extra: { purpose: 'field/extra', context: (row) => `${row['owner']}:extra` },
  },
  indexes: { blind_index: { purpose: 'note', of: (row, { name }) => name && `${row['kind']}:${name}` } },
};

describe.each(Object.entries(DRIVERS))('on %s', (_driver, open) => {
  let db: Db;
  let close: () => Promise<void>;
  let clock: TestClock;
  const { lines, logger } = recordingLogger();

  beforeAll(async () => {
    ({ db, close } = await open());
    await migrate(db);
  });
  afterAll(() => close());
  beforeEach(async () => {
    await db.script(`
      DROP TABLE IF EXISTS notes;
      CREATE TABLE notes (kind text, blind_index bytea, owner text NOT NULL, name bytea NOT NULL, extra bytea,
        PRIMARY KEY (kind, blind_index));
      DELETE FROM data_keys;
      DELETE FROM data_key_processes;
      DELETE FROM data_key_passes;
      UPDATE data_key_worker SET until = 'epoch';`);
    clock = new TestClock();
    lines.length = 0;
  });

  async function start(keys: DataKeys, on: Db = db) {
    const audit = createAuditLog({ db, clock, signer: () => Promise.reject(new Error('nothing is signed')) });
    const metrics = createMetrics();
    const presence = await joinProcesses({ db, clock, audit, logger, dataKeys: keys });
    const parts = { db: on, clock, audit, logger, metrics, dataKeys: keys, presence };
    const rotation = createRotation({ ...parts, holdings: [tableHolding(NOTES, keys)] });
    return { ...rotation, presence, metrics };
  }

  async function insert(keys: DataKeys, from: number, to: number): Promise<void> {
    const index = createBlindIndex(keys, 'note');
    const [name, extra] = [createCipher(keys, 'field/name'), createCipher(keys, 'field/extra')];
    await db.transaction(async (tx) => {
      for (let i = from; i < to; i++)
        await tx.query(
          'INSERT INTO notes (kind, blind_index, owner, name, extra) VALUES ($1, $2, $3, $4, $5)',
          [
            i % 2 === 0 ? 'even' : 'odd',
            index.current(`${i % 2 === 0 ? 'even' : 'odd'}:name ${i}`),
            `acc_${i}`,
            name.encrypt(Buffer.from(`name ${i}`), `acc_${i}`),
            i % 3 === 0 ? null : extra.encrypt(Buffer.from(`extra ${i}`), `acc_${i}:extra`),
          ],
        );
    });
  }

  /** Opens everything with `keys` alone and finds it by its index. @returns the ids of the keys it lies under. */
  async function readAll(keys: DataKeys): Promise<Set<string | undefined>> {
    const index = createBlindIndex(keys, 'note');
    const [name, extra] = [createCipher(keys, 'field/name'), createCipher(keys, 'field/extra')];
    const rows = await db.query<{
      kind: string;
      blind_index: Uint8Array;
      owner: string;
      name: Uint8Array;
      extra: Uint8Array | null;
    }>('SELECT kind, blind_index, owner, name, extra FROM notes');
    const under = new Set<string | undefined>();
    for (const row of rows) {
      const text = Buffer.from(name.decrypt(row.name, row.owner)).toString();
      expect(text).toBe(`name ${row.owner.slice(4)}`);
      expect(Buffer.from(row.blind_index)).toEqual(index.current(`${row.kind}:${text}`));
      under.add(keyIdOf(row.name));
      if (!row.extra) continue;
      expect(Buffer.from(extra.decrypt(row.extra, `${row.owner}:extra`)).toString()).toBe(
        `extra ${row.owner.slice(4)}`,
      );
      under.add(keyIdOf(row.extra));
    }
    return under;
  }

  const finish = async (rotation: { step(): Promise<string> }): Promise<number> => {
    let steps = 0;
    for (; ; steps++) {
      const outcome = await rotation.step();
      if (outcome === 'done') return steps;
      if (outcome !== 'worked') throw new Error(outcome);
    }
  };

  test('everything comes under the current key and is found there, and the key before is told to be empty', async () => {
    const first = await start(toDataKeys(a));
    expect(await finish(first)).toBe(1);
    await insert(toDataKeys(a), 0, 450);
    // From before keys had names.
    const old = createKeyCipher(deriveKey(a, 'field/name')).encrypt(Buffer.from('name 7'), 'acc_7');
    await db.query(`UPDATE notes SET name = $1 WHERE owner = 'acc_7'`, [old]);
    await first.presence.leave();

    const second = await start(toDataKeys(b, [a]));
    expect(await second.count()).toEqual([
      {
        name: 'notes',
        records: new Map([
          [idOf(a), 749],
          ['', 1],
        ]),
      },
    ]);
    expect(await second.step()).toBe('worked');
    expect(await second.passes()).toMatchObject([{ records: 750, recordsLeft: 750, finishedAt: undefined }]);
    expect(await second.keys()).toEqual([
      { id: idOf(b), current: true, known: true, empty: false },
      { id: idOf(a), current: false, known: true, empty: false },
    ]);
    // Index columns change with their rows: those that moved ahead are met again, and left alone.
    await finish(second);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    expect(await second.passes()).toMatchObject([{ records: 750, recordsLeft: 0, finishedAt: clock.now() }]);
    expect(await second.keys()).toContainEqual({ id: idOf(a), current: false, known: true, empty: true });
    expect(lines.join('')).toContain('it may be dropped');
    expect(
      await db.query(
        `SELECT type, subject FROM audit_events WHERE type LIKE 'data-key.%' ORDER BY seq LIMIT 3`,
      ),
    ).toEqual([
      { type: 'data-key.introduced', subject: idOf(a) },
      { type: 'data-key.introduced', subject: idOf(b) },
      { type: 'data-key.emptied', subject: idOf(a) },
    ]);
    await second.presence.leave();
    // Now the old key may go; before, it could not.
    await (await start(toDataKeys(b))).presence.leave();
  });

  test('interrupted at any step it goes on where it was, and a step that did not commit has not been', async () => {
    await insert(toDataKeys(a), 0, 900);
    let fail = false;
    const breaking: Db = {
      ...db,
      transaction: (work) =>
        db.transaction(async (tx: Queryable) => {
          const result = await work(tx as never);
          if (fail) throw new Error('the power went out');
          return result;
        }),
    };
    const rotation = await start(toDataKeys(b, [a]), breaking);
    let positions = 0;
    for (let round = 0; ; round++) {
      fail = round % 2 === 0;
      if (fail) await expect(rotation.step()).rejects.toThrow('the power went out');
      else if ((await rotation.step()) === 'done') break;
      const [pass] = await rotation.passes();
      const under = await db.query<{ id: string; n: number }>(
        `SELECT encode(substring(name from 2 for 8), 'hex') AS id, count(*) AS n FROM notes GROUP BY 1`,
      );
      if (pass && !fail && pass.position !== undefined) positions += 1;
      if (pass && !pass.finishedAt)
        expect(under.find(({ id }) => id === idOf(a))?.n ?? 0).toBeLessThanOrEqual(pass.recordsLeft);
    }
    expect(positions).toBeGreaterThan(3);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    await rotation.presence.leave();
  });

  test('a record that cannot be opened stays as it is, is told of, and keeps its key', async () => {
    await insert(toDataKeys(a), 0, 10);
    await db.query(`UPDATE notes SET name = name || '\\x00' WHERE owner = 'acc_4'`);
    const rotation = await start(toDataKeys(b, [a]));
    await finish(rotation);
    expect(await rotation.passes()).toMatchObject([{ recordsLeft: 2, finishedAt: clock.now() }]);
    expect(lines.join('')).toContain('could not be brought');
    expect(lines.join('')).not.toContain('acc_4');
    expect(await rotation.keys()).toContainEqual({ id: idOf(a), current: false, known: true, empty: false });
    expect(await finish(rotation)).toBe(0);
    clock.advance(3601);
    // Mended meanwhile, say from a backup.
    await db.query(
      `UPDATE notes SET name = substring(name from 1 for length(name) - 1) WHERE owner = 'acc_4'`,
    );
    await finish(rotation);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    await rotation.presence.leave();
  });

  test('what cannot be written keeps nothing else from being written', async () => {
    await insert(toDataKeys(a), 0, 10);
    // Under the new key another row has this place already.
    const index = createBlindIndex(toDataKeys(b), 'note').current('odd:name 3');
    await db.query(`INSERT INTO notes (kind, blind_index, owner, name) VALUES ('odd', $1, 'acc_99', $2)`, [
      index,
      createCipher(toDataKeys(b), 'field/name').encrypt(Buffer.from('name 99'), 'acc_99'),
    ]);
    const rotation = await start(toDataKeys(b, [a]));
    await finish(rotation);
    const left = await db.query<{ owner: string; name: Uint8Array }>('SELECT owner, name FROM notes');
    expect(left.filter(({ name }) => keyIdOf(name) !== idOf(b)).map(({ owner }) => owner)).toEqual(['acc_3']);
    await rotation.presence.leave();
  });

  test('it waits until no process encrypts with another key, and then for no one that is dead', async () => {
    await insert(toDataKeys(a), 0, 3);
    const old = await start(toDataKeys(a, [b]));
    const fresh = await start(toDataKeys(b, [a]));
    expect([await old.step(), await fresh.step()]).toEqual(['waits', 'waits']);
    // The old process dies without a word.
    clock.advance(61);
    expect(await fresh.step()).toBe('worked');
    await finish(fresh);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    await Promise.all([old, fresh].map(({ presence }) => presence.leave()));
  });

  test('one process does the work, and another takes over when that one is gone', async () => {
    await insert(toDataKeys(a), 0, 500);
    const [one, other] = [await start(toDataKeys(b, [a])), await start(toDataKeys(b, [a]))];
    expect(await one.step()).toBe('worked');
    expect(await one.step()).toBe('worked');
    expect(await other.step()).toBe('elsewhere');
    const [before] = await other.passes();
    clock.advance(61);
    expect(await other.step()).toBe('worked');
    expect(await one.step()).toBe('elsewhere');
    const [after] = await other.passes();
    expect(after?.startedAt).toEqual(before?.startedAt);
    expect(after?.recordsLeft).toBeLessThan(before?.recordsLeft ?? 0);
    await finish(other);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    await Promise.all([one, other].map(({ presence }) => presence.leave()));
  });

  test('in the background it goes by itself, measured', async () => {
    await insert(toDataKeys(a), 0, 30);
    const rotation = await start(toDataKeys(b, [a]));
    rotation.start();
    await expect
      .poll(async () => (await rotation.keys()).map(({ empty }) => empty), { timeout: 20_000 })
      .toEqual([false, true]);
    expect(await readAll(toDataKeys(b))).toEqual(new Set([idOf(b)]));
    await rotation.stop();
    const shown = await rotation.metrics.registry.metrics();
    expect(shown).toContain('yinxin_data_key_records{holding="notes",key="current"} 50');
    expect(shown).toContain('yinxin_data_key_records{holding="notes",key="other"} 0');
    await rotation.presence.leave();
  });

  test('a process does not start without a key that is needed, nor with one that others do not know', async () => {
    const first = await start(toDataKeys(a));
    await expect(start(toDataKeys(b))).rejects.toThrow(
      expect.objectContaining({
        code: 'DATA_KEY_MISSING',
        message: expect.stringContaining(idOf(a)) as string,
      }),
    );
    await expect(start(toDataKeys(b, [a]))).rejects.toThrow(
      expect.objectContaining({
        code: 'DATA_KEY_EARLY',
        message: expect.stringContaining(idOf(b)) as string,
      }),
    );
    await first.presence.leave();
    await expect(start(toDataKeys(b))).rejects.toThrow(expect.objectContaining({ code: 'DATA_KEY_MISSING' }));
    await (await start(toDataKeys(b, [a]))).presence.leave();
  });
});

describe('on PostgreSQL, with others at work', () => {
  let db: Db;
  let close: () => Promise<void>;
  beforeEach(async () => {
    ({ db, close } = await (DRIVERS['PostgreSQL'] ?? Promise.reject)());
    await migrate(db);
    await db.script('CREATE TABLE notes (id text PRIMARY KEY, name bytea NOT NULL)');
  });
  afterEach(() => close());
  const TABLE: EncryptedTable = {
    table: 'notes',
    key: { id: 'text' },
    values: { name: { purpose: 'field/name', context: (row) => row['id'] } },
  };
  const [before, after] = [
    createCipher(toDataKeys(a), 'field/name'),
    createCipher(toDataKeys(b, [a]), 'field/name'),
  ];
  const nameOf = async (id: string) => {
    const [row] = await db.query<{ name: Uint8Array }>('SELECT name FROM notes WHERE id = $1', [id]);
    return row && Buffer.from(after.decrypt(row.name, id)).toString();
  };

  test('a change made at the same moment is never overwritten', async () => {
    await db.query('INSERT INTO notes (id, name) VALUES ($1, $2)', [
      'x',
      before.encrypt(Buffer.from('old'), 'x'),
    ]);
    const holding = tableHolding(TABLE, toDataKeys(b, [a]));
    await db.transaction(async (tx) => {
      // Between what a step reads and what it writes somebody else commits.
      const between: Queryable = {
        ...tx,
        query: async (sql, parameters) => {
          if (sql.startsWith('UPDATE'))
            await db.query('UPDATE notes SET name = $2 WHERE id = $1', [
              'x',
              after.encrypt(Buffer.from('new'), 'x'),
            ]);
          return tx.query(sql, parameters);
        },
      };
      await holding.renew(between, undefined);
    });
    expect(await nameOf('x')).toBe('new');
  });

  test('a step gives way to whoever has a row, and nobody waits for it', async () => {
    for (const id of ['x', 'y'])
      await db.query('INSERT INTO notes (id, name) VALUES ($1, $2)', [
        id,
        before.encrypt(Buffer.from('old'), id),
      ]);
    const holding = tableHolding(TABLE, toDataKeys(b, [a]));
    await db.transaction(async (other) => {
      await other.query(`SELECT id FROM notes WHERE id = 'y' FOR UPDATE`);
      await expect(db.transaction((tx) => holding.renew(tx, undefined))).rejects.toMatchObject({
        code: '55P03',
      });
      // Were the step still waiting for y with x in its hands, the two would wait for each other.
      await other.query(`UPDATE notes SET name = name WHERE id = 'x'`);
    });
    await db.transaction((tx) => holding.renew(tx, undefined));
    expect([...(await holding.count(db))]).toEqual([[idOf(b), 2]]);
  });

  test('people who change their records all the while lose none of their changes', async () => {
    const ids = Array.from({ length: 60 }, (_, i) => `row-${i}`);
    for (const id of ids)
      await db.query('INSERT INTO notes (id, name) VALUES ($1, $2)', [
        id,
        before.encrypt(Buffer.from('0'), id),
      ]);
    const holding = tableHolding(TABLE, toDataKeys(b, [a]));
    const last = new Map<string, string>();
    let writing = true;
    const writers = Array.from({ length: 4 }, async (_each, w) => {
      for (let n = 1; n <= 60; n++) {
        const id = ids[((n * 7 + w * 15) % 15) + w * 15] ?? '';
        await db.query('UPDATE notes SET name = $2 WHERE id = $1', [
          id,
          after.encrypt(Buffer.from(`${w}-${n}`), id),
        ]);
        last.set(id, `${w}-${n}`);
      }
    });
    const renewing = (async () => {
      while (writing)
        await db
          .transaction((tx) => holding.renew(tx, undefined))
          .catch((error: unknown) => {
            if ((error as { code?: string }).code !== '55P03') throw error;
          });
    })();
    await Promise.all(writers);
    writing = false;
    await renewing;
    for (const [id, name] of last) expect(await nameOf(id)).toBe(name);
    expect([...(await holding.count(db)).keys()]).toEqual([idOf(b)]);
  });
});
