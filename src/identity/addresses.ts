/** Where people say that they live: for portals that ask for it, in their own words. Nobody has checked it. */
import { createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db } from '../platform/db/db.ts';
import type { EncryptedTable } from '../rotation/index.ts';

/** OpenID Connect Core 1.0, section 5.1.1. */
export interface PostalAddress {
  readonly country?: string;
  readonly region?: string;
  readonly locality?: string;
  readonly street_address?: string;
  readonly postal_code?: string;
}

export interface Addresses {
  /** The address of an account, if its person gave one. Decrypts. */
  of(accountId: string): Promise<PostalAddress | undefined>;
  /** Keeps an address; an empty one is forgotten. Every part has at most 200 letters; longer ones are cut. */
  set(accountId: string, address: PostalAddress): Promise<void>;
}

const PARTS = ['country', 'region', 'locality', 'street_address', 'postal_code'] as const;
const PART_MAX_LENGTH = 200;

export const ACCOUNT_ADDRESSES = {
  table: 'account_addresses',
  key: { account_id: 'text' },
  values: { value: { purpose: 'field/account-address', context: (row) => row['account_id'] } },
} as const satisfies EncryptedTable;

export function createAddresses(parts: { db: Db; clock: Clock; dataKeys: DataKeys }): Addresses {
  const { db, clock } = parts;
  const cipher = createCipher(parts.dataKeys, ACCOUNT_ADDRESSES.values.value.purpose);
  return {
    async of(accountId) {
      const [row] = await db.query<{ value: Uint8Array }>(
        'SELECT value FROM account_addresses WHERE account_id = $1',
        [accountId],
      );
      if (!row) return undefined;
      return JSON.parse(Buffer.from(cipher.decrypt(row.value, accountId)).toString('utf8')) as PostalAddress;
    },

    async set(accountId, address) {
      const kept = Object.fromEntries(
        PARTS.map((part) => [part, address[part]?.normalize('NFKC').trim().slice(0, PART_MAX_LENGTH)]).filter(
          ([, value]) => value !== undefined && value !== '',
        ),
      );
      if (Object.keys(kept).length === 0) {
        await db.query('DELETE FROM account_addresses WHERE account_id = $1', [accountId]);
        return;
      }
      await db.query(
        `INSERT INTO account_addresses (account_id, value, updated_at) VALUES ($1, $2, $3)
           ON CONFLICT (account_id) DO UPDATE SET value = $2, updated_at = $3`,
        [accountId, cipher.encrypt(Buffer.from(JSON.stringify(kept)), accountId), clock.now()],
      );
    },
  };
}

/** The address as it is written on a letter (OpenID Connect Core 1.0, section 5.1.1, `formatted`). */
export function formatted(address: PostalAddress): string {
  const { street_address: street, locality, region, postal_code: code, country } = address;
  return [street, [code, locality].filter(Boolean).join(' '), region, country].filter(Boolean).join('\n');
}
