/** Where private keys live. A key belongs to one owner and one purpose; the only thing that leaves this room is a `Signer`. */
import {
  createHash,
  createPublicKey,
  generateKeyPair,
  sign,
  type KeyObject,
  type SignKeyObjectInput,
} from 'node:crypto';
import { promisify } from 'node:util';
import type { AuditLog } from '../audit/index.ts';
import { signingOptions, type SignatureAlgorithm, type Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type KeyId } from '../platform/ids.ts';
import { createEnvelope, type DataKey } from './envelope.ts';
import { CustodyError } from './errors.ts';

/** Owner of the keys that belong to the provider itself and to no unit: token signing, audit, certificate authorities. */
export const PROVIDER = 'provider';

export type KeyPurpose = 'token' | 'audit' | 'root-ca' | 'issuing-ca' | 'seal';

/** P-256 for ECDSA; RSA with 2,048 bits for RS256, which OpenID Connect obliges every provider to offer. */
export type KeyType = 'P-256' | 'RSA-2048';

export interface KeyRecord {
  readonly id: KeyId;
  readonly owner: string;
  readonly purpose: KeyPurpose;
  readonly version: number;
  readonly publicKey: KeyObject;
}

export interface Custody {
  /** Makes a key pair (P-256 unless said otherwise), active at once, in the caller's transaction; the private part is stored encrypted. */
  generate(
    tx: Queryable,
    request: { owner: string; purpose: KeyPurpose; actor: string; keyType?: KeyType },
  ): Promise<KeyRecord>;
  /** A key of an owner in any state: its public half, for what it signed. */
  find(owner: string, keyId: KeyId): Promise<KeyRecord | undefined>;
  /** Ends a key for good (NIST SP 800-57 part 1, section 7): the private part is erased, the public part and the record stay. */
  destroy(tx: Queryable, request: { owner: string; keyId: KeyId; actor: string }): Promise<void>;
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
const signOnThread = promisify(signWithCallback);

function makePair(keyType: KeyType): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return keyType === 'P-256'
    ? generatePair('ec', { namedCurve: 'P-256' })
    : generatePair('rsa', { modulusLength: 2048 });
}

function signWithCallback(
  digest: string | null,
  data: Uint8Array,
  key: SignKeyObjectInput,
  callback: (error: Error | null, signature: Buffer) => void,
): void {
  sign(digest, data, key, callback);
}

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
    async generate(tx, { owner, purpose, actor, keyType = 'P-256' }) {
      const { publicKey, privateKey } = await makePair(keyType);
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
        `INSERT INTO custody_keys (${COLUMNS}, key_type, created_at) VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $9, $8)`,
        [
          key.id,
          owner,
          purpose,
          key.version,
          spki,
          dataKey.version,
          envelope.encryptPrivateKey(dataKey, key, privateKey),
          clock.now(),
          keyType,
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
          keyType,
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

    async find(owner, keyId) {
      const [row] = await db.query<KeyRow>(
        `SELECT ${COLUMNS} FROM custody_keys WHERE id = $1 AND owner = $2`,
        [keyId, owner],
      );
      return row && { ...row, publicKey: toPublicKey(row.public_key) };
    },

    async destroy(tx, { owner, keyId, actor }) {
      const [row] = await tx.query(
        `UPDATE custody_keys SET state = 'destroyed', private_key = NULL
          WHERE id = $1 AND owner = $2 AND state <> 'destroyed' RETURNING id`,
        [keyId, owner],
      );
      if (!row) throw new CustodyError('KEY_NOT_FOUND', 'There is no such key.');
      unwrapped.delete(keyId);
      await audit.record(tx, { type: 'key.destroyed', actor, subject: keyId, detail: { owner } });
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
      const { digest, options } = signingOptions(algorithm);
      const { dsaEncoding } = options;
      return {
        algorithm,
        publicKey: toPublicKey(row.public_key),
        sign:
          dsaEncoding === undefined
            ? (data) => signOnThread(digest, data, { key: privateKey, ...options })
            : // ECDSA on P-256 takes 20 microseconds: on this thread it costs less than handing it to another. The key is given
              // by itself, and what comes out is rearranged: given with options, Node takes twice the time.
              async (data) => {
                const signature = sign(digest, data, privateKey);
                return dsaEncoding === 'der' ? signature : sideBySide(signature);
              },
      };
    },
  };
}

/** ECDSA-Sig-Value (RFC 3279, section 2.2.3) of a P-256 key as r and s side by side (RFC 7518, section 3.4). */
function sideBySide(signature: Buffer): Buffer {
  const raw = Buffer.alloc(64);
  // SEQUENCE { INTEGER r, INTEGER s }: all lengths are short, and a leading zero may stand before a number.
  let at = 2;
  for (const end of [32, 64]) {
    const length = signature[at + 1] ?? 0;
    const number = signature.subarray(at + 2, at + 2 + length);
    const digits = number.length > 32 ? number.subarray(number.length - 32) : number;
    digits.copy(raw, end - digits.length);
    at += 2 + length;
  }
  return raw;
}

function toPublicKey(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}
