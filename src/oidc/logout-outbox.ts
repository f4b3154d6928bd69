/** Back-channel logout (OpenID Connect Back-Channel Logout 1.0), durable: a call is written down before the person's click is answered. */
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import type { Logger } from '../platform/logger.ts';
import { createOutbox, type Outbox } from '../platform/outbox.ts';

export interface LogoutCall {
  readonly clientId: string;
  readonly accountId: string;
  /** Session ID, where the portal asked for it. */
  readonly sid: string | undefined;
}

export type LogoutOutbox = Outbox<LogoutCall>;

export function createLogoutOutbox(parts: { db: Db; clock: Clock; logger: Logger }): LogoutOutbox {
  return createOutbox<LogoutCall>(parts, {
    table: 'logout_outbox',
    prefix: 'out',
    columns: ['client_id', 'account_id', 'sid'],
    values: ({ clientId, accountId, sid }) => [clientId, accountId, sid ?? null],
    item: (row) => ({
      clientId: row['client_id'] as string,
      accountId: row['account_id'] as string,
      sid: (row['sid'] as string | null) ?? undefined,
    }),
    // Half a day in all. A logout that is a day late protects nobody.
    pauses: [5, 15, 60, 300, 900, 3600, 14_400, 28_800],
    leaseSeconds: 30,
    parallel: 50,
    refused: { say: 'a logout was not accepted', about: ({ clientId }) => ({ clientId }) },
  });
}
