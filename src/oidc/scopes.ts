/** What a portal can ask for, as data: which claims a scope releases, and whether a person is asked first. Pure. */
import {
  formatted,
  masked,
  type Account,
  type Document,
  type PostalAddress,
  type Person,
} from '../identity/index.ts';
import type { Authority } from '../organisations/index.ts';
import type { Portal } from '../portals/index.ts';

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
  email: { claims: ['email', 'email_verified'], consent: true },
  address: { claims: ['address'], consent: true },
  /** Who the person is, as an authority confirmed it; in place of the ID number a number that means something in one sector alone. */
  realname: { claims: ['name', 'id_number_hash'], consent: true },
  /** Which organisation the person acts for at this portal, if for any; see `acting.ts`. */
  organisation: { claims: ['organisation', 'act', 'organisation_authority'], consent: true },
  /** Access that goes on after the person has left (OpenID Connect Core 1.0, section 11). */
  offline_access: { claims: [], consent: true },
} satisfies Record<string, Scope>;

/** Claims that no scope releases: each is asked for by name (OpenID Connect Core 1.0, section 5.5). */
export const SINGLE_CLAIMS = [
  'birthdate',
  'gender',
  'id_number',
  'id_number_type',
  'verified_claims',
] as const;

/** Scopes of our own API, asked for with `resource` (RFC 8707). */
export const API_SCOPES = {
  'seals:use': { claims: [], consent: true },
  'organisations:read': { claims: [], consent: true },
  'organisations:manage': { claims: [], consent: true },
} satisfies Record<string, Scope>;

export const SCOPES: Readonly<Record<string, Scope>> = { ...OPENID_SCOPES, ...API_SCOPES };

/** What is known of somebody. Beside the account, only what a request needs was read. */
export interface About {
  readonly account: Account;
  readonly person?: Person | undefined;
  readonly address?: PostalAddress | undefined;
  /** For whom they act at the portal. */
  readonly authority?: Authority | undefined;
}

/** A claim about a person, as it is put to them. */
export interface PersonalClaim {
  /** The value that they are shown before agreeing, with its middle hidden where it identifies. */
  shown(about: About, t: (key: string) => string): string | undefined;
  /** Claims that say something about this one and go with it. */
  readonly with?: readonly string[];
  /** What has to be read for it beside the account. */
  readonly needs?: 'person' | 'address' | 'authority';
  /** What an operator must have allowed a portal that is given it. */
  readonly entitlement?: Portal['entitlements'][number];
}

export const PERSONAL_CLAIMS: Readonly<Record<string, PersonalClaim>> = {
  preferred_username: { shown: ({ account }) => account.username },
  phone_number: {
    shown: ({ account: { phone } }) =>
      phone === undefined ? undefined : masked({ channel: 'sms', value: phone }),
    with: ['phone_number_verified'],
  },
  email: {
    shown: ({ account: { email } }) =>
      email === undefined ? undefined : masked({ channel: 'email', value: email }),
    with: ['email_verified'],
  },
  address: {
    shown: ({ address }) => address && [address.region, address.locality, '***'].filter(Boolean).join(' '),
    needs: 'address',
  },
  name: { shown: ({ person }) => person && maskedName(person.name), needs: 'person' },
  birthdate: {
    shown: ({ person }) => person?.facts.birthdate?.replace(/-\d\d-\d\d$/, '-**-**'),
    needs: 'person',
  },
  gender: {
    shown: ({ person }, t) => person?.facts.gender && t(`gender.${person.facts.gender}`),
    needs: 'person',
  },
  id_number_hash: {
    shown: ({ person }, t) => person && t('claim.id_number_hash.shown'),
    needs: 'person',
  },
  id_number: {
    shown: ({ person }) => person && maskedNumber(person.document),
    with: ['id_number_type'],
    needs: 'person',
    entitlement: 'id-number',
  },
  organisation: {
    shown: ({ authority }, t) => (authority ? placeOf(authority) : t('claim.organisation.none')),
    with: ['act', 'organisation_authority'],
    needs: 'authority',
  },
};

/** Names of `verified_claims` stand for the claims inside; whoever is given them has agreed to each of those. */
export const VERIFIED_CLAIMS = 'verified_claims';

/** An organisation, or one of its units, as people read it. */
export function placeOf({ organisation, unit }: Pick<Authority, 'organisation' | 'unit'>): string {
  return unit ? `${organisation.name} ${unit.name}` : organisation.name;
}

function maskedName(name: string): string {
  const [first = '', ...rest] = [...name];
  return `${first}${'*'.repeat(Math.min(rest.length, 3))}`;
}

function maskedNumber({ number }: Document): string {
  return `${number.slice(0, 3)}${'*'.repeat(Math.max(number.length - 5, 1))}${number.slice(-2)}`;
}

/** The personal claim that `claim` is or goes with. */
export function personalClaimOf(claim: string): string | undefined {
  return Object.keys(PERSONAL_CLAIMS).find(
    (name) => name === claim || PERSONAL_CLAIMS[name]?.with?.includes(claim),
  );
}

/** Whether a portal may be given a claim that is asked for by name. */
export function mayReceive(portal: Portal, claim: string): boolean {
  if (claim === VERIFIED_CLAIMS) return portal.entitlements.includes('verified-claims');
  const name = personalClaimOf(claim);
  if (name === undefined) return true;
  const { entitlement } = PERSONAL_CLAIMS[name] ?? {};
  if (entitlement !== undefined) return portal.entitlements.includes(entitlement);
  return (
    portal.claims.includes(claim) ||
    portal.scopes.some((scope) => SCOPES[scope]?.claims.includes(claim) === true)
  );
}

/** The claims of an account that need nothing else to be read (OpenID Connect Core 1.0, section 5.1). */
export function claimsOf(account: Account): { sub: string; [claim: string]: unknown } {
  return {
    sub: account.id,
    ...(account.username === undefined ? {} : { preferred_username: account.username }),
    ...(account.phone === undefined
      ? {}
      : { phone_number: account.phone, phone_number_verified: account.phoneVerified }),
    ...(account.email === undefined ? {} : { email: account.email, email_verified: account.emailVerified }),
  };
}

/** Whether `claimsOf` says all that there is to say of this claim. */
export function isOfAccount(claim: string): boolean {
  const name = personalClaimOf(claim);
  return claim !== VERIFIED_CLAIMS && (name === undefined || PERSONAL_CLAIMS[name]?.needs === undefined);
}

/** What else is known of somebody, as claims. @param idNumberHash What the portal sees in place of the ID number. */
export function furtherClaimsOf(about: About, idNumberHash: string | undefined): Record<string, unknown> {
  const { person, address } = about;
  return {
    ...(person === undefined ? {} : personClaims(person, idNumberHash)),
    ...(address === undefined ? {} : { address: { formatted: formatted(address), ...address } }),
  };
}

/** What an authority confirmed of a person, as claims. */
export function personClaims(
  { name, document, facts }: Person,
  idNumberHash: string | undefined,
): Record<string, unknown> {
  return {
    name,
    ...(facts.birthdate === undefined ? {} : { birthdate: facts.birthdate }),
    ...(facts.gender === undefined ? {} : { gender: facts.gender }),
    id_number: document.number,
    id_number_type: document.kind,
    ...(idNumberHash === undefined ? {} : { id_number_hash: idNumberHash }),
  };
}
