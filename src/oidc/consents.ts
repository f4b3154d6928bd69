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

export interface Agreement {
  readonly scopes: ScopesByResource;
  /** Claims given one by one. */
  readonly claims: readonly string[];
  /** Claims refused, whichever way they were asked for. */
  readonly refused: readonly string[];
}

/** Writes an agreement into a grant: a claim's newest decision is the one that counts. */
export function applyAgreement(grant: Grant, { scopes, claims, refused }: Agreement): void {
  addScopes(grant, scopes);
  grant.addOIDCClaims([...claims]);
  // The library has a way to reject a claim and none to take that back.
  const { openid } = (grant as { rejected?: { openid?: { claims?: string[] } } }).rejected ?? {};
  if (openid?.claims) openid.claims = openid.claims.filter((claim) => !claims.includes(claim));
  grant.rejectOIDCClaims([...refused]);
}

export interface Consents {
  /** Remembers what was agreed to, with its audit entry, in one transaction. A claim's newest decision is the one that counts. */
  remember(accountId: string, clientId: string, agreement: Agreement): Promise<void>;
  /** Everything that the person has agreed to give this portal, and refused it. */
  given(accountId: string, clientId: string): Promise<Agreement>;
}

export function createConsents(parts: { db: Db; clock: Clock; audit: AuditLog }): Consents {
  const { db, clock, audit } = parts;
  return {
    async remember(accountId, clientId, { scopes, claims, refused }) {
      const entries = Object.entries(scopes).flatMap(([resource, list]) =>
        list.map((scope) => ({ resource, scope })),
      );
      const decisions = [
        ...claims.map((claim) => ({ claim, decision: 'given' })),
        ...refused.map((claim) => ({ claim, decision: 'refused' })),
      ];
      await db.transaction(async (tx) => {
        for (const { resource, scope } of entries)
          await tx.query(
            `INSERT INTO consents (account_id, client_id, resource, scope, given_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING`,
            [accountId, clientId, resource, scope, clock.now()],
          );
        for (const { claim, decision } of decisions)
          await tx.query(
            `INSERT INTO claim_decisions (account_id, client_id, claim, decision, decided_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (account_id, client_id, claim) DO UPDATE SET decision = $4, decided_at = $5`,
            [accountId, clientId, claim, decision, clock.now()],
          );
        await audit.record(tx, {
          type: 'consent.given',
          actor: accountId,
          subject: accountId,
          detail: { clientId, scopes: entries.map(({ scope }) => scope), claims, refused },
        });
      });
    },
    async given(accountId, clientId) {
      const rows = await db.query<{ resource: string | null; what: string; decision: 'given' | 'refused' }>(
        `SELECT resource, scope AS what, 'given' AS decision FROM consents WHERE account_id = $1 AND client_id = $2
         UNION ALL
         SELECT NULL, claim, decision FROM claim_decisions WHERE account_id = $1 AND client_id = $2`,
        [accountId, clientId],
      );
      const scopes: Record<string, string[]> = {};
      for (const { resource, what } of rows) if (resource !== null) (scopes[resource] ??= []).push(what);
      const decided = (wanted: string) =>
        rows
          .filter(({ resource, decision }) => resource === null && decision === wanted)
          .map(({ what }) => what);
      return { scopes, claims: decided('given'), refused: decided('refused') };
    },
  };
}
