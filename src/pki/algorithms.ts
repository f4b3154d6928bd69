/**
 * The one table of algorithms. Names are the standards' own and say how a signature is encoded: X.509 and CMS names (RFC 5758, RFC 4055)
 * give DER for ECDSA, the JOSE name (RFC 7518) gives r and s side by side.
 */
import { verify, type KeyObject } from 'node:crypto';
import * as der from './der.ts';

/** Digests of RFC 5754 section 2, under the names that node:crypto knows too. */
const digestOids = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const;

export type DigestAlgorithm = keyof typeof digestOids;

interface Ecdsa {
  readonly keyType: 'ec';
  readonly digest: DigestAlgorithm;
  readonly dsaEncoding: 'der' | 'ieee-p1363';
  /** Curves accepted, under OpenSSL's names. Closed: a key on the SM2 curve would verify as ECDSA without complaint. */
  readonly curves: readonly string[];
  /** Absent for JOSE, which has no AlgorithmIdentifier. */
  readonly oid?: string;
  readonly parameters: 'absent';
}

interface RsaPkcs1 {
  readonly keyType: 'rsa';
  readonly digest: DigestAlgorithm;
  readonly dsaEncoding?: undefined;
  /** Absent for JOSE, which has no AlgorithmIdentifier. */
  readonly oid?: string;
  /** NULL when written; on reading absent will do too (RFC 4055 section 5). */
  readonly parameters: 'NULL';
}

const nistCurves = ['prime256v1', 'secp384r1', 'secp521r1'];
const ecdsa = { keyType: 'ec', dsaEncoding: 'der', curves: nistCurves, parameters: 'absent' } as const;
const rsa = { keyType: 'rsa', parameters: 'NULL' } as const;

const signatureAlgorithms = {
  'ecdsa-with-SHA256': { ...ecdsa, oid: '1.2.840.10045.4.3.2', digest: 'sha256' },
  'ecdsa-with-SHA384': { ...ecdsa, oid: '1.2.840.10045.4.3.3', digest: 'sha384' },
  'ecdsa-with-SHA512': { ...ecdsa, oid: '1.2.840.10045.4.3.4', digest: 'sha512' },
  sha256WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.11', digest: 'sha256' },
  sha384WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.12', digest: 'sha384' },
  sha512WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.13', digest: 'sha512' },
  // RFC 7518 3.4: P-256 and no other curve.
  ES256: {
    keyType: 'ec',
    digest: 'sha256',
    dsaEncoding: 'ieee-p1363',
    curves: ['prime256v1'],
    parameters: 'absent',
  },
  RS256: { ...rsa, digest: 'sha256' },
} as const satisfies Record<string, Ecdsa | RsaPkcs1>;

/** Name of a signature algorithm. */
export type SignatureAlgorithm = keyof typeof signatureAlgorithms;

/** Smallest RSA modulus accepted, in bits (NIST SP 800-131A, section 3). */
const minModulusBits = 2048;

/** An RSA key (RFC 3279 2.3.1), and what many a SignerInfo says in place of the full name of its algorithm (RFC 3370 3.2). */
export const rsaEncryption = '1.2.840.113549.1.1.1';

/** What the table says of an algorithm; `digest` and `dsaEncoding` are as node:crypto's `sign` and `verify` take them. */
export function algorithmOf(name: SignatureAlgorithm): Ecdsa | RsaPkcs1 {
  return signatureAlgorithms[name];
}

/** Whether the key is of the kind, curve and size that the algorithm asks for. */
export function suits(name: SignatureAlgorithm, publicKey: KeyObject): boolean {
  const algorithm = algorithmOf(name);
  const { namedCurve = '', modulusLength = 0 } = publicKey.asymmetricKeyDetails ?? {};
  if (publicKey.asymmetricKeyType !== algorithm.keyType) return false;
  return algorithm.keyType === 'ec' ? algorithm.curves.includes(namedCurve) : modulusLength >= minModulusBits;
}

/**
 * Whether `signature` is this key's signature over `data` under exactly this algorithm. Every other case is `false`, never an exception:
 * an unsuitable key, a signature of the wrong length or encoding, a number out of range.
 * @param data The message itself, not its digest.
 */
export function verifySignature(
  name: SignatureAlgorithm,
  publicKey: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const algorithm = algorithmOf(name);
  if (!suits(name, publicKey)) return false;
  if (algorithm.keyType === 'rsa') return attempt(() => verify(algorithm.digest, data, publicKey, signature));
  const { digest, dsaEncoding } = algorithm;
  return attempt(() => verify(digest, data, { key: publicKey, dsaEncoding }, signature));
}

/** OpenSSL answers some hostile keys and signatures with an error in place of a no. */
function attempt(verification: () => boolean): boolean {
  try {
    return verification();
  } catch {
    return false;
  }
}

/** The JOSE algorithm that the key suits, if the table has one. */
export function joseAlgorithmFor(publicKey: KeyObject): SignatureAlgorithm | undefined {
  return keysOf(signatureAlgorithms).find(
    (name) => algorithmOf(name).oid === undefined && suits(name, publicKey),
  );
}

/** AlgorithmIdentifier (RFC 5280 4.1.1.2) as read. */
export interface AlgorithmIdentifier {
  /** Dotted decimal. */
  readonly oid: string;
  /** DER of the parameters, absent when there are none. */
  readonly parameters: Buffer | undefined;
}

/** @throws {TypeError} for a JOSE name, which has no AlgorithmIdentifier. */
export function signatureAlgorithmIdentifier(name: SignatureAlgorithm): Buffer {
  const { oid, parameters } = algorithmOf(name);
  if (oid === undefined) throw new TypeError(`${name} has no AlgorithmIdentifier`);
  return der.sequence(der.objectIdentifier(oid), ...(parameters === 'NULL' ? [der.nullValue()] : []));
}

/** Without parameters (RFC 5754 section 2). */
export function digestAlgorithmIdentifier(name: DigestAlgorithm): Buffer {
  return der.sequence(der.objectIdentifier(digestOids[name]));
}

export function readAlgorithmIdentifier(reader: der.DerReader): AlgorithmIdentifier {
  return reader.sequence((inner) => ({
    oid: inner.objectIdentifier(),
    parameters: inner.done ? undefined : inner.any(),
  }));
}

/** @returns The digest's name, `undefined` when it is not in the table or has parameters other than NULL (RFC 5754 section 2). */
export function digestAlgorithm(identifier: AlgorithmIdentifier): DigestAlgorithm | undefined {
  const name = keysOf(digestOids).find((each) => digestOids[each] === identifier.oid);
  return isAbsentOrNull(identifier.parameters) ? name : undefined;
}

/**
 * @param digest The digest of the SignerInfo that holds the identifier: there, `rsaEncryption` leaves it to say which (RFC 3370 3.2).
 * @returns The algorithm's name, `undefined` when it is not in the table or has other parameters than the table says.
 */
export function signatureAlgorithm(
  identifier: AlgorithmIdentifier,
  digest?: DigestAlgorithm,
): SignatureAlgorithm | undefined {
  const { oid, parameters } = identifier;
  const name = keysOf(signatureAlgorithms).find((each) => {
    const row = algorithmOf(each);
    return (
      row.oid === oid ||
      (oid === rsaEncryption && row.oid !== undefined && row.keyType === 'rsa' && row.digest === digest)
    );
  });
  if (name === undefined) return undefined;
  const fits =
    algorithmOf(name).parameters === 'NULL' ? isAbsentOrNull(parameters) : parameters === undefined;
  return fits ? name : undefined;
}

function isAbsentOrNull(parameters: Buffer | undefined): boolean {
  return parameters === undefined || parameters.equals(der.nullValue());
}

function keysOf<K extends string>(table: Readonly<Record<K, unknown>>): K[] {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- the tables above are closed
  return Object.keys(table) as K[];
}
