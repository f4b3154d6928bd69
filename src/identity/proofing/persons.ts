/**
 * Persons: which document an account belongs to, and the evidence for it. A document belongs to one account at a time; two accounts that
 * turn out to be one person's become one, after both were shown to be theirs.
 */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { only, type Db, type Queryable } from '../../platform/db/db.ts';
import { newId, type AccountId, type EvidenceId } from '../../platform/ids.ts';
import {
  createAccountLinks,
  lockAccounts,
  type AccountLinks,
  type LinkId,
  type OnMerge,
} from './account-links.ts';
import { readDocument, type Document, type DocumentFacts, type DocumentKind } from './documents.ts';
import { ProofingError } from './errors.ts';
import {
  counter,
  createEvidenceBook,
  EVIDENCE,
  toEvidence,
  type Evidence,
  type EvidenceRow,
  type Found,
  type Source,
} from './evidence.ts';
import { createRelations, type Relations } from './relations.ts';
import { createVerifiedDocuments } from './verified-documents.ts';

/** What was confirmed. */
export interface Proof extends Source {
  readonly document: Document;
  readonly name: string;
  readonly level: number;
}

export interface Person {
  readonly document: Document;
  readonly facts: DocumentFacts;
  readonly name: string;
  /** The newest evidence that confirmed this. */
  readonly evidence: Evidence;
}

export type Settled =
  | { readonly kind: 'proofed'; readonly level: number }
  /** Another account holds the document. The person must show that it is theirs, too. */
  | { readonly kind: 'taken'; readonly link: LinkId };

export interface Persons extends AccountLinks, Relations {
  /**
   * Who the holder of an account was found to be, while the account's level says that it is still them: whoever has recovered an account by
   * an address alone learns nothing of the person, and passes for nobody. Decrypts: only for a release, or for the person.
   */
  person(accountId: string): Promise<Person | undefined>;
  /** The active account that holds a document. */
  holder(document: Document): Promise<AccountId | undefined>;
  /** Everything that was tried for an account, newest first. */
  evidence(accountId: string): Promise<Evidence[]>;
  /**
   * Records a confirmed proof. Of any number of accounts that prove one document at once, one holds it and the others get a link to it.
   * @param first Done before, in the same transaction.
   * @throws {ProofingError} DOCUMENT_DIFFERS, ACCOUNT_NOT_ACTIVE
   */
  settle(accountId: string, proof: Proof, first?: (tx: Queryable) => Promise<void>): Promise<Settled>;
  /** `settle` in the transaction of something else; `audit.record` is called last in it. */
  settleIn(tx: Queryable, accountId: string, proof: Proof): Promise<Settled>;
  /** Records a proofing that confirmed nothing. @param first Done before, in the same transaction. */
  recordFailure(
    accountId: string,
    source: Source & { documentKind: DocumentKind },
    result: 'refused' | 'unavailable',
    first?: (tx: Queryable) => Promise<void>,
  ): Promise<void>;
  /**
   * Records what an operator says of how sure it is who the holder is: 0 nothing checked, 4 in person.
   * @param attested.method How it was checked.
   */
  attest(accountId: string, attested: { level: number; method: string }, actor: string): Promise<void>;
  /** @throws {ProofingError} DOCUMENT_DIFFERS: the account holds another document already. */
  checkDocument(accountId: string, document: Document): Promise<void>;
  /** The account that holds a document, in any state. It and the document are locked until the transaction ends. */
  lockHolder(tx: Queryable, document: Document): Promise<AccountId | undefined>;
  /**
   * Ends what an account's document proves: it falls to the level that needs none. For operators and registers.
   * @param options.keep Whether the account goes on to hold the document, so that nobody else can be proofed with it.
   */
  withdraw(
    tx: Queryable,
    accountId: string,
    source: Source,
    options: { readonly result: 'withdrawn' | 'conflict'; readonly keep: boolean },
  ): Promise<EvidenceId>;
  /** Takes the document away from an account, as an operator decides who has seen its person. */
  release(accountId: string, actor: string): Promise<void>;
  /** Gives the document of an account another name or number, as its register says. @returns false: another account holds the number. */
  amend(
    tx: Queryable,
    accountId: string,
    change: { document?: Document; name?: string },
    source: Source,
  ): Promise<boolean>;
  /** Removes who the holder was. The evidence stays; it names nobody. */
  forget(tx: Queryable, accountId: string): Promise<void>;
}

/** What an account falls to whose document is taken away. */
const WITHOUT_DOCUMENT = 1;

export function createPersons(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  /** What else belongs to an account and goes with it when it is closed into another. */
  onMerge: readonly OnMerge[];
}): Persons {
  const { db, clock, audit } = parts;
  const book = createEvidenceBook(parts);
  const documents = createVerifiedDocuments(parts);
  const links = createAccountLinks({ ...parts, evidence: book });

  const withdraw: Persons['withdraw'] = async (tx, accountId, source, { result, keep }) => {
    const [row] = await tx.query<{ kind: DocumentKind }>(
      'SELECT kind FROM verified_documents WHERE account_id = $1 FOR UPDATE',
      [accountId],
    );
    if (!keep) await tx.query('DELETE FROM verified_documents WHERE account_id = $1', [accountId]);
    await book.supersede(tx, accountId);
    const id = await book.add(tx, accountId, source, { documentKind: row?.kind, level: 0, result });
    await tx.query('UPDATE accounts SET proofing = LEAST(proofing, $2) WHERE id = $1', [
      accountId,
      WITHOUT_DOCUMENT,
    ]);
    return id;
  };

  async function settleIn(tx: Queryable, accountId: string, proof: Proof): Promise<Settled> {
    const now = clock.now();
    const { document, level } = proof;
    // Of parallel writers of one number one passes; the others wait for it, and then find whose it is.
    const holder = (await documents.holder(tx, document)) ?? accountId;
    await lockAccounts(tx, [accountId]);
    const own = await documents.indexOf(tx, accountId);
    if (own && !documents.isAmong(own, document)) throw differs();
    const mine = holder === accountId;
    const evidenceId = newId('prf', now);
    if (mine) await documents.put(tx, accountId, proof, { id: evidenceId, at: now });
    const found: Found = { documentKind: document.kind, level, result: mine ? 'confirmed' : 'taken' };
    await book.add(tx, accountId, proof, found, evidenceId);
    if (mine) {
      const row = only(
        await tx.query<{ proofing: number }>(
          'UPDATE accounts SET proofing = GREATEST(proofing, $2) WHERE id = $1 RETURNING proofing',
          [accountId, level],
        ),
      );
      await book.record(tx, accountId, proof, evidenceId, found);
      return { kind: 'proofed', level: row.proofing };
    }
    const link = await links.begin(tx, {
      accountId,
      holder,
      index: documents.currentIndex(document),
      evidenceId,
    });
    await book.record(tx, accountId, proof, evidenceId, found);
    return { kind: 'taken', link };
  }

  return {
    linkedHolder: links.linkedHolder,
    link: links.link,
    mergedInto: links.mergedInto,
    ...createRelations(parts),

    async person(accountId) {
      const [row] = await db.query<
        EvidenceRow & { kind: DocumentKind; record: Uint8Array; verified_at: Date }
      >(
        `SELECT d.kind, d.record, d.verified_at, ${EVIDENCE}
           FROM verified_documents d JOIN proofing_evidence e ON e.id = d.evidence_id
           JOIN accounts a ON a.id = d.account_id AND a.proofing > $2
          WHERE d.account_id = $1`,
        [accountId, WITHOUT_DOCUMENT],
      );
      if (!row) return undefined;
      const { document, name } = documents.open(accountId, row);
      // What was verified once is read as of then: a date of birth does not come to lie in the future.
      const reading = readDocument(document, row.verified_at);
      return {
        document,
        name,
        facts: 'facts' in reading ? reading.facts : {},
        evidence: toEvidence(row),
      };
    },

    async holder(document) {
      const [row] = await db.query<{ account_id: AccountId }>(
        `SELECT d.account_id FROM verified_documents d JOIN accounts a ON a.id = d.account_id AND a.state = 'active'
          WHERE d.number_index = ANY($1)`,
        [documents.indexesOf(document)],
      );
      return row?.account_id;
    },

    async evidence(accountId) {
      const rows = await db.query<EvidenceRow>(
        `SELECT ${EVIDENCE} FROM proofing_evidence e WHERE e.account_id = $1 ORDER BY e.sequence DESC`,
        [accountId],
      );
      return rows.map(toEvidence);
    },

    settle: (accountId, proof, first) =>
      db.transaction(async (tx) => {
        await first?.(tx);
        return settleIn(tx, accountId, proof);
      }),
    settleIn,

    async recordFailure(accountId, source, result, first) {
      const found = { documentKind: source.documentKind, level: 0, result };
      await db.transaction(async (tx) => {
        await first?.(tx);
        const id = await book.add(tx, accountId, source, found);
        await book.record(tx, accountId, source, id, found);
      });
    },

    async attest(accountId, { level, method }, actor) {
      const source = counter(actor, method);
      await db.transaction(async (tx) => {
        await tx.query('UPDATE accounts SET proofing = $2 WHERE id = $1', [accountId, level]);
        await book.add(tx, accountId, source, { documentKind: undefined, level, result: 'confirmed' });
        await audit.record(tx, {
          type: 'account.proofed',
          actor,
          subject: accountId,
          detail: { level, method },
        });
      });
    },

    async checkDocument(accountId, document) {
      const index = await documents.indexOf(db, accountId);
      if (index && !documents.isAmong(index, document)) throw differs();
    },

    async lockHolder(tx, document) {
      const holder = await documents.holder(tx, document);
      if (holder !== undefined) await tx.query('SELECT id FROM accounts WHERE id = $1 FOR UPDATE', [holder]);
      return holder;
    },

    withdraw,

    async release(accountId, actor) {
      const source = counter(actor, 'release');
      await db.transaction(async (tx) => {
        await tx.query('SELECT id FROM accounts WHERE id = $1 FOR UPDATE', [accountId]);
        const id = await withdraw(tx, accountId, source, { result: 'withdrawn', keep: false });
        await book.record(tx, accountId, source, id, {
          documentKind: undefined,
          level: 0,
          result: 'withdrawn',
        });
      });
    },

    async amend(tx, accountId, change, source) {
      const before = await documents.lock(tx, accountId);
      if (!before) return false;
      const document = change.document ?? before.document;
      const name = change.name ?? before.name;
      const holder = await documents.holder(tx, document);
      if (holder !== undefined && holder !== accountId) return false;
      const { proofing } = only(
        await tx.query<{ proofing: number }>('SELECT proofing FROM accounts WHERE id = $1', [accountId]),
      );
      await book.supersede(tx, accountId);
      const found = { documentKind: document.kind, level: proofing, result: 'confirmed' } as const;
      const evidenceId = await book.add(tx, accountId, source, found);
      await documents.put(tx, accountId, { document, name }, { id: evidenceId, at: clock.now() });
      return true;
    },

    async forget(tx, accountId) {
      await book.supersede(tx, accountId);
      await tx.query('DELETE FROM verified_documents WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM proofing_attempts WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM upstream_links WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM account_addresses WHERE account_id = $1', [accountId]);
    },
  };
}

function differs(): ProofingError {
  return new ProofingError('DOCUMENT_DIFFERS', 'The account was proofed with another document.');
}
