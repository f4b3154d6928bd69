/** The claims that leave: read when somebody asks for them, and no more than is asked for. */
import type { Account, Identity } from '../identity/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Portal } from '../portals/index.ts';
import { actingClaims, type ActingFor } from './acting.ts';
import {
  claimsOf,
  furtherClaimsOf,
  mayReceive,
  PERSONAL_CLAIMS,
  personalClaimOf,
  personClaims,
  SCOPES,
  VERIFIED_CLAIMS,
  type About,
} from './scopes.ts';
import { readRequest, verifiedClaims } from './verified-claims.ts';

export interface Claims {
  /** What is known of somebody, as far as these claims need it. @param grant Says for whom they act. */
  about(account: Account, names: Iterable<string>, grant?: object): Promise<About>;
  /**
   * The claims of an account for one answer to a portal. Which of them leave is still decided by scope and consent.
   * @param asked.scope Scopes of the answer. @param asked.claims Claims asked for by name, each as it was asked for.
   * @param asked.agreed Whether the person has agreed to give this portal a claim, by scope or by name.
   */
  of(
    account: Account,
    portal: Portal | undefined,
    asked: {
      readonly scope: string;
      readonly claims: Readonly<Record<string, unknown>>;
      agreed(claim: string): boolean;
      /** What the answer rests on. */
      readonly grant?: object | undefined;
    },
  ): Promise<{ sub: string; [claim: string]: unknown }>;
}

export function createClaims(parts: {
  identity: Identity;
  acting: Pick<ActingFor, 'authorityOf'>;
  /** The number that a sector knows an account by. */
  subjectOf(accountId: string, sector: string): Promise<string>;
  clock: Clock;
  /** What an authority is called in `verified_claims`. */
  organizationOf: (authority: string) => string;
}): Claims {
  const { identity, acting, clock } = parts;

  async function about(account: Account, names: Iterable<string>, grant?: object): Promise<About> {
    const needs = new Set<string | undefined>(
      [...names].map((name) =>
        name === VERIFIED_CLAIMS ? 'person' : PERSONAL_CLAIMS[personalClaimOf(name) ?? '']?.needs,
      ),
    );
    const [person, address, authority] = await Promise.all([
      needs.has('person') ? identity.persons.person(account.id) : undefined,
      needs.has('address') ? identity.addresses.of(account.id) : undefined,
      needs.has('authority') ? acting.authorityOf(grant) : undefined,
    ]);
    return { account, person, address, authority };
  }

  return {
    about,

    async of(account, portal, asked) {
      const names = new Set([
        ...asked.scope.split(' ').flatMap((scope): readonly string[] => SCOPES[scope]?.claims ?? []),
        ...Object.keys(asked.claims),
      ]);
      const known = await about(account, names, asked.grant);
      const { person, authority } = known;
      const hash = portal && person && (await identity.persons.relationHash(person.document, portal.sector));
      const claims = { ...claimsOf(account), ...furtherClaimsOf(known, hash) };
      if (portal && authority)
        Object.assign(claims, actingClaims(authority, await parts.subjectOf(account.id, portal.sector)));
      const requests = readRequest(asked.claims[VERIFIED_CLAIMS]);
      if (portal && person && requests && mayReceive(portal, VERIFIED_CLAIMS)) {
        const agreed = Object.fromEntries(
          Object.entries(personClaims(person, hash)).filter(
            ([name]) => mayReceiveVerified(portal, name) && asked.agreed(name),
          ),
        );
        const organization = parts.organizationOf(person.evidence.authority);
        const verified = verifiedClaims(requests, { ...person.evidence, organization }, agreed, clock.now());
        if (verified) Object.assign(claims, { [VERIFIED_CLAIMS]: verified });
      }
      return claims;
    },
  };
}

/** Inside `verified_claims`, for which a portal is entitled as a whole, only the ID number needs more. */
export function mayReceiveVerified(portal: Portal, claim: string): boolean {
  const { entitlement } = PERSONAL_CLAIMS[personalClaimOf(claim) ?? ''] ?? {};
  return entitlement === undefined || portal.entitlements.includes(entitlement);
}
