/**
 * On whose behalf a person uses a portal: for themselves, for an organisation, or for one of its units. It is chosen for one portal at a
 * time, kept in the grant that everything of that choice rests on, and asked of the organisations room again at every use: when a role or
 * mandate ends, so does the grant. A portal learns of no organisation but the one that a person acts for there.
 */
import type Provider from 'oidc-provider';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import {
  OrganisationError,
  type Acting,
  type Authority,
  type Organisations,
  type Role,
} from '../organisations/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';

/** The scope with which a portal asks for it. */
export const ORGANISATION_SCOPE = 'organisation';
/** The prompt (`prompt=select_organisation`) with which a portal lets a person choose again, without signing in. */
export const SELECT_ORGANISATION = 'select_organisation';

/** What was chosen, and when: seconds since 1970. */
export interface Choice {
  /** `null`: the person acts for themselves. */
  readonly as: Acting | null;
  readonly at: number;
}

/** Members that this provider adds to the library's grant and session. */
export interface WithChoice {
  acting?: Choice;
}

/** What the page of an interaction leaves behind. */
export interface SelectionResult {
  readonly acting: Choice;
}

/** What a portal with the scope is told of it. */
export interface ActingClaims {
  readonly organisation: {
    /** GB 32100. */
    readonly unified_social_credit_code: string;
    readonly name: string;
    readonly unit?: string;
  };
  /** The natural person who acts (RFC 8693, section 4.1), by the number that the portal knows them by. */
  readonly act: { readonly sub: string };
  readonly organisation_authority: {
    /** By roles in it, or by a mandate of it. */
    readonly kind: 'role' | 'mandate';
    readonly roles?: readonly Role[];
    /** What the mandate is for. */
    readonly purpose?: string;
    /** Seconds since 1970; `valid_to` is the first second at which it is good no more, if that is known. */
    readonly valid_from?: number;
    readonly valid_to?: number;
  };
}

export interface ActingFor {
  /** For whom a person may act at a portal. */
  choices(accountId: string, clientId: string): Promise<Authority[]>;
  /** The choice that a request goes on with; undefined: the person is asked, or there is nothing to choose. */
  decide(ctx: KoaContextWithOIDC, existing: WithChoice | undefined): Promise<Choice | undefined>;
  /** What the person may do under a grant now; undefined where they act for themselves, or may no longer act. */
  authorityOf(grant: object | undefined): Promise<Authority | undefined>;
  /** What is added to an access token: the claims, where its portal has asked for them. Puts the use of a mandate on record. */
  extraTokenClaims(ctx: KoaContextWithOIDC, sub: (accountId: string) => Promise<string>): Promise<object>;
  /** Lets every grant keep its choice, and none outlive it. */
  attach(provider: Provider): void;
}

/** A choice as one word, for forms and for telling choices apart. */
export function wordOf(as: Acting | null): string {
  return as === null ? 'self' : (as.mandateId ?? as.unitId ?? as.organisationId);
}

/** The part of an authority that is a choice. */
export function actingOf({ organisation, unit, mandate }: Authority): Acting {
  return {
    organisationId: organisation.id,
    ...(unit ? { unitId: unit.id } : {}),
    ...(mandate ? { mandateId: mandate.id } : {}),
  };
}

export function createActing(parts: {
  readonly db: Db;
  readonly clock: Clock;
  readonly organisations: Pick<Organisations, 'actingFor' | 'authority' | 'use'>;
}): ActingFor {
  const { db, clock, organisations } = parts;
  const now = () => clock.now().getTime() / 1000;

  async function choices(accountId: string, clientId: string): Promise<Authority[]> {
    const all = await organisations.actingFor(accountId);
    return all.filter(({ mandate }) => mandate === undefined || mandate.services.includes(clientId));
  }

  async function authorityOf(grant: object | undefined): Promise<Authority | undefined> {
    const { acting, accountId, clientId } = (grant ?? {}) as WithChoice & {
      accountId?: string;
      clientId?: string;
    };
    return acting?.as && accountId !== undefined && clientId !== undefined
      ? organisations.authority(accountId, acting.as, { service: clientId })
      : undefined;
  }

  return {
    choices,
    authorityOf,

    async decide({ oidc }, existing) {
      const { session, client, result, requestParamScopes } = oidc;
      const kept = existing?.acting;
      if (!requestParamScopes.has(ORGANISATION_SCOPE) || !session?.accountId || !client) return kept;
      const selected = (result?.[SELECT_ORGANISATION] as SelectionResult | undefined)?.acting;
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to its payload by `attach`
      const switched = (session as unknown as WithChoice).acting;
      const newest = [selected, switched, kept]
        .filter((choice) => choice !== undefined)
        .toSorted((a, b) => b.at - a.at);
      // What is asked for anew is what is on the page.
      if (newest.length === 0 || newest[0] === switched) {
        const possible = await choices(session.accountId, client.clientId);
        if (switched && (switched.as === null || isAmong(switched.as, possible))) return switched;
        const [only, ...others] = possible;
        if (kept === undefined && only && others.length === 0) return { as: actingOf(only), at: now() };
        return kept;
      }
      return newest[0];
    },

    async extraTokenClaims({ oidc }, sub) {
      const { Grant: grant, ...source } = oidc.entities;
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to its payload by `attach`
      const { acting } = (grant ?? {}) as WithChoice;
      const scopes = (source.AuthorizationCode ?? source.RefreshToken ?? source.DeviceCode)?.scope ?? '';
      if (
        !grant?.accountId ||
        !grant.clientId ||
        !acting?.as ||
        !scopes.split(' ').includes(ORGANISATION_SCOPE)
      )
        return {};
      if (grant.getRejectedOIDCClaims().includes('organisation')) return {};
      const { accountId, clientId } = grant;
      const { as } = acting;
      try {
        // Whatever ends the authority comes before this, and is seen, or after it.
        const authority = await db.transaction((tx) =>
          organisations.use(tx, accountId, as, { service: clientId }),
        );
        return actingClaims(authority, await sub(accountId));
      } catch (error) {
        if (!(error instanceof OrganisationError)) throw error;
        await grant.destroy();
        throw new errors.InvalidGrant('the person may not act for this organisation any more');
      }
    },

    attach(provider) {
      for (const model of [provider.Grant, provider.Session]) {
        const { IN_PAYLOAD } = model as unknown as { IN_PAYLOAD: readonly string[] };
        const members = [...IN_PAYLOAD, 'acting'];
        Object.defineProperty(model, 'IN_PAYLOAD', { get: () => members });
      }
      const model = provider.Grant as unknown as {
        find(jti: string, options?: object): Promise<(WithChoice & { destroy(): Promise<void> }) | undefined>;
      };
      const find = model.find.bind(model);
      model.find = async (jti, options) => {
        const grant = await find(jti, options);
        if (!grant?.acting?.as || (await authorityOf(grant))) return grant;
        await grant.destroy();
        return undefined;
      };
    },
  };
}

function isAmong(as: Acting, possible: readonly Authority[]): boolean {
  return possible.some((authority) => wordOf(actingOf(authority)) === wordOf(as));
}

/** Pure. @param sub The number that the portal knows the person by. */
export function actingClaims({ organisation, unit, roles, mandate }: Authority, sub: string): ActingClaims {
  const seconds = (at: Date) => Math.floor(at.getTime() / 1000);
  return {
    organisation: {
      unified_social_credit_code: organisation.unifiedSocialCreditCode,
      name: organisation.name,
      ...(unit ? { unit: unit.name } : {}),
    },
    act: { sub },
    organisation_authority: mandate
      ? {
          kind: 'mandate',
          purpose: mandate.purpose,
          valid_from: seconds(mandate.validFrom),
          valid_to: seconds(mandate.validTo),
        }
      : { kind: 'role', roles },
  };
}
