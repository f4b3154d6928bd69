/** What people have agreed to, per account and portal, across sessions and devices. */
import type Provider from 'oidc-provider';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';

type Grant = InstanceType<Provider['Grant']>;

/** Scopes by resource indicator (RFC 8707); OpenID Connect's own under the empty string. */
export type ScopesByResource = Readonly<Record<string, readonly string[]>>;

/** Adds scopes to a grant; adding one again changes nothing. */
export function addScopes(grant: Grant, scopes: ScopesByResource): void {
  for (const [resource, list] of Object.entries(scopes))
    for (const scope of list) {
      if (resource === '') grant.addOIDCScope(scope);
      else grant.addResourceScope(resource, scope);
    }
}

export interface Consents {
  /** Remembers what was agreed to, with its audit entry, in one transaction. */
  remember(accountId: string, clientId: string, scopes: ScopesByResource): Promise<void>;
  /** Everything that the person has agreed to give this portal. */
  given(accountId: string, clientId: string): Promise<ScopesByResource>;
}

export function createConsents(parts: { db: Db; clock: Clock; audit: AuditLog }): Consents {
  const { db, clock, audit } = parts;
  return {
    async remember(accountId, clientId, scopes) {
      const entries = Object.entries(scopes).flatMap(([resource, list]) =>
        list.map((scope) => ({ resource, scope })),
      );
      await db.transaction(async (tx) => {
        for (const { resource, scope } of entries)
          await tx.query(
            `INSERT INTO consents (account_id, client_id, resource, scope, given_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING`,
            [accountId, clientId, resource, scope, clock.now()],
          );
        await audit.record(tx, {
          type: 'consent.given',
          actor: accountId,
          subject: accountId,
          detail: { clientId, scopes: entries.map(({ scope }) => scope) },
        });
      });
    },
    async given(accountId, clientId) {
      const rows = await db.query<{ resource: string; scope: string }>(
        'SELECT resource, scope FROM consents WHERE account_id = $1 AND client_id = $2',
        [accountId, clientId],
      );
      const scopes: Record<string, string[]> = {};
      for (const { resource, scope } of rows) (scopes[resource] ??= []).push(scope);
      return scopes;
    },
  };
}
