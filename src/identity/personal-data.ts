/**
 * What this room holds of a person: told to them in clear terms, and removed beyond return when they close the account. Every table of the
 * room that names an account is either here or in what is kept, which holds ids and closed words alone.
 */
import type { AuditLog } from '../audit/index.ts';
import { createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import type { AccountId } from '../platform/ids.ts';
import { IDENTIFIERS } from './accounts.ts';
import type { Addresses, PostalAddress } from './addresses.ts';
import type { Passkey, Passkeys } from './credentials/passkeys.ts';
import type { IdentifierKind } from './identifiers.ts';
import type { Notices } from './notices.ts';
import type { Evidence } from './proofing/evidence.ts';
import type { Person, Persons } from './proofing/persons.ts';
import type { Devices, KnownDevice } from './protection/devices.ts';

/** Removed when an account is closed. */
const ERASED = [
  'account_identifiers',
  'password_credentials',
  'password_history',
  'totp_credentials',
  'passkeys',
  'recovery_codes',
  'known_devices',
  'known_networks',
  'cross_device_requests',
  'proofing_attempts',
  'account_links',
  'upstream_links',
  'account_addresses',
  'recoveries',
] as const;

/** The room's part of what a person is told of themselves. Secrets and what could be used to guess them are left out. */
export interface HeldData {
  readonly account: {
    readonly id: string;
    readonly openedAt: Date;
    readonly proofing: number;
    /** In which they are told what happens. */
    readonly language: string | undefined;
  };
  readonly identifiers: readonly {
    readonly kind: IdentifierKind;
    readonly value: string;
    readonly since: Date;
    readonly verifiedAt: Date | undefined;
  }[];
  readonly credentials: {
    readonly password: { readonly since: Date } | undefined;
    readonly authenticatorApp: { readonly since: Date } | undefined;
    readonly recoveryCodes: { readonly since: Date; readonly left: number } | undefined;
    readonly passkeys: readonly Passkey[];
    readonly upstream: readonly { readonly issuer: string; readonly since: Date }[];
  };
  readonly devices: readonly KnownDevice[];
  readonly person: Person | undefined;
  readonly evidence: readonly Evidence[];
  readonly address: PostalAddress | undefined;
}

export interface PersonalData {
  /** Everything that the room holds of an active account. Decrypts: for the person alone. */
  of(accountId: AccountId): Promise<HeldData | undefined>;
  /** Records that its person was given everything, and tells them. */
  exported(accountId: AccountId): Promise<void>;
  /**
   * Closes an account for good, in one transaction with what the other rooms remove. Of any number who close it at once one does.
   * @returns whether it was open until now.
   */
  close(accountId: AccountId): Promise<boolean>;
}

export function createPersonalData(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  notices: Notices;
  dataKeys: DataKeys;
  persons: Persons;
  passkeys: Passkeys;
  devices: Devices;
  addresses: Addresses;
  /** What other rooms hold of a person, and remove. */
  onClose: readonly ((tx: Queryable, accountId: AccountId) => Promise<void>)[];
}): PersonalData {
  const { db, audit, persons } = parts;
  const cipher = createCipher(parts.dataKeys, IDENTIFIERS.values.value.purpose);

  return {
    async of(accountId) {
      const [account] = await db.query<{
        created_at: Date;
        proofing: number;
        language: string | null;
        password: Date | null;
        app: Date | null;
        codes: Date | null;
        codes_left: number;
      }>(
        `SELECT a.created_at, a.proofing, a.language,
            (SELECT created_at FROM password_credentials WHERE account_id = a.id) AS password,
            (SELECT created_at FROM totp_credentials WHERE account_id = a.id) AS app,
            (SELECT min(created_at) FROM recovery_codes WHERE account_id = a.id) AS codes,
            (SELECT count(*) FROM recovery_codes WHERE account_id = a.id AND used_at IS NULL) AS codes_left
           FROM accounts a WHERE a.id = $1 AND a.state = 'active'`,
        [accountId],
      );
      if (!account) return undefined;
      const [identifiers, upstream, passkeys, devices, person, evidence, address] = await Promise.all([
        db.query<{ kind: IdentifierKind; value: Uint8Array; created_at: Date; verified_at: Date | null }>(
          'SELECT kind, value, created_at, verified_at FROM account_identifiers WHERE account_id = $1 ORDER BY kind',
          [accountId],
        ),
        db.query<{ issuer: string; created_at: Date }>(
          'SELECT issuer, created_at FROM upstream_links WHERE account_id = $1 ORDER BY issuer',
          [accountId],
        ),
        parts.passkeys.list(accountId),
        parts.devices.list(accountId, undefined),
        persons.person(accountId),
        persons.evidence(accountId),
        parts.addresses.of(accountId),
      ]);
      return {
        account: {
          id: accountId,
          openedAt: account.created_at,
          proofing: account.proofing,
          language: account.language ?? undefined,
        },
        identifiers: identifiers.map(({ kind, value, created_at: since, verified_at: verifiedAt }) => ({
          kind,
          value: Buffer.from(cipher.decrypt(value, accountId)).toString('utf8'),
          since,
          verifiedAt: verifiedAt ?? undefined,
        })),
        credentials: {
          password: account.password === null ? undefined : { since: account.password },
          authenticatorApp: account.app === null ? undefined : { since: account.app },
          recoveryCodes:
            account.codes === null ? undefined : { since: account.codes, left: account.codes_left },
          passkeys,
          upstream: upstream.map(({ issuer, created_at: since }) => ({ issuer, since })),
        },
        devices,
        person,
        evidence,
        address,
      };
    },

    async exported(accountId) {
      await db.transaction((tx) =>
        audit.record(tx, { type: 'account.exported', actor: accountId, subject: accountId, detail: {} }),
      );
    },

    close: (accountId) =>
      db.transaction(async (tx) => {
        const [closed] = await tx.query(
          `UPDATE accounts SET state = 'closed', proofing = 0, user_handle = NULL, language = NULL
            WHERE id = $1 AND state = 'active' RETURNING id`,
          [accountId],
        );
        if (!closed) return false;
        // While there is still somewhere to tell it.
        await parts.notices.tell(tx, accountId, 'accountClosed');
        await persons.forget(tx, accountId);
        for (const table of ERASED) await tx.query(`DELETE FROM ${table} WHERE account_id = $1`, [accountId]);
        await tx.query('DELETE FROM account_links WHERE holder_id = $1', [accountId]);
        for (const erase of parts.onClose) await erase(tx, accountId);
        await audit.record(tx, {
          type: 'account.closed',
          actor: accountId,
          subject: accountId,
          detail: {},
        });
        return true;
      }),
  };
}
