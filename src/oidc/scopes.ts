/** What a portal can ask for, as data: which claims a scope releases, and whether a person is asked first. Pure. */
import type { Account } from '../identity/index.ts';

export interface Scope {
  /** Claims released with it (OpenID Connect Core 1.0, section 5.4). */
  readonly claims: readonly string[];
  /**
   * `openid` alone tells a portal nothing but a number made for it, so no one is asked. Whatever says something of a person, or lets a
   * portal act for one, is asked for.
   */
  readonly consent: boolean;
}

export const OPENID_SCOPES = {
  openid: { claims: ['sub', 'auth_time', 'acr', 'amr'], consent: false },
  profile: { claims: ['preferred_username'], consent: true },
  phone: { claims: ['phone_number', 'phone_number_verified'], consent: true },
  /** Access that goes on after the person has left (OpenID Connect Core 1.0, section 11). */
  offline_access: { claims: [], consent: true },
} satisfies Record<string, Scope>;

/** Scopes of our own API, asked for with `resource` (RFC 8707). */
export const API_SCOPES = {
  'seals:use': { claims: [], consent: true },
} satisfies Record<string, Scope>;

export const SCOPES: Readonly<Record<string, Scope>> = { ...OPENID_SCOPES, ...API_SCOPES };

/** A claim about a person, as it is put to them. */
export interface PersonalClaim {
  /** The value that they are shown before agreeing, with its middle hidden where it identifies. */
  shown(account: Account): string | undefined;
  /** Claims that say something about this one and go with it. */
  readonly with: readonly string[];
}

export const PERSONAL_CLAIMS: Readonly<Record<string, PersonalClaim>> = {
  preferred_username: { shown: (account) => account.username, with: [] },
  phone_number: {
    shown: (account) => account.phone?.replace(/^\+86(\d{3})\d{4}(\d{4})$/, '$1****$2'),
    with: ['phone_number_verified'],
  },
};

/** The personal claim that `claim` is or goes with. */
export function personalClaimOf(claim: string): string | undefined {
  return Object.keys(PERSONAL_CLAIMS).find(
    (name) => name === claim || PERSONAL_CLAIMS[name]?.with.includes(claim),
  );
}

/** The claims of an account, before scopes and consent decide which of them leave (OpenID Connect Core 1.0, section 5.1). */
export function claimsOf(account: Account): { sub: string; [claim: string]: unknown } {
  return {
    sub: account.id,
    ...(account.username === undefined ? {} : { preferred_username: account.username }),
    ...(account.phone === undefined ? {} : { phone_number: account.phone, phone_number_verified: false }),
  };
}
