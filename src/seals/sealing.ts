/** One act of sealing, from the request to the sealed document. The steps stand in this room's README. */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { AuditLog, AuditReceipt } from '../audit/index.ts';
import type { Certificates } from '../certification/index.ts';
import { CustodyError, type Custody } from '../custody/index.ts';
import type { Acting, Organisations } from '../organisations/index.ts';
import { signedAttributes, signedData, type Certificate } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import { isUniqueViolation, type Db } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';
import { isId, newId, type AccountId, type SealId, type SealingId } from '../platform/ids.ts';
import { SealingError } from './errors.ts';
import { FormatError, type Format, type Place } from './formats/format.ts';
import { recordIntent, signWithPermit, type SealingPermit } from './permits.ts';
import { decideSealing } from './policy.ts';
import type { Seal, SealRegistry } from './registry.ts';
import type { Verification } from './verification.ts';

/** Who asks: a person, through a client. */
export interface Actor {
  readonly accountId: AccountId;
  readonly clientId: string;
  /** For whom they act; absent: for themselves, and as whatever lets them use a seal. */
  readonly acting?: Acting | undefined;
}

const CORNERS = ['top-left', 'top-right', 'bottom-left', 'bottom-right'] as const;
const millimetres = z.number().min(0).max(5000);

/** What a caller may choose. Lengths in millimetres. */
export const sealingOptions = z
  .object({
    reason: z.string().max(200).optional(),
    location: z.string().max(200).optional(),
    visible: z.boolean().default(true),
    place: z
      .object({
        page: z.union([z.int().min(1), z.literal('last')]),
        corner: z.enum(CORNERS),
        x: millimetres,
        y: millimetres,
      })
      .strict()
      .optional(),
  })
  .strict();
export type SealingOptions = z.output<typeof sealingOptions>;

export interface SealingRequest {
  readonly document: Uint8Array;
  readonly options: SealingOptions;
  readonly idempotencyKey: string | undefined;
}

export interface SealedDocument {
  readonly sealingId: SealingId;
  readonly document: Uint8Array;
  readonly mediaType: string;
  /** Whether this is the answer to an earlier request with the same idempotency key. */
  readonly replayed: boolean;
}

/** What is on record of a sealing. Digests are SHA-256, hex. */
export interface SealingRecord {
  readonly id: SealingId;
  readonly sealId: SealId;
  readonly state: 'intended' | 'permitted' | 'completed' | 'failed';
  readonly documentDigest: string;
  readonly sealedDigest: string | undefined;
  readonly intendedAt: Date;
  readonly completedAt: Date | undefined;
  /** The newest audit entry of the sealing, with the log's signature. */
  readonly receipt: AuditReceipt;
}

export interface SealingRoom {
  /**
   * Seals a document. A retry with the same idempotency key and the same request gets the same document and never signs again.
   * @throws {SealingError} and {FormatError}: then nothing was signed, or the attempt is on record as failed.
   */
  seal(actor: Actor, sealId: string, request: SealingRequest): Promise<SealedDocument>;
  /** The record of a sealing, for whoever asked for it. */
  find(actor: Actor, sealingId: string): Promise<SealingRecord | undefined>;
  /** What somebody had sealed, oldest first: for their own eyes. */
  by(accountId: string): Promise<(Omit<SealingRecord, 'receipt'> & { readonly clientId: string })[]>;
}

interface SealingRow {
  id: SealingId;
  seal_id: SealId;
  state: SealingRecord['state'];
  request_digest: Uint8Array;
  document_digest: Uint8Array;
  sealed_digest: Uint8Array | null;
  increment: Uint8Array | null;
  intended_at: Date;
  completed_at: Date | null;
  intent_seq: number;
  result_seq: number | null;
}

const COLUMNS =
  'id, seal_id, state, request_digest, document_digest, sealed_digest, increment, intended_at, completed_at, intent_seq, result_seq';
/** Room for the signature and a chain of three; a time-stamp will want more. */
const SIGNATURE_BYTES = 8192;
/** Longer than any sealing takes: an older one that has no result was cut off by a crash. */
const IN_PROGRESS_MS = 60_000;
const sha256 = (...parts: readonly Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export interface SealingParts {
  readonly db: Db;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly custody: Custody;
  readonly organisations: Organisations;
  readonly registry: SealRegistry;
  readonly certificates: Certificates;
  readonly verification: Verification;
  readonly format: Format;
}

export function createSealing(parts: SealingParts): SealingRoom {
  const { db, clock, audit, custody, organisations, registry, certificates, verification, format } = parts;

  /** Step 1: the seal, if this actor may use it now. */
  async function authorise(
    actor: Actor,
    sealId: string,
  ): Promise<{
    seal: Seal;
    acting: Acting;
    certificate: Certificate;
    chain: readonly Certificate[];
    organisation: string;
  }> {
    const notFound = () =>
      new SealingError('SEAL_NOT_FOUND', 'There is no such seal, or you may not use it.');
    const seal = isId('seal', sealId) ? await registry.find(sealId) : undefined;
    if (!seal) throw notFound();
    const [acting, stored, unit, chain] = await Promise.all([
      organisations.actingWithSeal(actor.accountId, seal.id, actor.acting),
      certificates.find(seal.certificateId),
      organisations.unit(seal.unitId),
      certificates.chainOf(seal.certificateId),
    ]);
    if (!stored || !unit) throw notFound();
    const revoked = await certificates.revokedAmong([stored.certificate, ...chain]);
    const decision = decideSealing({
      entitled: acting !== undefined,
      state: seal.state,
      certificate: { ...stored.certificate, revoked: revoked.size > 0 },
      at: clock.now(),
    });
    if (!decision.allowed || !acting) {
      if (decision.allowed || decision.code === 'SEAL_NOT_FOUND') throw notFound();
      throw new SealingError(
        decision.code,
        decision.code === 'SEAL_NOT_ACTIVE'
          ? 'The seal is not active.'
          : "The seal's certificate is not valid now.",
      );
    }
    return {
      seal,
      acting,
      certificate: stored.certificate,
      // Verifiers have the root, or do not trust it.
      chain: chain.filter((each) => !each.subject.der.equals(each.issuer.der)),
      organisation: unit.organisation.name,
    };
  }

  /** A request with this idempotency key came before: answers it, or says why it cannot be. */
  async function replay(
    actor: Actor,
    request: SealingRequest,
    requestDigest: Uint8Array,
  ): Promise<SealedDocument | undefined> {
    if (request.idempotencyKey === undefined) return undefined;
    const [row] = await db.query<SealingRow>(
      `SELECT ${COLUMNS} FROM sealings WHERE actor = $1 AND idempotency_key = $2`,
      [actor.accountId, request.idempotencyKey],
    );
    if (!row) return undefined;
    if (Buffer.compare(row.request_digest, requestDigest) !== 0)
      throw new SealingError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request.');
    if (row.state === 'completed' && row.increment)
      return {
        sealingId: row.id,
        document: Buffer.concat([request.document, row.increment]),
        mediaType: format.mediaType,
        replayed: true,
      };
    if (row.state === 'failed')
      throw new SealingError(
        'SEALING_FAILED_BEFORE',
        'This request failed before. Send it with a new Idempotency-Key.',
      );
    if (clock.now().getTime() - row.intended_at.getTime() < IN_PROGRESS_MS)
      throw new SealingError(
        'SEALING_IN_PROGRESS',
        'A request with this Idempotency-Key is being worked on. Ask again shortly.',
      );
    throw new SealingError(
      'SEALING_UNFINISHED',
      'This request was cut off and released no document. Send it with a new Idempotency-Key.',
    );
  }

  async function complete(
    actor: Actor,
    seal: Seal,
    permit: SealingPermit,
    original: Uint8Array,
    sealed: Uint8Array,
  ): Promise<void> {
    const sealedDigest = sha256(sealed);
    await db.transaction(async (tx) => {
      const updated = await tx.query(
        `UPDATE sealings SET state = 'completed', completed_at = $2, sealed_digest = $3, increment = $4 WHERE id = $1 AND state = 'permitted' RETURNING id`,
        [permit.sealingId, clock.now(), sealedDigest, sealed.subarray(original.length)],
      );
      if (updated.length !== 1) throw new TypeError('the sealing was not under way');
      const { entry } = await audit.record(tx, {
        type: 'sealing.completed',
        actor: actor.accountId,
        subject: permit.sealingId,
        detail: {
          sealId: seal.id,
          documentDigest: sha256(original).toString('hex'),
          sealedDigest: sealedDigest.toString('hex'),
          certificateId: seal.certificateId,
        },
      });
      await tx.query('UPDATE sealings SET result_seq = $2 WHERE id = $1', [permit.sealingId, entry.seq]);
    });
  }

  async function fail(actor: Actor, seal: Seal, permit: SealingPermit, error: unknown): Promise<void> {
    await db.transaction(async (tx) => {
      const { entry } = await audit.record(tx, {
        type: 'sealing.failed',
        actor: actor.accountId,
        subject: permit.sealingId,
        detail: { sealId: seal.id, reason: error instanceof AppError ? error.code : 'INTERNAL_ERROR' },
      });
      await tx.query(
        `UPDATE sealings SET state = 'failed', result_seq = $2 WHERE id = $1 AND state <> 'completed'`,
        [permit.sealingId, entry.seq],
      );
    });
  }

  return {
    async seal(actor, sealId, request) {
      const { document, options, idempotencyKey } = request;
      if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,128}$/.test(idempotencyKey))
        throw new SealingError(
          'IDEMPOTENCY_KEY_INVALID',
          'The Idempotency-Key must be 1 to 128 printable ASCII signs.',
        );
      const documentDigest = sha256(document);
      const requestDigest = sha256(Buffer.from(JSON.stringify([sealId, options])), documentDigest);

      const { seal, acting, certificate, chain, organisation } = await authorise(actor, sealId);
      const before = await replay(actor, request, requestDigest);
      if (before) return before;

      const prepared = format.prepare(document, {
        at: clock.now(),
        name: organisation,
        nonce: randomBytes(16),
        signatureBytes: SIGNATURE_BYTES,
        ...(options.reason === undefined ? {} : { reason: options.reason }),
        ...(options.location === undefined ? {} : { location: options.location }),
        ...(options.visible
          ? {
              visible: {
                drawing: await registry.drawing(seal.id),
                ...(options.place === undefined ? {} : { place: options.place satisfies Place }),
              },
            }
          : {}),
      });
      const signer = await custody.signer(seal.unitId, seal.keyId, 'ecdsa-with-SHA256');

      let permit: SealingPermit;
      try {
        permit = await recordIntent(parts, {
          sealingId: newId('slg', clock.now()),
          sealId: seal.id,
          actor: actor.accountId,
          clientId: actor.clientId,
          acting,
          idempotencyKey,
          requestDigest,
          documentDigest,
        });
      } catch (error) {
        // A request with the same key came first while this one was being prepared.
        const winner = isUniqueViolation(error) ? await replay(actor, request, requestDigest) : undefined;
        if (winner) return winner;
        throw error;
      }

      try {
        const attributes = signedAttributes({
          messageDigest: sha256(...prepared.covered),
          signerCertificate: certificate,
        });
        const signature = await signWithPermit(db, permit, signer, attributes);
        const cms = signedData({
          signedAttributes: attributes,
          signature,
          algorithm: signer.algorithm,
          signerCertificate: certificate,
          certificates: chain,
        });
        const sealed = prepared.assemble(cms);
        const verdict = await verification.verify(sealed);
        const own = verdict.seals.find((found) => found.coversWholeDocument);
        if (own?.indication !== 'TOTAL-PASSED')
          throw new SealingError(
            'SEALING_FAILED',
            'The sealed document did not pass its own verification and was not released.',
            { cause: verdict },
          );
        await complete(actor, seal, permit, document, sealed);
        return {
          sealingId: permit.sealingId,
          document: sealed,
          mediaType: format.mediaType,
          replayed: false,
        };
      } catch (error) {
        await fail(actor, seal, permit, error);
        throw error instanceof FormatError || error instanceof CustodyError || error instanceof SealingError
          ? error
          : new SealingError('SEALING_FAILED', 'The document could not be sealed.', { cause: error });
      }
    },

    async find(actor, sealingId) {
      if (!isId('slg', sealingId)) return undefined;
      const [row] = await db.query<SealingRow>(
        `SELECT ${COLUMNS} FROM sealings WHERE id = $1 AND actor = $2`,
        [sealingId, actor.accountId],
      );
      const chained = row && (await audit.find(row.result_seq ?? row.intent_seq));
      if (!row || !chained) return undefined;
      return { ...toRecord(row), receipt: await audit.receipt(chained) };
    },

    async by(accountId) {
      const rows = await db.query<SealingRow & { client_id: string }>(
        `SELECT ${COLUMNS}, client_id FROM sealings WHERE actor = $1 ORDER BY id`,
        [accountId],
      );
      return rows.map((row) => ({ ...toRecord(row), clientId: row.client_id }));
    },
  };
}

function toRecord(row: SealingRow): Omit<SealingRecord, 'receipt'> {
  return {
    id: row.id,
    sealId: row.seal_id,
    state: row.state,
    documentDigest: Buffer.from(row.document_digest).toString('hex'),
    sealedDigest: row.sealed_digest ? Buffer.from(row.sealed_digest).toString('hex') : undefined,
    intendedAt: row.intended_at,
    completedAt: row.completed_at ?? undefined,
  };
}
