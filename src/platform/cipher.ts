/** Encryption at rest of short records: AES-256-GCM (NIST SP 800-38D), each bound to where it is stored. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, type KeyObject } from 'node:crypto';
import { deriveKey } from './secrets.ts';

const VERSION = 1;
const IV_BYTES = 12;
const TAG_BYTES = 16;

export interface Cipher {
  /** @param context What the record belongs to; a record moved elsewhere does not open. @returns version, IV, tag, ciphertext. */
  encrypt(plaintext: Uint8Array, context: string): Uint8Array;
  /** @throws {Error} the bytes were changed, moved, or made with another key. */
  decrypt(bytes: Uint8Array, context: string): Uint8Array;
}

/** A cipher over `key` itself. Keys for one purpose come from `deriveKey`. */
export function createCipher(key: KeyObject): Cipher {
  return {
    encrypt(plaintext, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
      return Buffer.concat([Uint8Array.of(VERSION), iv, cipher.getAuthTag(), body]);
    },
    decrypt(bytes, context) {
      if (bytes[0] !== VERSION || bytes.length < 1 + IV_BYTES + TAG_BYTES)
        throw new Error('not an encrypted record');
      const body = 1 + IV_BYTES + TAG_BYTES;
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, 1 + IV_BYTES), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(1 + IV_BYTES, body));
      return Buffer.concat([decipher.update(bytes.subarray(body)), decipher.final()]);
    },
  };
}

/** Finds an encrypted value by equality without showing it: HMAC-SHA-256 under a key of its own, 32 bytes. */
export type BlindIndex = (value: string) => Uint8Array;

export function createBlindIndex(dataKey: KeyObject, purpose: string): BlindIndex {
  const key = deriveKey(dataKey, `blind-index/${purpose}`);
  return (value) => createHmac('sha256', key).update(value).digest();
}
