/** Account links: two accounts that turn out to be one person's become one, after both were shown to be theirs. */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { only, type Db, type Queryable } from '../../platform/db/db.ts';
import { newId, type AccountId, type EvidenceId, type Id } from '../../platform/ids.ts';
import { ProofingError } from './errors.ts';
import { EVIDENCE, toEvidence, type EvidenceBook, type EvidenceRow, type Source } from './evidence.ts';

export type LinkId = Id<'lnk'>;

/** How long both accounts of a person can be shown to be theirs. */
const LINK_SECONDS = 1800;

export interface AccountLinks {
  /** The account that a link leads to, if it still waits for this account. */
  linkedHolder(link: string, accountId: string): Promise<AccountId | undefined>;
  /**
   * Makes two accounts one: the one that holds the document stays, the other is closed into it.
   * @param shown The account that the person has shown to be theirs, too.
   * @returns the account that stays, and the level that was confirmed for it.
   * @throws {ProofingError} LINK_OVER: done, expired, another account than the one that holds the document, or it changed meanwhile.
   */
  link(link: string, accountId: string, shown: string): Promise<{ accountId: AccountId; level: number }>;
  /** The account that one was closed into, if it was. */
  mergedInto(accountId: string): Promise<AccountId | undefined>;
}

/** Something that belongs to an account and goes with it when it is closed into another. */
export type OnMerge = (tx: Queryable, from: AccountId, into: AccountId) => Promise<void>;

export function createAccountLinks(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  evidence: EvidenceBook;
  onMerge: readonly OnMerge[];
}): AccountLinks & {
  /** Begins a link from an account that proved a document to the one that holds it. */
  begin(
    tx: Queryable,
    waiting: { accountId: string; holder: string; index: Uint8Array; evidenceId: EvidenceId },
  ): Promise<LinkId>;
} {
  const { db, clock, audit, evidence } = parts;

  return {
    async begin(tx, { accountId, holder, index, evidenceId }) {
      const now = clock.now();
      const link = newId('lnk', now);
      await tx.query(
        `INSERT INTO account_links (id, account_id, holder_id, number_index, evidence_id, state, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7)`,
        [link, accountId, holder, index, evidenceId, now, new Date(now.getTime() + LINK_SECONDS * 1000)],
      );
      return link;
    },

    async linkedHolder(link, accountId) {
      const [row] = await db.query<{ holder_id: AccountId }>(
        `SELECT holder_id FROM account_links WHERE id = $1 AND account_id = $2 AND state = 'waiting' AND expires_at > $3`,
        [link, accountId, clock.now()],
      );
      return row?.holder_id;
    },

    link: (link, accountId, shown) =>
      db.transaction(async (tx) => {
        const over = () => new ProofingError('LINK_OVER', 'These accounts cannot be linked any more.');
        const [row] = await tx.query<{
          account_id: AccountId;
          holder_id: AccountId;
          number_index: Uint8Array;
          evidence_id: EvidenceId;
        }>(
          `UPDATE account_links SET state = 'linked'
            WHERE id = $1 AND account_id = $2 AND holder_id = $3 AND state = 'waiting' AND expires_at > $4
            RETURNING account_id, holder_id, number_index, evidence_id`,
          [link, accountId, shown, clock.now()],
        );
        if (!row) throw over();
        const { account_id: from, holder_id: into } = row;
        await lockAccounts(tx, [from, into]);
        const documents = await tx.query<{ account_id: AccountId }>(
          'SELECT account_id FROM verified_documents WHERE account_id = ANY($1) AND (account_id = $2 OR number_index = $3)',
          [[from, into], from, row.number_index],
        );
        // The document must still be the holder's, and the other account must have none of its own.
        if (documents.length !== 1 || documents[0]?.account_id !== into) throw over();
        const proof = only(
          await tx.query<EvidenceRow>(`SELECT ${EVIDENCE} FROM proofing_evidence e WHERE e.id = $1`, [
            row.evidence_id,
          ]),
        );
        // What was confirmed for the account that goes was confirmed for the person, whose account stays.
        const source: Source = toEvidence(proof);
        const evidenceId = await evidence.add(tx, into, source, {
          documentKind: proof.document_kind ?? undefined,
          level: proof.level,
          result: 'confirmed',
        });
        await tx.query(
          'UPDATE verified_documents SET evidence_id = $2, verified_at = $3 WHERE account_id = $1',
          [into, evidenceId, clock.now()],
        );
        for (const move of parts.onMerge) await move(tx, from, into);
        await tx.query('UPDATE upstream_links SET account_id = $2 WHERE account_id = $1', [from, into]);
        await tx.query('UPDATE accounts SET proofing = GREATEST(proofing, $2) WHERE id = $1', [
          into,
          proof.level,
        ]);
        await tx.query(`UPDATE accounts SET state = 'closed', proofing = 0, merged_into = $2 WHERE id = $1`, [
          from,
          into,
        ]);
        await audit.record(tx, {
          type: 'account.merged',
          actor: into,
          subject: from,
          detail: { into, evidenceId },
        });
        return { accountId: into, level: proof.level };
      }),

    async mergedInto(accountId) {
      const [row] = await db.query<{ merged_into: AccountId | null }>(
        'SELECT merged_into FROM accounts WHERE id = $1',
        [accountId],
      );
      return row?.merged_into ?? undefined;
    },
  };
}

/** Locks rows of accounts in one order, so that two who do this wait for each other instead of blocking each other. */
export async function lockAccounts(tx: Queryable, ids: readonly string[]): Promise<void> {
  const rows = await tx.query<{ id: string }>(
    `SELECT id FROM accounts WHERE id = ANY($1) AND state = 'active' ORDER BY id FOR UPDATE`,
    [ids],
  );
  if (rows.length < new Set(ids).size)
    throw new ProofingError('ACCOUNT_NOT_ACTIVE', 'The account cannot be used.');
}
