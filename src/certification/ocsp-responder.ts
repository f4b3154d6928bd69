/** The OCSP responder: answers for what our issuing authorities have issued (RFC 6960), ready ones where no nonce asks for a new one (RFC 5019). */
import type { Custody } from '../custody/index.ts';
import {
  buildOcspResponse,
  CmsError,
  DerError,
  issuerHashes,
  ocspErrorResponse,
  parseOcspRequest,
  PkiMessageError,
  X509Error,
  type CertId,
  type CertIdDigest,
  type CertStatus,
  type OcspRequest,
  type RevocationReason,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import type { Logger } from '../platform/logger.ts';
import { wholeSecond, REVOKED_CHANNEL, type Authority, type Certificates } from './certificates.ts';
import { createServiceSigners } from './signing.ts';

export interface OcspAnswer {
  /** DER of an OCSPResponse. */
  readonly der: Buffer;
  /** Until when it may be given again; `undefined`: to nobody else. */
  readonly reusable: { readonly thisUpdate: Date; readonly nextUpdate: Date } | undefined;
}

export interface OcspResponder {
  /** @param request What a stranger sent. Whatever is wrong with it is an answer too. */
  answer(request: Uint8Array): Promise<OcspAnswer>;
  /** Forgets every answer that is ready: a certificate was revoked. */
  forget(): void;
  /** Listens for revocations by other processes. @returns what stops it. */
  listen(): Promise<() => Promise<void>>;
}

/** For how long an answer holds. Caches on the way may give it that long, so that a revocation takes as long to be known everywhere. */
const HOLDS_MS = 3_600_000;
/** A ready answer is given for half of that. */
const READY_MS = HOLDS_MS / 2;
/** A status is asked of the database again after this time, should no word of a change have come. */
const STATUS_MS = 60_000;
const CACHE_ENTRIES = 10_000;
const DIGESTS: readonly CertIdDigest[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'];

interface Ready {
  readonly answer: OcspAnswer;
  readonly until: number;
}

export function createOcspResponder(parts: {
  db: Db;
  clock: Clock;
  logger: Logger;
  custody: Custody;
  certificates: Certificates;
}): OcspResponder {
  const { db, clock, logger, certificates } = parts;
  const signers = createServiceSigners('ocsp-responder', parts);
  const statuses = new Map<string, { readonly certStatus: CertStatus; readonly until: number }>();
  const ready = new Map<string, Ready>();
  /** Counts the times that everything was forgotten: what was read before must not be remembered after. */
  let generation = 0;
  let byHash: { readonly of: readonly Authority[]; readonly map: ReadonlyMap<string, Authority> } | undefined;

  function forget(): void {
    generation += 1;
    statuses.clear();
    ready.clear();
  }

  async function issuerOf(certId: CertId): Promise<Authority | undefined> {
    const all = await certificates.authorities();
    if (byHash?.of !== all) {
      const map = new Map<string, Authority>();
      for (const authority of all.filter(({ profile }) => profile === 'issuing'))
        for (const digest of DIGESTS) {
          const { issuerNameHash, issuerKeyHash } = issuerHashes(digest, authority.certificate);
          map.set(hashName(digest, issuerNameHash, issuerKeyHash), authority);
        }
      byHash = { of: all, map };
    }
    const { hashAlgorithm, issuerNameHash, issuerKeyHash } = certId;
    return hashAlgorithm && byHash.map.get(hashName(hashAlgorithm, issuerNameHash, issuerKeyHash));
  }

  async function statusOf(issuer: Authority, serialNumber: Buffer): Promise<CertStatus> {
    const name = `${issuer.id} ${serialNumber.toString('hex')}`;
    const now = clock.now().getTime();
    const remembered = statuses.get(name);
    if (remembered && remembered.until > now) return remembered.certStatus;
    const before = generation;
    const [row] = await db.query<{ revoked_at: Date | null; revocation_reason: RevocationReason | null }>(
      'SELECT revoked_at, revocation_reason FROM certificates WHERE issuer_id = $1 AND serial_number = $2',
      [issuer.id, serialNumber],
    );
    // What is not known is not remembered: it may be issued the next moment.
    if (!row) return { status: 'unknown' };
    const certStatus: CertStatus = row.revoked_at
      ? {
          status: 'revoked',
          revocationTime: row.revoked_at,
          revocationReason: row.revocation_reason ?? undefined,
        }
      : { status: 'good' };
    if (generation === before) remember(statuses, name, { certStatus, until: now + STATUS_MS });
    return certStatus;
  }

  async function answerTo(request: OcspRequest): Promise<OcspAnswer> {
    const [first] = request.requests;
    const name =
      request.requests.length === 1 && first && !request.nonce ? first.der.toString('latin1') : undefined;
    const now = clock.now();
    const kept = name === undefined ? undefined : ready.get(name);
    if (kept && kept.until > now.getTime()) return kept.answer;
    const before = generation;
    const issuers = await Promise.all(request.requests.map(issuerOf));
    const issuer = issuers.find((each) => each !== undefined);
    // RFC 5019 2.2.3: nothing is said of other people's certificates.
    if (!issuer) return refusal('unauthorized');
    const thisUpdate = wholeSecond(now);
    const nextUpdate = new Date(thisUpdate.getTime() + HOLDS_MS);
    const [responses, { signer, certificate }] = await Promise.all([
      Promise.all(
        request.requests.map(async (certId, i) => ({
          certId,
          // One responder speaks for one issuer (RFC 6960 4.2.2.2).
          certStatus:
            issuers[i] === issuer
              ? await statusOf(issuer, certId.serialNumber)
              : ({ status: 'unknown' } as const),
          thisUpdate,
          nextUpdate,
        })),
      ),
      signers.of(issuer),
    ]);
    const der = await buildOcspResponse(
      { producedAt: thisUpdate, responses, nonce: request.nonce, certificates: [certificate] },
      signer,
    );
    if (name === undefined) return { der, reusable: undefined };
    const answer = { der, reusable: { thisUpdate, nextUpdate } };
    const isKnown = responses.every(({ certStatus }) => certStatus.status !== 'unknown');
    if (!isKnown) return { der, reusable: undefined };
    if (generation === before) remember(ready, name, { answer, until: now.getTime() + READY_MS });
    return answer;
  }

  return {
    forget,
    async answer(bytes) {
      let request: OcspRequest;
      try {
        request = parseOcspRequest(bytes);
      } catch (error) {
        if (isUnreadable(error)) return refusal('malformedRequest');
        throw error;
      }
      if (request.unrecognizedCriticalExtensions.length > 0) return refusal('malformedRequest');
      try {
        return await answerTo(request);
      } catch (error) {
        logger.error({ err: error }, 'the OCSP responder could not answer');
        return refusal('tryLater');
      }
    },
    listen: () => db.listen(REVOKED_CHANNEL, forget),
  };
}

/** The errors of `pki` that speak of the octets and not of us. */
export function isUnreadable(error: unknown): boolean {
  return (
    error instanceof DerError ||
    error instanceof X509Error ||
    error instanceof CmsError ||
    error instanceof PkiMessageError
  );
}

function refusal(status: Parameters<typeof ocspErrorResponse>[0]): OcspAnswer {
  return { der: ocspErrorResponse(status), reusable: undefined };
}

function hashName(digest: CertIdDigest, nameHash: Buffer, keyHash: Buffer): string {
  return `${digest} ${nameHash.toString('latin1')}${keyHash.toString('latin1')}`;
}

function remember<V>(map: Map<string, V>, name: string, value: V): void {
  map.delete(name);
  map.set(name, value);
  const [oldest] = map.keys();
  if (map.size > CACHE_ENTRIES && oldest !== undefined) map.delete(oldest);
}
