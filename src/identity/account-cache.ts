/** Accounts as each process remembers them: read once, dropped in every process at once when one changes. */
import type { Db } from '../platform/db/db.ts';
import type { Account, Identity } from './accounts.ts';

export interface AccountCache {
  /** The account, if it exists and is active. */
  account(id: string): Promise<Account | undefined>;
  stop(): Promise<void>;
}

const CHANNEL = 'accounts_changed';
const ENTRIES = 20_000;

export async function createAccountCache(parts: { db: Db; identity: Identity }): Promise<AccountCache> {
  const known = new Map<string, Promise<Account | undefined>>();
  const stop = await parts.db.listen(CHANNEL, (id) => {
    if (id === '') known.clear();
    else known.delete(id);
  });
  return {
    account(id) {
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
    },
    stop,
  };
}
