/** CMS SignedData with one signer (RFC 5652), as CAdES B-B (ETSI EN 319 122-1) and PAdES (ETSI EN 319 142-1) use it. */
import {
  algorithmOf,
  digestAlgorithm,
  digestAlgorithmIdentifier,
  readAlgorithmIdentifier,
  signatureAlgorithm,
  signatureAlgorithmIdentifier,
  type DigestAlgorithm,
  type SignatureAlgorithm,
} from './algorithms.ts';
import {
  idData,
  readSignedAttributes,
  readUnsignedAttributes,
  type Attribute,
  type IssuerAndSerialNumber,
  type SignedAttributes,
} from './cms-attributes.ts';
import * as der from './der.ts';
import { CmsError } from './errors.ts';
import { readCertificate, type Certificate } from './x509.ts';

const idSignedData = '1.2.840.113549.1.7.2';

/** Longest message read, content included, in octets. */
const maxMessageBytes = 64 * 1024 * 1024;
/** Most certificates read from one message. Reading a key is dear, and no path needs so many. */
const maxCertificates = 64;

/** `[0]` to `[1]`, constructed: content, certificates and signed attributes; revocation lists and unsigned attributes. */
const tag0 = der.contextTag(0, 'constructed');
const tag1 = der.contextTag(1, 'constructed');

/** A signed message as read. Octets are views of the message. */
export interface SignedData {
  /** Type of the content, dotted decimal. */
  readonly eContentType: string;
  /** `undefined` when the signature is detached, as in PDF. */
  readonly encapsulatedContent: Buffer | undefined;
  /** Digests announced; `undefined` in place of those that this program does not compute. */
  readonly digestAlgorithms: readonly (DigestAlgorithm | undefined)[];
  /** As found: nothing vouches for them but a path. */
  readonly certificates: readonly Certificate[];
  readonly signerInfo: SignerInfo;
}

export interface SignerInfo {
  /** Which certificate is the signer's. */
  readonly sid: IssuerAndSerialNumber | { readonly subjectKeyIdentifier: Buffer };
  /** The digest of the content and of the signature; `undefined` when it is not one that this program computes. */
  readonly digestAlgorithm: DigestAlgorithm | undefined;
  readonly signedAttributes: SignedAttributes;
  /** `undefined` when it is not one that this program verifies. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Buffer;
  readonly unsignedAttributes: readonly Attribute[];
}

/**
 * Puts a signed message together (RFC 5652 5.1).
 * @param parts.signedAttributes What `signedAttributes` returned. The type of the content is taken from there.
 * @param parts.signature The signature over exactly those octets.
 * @param parts.algorithm The algorithm of the signer, an X.509 name.
 * @param parts.certificates Others that a verifier needs; the signer's own comes along by itself. `undefined`: none
 * travels, not even that one (RFC 3161 2.4.1, certReq).
 * @param parts.encapsulatedContent The content, if it shall travel inside; otherwise the signature is detached.
 * @returns DER of a ContentInfo.
 */
export function signedData(parts: {
  readonly signedAttributes: Uint8Array;
  readonly signature: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signerCertificate: Certificate;
  readonly certificates: readonly Certificate[] | undefined;
  readonly encapsulatedContent?: Uint8Array | undefined;
}): Buffer {
  const { algorithm, signerCertificate, certificates, encapsulatedContent } = parts;
  const { contentType } = der.decode(parts.signedAttributes, (reader) =>
    readSignedAttributes(reader, der.tags.set),
  );
  const digest = digestAlgorithmIdentifier(algorithmOf(algorithm).digest);
  const signerInfo = der.sequence(
    der.integer(1), // by issuer and serial number
    der.sequence(signerCertificate.issuer.der, der.element(der.tags.integer, signerCertificate.serialNumber)),
    digest,
    der.retagged(tag0, parts.signedAttributes), // signed under the tag of SET, sent as [0] (RFC 5652 5.4)
    signatureAlgorithmIdentifier(algorithm),
    der.octetString(parts.signature),
  );
  const content = encapsulatedContent ? [der.element(tag0, der.octetString(encapsulatedContent))] : [];
  return der.sequence(
    der.objectIdentifier(idSignedData),
    der.element(
      tag0,
      der.sequence(
        der.integer(contentType === idData ? 1 : 3),
        der.setOf([digest]),
        der.sequence(der.objectIdentifier(contentType), ...content),
        ...(certificates ? [der.setOf(distinct([signerCertificate, ...certificates]), tag0)] : []),
        der.setOf([signerInfo]),
      ),
    ),
  );
}

function distinct(certificates: readonly Certificate[]): Buffer[] {
  const encodings = certificates.map((certificate) => certificate.der);
  return encodings.filter((one, index) => encodings.findIndex((other) => other.equals(one)) === index);
}

/**
 * Reads a signed message with exactly one signer, who signed attributes. Reading verifies nothing: see `verifySignerInfo`.
 * @param bytes DER of a ContentInfo, and nothing after it. A zero-padded field of a PDF goes through `withoutZeroPadding` first.
 * @throws {DerError} when it is not the DER of such a message.
 * @throws {CmsError} when it is a message of another kind.
 * @throws {X509Error} when a certificate in it is malformed.
 */
export function parseSignedData(bytes: Uint8Array): SignedData {
  return der.decode(bytes, readSignedDataMessage, maxMessageBytes);
}

/** Reads a signed message (a ContentInfo) that is part of a longer one. Its octets are views of that message. */
export function readSignedDataMessage(reader: der.DerReader): SignedData {
  return reader.sequence((inner) => {
    const start = inner.offset;
    if (inner.objectIdentifier() !== idSignedData) {
      throw new CmsError('CMS_CONTENT_TYPE', 'RFC 5652 5.1', start, 'The message is not SignedData');
    }
    return inner.constructed(tag0, readSignedData);
  });
}

function readSignedData(reader: der.DerReader): SignedData {
  return reader.sequence((inner) => {
    const start = inner.offset;
    if (![1, 3, 4, 5].includes(inner.smallInteger())) {
      throw new CmsError('CMS_VERSION', 'RFC 5652 5.1', start, 'SignedData has version 1, 3, 4 or 5');
    }
    const digestAlgorithms = inner.listOf(readAlgorithmIdentifier, der.tags.set).map(digestAlgorithm);
    const content = inner.sequence(readEncapsulatedContentInfo);
    const certificates = inner.optional(tag0, readCertificates) ?? [];
    inner.optional(tag1, () => inner.any()); // revocation lists
    const signers = inner.offset;
    const [signerInfo, ...furtherSigners] = inner.listOf(readSignerInfo, der.tags.set);
    // RFC 3161 2.4.2 and PDF know one signer; with several, a verdict would have to say whose it is.
    if (!signerInfo || furtherSigners.length > 0) {
      throw new CmsError('CMS_SIGNER_COUNT', 'RFC 5652 5.1', signers, 'The message has exactly one signer');
    }
    return { ...content, digestAlgorithms, certificates, signerInfo };
  });
}

function readEncapsulatedContentInfo(
  reader: der.DerReader,
): Pick<SignedData, 'eContentType' | 'encapsulatedContent'> {
  return {
    eContentType: reader.objectIdentifier(),
    encapsulatedContent: reader.optional(tag0, () =>
      reader.constructed(tag0, (inner) => inner.octetString()),
    ),
  };
}

function readCertificates(reader: der.DerReader): Certificate[] {
  let count = 0;
  return reader.listOf((item) => {
    if (++count > maxCertificates) {
      throw new CmsError(
        'CMS_CERTIFICATES',
        'limit of this program',
        item.offset,
        `More than ${maxCertificates} certificates`,
      );
    }
    return readCertificate(item);
  }, tag0);
}

function readSignerInfo(reader: der.DerReader): SignerInfo {
  return reader.sequence((inner) => {
    const start = inner.offset;
    const version = inner.smallInteger();
    const keyIdentifierTag = der.contextTag(0, 'primitive');
    const isByKeyIdentifier = inner.next(keyIdentifierTag);
    if (version !== (isByKeyIdentifier ? 3 : 1)) {
      throw new CmsError(
        'CMS_VERSION',
        'RFC 5652 5.3',
        start,
        'The version of a SignerInfo agrees with how it names the signer',
      );
    }
    const sid = isByKeyIdentifier
      ? { subjectKeyIdentifier: inner.octetString(keyIdentifierTag) }
      : inner.sequence((name) => ({ issuer: name.any(), serialNumber: name.integer() }));
    const digest = digestAlgorithm(readAlgorithmIdentifier(inner));
    // Without signed attributes the signature covers the bare content, and content can be made to look like attributes.
    if (!inner.next(tag0)) {
      throw new CmsError(
        'CMS_ATTRIBUTES',
        'ETSI EN 319 122-1 5.1',
        inner.offset,
        'The message has signed attributes',
      );
    }
    return {
      sid,
      digestAlgorithm: digest,
      signedAttributes: readSignedAttributes(inner, tag0),
      signatureAlgorithm: signatureAlgorithm(readAlgorithmIdentifier(inner), digest),
      signature: inner.octetString(),
      unsignedAttributes: inner.optional(tag1, () => readUnsignedAttributes(inner, tag1)) ?? [],
    };
  });
}
