/**
 * The one table of algorithms. Names are the standards' own and say how a signature is encoded: X.509 and CMS names (RFC 5758, RFC 4055)
 * give DER for ECDSA, the JOSE name (RFC 7518) gives r and s side by side.
 */
import { constants, verify, type KeyObject } from 'node:crypto';
import * as der from './der.ts';
import { isSm2, verifySm2 } from './sm2.ts';

const { RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants;

/** Digests of RFC 5754 section 2, and SM3 (GB/T 32905), under the names that node:crypto knows too. */
const digestOids = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sm3: '1.2.156.10197.1.401',
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

interface Rsa {
  readonly keyType: 'rsa';
  readonly digest: DigestAlgorithm;
  readonly padding: 'PKCS1-v1_5' | 'PSS';
  readonly dsaEncoding?: undefined;
  /** Absent for JOSE, which has no AlgorithmIdentifier. */
  readonly oid?: string;
  /** NULL when written; on reading absent will do too (RFC 4055 section 5). RSASSA-PSS-params: those of the digest (RFC 4055 section 3.1). */
  readonly parameters: 'NULL' | 'RSASSA-PSS-params';
}

interface Ed25519 {
  readonly keyType: 'ed25519';
  /** What goes with it in CMS (RFC 8419 section 3.1). The signature itself is over the message (PureEdDSA). */
  readonly digest: 'sha512';
  readonly dsaEncoding?: undefined;
  readonly oid: string;
  readonly parameters: 'absent';
}

interface Sm2 {
  readonly keyType: 'sm2';
  /** Of the signer's Z and the message: see `sm2.ts`. */
  readonly digest: 'sm3';
  readonly dsaEncoding: 'der';
  readonly oid: string;
  /** When written; on reading NULL will do too, which Chinese authorities write. */
  readonly parameters: 'absent';
}

type Row = Ecdsa | Rsa | Ed25519 | Sm2;

const nistCurves = ['prime256v1', 'secp384r1', 'secp521r1'];
const ecdsa = { keyType: 'ec', dsaEncoding: 'der', curves: nistCurves, parameters: 'absent' } as const;
const rsa = { keyType: 'rsa', padding: 'PKCS1-v1_5', parameters: 'NULL' } as const;
const pss = {
  keyType: 'rsa',
  padding: 'PSS',
  oid: '1.2.840.113549.1.1.10',
  parameters: 'RSASSA-PSS-params',
} as const;

const signatureAlgorithms = {
  'ecdsa-with-SHA256': { ...ecdsa, oid: '1.2.840.10045.4.3.2', digest: 'sha256' },
  'ecdsa-with-SHA384': { ...ecdsa, oid: '1.2.840.10045.4.3.3', digest: 'sha384' },
  'ecdsa-with-SHA512': { ...ecdsa, oid: '1.2.840.10045.4.3.4', digest: 'sha512' },
  sha256WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.11', digest: 'sha256' },
  sha384WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.12', digest: 'sha384' },
  sha512WithRSAEncryption: { ...rsa, oid: '1.2.840.113549.1.1.13', digest: 'sha512' },
  // One identifier for all; the parameters say which (RFC 4055 section 3.1). MGF1 with the same digest, a salt as long as it.
  'RSASSA-PSS-SHA256': { ...pss, digest: 'sha256' },
  'RSASSA-PSS-SHA384': { ...pss, digest: 'sha384' },
  'RSASSA-PSS-SHA512': { ...pss, digest: 'sha512' },
  // RFC 8410 section 3.
  Ed25519: { keyType: 'ed25519', digest: 'sha512', oid: '1.3.101.112', parameters: 'absent' },
  // GM/T 0006; the signer ID is the default one.
  'sm2-with-SM3': {
    keyType: 'sm2',
    digest: 'sm3',
    dsaEncoding: 'der',
    oid: '1.2.156.10197.1.501',
    parameters: 'absent',
  },
  // RFC 7518 3.4: P-256 and no other curve.
  ES256: {
    keyType: 'ec',
    digest: 'sha256',
    dsaEncoding: 'ieee-p1363',
    curves: ['prime256v1'],
    parameters: 'absent',
  },
  RS256: { ...rsa, digest: 'sha256' },
} as const satisfies Record<string, Row>;

/** Name of a signature algorithm. */
export type SignatureAlgorithm = keyof typeof signatureAlgorithms;

/** Smallest RSA modulus accepted, in bits (NIST SP 800-131A, section 3). */
const minModulusBits = 2048;

/** An RSA key (RFC 3279 2.3.1), and what many a SignerInfo says in place of the full name of its algorithm (RFC 3370 3.2). */
export const rsaEncryption = '1.2.840.113549.1.1.1';

/** The mask generation function of RSASSA-PSS (RFC 4055 section 2.2). */
const idMgf1 = '1.2.840.113549.1.1.8';

/** What many a SignerInfo of GB/T 35275 says in place of sm2-with-SM3: the digital signature of SM2, with the digest beside it. */
const sm2Signature = '1.2.156.10197.1.301.1';

/** What the table says of an algorithm; `digest` and `dsaEncoding` are as node:crypto takes them, see {@link signingOptions}. */
export function algorithmOf(name: SignatureAlgorithm): Row {
  return signatureAlgorithms[name];
}

/**
 * How node:crypto's `sign` and `verify` are to be asked for an algorithm. Not SM2, which they do under the wrong signer ID: see `sm2.ts`.
 * @throws {TypeError} for SM2.
 */
export function signingOptions(name: SignatureAlgorithm): {
  /** null: the algorithm digests by itself. */
  readonly digest: DigestAlgorithm | null;
  readonly options: SigningOptions;
} {
  const row = algorithmOf(name);
  switch (row.keyType) {
    case 'ec':
      return { digest: row.digest, options: { dsaEncoding: row.dsaEncoding } };
    case 'rsa':
      return row.padding === 'PSS'
        ? {
            digest: row.digest,
            options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST },
          }
        : { digest: row.digest, options: {} };
    case 'ed25519':
      return { digest: null, options: {} };
    case 'sm2':
      throw new TypeError('node:crypto does not sign SM2 under the signer ID of the standard');
  }
}

/** What goes beside the key; members of `SignKeyObjectInput` and `VerifyKeyObjectInput` of node:crypto. */
export interface SigningOptions {
  readonly dsaEncoding?: 'der' | 'ieee-p1363';
  readonly padding?: number;
  readonly saltLength?: number;
}

/** Whether the key is of the kind, curve and size that the algorithm asks for. */
export function suits(name: SignatureAlgorithm, publicKey: KeyObject): boolean {
  const algorithm = algorithmOf(name);
  const { namedCurve = '', modulusLength = 0 } = publicKey.asymmetricKeyDetails ?? {};
  const keyType = publicKey.asymmetricKeyType;
  switch (algorithm.keyType) {
    case 'ec':
      return keyType === 'ec' && algorithm.curves.includes(namedCurve);
    case 'rsa':
      // A key bound to RSASSA-PSS (RFC 4055 section 1.2) signs nothing else.
      return (
        (keyType === 'rsa' || (keyType === 'rsa-pss' && algorithm.padding === 'PSS')) &&
        modulusLength >= minModulusBits
      );
    case 'ed25519':
      return keyType === 'ed25519';
    case 'sm2':
      return isSm2(publicKey);
  }
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
  if (!suits(name, publicKey)) return false;
  if (algorithmOf(name).keyType === 'sm2') return verifySm2(publicKey, data, signature);
  const { digest, options } = signingOptions(name);
  return attempt(() => verify(digest, data, { key: publicKey, ...options }, signature));
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
  const { oid, parameters, digest } = algorithmOf(name);
  if (oid === undefined) throw new TypeError(`${name} has no AlgorithmIdentifier`);
  const written = {
    absent: [],
    NULL: [der.nullValue()],
    'RSASSA-PSS-params': [pssParameters(digest, der.nullValue())],
  }[parameters];
  return der.sequence(der.objectIdentifier(oid), ...written);
}

/** RSASSA-PSS-params (RFC 4055 3.1): the digest, MGF1 with the same, a salt of its length; the trailer is the default. */
function pssParameters(digest: DigestAlgorithm, ...ofDigest: readonly Buffer[]): Buffer {
  const algorithm = der.sequence(der.objectIdentifier(digestOids[digest]), ...ofDigest);
  const saltLength = { sha256: 32, sha384: 48, sha512: 64, sm3: 32 }[digest];
  return der.sequence(
    der.element(0xa0, algorithm),
    der.element(0xa1, der.sequence(der.objectIdentifier(idMgf1), algorithm)),
    der.element(0xa2, der.integer(saltLength)),
  );
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
  return keysOf(signatureAlgorithms).find((each) => {
    const row = algorithmOf(each);
    return row.oid !== undefined && isNamed(row, identifier.oid, digest) && fits(row, identifier.parameters);
  });
}

function isNamed(row: Row, oid: string, digest: DigestAlgorithm | undefined): boolean {
  if (row.oid === oid) return true;
  if (row.digest !== digest) return false;
  return row.keyType === 'sm2'
    ? oid === sm2Signature
    : oid === rsaEncryption && row.keyType === 'rsa' && row.padding === 'PKCS1-v1_5';
}

function fits(row: Row, parameters: Buffer | undefined): boolean {
  if (row.parameters === 'RSASSA-PSS-params') {
    // The digest's own parameters are NULL or absent, in both places alike (RFC 4055 section 2.1).
    return [[der.nullValue()], []].some((each) => parameters?.equals(pssParameters(row.digest, ...each)));
  }
  return row.parameters === 'NULL' || row.keyType === 'sm2'
    ? isAbsentOrNull(parameters)
    : parameters === undefined;
}

function isAbsentOrNull(parameters: Buffer | undefined): boolean {
  return parameters === undefined || parameters.equals(der.nullValue());
}

function keysOf<K extends string>(table: Readonly<Record<K, unknown>>): K[] {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- the tables above are closed
  return Object.keys(table) as K[];
}
