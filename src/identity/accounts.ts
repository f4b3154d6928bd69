/** Accounts and the identifiers that lead to them. Identifiers are encrypted; a keyed hash finds them. */
import type { AuditLog } from '../audit/index.ts';
import { createBlindIndex, createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type AccountId } from '../platform/ids.ts';
import type { EncryptedTable } from '../rotation/index.ts';
import type { Assurable, Method } from './assurance.ts';
import { IdentityError } from './errors.ts';
import { identifierOf, masked, type Address, type Channel } from './messages/address.ts';
import { parseIdentifier, type Identifier, type IdentifierKind } from './identifiers.ts';

export interface Account extends Assurable {
  readonly id: AccountId;
  readonly createdAt: Date;
  /** User name, if the account has one. */
  readonly username: string | undefined;
  /** E.164, if the account has one. */
  readonly phone: string | undefined;
  /** Whether a code sent to the phone came back. */
  readonly phoneVerified: boolean;
  /** Address of e-mail, if the account has one. */
  readonly email: string | undefined;
  readonly emailVerified: boolean;
  /** The password, if the account has one: whether it is long enough to be the only factor, and since when it is this one. */
  readonly password: { readonly standsAlone: boolean; readonly since: Date } | undefined;
}

export interface Accounts {
  /**
   * Opens an account with one identifier, in the transaction of the reason for it.
   * @param options.verified Whether the identifier was shown to be the person's own.
   * @param options.language In which the holder is told what happens to the account.
   * @throws {IdentityError} IDENTIFIER_TAKEN
   */
  open(
    tx: Queryable,
    identifier: Identifier,
    options: { readonly verified: boolean; readonly language?: string | undefined },
  ): Promise<AccountId>;
  /** Opens an account that no identifier leads to: its person comes by an upstream identity provider. */
  openWithoutIdentifier(tx: Queryable): Promise<AccountId>;
  /**
   * Moves what leads to an account to another, as far as that has nothing of the kind, and removes the rest with every credential: the
   * account is being closed into the other.
   */
  absorb(tx: Queryable, from: AccountId, into: AccountId): Promise<void>;
  /**
   * Gives an account an identifier, in place of one of the same kind if it has one.
   * @param options.verified Whether it was shown to be the person's own.
   * @returns the identifier that it took the place of.
   * @throws {IdentityError} IDENTIFIER_TAKEN: by another account.
   */
  assign(
    tx: Queryable,
    accountId: string,
    identifier: Identifier,
    options: { readonly verified: boolean },
  ): Promise<Identifier | undefined>;
  /** Takes an identifier from an account. @returns it. */
  withdraw(tx: Queryable, accountId: string, kind: IdentifierKind): Promise<Identifier | undefined>;
  /** What an active account can be signed in with and how sure it is whose it is; nobody changes it until the transaction ends. */
  lock(tx: Queryable, accountId: string): Promise<Assurable | undefined>;
  /** Locks or unlocks an account. A locked one is found by nobody. One that was closed stays closed. */
  setState(accountId: string, state: 'active' | 'locked', actor: string): Promise<void>;
  /** The account, if it exists and is active. */
  account(id: string): Promise<Account | undefined>;
  /**
   * What a statement finds an identifier by: `kind = $1 AND blind_index = ANY($2)`. A text that is no identifier has some too, which
   * find nothing.
   */
  keysOf(identifier: string): [kind: IdentifierKind, blindIndexes: readonly Uint8Array[]];
  /** The active account that an identifier leads to. A text that is no identifier costs the same look-up. */
  find(identifier: string): Promise<AccountId | undefined>;
  /** The active account to whose holder an address was shown to belong. The work is the same whether there is one. */
  findByAddress(address: Address): Promise<AccountId | undefined>;
  /** Whether an address leads to any account, shown to be the holder's or not, locked ones included. */
  isTaken(address: Address): Promise<boolean>;
  /** The account that an identifier leads to, locked ones included: for operators. */
  findInAnyState(identifier: string): Promise<AccountId | undefined>;
}

/** Nothing has this identifier: what cannot be one is looked up as this. */
const NOBODY: Identifier = { kind: 'username', value: '' };

const USABLE_PASSKEY = 'SELECT 1 FROM passkeys k WHERE k.account_id = a.id AND k.suspended_at IS NULL';
const CREDENTIAL_TABLES = [
  'password_credentials',
  'password_history',
  'totp_credentials',
  'passkeys',
  'recovery_codes',
  'known_devices',
  'known_networks',
];

/** Which methods an account can be signed in with, each as a condition on the row of `accounts`, named `a`. */
const METHOD_CONDITIONS: Readonly<Partial<Record<Method, string>>> = {
  hwk: `EXISTS (${USABLE_PASSKEY} AND k.device_bound AND k.attested)`,
  swk: `EXISTS (${USABLE_PASSKEY} AND NOT (k.device_bound AND k.attested))`,
  pwd: 'EXISTS (SELECT 1 FROM password_credentials p WHERE p.account_id = a.id)',
  otp: 'EXISTS (SELECT 1 FROM totp_credentials t WHERE t.account_id = a.id)',
  recovery: 'EXISTS (SELECT 1 FROM recovery_codes r WHERE r.account_id = a.id AND r.used_at IS NULL)',
  fed: 'EXISTS (SELECT 1 FROM upstream_links u WHERE u.account_id = a.id)',
  fedmfa: 'EXISTS (SELECT 1 FROM upstream_links u WHERE u.account_id = a.id AND u.two_factors)',
  sms: verifiedIdentifier('phone'),
  email: verifiedIdentifier('email'),
};

function verifiedIdentifier(kind: 'phone' | 'email'): string {
  return `EXISTS (SELECT 1 FROM account_identifiers v WHERE v.account_id = a.id AND v.kind = '${kind}' AND v.verified_at IS NOT NULL)`;
}

/** @param channels Those by which this installation can send a code. */
function methodsColumn(channels: ReadonlySet<Channel>): string {
  const cases = Object.entries(METHOD_CONDITIONS)
    .filter(([method]) => (method !== 'sms' && method !== 'email') || channels.has(method))
    .map(([method, condition]) => `CASE WHEN ${condition} THEN '${method}' END`);
  return `array_remove(ARRAY[${cases.join(', ')}], NULL) AS methods`;
}

interface AccountRow {
  readonly id: AccountId;
  readonly created_at: Date;
  readonly proofing: number;
  readonly methods: Method[];
  readonly stands_alone: boolean | null;
  readonly password_since: Date | null;
  readonly kind: IdentifierKind | null;
  readonly value: Uint8Array | null;
  readonly verified_at: Date | null;
}

/** How identifiers lie in the database. */
export const IDENTIFIERS = {
  table: 'account_identifiers',
  key: { kind: 'text', blind_index: 'bytea' },
  reads: ['account_id'],
  values: { value: { purpose: 'field/account-identifier', context: (row) => row['account_id'] } },
  indexes: {
    blind_index: {
      purpose: 'account-identifier',
      of: ({ kind = '' }, { value }) => value && indexed({ kind, value }),
    },
  },
} as const satisfies EncryptedTable;

/** Of what the blind index is made. */
const indexed = ({ kind, value }: { kind: string; value: string }) => `${kind}:${value}`;

export function createAccounts(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  dataKeys: DataKeys;
  /** By which codes can be sent to people. */
  channels: ReadonlySet<Channel>;
}): Accounts {
  const { db, clock, audit } = parts;
  const methods = methodsColumn(parts.channels);
  const blindIndex = createBlindIndex(parts.dataKeys, IDENTIFIERS.indexes.blind_index.purpose);
  const cipher = createCipher(parts.dataKeys, IDENTIFIERS.values.value.purpose);

  async function lookUp(
    identifier: Identifier,
  ): Promise<{ id: AccountId; state: string; verified: boolean } | undefined> {
    const [row] = await db.query<{ id: AccountId; state: string; verified: boolean }>(
      `SELECT a.id, a.state, i.verified_at IS NOT NULL AS verified
         FROM account_identifiers i JOIN accounts a ON a.id = i.account_id
        WHERE i.kind = $1 AND i.blind_index = ANY($2)`,
      [identifier.kind, blindIndex.all(indexed(identifier))],
    );
    return row;
  }

  async function insert(tx: Queryable, language?: string): Promise<AccountId> {
    const at = clock.now();
    const accountId = newId('acc', at);
    await tx.query(`INSERT INTO accounts (id, state, created_at, language) VALUES ($1, 'active', $2, $3)`, [
      accountId,
      at,
      language ?? null,
    ]);
    return accountId;
  }

  async function withdraw(
    tx: Queryable,
    accountId: string,
    kind: IdentifierKind,
  ): Promise<Identifier | undefined> {
    const [row] = await tx.query<{ value: Uint8Array }>(
      'DELETE FROM account_identifiers WHERE account_id = $1 AND kind = $2 RETURNING value',
      [accountId, kind],
    );
    return row && { kind, value: Buffer.from(cipher.decrypt(row.value, accountId)).toString('utf8') };
  }

  const assign: Accounts['assign'] = async (tx, accountId, identifier, { verified }) => {
    await blindIndex.lock(tx, indexed(identifier));
    const [taken] = await tx.query<{ account_id: string }>(
      'SELECT account_id FROM account_identifiers WHERE kind = $1 AND blind_index = ANY($2)',
      [identifier.kind, blindIndex.all(indexed(identifier))],
    );
    if (taken && taken.account_id !== accountId)
      throw new IdentityError('IDENTIFIER_TAKEN', 'This identifier has an account already.');
    const before = await withdraw(tx, accountId, identifier.kind);
    const at = clock.now();
    await tx.query(
      `INSERT INTO account_identifiers (kind, blind_index, account_id, value, created_at, verified_at)
         VALUES ($1, $2, $3, $4, $5, $6)`,
      [
        identifier.kind,
        blindIndex.current(indexed(identifier)),
        accountId,
        cipher.encrypt(Buffer.from(identifier.value), accountId),
        at,
        verified ? at : null,
      ],
    );
    return before?.value === identifier.value ? undefined : before;
  };

  return {
    openWithoutIdentifier: (tx) => insert(tx),

    async absorb(tx, from, into) {
      const rows = await tx.query<{ kind: IdentifierKind; value: Uint8Array }>(
        `SELECT kind, value FROM account_identifiers i WHERE account_id = $1
            AND NOT EXISTS (SELECT 1 FROM account_identifiers o WHERE o.account_id = $2 AND o.kind = i.kind)`,
        [from, into],
      );
      for (const { kind, value } of rows)
        // What is encrypted is bound to its account.
        await tx.query(
          'UPDATE account_identifiers SET account_id = $3, value = $4 WHERE account_id = $1 AND kind = $2',
          [from, kind, into, cipher.encrypt(cipher.decrypt(value, from), into)],
        );
      await tx.query('DELETE FROM account_identifiers WHERE account_id = $1', [from]);
      for (const table of CREDENTIAL_TABLES)
        await tx.query(`DELETE FROM ${table} WHERE account_id = $1`, [from]);
    },

    assign,
    withdraw,
    async lock(tx, accountId) {
      const [row] = await tx.query<{ proofing: number; methods: Method[] }>(
        `SELECT a.proofing, ${methods} FROM accounts a WHERE a.id = $1 AND a.state = 'active' FOR UPDATE OF a`,
        [accountId],
      );
      return row;
    },

    async open(tx, identifier, { verified, language }) {
      const accountId = await insert(tx, language);
      await assign(tx, accountId, identifier, { verified });
      return accountId;
    },

    async setState(accountId, state, actor) {
      await db.transaction(async (tx) => {
        const changed = await tx.query(
          `UPDATE accounts SET state = $2 WHERE id = $1 AND state <> 'closed' RETURNING id`,
          [accountId, state],
        );
        if (changed.length === 0) return;
        await audit.record(tx, {
          type: 'account.state-changed',
          actor,
          subject: accountId,
          detail: { state },
        });
      });
    },

    async account(id) {
      const rows = await db.query<AccountRow>(
        `SELECT a.id, a.created_at, a.proofing, ${methods}, w.stands_alone, w.created_at AS password_since,
                i.kind, i.value, i.verified_at
           FROM accounts a LEFT JOIN account_identifiers i ON i.account_id = a.id
           LEFT JOIN password_credentials w ON w.account_id = a.id
          WHERE a.id = $1 AND a.state = 'active'`,
        [id],
      );
      const [first] = rows;
      if (!first) return undefined;
      const valueOf = (kind: IdentifierKind) => {
        const value = rows.find((row) => row.kind === kind)?.value;
        return value ? Buffer.from(cipher.decrypt(value, first.id)).toString('utf8') : undefined;
      };
      const verified = (kind: IdentifierKind) =>
        rows.some((row) => row.kind === kind && row.verified_at !== null);
      const phoneVerified = verified('phone');
      const emailVerified = verified('email');
      const { stands_alone: standsAlone, password_since: since } = first;
      return {
        id: first.id,
        createdAt: first.created_at,
        username: valueOf('username'),
        phone: valueOf('phone'),
        phoneVerified,
        email: valueOf('email'),
        emailVerified,
        // A phone or an address that was checked is the first level of proofing.
        proofing: Math.max(first.proofing, phoneVerified || emailVerified ? 1 : 0),
        methods: first.methods,
        password: standsAlone === null || since === null ? undefined : { standsAlone, since },
      };
    },

    keysOf(text) {
      const identifier = parseIdentifier(text) ?? NOBODY;
      return [identifier.kind, blindIndex.all(indexed(identifier))];
    },

    async find(text) {
      const found = await lookUp(parseIdentifier(text) ?? NOBODY);
      return found?.state === 'active' ? found.id : undefined;
    },

    async findByAddress(address) {
      const found = await lookUp(identifierOf(address));
      return found?.state === 'active' && found.verified ? found.id : undefined;
    },

    async isTaken(address) {
      return (await lookUp(identifierOf(address))) !== undefined;
    },

    async findInAnyState(text) {
      return (await lookUp(parseIdentifier(text) ?? NOBODY))?.id;
    },
  };
}

/** What an account is called before its owner: the user name, or as much of the phone number or the address as they know it by. */
export function labelOf({ username, phone, email }: Account): string {
  return (
    username ??
    (phone === undefined ? undefined : masked({ channel: 'sms', value: phone })) ??
    (email === undefined ? '' : masked({ channel: 'email', value: email }))
  );
}
