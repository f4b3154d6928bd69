/**
 * The envelope driver: a data key per owner, wrapped by a wrapping key from outside the database; private keys (PKCS #8) encrypted under the
 * data key with AES-256-GCM. Each ciphertext is bound by its associated data to owner, key, version and purpose, so that a row copied to
 * another place does not open.
 */
import { createPrivateKey, createPublicKey, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { createKeyCipher, type Cipher } from '../platform/cipher.ts';
import { only, type Queryable } from '../platform/db/db.ts';
import { CustodyError } from './errors.ts';
import type { WrappingKeys } from './wrapping.ts';

export interface DataKey {
  readonly owner: string;
  readonly version: number;
  readonly cipher: Cipher;
}

/** A data key as it is stored. */
export interface DataKeyRow {
  readonly owner: string;
  readonly version: number;
  /** Id of the wrapping key. */
  readonly wrapping_key: string;
  readonly wrapped: Uint8Array;
}

/** What the ciphertext of a private key is bound to, besides its owner. */
export interface KeyPlace {
  readonly id: string;
  readonly purpose: string;
  readonly version: number;
}

export interface Envelope {
  /** The newest data key of an owner, made when there is none. Its owner's lock must be held. */
  newestDataKey(tx: Queryable, owner: string, now: Date): Promise<DataKey>;
  /** @throws {CustodyError} KEY_UNAVAILABLE: there is none, or it does not open; WRAPPING_KEY_WRONG. */
  dataKey(on: Queryable, owner: string, version: number): Promise<DataKey>;
  /** @throws as `dataKey`. */
  openDataKey(row: DataKeyRow): Promise<DataKey>;
  encryptPrivateKey(dataKey: DataKey, key: KeyPlace, privateKey: KeyObject): Uint8Array;
  /**
   * @param publicKey SubjectPublicKeyInfo, DER: a private key that belongs to another is not given.
   * @throws {CustodyError} KEY_UNAVAILABLE
   */
  decryptPrivateKey(dataKey: DataKey, key: KeyPlace, bytes: Uint8Array, publicKey: Uint8Array): KeyObject;
  /** The same data key under the current wrapping key. */
  rewrap(row: DataKeyRow): Promise<Uint8Array>;
}

const COLUMNS = 'owner, version, wrapping_key, wrapped';

export function createEnvelope(wrapping: WrappingKeys): Envelope {
  const dataKeyContext = ({ owner, version }: { owner: string; version: number }) =>
    JSON.stringify(['data-key', owner, version]);
  const privateKeyContext = (dataKey: DataKey, key: KeyPlace) =>
    JSON.stringify(['private-key', dataKey.owner, dataKey.version, key.id, key.purpose, key.version]);
  const toDataKey = (owner: string, version: number, bytes: Uint8Array): DataKey => ({
    owner,
    version,
    cipher: createKeyCipher(createSecretKey(bytes)),
  });

  async function unwrap(row: DataKeyRow): Promise<Uint8Array> {
    const key = wrapping.find(row.wrapping_key);
    try {
      return await key.unwrap(row.wrapped, dataKeyContext(row));
    } catch (cause) {
      throw unavailable(cause);
    }
  }

  const openDataKey: Envelope['openDataKey'] = async (row) =>
    toDataKey(row.owner, row.version, await unwrap(row));

  return {
    openDataKey,
    async newestDataKey(tx, owner, now) {
      const [row] = await tx.query<DataKeyRow>(
        `SELECT ${COLUMNS} FROM custody_data_keys WHERE owner = $1 ORDER BY version DESC LIMIT 1`,
        [owner],
      );
      if (row) return openDataKey(row);
      const bytes = randomBytes(32);
      const wrapped = await wrapping.current.wrap(bytes, dataKeyContext({ owner, version: 1 }));
      only(
        await tx.query(
          `INSERT INTO custody_data_keys (${COLUMNS}, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING owner`,
          [owner, 1, wrapping.current.id, wrapped, now],
        ),
      );
      return toDataKey(owner, 1, bytes);
    },
    async dataKey(on, owner, version) {
      const [row] = await on.query<DataKeyRow>(
        `SELECT ${COLUMNS} FROM custody_data_keys WHERE owner = $1 AND version = $2`,
        [owner, version],
      );
      if (!row) throw unavailable(new Error('there is no such data key'));
      return openDataKey(row);
    },
    encryptPrivateKey: (dataKey, key, privateKey) =>
      dataKey.cipher.encrypt(
        privateKey.export({ format: 'der', type: 'pkcs8' }),
        privateKeyContext(dataKey, key),
      ),
    decryptPrivateKey(dataKey, key, bytes, publicKey) {
      try {
        const der = dataKey.cipher.decrypt(bytes, privateKeyContext(dataKey, key));
        const privateKey = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
        const own = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
        if (Buffer.compare(own, publicKey) !== 0) throw new Error('the public key is of another');
        return privateKey;
      } catch (cause) {
        throw unavailable(cause);
      }
    },
    async rewrap(row) {
      return wrapping.current.wrap(await unwrap(row), dataKeyContext(row));
    },
  };
}

function unavailable(cause: unknown): CustodyError {
  return new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
}
