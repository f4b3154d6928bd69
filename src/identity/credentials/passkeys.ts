/**
 * The passkeys of accounts: kept, counted, named, used and taken away. Whatever is wrong with an answer of an authenticator, the person is
 * told the same.
 */
import { createHash, randomBytes } from 'node:crypto';
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server';
import type { AuditLog } from '../../audit/index.ts';
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { isUniqueViolation, only, type Db } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import type { Accounts } from '../accounts.ts';
import { FIRST_FACTORS } from '../assurance.ts';
import { IdentityError } from '../errors.ts';
import type { Showing } from './showing.ts';
import { createPasskeyCeremonies, type KnownCredential } from './passkey-ceremonies.ts';
import type { TakeOnce } from './passkey-challenges.ts';
import { refusal } from './passkey-responses.ts';

/** Most passkeys of one account. */
export const PASSKEYS_MAX = 20;
export const PASSKEY_NAME_MAX_LENGTH = 60;

export interface Passkey {
  /** Digest of the credential id, 64 hex signs. */
  readonly id: string;
  /** The person's own word for it. */
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | undefined;
  /** Whether the key stays in one authenticator, rather than being synced between devices. */
  readonly deviceBound: boolean;
  /** Since when it signs nobody in, because its counter said that there is a copy of it. */
  readonly suspendedAt: Date | undefined;
}

export interface Passkeys {
  /**
   * What the browser needs to make a passkey.
   * @param request.binding What ties the ceremony to this browser; see `ChallengePurpose`.
   * @param request.userName What authenticators list the passkey under: the person reads it there.
   */
  registrationOptions(request: {
    accountId: string;
    binding: string;
    userName: string;
  }): Promise<PublicKeyCredentialCreationOptionsJSON>;
  /**
   * Keeps a new passkey. Whoever makes one has shown it at the same time.
   * @param registration.response The authenticator's answer, JSON as of `PublicKeyCredential.toJSON()`.
   * @throws {IdentityError} PASSKEY_REFUSED, PASSKEY_NAME, PASSKEY_LIMIT.
   */
  register(registration: {
    accountId: string;
    binding: string;
    response: string;
    name: string;
  }): Promise<{ passkey: Passkey; showing: Showing }>;
  /** What the browser needs to use a passkey: any, or one of an account that is known already. */
  authenticationOptions(request: {
    binding: string;
    accountId?: string | undefined;
  }): Promise<PublicKeyCredentialRequestOptionsJSON>;
  /**
   * Checks a passkey that was used. The method is `hwk` only where a trusted maker's attestation says that the key is kept in hardware, and it
   * cannot leave (RFC 8176, section 2); any other is `swk`.
   * @param attempt.accountId Whose it must be, as in a step-up. Without it, the passkey says who its owner is.
   * @throws {IdentityError} PASSKEY_REFUSED, whatever the reason.
   */
  authenticate(attempt: {
    binding: string;
    response: string;
    accountId?: string | undefined;
  }): Promise<Showing>;
  /** The passkeys of an account, oldest first. */
  list(accountId: string): Promise<Passkey[]>;
  /** @throws {IdentityError} PASSKEY_NAME, PASSKEY_NOT_FOUND. */
  rename(accountId: string, id: string, name: string): Promise<void>;
  /** @throws {IdentityError} PASSKEY_NOT_FOUND; LAST_WAY_IN: with it the person would lose the only way to sign in. */
  remove(accountId: string, id: string): Promise<void>;
}

interface Row {
  readonly credential_id: Uint8Array;
  readonly name: Uint8Array;
  readonly transports: string[];
  readonly created_at: Date;
  readonly last_used_at: Date | null;
  readonly device_bound: boolean;
  readonly suspended_at: Date | null;
}

const COLUMNS = 'credential_id, name, transports, created_at, last_used_at, device_bound, suspended_at';
const USER_HANDLE_BYTES = 32;

const toBase64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
const idOf = (credentialId: Uint8Array) => createHash('sha256').update(credentialId).digest('hex');
/** How passkeys lie in the database. */
export const PASSKEYS = {
  table: 'passkeys',
  key: { credential_id: 'bytea' },
  reads: ['account_id'],
  values: { name: { purpose: 'field/passkey-name', context: (row) => row['account_id'] } },
} as const satisfies EncryptedTable;

/** @param parts Those of `createPasskeyCeremonies` among them. */
export function createPasskeys(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  accounts: Pick<Accounts, 'lock'>;
  takeOnce: TakeOnce;
  issuer: string;
  serviceName: string;
  authorities: string | undefined;
}): Passkeys {
  const { db, clock, audit, accounts } = parts;
  const cipher = createCipher(parts.dataKeys, PASSKEYS.values.name.purpose);
  const ceremonies = createPasskeyCeremonies(parts);

  async function rowsOf(accountId: string): Promise<Row[]> {
    return db.query<Row>(
      `SELECT ${COLUMNS} FROM passkeys WHERE account_id = $1 ORDER BY created_at, credential_id`,
      [accountId],
    );
  }

  function toPasskey(accountId: string, row: Row): Passkey {
    return {
      id: idOf(row.credential_id),
      name: Buffer.from(cipher.decrypt(row.name, accountId)).toString('utf8'),
      createdAt: row.created_at,
      lastUsedAt: row.last_used_at ?? undefined,
      deviceBound: row.device_bound,
      suspendedAt: row.suspended_at ?? undefined,
    };
  }

  /** The account's own number for authenticators: random, so that it says nothing to whoever reads it there. */
  async function userHandleOf(accountId: string): Promise<Uint8Array<ArrayBuffer>> {
    await db.query('UPDATE accounts SET user_handle = $2 WHERE id = $1 AND user_handle IS NULL', [
      accountId,
      randomBytes(USER_HANDLE_BYTES),
    ]);
    const rows = await db.query<{ user_handle: Uint8Array }>(
      'SELECT user_handle FROM accounts WHERE id = $1',
      [accountId],
    );
    return Uint8Array.from(only(rows).user_handle);
  }

  /** No key that shows a counter which has been seen before is alone. */
  async function suspend(credentialId: Uint8Array, accountId: string): Promise<void> {
    await db.transaction(async (tx) => {
      const rows = await tx.query(
        'UPDATE passkeys SET suspended_at = $2 WHERE credential_id = $1 AND suspended_at IS NULL RETURNING account_id',
        [credentialId, clock.now()],
      );
      if (rows.length === 0) return;
      await audit.record(tx, {
        type: 'passkey.suspended',
        actor: 'system',
        subject: accountId,
        detail: { passkey: idOf(credentialId), reason: 'counter' },
      });
    });
  }

  return {
    async registrationOptions({ accountId, binding, userName }) {
      const [userHandle, rows] = [await userHandleOf(accountId), await rowsOf(accountId)];
      return ceremonies.creationOptions({
        accountId,
        binding,
        userName,
        userHandle,
        exclude: rows.map(toKnown),
      });
    },

    async register({ accountId, binding, response, name: given }) {
      const name = toName(given);
      const made = await ceremonies.created({ accountId, binding, response });
      const { deviceBound, attested } = made;
      const row: Row = {
        credential_id: made.credentialId,
        name: cipher.encrypt(Buffer.from(name), accountId),
        transports: made.transports,
        created_at: clock.now(),
        last_used_at: null,
        device_bound: deviceBound,
        suspended_at: null,
      };
      let owner: AccountId;
      try {
        owner = await db.transaction(async (tx) => {
          // The account's row is the lock under which its passkeys are counted.
          const [active] = await tx.query<{ id: AccountId }>(
            `SELECT id FROM accounts WHERE id = $1 AND state = 'active' FOR UPDATE`,
            [accountId],
          );
          if (!active) throw refusal('the account is not active');
          const { n } = only(
            await tx.query<{ n: number }>('SELECT count(*) AS n FROM passkeys WHERE account_id = $1', [
              accountId,
            ]),
          );
          if (n >= PASSKEYS_MAX)
            throw new IdentityError('PASSKEY_LIMIT', `An account has at most ${PASSKEYS_MAX} passkeys.`);
          await tx.query(
            `INSERT INTO passkeys (credential_id, account_id, public_key, sign_count, device_bound, attested, transports, name, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
            [
              row.credential_id,
              accountId,
              made.publicKey,
              made.signCount,
              deviceBound,
              attested,
              JSON.stringify(row.transports),
              row.name,
              row.created_at,
            ],
          );
          await audit.record(tx, {
            type: 'passkey.registered',
            actor: accountId,
            subject: accountId,
            detail: { passkey: idOf(row.credential_id), deviceBound, attested },
          });
          return active.id;
        });
      } catch (cause) {
        // Someone has this credential already: whoever says that it is theirs as well is not believed.
        if (isUniqueViolation(cause)) throw refusal('the credential is registered', cause);
        throw cause;
      }
      return {
        passkey: toPasskey(accountId, row),
        showing: showingOf(owner, { device_bound: deviceBound, attested }, row.created_at),
      };
    },

    async authenticationOptions({ binding, accountId }) {
      const allow =
        accountId === undefined
          ? undefined
          : (await rowsOf(accountId)).filter((row) => row.suspended_at === null).map(toKnown);
      return ceremonies.requestOptions({ binding, accountId, allow });
    },

    async authenticate({ binding, response, accountId }) {
      const answer = await ceremonies.answered({ binding, accountId, response });
      const { credentialId, userHandle } = answer;
      const [found] = await db.query<{
        account_id: AccountId;
        public_key: Uint8Array;
        device_bound: boolean;
        attested: boolean;
        user_handle: Uint8Array;
      }>(
        `SELECT p.account_id, p.public_key, p.device_bound, p.attested, a.user_handle FROM passkeys p
           JOIN accounts a ON a.id = p.account_id AND a.state = 'active'
          WHERE p.credential_id = $1 AND p.suspended_at IS NULL`,
        [credentialId],
      );
      if (!found) throw refusal('the credential is unknown, suspended, or of an account that is not active');
      if (accountId !== undefined && found.account_id !== accountId)
        throw refusal('the credential is of another account');
      // An authenticator that was not told which credential to use must say whose it is (section 7.2, step 6).
      const named =
        userHandle === undefined ? accountId !== undefined : userHandle === toBase64url(found.user_handle);
      if (!named) throw refusal('the user handle is not the one of the account');

      const { signCount, deviceBound } = await answer.verify(found.public_key);
      if (deviceBound !== found.device_bound) throw refusal('whether the key can be backed up has changed');

      const at = clock.now();
      // Zero, before and now, is what authenticators without a counter say (section 6.1.1).
      const used = await db.query(
        `UPDATE passkeys SET sign_count = $2, last_used_at = $3
          WHERE credential_id = $1 AND suspended_at IS NULL AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))
          RETURNING account_id`,
        [credentialId, signCount, at],
      );
      if (used.length === 0) {
        await suspend(credentialId, found.account_id);
        throw refusal('the counter has been seen before');
      }
      return showingOf(found.account_id, found, at);
    },

    async list(accountId) {
      return (await rowsOf(accountId)).map((row) => toPasskey(accountId, row));
    },

    async rename(accountId, id, given) {
      const name = cipher.encrypt(Buffer.from(toName(given)), accountId);
      await db.transaction(async (tx) => {
        const rows = await tx.query(
          `UPDATE passkeys SET name = $3
            WHERE account_id = $1 AND encode(sha256(credential_id), 'hex') = $2 RETURNING account_id`,
          [accountId, id, name],
        );
        if (rows.length === 0) throw notFound();
        await audit.record(tx, {
          type: 'passkey.renamed',
          actor: accountId,
          subject: accountId,
          detail: { passkey: id },
        });
      });
    },

    async remove(accountId, id) {
      await db.transaction(async (tx) => {
        // Two that are removed at once cannot each count on the other.
        await accounts.lock(tx, accountId);
        const removed = await tx.query<{ suspended_at: Date | null }>(
          `DELETE FROM passkeys WHERE account_id = $1 AND encode(sha256(credential_id), 'hex') = $2
            RETURNING suspended_at`,
          [accountId, id],
        );
        if (removed.length === 0) throw notFound();
        const left = await accounts.lock(tx, accountId);
        const others = left?.methods.some((method) => FIRST_FACTORS.has(method)) ?? false;
        // One that is suspended lets nobody in, and may go at any time.
        if (!others && only(removed).suspended_at === null)
          throw new IdentityError('LAST_WAY_IN', 'Without this passkey nobody could sign in to the account.');
        await audit.record(tx, {
          type: 'passkey.removed',
          actor: accountId,
          subject: accountId,
          detail: { passkey: id },
        });
      });
    },
  };
}

function showingOf(
  accountId: AccountId,
  key: { readonly device_bound: boolean; readonly attested: boolean },
  at: Date,
): Showing {
  return { accountId, method: key.device_bound && key.attested ? 'hwk' : 'swk', at };
}

function toKnown(row: Row): KnownCredential {
  return { credentialId: row.credential_id, transports: row.transports };
}

function notFound(): IdentityError {
  return new IdentityError('PASSKEY_NOT_FOUND', 'There is no such passkey.');
}

/** @throws {IdentityError} PASSKEY_NAME: empty, too long, or with signs that nobody can read. */
function toName(text: string): string {
  const name = text.normalize('NFC').trim();
  if (
    name === '' ||
    [...name].length > PASSKEY_NAME_MAX_LENGTH ||
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(name)
  )
    throw new IdentityError('PASSKEY_NAME', `A name has 1 to ${PASSKEY_NAME_MAX_LENGTH} signs.`);
  return name;
}
