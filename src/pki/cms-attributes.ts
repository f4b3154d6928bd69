/** Attributes of a SignerInfo: what a CAdES signature covers (RFC 5652 5.3 and 11, RFC 5035, ETSI EN 319 122-1 section 5). */
import { createHash } from 'node:crypto';
import { digestAlgorithm, readAlgorithmIdentifier, type DigestAlgorithm } from './algorithms.ts';
import * as der from './der.ts';
import { CmsError } from './errors.ts';
import type { Certificate } from './x509.ts';

export const idData = '1.2.840.113549.1.7.1';
const idContentType = '1.2.840.113549.1.9.3';
const idMessageDigest = '1.2.840.113549.1.9.4';
const idSigningTime = '1.2.840.113549.1.9.5';
const idSigningCertificateV2 = '1.2.840.113549.1.9.16.2.47';

/** GeneralName directoryName [4]. EXPLICIT, for a Name is a CHOICE (X.680 31.2.7). */
const directoryNameTag = der.contextTag(4, 'constructed');

/** An attribute that is not read further. */
export interface Attribute {
  /** Dotted decimal. */
  readonly type: string;
  /** DER of each value. */
  readonly values: readonly Buffer[];
}

/** The signed attributes as read. */
export interface SignedAttributes {
  /** The octets that the signature covers: a SET OF, under its own tag (RFC 5652 5.4). */
  readonly der: Buffer;
  /** Dotted decimal. */
  readonly contentType: string;
  readonly messageDigest: Buffer;
  /** The certificates of signingCertificateV2, the signer's own first (RFC 5035 section 3); `undefined` when the attribute is not there. */
  readonly signingCertificateV2: readonly ESSCertIDv2[] | undefined;
  readonly signingTime: Date | undefined;
  readonly others: readonly Attribute[];
}

/** Names a certificate by its digest (RFC 5035 section 4). */
export interface ESSCertIDv2 {
  /** `undefined` when it is not one that this program computes. */
  readonly hashAlgorithm: DigestAlgorithm | undefined;
  /** Digest of the certificate's DER. */
  readonly certHash: Buffer;
  readonly issuerSerial: IssuerAndSerialNumber | undefined;
}

export interface IssuerAndSerialNumber {
  /** DER of the issuer's Name. */
  readonly issuer: Buffer;
  /** Contents octets of the INTEGER. */
  readonly serialNumber: Buffer;
}

/**
 * The attributes of a CAdES B-B signature: contentType, messageDigest, and signingCertificateV2 with the SHA-256 digest, issuer and
 * serial number of the signer's certificate. They tie the certificate to the signature: without it another certificate of the same key would do.
 * @param parts.messageDigest Digest of the content, under the digest of the signature algorithm.
 * @param parts.contentType Dotted decimal; id-data when left out.
 * @param parts.signingTime What the signer claims. PAdES forbids it: the time stands in the PDF (ETSI EN 319 142-1 6.3).
 * @returns DER of the SET OF, exactly the octets to sign.
 */
export function signedAttributes(parts: {
  readonly messageDigest: Uint8Array;
  readonly signerCertificate: Certificate;
  readonly contentType?: string | undefined;
  readonly signingTime?: Date | undefined;
}): Buffer {
  const { messageDigest, signerCertificate, contentType = idData, signingTime } = parts;
  return der.setOf([
    attribute(idContentType, der.objectIdentifier(contentType)),
    attribute(idMessageDigest, der.octetString(messageDigest)),
    attribute(idSigningCertificateV2, signingCertificateV2(signerCertificate)),
    ...(signingTime ? [attribute(idSigningTime, der.time(signingTime))] : []),
  ]);
}

function attribute(type: string, value: Buffer): Buffer {
  return der.sequence(der.objectIdentifier(type), der.setOf([value]));
}

/** hashAlgorithm is left out: SHA-256 is its default. */
function signingCertificateV2(certificate: Certificate): Buffer {
  const certHash = der.octetString(createHash('sha256').update(certificate.der).digest());
  const issuer = der.sequence(der.element(directoryNameTag, certificate.issuer.der));
  const issuerSerial = der.sequence(issuer, der.element(der.tags.integer, certificate.serialNumber));
  return der.sequence(der.sequence(der.sequence(certHash, issuerSerial)));
}

/**
 * @param tag The tag under which they stand: `[0]` in a SignerInfo, SET in the octets to sign.
 * @throws {CmsError} CMS_ATTRIBUTES when one comes twice, or contentType or messageDigest is not there.
 */
export function readSignedAttributes(reader: der.DerReader, tag: number): SignedAttributes {
  const seen = new Set<string>();
  const others: Attribute[] = [];
  let contentType: string | undefined;
  let messageDigest: Buffer | undefined;
  let certificates: readonly ESSCertIDv2[] | undefined;
  let signingTime: Date | undefined;
  const start = reader.offset;
  const { der: encoded } = reader.withBytes((outer) =>
    outer.setOf(
      (item) =>
        item.sequence((inner) => {
          const type = inner.objectIdentifier();
          if (seen.has(type))
            throw new CmsError(
              'CMS_ATTRIBUTES',
              'RFC 5652 5.3',
              inner.offset,
              `The attribute ${type} comes twice`,
            );
          seen.add(type);
          // Of these there is one value, by RFC 5652 section 11 and RFC 5035 section 3; `constructed` takes no second.
          const single = <T>(read: (value: der.DerReader) => T): T => inner.constructed(der.tags.set, read);
          if (type === idContentType) contentType = single((value) => value.objectIdentifier());
          else if (type === idMessageDigest) messageDigest = single((value) => value.octetString());
          else if (type === idSigningCertificateV2) certificates = single(readSigningCertificateV2);
          else if (type === idSigningTime) signingTime = single((value) => value.time());
          else others.push({ type, values: inner.setOf((value) => value.any()) });
        }),
      tag,
    ),
  );
  if (contentType === undefined || messageDigest === undefined) {
    throw new CmsError(
      'CMS_ATTRIBUTES',
      'RFC 5652 5.3',
      start,
      'The signed attributes lack contentType or messageDigest',
    );
  }
  return {
    der: der.retagged(der.tags.set, encoded),
    contentType,
    messageDigest,
    signingCertificateV2: certificates,
    signingTime,
    others,
  };
}

function readSigningCertificateV2(reader: der.DerReader): ESSCertIDv2[] {
  return reader.sequence((inner) => {
    const certificates = inner.listOf(readEssCertIdV2);
    inner.optional(der.tags.sequence, () => inner.any()); // policies
    return certificates;
  });
}

function readEssCertIdV2(reader: der.DerReader): ESSCertIDv2 {
  return reader.sequence((inner) => {
    // SHA-256, the default, is accepted in words too: many signers write it, and the signature covers it as it is.
    const identifier = inner.optional(der.tags.sequence, readAlgorithmIdentifier);
    const certHash = inner.octetString();
    const issuerSerial = inner.optional(der.tags.sequence, readIssuerSerial);
    const hashAlgorithm = identifier ? digestAlgorithm(identifier) : 'sha256';
    return { hashAlgorithm, certHash, issuerSerial };
  });
}

/** IssuerSerial (RFC 5035 section 4): GeneralNames with one directoryName, and the serial number. */
function readIssuerSerial(reader: der.DerReader): IssuerAndSerialNumber {
  return reader.sequence((inner) => ({
    issuer: inner.sequence((names) => names.constructed(directoryNameTag, (name) => name.any())),
    serialNumber: inner.integer(),
  }));
}

/** Unsigned attributes: nothing vouches for their order or number, and one type may come several times (time-stamps). */
export function readUnsignedAttributes(reader: der.DerReader, tag: number): Attribute[] {
  return reader.listOf(
    (item) =>
      item.sequence((inner) => ({
        type: inner.objectIdentifier(),
        values: inner.listOf((value) => value.any(), der.tags.set),
      })),
    tag,
  );
}
