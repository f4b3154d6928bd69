/**
 * Persons: which document an account belongs to, and the evidence for it. A document belongs to one account at a time; two accounts that
 * turn out to be one person's become one, after both were shown to be theirs.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { AuditLog } from '../../audit/index.ts';
import { createBlindIndex, createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { only, type Db, type Queryable } from '../../platform/db/db.ts';
import { newId, type AccountId, type EvidenceId, type Id } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import {
  documentKey,
  readDocument,
  type Document,
  type DocumentFacts,
  type DocumentKind,
} from './documents.ts';
import { ProofingError } from './errors.ts';

export type LinkId = Id<'lnk'>;

/** How it was found out who someone is. */
export type ProofingMethod = 'comparison' | 'live-check' | 'upstream' | 'counter' | 'register-event';

export interface Evidence {
  readonly id: EvidenceId;
  readonly authority: string;
  readonly trustFramework: string;
  /** Whether the authority's people are invented. */
  readonly fictional: boolean;
  readonly method: ProofingMethod;
  readonly documentKind: DocumentKind | undefined;
  readonly level: number;
  readonly result: 'confirmed' | 'refused' | 'unavailable' | 'taken' | 'conflict' | 'withdrawn';
  /** The authority's own name for it. */
  readonly reference: string | undefined;
  readonly at: Date;
  readonly supersededAt: Date | undefined;
}

/** Who asked whom, and how. */
export interface Source {
  readonly authority: string;
  readonly trustFramework: string;
  readonly fictional: boolean;
  readonly method: ProofingMethod;
  readonly reference?: string | undefined;
}

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

export interface Persons {
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
  /** The account that a link leads to, if it still waits for this account. */
  linkedHolder(link: string, accountId: string): Promise<AccountId | undefined>;
  /**
   * Makes two accounts one: the one that holds the document stays, the other is closed into it.
   * @param shown The account that the person has shown to be theirs, too.
   * @returns the account that stays, and the level that was confirmed for it.
   * @throws {ProofingError} LINK_OVER: done, expired, another account than the one that holds the document, or it changed meanwhile.
   */
  link(link: string, accountId: string, shown: string): Promise<{ accountId: AccountId; level: number }>;
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
  /** The account that one was closed into, if it was. */
  mergedInto(accountId: string): Promise<AccountId | undefined>;
  /** Removes who the holder was. The evidence stays; it names nobody. */
  forget(tx: Queryable, accountId: string): Promise<void>;
  /**
   * A number for a document that portals of one sector see in place of its own: the same for the same document, whatever account holds it;
   * different in every sector. 32 bytes, base64url.
   */
  relationHash(document: Document, sector: string): Promise<string>;
}

/** How long both accounts of a person can be shown to be theirs. */
const LINK_SECONDS = 1800;
/** What an account falls to whose document is taken away. */
const WITHOUT_DOCUMENT = 1;

interface EvidenceRow {
  id: EvidenceId;
  authority: string;
  trust_framework: string;
  fictional: boolean;
  method: ProofingMethod;
  document_kind: DocumentKind | null;
  level: number;
  result: Evidence['result'];
  reference: string | null;
  at: Date;
  superseded_at: Date | null;
}
const EVIDENCE =
  'e.id, e.authority, e.trust_framework, e.fictional, e.method, e.document_kind, e.level, e.result, e.reference, e.at, e.superseded_at';

/** What came of asking. */
interface Found {
  readonly documentKind: DocumentKind | undefined;
  readonly level: number;
  readonly result: Evidence['result'];
}

interface StoredRecord {
  readonly number: string;
  readonly issuingCountry?: string;
  readonly name: string;
}

/** How documents lie in the database. */
export const VERIFIED_DOCUMENTS = {
  table: 'verified_documents',
  key: { account_id: 'text' },
  reads: ['kind'],
  values: { record: { purpose: 'field/verified-document', context: (row) => row['account_id'] } },
  indexes: {
    number_index: {
      purpose: 'verified-document',
      of: ({ kind }, { record = '' }) =>
        // eslint-disable-next-line typescript/no-unsafe-type-assertion -- kinds are written by this room
        documentKey({ kind: kind as DocumentKind, ...(JSON.parse(record) as StoredRecord) }),
    },
  },
} as const satisfies EncryptedTable;

/** How the key of relations lies in the database. */
export const RELATION_KEYS = {
  table: 'relation_keys',
  key: { singleton: 'boolean' },
  values: { key: { purpose: VERIFIED_DOCUMENTS.values.record.purpose, context: () => 'relation-key' } },
} as const satisfies EncryptedTable;

export function createPersons(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  /** What else belongs to an account and goes with it when it is closed into another. */
  onMerge: readonly ((tx: Queryable, from: AccountId, into: AccountId) => Promise<void>)[];
}): Persons {
  const { db, clock, audit } = parts;
  const blindIndex = createBlindIndex(parts.dataKeys, VERIFIED_DOCUMENTS.indexes.number_index.purpose);
  const cipher = createCipher(parts.dataKeys, VERIFIED_DOCUMENTS.values.record.purpose);
  let relationKey: Promise<Uint8Array> | undefined;
  /** Where a document may lie. */
  const indexesOf = (document: Document) => blindIndex.all(documentKey(document));

  function seal(accountId: string, document: Document, name: string): Uint8Array {
    const { number, issuingCountry } = document;
    const record: StoredRecord = {
      number,
      name,
      ...(issuingCountry === undefined ? {} : { issuingCountry }),
    };
    return cipher.encrypt(Buffer.from(JSON.stringify(record)), accountId);
  }

  function open(
    accountId: string,
    row: { kind: DocumentKind; record: Uint8Array },
  ): { document: Document; name: string } {
    const text = Buffer.from(cipher.decrypt(row.record, accountId)).toString('utf8');
    const { name, ...rest } = JSON.parse(text) as StoredRecord;
    return { document: { kind: row.kind, ...rest }, name };
  }

  async function addEvidence(
    tx: Queryable,
    accountId: string,
    source: Source,
    found: Found,
    id: EvidenceId = newId('prf', clock.now()),
  ): Promise<EvidenceId> {
    await tx.query(
      `INSERT INTO proofing_evidence (id, account_id, authority, trust_framework, fictional, method, document_kind, level, result, reference, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        id,
        accountId,
        source.authority,
        source.trustFramework,
        source.fictional,
        source.method,
        found.documentKind ?? null,
        found.level,
        found.result,
        source.reference ?? null,
        clock.now(),
      ],
    );
    return id;
  }

  function recorded(
    tx: Queryable,
    accountId: string,
    source: Source,
    evidenceId: EvidenceId,
    found: Found,
  ): Promise<unknown> {
    return audit.record(tx, {
      type: 'proofing.recorded',
      actor: source.method === 'register-event' || source.method === 'counter' ? source.authority : accountId,
      subject: accountId,
      detail: {
        evidenceId,
        authority: source.authority,
        method: source.method,
        level: found.level,
        result: found.result,
        documentKind: found.documentKind ?? null,
      },
    });
  }

  /** Locks rows of accounts in one order, so that two who do this wait for each other instead of blocking each other. */
  async function lock(tx: Queryable, ids: readonly string[]): Promise<void> {
    const rows = await tx.query<{ id: string }>(
      `SELECT id FROM accounts WHERE id = ANY($1) AND state = 'active' ORDER BY id FOR UPDATE`,
      [ids],
    );
    if (rows.length < new Set(ids).size)
      throw new ProofingError('ACCOUNT_NOT_ACTIVE', 'The account cannot be used.');
  }

  /** The index under which an account's document lies. */
  async function indexOf(on: Queryable, accountId: string): Promise<Uint8Array | undefined> {
    const [row] = await on.query<{ number_index: Uint8Array }>(
      'SELECT number_index FROM verified_documents WHERE account_id = $1',
      [accountId],
    );
    return row?.number_index;
  }

  function isAmong(index: Uint8Array, document: Document): boolean {
    return indexesOf(document).some((each) => Buffer.from(index).equals(each));
  }

  /** Who holds a document, in any state. Nobody else comes to hold it until the transaction ends. */
  async function holderIn(tx: Queryable, document: Document): Promise<AccountId | undefined> {
    await blindIndex.lock(tx, documentKey(document));
    const [row] = await tx.query<{ account_id: AccountId }>(
      'SELECT account_id FROM verified_documents WHERE number_index = ANY($1)',
      [indexesOf(document)],
    );
    return row?.account_id;
  }

  async function supersede(tx: Queryable, accountId: string): Promise<void> {
    await tx.query(
      `UPDATE proofing_evidence SET superseded_at = $2
        WHERE account_id = $1 AND result = 'confirmed' AND superseded_at IS NULL`,
      [accountId, clock.now()],
    );
  }

  const withdraw: Persons['withdraw'] = async (tx, accountId, source, { result, keep }) => {
    const [row] = await tx.query<{ kind: DocumentKind }>(
      'SELECT kind FROM verified_documents WHERE account_id = $1 FOR UPDATE',
      [accountId],
    );
    if (!keep) await tx.query('DELETE FROM verified_documents WHERE account_id = $1', [accountId]);
    await supersede(tx, accountId);
    const id = await addEvidence(tx, accountId, source, { documentKind: row?.kind, level: 0, result });
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
    const holder = (await holderIn(tx, document)) ?? accountId;
    await lock(tx, [accountId]);
    const own = await indexOf(tx, accountId);
    if (own && !isAmong(own, document)) throw differs();
    const mine = holder === accountId;
    const evidenceId = newId('prf', now);
    const index = blindIndex.current(documentKey(document));
    if (mine)
      await tx.query(
        `INSERT INTO verified_documents (account_id, number_index, kind, record, evidence_id, verified_at)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (account_id) DO UPDATE SET number_index = $2, record = $4, evidence_id = $5, verified_at = $6`,
        [accountId, index, document.kind, seal(accountId, document, proof.name), evidenceId, now],
      );
    const found: Found = { documentKind: document.kind, level, result: mine ? 'confirmed' : 'taken' };
    await addEvidence(tx, accountId, proof, found, evidenceId);
    if (mine) {
      const row = only(
        await tx.query<{ proofing: number }>(
          'UPDATE accounts SET proofing = GREATEST(proofing, $2) WHERE id = $1 RETURNING proofing',
          [accountId, level],
        ),
      );
      await recorded(tx, accountId, proof, evidenceId, found);
      return { kind: 'proofed', level: row.proofing };
    }
    const link = newId('lnk', now);
    await tx.query(
      `INSERT INTO account_links (id, account_id, holder_id, number_index, evidence_id, state, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7)`,
      [link, accountId, holder, index, evidenceId, now, new Date(now.getTime() + LINK_SECONDS * 1000)],
    );
    await recorded(tx, accountId, proof, evidenceId, found);
    return { kind: 'taken', link };
  }

  return {
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
      const { document, name } = open(accountId, row);
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
        [indexesOf(document)],
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
        const id = await addEvidence(tx, accountId, source, found);
        await recorded(tx, accountId, source, id, found);
      });
    },

    async attest(accountId, { level, method }, actor) {
      const source = counter(actor, method);
      await db.transaction(async (tx) => {
        await tx.query('UPDATE accounts SET proofing = $2 WHERE id = $1', [accountId, level]);
        await addEvidence(tx, accountId, source, { documentKind: undefined, level, result: 'confirmed' });
        await audit.record(tx, {
          type: 'account.proofed',
          actor,
          subject: accountId,
          detail: { level, method },
        });
      });
    },

    async checkDocument(accountId, document) {
      const index = await indexOf(db, accountId);
      if (index && !isAmong(index, document)) throw differs();
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
        await lock(tx, [from, into]);
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
        const evidenceId = await addEvidence(tx, into, source, {
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

    async lockHolder(tx, document) {
      const holder = await holderIn(tx, document);
      if (holder !== undefined) await tx.query('SELECT id FROM accounts WHERE id = $1 FOR UPDATE', [holder]);
      return holder;
    },

    withdraw,

    async release(accountId, actor) {
      const source = counter(actor, 'release');
      await db.transaction(async (tx) => {
        await tx.query('SELECT id FROM accounts WHERE id = $1 FOR UPDATE', [accountId]);
        const id = await withdraw(tx, accountId, source, { result: 'withdrawn', keep: false });
        await recorded(tx, accountId, source, id, {
          documentKind: undefined,
          level: 0,
          result: 'withdrawn',
        });
      });
    },

    async amend(tx, accountId, change, source) {
      const [row] = await tx.query<{ kind: DocumentKind; record: Uint8Array }>(
        'SELECT kind, record FROM verified_documents WHERE account_id = $1 FOR UPDATE',
        [accountId],
      );
      if (!row) return false;
      const before = open(accountId, row);
      const document = change.document ?? before.document;
      const name = change.name ?? before.name;
      const holder = await holderIn(tx, document);
      if (holder !== undefined && holder !== accountId) return false;
      const { proofing } = only(
        await tx.query<{ proofing: number }>('SELECT proofing FROM accounts WHERE id = $1', [accountId]),
      );
      await supersede(tx, accountId);
      const found = { documentKind: document.kind, level: proofing, result: 'confirmed' } as const;
      const evidenceId = await addEvidence(tx, accountId, source, found);
      await tx.query(
        `UPDATE verified_documents SET number_index = $2, kind = $3, record = $4, evidence_id = $5, verified_at = $6
          WHERE account_id = $1`,
        [
          accountId,
          blindIndex.current(documentKey(document)),
          document.kind,
          seal(accountId, document, name),
          evidenceId,
          clock.now(),
        ],
      );
      return true;
    },

    async mergedInto(accountId) {
      const [row] = await db.query<{ merged_into: AccountId | null }>(
        'SELECT merged_into FROM accounts WHERE id = $1',
        [accountId],
      );
      return row?.merged_into ?? undefined;
    },

    async forget(tx, accountId) {
      await supersede(tx, accountId);
      await tx.query('DELETE FROM verified_documents WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM proofing_attempts WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM upstream_links WHERE account_id = $1', [accountId]);
      await tx.query('DELETE FROM account_addresses WHERE account_id = $1', [accountId]);
    },

    async relationHash(document, sector) {
      relationKey ??= loadRelationKey();
      relationKey.catch(() => (relationKey = undefined));
      return createHmac('sha256', await relationKey)
        .update(JSON.stringify([sector, documentKey(document)]))
        .digest('base64url');
    },
  };

  /** The one key for ever: portals keep what it makes, so it outlives every data key. */
  async function loadRelationKey(): Promise<Uint8Array> {
    const row = only(
      await db.query<{ key: Uint8Array }>(
        `INSERT INTO relation_keys (key) VALUES ($1) ON CONFLICT (singleton) DO UPDATE SET key = relation_keys.key RETURNING key`,
        [cipher.encrypt(randomBytes(32), RELATION_KEYS.values.key.context())],
      ),
    );
    return cipher.decrypt(row.key, RELATION_KEYS.values.key.context());
  }
}

/** What an operator has seen. @param reference In a word, how. */
function counter(actor: string, reference: string): Source {
  return {
    authority: actor,
    trustFramework: 'urn:yinxin:trust-framework:counter',
    fictional: false,
    method: 'counter',
    reference,
  };
}

function differs(): ProofingError {
  return new ProofingError('DOCUMENT_DIFFERS', 'The account was proofed with another document.');
}

function toEvidence(row: EvidenceRow): Evidence {
  return {
    id: row.id,
    authority: row.authority,
    trustFramework: row.trust_framework,
    fictional: row.fictional,
    method: row.method,
    documentKind: row.document_kind ?? undefined,
    level: row.level,
    result: row.result,
    reference: row.reference ?? undefined,
    at: row.at,
    supersededAt: row.superseded_at ?? undefined,
  };
}
