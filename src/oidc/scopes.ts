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
  /** The value that a person is shown before agreeing, with its middle hidden where it identifies. */
  shown?(account: Account): string | undefined;
}

export const OPENID_SCOPES = {
  openid: { claims: ['sub', 'auth_time', 'amr'], consent: false },
  profile: { claims: ['preferred_username'], consent: true, shown: (account) => account.username },
  phone: {
    claims: ['phone_number', 'phone_number_verified'],
    consent: true,
    shown: (account) => account.phone?.replace(/^\+86(\d{3})\d{4}(\d{4})$/, '$1****$2'),
  },
} satisfies Record<string, Scope>;

/** Scopes of our own API, asked for with `resource` (RFC 8707). */
export const API_SCOPES = {
  'seals:use': { claims: [], consent: true },
} satisfies Record<string, Scope>;

export const SCOPES: Readonly<Record<string, Scope>> = { ...OPENID_SCOPES, ...API_SCOPES };

/** The claims of an account, before scopes and consent decide which of them leave (OpenID Connect Core 1.0, section 5.1). */
export function claimsOf(account: Account): { sub: string; [claim: string]: unknown } {
  return {
    sub: account.id,
    ...(account.username === undefined ? {} : { preferred_username: account.username }),
    ...(account.phone === undefined ? {} : { phone_number: account.phone, phone_number_verified: false }),
  };
}
