/** What happens to the devices of an account whose password is another now: they were known by the one before. */
import type { Queryable } from '../../platform/db/db.ts';
import type { DeviceId } from '../../platform/ids.ts';

/**
 * Forgets every device of an account: none of them has a budget of its own for guesses any more, or passes without a second factor from
 * where nobody expects the person. Networks stay known: without any, a sign-in would pass for the account's first.
 * @param device The one at which the person is, which stays known.
 * @returns how many were forgotten.
 */
export async function forgetDevices(
  tx: Queryable,
  accountId: string,
  device: DeviceId | undefined,
): Promise<number> {
  const rows = await tx.query(
    'DELETE FROM known_devices WHERE account_id = $1 AND id IS DISTINCT FROM $2 RETURNING id',
    [accountId, device ?? null],
  );
  return rows.length;
}
