/**
 * SM2 digital signatures (GB/T 32918.2) with SM3, under the signer ID `1234567812345678` (GB/T 35276, 10) unless another is named.
 *
 * node:crypto signs with SM2 keys under the empty ID alone, and with a key that it has made itself, silently, plain ECDSA over the curve of
 * SM2. So a signature is put together here: k and k·G come from OpenSSL's ladder, by way of ECDH; the rest is arithmetic modulo n.
 * Numbers of JavaScript take times that depend on their values: the secret operands of each multiplication are blinded by factors that
 * change with each signature. Each signature is checked before it is given: k·G lies on the curve, and r, s fit k and the key.
 */
import { createECDH, createHash, createPublicKey, ECDH, randomBytes, type KeyObject } from 'node:crypto';
import * as der from './der.ts';
import { a, b, G, inverse, isOnCurve, n, sumHasX, type Point } from './sm2-curve.ts';

/** The curve (GM/T 0006), as parameter of id-ecPublicKey. */
export const sm2Curve = '1.2.156.10197.1.301';
/** The signer ID when the parties agreed on none (GB/T 35276). */
export const DEFAULT_SIGNER_ID = '1234567812345678';

const idEcPublicKey = '1.2.840.10045.2.1';
/** SubjectPublicKeyInfo up to the point, in the one spelling that DER and RFC 5480 leave. */
const spkiHead = der.sequence(der.objectIdentifier(idEcPublicKey), der.objectIdentifier(sm2Curve));
/** Signatures for which one pair of blinding factors is squared on before a new one is drawn. */
const BLINDED_SIGNATURES = 256;

/** A private key at work. It signs, and shows nothing. */
export interface Sm2PrivateKey {
  readonly publicKey: KeyObject;
  /**
   * @param data The message itself.
   * @returns DER of SM2Signature, SEQUENCE { R INTEGER, S INTEGER } (GB/T 35276, 7.4).
   */
  sign(data: Uint8Array): Buffer;
  /** The same for e = SM3(Z || message), 32 octets. @throws {RangeError} for another length. */
  signDigest(e: Uint8Array, nonce?: Nonce): Buffer;
}

/** k, from 1 to n - 1, and the point k·G, uncompressed. For published examples; whoever signs two messages under one k gives the key away. */
export interface Nonce {
  readonly k: Uint8Array;
  readonly point: Uint8Array;
}

/** Whether the key is on the curve of SM2. Node says so of keys that it has made, and nothing at all of keys that it has read. */
export function isSm2(publicKey: KeyObject): boolean {
  return pointOf(publicKey) !== undefined;
}

/**
 * Z, the digest of signer ID, curve and public key (GB/T 32918.2, 5.5), 32 octets. What is signed is SM3(Z || message).
 * @throws {TypeError} when the key is not on the curve of SM2.
 */
export function sm2Z(publicKey: KeyObject, signerId: string = DEFAULT_SIGNER_ID): Buffer {
  const point = pointOf(publicKey);
  if (!point) throw new TypeError('Not an SM2 key');
  return zOf(point, signerId);
}

/** e, the digest that is signed: SM3(Z || message) (GB/T 32918.2, 6.1), 32 octets. */
export function sm2Digest(z: Uint8Array, data: Uint8Array): Buffer {
  return createHash('sm3').update(z).update(data).digest();
}

/**
 * Reads a private key.
 * @param privateKeyInfo PKCS #8 (RFC 5958) with ECPrivateKey (RFC 5915), DER.
 * @throws {TypeError} when it is not an SM2 key, or its number is not from 1 to n - 2 (with n - 1, 1 + d has no inverse).
 */
export function sm2PrivateKey(
  privateKeyInfo: Uint8Array,
  signerId: string = DEFAULT_SIGNER_ID,
): Sm2PrivateKey {
  const secret = secretOf(privateKeyInfo);
  const d = toNumber(secret);
  if (d < 1n || d > n - 2n) throw new TypeError('Not the private number of an SM2 key');
  const ladder = createECDH('SM2');
  // The public half is computed from the private one: a stored half that differs never comes into a signature.
  ladder.setPrivateKey(secret);
  const point = toPoint(ladder.getPublicKey());
  if (!point) throw new TypeError('Not the private number of an SM2 key');
  const publicKey = publicKeyOf(point);
  const z = zOf(point, signerId);
  const w = inverse(1n + d, n);
  const blinding = createBlinding();

  function freshNonce(): Nonce {
    let k = randomBytes(32);
    // One in four thousand million is not below the order.
    while (toNumber(k) % n === 0n || toNumber(k) >= n) k = randomBytes(32);
    ladder.setPrivateKey(k);
    return { k, point: ladder.getPublicKey() };
  }

  function signDigest(e: Uint8Array, given?: Nonce): Buffer {
    if (e.length !== 32) throw new RangeError('SM3 yields 32 octets');
    const message = toNumber(e);
    for (;;) {
      const nonce = given ?? freshNonce();
      const k = toNumber(nonce.k);
      const kG = toPoint(nonce.point);
      if (!kG) throw new Error('k·G is not on the curve');
      const { factor, inverse: back } = blinding();
      const r = (message + kG.x) % n;
      // s = (k - r·d) / (1 + d) = (k + r) / (1 + d) - r
      const s = (((((k + r) * factor) % n) * ((w * back) % n)) % n) + n - r;
      const S = s >= n ? s - n : s;
      const useless = r === 0n || r + k === n || S === 0n;
      // k = s + (r + s)·d: a result in which a bit has tipped over says something of d, and is never shown.
      const check = ((((((r + S) * factor) % n) * ((d * back) % n)) % n) + S) % n;
      if (!useless && check !== k) throw new Error('The signature does not fit the key');
      if (!useless) return der.sequence(der.integer(toOctets(r)), der.integer(toOctets(S)));
      if (given) throw new RangeError('This k yields no signature');
    }
  }

  return { publicKey, signDigest, sign: (data) => signDigest(sm2Digest(z, data)) };
}

/**
 * Whether `signature` is the key's over `data` (GB/T 32918.2, 7.1). Whatever is wrong with key or signature is `false`.
 * @param signature DER of SM2Signature; raw octets, which some devices give, are refused.
 */
export function verifySm2(
  publicKey: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
  signerId: string = DEFAULT_SIGNER_ID,
): boolean {
  const point = pointOf(publicKey);
  return point !== undefined && verifyDigest(point, sm2Digest(zOf(point, signerId), data), signature);
}

/** Whether `signature` is the key's over e = SM3(Z || message), 32 octets. */
export function verifySm2Digest(publicKey: KeyObject, e: Uint8Array, signature: Uint8Array): boolean {
  const point = pointOf(publicKey);
  return point !== undefined && e.length === 32 && verifyDigest(point, e, signature);
}

function verifyDigest(point: Point, e: Uint8Array, signature: Uint8Array): boolean {
  const numbers = readSignature(signature);
  if (!numbers) return false;
  const { r, s } = numbers;
  if (r < 1n || r >= n || s < 1n || s >= n) return false;
  const t = (r + s) % n;
  if (t === 0n) return false;
  const x = (r - (toNumber(e) % n) + n) % n;
  return sumHasX(s, t, point, x);
}

function readSignature(signature: Uint8Array): { r: bigint; s: bigint } | undefined {
  try {
    return der.decode(
      signature,
      (reader) =>
        reader.sequence((inner) => ({ r: unsigned(inner.integer()), s: unsigned(inner.integer()) })),
      128,
    );
  } catch {
    return undefined;
  }
}

/** Two's complement, of which only the numbers from 0 on are of use: a negative one becomes 0, which no signature holds. */
function unsigned(octets: Buffer): bigint {
  return (octets[0] ?? 0) < 0x80 ? toNumber(octets) : 0n;
}

/** Points of keys: reading one out of its KeyObject takes longer than a digest. */
const points = new WeakMap<KeyObject, Point>();

function pointOf(publicKey: KeyObject): Point | undefined {
  const known = points.get(publicKey);
  if (known) return known;
  if (publicKey.type !== 'public' || !['ec', undefined].includes(publicKey.asymmetricKeyType))
    return undefined;
  const point = readPoint(publicKey.export({ format: 'der', type: 'spki' }));
  if (point) points.set(publicKey, point);
  return point;
}

function readPoint(subjectPublicKeyInfo: Buffer): Point | undefined {
  const key = der.decode(subjectPublicKeyInfo, (reader) =>
    reader.sequence((inner) => ({ algorithm: inner.any(), key: inner.bitString() })),
  );
  if (!key.algorithm.equals(spkiHead)) return undefined;
  const point = ECDH.convertKey(key.key, 'SM2', undefined, undefined, 'uncompressed');
  return typeof point === 'string' ? undefined : toPoint(point);
}

function publicKeyOf({ x, y }: Point): KeyObject {
  const key = der.sequence(
    spkiHead,
    der.bitString(Buffer.concat([Uint8Array.of(4), toOctets(x), toOctets(y)])),
  );
  const publicKey = createPublicKey({ key, format: 'der', type: 'spki' });
  points.set(publicKey, { x, y });
  return publicKey;
}

function zOf({ x, y }: Point, signerId: string): Buffer {
  const id = Buffer.from(signerId, 'utf8');
  if (id.length > 8191) throw new RangeError('A signer ID has at most 65,535 bits');
  const entl = Buffer.alloc(2);
  entl.writeUInt16BE(id.length * 8);
  const numbers = [a, b, G.x, G.y, x, y].map(toOctets);
  return createHash('sm3')
    .update(Buffer.concat([entl, id, ...numbers]))
    .digest();
}

function secretOf(privateKeyInfo: Uint8Array): Buffer {
  const { algorithm, key } = der.decode(privateKeyInfo, (reader) =>
    reader.sequence((inner) => {
      inner.integer();
      return { algorithm: inner.any(), key: inner.octetString() };
    }),
  );
  if (!algorithm.equals(spkiHead)) throw new TypeError('Not an SM2 key');
  return der.decode(key, (reader) =>
    reader.sequence((inner) => {
      inner.integer();
      const secret = inner.octetString();
      while (!inner.done) inner.any();
      return secret;
    }),
  );
}

/** Factors that a secret is multiplied with and freed of: drawn at random, squared on from signature to signature. */
function createBlinding(): () => { factor: bigint; inverse: bigint } {
  let factor = 0n;
  let back = 0n;
  let left = 0;
  return () => {
    if (left === 0) {
      factor = (toNumber(randomBytes(40)) % (n - 1n)) + 1n;
      back = inverse(factor, n);
      left = BLINDED_SIGNATURES;
    } else {
      factor = (factor * factor) % n;
      back = (back * back) % n;
    }
    left -= 1;
    return { factor, inverse: back };
  };
}

/** @param octets Uncompressed: 04, x, y. */
function toPoint(octets: Uint8Array): Point | undefined {
  if (octets.length !== 65 || octets[0] !== 4) return undefined;
  const point = { x: toNumber(octets.subarray(1, 33)), y: toNumber(octets.subarray(33)) };
  return isOnCurve(point) ? point : undefined;
}

function toNumber(octets: Uint8Array): bigint {
  if (octets.length === 0) return 0n;
  return BigInt(`0x${Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('hex')}`);
}

/** 32 octets, most significant first. */
function toOctets(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex');
}
