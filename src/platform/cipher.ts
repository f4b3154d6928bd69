/** Encryption at rest of short records: AES-256-GCM (NIST SP 800-38D), each bound to where it is stored. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, type KeyObject } from 'node:crypto';
import { KEY_ID_BYTES, type DataKeys } from './data-keys.ts';
import type { Queryable } from './db/db.ts';
import { AppError } from './errors.ts';
import { deriveKey, deriveKeys } from './secrets.ts';

/** First byte of a record that does not name its key: IV, tag, ciphertext follow. */
const UNNAMED = 1;
/** First byte of a record that names the data key it was made with: the key's id, series, IV, tag, ciphertext follow. */
const NAMED = 2;
const SERIES_BYTES = 8;
const HEADER_BYTES = 1 + KEY_ID_BYTES + SERIES_BYTES;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Records of one series. IVs are random, and 2^32 under one key are the most that NIST SP 800-38D, section 8.3, allows. */
const SERIES_RECORDS = 2 ** 31;
/** Keys of series kept in memory: each process begins a few whenever it starts. */
const KEPT_SERIES = 1000;

export class DataKeyError extends AppError<'DATA_KEY_UNKNOWN' | 'DATA_KEY_MISSING' | 'DATA_KEY_EARLY'> {}

export interface Cipher {
  /** @param context What the record belongs to; a record moved elsewhere does not open. */
  encrypt(plaintext: Uint8Array, context: string): Uint8Array;
  /**
   * @throws {DataKeyError} DATA_KEY_UNKNOWN: the record names a data key that this process does not have.
   * @throws {Error} the bytes were changed, moved, or made with another key.
   */
  decrypt(bytes: Uint8Array, context: string): Uint8Array;
}

/**
 * A cipher for one purpose: encrypts with the current data key, opens what any known one made. Each cipher of each process encrypts under
 * a key of its own, derived for its series of records, so that however many there are, no key makes too many.
 */
export function createCipher(dataKeys: DataKeys, purpose: string): Cipher {
  const keys = deriveKeys(dataKeys, purpose);
  /** Keys of series by their header. */
  const kept = new Map<string, KeyObject>();
  let current: { readonly header: Buffer; readonly key: KeyObject; records: number } | undefined;

  /** Where the series of the current key stands, a new one when it is full. */
  function series() {
    if (current && current.records < SERIES_RECORDS) return current;
    const id = Buffer.from(dataKeys.current.id, 'hex');
    const header = Buffer.concat([Uint8Array.of(NAMED), id, randomBytes(SERIES_BYTES)]);
    current = { header, key: keyOf(header), records: 0 };
    return current;
  }

  /** The key of the series that a record belongs to. */
  function keyOf(bytes: Uint8Array): KeyObject {
    const header = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)).toString('latin1', 0, HEADER_BYTES);
    const known = kept.get(header);
    if (known) return known;
    const keyId = keyIdOf(bytes);
    if (keyId === undefined || bytes.length < HEADER_BYTES) throw new Error('not an encrypted record');
    const parent = keys[dataKeys.known.findIndex(({ id }) => id === keyId)];
    if (!parent)
      throw new DataKeyError('DATA_KEY_UNKNOWN', 'The service cannot read a record at the moment.', {
        cause: new Error(`it names data key ${keyId}, which is neither DATA_KEY nor among DATA_KEY_OTHERS`),
      });
    const key = deriveKey(parent, `series/${Buffer.from(header, 'latin1').toString('hex')}`);
    kept.set(header, key);
    const [oldest] = kept.keys();
    if (kept.size > KEPT_SERIES && oldest !== undefined) kept.delete(oldest);
    return key;
  }

  /** Records from before keys had names open under whichever key fits. */
  function openUnnamed(bytes: Uint8Array, context: string): Uint8Array {
    let problem: unknown;
    for (const key of keys)
      try {
        return open(key, bytes, 1, context);
      } catch (error) {
        problem ??= error;
      }
    throw problem;
  }

  return {
    encrypt(plaintext, context) {
      const present = series();
      present.records += 1;
      return seal(present.key, present.header, plaintext, context);
    },
    decrypt: (bytes, context) =>
      bytes[0] === UNNAMED ? openUnnamed(bytes, context) : open(keyOf(bytes), bytes, HEADER_BYTES, context),
  };
}

/** The id of the data key that a record names; undefined: it names none. */
export function keyIdOf(bytes: Uint8Array): string | undefined {
  return bytes[0] === NAMED && bytes.length > KEY_ID_BYTES
    ? Buffer.from(bytes.subarray(1, 1 + KEY_ID_BYTES)).toString('hex')
    : undefined;
}

/** Whether bytes have the form of a record. Random ones have it by a chance of 1 in 128. */
export function isRecord(bytes: Uint8Array): boolean {
  const header = bytes[0] === NAMED ? HEADER_BYTES : 1;
  return (bytes[0] === NAMED || bytes[0] === UNNAMED) && bytes.length >= header + IV_BYTES + TAG_BYTES;
}

/** A cipher over `key` itself, which its records do not name. */
export function createKeyCipher(key: KeyObject): Cipher {
  const header = Uint8Array.of(UNNAMED);
  return {
    encrypt: (plaintext, context) => seal(key, header, plaintext, context),
    decrypt(bytes, context) {
      if (bytes[0] !== UNNAMED) throw new Error('not an encrypted record');
      return open(key, bytes, header.length, context);
    },
  };
}

function seal(key: KeyObject, header: Uint8Array, plaintext: Uint8Array, context: string): Uint8Array {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([header, iv, cipher.getAuthTag(), body]);
}

/** @param start Where the IV begins. */
function open(key: KeyObject, bytes: Uint8Array, start: number, context: string): Uint8Array {
  const tag = start + IV_BYTES;
  const body = tag + TAG_BYTES;
  if (bytes.length < body) throw new Error('not an encrypted record');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(start, tag), {
    authTagLength: TAG_BYTES,
  })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(tag, body));
  return Buffer.concat([decipher.update(bytes.subarray(body)), decipher.final()]);
}

/**
 * Finds an encrypted value by equality without showing it: HMAC-SHA-256 under a key of its own, 32 bytes. While several data keys are
 * known a value may lie under any of them, so it is looked for under `all` and written under `current`. Whoever writes a value that
 * may be there once only takes `lock` first, then looks under `all`: a unique constraint sees one key.
 */
export interface BlindIndex {
  /** Under the current data key: what is written. */
  current(value: string): Uint8Array;
  /** Under every known data key, the current one first: what is looked for (`= ANY($n)`). */
  all(value: string): Uint8Array[];
  /**
   * Keeps others from this value until the transaction ends, in this process and in every other that knows one of our data keys,
   * whichever is current there.
   */
  lock(tx: Queryable, value: string): Promise<void>;
}

export function createBlindIndex(dataKeys: DataKeys, purpose: string): BlindIndex {
  const keys = deriveKeys(dataKeys, `blind-index/${purpose}`);
  const under = (key: KeyObject, value: string) => createHmac('sha256', key).update(value).digest();
  return {
    current: (value) => under(keys[0], value),
    all: (value) => keys.map((key) => under(key, value)),
    async lock(tx, value) {
      // One lock for each key, always in the same order, so that two who want the same ones never wait for each other.
      const numbers = keys
        .map((key) => under(key, value).readBigInt64BE())
        .toSorted(compare)
        .map(String);
      await tx.query('SELECT pg_advisory_xact_lock(n) FROM unnest($1::bigint[]) AS n', [numbers]);
    },
  };
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
