/** Relations: what portals see in place of a document's number, so that they know it again and learn nothing of it. */
import { createHmac, randomBytes } from 'node:crypto';
import { createCipher } from '../../platform/cipher.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { only, type Db } from '../../platform/db/db.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import { documentKey, type Document } from './documents.ts';
import { VERIFIED_DOCUMENTS } from './verified-documents.ts';

/** How the key of relations lies in the database. */
export const RELATION_KEYS = {
  table: 'relation_keys',
  key: { singleton: 'boolean' },
  values: { key: { purpose: VERIFIED_DOCUMENTS.values.record.purpose, context: () => 'relation-key' } },
} as const satisfies EncryptedTable;

export interface Relations {
  /**
   * A number for a document that portals of one sector see in place of its own: the same for the same document, whatever account holds it;
   * different in every sector. 32 bytes, base64url.
   */
  relationHash(document: Document, sector: string): Promise<string>;
}

export function createRelations({ db, dataKeys }: { db: Db; dataKeys: DataKeys }): Relations {
  const cipher = createCipher(dataKeys, RELATION_KEYS.values.key.purpose);
  let relationKey: Promise<Uint8Array> | undefined;

  return {
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
