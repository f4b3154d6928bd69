/** Taking a factor away from an account: what is kept of it goes, and the audit log says so, in one transaction. */
import type { AuditLog } from '../../audit/index.ts';
import type { Db } from '../../platform/db/db.ts';

/** Where factors lie of which an account has one, or one set. */
const TABLES = { otp: 'totp_credentials', recovery: 'recovery_codes' } as const;

/** @returns whether the account had it. Of any number who take it away at once one gets `true`. */
export function removeFactor(
  { db, audit }: { db: Db; audit: AuditLog },
  accountId: string,
  method: keyof typeof TABLES,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const removed = await tx.query(
      `DELETE FROM ${TABLES[method]} WHERE account_id = $1 RETURNING account_id`,
      [accountId],
    );
    if (removed.length === 0) return false;
    await audit.record(tx, {
      type: 'account.factor-removed',
      actor: accountId,
      subject: accountId,
      detail: { method },
    });
    return true;
  });
}
