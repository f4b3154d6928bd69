/** One signature with a private key in memory; the same in a thread and on the event loop. */
import { sign, type KeyObject } from 'node:crypto';
import { signingOptions, sm2PrivateKey, type SignatureAlgorithm } from '../pki/index.ts';

/** Signs with one key. Made once per key: reading an SM2 key takes as long as a signature. */
export type SignWith = (algorithm: SignatureAlgorithm, data: Uint8Array) => Buffer;

/**
 * Errors of arithmetic do not leave: OpenSSL checks RSA-CRT before it gives a signature, `sm2.ts` checks SM2; ECDSA and Ed25519 would take
 * three times as long with a check, and what is sealed is verified as a whole before it is given to anybody.
 */
export function signWith(privateKey: KeyObject): SignWith {
  const isSm2 = privateKey.asymmetricKeyType === undefined;
  if (isSm2) {
    const key = sm2PrivateKey(privateKey.export({ format: 'der', type: 'pkcs8' }));
    return (_algorithm, data) => key.sign(data);
  }
  return (algorithm, data) => {
    const { digest, options } = signingOptions(algorithm);
    if (options.padding !== undefined) return sign(digest, data, { key: privateKey, ...options });
    // The key is given by itself where it can be, and r and s are rearranged: with options, Node takes twice the time for ECDSA.
    const signature = sign(digest, data, privateKey);
    return options.dsaEncoding === 'ieee-p1363' ? sideBySide(signature) : signature;
  };
}

/** ECDSA-Sig-Value (RFC 3279, section 2.2.3) of a P-256 key as r and s side by side (RFC 7518, section 3.4). */
export function sideBySide(signature: Buffer): Buffer {
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
