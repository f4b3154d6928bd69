import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCustody, CustodyError } from '../../src/custody/index.ts';
import { verifySignature } from '../../src/pki/index.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
const A = 'unit_a';
const B = 'unit_b';

beforeAll(async () => {
  rooms = await openRooms();
});
afterAll(() => rooms.db.close());

const generate = (owner: string) =>
  rooms.db.transaction((tx) => rooms.custody.generate(tx, { owner, purpose: 'seal', actor: 'system' }));
/** Custody as another process would see it: nothing kept in memory. */
const fresh = (keyEncryptionKey = rooms.keyEncryptionKey) => createCustody({ ...rooms, keyEncryptionKey });
const codeOf = (error: unknown) => (error instanceof CustodyError ? error.code : error);

describe('custody', () => {
  test('signs with a key that it made, in DER or raw as the algorithm says', async () => {
    const key = await generate(A);
    const data = randomBytes(100);
    for (const algorithm of ['ecdsa-with-SHA256', 'ES256'] as const) {
      const signer = await rooms.custody.signer(A, key.id, algorithm);
      expect(verifySignature(algorithm, key.publicKey, data, await signer.sign(data))).toBe(true);
    }
    const raw = await (await rooms.custody.signer(A, key.id, 'ES256')).sign(data);
    expect(raw).toHaveLength(64);
  });

  test('keeps the key through a restart', async () => {
    const key = await generate(A);
    const signer = await fresh().signer(A, key.id, 'ES256');
    expect(
      verifySignature('ES256', key.publicKey, Buffer.from('x'), await signer.sign(Buffer.from('x'))),
    ).toBe(true);
  });

  test("does not know a unit's key when another unit asks, whatever id it names", async () => {
    const key = await generate(A);
    expect(await rooms.custody.signer(B, key.id, 'ES256').catch(codeOf)).toBe('KEY_NOT_FOUND');
    expect(await rooms.custody.active(B, 'seal')).toBeUndefined();
    await generate(B);
    expect((await rooms.custody.active(B, 'seal'))?.id).not.toBe(key.id);
  });

  test("does not open a key whose row was copied to another unit, even with that unit's own data key", async () => {
    const key = await generate(A);
    await generate(B);
    await rooms.db.query(`UPDATE custody_keys SET owner = $2, version = 99 WHERE id = $1`, [key.id, B]);
    expect(await fresh().signer(B, key.id, 'ES256').catch(codeOf)).toBe('KEY_UNAVAILABLE');
  });

  test("does not open a unit's keys with the data key of another", async () => {
    const key = await generate('unit_c');
    await generate('unit_d');
    await rooms.db.query(
      `UPDATE custody_data_keys SET wrapped = (SELECT wrapped FROM custody_data_keys WHERE owner = 'unit_d') WHERE owner = 'unit_c'`,
    );
    expect(await fresh().signer('unit_c', key.id, 'ES256').catch(codeOf)).toBe('KEY_UNAVAILABLE');
  });

  test.each(['pre-active', 'suspended', 'deactivated', 'compromised', 'destroyed'])(
    'does not sign with a key that is %s, though it signed before',
    async (state) => {
      const key = await generate(A);
      await rooms.custody.signer(A, key.id, 'ES256');
      await rooms.db.query('UPDATE custody_keys SET state = $2 WHERE id = $1', [key.id, state]);
      expect(await rooms.custody.signer(A, key.id, 'ES256').catch(codeOf)).toBe('KEY_NOT_ACTIVE');
    },
  );

  test('says so when the installation runs with another key-encryption key', async () => {
    const key = await generate(A);
    expect(
      await fresh(createSecretKey(randomBytes(32)))
        .signer(A, key.id, 'ES256')
        .catch(codeOf),
    ).toBe('WRAPPING_KEY_WRONG');
  });

  test('keeps no key in the clear, and every ciphertext is different', async () => {
    const rows = await rooms.db.query<{ private_key: Uint8Array }>('SELECT private_key FROM custody_keys');
    const hex = rows.map((row) => Buffer.from(row.private_key).toString('hex'));
    expect(new Set(hex).size).toBe(hex.length);
    for (const bytes of hex) expect(bytes).not.toContain('301306072a8648ce3d0201');
  });

  test('numbers the versions of a key and hands out the newest', async () => {
    const first = await generate('unit_e');
    const second = await generate('unit_e');
    expect([first.version, second.version]).toEqual([1, 2]);
    expect((await rooms.custody.active('unit_e', 'seal'))?.id).toBe(second.id);
  });

  test('puts every key that it makes on record', async () => {
    const key = await generate(A);
    const rows = await rooms.db.query<{ detail: object }>(
      `SELECT detail FROM audit_events WHERE type = 'key.generated' AND subject = $1`,
      [key.id],
    );
    expect(rows).toEqual([
      { detail: expect.objectContaining({ owner: A, purpose: 'seal', keyType: 'P-256' }) as object },
    ]);
  });
});
