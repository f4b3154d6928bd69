/**
 * The envelope driver: a data key per owner, wrapped by the key-encryption key from outside the database; private keys (PKCS #8)
 * encrypted under the data key. Each ciphertext is bound by its associated data to owner, purpose and version, so that a row copied to
 * another owner does not open.
 */
import { createHmac, createPrivateKey, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { createKeyCipher, type Cipher } from '../platform/cipher.ts';
import { CustodyError } from './errors.ts';

export interface DataKey {
  readonly owner: string;
  readonly version: number;
  readonly cipher: Cipher;
}

export interface Envelope {
  /** Names the key-encryption key without showing it; stored beside what it wraps. */
  readonly wrappingKeyId: string;
  /** A new data key and its wrapped form. */
  createDataKey(owner: string, version: number): { dataKey: DataKey; wrapped: Uint8Array };
  /** @throws {CustodyError} WRAPPING_KEY_WRONG: the installation runs with another key-encryption key; KEY_UNAVAILABLE: it does not open. */
  openDataKey(row: { owner: string; version: number; wrapping_key: string; wrapped: Uint8Array }): DataKey;
  encryptPrivateKey(
    dataKey: DataKey,
    key: { id: string; purpose: string; version: number },
    privateKey: KeyObject,
  ): Uint8Array;
  /** @throws {CustodyError} KEY_UNAVAILABLE */
  decryptPrivateKey(
    dataKey: DataKey,
    key: { id: string; purpose: string; version: number },
    bytes: Uint8Array,
  ): KeyObject;
}

export function createEnvelope(keyEncryptionKey: KeyObject): Envelope {
  const wrap = createKeyCipher(keyEncryptionKey);
  const wrappingKeyId = createHmac('sha256', keyEncryptionKey)
    .update('yinxin/custody/key-check')
    .digest('hex')
    .slice(0, 16);
  const dataKeyContext = (owner: string, version: number) => JSON.stringify(['data-key', owner, version]);
  const privateKeyContext = (dataKey: DataKey, key: { id: string; purpose: string; version: number }) =>
    JSON.stringify(['private-key', dataKey.owner, dataKey.version, key.id, key.purpose, key.version]);

  return {
    wrappingKeyId,
    createDataKey(owner, version) {
      const bytes = randomBytes(32);
      const wrapped = wrap.encrypt(bytes, dataKeyContext(owner, version));
      return { dataKey: { owner, version, cipher: createKeyCipher(createSecretKey(bytes)) }, wrapped };
    },
    openDataKey(row) {
      if (row.wrapping_key !== wrappingKeyId)
        throw new CustodyError(
          'WRAPPING_KEY_WRONG',
          'KEY_ENCRYPTION_KEY is not the one that wrapped the keys of this database.',
        );
      try {
        const bytes = wrap.decrypt(row.wrapped, dataKeyContext(row.owner, row.version));
        return { owner: row.owner, version: row.version, cipher: createKeyCipher(createSecretKey(bytes)) };
      } catch (cause) {
        throw new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
      }
    },
    encryptPrivateKey: (dataKey, key, privateKey) =>
      dataKey.cipher.encrypt(
        privateKey.export({ format: 'der', type: 'pkcs8' }),
        privateKeyContext(dataKey, key),
      ),
    decryptPrivateKey(dataKey, key, bytes) {
      try {
        const der = dataKey.cipher.decrypt(bytes, privateKeyContext(dataKey, key));
        return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
      } catch (cause) {
        throw new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
      }
    },
  };
}
