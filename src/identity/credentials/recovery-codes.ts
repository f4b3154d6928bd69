/**
 * Recovery codes (look-up secrets, NIST SP 800-63B-4, section 3.1.2): ten codes on paper for the day on which a phone is lost. Each is good
 * once.
 */
import { createHash } from 'node:crypto';
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Db, Transaction } from '../../platform/db/db.ts';
import type { AccountId } from '../../platform/ids.ts';
import { IdentityError } from '../errors.ts';
import { newPaperCode, printed, readPaperCode } from './paper-code.ts';
import { removeFactor } from './remove-factor.ts';
import type { Showing } from './showing.ts';

export const RECOVERY_CODES = 10;

export interface RecoveryCodes {
  /**
   * Gives an account a new set; the one before is good no more.
   * @returns the codes, four groups of four. They are shown to the person now and can be had from nowhere later.
   */
  generate(accountId: AccountId, tx?: Transaction): Promise<string[]>;
  /**
   * Uses one up, typed with or without hyphens, in any case. Of any number who send it at once one gets through.
   * @throws {IdentityError} CODE_WRONG
   */
  check(attempt: { accountId: string; code: string }): Promise<Showing>;
  /** How many are left. */
  left(accountId: string): Promise<number>;
  /** Takes all of them away. @returns whether there were any. */
  remove(accountId: string): Promise<boolean>;
}

export function createRecoveryCodes(parts: { db: Db; clock: Clock; audit: AuditLog }): RecoveryCodes {
  const { db, clock, audit } = parts;

  async function generateIn(tx: Transaction, accountId: AccountId): Promise<string[]> {
    const codes = Array.from({ length: RECOVERY_CODES }, newPaperCode);
    // Two sets made at once would stand side by side.
    await tx.query('SELECT id FROM accounts WHERE id = $1 FOR UPDATE', [accountId]);
    await tx.query('DELETE FROM recovery_codes WHERE account_id = $1', [accountId]);
    await tx.query(
      `INSERT INTO recovery_codes (account_id, digest, created_at)
         SELECT $1, decode(digest, 'hex'), $3 FROM unnest($2::text[]) AS digest`,
      [accountId, codes.map((code) => digestOf(accountId, code).toString('hex')), clock.now()],
    );
    await audit.record(tx, {
      type: 'account.recovery-codes-made',
      actor: accountId,
      subject: accountId,
      detail: { codes: RECOVERY_CODES },
    });
    return codes.map(printed);
  }

  return {
    generate: (accountId, tx) =>
      tx ? generateIn(tx, accountId) : db.transaction((own) => generateIn(own, accountId)),

    async check({ accountId, code }) {
      const plain = readPaperCode(code);
      const at = clock.now();
      const id = await db.transaction(async (tx) => {
        const [taken] = await tx.query<{ account_id: AccountId }>(
          `UPDATE recovery_codes r SET used_at = $3 FROM accounts a
            WHERE r.account_id = $1 AND r.digest = $2 AND r.used_at IS NULL AND a.id = r.account_id AND a.state = 'active'
            RETURNING r.account_id`,
          [accountId, digestOf(accountId, plain), at],
        );
        if (!taken) throw new IdentityError('CODE_WRONG', 'The code is not right, or was used already.');
        const left = await leftOf(tx, accountId);
        await audit.record(tx, {
          type: 'account.recovery-code-used',
          actor: accountId,
          subject: accountId,
          detail: { left },
        });
        return taken.account_id;
      });
      return { accountId: id, method: 'recovery', at };
    },

    left: (accountId) => leftOf(db, accountId),

    remove: (accountId) => removeFactor(parts, accountId, 'recovery'),
  };
}

async function leftOf(db: Pick<Db, 'query'>, accountId: string): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    'SELECT count(*) AS n FROM recovery_codes WHERE account_id = $1 AND used_at IS NULL',
    [accountId],
  );
  return row?.n ?? 0;
}

function digestOf(accountId: string, code: string): Buffer {
  return createHash('sha256').update(`${accountId}:${code}`).digest();
}
