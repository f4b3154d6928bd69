/** Where private keys live. A key belongs to one owner and one purpose; the only thing that leaves this room is a `Signer`. */
import { createHash, createPublicKey, generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { AuditLog } from '../audit/index.ts';
import { algorithmOf, type SignatureAlgorithm, type Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type KeyId } from '../platform/ids.ts';
import { createEnvelope, type DataKey } from './envelope.ts';
import { CustodyError } from './errors.ts';

/** Owner of the keys that belong to the provider itself and to no unit: token signing, audit, certificate authorities. */
export const PROVIDER = 'provider';

export type KeyPurpose = 'token' | 'audit' | 'root-ca' | 'issuing-ca' | 'seal';

export interface KeyRecord {
  readonly id: KeyId;
  readonly owner: string;
  readonly purpose: KeyPurpose;
  readonly version: number;
  readonly publicKey: KeyObject;
}

export interface Custody {
  /** Makes a P-256 key pair, active at once, in the caller's transaction; the private part is stored encrypted. */
  generate(tx: Queryable, request: { owner: string; purpose: KeyPurpose; actor: string }): Promise<KeyRecord>;
  /** The active key of an owner for a purpose, newest version first. */
  active(owner: string, purpose: KeyPurpose, on?: Queryable): Promise<KeyRecord | undefined>;
  /**
   * A signer with the key, if `owner` has it and it is active (NIST SP 800-57 part 1, section 7).
   * @param on The transaction in which the key was made, if it has not committed yet.
   * @throws {CustodyError} KEY_NOT_FOUND, for another owner's key too; KEY_NOT_ACTIVE; KEY_UNAVAILABLE; WRAPPING_KEY_WRONG.
   */
  signer(owner: string, keyId: KeyId, algorithm: SignatureAlgorithm, on?: Queryable): Promise<Signer>;
}

interface KeyRow {
  id: KeyId;
  owner: string;
  purpose: KeyPurpose;
  version: number;
  state: string;
  public_key: Uint8Array;
  data_key_version: number;
  private_key: Uint8Array | null;
}

const COLUMNS = 'id, owner, purpose, version, state, public_key, data_key_version, private_key';
/** Unwrapped keys kept in memory: creating a KeyObject costs thirty times a signature. */
const CACHE_ENTRIES = 1000;
const CACHE_MS = 300_000;
const generatePair = promisify(generateKeyPair);

export function createCustody(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  keyEncryptionKey: KeyObject;
}): Custody {
  const { db, clock, audit } = parts;
  const envelope = createEnvelope(parts.keyEncryptionKey);
  const unwrapped = new Map<KeyId, { privateKey: KeyObject; until: number }>();

  async function newestDataKey(tx: Queryable, owner: string): Promise<DataKey> {
    const [row] = await tx.query<{
      owner: string;
      version: number;
      wrapping_key: string;
      wrapped: Uint8Array;
    }>(
      'SELECT owner, version, wrapping_key, wrapped FROM custody_data_keys WHERE owner = $1 ORDER BY version DESC LIMIT 1',
      [owner],
    );
    if (row) return envelope.openDataKey(row);
    const { dataKey, wrapped } = envelope.createDataKey(owner, 1);
    await tx.query(
      'INSERT INTO custody_data_keys (owner, version, wrapping_key, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)',
      [owner, dataKey.version, envelope.wrappingKeyId, wrapped, clock.now()],
    );
    return dataKey;
  }

  async function privateKeyOf(row: KeyRow, on: Queryable): Promise<KeyObject> {
    const now = clock.now().getTime();
    const kept = unwrapped.get(row.id);
    if (kept && kept.until > now) return kept.privateKey;
    const [dataKeyRow] = await on.query<{
      owner: string;
      version: number;
      wrapping_key: string;
      wrapped: Uint8Array;
    }>(
      'SELECT owner, version, wrapping_key, wrapped FROM custody_data_keys WHERE owner = $1 AND version = $2',
      [row.owner, row.data_key_version],
    );
    if (!dataKeyRow || !row.private_key)
      throw new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.');
    const privateKey = envelope.decryptPrivateKey(envelope.openDataKey(dataKeyRow), row, row.private_key);
    unwrapped.delete(row.id);
    unwrapped.set(row.id, { privateKey, until: now + CACHE_MS });
    const [oldest] = unwrapped.keys();
    if (unwrapped.size > CACHE_ENTRIES && oldest !== undefined) unwrapped.delete(oldest);
    return privateKey;
  }

  return {
    async generate(tx, { owner, purpose, actor }) {
      const { publicKey, privateKey } = await generatePair('ec', { namedCurve: 'P-256' });
      const dataKey = await newestDataKey(tx, owner);
      const [last] = await tx.query<{ version: number }>(
        'SELECT version FROM custody_keys WHERE owner = $1 AND purpose = $2 ORDER BY version DESC LIMIT 1',
        [owner, purpose],
      );
      const key: KeyRecord = {
        id: newId('key', clock.now()),
        owner,
        purpose,
        version: (last?.version ?? 0) + 1,
        publicKey,
      };
      const spki = publicKey.export({ format: 'der', type: 'spki' });
      await tx.query(
        `INSERT INTO custody_keys (${COLUMNS}, key_type, created_at) VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, 'P-256', $8)`,
        [
          key.id,
          owner,
          purpose,
          key.version,
          spki,
          dataKey.version,
          envelope.encryptPrivateKey(dataKey, key, privateKey),
          clock.now(),
        ],
      );
      await audit.record(tx, {
        type: 'key.generated',
        actor,
        subject: key.id,
        detail: {
          owner,
          purpose,
          version: key.version,
          keyType: 'P-256',
          publicKeyDigest: createHash('sha256').update(spki).digest('hex'),
        },
      });
      return key;
    },

    async active(owner, purpose, on = db) {
      const [row] = await on.query<KeyRow>(
        `SELECT ${COLUMNS} FROM custody_keys WHERE owner = $1 AND purpose = $2 AND state = 'active' ORDER BY version DESC LIMIT 1`,
        [owner, purpose],
      );
      return (
        row && { id: row.id, owner, purpose, version: row.version, publicKey: toPublicKey(row.public_key) }
      );
    },

    async signer(owner, keyId, algorithm, on = db) {
      // The owner is part of the question: a key of another unit does not exist here.
      const [row] = await on.query<KeyRow>(
        `SELECT ${COLUMNS} FROM custody_keys WHERE id = $1 AND owner = $2`,
        [keyId, owner],
      );
      if (!row) throw new CustodyError('KEY_NOT_FOUND', 'There is no such key.');
      if (row.state !== 'active') throw new CustodyError('KEY_NOT_ACTIVE', 'The key is not active.');
      const privateKey = await privateKeyOf(row, on);
      const { digest, dsaEncoding } = algorithmOf(algorithm);
      return {
        algorithm,
        publicKey: toPublicKey(row.public_key),
        // ES256 takes 20 microseconds: on this thread it costs less than handing it to another.
        sign: async (data) => sign(digest, data, { key: privateKey, dsaEncoding }),
      };
    },
  };
}

function toPublicKey(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}
