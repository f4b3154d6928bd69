/**
 * Recovery of an account whose password, or second factor, is lost (NIST SP 800-63B-4, section 4.2). It never lowers assurance: what was not
 * shown again is not given back. Whoever shows an address and the second factor sets a new password. Whoever shows the address alone
 * gets an account of the first level, to be proofed again for more; and where there is a second factor, which they would have lost,
 * they wait, while every address of the account is told how to stop it.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type AccountId, type DeviceId } from '../platform/ids.ts';
import type { Account, Accounts } from './accounts.ts';
import type { Method } from './assurance.ts';
import { newPaperCode, printed, readPaperCode } from './credentials/paper-code.ts';
import type { Passwords } from './credentials/passwords.ts';
import { IdentityError } from './errors.ts';
import type { Notices } from './notices.ts';
import { forgetDevices } from './protection/forget-devices.ts';

/** What somebody who has shown an address of an account does next. */
export type RecoveryStep =
  /** Shows one of these, or says that all are lost. */
  | { readonly kind: 'second-factor'; readonly methods: readonly Method[] }
  | { readonly kind: 'wait'; readonly until: Date }
  | { readonly kind: 'new-password' };

export interface Waiting {
  readonly readyAt: Date;
  readonly expiresAt: Date;
}

/** Second factors that were set up as such. A phone number is none here: it may be the very address that was shown, or have gone with it. */
const SECOND_FACTORS: ReadonlySet<Method> = new Set(['otp', 'recovery', 'swk', 'hwk']);
/** How long a recovery can be completed after it has waited. */
const OPEN_HOURS = 7 * 24;
const HOUR_MS = 3_600_000;

/** Pure. @param shown What was shown in this recovery. @param waiting The recovery that was begun before, if one waits. */
export function recoveryStep(
  account: Pick<Account, 'methods'>,
  shown: readonly Method[],
  waiting: Waiting | undefined,
  now: Date,
): RecoveryStep {
  const methods = account.methods.filter((method) => SECOND_FACTORS.has(method));
  if (methods.length === 0 || shown.some((method) => SECOND_FACTORS.has(method)))
    return { kind: 'new-password' };
  if (!waiting || waiting.expiresAt <= now) return { kind: 'second-factor', methods };
  return waiting.readyAt > now ? { kind: 'wait', until: waiting.readyAt } : { kind: 'new-password' };
}

export interface Recovery {
  /** The recovery of an account that waits, or has waited and can be completed. */
  waiting(accountId: string): Promise<Waiting | undefined>;
  /** Begins to wait, and tells the holder. Where one waits already nothing happens. @returns until when it waits. */
  begin(accountId: AccountId): Promise<Waiting>;
  /** Stops the recovery that a notice told of. @param word The word in it. @returns whether there was one to stop. */
  stop(word: string): Promise<boolean>;
  /** A sign-in that shows a second factor stops a recovery which claims that they are lost. */
  refute(tx: Queryable, accountId: string, shown: readonly Method[]): Promise<void>;
  /**
   * Sets a new password and takes away what was not shown: second factors that are lost, and the level of proofing that rested on them.
   * Devices that the account knew are known no more, but for the one at which the person is (`device`).
   * Of a recovery that is completed and stopped at once one happens.
   * @throws {IdentityError} what is wrong with the password; RECOVERY_NOT_READY: the second factor was not shown, and no recovery has waited.
   */
  complete(completion: {
    accountId: AccountId;
    password: string;
    shown: readonly Method[];
    device?: DeviceId | undefined;
  }): Promise<void>;
}

export function createRecovery(parts: {
  db: Db;
  clock: Clock;
  notices: Notices;
  accounts: Pick<Accounts, 'lock'>;
  passwords: Passwords;
  /** Where people type the word that stops a recovery. */
  stopAddress: string;
  /** How long a recovery without the second factor waits. */
  waitHours: number;
}): Recovery {
  const { db, clock, notices, accounts, passwords } = parts;
  const { audit } = notices;

  /** Ends the waiting of a recovery: of any number who try, each in their way, one does. */
  async function settle(
    tx: Queryable,
    where: string,
    parameters: readonly unknown[],
    state: 'stopped' | 'completed' | 'expired',
  ): Promise<AccountId | undefined> {
    const [row] = await tx.query<{ account_id: AccountId }>(
      `UPDATE recoveries SET state = '${state}' WHERE state = 'waiting' AND ${where} RETURNING account_id`,
      parameters,
    );
    return row?.account_id;
  }

  async function find(tx: Queryable, accountId: string): Promise<Waiting | undefined> {
    const [row] = await tx.query<{ ready_at: Date; expires_at: Date }>(
      `SELECT ready_at, expires_at FROM recoveries WHERE account_id = $1 AND state = 'waiting' AND expires_at > $2`,
      [accountId, clock.now()],
    );
    return row && { readyAt: row.ready_at, expiresAt: row.expires_at };
  }

  async function recordStopped(tx: Queryable, accountId: AccountId, by: 'word' | 'sign-in'): Promise<void> {
    await notices.tell(tx, accountId, 'recoveryStopped');
    await audit.record(tx, {
      type: 'account.recovery-stopped',
      actor: accountId,
      subject: accountId,
      detail: { by },
    });
  }

  return {
    waiting: (accountId) => find(db, accountId),

    begin(accountId) {
      const now = clock.now();
      const readyAt = new Date(now.getTime() + parts.waitHours * HOUR_MS);
      const expiresAt = new Date(readyAt.getTime() + OPEN_HOURS * HOUR_MS);
      const word = newPaperCode();
      return db.transaction(async (tx) => {
        await settle(tx, 'account_id = $1 AND expires_at <= $2', [accountId, now], 'expired');
        const begun = await tx.query(
          `INSERT INTO recoveries (id, account_id, state, stop_digest, started_at, ready_at, expires_at)
             VALUES ($1, $2, 'waiting', $3, $4, $5, $6)
           ON CONFLICT (account_id) WHERE state = 'waiting' DO NOTHING RETURNING id`,
          [newId('rcv', now), accountId, digestOf(word), now, readyAt, expiresAt],
        );
        if (begun.length === 0) return (await find(tx, accountId)) ?? { readyAt, expiresAt };
        await notices.tell(tx, accountId, 'recoveryStarted', {
          until: readyAt.toISOString(),
          address: parts.stopAddress,
          word: printed(word),
        });
        await audit.record(tx, {
          type: 'account.recovery-started',
          actor: accountId,
          subject: accountId,
          detail: { readyAt: readyAt.toISOString() },
        });
        return { readyAt, expiresAt };
      });
    },

    stop(word) {
      return db.transaction(async (tx) => {
        const digest = digestOf(readPaperCode(word));
        const accountId = await settle(
          tx,
          'stop_digest = $1 AND expires_at > $2',
          [digest, clock.now()],
          'stopped',
        );
        if (accountId !== undefined) await recordStopped(tx, accountId, 'word');
        return accountId !== undefined;
      });
    },

    async refute(tx, accountId, shown) {
      if (!shown.some((method) => SECOND_FACTORS.has(method))) return;
      const stopped = await settle(tx, 'account_id = $1', [accountId], 'stopped');
      if (stopped !== undefined) await recordStopped(tx, stopped, 'sign-in');
    },

    async complete({ accountId, password, shown, device }) {
      const hash = await passwords.hash(password, { accountId });
      // It may be all that is left.
      if (!hash.standsAlone)
        throw new IdentityError('PASSWORD_SHORT', 'The new password cannot be accepted as it is.');
      const now = clock.now();
      await db.transaction(async (tx) => {
        const account = await accounts.lock(tx, accountId);
        const proven = shown.some((method) => SECOND_FACTORS.has(method));
        const lost = !proven && account?.methods.some((method) => SECOND_FACTORS.has(method)) === true;
        const waited = 'account_id = $1 AND ready_at <= $2 AND expires_at > $2';
        if (!account || (lost && (await settle(tx, waited, [accountId, now], 'completed')) === undefined))
          throw new IdentityError('RECOVERY_NOT_READY', 'The account cannot be recovered in this way yet.');
        if (lost)
          for (const table of ['totp_credentials', 'passkeys', 'recovery_codes'])
            await tx.query(`DELETE FROM ${table} WHERE account_id = $1`, [accountId]);
        else await settle(tx, 'account_id = $1', [accountId], 'stopped');
        const lowered = !proven && account.proofing > 1;
        if (lowered) await tx.query('UPDATE accounts SET proofing = 1 WHERE id = $1', [accountId]);
        await passwords.set(tx, accountId, hash);
        const devicesForgotten = await forgetDevices(tx, accountId, device);
        await notices.tell(tx, accountId, 'recoveryFinished');
        await audit.record(tx, {
          type: 'account.recovered',
          actor: accountId,
          subject: accountId,
          detail: { shown, secondFactorsRemoved: lost, proofingLowered: lowered, devicesForgotten },
        });
      });
    },
  };
}

function digestOf(word: string): Buffer {
  return createHash('sha256').update(`recovery:${word}`).digest();
}
