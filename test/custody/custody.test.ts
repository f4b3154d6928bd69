import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createCustody,
  custodyActs,
  CustodyError,
  KEY_STATES,
  KEY_TYPES,
  TRANSITIONS,
  wrappingKeyId,
  type KeyRecord,
  type KeyState,
  type KeyType,
  type MayActOnKeys,
} from '../../src/custody/index.ts';
import {
  createDualControl,
  DualControlError,
  type DualControl,
  type Json,
} from '../../src/dual-control/index.ts';
import { verifySignature, type SignatureAlgorithm } from '../../src/pki/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { newId, type KeyId } from '../../src/platform/ids.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
const A = 'unit_a';
const B = 'unit_b';

beforeAll(async () => {
  rooms = await openRooms();
});
afterAll(() => rooms.db.close());

const generate = (owner: string, keyType?: KeyType) =>
  rooms.db.transaction((tx) =>
    rooms.custody.generate(tx, { owner, purpose: 'seal', actor: 'system', keyType }),
  );
const eventsOf = (subject: string) =>
  rooms.db.query<{ type: string; detail: object }>(
    'SELECT type, detail FROM audit_events WHERE subject = $1 ORDER BY seq',
    [subject],
  );
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
    expect(await eventsOf(key.id)).toEqual([
      {
        type: 'key.generated',
        detail: expect.objectContaining({ owner: A, purpose: 'seal', keyType: 'P-256' }) as object,
      },
    ]);
  });
});

const algorithms: Record<KeyType, SignatureAlgorithm[]> = {
  SM2: ['sm2-with-SM3'],
  'P-256': ['ecdsa-with-SHA256', 'ES256'],
  'P-384': ['ecdsa-with-SHA384'],
  'RSA-2048': ['sha256WithRSAEncryption', 'RSASSA-PSS-SHA256', 'RS256'],
  'RSA-3072': ['sha256WithRSAEncryption', 'RSASSA-PSS-SHA384'],
  'RSA-4096': ['sha512WithRSAEncryption', 'RSASSA-PSS-SHA512'],
  Ed25519: ['Ed25519'],
};

describe.each(KEY_TYPES)('a key of type %s', (keyType) => {
  test('signs under its algorithms and no other, many times at once, also after a restart', async () => {
    const key = await generate('unit_types', keyType);
    const again = fresh();
    for (const algorithm of algorithms[keyType])
      for (const custody of [rooms.custody, again]) {
        const signer = await custody.signer('unit_types', key.id, algorithm);
        const messages = Array.from({ length: 20 }, () => randomBytes(50));
        const signatures = await Promise.all(messages.map((message) => signer.sign(message)));
        for (const [index, message] of messages.entries())
          expect(
            verifySignature(algorithm, key.publicKey, message, signatures[index] ?? Buffer.alloc(0)),
          ).toBe(true);
      }
    const foreign = keyType === 'P-256' ? 'sm2-with-SM3' : 'ES256';
    expect(await rooms.custody.signer('unit_types', key.id, foreign).catch(codeOf)).toBe('KEY_ALGORITHM');
    await again.stop();
  });
});

describe('the life of a key (NIST SP 800-57 part 1, section 7)', () => {
  const inState = async (state: KeyState) => {
    const key = await generate(A);
    await rooms.db.query('UPDATE custody_keys SET state = $2 WHERE id = $1', [key.id, state]);
    return key;
  };
  const lead = (keyId: KeyId, to: KeyState, owner = A) =>
    rooms.db.transaction(async (tx) => {
      if (to === 'destroyed') await rooms.custody.destroy(tx, { owner, keyId, actor: 'system' });
      else if (to !== 'pre-active') await rooms.custody.change(tx, { owner, keyId, to, actor: 'system' });
    });

  test.each(KEY_STATES)('leads from %s to what the table says, and nowhere else', async (state) => {
    for (const to of KEY_STATES) {
      if (to === 'pre-active') continue;
      const key = await inState(state);
      const result = await lead(key.id, to).then(() => to, codeOf);
      expect(result).toBe(TRANSITIONS[state].includes(to) ? to : 'KEY_STATE');
      expect((await rooms.custody.find(A, key.id))?.state).toBe(TRANSITIONS[state].includes(to) ? to : state);
    }
  });

  test('begins pre-active if it shall not sign yet', async () => {
    const key = await rooms.db.transaction((tx) =>
      rooms.custody.generate(tx, { owner: A, purpose: 'seal', actor: 'system', state: 'pre-active' }),
    );
    expect(await rooms.custody.signer(A, key.id, 'ES256').catch(codeOf)).toBe('KEY_NOT_ACTIVE');
    await lead(key.id, 'active');
    await rooms.custody.signer(A, key.id, 'ES256');
    expect((await eventsOf(key.id)).at(-1)).toEqual({
      type: 'key.state-changed',
      detail: { owner: A, from: 'pre-active', to: 'active' },
    });
  });

  test("is another unit's matter for nobody", async () => {
    const key = await generate(A);
    for (const to of ['suspended', 'compromised', 'destroyed'] as const)
      expect(await lead(key.id, to, B).catch(codeOf)).toBe('KEY_NOT_FOUND');
    const asB = { owner: B, keyId: key.id, actor: 'system' };
    expect(await rooms.db.transaction((tx) => rooms.custody.rotate(tx, asB)).catch(codeOf)).toBe(
      'KEY_NOT_FOUND',
    );
    expect(await rooms.db.transaction((tx) => rooms.custody.exportBackup(tx, asB)).catch(codeOf)).toBe(
      'KEY_NOT_FOUND',
    );
    expect(await rooms.custody.find(B, key.id)).toBeUndefined();
    expect((await rooms.custody.list(B)).map(({ id }) => id)).not.toContain(key.id);
    expect((await rooms.custody.list(A)).map(({ id }) => id)).toContain(key.id);
  });

  test('goes on with a new version by rotation; what the old one signed still verifies', async () => {
    const old = await generate('unit_rotating', 'SM2');
    const data = Buffer.from('以此为凭');
    const signer = await rooms.custody.signer('unit_rotating', old.id, 'sm2-with-SM3');
    const signature = await signer.sign(data);
    const made = await rooms.db.transaction((tx) =>
      rooms.custody.rotate(tx, { owner: 'unit_rotating', keyId: old.id, actor: 'system' }),
    );
    expect(made).toMatchObject({ version: 2, keyType: 'SM2', predecessor: old.id, state: 'active' });
    expect(await signer.sign(data).then(String, codeOf)).toBe('KEY_NOT_ACTIVE');
    const kept = await rooms.custody.find('unit_rotating', old.id);
    expect(kept?.state).toBe('deactivated');
    expect(kept && verifySignature('sm2-with-SM3', kept.publicKey, data, signature)).toBe(true);
    expect((await rooms.custody.active('unit_rotating', 'seal'))?.id).toBe(made.id);
    expect(await rooms.custody.active('unit_rotating', 'seal', rooms.db, 'P-256')).toBeUndefined();
  });

  test('ends with the private half erased, the public one kept, and a proof in the log', async () => {
    const key = await generate(A);
    const [before] = await rooms.db.query<{ private_key: Uint8Array }>(
      'SELECT private_key FROM custody_keys WHERE id = $1',
      [key.id],
    );
    await lead(key.id, 'compromised');
    await lead(key.id, 'destroyed');
    expect(await rooms.db.query('SELECT private_key FROM custody_keys WHERE id = $1', [key.id])).toEqual([
      { private_key: null },
    ]);
    const kept = await rooms.custody.find(A, key.id);
    expect(kept?.compromisedAt).toEqual(rooms.clock.now());
    expect(kept?.publicKey.equals(key.publicKey)).toBe(true);
    const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    expect((await eventsOf(key.id)).at(-1)).toEqual({
      type: 'key.destroyed',
      detail: {
        owner: A,
        purpose: 'seal',
        version: key.version,
        from: 'compromised',
        driver: 'envelope',
        publicKeyDigest: sha256(key.publicKey.export({ format: 'der', type: 'spki' })),
        erasedDigest: sha256(before?.private_key ?? Buffer.alloc(0)),
      },
    });
  });

  test('is not changed at all when its transaction does not commit', async () => {
    const key = await generate(A);
    const signer = await rooms.custody.signer(A, key.id, 'ES256');
    await rooms.db
      .transaction(async (tx) => {
        await rooms.custody.destroy(tx, { owner: A, keyId: key.id, actor: 'system' });
        throw new Error('never mind');
      })
      .catch(() => undefined);
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64);
  });
});

describe('a signer that is kept', () => {
  test('stops within a second of a suspension of which it was told nothing, and goes on when that ends', async () => {
    const key = await generate(A);
    const other = fresh();
    const signer = await other.signer(A, key.id, 'ES256');
    await signer.sign(Buffer.from('x'));
    await rooms.db.query(`UPDATE custody_keys SET state = 'suspended' WHERE id = $1`, [key.id]);
    rooms.clock.advance(1.001);
    expect(await signer.sign(Buffer.from('x')).then(String, codeOf)).toBe('KEY_NOT_ACTIVE');
    await rooms.db.query(`UPDATE custody_keys SET state = 'active' WHERE id = $1`, [key.id]);
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64);
    await other.stop();
  });

  test('asks the database no more than once a second, however often it signs', async () => {
    let questions = 0;
    const db: Db = {
      ...rooms.db,
      query(sql, parameters) {
        questions += 1;
        return rooms.db.query(sql, parameters);
      },
    };
    const key = await generate(A);
    const custody = createCustody({ ...rooms, db });
    const signer = await custody.signer(A, key.id, 'ES256');
    questions = 0;
    for (let i = 0; i < 100; i++) await signer.sign(Buffer.from('x'));
    expect(questions).toBe(0);
    rooms.clock.advance(1.001);
    await Promise.all(Array.from({ length: 100 }, () => signer.sign(Buffer.from('x'))));
    expect(questions).toBe(1);
    await custody.stop();
  });

  test('does not keep the key for longer than five minutes', async () => {
    const key = await generate(A);
    const custody = fresh();
    const signer = await custody.signer(A, key.id, 'ES256');
    await rooms.db.query(`UPDATE custody_keys SET private_key = '\\x00' WHERE id = $1`, [key.id]);
    rooms.clock.advance(299);
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64);
    rooms.clock.advance(1);
    expect(await signer.sign(Buffer.from('x')).then(String, codeOf)).toBe('KEY_UNAVAILABLE');
    await custody.stop();
  });

  test('loses nothing that was asked for when many more keys are opened than are kept', async () => {
    const keys = await Promise.all(Array.from({ length: 3 }, () => generate('unit_many', 'P-384')));
    const custody = fresh();
    const signers = await Promise.all(
      keys.map(({ id }) => custody.signer('unit_many', id, 'ecdsa-with-SHA384')),
    );
    const data = Buffer.from('x');
    const first = signers.map((signer) => Array.from({ length: 30 }, () => signer.sign(data)));
    rooms.clock.advance(300.001);
    const second = signers.map((signer) => Array.from({ length: 30 }, () => signer.sign(data)));
    expect((await Promise.all([...first, ...second].flat())).length).toBe(180);
    await custody.stop();
  });
});

describe('a wrapping key', () => {
  test('is replaced by wrapping the data keys anew; the keys themselves stay as they are, and it can stop at any moment', async () => {
    const old = createSecretKey(randomBytes(32));
    const next = createSecretKey(randomBytes(32));
    const own = await openRooms();
    const before = createCustody({ ...own, keyEncryptionKey: old });
    const keys: KeyId[] = [];
    for (let i = 0; i < 150; i++) {
      const made = await own.db.transaction((tx) =>
        before.generate(tx, { owner: `unit_${i}`, purpose: 'seal', actor: 'system' }),
      );
      keys.push(made.id);
    }
    const rows = () => own.db.query('SELECT id, private_key FROM custody_keys ORDER BY id');
    const stored = await rows();
    const both = createCustody({
      ...own,
      keyEncryptionKey: next,
      otherKeyEncryptionKeys: [old, own.keyEncryptionKey],
    });
    const stop = new AbortController();
    const progress: [number, number][] = [];
    const first = await both.rewrapping.run({
      signal: stop.signal,
      onProgress(done, left) {
        progress.push([done, left]);
        stop.abort();
      },
    });
    expect(first).toBe(100);
    expect(progress).toEqual([[100, 51]]);
    // Keys are usable at every moment, and the old process goes on meanwhile with what it still can open.
    await both.signer('unit_149', keys[149] ?? 'key_', 'ES256');
    const others = await Promise.all([both.rewrapping.run(), both.rewrapping.run()]);
    expect(others.reduce((sum, n) => sum + n)).toBe(51);
    expect(await rows()).toEqual(stored);
    expect(await both.rewrapping.uses()).toContainEqual({
      id: wrappingKeyId(next),
      dataKeys: 151,
      current: true,
      known: true,
    });
    const after = createCustody({ ...own, keyEncryptionKey: next });
    await after.signer('unit_0', keys[0] ?? 'key_', 'ES256');
    const stale = createCustody({ ...own, keyEncryptionKey: old });
    expect(await stale.signer('unit_0', keys[0] ?? 'key_', 'ES256').catch(codeOf)).toBe('WRAPPING_KEY_WRONG');
    expect(await stale.rewrapping.run().catch(codeOf)).toBe('WRAPPING_KEY_WRONG');
    await own.db.close();
  });
});

describe('a backup of a key', () => {
  const exported = (keyId: KeyId, owner = 'unit_backup') =>
    rooms.db.transaction((tx) => rooms.custody.exportBackup(tx, { owner, keyId, actor: 'system' }));
  const restore = (backup: unknown, owner = 'unit_backup', on = rooms) =>
    on.db.transaction((tx) => on.custody.restoreBackup(tx, { owner, backup, actor: 'system' }));

  test('brings a lost key back, suspended, here and in another installation with the same wrapping key', async () => {
    for (const keyType of ['SM2', 'RSA-2048'] as const) {
      const key = await generate('unit_backup', keyType);
      const backup = JSON.parse(JSON.stringify(await exported(key.id))) as unknown;
      expect(await restore(backup).catch(codeOf)).toBe('KEY_STATE');
      await rooms.db.query('UPDATE custody_keys SET private_key = NULL WHERE id = $1', [key.id]);
      expect((await restore(backup)).state).toBe('suspended');
      const elsewhere = await openRooms(rooms.keyEncryptionKey);
      await restore(backup, 'unit_backup', elsewhere);
      for (const place of [rooms, elsewhere]) {
        const algorithm = algorithms[keyType][0] ?? 'ES256';
        await place.db.transaction((tx) =>
          place.custody.change(tx, { owner: 'unit_backup', keyId: key.id, to: 'active', actor: 'system' }),
        );
        const signer = await place.custody.signer('unit_backup', key.id, algorithm);
        const data = randomBytes(20);
        expect(verifySignature(algorithm, key.publicKey, data, await signer.sign(data))).toBe(true);
      }
      await elsewhere.db.close();
    }
  });

  test('opens for no other unit, under no other wrapping key, and not when anything in it was changed', async () => {
    const key = await generate('unit_backup');
    const backup = await exported(key.id);
    await rooms.db.query('UPDATE custody_keys SET private_key = NULL WHERE id = $1', [key.id]);
    const attempt = (changes: object, owner = 'unit_backup') =>
      restore({ ...backup, ...changes }, owner).then(() => 'restored', codeOf);
    expect(await attempt({}, 'unit_a')).toBe('BACKUP_INVALID');
    expect(await attempt({ owner: 'unit_a' }, 'unit_a')).toBe('KEY_UNAVAILABLE');
    expect(await attempt({ id: newId('key', rooms.clock.now()) })).toBe('KEY_UNAVAILABLE');
    expect(await attempt({ version: 77 })).toBe('KEY_UNAVAILABLE');
    expect(await attempt({ purpose: 'token' })).toBe('KEY_UNAVAILABLE');
    expect(await attempt({ wrappingKey: '0'.repeat(16) })).toBe('WRAPPING_KEY_WRONG');
    const other = await generate('unit_backup');
    const { publicKey, encryptedPrivateKey } = await exported(other.id);
    expect(await attempt({ publicKey })).toBe('KEY_UNAVAILABLE');
    expect(await attempt({ encryptedPrivateKey })).toBe('KEY_UNAVAILABLE');
    for (const garbage of [undefined, null, 'x', {}, { ...backup, more: 1 }, { ...backup, publicKey: '*' }])
      expect(await restore(garbage).catch(codeOf)).toBe('BACKUP_INVALID');
    expect(await attempt({})).toBe('restored');
  });

  test('does not bring back what was destroyed', async () => {
    const key = await generate('unit_backup');
    const backup = await exported(key.id);
    await rooms.db.transaction((tx) =>
      rooms.custody.destroy(tx, { owner: 'unit_backup', keyId: key.id, actor: 'system' }),
    );
    expect(await restore(backup).catch(codeOf)).toBe('KEY_STATE');
    expect(await exported(key.id).catch(codeOf)).toBe('KEY_STATE');
  });
});

describe("acts on a unit's keys that need two persons", () => {
  const UNIT = 'unit_ceremony';
  let control: DualControl;
  beforeAll(() => {
    const may: MayActOnKeys = (_tx, { person, scope, role }) =>
      scope === UNIT && (role === 'request' ? person === 'keeper' : person === 'approver');
    control = createDualControl({ ...rooms, acts: custodyActs(rooms.custody, may) });
  });
  const together = async (act: string, parameters: Json) => {
    const asked = await rooms.db.transaction((tx) =>
      control.request(tx, { act, parameters, requestedBy: 'keeper', scope: UNIT }),
    );
    await control.approve({ scope: UNIT, id: asked.id, by: 'approver', digest: asked.digest });
    return control.execute({ scope: UNIT, id: asked.id, by: 'keeper' });
  };

  test('make, keep, lose, bring back, give up and end a key', async () => {
    const key = (await together('key.create', {
      purpose: 'seal',
      keyType: 'SM2',
      state: 'active',
    })) as KeyRecord;
    const keyId = key.id;
    const backup = JSON.parse(JSON.stringify(await together('key.export', { keyId }))) as Json;
    await rooms.db.query('UPDATE custody_keys SET private_key = NULL WHERE id = $1', [keyId]);
    expect(await together('key.restore', { backup })).toMatchObject({ state: 'suspended' });
    expect(await together('key.compromise', { keyId })).toMatchObject({ state: 'compromised' });
    await together('key.destroy', { keyId });
    expect((await rooms.custody.find(UNIT, keyId))?.state).toBe('destroyed');
    expect(await together('key.destroy', { keyId }).catch(codeOf)).toBe('KEY_STATE');
  });

  test("never reach another unit's key, whatever id they name", async () => {
    const foreign = await generate(A);
    for (const act of ['key.export', 'key.compromise', 'key.destroy'])
      expect(await together(act, { keyId: foreign.id }).catch(codeOf)).toBe('KEY_NOT_FOUND');
    const backup = await rooms.db.transaction((tx) =>
      rooms.custody.exportBackup(tx, { owner: A, keyId: foreign.id, actor: 'system' }),
    );
    expect(await together('key.restore', { backup }).catch(codeOf)).toBe('BACKUP_INVALID');
    await expect(
      together('key.create', { purpose: 'root-ca', keyType: 'SM2', state: 'active' }),
    ).rejects.toThrow('cannot be read');
  });

  test('are done once, also when two have them done at the same moment', async () => {
    const made = (await together('key.create', {
      purpose: 'seal',
      keyType: 'P-256',
      state: 'active',
    })) as KeyRecord;
    const asked = await rooms.db.transaction((tx) =>
      control.request(tx, {
        act: 'key.destroy',
        parameters: { keyId: made.id },
        requestedBy: 'keeper',
        scope: UNIT,
      }),
    );
    await control.approve({ scope: UNIT, id: asked.id, by: 'approver', digest: asked.digest });
    const results = await Promise.all(
      ['keeper', 'approver', 'keeper'].map((by) =>
        control.execute({ scope: UNIT, id: asked.id, by }).then(
          () => 'done',
          (error: unknown) => (error instanceof DualControlError ? error.code : error),
        ),
      ),
    );
    expect(results.filter((result) => result === 'done')).toHaveLength(1);
    expect((await eventsOf(made.id)).filter(({ type }) => type === 'key.destroyed')).toHaveLength(1);
  });
});
