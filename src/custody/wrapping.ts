/**
 * The wrapping keys: what encrypts the owners' data keys, and is not in the database. One is current; others may be known besides, while
 * what lies under them is wrapped anew.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { createKeyCipher } from '../platform/cipher.ts';
import { CustodyError } from './errors.ts';

/** A key-encryption key, wherever it lives. */
export interface WrappingKey {
  /** Names the key without showing it; stored beside what it wraps. 16 hexadecimal digits. */
  readonly id: string;
  /** @param context What the wrapped key belongs to; it opens with no other. */
  wrap(plaintext: Uint8Array, context: string): Promise<Uint8Array>;
  /** @throws when the octets were changed, moved, or wrapped by another key. */
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array>;
}

/** A wrapping key given as octets, from the environment or a file: AES-256-GCM. */
export function softwareWrappingKey(secret: KeyObject): WrappingKey {
  const cipher = createKeyCipher(secret);
  return {
    id: wrappingKeyId(secret),
    wrap: async (plaintext, context) => cipher.encrypt(plaintext, context),
    unwrap: async (wrapped, context) => cipher.decrypt(wrapped, context),
  };
}

/** A keyed hash of the key, 8 octets as hexadecimal: wrong keys and wrong shares are told by it. */
export function wrappingKeyId(secret: KeyObject): string {
  return createHmac('sha256', secret).update('yinxin/custody/key-check').digest('hex').slice(0, 16);
}

export interface WrappingKeys {
  readonly current: WrappingKey;
  /** @throws {CustodyError} WRAPPING_KEY_WRONG when none of them has this id. */
  find(id: string): WrappingKey;
  /** Ids, the current one first. */
  readonly ids: readonly string[];
}

export function wrappingKeys(current: WrappingKey, others: readonly WrappingKey[] = []): WrappingKeys {
  const all = [current, ...others];
  return {
    current,
    ids: all.map(({ id }) => id),
    find(id) {
      const key = all.find((each) => each.id === id);
      if (!key)
        throw new CustodyError(
          'WRAPPING_KEY_WRONG',
          'KEY_ENCRYPTION_KEY is not the one that wrapped the keys of this database.',
          { cause: new Error(`wrapping key ${id} is not among those given`) },
        );
      return key;
    },
  };
}
