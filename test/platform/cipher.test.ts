import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createBlindIndex,
  createCipher,
  createKeyCipher,
  DataKeyError,
  keyIdOf,
} from '../../src/platform/cipher.ts';
import { toDataKeys, type DataKeys } from '../../src/platform/data-keys.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { connectPg } from '../../src/platform/db/pg.ts';
import { deriveKey } from '../../src/platform/secrets.ts';
import { createDatabase } from '../support/databases.ts';
import { silentLogger } from '../support/logger.ts';

const newKey = () => createSecretKey(randomBytes(32));
const text = Buffer.from('+8619912344321');
const [a, b, c] = [newKey(), newKey(), newKey()];

describe('a cipher over data keys', () => {
  test('encrypts with the current key, says which that is, and opens what any known key made', () => {
    const before = createCipher(toDataKeys(a), 'field/x');
    const during = createCipher(toDataKeys(b, [a]), 'field/x');
    const [old, fresh] = [before.encrypt(text, 'acc_1'), during.encrypt(text, 'acc_1')];
    expect([keyIdOf(old), keyIdOf(fresh)]).toEqual([toDataKeys(a).current.id, toDataKeys(b).current.id]);
    expect(during.decrypt(old, 'acc_1')).toEqual(text);
    expect(during.decrypt(fresh, 'acc_1')).toEqual(text);
    // Where the new key is announced only, what others make with it is read already.
    expect(createCipher(toDataKeys(a, [b]), 'field/x').decrypt(fresh, 'acc_1')).toEqual(text);
  });

  test('names the key that is missing, to the log alone', () => {
    const record = createCipher(toDataKeys(a), 'field/x').encrypt(text, 'acc_1');
    const other = createCipher(toDataKeys(b, [c]), 'field/x');
    const open = () => other.decrypt(record, 'acc_1');
    expect(open).toThrow(DataKeyError);
    expect(open).toThrow(
      expect.objectContaining({
        code: 'DATA_KEY_UNKNOWN',
        message: expect.not.stringContaining(toDataKeys(a).current.id) as string,
        cause: expect.objectContaining({
          message: expect.stringContaining(toDataKeys(a).current.id) as string,
        }) as Error,
      }),
    );
  });

  test('opens records from before keys had names under whichever known key fits', () => {
    const record = createKeyCipher(deriveKey(a, 'field/x')).encrypt(text, 'acc_1');
    expect(keyIdOf(record)).toBeUndefined();
    expect(createCipher(toDataKeys(a), 'field/x').decrypt(record, 'acc_1')).toEqual(text);
    expect(createCipher(toDataKeys(c, [b, a]), 'field/x').decrypt(record, 'acc_1')).toEqual(text);
    expect(() => createCipher(toDataKeys(c, [b]), 'field/x').decrypt(record, 'acc_1')).toThrow();
  });

  test('encrypts under a key of its own in each process, and opens what any of them made', () => {
    const keys = toDataKeys(a);
    const records = Array.from({ length: 1200 }, () => createCipher(keys, 'field/x').encrypt(text, 'acc_1'));
    const seriesOf = (record: Uint8Array) => Buffer.from(record.subarray(9, 17)).toString('hex');
    expect(new Set(records.map(seriesOf)).size).toBe(1200);
    const reader = createCipher(keys, 'field/x');
    for (const record of records) expect(reader.decrypt(record, 'acc_1')).toEqual(text);
    for (const record of records) expect(reader.decrypt(record, 'acc_1')).toEqual(text);
    const one = createCipher(keys, 'field/x');
    expect(seriesOf(one.encrypt(text, 'acc_1'))).toBe(seriesOf(one.encrypt(text, 'acc_1')));
  });

  test('opens nothing that was moved, made for another purpose, changed or cut', () => {
    const keys = toDataKeys(a, [b]);
    const cipher = createCipher(keys, 'field/x');
    const record = cipher.encrypt(text, 'acc_1');
    expect(() => cipher.decrypt(record, 'acc_2')).toThrow();
    expect(() => createCipher(keys, 'field/y').decrypt(record, 'acc_1')).toThrow();
    for (let i = 0; i < record.length; i++) {
      const changed = Buffer.from(record);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => cipher.decrypt(changed, 'acc_1'), `byte ${i}`).toThrow();
      expect(() => cipher.decrypt(record.subarray(0, i), 'acc_1'), `cut at ${i}`).toThrow();
    }
    // Naming another known key does not help.
    const renamed = Buffer.concat([
      record.subarray(0, 1),
      Buffer.from(toDataKeys(b).current.id, 'hex'),
      record.subarray(9),
    ]);
    expect(() => cipher.decrypt(renamed, 'acc_1')).toThrow();
  });
});

describe('a blind index', () => {
  test('is written under the current key and looked for under all, each purpose under keys of its own', () => {
    const keys = toDataKeys(b, [a]);
    const index = createBlindIndex(keys, 'x');
    const under = (key: typeof a) =>
      createHmac('sha256', deriveKey(key, 'blind-index/x')).update('value').digest();
    expect(index.current('value')).toEqual(under(b));
    expect(index.all('value')).toEqual([under(b), under(a)]);
    expect(createBlindIndex(keys, 'y').current('value')).not.toEqual(under(b));
  });

  describe('on two processes', () => {
    let database: Awaited<ReturnType<typeof createDatabase>>;
    let pools: [Db, Db];
    beforeAll(async () => {
      database = await createDatabase();
      const connect = () => connectPg(database.url, { poolSize: 8, logger: silentLogger });
      pools = [connect(), connect()];
      await pools[0].script('CREATE TABLE names (blind_index bytea PRIMARY KEY)');
    });
    afterAll(async () => {
      await Promise.all(pools.map((pool) => pool.close()));
      await database.drop();
    });

    const claim = (db: Db, keys: DataKeys, value: string): Promise<boolean> => {
      const index = createBlindIndex(keys, 'names');
      return db.transaction(async (tx) => {
        await index.lock(tx, value);
        const taken = await tx.query('SELECT 1 FROM names WHERE blind_index = ANY($1)', [index.all(value)]);
        if (taken.length === 0)
          await tx.query('INSERT INTO names (blind_index) VALUES ($1)', [index.current(value)]);
        return taken.length === 0;
      });
    };

    // Two neighbouring steps of a roll-out, which run side by side for a while.
    test.each<[string, DataKeys, DataKeys]>([
      ['one knows the new key, the other not yet', toDataKeys(a), toDataKeys(a, [b])],
      ['one encrypts with the new key, the other with the old one', toDataKeys(a, [b]), toDataKeys(b, [a])],
      ['one has dropped the old key, the other not yet', toDataKeys(b, [a]), toDataKeys(b)],
      ['both know three keys in another order', toDataKeys(a, [b, c]), toDataKeys(c, [a, b])],
    ])('a value is claimed once when %s', async (_, first, second) => {
      for (let round = 0; round < 10; round++) {
        const value = randomBytes(8).toString('hex');
        const claims = await Promise.all(
          Array.from({ length: 16 }, (_each, i) =>
            i % 2 === 0 ? claim(pools[0], first, value) : claim(pools[1], second, value),
          ),
        );
        expect(claims.filter(Boolean)).toHaveLength(1);
      }
    });
  });
});
