/** Public keys for JOSE. The only importer of `node-jose` in the program. */
import type { KeyObject } from 'node:crypto';
import { joseAlgorithmFor } from './algorithms.ts';

/** A public key as it is published (RFC 7517 section 4). */
export interface PublicJwk {
  readonly kty: string;
  /** The key's thumbprint. */
  readonly kid: string;
  readonly use: 'sig';
  readonly alg: string;
  /** The key itself (RFC 7518 section 6): `crv`, `x`, `y`. */
  readonly [member: string]: string;
}

/** @returns RFC 7638 thumbprint with SHA-256, base64url. */
export async function thumbprint(publicKey: KeyObject): Promise<string> {
  const key = await toKey(publicKey);
  // @types/node-jose says string; the library returns the octets.
  return Buffer.from(await key.thumbprint('SHA-256')).toString('base64url');
}

/**
 * JWK Set (RFC 7517 section 5) of keys that verify signatures. The key decides the algorithm: one key serves one (RFC 8725 3.1).
 * @throws {TypeError} for a private key, or a key that no JOSE algorithm of the table suits.
 */
export async function toJwks(
  publicKeys: readonly KeyObject[],
): Promise<{ readonly keys: readonly PublicJwk[] }> {
  return { keys: await Promise.all(publicKeys.map(toJwk)) };
}

async function toJwk(publicKey: KeyObject): Promise<PublicJwk> {
  const alg = joseAlgorithmFor(publicKey);
  if (!alg) throw new TypeError('No JOSE algorithm of this program suits the key');
  const key = await toKey(publicKey, { use: 'sig', alg, kid: await thumbprint(publicKey) });
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- typed `object` by @types/node-jose
  return key.toJSON() as PublicJwk;
}

async function toKey(publicKey: KeyObject, members: Record<string, string> = {}) {
  if (publicKey.type !== 'public') throw new TypeError('Only public keys are exported');
  // Loaded on first use: it takes a tenth of a second, which programs that read certificates need not spend.
  const { default: jose } = await import('node-jose');
  return jose.JWK.asKey({ ...publicKey.export({ format: 'jwk' }), ...members });
}
