/** The Online Certificate Status Protocol (RFC 6960), its lightweight profile (RFC 5019) and its nonce (RFC 9654): both sides' messages. */
import { createHash, timingSafeEqual, type KeyObject } from 'node:crypto';
import {
  readAlgorithmIdentifier,
  signatureAlgorithm,
  signatureAlgorithmIdentifier,
  suits,
  verifySignature,
  type SignatureAlgorithm,
} from './algorithms.ts';
import { readReason, writeReason, type RevocationReason } from './crl.ts';
import * as der from './der.ts';
import { PkiMessageError } from './errors.ts';
import { extension, keyPurposes, readExtensionList } from './extensions.ts';
import { subjectPublicKeyBits } from './public-key.ts';
import type { Signer } from './signer.ts';
import { readCertificate, type Certificate } from './x509.ts';

/**
 * Digests that CertID may name an issuer by. Nothing is proven by them, so SHA-1, which most clients send (RFC 5019 2.1.1), is as
 * good as any; SM3 has its number in GM/T 0006.
 */
const certIdDigests = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  sm3: '1.2.156.10197.1.401',
} as const;

export type CertIdDigest = keyof typeof certIdDigests;

/** Names a certificate by its issuer and serial number (RFC 6960 4.1.1). */
export interface CertId {
  /** `undefined` when it is not one that this program computes. */
  readonly hashAlgorithm: CertIdDigest | undefined;
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
  /** Contents octets of the INTEGER. */
  readonly serialNumber: Buffer;
  /** The exact octets, which the answer repeats. */
  readonly der: Buffer;
}

export interface OcspRequest {
  readonly requests: readonly CertId[];
  /** 1 to 128 octets (RFC 9654 2.1). */
  readonly nonce: Buffer | undefined;
  /** Object identifiers of critical extensions, of the whole or of one request, that are not read here. */
  readonly unrecognizedCriticalExtensions: readonly string[];
}

/** OCSPResponseStatus (RFC 6960 4.2.1). 4 is not used. */
const statusNumbers = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const;

export type OcspResponseStatus = keyof typeof statusNumbers;

export type CertStatus =
  | { readonly status: 'good' }
  | {
      readonly status: 'revoked';
      readonly revocationTime: Date;
      readonly revocationReason?: RevocationReason | undefined;
    }
  | { readonly status: 'unknown' };

export interface SingleResponse {
  readonly certId: CertId;
  readonly certStatus: CertStatus;
  /** Whole seconds. */
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
}

/** A BasicOCSPResponse as read. Octets are views of the message. */
export interface BasicOcspResponse {
  /** tbsResponseData: the octets that the signature covers. */
  readonly tbsResponseData: Buffer;
  readonly responderId: { readonly byName: Buffer } | { readonly byKey: Buffer };
  readonly producedAt: Date;
  readonly responses: readonly SingleResponse[];
  readonly nonce: Buffer | undefined;
  readonly unrecognizedCriticalExtensions: readonly string[];
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Buffer;
  /** As found: nothing vouches for them but {@link judgeOcspResponse}. */
  readonly certificates: readonly Certificate[];
}

export type OcspResponse =
  | { readonly responseStatus: 'successful'; readonly basic: BasicOcspResponse }
  | { readonly responseStatus: Exclude<OcspResponseStatus, 'successful'> };

const idPkixOcspBasic = '1.3.6.1.5.5.7.48.1.1';
const idPkixOcspNonce = '1.3.6.1.5.5.7.48.1.2';
const maxNonceBytes = 128;
/** No client asks for more at once, and each costs an answer. */
const maxRequests = 16;
const maxRequestBytes = 16_384;
const maxResponseBytes = 262_144;
const maxCertificates = 8;
const tag0 = der.contextTag(0, 'constructed');
const tag1 = der.contextTag(1, 'constructed');
const tag2 = der.contextTag(2, 'constructed');
const goodTag = der.contextTag(0, 'primitive');
const unknownTag = der.contextTag(2, 'primitive');

/** The digests by which requests name this issuer: of its name, and of its key's BIT STRING without tag, length and unused bits. */
export function issuerHashes(
  hashAlgorithm: CertIdDigest,
  issuer: Pick<Certificate, 'subject' | 'publicKey'>,
): { readonly issuerNameHash: Buffer; readonly issuerKeyHash: Buffer } {
  const digest = (octets: Uint8Array) => createHash(hashAlgorithm).update(octets).digest();
  return {
    issuerNameHash: digest(issuer.subject.der),
    issuerKeyHash: digest(subjectPublicKeyBits(issuer.publicKey)),
  };
}

/** @returns How a request names the certificate with this serial number (contents octets of the INTEGER). */
export function certIdOf(
  hashAlgorithm: CertIdDigest,
  issuer: Pick<Certificate, 'subject' | 'publicKey'>,
  serialNumber: Uint8Array,
): CertId {
  const { issuerNameHash, issuerKeyHash } = issuerHashes(hashAlgorithm, issuer);
  const encoded = der.sequence(
    der.sequence(der.objectIdentifier(certIdDigests[hashAlgorithm]), der.nullValue()),
    der.octetString(issuerNameHash),
    der.octetString(issuerKeyHash),
    der.element(der.tags.integer, serialNumber),
  );
  return {
    hashAlgorithm,
    issuerNameHash,
    issuerKeyHash,
    serialNumber: Buffer.from(serialNumber),
    der: encoded,
  };
}

/**
 * Asks for the status of certificates.
 * @param nonce 1 to 128 octets, 32 by RFC 9654 2.1; none: the answer may be one that was made before.
 * @returns DER of an OCSPRequest, unsigned.
 */
export function buildOcspRequest(certIds: readonly CertId[], nonce?: Uint8Array): Buffer {
  return der.sequence(
    der.sequence(
      der.sequence(...certIds.map((certId) => der.sequence(certId.der))),
      ...(nonce ? [der.element(tag2, der.sequence(nonceExtension(nonce)))] : []),
    ),
  );
}

function nonceExtension(nonce: Uint8Array): Buffer {
  if (nonce.length < 1 || nonce.length > maxNonceBytes) throw new RangeError('A nonce has 1 to 128 octets');
  return extension(idPkixOcspNonce, false, der.octetString(nonce));
}

/**
 * Reads a request. A signature on it, which says who asks, is passed over: everyone may ask.
 * @param bytes DER, and nothing after it. Its octets are copied.
 * @throws {DerError} when it is not the DER of a request: to be answered with malformedRequest, as all of these.
 * @throws {PkiMessageError} OCSP_VERSION; OCSP_NONCE for one of no octets or more than 128; OCSP_LIMIT for none or more than 16 requests.
 * @throws {X509Error} when an extension comes twice.
 */
export function parseOcspRequest(bytes: Uint8Array): OcspRequest {
  return der.decode(
    Buffer.from(bytes),
    (reader) =>
      reader.sequence((outer) => {
        const request = readTbsRequest(outer);
        outer.optional(tag0, () => outer.any());
        return request;
      }),
    maxRequestBytes,
  );
}

function readTbsRequest(reader: der.DerReader): OcspRequest {
  return reader.sequence((inner) => {
    readVersion(inner);
    inner.optional(tag1, () => inner.any()); // requestorName
    const unrecognized: string[] = [];
    const { offset } = inner;
    const requests = inner.listOf((item) => {
      const certId = item.sequence((request) => {
        const id = readCertId(request);
        request.optional(tag0, () =>
          request.constructed(tag0, (list) => unrecognized.push(...readExtensionList(list, () => undefined))),
        );
        return id;
      });
      return certId;
    });
    if (requests.length === 0 || requests.length > maxRequests)
      throw new PkiMessageError(
        'OCSP_LIMIT',
        'RFC 6960 4.1.1',
        offset,
        `A request is for 1 to ${maxRequests} certificates`,
      );
    const nonce = inner.optional(tag2, () =>
      inner.constructed(tag2, (list) => readResponseExtensions(list, unrecognized)),
    );
    return { requests, nonce, unrecognizedCriticalExtensions: unrecognized };
  });
}

/** version [0] EXPLICIT, 0 by default and hence never written (X.690 11.5). */
function readVersion(reader: der.DerReader): void {
  if (reader.next(tag0))
    throw new PkiMessageError(
      'OCSP_VERSION',
      'RFC 6960 4.1.1',
      reader.offset,
      'The version is 1, the default',
    );
}

/** Extensions of a whole request or response. @returns the nonce. */
function readResponseExtensions(reader: der.DerReader, unrecognized: string[]): Buffer | undefined {
  let nonce: Buffer | undefined;
  unrecognized.push(
    ...readExtensionList(reader, (oid) =>
      oid === idPkixOcspNonce
        ? (value) => {
            const { offset } = value;
            nonce = value.octetString();
            if (nonce.length < 1 || nonce.length > maxNonceBytes)
              throw new PkiMessageError(
                'OCSP_NONCE',
                'RFC 9654 2.1',
                offset,
                `A nonce has 1 to ${maxNonceBytes} octets`,
              );
          }
        : undefined,
    ),
  );
  return nonce;
}

function readCertId(reader: der.DerReader): CertId {
  const { value, der: encoded } = reader.withBytes((outer) =>
    outer.sequence((inner) => {
      const { oid, parameters } = readAlgorithmIdentifier(inner);
      const known = digestNames.find((name) => certIdDigests[name] === oid);
      const isPlain = parameters === undefined || parameters.equals(der.nullValue());
      return {
        hashAlgorithm: isPlain ? known : undefined,
        issuerNameHash: inner.octetString(),
        issuerKeyHash: inner.octetString(),
        serialNumber: inner.integer(),
      };
    }),
  );
  return { ...value, der: encoded };
}

// eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
const digestNames = Object.keys(certIdDigests) as CertIdDigest[];

/** @returns DER of an OCSPResponse that says no more than its status; it bears no signature (RFC 6960 2.3). */
export function ocspErrorResponse(status: Exclude<OcspResponseStatus, 'successful'>): Buffer {
  return der.sequence(der.enumerated(statusNumbers[status]));
}

/**
 * Answers (RFC 6960 4.2.1), with the responder named by its key.
 * @param answer.nonce The request's own; `undefined`: the answer can be given again.
 * @param answer.certificates The responder's, and what leads to the issuer; empty where the issuer itself signs.
 * @param signer The responder's key, under an X.509 algorithm.
 * @returns DER of an OCSPResponse, successful.
 */
export async function buildOcspResponse(
  answer: {
    readonly producedAt: Date;
    readonly responses: readonly SingleResponse[];
    readonly nonce?: Uint8Array | undefined;
    readonly certificates: readonly Certificate[];
  },
  signer: Signer,
): Promise<Buffer> {
  const tbsResponseData = der.sequence(
    der.element(tag2, der.octetString(responderKeyHash(signer.publicKey))),
    der.generalizedTime(answer.producedAt),
    der.sequence(...answer.responses.map(writeSingleResponse)),
    ...(answer.nonce ? [der.element(tag1, der.sequence(nonceExtension(answer.nonce)))] : []),
  );
  const certificates = answer.certificates.map((certificate) => certificate.der);
  const basic = der.sequence(
    tbsResponseData,
    signatureAlgorithmIdentifier(signer.algorithm),
    der.bitString(await signer.sign(tbsResponseData)),
    ...(certificates.length > 0 ? [der.element(tag0, der.sequence(...certificates))] : []),
  );
  return der.sequence(
    der.enumerated(statusNumbers.successful),
    der.element(tag0, der.sequence(der.objectIdentifier(idPkixOcspBasic), der.octetString(basic))),
  );
}

/** KeyHash (RFC 6960 4.2.1): SHA-1 whatever else is in use; it only says which key. */
function responderKeyHash(publicKey: KeyObject): Buffer {
  return createHash('sha1').update(subjectPublicKeyBits(publicKey)).digest();
}

function writeSingleResponse({ certId, certStatus, thisUpdate, nextUpdate }: SingleResponse): Buffer {
  return der.sequence(
    certId.der,
    writeCertStatus(certStatus),
    der.generalizedTime(thisUpdate),
    ...(nextUpdate ? [der.element(tag0, der.generalizedTime(nextUpdate))] : []),
  );
}

function writeCertStatus(certStatus: CertStatus): Buffer {
  if (certStatus.status !== 'revoked')
    return der.element(certStatus.status === 'good' ? goodTag : unknownTag);
  const { revocationTime, revocationReason } = certStatus;
  return der.element(
    tag1,
    der.generalizedTime(revocationTime),
    ...(revocationReason !== undefined && revocationReason !== 'unspecified'
      ? [der.element(tag0, writeReason(revocationReason))]
      : []),
  );
}

/**
 * Reads a response. Reading verifies nothing: see {@link judgeOcspResponse}.
 * @param bytes DER, and nothing after it.
 * @throws {DerError} when it is not the DER of a response.
 * @throws {PkiMessageError} OCSP_STATUS, OCSP_RESPONSE_TYPE, OCSP_VERSION, OCSP_NONCE, OCSP_LIMIT. @throws {X509Error} for a certificate in it.
 */
export function parseOcspResponse(bytes: Uint8Array): OcspResponse {
  return der.decode(Buffer.from(bytes), readOcspResponse, maxResponseBytes);
}

function readOcspResponse(reader: der.DerReader): OcspResponse {
  return reader.sequence((inner) => {
    const { offset } = inner;
    const number = inner.enumerated();
    const responseStatus = statusNames.find((name) => statusNumbers[name] === number);
    const basic = inner.optional(tag0, () => inner.constructed(tag0, readResponseBytes));
    // Only a successful response has more to say (RFC 6960 4.2.1).
    if (responseStatus === undefined || (responseStatus === 'successful') !== (basic !== undefined))
      throw new PkiMessageError('OCSP_STATUS', 'RFC 6960 4.2.1', offset, 'The status contradicts the rest');
    return responseStatus === 'successful' && basic
      ? { responseStatus, basic }
      : // eslint-disable-next-line typescript/no-unsafe-type-assertion -- checked above
        { responseStatus: responseStatus as Exclude<OcspResponseStatus, 'successful'> };
  });
}

// eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
const statusNames = Object.keys(statusNumbers) as OcspResponseStatus[];

function readResponseBytes(reader: der.DerReader): BasicOcspResponse {
  return reader.sequence((inner) => {
    const { offset } = inner;
    if (inner.objectIdentifier() !== idPkixOcspBasic)
      throw new PkiMessageError(
        'OCSP_RESPONSE_TYPE',
        'RFC 6960 4.2.1',
        offset,
        'The response is a basic one',
      );
    return inner.constructed(der.tags.octetString, readBasicResponse);
  });
}

function readBasicResponse(reader: der.DerReader): BasicOcspResponse {
  return reader.sequence((inner) => {
    const { value, der: tbsResponseData } = inner.withBytes(readResponseData);
    return {
      tbsResponseData,
      ...value,
      signatureAlgorithm: signatureAlgorithm(readAlgorithmIdentifier(inner)),
      signature: inner.bitString(),
      certificates: inner.optional(tag0, () => inner.constructed(tag0, readCertificates)) ?? [],
    };
  });
}

function readCertificates(reader: der.DerReader): Certificate[] {
  let count = 0;
  return reader.listOf((item) => {
    if (++count > maxCertificates)
      throw new PkiMessageError(
        'OCSP_LIMIT',
        'limit of this program',
        item.offset,
        `More than ${maxCertificates} certificates`,
      );
    return readCertificate(item);
  });
}

function readResponseData(reader: der.DerReader) {
  return reader.sequence((inner) => {
    readVersion(inner);
    const responderId = inner.next(tag1)
      ? { byName: inner.constructed(tag1, (name) => name.any()) }
      : { byKey: inner.constructed(tag2, (key) => key.octetString()) };
    const producedAt = inner.generalizedTime();
    const { offset } = inner;
    const unrecognized: string[] = [];
    const responses = inner.listOf((item) => readSingleResponse(item, unrecognized));
    if (responses.length > maxRequests)
      throw new PkiMessageError(
        'OCSP_LIMIT',
        'limit of this program',
        offset,
        `More than ${maxRequests} answers`,
      );
    const nonce = inner.optional(tag1, () =>
      inner.constructed(tag1, (list) => readResponseExtensions(list, unrecognized)),
    );
    return { responderId, producedAt, responses, nonce, unrecognizedCriticalExtensions: unrecognized };
  });
}

function readSingleResponse(reader: der.DerReader, unrecognized: string[]): SingleResponse {
  return reader.sequence((inner) => {
    const certId = readCertId(inner);
    const certStatus = readCertStatus(inner);
    const thisUpdate = inner.generalizedTime();
    const nextUpdate = inner.optional(tag0, () => inner.constructed(tag0, (time) => time.generalizedTime()));
    inner.optional(tag1, () =>
      inner.constructed(tag1, (list) => unrecognized.push(...readExtensionList(list, () => undefined))),
    );
    return { certId, certStatus, thisUpdate, nextUpdate };
  });
}

function readCertStatus(reader: der.DerReader): CertStatus {
  if (reader.next(tag1))
    return reader.constructed(tag1, (revoked) => ({
      status: 'revoked',
      revocationTime: revoked.generalizedTime(),
      revocationReason: revoked.optional(tag0, () => revoked.constructed(tag0, readReason)),
    }));
  const isGood = reader.next(goodTag);
  reader.null(isGood ? goodTag : unknownTag);
  return { status: isGood ? 'good' : 'unknown' };
}

/** Why a response proves nothing of a certificate. The clause is of RFC 6960. */
export type OcspProblem =
  /** 3.2 (1): it says nothing of this certificate. */
  | 'NOT_ANSWERED'
  /** 4.2.2.2: neither the issuer nor a responder that the issuer certified for it. */
  | 'RESPONDER_UNAUTHORIZED'
  /** 3.2 (2): signed under an algorithm, or with a key, that this program does not accept. */
  | 'ALGORITHM_UNSUPPORTED'
  /** 3.2 (2): not signed by the responder. */
  | 'SIGNATURE_INVALID'
  | 'CRITICAL_EXTENSION_UNKNOWN'
  /** 4.4.1: the nonce is not the one that was sent. */
  | 'NONCE_DIFFERS'
  /** 3.2 (5): the time is before thisUpdate. */
  | 'NOT_YET_VALID'
  /** 3.2 (6): the time is after nextUpdate. */
  | 'EXPIRED';

export type OcspVerdict =
  | { readonly certStatus: CertStatus; readonly problem?: undefined }
  | { readonly certStatus?: undefined; readonly problem: OcspProblem };

/**
 * What a response says of a certificate (RFC 6960 3.2), held against its issuer.
 * @param context.issuer The certificate of the CA that issued it; trusted by the caller, at this time.
 * @param context.at The time for which the answer shall hold.
 * @param context.nonce What was sent. A response without one is then refused.
 * @param context.maxAgeSeconds How old thisUpdate may be where the response leaves nextUpdate out.
 */
export function judgeOcspResponse(
  response: BasicOcspResponse,
  serialNumber: Uint8Array,
  context: {
    readonly issuer: Certificate;
    readonly at: Date;
    readonly nonce?: Uint8Array | undefined;
    readonly maxAgeSeconds?: number | undefined;
  },
): OcspVerdict {
  const { issuer, at, nonce, maxAgeSeconds = 86_400 } = context;
  const single = response.responses.find(({ certId }) => isNamedBy(certId, issuer, serialNumber));
  if (!single) return { problem: 'NOT_ANSWERED' };
  const responder = [issuer, ...response.certificates].find(
    (certificate) =>
      isNamedResponder(response, certificate) &&
      (certificate === issuer || mayAnswerFor(certificate, issuer, at)),
  );
  if (!responder) return { problem: 'RESPONDER_UNAUTHORIZED' };
  const { signatureAlgorithm: algorithm, tbsResponseData, signature } = response;
  if (!algorithm || !suits(algorithm, responder.publicKey)) return { problem: 'ALGORITHM_UNSUPPORTED' };
  if (!verifySignature(algorithm, responder.publicKey, tbsResponseData, signature))
    return { problem: 'SIGNATURE_INVALID' };
  if (response.unrecognizedCriticalExtensions.length > 0) return { problem: 'CRITICAL_EXTENSION_UNKNOWN' };
  if (nonce && !(response.nonce && isSame(response.nonce, nonce))) return { problem: 'NONCE_DIFFERS' };
  if (at < single.thisUpdate) return { problem: 'NOT_YET_VALID' };
  const until = single.nextUpdate?.getTime() ?? single.thisUpdate.getTime() + maxAgeSeconds * 1000;
  if (at.getTime() >= until + 1000) return { problem: 'EXPIRED' };
  return { certStatus: single.certStatus };
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Whether the CertID is of the certificate of this issuer with this serial number. */
export function isNamedBy(certId: CertId, issuer: Certificate, serialNumber: Uint8Array): boolean {
  if (!certId.hashAlgorithm || Buffer.compare(certId.serialNumber, serialNumber) !== 0) return false;
  const { issuerNameHash, issuerKeyHash } = issuerHashes(certId.hashAlgorithm, issuer);
  return certId.issuerNameHash.equals(issuerNameHash) && certId.issuerKeyHash.equals(issuerKeyHash);
}

function isNamedResponder({ responderId }: BasicOcspResponse, { subject, publicKey }: Certificate): boolean {
  return 'byName' in responderId
    ? responderId.byName.equals(subject.der)
    : responderId.byKey.equals(responderKeyHash(publicKey));
}

/** RFC 6960 4.2.2.2: certified by the issuer itself for signing responses, and valid. */
function mayAnswerFor(responder: Certificate, issuer: Certificate, at: Date): boolean {
  const { signatureAlgorithm: algorithm, extensions } = responder;
  return (
    responder.issuer.der.equals(issuer.subject.der) &&
    (extensions.extKeyUsage?.keyPurposeIds.includes(keyPurposes.OCSPSigning) ?? false) &&
    (extensions.keyUsage?.includes('digitalSignature') ?? true) &&
    responder.unrecognizedCriticalExtensions.length === 0 &&
    at >= responder.notBefore &&
    at.getTime() < responder.notAfter.getTime() + 1000 &&
    algorithm !== undefined &&
    suits(algorithm, issuer.publicKey) &&
    verifySignature(algorithm, issuer.publicKey, responder.tbsCertificate, responder.signature)
  );
}
