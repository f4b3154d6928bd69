/**
 * Whom an upstream identity belongs to here: the account that is linked to it, else the account that holds the document which it vouches for,
 * else a new one. Never an account with the same e-mail address.
 */
import type { AuditLog } from '../../audit/index.ts';
import { createBlindIndex, createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import { newId, type AccountId } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import type { Accounts } from '../accounts.ts';
import type { Showing } from '../credentials/showing.ts';
import { ProofingError } from '../proofing/errors.ts';
import type { LinkId } from '../proofing/account-links.ts';
import type { Persons, Proof } from '../proofing/persons.ts';
import { UpstreamError, type Upstream, type UpstreamIdentity } from './upstream.ts';

export interface Federation {
  /** The providers that people can be sent to. */
  readonly upstreams: readonly Upstream[];
  /**
   * Signs in whoever an upstream identity belongs to; somebody new gets an account.
   * @throws {UpstreamError} UPSTREAM_REFUSED: the account cannot be used.
   */
  signIn(identity: UpstreamIdentity): Promise<Showing>;
  /**
   * Ties an upstream identity to an account that has been shown, and proofs it by what the provider vouches for.
   * @throws {UpstreamError} UPSTREAM_REFUSED: it belongs to another account, or vouches for too little.
   * @throws {ProofingError} DOCUMENT_DIFFERS, ACCOUNT_NOT_ACTIVE
   */
  prove(
    accountId: AccountId,
    identity: UpstreamIdentity,
  ): Promise<{ kind: 'proofed'; level: number } | { kind: 'taken'; link: LinkId }>;
}

export const UPSTREAM_LINKS = {
  table: 'upstream_links',
  key: { id: 'text' },
  reads: ['issuer'],
  values: { subject: { purpose: 'field/upstream-subject', context: (row) => row['id'] } },
  indexes: {
    subject_index: {
      purpose: 'upstream-subject',
      of: ({ issuer }, { subject = '' }) => JSON.stringify([issuer, subject]),
    },
  },
} as const satisfies EncryptedTable;

/** From this level on a document that is vouched for decides whose an account is. */
const VOUCHED = 2;

export function createFederation(parts: {
  db: Db;
  audit: AuditLog;
  dataKeys: DataKeys;
  clock: Clock;
  persons: Persons;
  openWithoutIdentifier: Accounts['openWithoutIdentifier'];
  upstreams: readonly Upstream[];
}): Federation {
  const { db, audit, clock, persons } = parts;
  const blindIndex = createBlindIndex(parts.dataKeys, UPSTREAM_LINKS.indexes.subject_index.purpose);
  const cipher = createCipher(parts.dataKeys, UPSTREAM_LINKS.values.subject.purpose);
  const keyOf = ({ issuer, subject }: UpstreamIdentity) => JSON.stringify([issuer, subject]);

  /** The account that an identity is linked to, in any state. Nobody else comes to link it until the transaction ends. */
  async function linkedIn(
    tx: Queryable,
    identity: UpstreamIdentity,
  ): Promise<{ id: AccountId; state: string } | undefined> {
    await blindIndex.lock(tx, keyOf(identity));
    const [row] = await tx.query<{ id: AccountId; state: string }>(
      `SELECT a.id, a.state FROM upstream_links u JOIN accounts a ON a.id = u.account_id
        WHERE u.issuer = $1 AND u.subject_index = ANY($2)`,
      [identity.issuer, blindIndex.all(keyOf(identity))],
    );
    return row;
  }

  async function link(tx: Queryable, accountId: AccountId, identity: UpstreamIdentity): Promise<void> {
    const { issuer, subject, method } = identity;
    const id = newId('upl', clock.now());
    await tx.query(
      `INSERT INTO upstream_links (id, issuer, subject_index, subject, account_id, two_factors, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [
        id,
        issuer,
        blindIndex.current(keyOf(identity)),
        cipher.encrypt(Buffer.from(subject), id),
        accountId,
        method === 'fedmfa',
        clock.now(),
      ],
    );
  }

  async function recordLink(
    tx: Queryable,
    accountId: AccountId,
    { issuer }: UpstreamIdentity,
  ): Promise<void> {
    await audit.record(tx, {
      type: 'upstream.linked',
      actor: accountId,
      subject: accountId,
      detail: { issuer },
    });
  }

  /** What the provider vouches for, if it is enough to say who somebody is. */
  function proofOf({ person, level, upstream, trustFramework }: UpstreamIdentity): Proof | undefined {
    if (!person || level < VOUCHED) return undefined;
    return { ...person, level, authority: upstream, trustFramework, fictional: false, method: 'upstream' };
  }

  /** The active account that an identity belongs to, linked by now; undefined: nobody's. */
  async function owner(identity: UpstreamIdentity): Promise<AccountId | undefined> {
    const proof = proofOf(identity);
    return db.transaction(async (tx) => {
      const linked = await linkedIn(tx, identity);
      if (linked && linked.state !== 'active')
        throw new UpstreamError('UPSTREAM_REFUSED', 'The account cannot be used.');
      if (linked) {
        if (identity.method === 'fedmfa')
          await tx.query(
            `UPDATE upstream_links SET two_factors = true
              WHERE issuer = $1 AND subject_index = ANY($2) AND NOT two_factors`,
            [identity.issuer, blindIndex.all(keyOf(identity))],
          );
        return linked.id;
      }
      const holder = proof && (await persons.lockHolder(tx, proof.document));
      if (holder === undefined) return undefined;
      const [active] = await tx.query(`SELECT id FROM accounts WHERE id = $1 AND state = 'active'`, [holder]);
      if (!active) throw new UpstreamError('UPSTREAM_REFUSED', 'The account cannot be used.');
      await link(tx, holder, identity);
      await recordLink(tx, holder, identity);
      return holder;
    });
  }

  /** Opens an account for somebody who has none. @returns undefined: meanwhile there is one. */
  async function open(identity: UpstreamIdentity): Promise<AccountId | undefined> {
    const proof = proofOf(identity);
    const overtaken = Symbol('overtaken');
    try {
      return await db.transaction(async (tx) => {
        if (await linkedIn(tx, identity)) throw overtaken;
        const accountId = await parts.openWithoutIdentifier(tx);
        await link(tx, accountId, identity);
        if (proof && (await persons.settleIn(tx, accountId, proof)).kind === 'taken') throw overtaken;
        await audit.record(tx, {
          type: 'account.registered',
          actor: accountId,
          subject: accountId,
          detail: { identifierKind: 'upstream' },
        });
        return accountId;
      });
    } catch (error) {
      if (error === overtaken) return undefined;
      throw error;
    }
  }

  return {
    upstreams: parts.upstreams,

    async signIn(identity) {
      const { method, at } = identity;
      const accountId = (await owner(identity)) ?? (await open(identity)) ?? (await owner(identity));
      if (accountId === undefined) throw new TypeError('an upstream identity found no account');
      const proof = proofOf(identity);
      if (proof)
        // A sign-in does not fail for what the account was proofed with before.
        await persons.settle(accountId, proof).catch((error: unknown) => {
          if (!(error instanceof ProofingError)) throw error;
        });
      return { accountId, method, at };
    },

    async prove(accountId, identity) {
      const proof = proofOf(identity);
      if (!proof)
        throw new UpstreamError(
          'UPSTREAM_REFUSED',
          'The other provider does not say well enough who this is.',
        );
      const settled = await persons.settle(accountId, proof);
      if (settled.kind === 'taken') return settled;
      await db.transaction(async (tx) => {
        const linked = await linkedIn(tx, identity);
        if (linked && linked.id !== accountId)
          throw new UpstreamError('UPSTREAM_REFUSED', 'The identity belongs to another account.');
        if (linked) return;
        await link(tx, accountId, identity);
        await recordLink(tx, accountId, identity);
      });
      return settled;
    },
  };
}
