/** Accounts and the identifiers that lead to them. Identifiers are encrypted; a keyed hash finds them. */
import type { AuditLog } from '../audit/index.ts';
import { createBlindIndex, createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import { isUniqueViolation, type Db } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';
import { newId, type AccountId } from '../platform/ids.ts';
import { passwordProblem, type PasswordHasher, type PasswordProblem } from './credentials/password.ts';
import type { Assurable, Factors } from './assurance.ts';
import { parseIdentifier, type Identifier, type IdentifierKind } from './identifiers.ts';

export class IdentityError extends AppError<
  'IDENTIFIER_FORM' | 'IDENTIFIER_TAKEN' | PasswordProblem | 'CREDENTIALS_WRONG'
> {}

/** That a person is who the account belongs to, and how it was shown. */
export interface Authentication {
  readonly accountId: AccountId;
  /** Authentication Method References (RFC 8176). */
  readonly amr: readonly string[];
  readonly authTime: Date;
  /** When each factor was shown. */
  readonly factors: Factors;
}

export interface Account extends Assurable {
  readonly id: AccountId;
  readonly createdAt: Date;
  /** User name, if the account has one. */
  readonly username: string | undefined;
  /** E.164, if the account has one. */
  readonly phone: string | undefined;
}

export interface Identity {
  /** What is wrong with a registration before it is tried; every problem at once, for the form. */
  check(registration: { identifier: string; password: string }): IdentityError['code'][];
  /**
   * Opens an account with one identifier and a password.
   * @throws {IdentityError} what `check` finds; IDENTIFIER_TAKEN.
   */
  register(registration: { identifier: string; password: string }): Promise<Authentication>;
  /**
   * Signs in by password. The work and the error are the same for an unknown identifier, a wrong password and a locked account.
   * @throws {IdentityError} CREDENTIALS_WRONG
   */
  authenticate(attempt: { identifier: string; password: string; clientId: string }): Promise<Authentication>;
  /**
   * Checks the password of an account that is known already, as a step-up does. Same work and error as `authenticate`.
   * @throws {IdentityError} CREDENTIALS_WRONG
   */
  confirm(attempt: { accountId: string; password: string; clientId: string }): Promise<Authentication>;
  /** @throws {IdentityError} what `check` finds of the password; CREDENTIALS_WRONG for the present one. */
  changePassword(change: { accountId: string; present: string; password: string }): Promise<void>;
  /** Locks or unlocks an account. A locked one is found by nobody. */
  setState(accountId: string, state: 'active' | 'locked', actor: string): Promise<void>;
  /** Records how sure it is who the holder is: 0 nothing checked, 4 in person. @param proofing.method How it was checked. */
  recordProofing(
    accountId: string,
    proofing: { level: number; method: string },
    actor: string,
  ): Promise<void>;
  /** The account, if it exists and is active. */
  account(id: string): Promise<Account | undefined>;
  /** The active account that an identifier leads to. */
  find(identifier: string): Promise<AccountId | undefined>;
  /** The account that an identifier leads to, locked ones included: for operators. */
  findInAnyState(identifier: string): Promise<AccountId | undefined>;
}

export function createIdentity(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  passwords: PasswordHasher;
}): Identity {
  const { db, clock, audit, passwords } = parts;
  const blindIndex = createBlindIndex(parts.dataKeys, 'account-identifier');
  const cipher = createCipher(parts.dataKeys, 'field/account-identifier');
  const indexOf = (identifier: Identifier) => blindIndex.current(`${identifier.kind}:${identifier.value}`);

  function check({
    identifier,
    password,
  }: {
    identifier: string;
    password: string;
  }): IdentityError['code'][] {
    const problem = passwordProblem(password);
    return [
      ...(parseIdentifier(identifier) ? [] : (['IDENTIFIER_FORM'] as const)),
      ...(problem ? [problem] : []),
    ];
  }

  function shown(accountId: AccountId): Authentication {
    const at = clock.now();
    const seconds = Math.floor(at.getTime() / 1000);
    return { accountId, amr: ['pwd'], authTime: at, factors: { pwd: seconds } };
  }

  async function finish(
    row: { account_id: AccountId; hash: string } | undefined,
    password: string,
    clientId: string,
  ): Promise<Authentication> {
    const matches = await passwords.verify(row?.hash, password);
    if (!row || !matches)
      throw new IdentityError('CREDENTIALS_WRONG', 'The account or the password is not right.');
    const authentication = shown(row.account_id);
    await db.transaction((tx) =>
      audit.record(tx, {
        type: 'account.signed-in',
        actor: row.account_id,
        subject: row.account_id,
        detail: { amr: authentication.amr, clientId },
      }),
    );
    return authentication;
  }

  async function passwordOf(accountId: string): Promise<{ account_id: AccountId; hash: string } | undefined> {
    const [row] = await db.query<{ account_id: AccountId; hash: string }>(
      `SELECT a.id AS account_id, p.hash FROM accounts a JOIN password_credentials p ON p.account_id = a.id
        WHERE a.id = $1 AND a.state = 'active'`,
      [accountId],
    );
    return row;
  }

  return {
    check,

    async register(registration) {
      const [problem] = check(registration);
      const identifier = parseIdentifier(registration.identifier);
      if (problem || !identifier)
        throw new IdentityError(
          problem ?? 'IDENTIFIER_FORM',
          'The registration cannot be accepted as it is.',
        );
      const hash = await passwords.hash(registration.password);
      const at = clock.now();
      const accountId = newId('acc', at);
      try {
        await db.transaction(async (tx) => {
          await tx.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [
            accountId,
            at,
          ]);
          await tx.query(
            'INSERT INTO account_identifiers (kind, blind_index, account_id, value, created_at) VALUES ($1, $2, $3, $4, $5)',
            [
              identifier.kind,
              indexOf(identifier),
              accountId,
              cipher.encrypt(Buffer.from(identifier.value), accountId),
              at,
            ],
          );
          await tx.query(
            'INSERT INTO password_credentials (account_id, hash, created_at) VALUES ($1, $2, $3)',
            [accountId, hash, at],
          );
          await audit.record(tx, {
            type: 'account.registered',
            actor: accountId,
            subject: accountId,
            detail: { identifierKind: identifier.kind },
          });
        });
      } catch (cause) {
        if (isUniqueViolation(cause))
          throw new IdentityError('IDENTIFIER_TAKEN', 'This identifier has an account already.', { cause });
        throw cause;
      }
      return shown(accountId);
    },

    async authenticate({ identifier: text, password, clientId }) {
      // An identifier of impossible form still costs a look-up and a hash.
      const identifier = parseIdentifier(text) ?? { kind: 'username' as const, value: '' };
      const [row] = await db.query<{ account_id: AccountId; hash: string }>(
        `SELECT i.account_id, p.hash FROM account_identifiers i
           JOIN accounts a ON a.id = i.account_id AND a.state = 'active'
           JOIN password_credentials p ON p.account_id = i.account_id
          WHERE i.kind = $1 AND i.blind_index = $2`,
        [identifier.kind, indexOf(identifier)],
      );
      return finish(row, password, clientId);
    },

    async confirm({ accountId, password, clientId }) {
      return finish(await passwordOf(accountId), password, clientId);
    },

    async changePassword({ accountId, present, password }) {
      const problem = passwordProblem(password);
      if (problem) throw new IdentityError(problem, 'The new password cannot be accepted as it is.');
      const row = await passwordOf(accountId);
      const matches = await passwords.verify(row?.hash, present);
      if (!row || !matches)
        throw new IdentityError('CREDENTIALS_WRONG', 'The account or the password is not right.');
      const hash = await passwords.hash(password);
      await db.transaction(async (tx) => {
        await tx.query('UPDATE password_credentials SET hash = $2, created_at = $3 WHERE account_id = $1', [
          row.account_id,
          hash,
          clock.now(),
        ]);
        await audit.record(tx, {
          type: 'account.password-changed',
          actor: row.account_id,
          subject: row.account_id,
          detail: {},
        });
      });
    },

    async setState(accountId, state, actor) {
      await db.transaction(async (tx) => {
        await tx.query('UPDATE accounts SET state = $2 WHERE id = $1', [accountId, state]);
        await audit.record(tx, {
          type: 'account.state-changed',
          actor,
          subject: accountId,
          detail: { state },
        });
      });
    },

    async recordProofing(accountId, { level, method }, actor) {
      await db.transaction(async (tx) => {
        await tx.query('UPDATE accounts SET proofing = $2 WHERE id = $1', [accountId, level]);
        await audit.record(tx, {
          type: 'account.proofed',
          actor,
          subject: accountId,
          detail: { level, method },
        });
      });
    },

    async account(id) {
      const rows = await db.query<{
        id: AccountId;
        created_at: Date;
        proofing: number;
        kind: IdentifierKind | null;
        value: Uint8Array | null;
      }>(
        `SELECT a.id, a.created_at, a.proofing, i.kind, i.value FROM accounts a
           LEFT JOIN account_identifiers i ON i.account_id = a.id
          WHERE a.id = $1 AND a.state = 'active'`,
        [id],
      );
      const [first] = rows;
      if (!first) return undefined;
      const valueOf = (kind: IdentifierKind) => {
        const value = rows.find((row) => row.kind === kind)?.value;
        return value ? Buffer.from(cipher.decrypt(value, first.id)).toString('utf8') : undefined;
      };
      return {
        id: first.id,
        createdAt: first.created_at,
        username: valueOf('username'),
        phone: valueOf('phone'),
        proofing: first.proofing,
        methods: ['pwd'],
      };
    },

    async findInAnyState(text) {
      const identifier = parseIdentifier(text);
      if (!identifier) return undefined;
      const [row] = await db.query<{ account_id: AccountId }>(
        'SELECT account_id FROM account_identifiers WHERE kind = $1 AND blind_index = $2',
        [identifier.kind, indexOf(identifier)],
      );
      return row?.account_id;
    },

    async find(text) {
      const identifier = parseIdentifier(text);
      if (!identifier) return undefined;
      const [row] = await db.query<{ account_id: AccountId }>(
        `SELECT i.account_id FROM account_identifiers i JOIN accounts a ON a.id = i.account_id AND a.state = 'active'
          WHERE i.kind = $1 AND i.blind_index = $2`,
        [identifier.kind, indexOf(identifier)],
      );
      return row?.account_id;
    },
  };
}
