/** Accounts as each process remembers them: read once, dropped in every process at once when one changes. */
import type { Db } from '../platform/db/db.ts';
import type { Account, Accounts } from './accounts.ts';

export interface AccountCache {
  /** The account, if it exists and is active. */
  account(id: string): Promise<Account | undefined>;
  /** Reads the account anew: for whoever has just changed it, perhaps in another process whose word is still on its way. */
  refreshed(id: string): Promise<Account | undefined>;
  stop(): Promise<void>;
}

const CHANNEL = 'accounts_changed';
const ENTRIES = 20_000;

export async function createAccountCache(parts: {
  db: Db;
  identity: Pick<Accounts, 'account'>;
}): Promise<AccountCache> {
  const known = new Map<string, Promise<Account | undefined>>();
  const stop = await parts.db.listen(CHANNEL, (id) => {
    if (id === '') known.clear();
    else known.delete(id);
  });

  function account(id: string): Promise<Account | undefined> {
    const kept = known.get(id);
    if (kept) return kept;
    const loading = parts.identity.account(id);
    known.set(id, loading);
    loading.then(
      // Only accounts that exist are remembered: one may be made at any time.
      (account) => account ?? known.delete(id),
      () => known.delete(id),
    );
    const [oldest] = known.keys();
    if (known.size > ENTRIES && oldest !== undefined) known.delete(oldest);
    return loading;
  }

  return {
    account,
    refreshed(id) {
      known.delete(id);
      return account(id);
    },
    stop,
  };
}
