/** Certificate revocation lists of version 2 (RFC 5280 section 5): written for our authorities, read from anyone. */
import {
  readAlgorithmIdentifier,
  signatureAlgorithm,
  signatureAlgorithmIdentifier,
  suits,
  verifySignature,
  type SignatureAlgorithm,
} from './algorithms.ts';
import * as der from './der.ts';
import { PkiMessageError } from './errors.ts';
import {
  extension,
  idAuthorityKeyIdentifier,
  readAuthorityKeyIdentifier,
  readDistributionPointName,
  readExtensionList,
  writeAuthorityKeyIdentifier,
  writeDistributionPointName,
} from './extensions.ts';
import { readName, type Name } from './name.ts';
import type { Signer } from './signer.ts';
import { signed, type Certificate } from './x509.ts';

/** CRLReason (RFC 5280 5.3.1). 7 is not used; 0 is never written. */
const reasonNumbers = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

export type RevocationReason = keyof typeof reasonNumbers;

/** The reasons that a certificate may be revoked for in full; `removeFromCRL` is for delta CRLs alone. */
export const revocationReasons = Object.keys(reasonNumbers).filter(
  (reason) => reason !== 'removeFromCRL',
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
) as readonly Exclude<RevocationReason, 'removeFromCRL'>[];

const idCrlNumber = '2.5.29.20';
const idReasonCode = '2.5.29.21';
const idInvalidityDate = '2.5.29.24';
const idIssuingDistributionPoint = '2.5.29.28';
const extensionsTag = der.contextTag(0, 'constructed');
/** Room for some 400,000 entries, in octets. */
const maxCrlBytes = 16 * 1024 * 1024;

export interface RevokedCertificate {
  /** Contents octets of the INTEGER, as {@link Certificate.serialNumber}. */
  readonly serialNumber: Uint8Array;
  /** Whole seconds. */
  readonly revocationDate: Date;
  /** `undefined` says as much as `unspecified`, and is what is written for it (RFC 5280 5.3.1). */
  readonly reason?: RevocationReason | undefined;
  /** Since when the key is thought to be in wrong hands (RFC 5280 5.3.2). */
  readonly invalidityDate?: Date | undefined;
}

/** Which certificates a list speaks of (RFC 5280 5.2.5). Lists of attribute certificates, indirect ones and ones for some reasons only are critical and unknown here. */
export interface IssuingDistributionPoint {
  /** The list's own address; the same as in the certificates' cRLDistributionPoints. */
  readonly fullName: readonly string[];
  readonly onlyContainsUserCerts: boolean;
  readonly onlyContainsCACerts: boolean;
}

/** What a new list shall say. */
export interface CrlTemplate {
  /** The issuer's own subject name, octet for octet. */
  readonly issuer: Name;
  /** Whole seconds; parts of a second are dropped. */
  readonly thisUpdate: Date;
  /** When the next one is out at the latest. */
  readonly nextUpdate: Date;
  /** Greater with each list of the issuer (RFC 5280 5.2.3). */
  readonly cRLNumber: number;
  /** The issuer's subjectKeyIdentifier. */
  readonly authorityKeyIdentifier: Uint8Array;
  readonly issuingDistributionPoint?:
    | { readonly fullName: string; readonly only?: 'user-certificates' | 'ca-certificates' | undefined }
    | undefined;
  readonly revokedCertificates: readonly RevokedCertificate[];
}

/** A list as read. All octets are exactly those of its encoding. */
export interface Crl {
  readonly der: Buffer;
  /** tbsCertList: the octets that the signature covers. */
  readonly tbsCertList: Buffer;
  readonly issuer: Name;
  readonly thisUpdate: Date;
  /** RFC 5280 5.1.2.5 demands it; `undefined` where a list leaves it out. */
  readonly nextUpdate: Date | undefined;
  readonly revokedCertificates: readonly RevokedCertificate[];
  readonly authorityKeyIdentifier: Buffer | undefined;
  /** Contents octets of the INTEGER. */
  readonly cRLNumber: Buffer | undefined;
  readonly issuingDistributionPoint: IssuingDistributionPoint | undefined;
  /** Object identifiers of critical extensions, of the list or of an entry, that are not read here. Unless empty, the list proves nothing. */
  readonly unrecognizedCriticalExtensions: readonly string[];
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Buffer;
}

/**
 * Issues a list (RFC 5280 5.1).
 * @param signer The issuer's key, under an X.509 algorithm.
 * @returns DER of the CertificateList.
 */
export async function buildCrl(template: CrlTemplate, signer: Signer): Promise<Buffer> {
  if (!(template.thisUpdate < template.nextUpdate)) throw new TypeError('nextUpdate comes after thisUpdate');
  const { revokedCertificates, issuingDistributionPoint } = template;
  const algorithm = signatureAlgorithmIdentifier(signer.algorithm);
  const tbsCertList = der.sequence(
    der.integer(1), // version 2
    algorithm,
    template.issuer.der,
    der.time(template.thisUpdate),
    der.time(template.nextUpdate),
    // An empty list is left out, not empty (5.1.2.6).
    ...(revokedCertificates.length === 0 ? [] : [der.sequence(...revokedCertificates.map(writeEntry))]),
    der.element(
      extensionsTag,
      der.sequence(
        extension(
          idAuthorityKeyIdentifier,
          false,
          writeAuthorityKeyIdentifier(template.authorityKeyIdentifier),
        ),
        extension(idCrlNumber, false, der.integer(template.cRLNumber)),
        ...(issuingDistributionPoint
          ? [
              extension(
                idIssuingDistributionPoint,
                true,
                writeIssuingDistributionPoint(issuingDistributionPoint),
              ),
            ]
          : []),
      ),
    ),
  );
  return signed(tbsCertList, algorithm, signer);
}

function writeEntry({ serialNumber, revocationDate, reason, invalidityDate }: RevokedCertificate): Buffer {
  const extensions = [
    ...(reason !== undefined && reason !== 'unspecified'
      ? [extension(idReasonCode, false, der.enumerated(reasonNumbers[reason]))]
      : []),
    ...(invalidityDate ? [extension(idInvalidityDate, false, der.generalizedTime(invalidityDate))] : []),
  ];
  return der.sequence(
    der.element(der.tags.integer, serialNumber),
    der.time(revocationDate),
    ...(extensions.length > 0 ? [der.sequence(...extensions)] : []),
  );
}

const onlyUserTag = der.contextTag(1, 'primitive');
const onlyCaTag = der.contextTag(2, 'primitive');

function writeIssuingDistributionPoint({
  fullName,
  only,
}: NonNullable<CrlTemplate['issuingDistributionPoint']>): Buffer {
  const isTrue = (tag: number) => der.retagged(tag, der.boolean(true));
  return der.sequence(
    writeDistributionPointName(fullName),
    ...(only === 'user-certificates' ? [isTrue(onlyUserTag)] : []),
    ...(only === 'ca-certificates' ? [isTrue(onlyCaTag)] : []),
  );
}

/**
 * Reads a list. Reading says nothing of trust: see {@link judgeCrl}.
 * @param bytes DER, and nothing after it.
 * @throws {DerError} when it is not the DER of a list. @throws {PkiMessageError} CRL_VERSION, CRL_ALGORITHM, CRL_ENTRY, CRL_EXTENSION.
 * @throws {X509Error} when the issuer's name or an extension is malformed.
 */
export function parseCrl(bytes: Uint8Array): Crl {
  return der.decode(Buffer.from(bytes), readCrl, maxCrlBytes);
}

function readCrl(reader: der.DerReader): Crl {
  const { value, der: encoded } = reader.withBytes((outer) =>
    outer.sequence((inner) => {
      const tbs = inner.withBytes(readTbsCertList);
      const { offset } = inner;
      const algorithm = inner.withBytes(readAlgorithmIdentifier);
      // RFC 5280 5.1.1.2: the algorithm outside, which no signature covers, is the one inside.
      if (!algorithm.der.equals(tbs.value.algorithmDer))
        throw new PkiMessageError(
          'CRL_ALGORITHM',
          'RFC 5280 5.1.1.2',
          offset,
          'The list names two signature algorithms',
        );
      return {
        tbs,
        signatureAlgorithm: signatureAlgorithm(algorithm.value),
        signature: inner.bitString(),
      };
    }),
  );
  const { tbs, ...outside } = value;
  const { algorithmDer: _, ...fields } = tbs.value;
  return { der: encoded, tbsCertList: tbs.der, ...outside, ...fields };
}

function readTbsCertList(reader: der.DerReader) {
  return reader.sequence((inner) => {
    const { offset } = inner;
    // Version 1 has no version and no extensions; RFC 5280 5.1.2.1 wants version 2 of everyone.
    if (!inner.next(der.tags.integer) || inner.smallInteger() !== 1)
      throw new PkiMessageError('CRL_VERSION', 'RFC 5280 5.1.2.1', offset, 'A list is of version 2');
    const algorithmDer = inner.withBytes(readAlgorithmIdentifier).der;
    const issuer = readName(inner);
    const thisUpdate = inner.time();
    const nextUpdate =
      inner.next(der.tags.utcTime) || inner.next(der.tags.generalizedTime) ? inner.time() : undefined;
    const unrecognized: string[] = [];
    const entriesAt = inner.offset;
    const revokedCertificates = inner.optional(der.tags.sequence, () =>
      inner.listOf((item) => readEntry(item, unrecognized)),
    );
    if (revokedCertificates?.length === 0)
      throw new PkiMessageError(
        'CRL_ENTRY',
        'RFC 5280 5.1.2.6',
        entriesAt,
        'Without revoked certificates the list of them is left out',
      );
    const extensions = inner.optional(extensionsTag, () => inner.constructed(extensionsTag, readExtensions));
    return {
      algorithmDer,
      issuer,
      thisUpdate,
      nextUpdate,
      revokedCertificates: revokedCertificates ?? [],
      authorityKeyIdentifier: extensions?.authorityKeyIdentifier,
      cRLNumber: extensions?.cRLNumber,
      issuingDistributionPoint: extensions?.issuingDistributionPoint,
      unrecognizedCriticalExtensions: [
        ...new Set([...(extensions?.unrecognizedCriticalExtensions ?? []), ...unrecognized]),
      ],
    };
  });
}

function readEntry(reader: der.DerReader, unrecognized: string[]): RevokedCertificate {
  return reader.sequence((inner) => {
    const { offset } = inner;
    const serialNumber = inner.integer();
    if (serialNumber.length > 21)
      throw new PkiMessageError(
        'CRL_ENTRY',
        'RFC 5280 4.1.2.2',
        offset,
        'A serial number has at most 20 octets',
      );
    const revocationDate = inner.time();
    let reason: RevocationReason | undefined;
    let invalidityDate: Date | undefined;
    if (!inner.done) {
      unrecognized.push(
        ...readExtensionList(inner, (oid) => {
          if (oid === idReasonCode) return (value) => (reason = readReason(value));
          // The critical certificateIssuer of indirect lists stays unknown: its entry is another issuer's.
          return oid === idInvalidityDate ? (value) => (invalidityDate = value.generalizedTime()) : undefined;
        }),
      );
    }
    return { serialNumber, revocationDate, reason, invalidityDate };
  });
}

/** CRLReason, an ENUMERATED. @throws {PkiMessageError} CRL_ENTRY for a number that is not in it. */
export function readReason(reader: der.DerReader): RevocationReason {
  const { offset } = reader;
  const number = reader.enumerated();
  const found = Object.entries(reasonNumbers).find(([, each]) => each === number)?.[0];
  if (found === undefined)
    throw new PkiMessageError('CRL_ENTRY', 'RFC 5280 5.3.1', offset, `No reason has the number ${number}`);
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- a key of the closed table
  return found as RevocationReason;
}

/** @returns DER of a CRLReason. */
export function writeReason(reason: RevocationReason): Buffer {
  return der.enumerated(reasonNumbers[reason]);
}

function readExtensions(reader: der.DerReader) {
  let authorityKeyIdentifier: Buffer | undefined;
  let cRLNumber: Buffer | undefined;
  let issuingDistributionPoint: IssuingDistributionPoint | undefined;
  let isPartial = false;
  const unrecognizedCriticalExtensions = readExtensionList(reader, (oid) => {
    if (oid === idAuthorityKeyIdentifier)
      return (value) => (authorityKeyIdentifier = readAuthorityKeyIdentifier(value));
    if (oid === idCrlNumber)
      return (value) => {
        const { offset } = value;
        cRLNumber = value.integer();
        if (cRLNumber.length > 21 || (cRLNumber[0] ?? 0) >= 0x80)
          throw new PkiMessageError(
            'CRL_EXTENSION',
            'RFC 5280 5.2.3',
            offset,
            'A CRL number is not negative and has at most 20 octets',
          );
      };
    if (oid === idIssuingDistributionPoint)
      return (value) => ({ issuingDistributionPoint, isPartial } = readIssuingDistributionPoint(value));
    return undefined;
  });
  return {
    authorityKeyIdentifier,
    cRLNumber,
    issuingDistributionPoint,
    unrecognizedCriticalExtensions: isPartial
      ? [...unrecognizedCriticalExtensions, idIssuingDistributionPoint]
      : unrecognizedCriticalExtensions,
  };
}

function readIssuingDistributionPoint(reader: der.DerReader): {
  issuingDistributionPoint: IssuingDistributionPoint;
  /** The list is for attribute certificates, for some reasons only, or indirect: more than is judged here. */
  isPartial: boolean;
} {
  return reader.sequence((inner) => {
    const { offset } = inner;
    const fullName = readDistributionPointName(inner) ?? [];
    const isTrue = (number: number) => {
      const tag = der.contextTag(number, 'primitive');
      const start = inner.offset;
      if (!inner.next(tag)) return false;
      if (!inner.boolean(tag))
        throw new PkiMessageError('CRL_EXTENSION', 'X.690 11.5', start, 'A default value is left out');
      return true;
    };
    const onlyContainsUserCerts = isTrue(1);
    const onlyContainsCACerts = isTrue(2);
    const reasonsTag = der.contextTag(3, 'primitive');
    const hasReasons = inner.optional(reasonsTag, () => inner.namedBits(reasonsTag)) !== undefined;
    const isIndirect = isTrue(4);
    const onlyAttributes = isTrue(5);
    if ([onlyContainsUserCerts, onlyContainsCACerts, onlyAttributes].filter(Boolean).length > 1)
      throw new PkiMessageError(
        'CRL_EXTENSION',
        'RFC 5280 5.2.5',
        offset,
        'A list contains only certificates of one kind',
      );
    return {
      issuingDistributionPoint: { fullName, onlyContainsUserCerts, onlyContainsCACerts },
      isPartial: hasReasons || isIndirect || onlyAttributes,
    };
  });
}

/** Why a list proves nothing of a certificate. The clause is of RFC 5280. */
export type CrlProblem =
  /** 6.3.3 (b): the list is of another issuer. */
  | 'ISSUER_DIFFERS'
  /** 6.3.3 (f): the issuer's keyUsage lacks cRLSign. */
  | 'CRL_SIGN_MISSING'
  /** 6.3.3 (g): signed under an algorithm, or with a key, that this program does not accept. */
  | 'ALGORITHM_UNSUPPORTED'
  /** 6.3.3 (g): not signed by the issuer. */
  | 'SIGNATURE_INVALID'
  /** 5.2: a critical extension that this program does not know. */
  | 'CRITICAL_EXTENSION_UNKNOWN'
  /** 6.3.3 (a): the time is before thisUpdate. */
  | 'NOT_YET_VALID'
  /** 6.3.3 (a): the time is after nextUpdate, or there is none. */
  | 'EXPIRED'
  /** 6.3.3 (b): the list is for certificates of another kind, or of another distribution point. */
  | 'OUT_OF_SCOPE';

export type CrlVerdict =
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly entry: RevokedCertificate }
  | { readonly status: 'unknown'; readonly problem: CrlProblem };

/**
 * What a list says of a certificate (RFC 5280 6.3.3), held against its issuer.
 * @param issuer The certificate of the CA that issued both; trusted by the caller, at this time.
 * @param at The time for which the answer shall hold: between thisUpdate and nextUpdate. A certificate revoked later than `at` is revoked nevertheless.
 */
export function judgeCrl(crl: Crl, certificate: Certificate, issuer: Certificate, at: Date): CrlVerdict {
  const problem = problemOfCrl(crl, issuer, at) ?? problemOfScope(crl, certificate);
  if (problem) return { status: 'unknown', problem };
  const entry = crl.revokedCertificates.find(
    ({ serialNumber, reason }) => reason !== 'removeFromCRL' && certificate.serialNumber.equals(serialNumber),
  );
  return entry ? { status: 'revoked', entry } : { status: 'good' };
}

/** Why the list is not to be relied on at all; `undefined` when it holds. */
export function problemOfCrl(crl: Crl, issuer: Certificate, at: Date): CrlProblem | undefined {
  const { signatureAlgorithm: algorithm } = crl;
  const { keyUsage } = issuer.extensions;
  if (!crl.issuer.der.equals(issuer.subject.der)) return 'ISSUER_DIFFERS';
  if (keyUsage && !keyUsage.includes('cRLSign')) return 'CRL_SIGN_MISSING';
  if (!algorithm || !suits(algorithm, issuer.publicKey)) return 'ALGORITHM_UNSUPPORTED';
  if (!verifySignature(algorithm, issuer.publicKey, crl.tbsCertList, crl.signature))
    return 'SIGNATURE_INVALID';
  if (crl.unrecognizedCriticalExtensions.length > 0) return 'CRITICAL_EXTENSION_UNKNOWN';
  if (at < crl.thisUpdate) return 'NOT_YET_VALID';
  if (!crl.nextUpdate || at.getTime() >= crl.nextUpdate.getTime() + 1000) return 'EXPIRED';
  return undefined;
}

function problemOfScope(crl: Crl, certificate: Certificate): CrlProblem | undefined {
  const { issuingDistributionPoint: point } = crl;
  const { basicConstraints, cRLDistributionPoints } = certificate.extensions;
  if (!certificate.issuer.der.equals(crl.issuer.der)) return 'ISSUER_DIFFERS';
  if (!point) return undefined;
  const isCa = basicConstraints?.cA ?? false;
  if (isCa ? point.onlyContainsUserCerts : point.onlyContainsCACerts) return 'OUT_OF_SCOPE';
  const isNamed =
    point.fullName.length === 0 || point.fullName.some((uri) => cRLDistributionPoints?.includes(uri));
  return isNamed ? undefined : 'OUT_OF_SCOPE';
}
