/** What people have agreed to, per account and portal, across sessions and devices. */
import type Provider from 'oidc-provider';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { SCOPES } from './scopes.ts';

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

/** Whether all that a grant holds is agreed to. Pure. */
export function isAgreed(grant: Grant, { scopes, claims, refused }: Agreement): boolean {
  const { openid, resources = {} } = grant as {
    openid?: { scope?: string; claims?: readonly string[] };
    resources?: Readonly<Record<string, string>>;
  };
  const words = (text: string | undefined) => (text ?? '').split(' ').filter(Boolean);
  const given = new Set(scopes['']);
  // What was given and refused later stays in a grant, beside the refusal that takes its effect.
  const allowed = new Set([...claims, ...refused, ...[...given, 'openid'].flatMap(claimsOfScope)]);
  return (
    words(openid?.scope).every((scope) => given.has(scope) || SCOPES[scope]?.consent === false) &&
    (openid?.claims ?? []).every((claim) => allowed.has(claim)) &&
    Object.entries(resources).every(([resource, text]) =>
      words(text).every((scope) => scopes[resource]?.includes(scope)),
    )
  );
}

const claimsOfScope = (scope: string): readonly string[] => SCOPES[scope]?.claims ?? [];

/** What a portal was given by agreement. */
export interface PortalAgreement extends Agreement {
  readonly clientId: string;
  /** When something was first agreed to, and last decided. */
  readonly since: Date;
  readonly last: Date;
}

export interface Consents {
  /** Remembers what was agreed to, with its audit entry, in one transaction. A claim's newest decision is the one that counts. */
  remember(accountId: string, clientId: string, agreement: Agreement): Promise<void>;
  /** Everything that the person has agreed to give this portal, and refused it. */
  given(accountId: string, clientId: string): Promise<Agreement>;
  /** The same for every portal. */
  all(accountId: string): Promise<PortalAgreement[]>;
  /**
   * Saves a grant. One whose agreement was withdrawn while it was being made does not stay.
   * @returns its id, which is good for nothing then.
   */
  save(grant: Grant): Promise<string>;
  /** Takes back all that a portal was given. Its grants are the caller's to end. */
  withdraw(accountId: string, clientId: string): Promise<void>;
}

/** Removes what an account agreed to, for one that is closed. That it was agreed to stays in the audit log. */
export async function eraseConsents(tx: Queryable, accountId: string): Promise<void> {
  for (const table of ['consents', 'claim_decisions', 'backchannel_requests'])
    await tx.query(`DELETE FROM ${table} WHERE account_id = $1`, [accountId]);
}

export function createConsents(parts: { db: Db; clock: Clock; audit: AuditLog }): Consents {
  const { db, clock, audit } = parts;

  async function agreements(accountId: string, clientId: string | undefined): Promise<PortalAgreement[]> {
    const rows = await db.query<{
      client_id: string;
      resource: string | null;
      what: string;
      decision: 'given' | 'refused';
      at: Date;
    }>(
      `SELECT client_id, resource, scope AS what, 'given' AS decision, given_at AS at FROM consents
        WHERE account_id = $1 AND ($2::text IS NULL OR client_id = $2)
       UNION ALL
       SELECT client_id, NULL, claim, decision, decided_at FROM claim_decisions
        WHERE account_id = $1 AND ($2::text IS NULL OR client_id = $2)`,
      [accountId, clientId ?? null],
    );
    return [...Map.groupBy(rows, (row) => row.client_id)].map(([id, own]) => {
      const scopes: Record<string, string[]> = {};
      for (const { resource, what } of own) if (resource !== null) (scopes[resource] ??= []).push(what);
      const decided = (wanted: string) =>
        own
          .filter(({ resource, decision }) => resource === null && decision === wanted)
          .map(({ what }) => what);
      const times = own.map(({ at }) => at.getTime());
      return {
        clientId: id,
        scopes,
        claims: decided('given'),
        refused: decided('refused'),
        since: new Date(Math.min(...times)),
        last: new Date(Math.max(...times)),
      };
    });
  }

  async function given(accountId: string, clientId: string): Promise<Agreement> {
    const [agreement] = await agreements(accountId, clientId);
    return agreement ?? { scopes: {}, claims: [], refused: [] };
  }

  return {
    given,
    all: (accountId) => agreements(accountId, undefined),

    async save(grant) {
      const id = await grant.save();
      // Whoever ended the portal's grants meanwhile may have come too early for this one; what they withdrew is gone from the book by now.
      if (!isAgreed(grant, await given(grant.accountId ?? '', grant.clientId ?? ''))) await grant.destroy();
      return id;
    },

    async withdraw(accountId, clientId) {
      await db.transaction(async (tx) => {
        const scopes = await tx.query<{ scope: string }>(
          'DELETE FROM consents WHERE account_id = $1 AND client_id = $2 RETURNING scope',
          [accountId, clientId],
        );
        const claims = await tx.query<{ claim: string }>(
          'DELETE FROM claim_decisions WHERE account_id = $1 AND client_id = $2 RETURNING claim',
          [accountId, clientId],
        );
        await audit.record(tx, {
          type: 'consent.withdrawn',
          actor: accountId,
          subject: accountId,
          detail: {
            clientId,
            scopes: scopes.map(({ scope }) => scope),
            claims: claims.map(({ claim }) => claim),
          },
        });
      });
    },

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
  };
}
