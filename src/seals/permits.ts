/**
 * No seal without a record: writing the intent is the only way to get a permit, and a seal's key signs only for a permit. A permit is good
 * for one signature over one document, in this process and, by compare-and-set, in the database.
 */
import type { AuditLog } from '../audit/index.ts';
import type { Acting, Organisations } from '../organisations/index.ts';
import type { Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import type { AccountId, SealId, SealingId } from '../platform/ids.ts';

export interface Intent {
  readonly sealingId: SealingId;
  readonly sealId: SealId;
  readonly actor: AccountId;
  readonly clientId: string;
  /** For whom the actor uses the seal. */
  readonly acting: Acting;
  readonly idempotencyKey: string | undefined;
  /** SHA-256 of everything that was asked, 32 bytes; a retry must ask the same. */
  readonly requestDigest: Uint8Array;
  /** SHA-256 of the document as it came, 32 bytes. */
  readonly documentDigest: Uint8Array;
}

const GRANTED = Symbol('only recordIntent makes permits');

/** Leave to sign once. */
export class SealingPermit {
  readonly sealingId: SealingId;

  constructor(granted: typeof GRANTED, sealingId: SealingId) {
    if (granted !== GRANTED) throw new TypeError('a permit comes from a recorded intent');
    this.sealingId = sealingId;
  }
}

/** Writes the intent and its audit entry, durably, and gives the permit. @throws a unique violation: the idempotency key is in use; {OrganisationError} AUTHORITY_MISSING. */
export async function recordIntent(
  parts: { db: Db; clock: Clock; audit: AuditLog; organisations: Pick<Organisations, 'use'> },
  intent: Intent,
): Promise<SealingPermit> {
  await parts.db.transaction(async (tx) => {
    // What ends the role or the mandate comes before this and stops it, or after it and finds the intent on record.
    await parts.organisations.use(tx, intent.actor, intent.acting, { sealId: intent.sealId });
    await tx.query(
      `INSERT INTO sealings (id, seal_id, actor, client_id, idempotency_key, request_digest, document_digest, state, intended_at, intent_seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'intended', $8, 0)`,
      [
        intent.sealingId,
        intent.sealId,
        intent.actor,
        intent.clientId,
        intent.idempotencyKey ?? null,
        intent.requestDigest,
        intent.documentDigest,
        parts.clock.now(),
      ],
    );
    const { entry } = await parts.audit.record(tx, {
      type: 'sealing.intended',
      actor: intent.actor,
      subject: intent.sealingId,
      detail: {
        sealId: intent.sealId,
        documentDigest: Buffer.from(intent.documentDigest).toString('hex'),
        clientId: intent.clientId,
      },
    });
    await tx.query('UPDATE sealings SET intent_seq = $2 WHERE id = $1', [intent.sealingId, entry.seq]);
  });
  return new SealingPermit(GRANTED, intent.sealingId);
}

/** Spends the permit, then signs. @throws {TypeError} the permit was spent before: a mistake of the program. */
export async function signWithPermit(
  db: Db,
  permit: SealingPermit,
  signer: Signer,
  data: Uint8Array,
): Promise<Uint8Array> {
  const spent = await db.query(
    `UPDATE sealings SET state = 'permitted' WHERE id = $1 AND state = 'intended' RETURNING id`,
    [permit.sealingId],
  );
  if (spent.length !== 1) throw new TypeError('the permit was spent before');
  return signer.sign(data);
}
