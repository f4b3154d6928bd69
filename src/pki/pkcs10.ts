/** Certification requests (PKCS #10, RFC 2986): what an authority is asked to certify, signed with the key that shall be certified. */
import type { KeyObject } from 'node:crypto';
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
import { readExtensions, writeExtensions, type Extensions } from './extensions.ts';
import { readName, type Name } from './name.ts';
import { readSubjectPublicKeyInfo } from './public-key.ts';
import type { Signer } from './signer.ts';
import { signed } from './x509.ts';

/** RFC 2985 5.4.2: the extensions that the certificate is wished to have. */
const idExtensionRequest = '1.2.840.113549.1.9.14';
const attributesTag = der.contextTag(0, 'constructed');
/** No request in use is near this, in octets. */
const maxRequestBytes = 65_536;

/** A request as read. All octets are exactly those of its encoding. */
export interface CertificationRequest {
  /** The whole request. */
  readonly der: Buffer;
  /** certificationRequestInfo: the octets that the signature covers. */
  readonly certificationRequestInfo: Buffer;
  readonly subject: Name;
  readonly subjectPublicKeyInfo: Buffer;
  readonly publicKey: KeyObject;
  /** What extensionRequest wishes; empty when it is not there. */
  readonly extensions: Extensions;
  /** Object identifiers of critical extensions wished for that are not in {@link Extensions}. */
  readonly unrecognizedCriticalExtensions: readonly string[];
  /** `undefined` when it is not one that this program verifies. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Buffer;
}

/**
 * Asks for a certificate (RFC 2986 section 4).
 * @param signer The key that shall be certified, under an X.509 algorithm.
 * @param request.extensions Wishes; the authority may grant others. None: the attribute is left out.
 * @returns DER of the CertificationRequest.
 */
export async function buildCertificationRequest(
  request: { readonly subject: Name; readonly extensions?: Extensions | undefined },
  signer: Signer,
): Promise<Buffer> {
  const wishes = Object.values(request.extensions ?? {}).some((each) => each !== undefined);
  const extensionRequest =
    wishes && request.extensions
      ? [
          der.sequence(
            der.objectIdentifier(idExtensionRequest),
            der.setOf([writeExtensions(request.extensions)]),
          ),
        ]
      : [];
  const info = der.sequence(
    der.integer(0),
    request.subject.der,
    signer.publicKey.export({ format: 'der', type: 'spki' }),
    der.setOf(extensionRequest, attributesTag),
  );
  return signed(info, signatureAlgorithmIdentifier(signer.algorithm), signer);
}

/**
 * Reads a request. Whether the requester has the key is another question: see {@link verifyPossession}.
 * @param bytes DER, and nothing after it.
 * @throws {DerError} when it is not the DER of a request.
 * @throws {PkiMessageError} PKCS10_VERSION, PKCS10_ATTRIBUTES. @throws {X509Error} when the name, the key or an extension is malformed.
 */
export function parseCertificationRequest(bytes: Uint8Array): CertificationRequest {
  return der.decode(Buffer.from(bytes), readCertificationRequest, maxRequestBytes);
}

function readCertificationRequest(reader: der.DerReader): CertificationRequest {
  const { value, der: encoded } = reader.withBytes((outer) =>
    outer.sequence((inner) => ({
      info: inner.withBytes(readInfo),
      signatureAlgorithm: signatureAlgorithm(readAlgorithmIdentifier(inner)),
      signature: inner.bitString(),
    })),
  );
  const { info, ...outside } = value;
  return { der: encoded, certificationRequestInfo: info.der, ...info.value, ...outside };
}

function readInfo(reader: der.DerReader) {
  return reader.sequence((inner) => {
    const { offset } = inner;
    if (inner.smallInteger() !== 0)
      throw new PkiMessageError('PKCS10_VERSION', 'RFC 2986 4.1', offset, 'A request is of version 1');
    const subject = readName(inner);
    const key = readSubjectPublicKeyInfo(inner);
    return { subject, ...key, ...readAttributes(inner) };
  });
}

function readAttributes(reader: der.DerReader): ReturnType<typeof readExtensions> {
  const seen = new Set<string>();
  let found: ReturnType<typeof readExtensions> | undefined;
  reader.setOf(
    (item) =>
      item.sequence((inner) => {
        const { offset } = inner;
        const type = inner.objectIdentifier();
        if (seen.has(type))
          throw new PkiMessageError(
            'PKCS10_ATTRIBUTES',
            'RFC 2986 4.1',
            offset,
            `The attribute ${type} comes twice`,
          );
        seen.add(type);
        if (type === idExtensionRequest) found = inner.constructed(der.tags.set, readExtensions);
        else inner.setOf((value) => value.any());
      }),
    attributesTag,
  );
  return found ?? { extensions: {}, unrecognizedCriticalExtensions: [] };
}

/** Whether whoever made the request has the private key: its signature is by the very key that it names (RFC 2986 section 3, note 2). */
export function verifyPossession(request: CertificationRequest): boolean {
  const { signatureAlgorithm: algorithm, publicKey, certificationRequestInfo, signature } = request;
  return (
    algorithm !== undefined &&
    suits(algorithm, publicKey) &&
    verifySignature(algorithm, publicKey, certificationRequestInfo, signature)
  );
}
