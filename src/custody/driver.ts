/** Where the private half of a key is kept. Two drivers: the database (`envelope.ts`) and a token (`pkcs11/`). */
import type { KeyObject } from 'node:crypto';
import type { SignatureAlgorithm } from '../pki/index.ts';
import type { KeyType } from './key-types.ts';

export type DriverName = 'envelope' | 'pkcs11';

/** A private key ready to sign. */
export interface OpenKey {
  readonly publicKey: KeyObject;
  /** @throws {CustodyError} KEY_ALGORITHM, KEY_UNAVAILABLE, KEYS_BUSY. */
  sign(algorithm: SignatureAlgorithm, data: Uint8Array): Promise<Uint8Array>;
  /** Forgets it. Signatures under way end. */
  close(): void;
}

/** A token that keeps private keys and gives none away. */
export interface TokenDriver {
  readonly keyTypes: readonly KeyType[];
  /** Makes a pair in the token. @param id Names it there. @returns The public half. */
  make(id: string, keyType: KeyType, label: string): Promise<KeyObject>;
  open(id: string, publicKey: KeyObject): Promise<OpenKey>;
  /** Removes the pair; removing what is not there is no error. */
  destroy(id: string): Promise<void>;
  /** Whether a private key of this id is there. */
  has(id: string): Promise<boolean>;
}
