/** Portals as clients (OpenID Connect Dynamic Client Registration 1.0, section 2), and back. Pure. */
import { errors, type AdapterPayload } from 'oidc-provider';
import type { Portal, PortalRegistration } from '../portals/index.ts';
import { PROFILES } from '../portals/index.ts';
import { OPENID_SCOPES } from './scopes.ts';

const SECRET_METHODS: ReadonlySet<string> = new Set(['client_secret_basic', 'client_secret_post']);
/** Secrets are kept as digests and compared by the registry; the library wants a value to be there. It never leaves this room. */
export const SECRET_ELSEWHERE = 'kept as a digest by the registry';

/** A portal as client metadata. Its subject identifiers are pairwise by sector; the library is not told, since it derives sectors from addresses. */
export function toClientMetadata(portal: Portal): Record<string, unknown> {
  const { metadata } = portal;
  const profile = PROFILES[portal.profile];
  const method = metadata.token_endpoint_auth_method ?? 'client_secret_basic';
  const grantTypes = metadata.grant_types ?? ['authorization_code'];
  const boundToCertificate = metadata.tls_client_certificate_bound_access_tokens === true;
  return {
    ...metadata,
    client_id: portal.clientId,
    ...(SECRET_METHODS.has(method) ? { client_secret: SECRET_ELSEWHERE } : {}),
    client_name: portal.name['zh-CN'] ?? portal.clientId,
    client_uri: portal.homeUri,
    ...(portal.logoUri === undefined ? {} : { logo_uri: portal.logoUri }),
    contacts: [...portal.contacts],
    redirect_uris: [...portal.redirectUris],
    post_logout_redirect_uris: [...portal.postLogoutRedirectUris],
    grant_types: [...grantTypes],
    response_types: grantTypes.includes('authorization_code') ? ['code'] : [],
    subject_type: 'public',
    // The library knows scopes of resources by their resource alone; those are restricted where resources are.
    scope: portal.scopes.filter((scope) => scope in OPENID_SCOPES).join(' '),
    token_endpoint_auth_method: method,
    ...(profile.pushedRequests ? { require_pushed_authorization_requests: true } : {}),
    // FAPI 2.0, section 5.3.2.1: DPoP unless the portal has chosen certificates.
    ...(profile.senderConstrained && !boundToCertificate ? { dpop_bound_access_tokens: true } : {}),
    ...(portal.backchannelLogoutUri === undefined
      ? {}
      : {
          backchannel_logout_uri: portal.backchannelLogoutUri,
          backchannel_logout_session_required: metadata.backchannel_logout_session_required ?? true,
        }),
  };
}

/** Members that the registry has fields of its own for, or that it decides by itself. */
const OWN_MEMBERS = new Set([
  'client_id',
  'client_secret',
  'client_secret_expires_at',
  'client_name',
  'client_uri',
  'logo_uri',
  'contacts',
  'redirect_uris',
  'post_logout_redirect_uris',
  'scope',
  'backchannel_logout_uri',
  'subject_type',
  'application_type',
  // A default of the library; see published.ts.
  'backchannel_user_code_parameter',
]);

/**
 * Client metadata as a portal, for dynamic registration.
 * @throws {errors.InvalidClientMetadata} for what this provider does not do: public subjects, native applications, user codes.
 */
export function toRegistration(
  payload: AdapterPayload,
  { scopes, homeUri }: { scopes: readonly string[]; homeUri: string },
): PortalRegistration {
  const text = (member: string) => {
    const value = payload[member];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- the library has checked that these are lists of strings
  const list = (member: string) => (payload[member] ?? []) as string[];
  if (payload['subject_type'] === 'public')
    throw new errors.InvalidClientMetadata('subject_type must be pairwise');
  if (payload['application_type'] === 'native')
    throw new errors.InvalidClientMetadata('application_type must be web');
  if (payload['backchannel_user_code_parameter'] === true)
    throw new errors.InvalidClientMetadata('backchannel_user_code_parameter is not supported');
  const clientId = String(payload['client_id']);
  const redirectUris = list('redirect_uris');
  const first = URL.parse(text('sector_identifier_uri') ?? redirectUris[0] ?? text('jwks_uri') ?? '');
  const asked = text('scope')?.split(' ');
  const metadata = Object.fromEntries(
    Object.entries(payload).filter(([member, value]) => !OWN_MEMBERS.has(member) && value !== undefined),
  );
  return {
    clientId,
    name: { 'zh-CN': (text('client_name') ?? clientId).slice(0, 64) },
    // Portals that share the host of their redirect URIs, or a sector identifier, know a person by one number (section 8.1).
    sector: (first?.host ?? clientId).replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^[^A-Za-z0-9]+/, ''),
    homeUri: text('client_uri') ?? first?.origin ?? homeUri,
    redirectUris,
    postLogoutRedirectUris: list('post_logout_redirect_uris'),
    backchannelLogoutUri: text('backchannel_logout_uri'),
    scopes: asked === undefined ? [...scopes] : asked.filter((scope) => scopes.includes(scope)),
    contacts: list('contacts'),
    logoUri: text('logo_uri'),
    metadata,
  };
}
