/** The password as a credential: kept as a keyed hash, checked with the same work whatever is wrong, changed by who knows it. */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import type { Accounts } from '../accounts.ts';
import { IdentityError } from '../errors.ts';
import { passwordProblem, type PasswordHasher } from './password.ts';
import type { Showing } from './showing.ts';

export interface Passwords {
  /**
   * Checks identifier and password. The work and the error are the same for an unknown identifier, a wrong password and a locked account.
   * @throws {IdentityError} CREDENTIALS_WRONG
   */
  authenticate(attempt: { identifier: string; password: string }): Promise<Showing>;
  /**
   * Checks the password of an account that is known already. Same work and error as `authenticate`.
   * @throws {IdentityError} CREDENTIALS_WRONG
   */
  confirm(attempt: { accountId: string; password: string }): Promise<Showing>;
  /** @throws {IdentityError} what is wrong with the new password; CREDENTIALS_WRONG for the present one. */
  change(change: { accountId: string; present: string; password: string }): Promise<void>;
  /** Hashes a password that the rules allow. @throws {IdentityError} PASSWORD_SHORT, PASSWORD_LONG */
  hash(password: string): Promise<string>;
  /** Gives an account its password, in the transaction of the reason for it. @param hash What `hash` gave. */
  set(tx: Queryable, accountId: string, hash: string): Promise<void>;
}

interface Row {
  readonly account_id: AccountId;
  readonly hash: string;
}

export function createPasswords(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  hasher: PasswordHasher;
  accounts: Accounts;
}): Passwords {
  const { db, clock, audit, hasher, accounts } = parts;

  /** Of an active account. */
  async function credentialOf(accountId: string | undefined): Promise<Row | undefined> {
    const [row] = await db.query<Row>(
      `SELECT a.id AS account_id, p.hash FROM accounts a JOIN password_credentials p ON p.account_id = a.id
        WHERE a.id = $1 AND a.state = 'active'`,
      [accountId ?? ''],
    );
    return row;
  }

  async function compare(row: Row | undefined, password: string): Promise<Showing> {
    const matches = await hasher.verify(row?.hash, password);
    if (!row || !matches)
      throw new IdentityError('CREDENTIALS_WRONG', 'The account or the password is not right.');
    return { accountId: row.account_id, method: 'pwd', at: clock.now() };
  }

  async function hash(password: string): Promise<string> {
    const problem = passwordProblem(password);
    if (problem) throw new IdentityError(problem, 'The new password cannot be accepted as it is.');
    return hasher.hash(password);
  }

  async function set(tx: Queryable, accountId: string, hashed: string): Promise<void> {
    await tx.query(
      `INSERT INTO password_credentials (account_id, hash, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (account_id) DO UPDATE SET hash = EXCLUDED.hash, created_at = EXCLUDED.created_at`,
      [accountId, hashed, clock.now()],
    );
  }

  return {
    async authenticate({ identifier, password }) {
      return compare(await credentialOf(await accounts.find(identifier)), password);
    },
    async confirm({ accountId, password }) {
      return compare(await credentialOf(accountId), password);
    },
    async change({ accountId, present, password }) {
      const problem = passwordProblem(password);
      if (problem) throw new IdentityError(problem, 'The new password cannot be accepted as it is.');
      await compare(await credentialOf(accountId), present);
      const hashed = await hash(password);
      await db.transaction(async (tx) => {
        await set(tx, accountId, hashed);
        await audit.record(tx, {
          type: 'account.password-changed',
          actor: accountId,
          subject: accountId,
          detail: {},
        });
      });
    },
    hash,
    set,
  };
}
