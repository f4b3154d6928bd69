/** The one way in which the program uses a private key. */
import type { KeyObject } from 'node:crypto';
import type { SignatureAlgorithm } from './algorithms.ts';

/** A key that can sign under one algorithm. Whoever holds it does not know where the key lives: memory, database, HSM. */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  readonly publicKey: KeyObject;
  /**
   * @param data The message itself; digesting it is part of the algorithm.
   * @returns The signature, encoded as `algorithm` says: DER of ECDSA-Sig-Value (RFC 3279 2.2.3), octets of RSA (RFC 8017 8.2),
   * or r and s side by side (RFC 7518 3.4).
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
}
