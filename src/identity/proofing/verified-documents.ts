/** Verified documents: which document an account holds, encrypted, found by blind index. A document is held by one account at a time. */
import { createBlindIndex, createCipher } from '../../platform/cipher.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Queryable } from '../../platform/db/db.ts';
import type { AccountId, EvidenceId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import { documentKey, type Document, type DocumentKind } from './documents.ts';

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

/** A document with the name that stands in it. */
export interface Holding {
  readonly document: Document;
  readonly name: string;
}

export interface VerifiedDocuments {
  /** Where a document may lie: its indexes under every data key that is known. */
  indexesOf(document: Document): Uint8Array[];
  /** The index under which it is written now. */
  currentIndex(document: Document): Uint8Array;
  /** Whether `index` is one of the document's. */
  isAmong(index: Uint8Array, document: Document): boolean;
  /** The index under which an account's document lies. */
  indexOf(on: Queryable, accountId: string): Promise<Uint8Array | undefined>;
  /** Who holds a document, in any state. Nobody else comes to hold it until the transaction ends. */
  holder(tx: Queryable, document: Document): Promise<AccountId | undefined>;
  /** What an account holds; its row is locked until the transaction ends. */
  lock(tx: Queryable, accountId: string): Promise<Holding | undefined>;
  /** Gives an account a document, in place of any. The caller has made sure that nobody else holds it. */
  put(
    tx: Queryable,
    accountId: string,
    holding: Holding,
    evidence: { readonly id: EvidenceId; readonly at: Date },
  ): Promise<void>;
  /** The document of a row that was read. */
  open(accountId: string, row: { kind: DocumentKind; record: Uint8Array }): Holding;
}

export function createVerifiedDocuments({ dataKeys }: { dataKeys: DataKeys }): VerifiedDocuments {
  const blindIndex = createBlindIndex(dataKeys, VERIFIED_DOCUMENTS.indexes.number_index.purpose);
  const cipher = createCipher(dataKeys, VERIFIED_DOCUMENTS.values.record.purpose);
  const indexesOf = (document: Document) => blindIndex.all(documentKey(document));

  function seal(accountId: string, { document, name }: Holding): Uint8Array {
    const { number, issuingCountry } = document;
    const record: StoredRecord = {
      number,
      name,
      ...(issuingCountry === undefined ? {} : { issuingCountry }),
    };
    return cipher.encrypt(Buffer.from(JSON.stringify(record)), accountId);
  }

  function open(accountId: string, row: { kind: DocumentKind; record: Uint8Array }): Holding {
    const text = Buffer.from(cipher.decrypt(row.record, accountId)).toString('utf8');
    const { name, ...rest } = JSON.parse(text) as StoredRecord;
    return { document: { kind: row.kind, ...rest }, name };
  }

  const currentIndex = (document: Document) => blindIndex.current(documentKey(document));

  return {
    indexesOf,
    currentIndex,
    open,
    isAmong: (index, document) => indexesOf(document).some((each) => Buffer.from(index).equals(each)),

    async indexOf(on, accountId) {
      const [row] = await on.query<{ number_index: Uint8Array }>(
        'SELECT number_index FROM verified_documents WHERE account_id = $1',
        [accountId],
      );
      return row?.number_index;
    },

    async holder(tx, document) {
      await blindIndex.lock(tx, documentKey(document));
      const [row] = await tx.query<{ account_id: AccountId }>(
        'SELECT account_id FROM verified_documents WHERE number_index = ANY($1)',
        [indexesOf(document)],
      );
      return row?.account_id;
    },

    async lock(tx, accountId) {
      const [row] = await tx.query<{ kind: DocumentKind; record: Uint8Array }>(
        'SELECT kind, record FROM verified_documents WHERE account_id = $1 FOR UPDATE',
        [accountId],
      );
      return row && open(accountId, row);
    },

    async put(tx, accountId, holding, { id, at }) {
      const { document } = holding;
      await tx.query(
        `INSERT INTO verified_documents (account_id, number_index, kind, record, evidence_id, verified_at)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (account_id) DO UPDATE SET number_index = $2, kind = $3, record = $4, evidence_id = $5, verified_at = $6`,
        [accountId, currentIndex(document), document.kind, seal(accountId, holding), id, at],
      );
    },
  };
}
