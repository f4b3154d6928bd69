/** Certificates of X.509 version 3 (RFC 5280): written for our authorities, read from anyone. */
import type { KeyObject } from 'node:crypto';
import {
  readAlgorithmIdentifier,
  signatureAlgorithm,
  signatureAlgorithmIdentifier,
  type SignatureAlgorithm,
} from './algorithms.ts';
import * as der from './der.ts';
import { X509Error } from './errors.ts';
import { readExtensions, writeExtensions, type Extensions } from './extensions.ts';
import { readName, type Name } from './name.ts';
import { readSubjectPublicKeyInfo } from './public-key.ts';
import type { Signer } from './signer.ts';

/** No certificate in use is near this, in octets. */
const maxCertificateBytes = 65_536;

const versionTag = der.contextTag(0, 'constructed');
const extensionsTag = der.contextTag(3, 'constructed');

/** What a new certificate shall say. */
export interface CertificateTemplate {
  /** 1 to 20 octets of an unsigned number, most significant first; not zero (RFC 5280 4.1.2.2). The caller sees to it that it is unique and random. */
  readonly serialNumber: Uint8Array;
  /** The issuer's own subject name, octet for octet: `issuerCertificate.subject`. */
  readonly issuer: Name;
  readonly subject: Name;
  /** Whole seconds; parts of a second are dropped. */
  readonly notBefore: Date;
  /** The last second in which the certificate is valid. */
  readonly notAfter: Date;
  readonly subjectPublicKey: KeyObject;
  readonly extensions: Extensions;
}

/** A certificate as read. All octets are exactly those of its encoding. */
export interface Certificate {
  /** The whole certificate. */
  readonly der: Buffer;
  /** tbsCertificate: the octets that the signature covers. */
  readonly tbsCertificate: Buffer;
  /** `undefined` when it is not one that this program verifies, SHA-1 for example. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Buffer;
  /** Contents octets of the INTEGER, most significant first; two's complement, so a leading 00 may be there. */
  readonly serialNumber: Buffer;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBefore: Date;
  /** The last second in which the certificate is valid. */
  readonly notAfter: Date;
  readonly subjectPublicKeyInfo: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: Extensions;
  /** Object identifiers of critical extensions that are not in {@link Extensions}. Unless empty, the certificate is not to be relied on. */
  readonly unrecognizedCriticalExtensions: readonly string[];
}

/**
 * Issues a certificate (RFC 5280 4.1).
 * @param signer The issuer's key, under an X.509 algorithm.
 * @returns DER of the certificate.
 * @throws {X509Error} X509_SERIAL_NUMBER. A template that contradicts itself is a `TypeError`.
 */
export async function buildCertificate(template: CertificateTemplate, signer: Signer): Promise<Buffer> {
  checkTemplate(template);
  const algorithm = signatureAlgorithmIdentifier(signer.algorithm);
  const tbsCertificate = der.sequence(
    der.element(versionTag, der.integer(2)),
    der.integer(template.serialNumber),
    algorithm,
    template.issuer.der,
    der.sequence(der.time(template.notBefore), der.time(template.notAfter)),
    template.subject.der,
    template.subjectPublicKey.export({ format: 'der', type: 'spki' }),
    der.element(extensionsTag, writeExtensions(template.extensions)),
  );
  return signed(tbsCertificate, algorithm, signer);
}

/** What is signed, the algorithm, and the signature over it (RFC 5280 4.1.1). @returns DER of the SEQUENCE of the three. */
export async function signed(tbs: Buffer, algorithm: Buffer, signer: Signer): Promise<Buffer> {
  return der.sequence(tbs, algorithm, der.bitString(await signer.sign(tbs)));
}

function checkTemplate({ serialNumber, notBefore, notAfter, extensions }: CertificateTemplate): void {
  const contents = der.decode(der.integer(serialNumber), (reader) => reader.integer());
  if (contents.length > 20 || contents.every((octet) => octet === 0)) {
    throw new X509Error(
      'X509_SERIAL_NUMBER',
      'RFC 5280 4.1.2.2',
      'A serial number is positive and has at most 20 octets',
    );
  }
  if (!(notBefore <= notAfter)) throw new TypeError('notBefore comes after notAfter');
  const { basicConstraints, keyUsage } = extensions;
  if (
    !basicConstraints?.cA &&
    (basicConstraints?.pathLenConstraint !== undefined || keyUsage?.includes('keyCertSign'))
  ) {
    throw new TypeError(
      'pathLenConstraint and keyCertSign are for CA certificates (RFC 5280 4.2.1.3, 4.2.1.9)',
    );
  }
}

/**
 * Reads a certificate of version 3, or 1 (RFC 5280 4.1). Reading says nothing of trust: no signature is checked.
 * @param bytes DER, and nothing after it.
 * @throws {DerError} when it is not the DER of a certificate.
 * @throws {X509Error} when it is, but breaks RFC 5280, or its key is unusable.
 */
export function parseCertificate(bytes: Uint8Array): Certificate {
  return der.decode(Buffer.from(bytes), readCertificate, maxCertificateBytes);
}

/** Reads a certificate that is part of a longer message. Its octets are views of that message. */
export function readCertificate(reader: der.DerReader): Certificate {
  const { value, der: encoded } = reader.withBytes((outer) =>
    outer.sequence((inner) => {
      const tbs = inner.withBytes(readTbsCertificate);
      const { offset } = inner;
      const algorithm = inner.withBytes(readAlgorithmIdentifier);
      // RFC 5280 4.1.1.2: the algorithm outside, which no signature covers, is the one inside.
      if (!algorithm.der.equals(tbs.value.algorithmDer)) {
        throw new X509Error(
          'X509_ALGORITHM',
          'RFC 5280 4.1.1.2',
          'The certificate names two signature algorithms',
          { offset },
        );
      }
      const signature = inner.bitString();
      return { tbs, signatureAlgorithm: signatureAlgorithm(algorithm.value), signature };
    }),
  );
  const { tbs, ...outside } = value;
  const { algorithmDer: _, ...fields } = tbs.value;
  return { der: encoded, tbsCertificate: tbs.der, ...outside, ...fields };
}

function readTbsCertificate(reader: der.DerReader) {
  return reader.sequence((inner) => {
    const start = inner.offset;
    const version =
      inner.optional(versionTag, () => inner.constructed(versionTag, (field) => field.smallInteger())) ?? 0;
    // Version 1 is the default, hence not written; what version 2 added, unique identifiers, is out of use.
    if (version !== 0 && version !== 2) {
      throw new X509Error('X509_VERSION', 'RFC 5280 4.1.2.1', 'A certificate is of version 3, or 1', {
        offset: start,
      });
    }
    const serialNumberAt = inner.offset;
    const serialNumber = inner.integer();
    if (serialNumber.length > 21) {
      throw new X509Error('X509_SERIAL_NUMBER', 'RFC 5280 4.1.2.2', 'A serial number has at most 20 octets', {
        offset: serialNumberAt,
      });
    }
    const algorithmDer = inner.withBytes(readAlgorithmIdentifier).der;
    const issuer = readName(inner);
    const [notBefore, notAfter] = inner.sequence((validity) => [validity.time(), validity.time()] as const);
    const subject = readName(inner);
    const subjectPublicKey = readSubjectPublicKeyInfo(inner);
    const extensions =
      version === 2
        ? inner.optional(extensionsTag, () => inner.constructed(extensionsTag, readExtensions))
        : undefined;
    return {
      serialNumber,
      algorithmDer,
      issuer,
      notBefore,
      notAfter,
      subject,
      ...subjectPublicKey,
      ...(extensions ?? { extensions: {}, unrecognizedCriticalExtensions: [] }),
    };
  });
}
