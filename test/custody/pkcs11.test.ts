import { execFileSync } from 'node:child_process';
import { createSecretKey, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCustody, CustodyError, type Custody, type KeyType } from '../../src/custody/index.ts';
import {
  connectToken,
  makeTokenWrappingKey,
  keysInToken,
  tokenWrappingKey,
  type TokenConnection,
} from '../../src/custody/pkcs11/index.ts';
import { verifySignature, type SignatureAlgorithm } from '../../src/pki/index.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';
import { makeSoftToken, type SoftToken } from '../support/token.ts';

const UNIT = 'unit_with_token';
const codeOf = (error: unknown) => (error instanceof CustodyError ? error.code : error);

let soft: SoftToken;
let token: TokenConnection;
let rooms: Rooms;
let custody: Custody;

beforeAll(async () => {
  soft = makeSoftToken('yinxin-test');
  token = await connectToken(soft.settings);
  rooms = await openRooms();
  custody = createCustody({ ...rooms, token: keysInToken(token), driver: 'pkcs11' });
});
afterAll(async () => {
  await custody.stop();
  await token.close();
  await rooms.db.close();
  soft.remove();
});

const generate = (keyType: KeyType, owner = UNIT) =>
  rooms.db.transaction((tx) => custody.generate(tx, { owner, purpose: 'seal', actor: 'system', keyType }));

describe('a key in a token', () => {
  test.each<[KeyType, SignatureAlgorithm[]]>([
    ['P-256', ['ecdsa-with-SHA256', 'ecdsa-with-SHA512', 'ES256']],
    ['P-384', ['ecdsa-with-SHA384']],
    ['RSA-2048', ['sha256WithRSAEncryption', 'sha512WithRSAEncryption', 'RSASSA-PSS-SHA256', 'RS256']],
    ['RSA-3072', ['sha384WithRSAEncryption', 'RSASSA-PSS-SHA384']],
  ])(
    'of type %s signs under its algorithms, and nothing of it is in the database',
    async (keyType, algorithms) => {
      const key = await generate(keyType);
      expect(key).toMatchObject({ driver: 'pkcs11', keyType });
      for (const algorithm of algorithms) {
        const signer = await custody.signer(UNIT, key.id, algorithm);
        const data = randomBytes(40);
        expect(verifySignature(algorithm, key.publicKey, data, await signer.sign(data))).toBe(true);
      }
      expect(
        await rooms.db.query('SELECT private_key, data_key_version FROM custody_keys WHERE id = $1', [
          key.id,
        ]),
      ).toEqual([{ private_key: null, data_key_version: null }]);
    },
  );

  test('signs many times at once over several sessions', async () => {
    const key = await generate('P-256');
    const signer = await custody.signer(UNIT, key.id, 'ES256');
    const messages = Array.from({ length: 200 }, () => randomBytes(16));
    const signatures = await Promise.all(messages.map((message) => signer.sign(message)));
    for (const [i, message] of messages.entries())
      expect(verifySignature('ES256', key.publicKey, message, signatures[i] ?? Buffer.alloc(0))).toBe(true);
  });

  test('is used by no other unit, is not given away, and cannot be taken out of the token', async () => {
    const key = await generate('P-256');
    expect(await custody.signer('unit_other', key.id, 'ES256').catch(codeOf)).toBe('KEY_NOT_FOUND');
    const request = { owner: UNIT, keyId: key.id, actor: 'system' };
    expect(await rooms.db.transaction((tx) => custody.exportBackup(tx, request)).catch(codeOf)).toBe(
      'KEY_NOT_EXPORTABLE',
    );
    const value = await token.use((lent) => {
      const c = token.constants;
      const handle = lent.find(c.CKO_PRIVATE_KEY, c.CKA_ID, Buffer.from(key.id));
      if (!handle) throw new Error('not there');
      const [extractable] = lent.pkcs11.C_GetAttributeValue(lent.session, handle, [
        { type: c.CKA_EXTRACTABLE },
      ]);
      return extractable?.value;
    });
    expect(value).toEqual(Buffer.from([0]));
  });

  test('is of no type that the token cannot sign with: those are made in the envelope, unless that is refused', async () => {
    for (const keyType of ['SM2', 'Ed25519'] as const) {
      expect((await generate(keyType)).driver).toBe('envelope');
      const insisting = { owner: UNIT, purpose: 'seal', actor: 'system', keyType, driver: 'pkcs11' } as const;
      expect(await rooms.db.transaction((tx) => custody.generate(tx, insisting)).catch(codeOf)).toBe(
        'KEY_ALGORITHM',
      );
    }
  });

  test('leaves the token when it is destroyed, or later when the token cannot be reached then', async () => {
    const driver = keysInToken(token);
    const [first, second] = [await generate('P-256'), await generate('P-256')];
    const destroy = (by: Custody, id: typeof first.id) =>
      rooms.db.transaction((tx) => by.destroy(tx, { owner: UNIT, keyId: id, actor: 'system' }));
    await destroy(custody, first.id);
    while (await driver.has(first.id)) await new Promise((resolve) => setImmediate(resolve));
    const withoutToken = createCustody({ ...rooms });
    expect(await withoutToken.signer(UNIT, second.id, 'ES256').catch(codeOf)).toBe('KEY_UNAVAILABLE');
    await destroy(withoutToken, second.id);
    expect(await driver.has(second.id)).toBe(true);
    expect(await custody.eraseDestroyed()).toBe(1);
    expect(await driver.has(second.id)).toBe(false);
    expect(await custody.eraseDestroyed()).toBe(0);
  });

  test('signs again after the token was lost and came back, also when that happens among many signatures', async () => {
    const key = await generate('P-256');
    const signer = await custody.signer(UNIT, key.id, 'ES256');
    const data = Buffer.from('x');
    for (const lose of [
      () => token.use(({ pkcs11 }) => pkcs11.C_CloseAllSessions(slotOf())),
      () => token.use(({ pkcs11, session }) => pkcs11.C_Logout(session)),
      () => token.use(({ pkcs11 }) => pkcs11.C_Finalize()),
    ]) {
      await lose();
      const signatures = await Promise.all(Array.from({ length: 20 }, () => signer.sign(data)));
      for (const signature of signatures)
        expect(verifySignature('ES256', key.publicKey, data, signature)).toBe(true);
    }
    function slotOf(): Buffer {
      const pkcs11 = new token.constants.PKCS11();
      pkcs11.load(soft.settings.module);
      const slot = pkcs11
        .C_GetSlotList(true)
        .find((each) => pkcs11.C_GetTokenInfo(each).label.trimEnd() === soft.settings.label);
      if (!slot) throw new Error('no slot');
      return slot;
    }
  });

  test('is not believed when the token signs with another key under its id', async () => {
    const [mine, other] = [await generate('P-256'), await generate('P-256')];
    await rooms.db.query('UPDATE custody_keys SET public_key = $2 WHERE id = $1', [
      mine.id,
      other.publicKey.export({ format: 'der', type: 'spki' }),
    ]);
    const signer = await custody.signer(UNIT, mine.id, 'ES256');
    expect(await signer.sign(Buffer.from('x')).then(String, codeOf)).toBe('KEY_UNAVAILABLE');
  });
});

describe('a token', () => {
  test('that is not there, or whose PIN is another, is KEY_UNAVAILABLE and shows no PIN', async () => {
    for (const changes of [{ label: 'elsewhere' }, { module: '/nowhere.so' }]) {
      const error: unknown = await connectToken({ ...soft.settings, ...changes })
        .then((connection) => connection.use(() => undefined))
        .catch((thrown: unknown) => thrown);
      expect(codeOf(error)).toBe('KEY_UNAVAILABLE');
      expect(JSON.stringify(error) + String((error as Error).cause)).not.toContain(soft.settings.pin);
    }
  });
});

describe('a wrapping key in a token', () => {
  test('wraps the data keys, for their places alone, and takes the place of one from the environment', async () => {
    const id = await makeTokenWrappingKey(token, 'wrapping');
    await expect(makeTokenWrappingKey(token, 'wrapping')).rejects.toThrow('has a wrapping key');
    expect(await tokenWrappingKey(token, 'missing').catch(codeOf)).toBe('KEY_UNAVAILABLE');
    const wrapping = await tokenWrappingKey(token, 'wrapping');
    expect(wrapping.id).toBe(id);
    const secret = randomBytes(32);
    const wrapped = await wrapping.wrap(secret, 'here');
    expect(await wrapping.unwrap(wrapped, 'here')).toEqual(secret);
    await expect(wrapping.unwrap(wrapped, 'elsewhere')).rejects.toThrow();
    await expect(wrapping.unwrap(wrapped.subarray(0, 20), 'here')).rejects.toThrow();

    const own = await openRooms(createSecretKey(randomBytes(32)));
    const key = await own.db.transaction((tx) =>
      own.custody.generate(tx, { owner: UNIT, purpose: 'seal', actor: 'system' }),
    );
    const moved = createCustody({
      ...own,
      keyEncryptionKey: wrapping,
      otherKeyEncryptionKeys: [own.keyEncryptionKey],
    });
    expect(await moved.rewrapping.run()).toBe(2);
    const after = createCustody({ ...own, keyEncryptionKey: wrapping });
    const signer = await after.signer(UNIT, key.id, 'ES256');
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64);
    await own.db.close();
  });
});

test('OpenSSL accepts what a token signed', async () => {
  const key = await generate('RSA-2048');
  const data = randomBytes(100);
  const signer = await custody.signer(UNIT, key.id, 'RSASSA-PSS-SHA256');
  const file = (name: string, bytes: Uint8Array | string) => {
    const path = join(process.env['SOFTHSM2_CONF'] ?? '', '..', name);
    writeFileSync(path, bytes);
    return path;
  };
  const output = execFileSync(
    'openssl',
    [
      ['pkeyutl', '-verify', '-rawin', '-digest', 'sha256', '-pubin'],
      ['-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'rsa_pss_saltlen:digest'],
      ['-inkey', file('pub.pem', key.publicKey.export({ format: 'pem', type: 'spki' }))],
      ['-in', file('data', data), '-sigfile', file('sig', await signer.sign(data))],
    ].flat(),
    { encoding: 'utf8' },
  );
  expect(output).toContain('Verified Successfully');
});
