/** Which portals and grants the hot path serves: those with nothing unusual about them. Everything else is the library's. Pure. */
import type { Portal } from '../../portals/index.ts';
import { ORGANISATION_SCOPE } from '../acting.ts';
import { OPENID_SCOPES, SCOPES } from '../scopes.ts';

/** Client metadata that changes nothing of what the hot path does. */
const HARMLESS: ReadonlySet<string> = new Set([
  'grant_types',
  'response_types',
  'token_endpoint_auth_method',
  'backchannel_logout_session_required',
  'initiate_login_uri',
  'policy_uri',
  'tos_uri',
  'sector_identifier_uri',
  'client_id_issued_at',
  'introspection_signed_response_alg',
  'authorization_signed_response_alg',
]);

/** What the hot path needs of a portal, worked out once. */
export interface PlainPortal {
  readonly portal: Portal;
  readonly grantTypes: ReadonlySet<string>;
  readonly redirectUris: ReadonlySet<string>;
  readonly scopes: ReadonlySet<string>;
  /** Whether ID tokens and codes name the session (Back-Channel Logout 1.0, section 2.2). */
  readonly sid: boolean;
}

/** @returns undefined for a portal that asks for more than the plain case. */
export function toPlainPortal(portal: Portal): PlainPortal | undefined {
  const { metadata } = portal;
  const method = metadata.token_endpoint_auth_method ?? 'client_secret_basic';
  const ordinary =
    portal.profile === 'baseline' &&
    (method === 'client_secret_basic' || method === 'client_secret_post') &&
    (metadata.id_token_signed_response_alg ?? 'ES256') === 'ES256' &&
    Object.entries(metadata).every(
      ([member, value]) =>
        value === undefined || HARMLESS.has(member) || member === 'id_token_signed_response_alg',
    );
  if (!ordinary) return undefined;
  return {
    portal,
    grantTypes: new Set(metadata.grant_types ?? ['authorization_code']),
    redirectUris: new Set(portal.redirectUris),
    // For whom somebody acts is asked of the organisations at every use: that is left to the library.
    scopes: new Set(portal.scopes.filter((scope) => scope in OPENID_SCOPES && scope !== ORGANISATION_SCOPE)),
    sid: portal.backchannelLogoutUri !== undefined && (metadata.backchannel_logout_session_required ?? true),
  };
}

/** A grant as the library stores it. */
export interface GrantPayload {
  readonly accountId?: string;
  readonly clientId?: string;
  readonly iat?: number;
  readonly exp?: number;
  readonly openid?: { readonly scope?: string; readonly claims?: readonly string[] };
  readonly rejected?: { readonly openid?: { readonly scope?: string; readonly claims?: readonly string[] } };
  readonly rar?: readonly unknown[];
}

/** Which of the scopes are granted, in the grant's own order; undefined if the person has yet to be asked for one of them. */
export function grantedScope(grant: GrantPayload, asked: ReadonlySet<string>): string | undefined {
  if (grant.rejected?.openid?.scope) return undefined;
  const granted = (grant.openid?.scope ?? '').split(' ');
  for (const scope of asked) if (!granted.includes(scope)) return undefined;
  return granted.filter((scope) => asked.has(scope)).join(' ');
}

/** Claims that a scope releases, less those that the person refused (OpenID Connect Core 1.0, section 5.4). */
export function releasedClaims(scope: string, grant: GrantPayload): ReadonlySet<string> {
  const released = new Set(scope.split(' ').flatMap((name): readonly string[] => SCOPES[name]?.claims ?? []));
  for (const claim of grant.rejected?.openid?.claims ?? []) if (claim !== 'sub') released.delete(claim);
  return released;
}
