/** Time-stamps (RFC 3161): requests, responses, and tokens, which are CMS messages over a TSTInfo. */
import { createHash } from 'node:crypto';
import {
  algorithmOf,
  digestAlgorithm,
  digestAlgorithmIdentifier,
  readAlgorithmIdentifier,
  type DigestAlgorithm,
} from './algorithms.ts';
import { signedAttributes } from './cms-attributes.ts';
import { verifySignerInfo } from './cms-verify.ts';
import { parseSignedData, readSignedDataMessage, signedData, type SignedData } from './cms.ts';
import * as der from './der.ts';
import { PkiMessageError } from './errors.ts';
import { keyPurposes, readExtensionList } from './extensions.ts';
import type { Signer } from './signer.ts';
import type { Certificate } from './x509.ts';

const idCtTstInfo = '1.2.840.113549.1.9.16.1.4';
/** The longest digest is 64 octets; no request is near this. */
const maxRequestBytes = 16_384;
const maxResponseBytes = 262_144;
/** RFC 3161 2.4.1 says "a large random number"; nobody sends more octets than these. */
const maxNonceBytes = 64;
const tag0 = der.contextTag(0, 'constructed');
const tag1 = der.contextTag(1, 'constructed');
const millisTag = der.contextTag(0, 'primitive');
const microsTag = der.contextTag(1, 'primitive');

/** What is time-stamped: a digest. */
export interface MessageImprint {
  /** `undefined` when it is not one that this program computes. */
  readonly hashAlgorithm: DigestAlgorithm | undefined;
  readonly hashedMessage: Buffer;
}

export interface TimeStampRequest {
  readonly messageImprint: MessageImprint;
  /** Dotted decimal; the policy under which the token is wished for. */
  readonly reqPolicy: string | undefined;
  /** Contents octets of the INTEGER. */
  readonly nonce: Buffer | undefined;
  /** Whether the authority's certificate shall travel in the token. */
  readonly certReq: boolean;
  /** Object identifiers of the extensions asked for, critical or not: none is known here. */
  readonly extensions: readonly string[];
}

/** PKIFailureInfo (RFC 3161 2.4.2): numbers of the bits. */
const failureBits = {
  badAlg: 0,
  badRequest: 2,
  badDataFormat: 5,
  timeNotAvailable: 14,
  unacceptedPolicy: 15,
  unacceptedExtension: 16,
  addInfoNotAvailable: 17,
  systemFailure: 25,
} as const;

export type PkiFailureInfo = keyof typeof failureBits;

/** PKIStatus (RFC 3161 2.4.2), by number. */
const statuses = [
  'granted',
  'grantedWithMods',
  'rejection',
  'waiting',
  'revocationWarning',
  'revocationNotification',
] as const;

export type PkiStatus = (typeof statuses)[number];

/** How far genTime may be from the true time, either way. */
export interface Accuracy {
  readonly seconds: number;
  /** 0 to 999. */
  readonly millis: number;
  /** 0 to 999. */
  readonly micros: number;
}

/** What a token says (RFC 3161 2.4.2). */
export interface TstInfo {
  /** Dotted decimal. */
  readonly policy: string;
  readonly messageImprint: MessageImprint;
  /** Contents octets of the INTEGER. */
  readonly serialNumber: Buffer;
  /** To the millisecond. */
  readonly genTime: Date;
  readonly accuracy: Accuracy | undefined;
  readonly ordering: boolean;
  /** Contents octets of the INTEGER. */
  readonly nonce: Buffer | undefined;
  /** DER of the GeneralName of the authority. */
  readonly tsa: Buffer | undefined;
  readonly unrecognizedCriticalExtensions: readonly string[];
}

export interface TimeStampToken {
  readonly tstInfo: TstInfo;
  readonly signed: SignedData;
  /** DER of the TSTInfo: the content that is signed. */
  readonly content: Buffer;
}

export interface TimeStampResponse {
  readonly status: PkiStatus;
  readonly failInfo: readonly PkiFailureInfo[];
  /** There when the status is granted or grantedWithMods. */
  readonly token: TimeStampToken | undefined;
  /** DER of the token. */
  readonly tokenDer: Buffer | undefined;
}

/**
 * Asks for a time-stamp.
 * @param request.nonce The octets of an unsigned number.
 * @returns DER of a TimeStampReq.
 */
export function buildTimeStampRequest(request: {
  readonly hashAlgorithm: DigestAlgorithm;
  readonly hashedMessage: Uint8Array;
  readonly reqPolicy?: string | undefined;
  readonly nonce?: Uint8Array | undefined;
  readonly certReq: boolean;
}): Buffer {
  return der.sequence(
    der.integer(1),
    writeImprint(request.hashAlgorithm, request.hashedMessage),
    ...(request.reqPolicy === undefined ? [] : [der.objectIdentifier(request.reqPolicy)]),
    ...(request.nonce ? [der.integer(request.nonce)] : []),
    ...(request.certReq ? [der.boolean(true)] : []),
  );
}

function writeImprint(hashAlgorithm: DigestAlgorithm, hashedMessage: Uint8Array): Buffer {
  return der.sequence(digestAlgorithmIdentifier(hashAlgorithm), der.octetString(hashedMessage));
}

/**
 * Reads a request. Whether it can be served is for the authority: a digest that is not known is `undefined`, extensions are listed.
 * @param bytes DER, and nothing after it. Its octets are copied.
 * @throws {DerError} when it is not the DER of a request. @throws {PkiMessageError} TSP_VERSION, TSP_CONTENT. @throws {X509Error} for extensions.
 */
export function parseTimeStampRequest(bytes: Uint8Array): TimeStampRequest {
  return der.decode(
    Buffer.from(bytes),
    (reader) =>
      reader.sequence((inner) => {
        readVersion(inner);
        const messageImprint = readImprint(inner);
        const reqPolicy = inner.optional(der.tags.objectIdentifier, () => inner.objectIdentifier());
        const nonce = readNonce(inner);
        const certReq = inner.booleanDefaultFalse();
        const extensions: string[] = [];
        inner.optional(tag0, () =>
          readExtensionList(
            inner,
            (oid) => (value) => {
              extensions.push(oid);
              value.any();
            },
            tag0,
          ),
        );
        return { messageImprint, reqPolicy, nonce, certReq, extensions };
      }),
    maxRequestBytes,
  );
}

function readVersion(reader: der.DerReader): void {
  const { offset } = reader;
  if (reader.smallInteger() !== 1)
    throw new PkiMessageError('TSP_VERSION', 'RFC 3161 2.4', offset, 'The version is 1');
}

function readImprint(reader: der.DerReader): MessageImprint {
  return reader.sequence((inner) => ({
    hashAlgorithm: digestAlgorithm(readAlgorithmIdentifier(inner)),
    hashedMessage: inner.octetString(),
  }));
}

function readNonce(reader: der.DerReader): Buffer | undefined {
  const { offset } = reader;
  const nonce = reader.optional(der.tags.integer, () => reader.integer());
  if (nonce && nonce.length > maxNonceBytes)
    throw new PkiMessageError(
      'TSP_CONTENT',
      'limit of this program',
      offset,
      `A nonce of more than ${maxNonceBytes} octets`,
    );
  return nonce;
}

/** Whether the digest has the length of its algorithm (RFC 3161 2.4.1). */
export function imprintFits({ hashAlgorithm, hashedMessage }: MessageImprint): boolean {
  return hashAlgorithm !== undefined && createHash(hashAlgorithm).digest().length === hashedMessage.length;
}

/**
 * Makes a token (RFC 3161 2.4.2): SignedData over a TSTInfo, with contentType, messageDigest and signingCertificateV2 (RFC 5816) signed.
 * @param stamp.serialNumber The octets of an unsigned number, never used before by this authority.
 * @param stamp.nonce Contents octets of the INTEGER in the request.
 * @param stamp.certificates What leads from the authority to its root; `undefined`: no certificate travels (certReq was false).
 * @returns DER of a ContentInfo.
 */
export async function buildTimeStampToken(
  stamp: {
    readonly policy: string;
    readonly messageImprint: MessageImprint & { readonly hashAlgorithm: DigestAlgorithm };
    readonly serialNumber: Uint8Array;
    readonly genTime: Date;
    readonly accuracy: Accuracy;
    readonly nonce?: Uint8Array | undefined;
    readonly signerCertificate: Certificate;
    readonly certificates: readonly Certificate[] | undefined;
  },
  signer: Signer,
): Promise<Buffer> {
  const { hashAlgorithm, hashedMessage } = stamp.messageImprint;
  const content = der.sequence(
    der.integer(1),
    der.objectIdentifier(stamp.policy),
    writeImprint(hashAlgorithm, hashedMessage),
    der.integer(stamp.serialNumber),
    der.generalizedTime(stamp.genTime, 'milliseconds'),
    writeAccuracy(stamp.accuracy),
    ...(stamp.nonce ? [der.element(der.tags.integer, stamp.nonce)] : []),
  );
  const attributes = signedAttributes({
    messageDigest: createHash(algorithmOf(signer.algorithm).digest).update(content).digest(),
    signerCertificate: stamp.signerCertificate,
    contentType: idCtTstInfo,
  });
  return signedData({
    signedAttributes: attributes,
    signature: await signer.sign(attributes),
    algorithm: signer.algorithm,
    signerCertificate: stamp.signerCertificate,
    certificates: stamp.certificates,
    encapsulatedContent: content,
  });
}

/** Zero is the default of all three and hence left out. */
function writeAccuracy({ seconds, millis, micros }: Accuracy): Buffer {
  const field = (value: number, tag: number) => (value === 0 ? [] : [der.retagged(tag, der.integer(value))]);
  return der.sequence(
    ...field(seconds, der.tags.integer),
    ...field(millis, millisTag),
    ...field(micros, microsTag),
  );
}

/** @returns DER of a TimeStampResp that grants the token. */
export function timeStampResponse(token: Uint8Array): Buffer {
  return der.sequence(der.sequence(der.integer(statuses.indexOf('granted'))), token);
}

/**
 * @param why For the programmer at the other end; English.
 * @returns DER of a TimeStampResp that rejects (RFC 3161 2.4.2).
 */
export function timeStampRejection(failure: PkiFailureInfo, why: string): Buffer {
  return der.sequence(
    der.sequence(
      der.integer(statuses.indexOf('rejection')),
      der.sequence(der.utf8String(why)),
      der.namedBits([failureBits[failure]]),
    ),
  );
}

/**
 * Reads a response. Reading verifies nothing: see {@link judgeTimeStamp}.
 * @param bytes DER, and nothing after it. Its octets are copied.
 * @throws {DerError} when it is not the DER of a response. @throws {PkiMessageError} TSP_STATUS, TSP_VERSION, TSP_CONTENT.
 * @throws {CmsError} and {X509Error} for the token in it.
 */
export function parseTimeStampResponse(bytes: Uint8Array): TimeStampResponse {
  return der.decode(
    Buffer.from(bytes),
    (reader) =>
      reader.sequence((inner) => {
        const { offset } = inner;
        const { status, failInfo } = inner.sequence(readStatusInfo);
        const token = inner.done ? undefined : inner.withBytes(readToken);
        const isGranted = status === 'granted' || status === 'grantedWithMods';
        if (isGranted !== (token !== undefined))
          throw new PkiMessageError(
            'TSP_STATUS',
            'RFC 3161 2.4.2',
            offset,
            'The status contradicts the token',
          );
        return { status, failInfo, token: token?.value, tokenDer: token?.der };
      }),
    maxResponseBytes,
  );
}

function readStatusInfo(reader: der.DerReader): Pick<TimeStampResponse, 'status' | 'failInfo'> {
  const { offset } = reader;
  const status = statuses[reader.smallInteger()];
  if (status === undefined)
    throw new PkiMessageError('TSP_STATUS', 'RFC 3161 2.4.2', offset, 'There is no such status');
  reader.optional(der.tags.sequence, () => reader.listOf((text) => text.utf8String()));
  const bits = reader.optional(der.tags.bitString, () => reader.namedBits()) ?? [];
  const names = Object.entries(failureBits).filter(([, bit]) => bits.includes(bit));
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- keys of the closed table
  return { status, failInfo: names.map(([name]) => name as PkiFailureInfo) };
}

/**
 * Reads a token by itself, as it stands in a signature.
 * @param bytes DER of a ContentInfo, and nothing after it.
 * @throws As {@link parseTimeStampResponse}.
 */
export function parseTimeStampToken(bytes: Uint8Array): TimeStampToken {
  return toToken(parseSignedData(Buffer.from(bytes)), 0);
}

function readToken(reader: der.DerReader): TimeStampToken {
  const { offset } = reader;
  return toToken(readSignedDataMessage(reader), offset);
}

function toToken(signed: SignedData, offset: number): TimeStampToken {
  const { eContentType, encapsulatedContent: content } = signed;
  if (eContentType !== idCtTstInfo || !content)
    throw new PkiMessageError('TSP_CONTENT', 'RFC 3161 2.4.2', offset, 'A token holds a TSTInfo');
  return { tstInfo: der.decode(content, readTstInfo), signed, content };
}

function readTstInfo(reader: der.DerReader): TstInfo {
  return reader.sequence((inner) => {
    readVersion(inner);
    const policy = inner.objectIdentifier();
    const messageImprint = readImprint(inner);
    const { offset } = inner;
    const serialNumber = inner.integer();
    // RFC 3161 2.4.2: up to 160 bits.
    if (serialNumber.length > 21)
      throw new PkiMessageError(
        'TSP_CONTENT',
        'RFC 3161 2.4.2',
        offset,
        'A serial number has 160 bits at most',
      );
    return {
      policy,
      messageImprint,
      serialNumber,
      genTime: inner.generalizedTime('fraction'),
      accuracy: inner.optional(der.tags.sequence, () => inner.sequence(readAccuracy)),
      ordering: inner.booleanDefaultFalse(),
      nonce: readNonce(inner),
      tsa: inner.optional(tag0, () => inner.constructed(tag0, (name) => name.any())),
      unrecognizedCriticalExtensions:
        inner.optional(tag1, () => readExtensionList(inner, () => undefined, tag1)) ?? [],
    };
  });
}

function readAccuracy(reader: der.DerReader): Accuracy {
  const part = (tag: number) => {
    const { offset } = reader;
    const value = reader.optional(tag, () => reader.smallInteger(tag)) ?? 0;
    if (tag !== der.tags.integer && value > 999)
      throw new PkiMessageError('TSP_CONTENT', 'RFC 3161 2.4.2', offset, 'Parts of a second are 1 to 999');
    return value;
  };
  return { seconds: part(der.tags.integer), millis: part(millisTag), micros: part(microsTag) };
}

/** What holds of a token. Whether the authority's certificate is trusted at genTime is another question: see `buildPath`. */
export interface TimeStampVerdict {
  /** The authority's certificate, from the token or from those given. */
  readonly tsaCertificate: Certificate | undefined;
  /** The digest that it stamps is the one expected. */
  readonly messageImprint: boolean;
  /** The CMS signature, its attributes and its signing certificate hold (RFC 5652 5.6, RFC 5816). */
  readonly signature: boolean;
  /** The certificate is for time-stamping and nothing else, critical (RFC 3161 2.3). */
  readonly extKeyUsage: boolean;
  /** The nonce is the one that was sent; true where none was. */
  readonly nonce: boolean;
  /** No critical extension is left unread. */
  readonly extensions: boolean;
  /** All of these. */
  readonly valid: boolean;
}

/**
 * Checks a token against what was to be stamped (RFC 3161 2.2).
 * @param expected.nonce Contents octets of the INTEGER that was sent.
 * @param expected.certificates Where the authority's certificate may be, if not in the token.
 */
export function judgeTimeStamp(
  token: TimeStampToken,
  expected: {
    readonly messageImprint: { readonly hashAlgorithm: DigestAlgorithm; readonly hashedMessage: Uint8Array };
    readonly nonce?: Uint8Array | undefined;
    readonly certificates?: readonly Certificate[] | undefined;
  },
): TimeStampVerdict {
  const { tstInfo, content } = token;
  const signed = {
    ...token.signed,
    certificates: [...token.signed.certificates, ...(expected.certificates ?? [])],
  };
  const { digestAlgorithm: digest } = signed.signerInfo;
  const signer = digest ? verifySignerInfo(signed, createHash(digest).update(content).digest()) : undefined;
  const usage = signer?.signerCertificate?.extensions.extKeyUsage;
  const checks = {
    messageImprint:
      tstInfo.messageImprint.hashAlgorithm === expected.messageImprint.hashAlgorithm &&
      tstInfo.messageImprint.hashedMessage.equals(expected.messageImprint.hashedMessage),
    signature: signer?.valid ?? false,
    extKeyUsage:
      usage !== undefined &&
      usage.critical &&
      usage.keyPurposeIds.length === 1 &&
      usage.keyPurposeIds[0] === keyPurposes.timeStamping,
    nonce: expected.nonce === undefined || (tstInfo.nonce?.equals(expected.nonce) ?? false),
    extensions: tstInfo.unrecognizedCriticalExtensions.length === 0,
  };
  return {
    tsaCertificate: signer?.signerCertificate,
    ...checks,
    valid: Object.values(checks).every(Boolean),
  };
}
