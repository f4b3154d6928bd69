/** The time-stamping authority (RFC 3161): one for each hierarchy, each with a key of its own. */
import { randomBytes } from 'node:crypto';
import type { Custody } from '../custody/index.ts';
import {
  buildTimeStampToken,
  imprintFits,
  parseTimeStampRequest,
  timeStampRejection,
  timeStampResponse,
  type Accuracy,
  type Certificate,
  type DigestAlgorithm,
  type PkiFailureInfo,
  type TimeStampRequest,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Authority, Certificates } from './certificates.ts';
import { CertificationError } from './errors.ts';
import type { HierarchyId } from './hierarchies.ts';
import { isUnreadable } from './ocsp-responder.ts';
import { createServiceSigners, type ServiceSigner } from './signing.ts';

export interface TimeStamping {
  /**
   * Answers a request.
   * @param request What a stranger sent. Whatever is wrong with it is an answer too.
   * @param hierarchy Whose authority shall stamp; the installation's first if left out.
   * @returns DER of a TimeStampResp; `undefined` when the installation has no such hierarchy.
   */
  answer(request: Uint8Array, hierarchy?: HierarchyId): Promise<Buffer | undefined>;
  /**
   * A token for our own use, with all certificates below the root in it.
   * @returns DER of a ContentInfo.
   * @throws {CertificationError} CERTIFIER_MISSING. @throws {CustodyError}
   */
  stamp(
    imprint: { readonly hashAlgorithm: DigestAlgorithm; readonly hashedMessage: Uint8Array },
    hierarchy?: HierarchyId,
  ): Promise<Buffer>;
}

/** What the clocks of servers in one network keep to, with a margin. */
const ACCURACY: Accuracy = { seconds: 1, millis: 0, micros: 0 };
const ACCURACY_MS = 1000;

export function createTimeStamping(parts: {
  clock: Clock;
  logger: Logger;
  custody: Custody;
  certificates: Certificates;
  hierarchies: readonly HierarchyId[];
  /** Dotted decimal: the one policy of this authority. */
  policy: string;
}): TimeStamping {
  const { clock, logger, certificates, policy } = parts;
  const signers = createServiceSigners('time-stamping', parts);
  let latest = 0;

  async function issuerOf(hierarchy: HierarchyId | undefined): Promise<Authority | undefined> {
    const wanted = hierarchy ?? parts.hierarchies[0];
    const all = await certificates.authorities();
    return all.find((each) => each.hierarchy === wanted && each.profile === 'issuing' && !each.revocation);
  }

  /** @returns `undefined` when the clock stands before a time that it has already given: one of the two is wrong. */
  function timeNow(): Date | undefined {
    const now = clock.now();
    if (now.getTime() < latest - ACCURACY_MS) return undefined;
    latest = Math.max(latest, now.getTime());
    return now;
  }

  function stampWith(
    { signer, certificate, chain }: ServiceSigner,
    genTime: Date,
    wishes: {
      readonly hashAlgorithm: DigestAlgorithm;
      readonly hashedMessage: Uint8Array;
      readonly nonce?: Buffer | undefined;
      readonly certificates: boolean;
    },
  ): Promise<Buffer> {
    const { hashAlgorithm, hashedMessage, nonce } = wishes;
    return buildTimeStampToken(
      {
        policy,
        messageImprint: { hashAlgorithm, hashedMessage: Buffer.from(hashedMessage) },
        // 127 random bits: never twice, also by two processes, also after a crash (RFC 3161 2.4.2).
        serialNumber: randomSerial(),
        genTime,
        accuracy: ACCURACY,
        nonce,
        signerCertificate: certificate,
        certificates: wishes.certificates ? (chain satisfies readonly Certificate[]) : undefined,
      },
      signer,
    );
  }

  async function grantOrReject(request: TimeStampRequest, issuer: Authority): Promise<Buffer> {
    const { messageImprint, reqPolicy, nonce, certReq, extensions } = request;
    const { hashAlgorithm, hashedMessage } = messageImprint;
    if (!hashAlgorithm) return reject('badAlg', 'The digest is not one of SHA-256, SHA-384, SHA-512, SM3');
    if (!imprintFits(messageImprint))
      return reject('badDataFormat', 'The digest does not have the length of its algorithm');
    if (reqPolicy !== undefined && reqPolicy !== policy)
      return reject('unacceptedPolicy', `The one policy here is ${policy}`);
    if (extensions.length > 0) return reject('unacceptedExtension', 'No extension is known here');
    const genTime = timeNow();
    if (!genTime) return reject('timeNotAvailable', 'The clock is not to be trusted at the moment');
    const wishes = { hashAlgorithm, hashedMessage, nonce, certificates: certReq };
    return timeStampResponse(await stampWith(await signers.of(issuer), genTime, wishes));
  }

  return {
    async answer(bytes, hierarchy) {
      const issuer = await issuerOf(hierarchy);
      if (!issuer) return undefined;
      let request: TimeStampRequest;
      try {
        request = parseTimeStampRequest(bytes);
      } catch (error) {
        if (isUnreadable(error)) return reject('badDataFormat', 'The request cannot be read');
        throw error;
      }
      try {
        return await grantOrReject(request, issuer);
      } catch (error) {
        logger.error({ err: error }, 'the time-stamping authority could not answer');
        return reject('systemFailure', 'The authority cannot answer at the moment');
      }
    },

    async stamp(imprint, hierarchy) {
      const issuer = await issuerOf(hierarchy);
      const genTime = timeNow();
      if (!issuer || !genTime)
        throw new CertificationError('CERTIFIER_MISSING', 'No authority here can tell the time.');
      return stampWith(await signers.of(issuer), genTime, { ...imprint, certificates: true });
    },
  };
}

function reject(failure: PkiFailureInfo, why: string): Buffer {
  return timeStampRejection(failure, why);
}

function randomSerial(): Uint8Array {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
