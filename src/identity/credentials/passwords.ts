/** The password as a credential: kept as a keyed hash, checked with the same work whatever is wrong, changed by who knows it. */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import type { AccountId, DeviceId } from '../../platform/ids.ts';
import type { Account, Accounts } from '../accounts.ts';
import { secondFactors } from '../assurance.ts';
import { IdentityError } from '../errors.ts';
import type { PasswordHash, PasswordHasher } from './password-hasher.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { forgetDevices } from '../protection/forget-devices.ts';
import type { Showing } from './showing.ts';

/** A password that the rules allow, as it will be kept. */
export interface NewPassword extends PasswordHash {
  /** Whether it is long enough to be the only factor. */
  readonly standsAlone: boolean;
}

/** Whose password it will be: an account that exists, or words that are known of somebody who is only registering. */
export type PasswordOwner = { readonly accountId: string } | { readonly context: readonly string[] };

export interface Passwords {
  /** What a new password must be. */
  readonly policy: PasswordPolicy;
  /** Signs that a new password of this account must have. */
  minimumLength(account: Account): number;
  /**
   * Checks identifier and password. The work and the error are the same for an unknown identifier, a wrong password and a locked account.
   * A hash that is weaker than is configured, or keyed with an older pepper, is made anew after the answer.
   * @param attempt.signal Ends the wait for a hash when the person has gone.
   * @throws {IdentityError} CREDENTIALS_WRONG @throws {PasswordQueueError}
   */
  authenticate(attempt: { identifier: string; password: string; signal?: AbortSignal }): Promise<Showing>;
  /**
   * Checks the password of an account that is known already. Same work and error as `authenticate`.
   * @throws {IdentityError} CREDENTIALS_WRONG @throws {PasswordQueueError}
   */
  confirm(attempt: { accountId: string; password: string; signal?: AbortSignal }): Promise<Showing>;
  /**
   * Changes a password, and forgets the devices that were known with the one before.
   * @param change.device The device at which the person is, which stays known.
   * @param change.present The present password; undefined where the account was shown in another way that is enough.
   * @throws {IdentityError} what is wrong with the new password; CREDENTIALS_WRONG for the present one. @throws {PasswordQueueError}
   */
  change(change: {
    accountId: string;
    present: string | undefined;
    password: string;
    device?: DeviceId | undefined;
  }): Promise<void>;
  /** Hashes a password that the rules allow to its owner. @throws {IdentityError} what is wrong with it. @throws {PasswordQueueError} */
  hash(password: string, owner: PasswordOwner): Promise<NewPassword>;
  /** Gives an account its password, in the transaction of the reason for it. @param password What `hash` gave. */
  set(tx: Queryable, accountId: string, password: NewPassword): Promise<void>;
}

interface Row {
  readonly account_id: AccountId;
  readonly hash: string;
  readonly pepper: string | null;
}

const toHash = (row: Pick<Row, 'hash' | 'pepper'>): PasswordHash => ({ phc: row.hash, pepper: row.pepper });

export function createPasswords(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  hasher: PasswordHasher;
  policy: PasswordPolicy;
  accounts: Pick<Accounts, 'keysOf' | 'account'>;
}): Passwords {
  const { db, clock, audit, hasher, policy, accounts } = parts;

  /** Of an active account. */
  async function credentialOf(accountId: string): Promise<Row | undefined> {
    const [row] = await db.query<Row>(
      `SELECT a.id AS account_id, p.hash, p.pepper FROM accounts a JOIN password_credentials p ON p.account_id = a.id
        WHERE a.id = $1 AND a.state = 'active'`,
      [accountId],
    );
    return row;
  }

  /** @throws {IdentityError} CREDENTIALS_WRONG */
  async function matching(row: Row | undefined, password: string, signal?: AbortSignal) {
    const { matches, outdated } = await hasher.verify(row && toHash(row), password, { signal });
    if (!row || !matches)
      throw new IdentityError('CREDENTIALS_WRONG', 'The account or the password is not right.');
    return { row, outdated };
  }

  async function compare(found: Row | undefined, password: string, signal?: AbortSignal): Promise<Showing> {
    const { row, outdated } = await matching(found, password, signal);
    if (outdated) void upgrade(row, password);
    return { accountId: row.account_id, method: 'pwd', at: clock.now() };
  }

  /** Nobody waits for it; of two at once one puts its hash in place; where it fails the next sign-in tries again. */
  async function upgrade(row: Row, password: string): Promise<void> {
    try {
      const { phc, pepper } = await hasher.hash(password, { idle: true });
      await db.query(
        'UPDATE password_credentials SET hash = $3, pepper = $4 WHERE account_id = $1 AND hash = $2',
        [row.account_id, row.hash, phc, pepper],
      );
    } catch {
      // The old hash is as good as it was.
    }
  }

  async function hash(password: string, owner: PasswordOwner): Promise<NewPassword> {
    const account = 'accountId' in owner ? await accounts.account(owner.accountId) : undefined;
    const problem = policy.problem(password, {
      alone: account === undefined || !hasSecondFactor(account),
      context: 'context' in owner ? owner.context : identifiersOf(account),
    });
    if (problem) throw new IdentityError(problem, 'The new password cannot be accepted as it is.');
    if (account) await refuseReuse(account.id, password);
    return { ...(await hasher.hash(password)), standsAlone: policy.standsAlone(password) };
  }

  async function refuseReuse(accountId: AccountId, password: string): Promise<void> {
    if (policy.history === 0) return;
    const rows = await db.query<Pick<Row, 'hash' | 'pepper'>>(
      `SELECT hash, pepper FROM password_credentials WHERE account_id = $1
        UNION ALL
       (SELECT hash, pepper FROM password_history WHERE account_id = $1 ORDER BY created_at DESC LIMIT $2)`,
      [accountId, policy.history - 1],
    );
    for (const row of rows)
      if ((await hasher.verify(toHash(row), password)).matches)
        throw new IdentityError('PASSWORD_REUSED', 'This password was used before.');
  }

  async function set(tx: Queryable, accountId: string, password: NewPassword): Promise<void> {
    if (policy.history > 0) {
      await tx.query(
        `INSERT INTO password_history (account_id, hash, pepper, created_at)
           SELECT account_id, hash, pepper, created_at FROM password_credentials WHERE account_id = $1
         ON CONFLICT DO NOTHING`,
        [accountId],
      );
      await tx.query(
        `DELETE FROM password_history WHERE account_id = $1 AND hash NOT IN
           (SELECT hash FROM password_history WHERE account_id = $1 ORDER BY created_at DESC LIMIT $2)`,
        [accountId, policy.history - 1],
      );
    }
    await tx.query(
      `INSERT INTO password_credentials (account_id, hash, pepper, stands_alone, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (account_id) DO UPDATE SET hash = EXCLUDED.hash, pepper = EXCLUDED.pepper,
           stands_alone = EXCLUDED.stands_alone, created_at = EXCLUDED.created_at`,
      [accountId, password.phc, password.pepper, password.standsAlone, clock.now()],
    );
  }

  return {
    policy,
    minimumLength: (account) => policy.minimumLength(!hasSecondFactor(account)),
    async authenticate({ identifier, password, signal }) {
      const [row] = await db.query<Row>(
        `SELECT a.id AS account_id, p.hash, p.pepper FROM account_identifiers i
           JOIN accounts a ON a.id = i.account_id JOIN password_credentials p ON p.account_id = a.id
          WHERE i.kind = $1 AND i.blind_index = ANY($2) AND a.state = 'active'`,
        accounts.keysOf(identifier),
      );
      return compare(row, password, signal);
    },
    async confirm({ accountId, password, signal }) {
      return compare(await credentialOf(accountId), password, signal);
    },
    async change({ accountId, present, password, device }) {
      const row =
        present === undefined ? undefined : (await matching(await credentialOf(accountId), present)).row;
      const hashed = await hash(password, { accountId });
      await db.transaction(async (tx) => {
        const [held] = await tx.query<{ hash: string }>(
          'SELECT hash FROM password_credentials WHERE account_id = $1 FOR UPDATE',
          [accountId],
        );
        // Of two changes that know the same password, the second does not know the present one any more.
        if (row && held?.hash !== row.hash)
          throw new IdentityError('CREDENTIALS_WRONG', 'The account or the password is not right.');
        await set(tx, accountId, hashed);
        const devicesForgotten = await forgetDevices(tx, accountId, device);
        await audit.record(tx, {
          type: 'account.password-changed',
          actor: accountId,
          subject: accountId,
          detail: { devicesForgotten },
        });
      });
    },
    hash,
    set,
  };
}

/** Whether something lasting is asked for besides the password: recovery codes are used up. */
function hasSecondFactor(account: Account): boolean {
  return secondFactors(account, ['pwd']).some((method) => method !== 'recovery');
}

function identifiersOf(account: Account | undefined): string[] {
  return [account?.username, account?.phone, account?.email].filter((value) => value !== undefined);
}
