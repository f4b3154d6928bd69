/** SubjectPublicKeyInfo (RFC 5280 4.1.2.7) and the identifier of a key. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { readAlgorithmIdentifier, rsaEncryption, type AlgorithmIdentifier } from './algorithms.ts';
import * as der from './der.ts';
import { X509Error } from './errors.ts';

const idEcPublicKey = '1.2.840.10045.2.1';

/** A public key, and the exact octets of its SubjectPublicKeyInfo. */
export interface SubjectPublicKey {
  readonly subjectPublicKeyInfo: Buffer;
  readonly publicKey: KeyObject;
}

/** @throws {X509Error} X509_KEY for a key that is broken, in a spelling that the standard forbids, or of a kind unknown to OpenSSL. */
export function readSubjectPublicKeyInfo(reader: der.DerReader): SubjectPublicKey {
  const { offset } = reader;
  const { value, der: subjectPublicKeyInfo } = reader.withBytes((outer) =>
    outer.sequence((inner) => ({ algorithm: readAlgorithmIdentifier(inner), key: inner.bitString() })),
  );
  checkSpelling(value.algorithm, value.key, offset);
  try {
    const publicKey = createPublicKey({ key: subjectPublicKeyInfo, format: 'der', type: 'spki' });
    return { subjectPublicKeyInfo, publicKey };
  } catch (cause) {
    throw new X509Error('X509_KEY', 'RFC 5280 4.1.2.7', 'Not a usable public key', { cause, offset });
  }
}

/** What OpenSSL would let through. */
function checkSpelling({ oid, parameters }: AlgorithmIdentifier, key: Buffer, offset: number): void {
  if (oid === idEcPublicKey) {
    // Parameters spelled out let a forger choose the generator, and with it the private key of a known public key (CVE-2020-0601).
    if (parameters?.[0] !== der.tags.objectIdentifier) {
      throw new X509Error('X509_KEY', 'RFC 5480 2.1.1', 'The curve of an EC key is named', { offset });
    }
    if (![0x02, 0x03, 0x04].includes(key[0] ?? 0)) {
      throw new X509Error('X509_KEY', 'RFC 5480 2.2', 'An EC point is written uncompressed or compressed', {
        offset,
      });
    }
  } else if (oid === rsaEncryption) {
    if (!parameters?.equals(der.nullValue())) {
      throw new X509Error('X509_KEY', 'RFC 3279 2.3.1', 'The parameters of an RSA key are NULL', { offset });
    }
    der.decode(key, (reader) => reader.sequence((inner) => [inner.integer(), inner.integer()]));
  }
}

/**
 * Identifier of a key for subjectKeyIdentifier and authorityKeyIdentifier: the first 160 bits of the SHA-256 digest of the key's
 * BIT STRING (RFC 7093 section 2, method 1).
 * @returns 20 octets.
 */
export function keyIdentifier(publicKey: KeyObject): Buffer {
  return createHash('sha256').update(subjectPublicKeyBits(publicKey)).digest().subarray(0, 20);
}

/** Contents of the key's BIT STRING, without the octet that counts unused bits: what key identifiers and OCSP digest. */
export function subjectPublicKeyBits(publicKey: KeyObject): Buffer {
  const known = bitsOf.get(publicKey);
  if (known) return known;
  const bits = der.decode(publicKey.export({ format: 'der', type: 'spki' }), (reader) =>
    reader.sequence((inner) => {
      readAlgorithmIdentifier(inner);
      return inner.bitString();
    }),
  );
  bitsOf.set(publicKey, bits);
  return bits;
}

/** Keys of authorities come back with every answer; exporting one costs nearly as much as signing with it. */
const bitsOf = new WeakMap<KeyObject, Buffer>();
