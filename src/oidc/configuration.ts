/** What oidc-provider is told, built from values alone: no I/O, no clock. Whatever it asks back goes through the functions given here. */
import type Provider from 'oidc-provider';
import type {
  AccountClaims,
  Adapter,
  AdapterPayload,
  Configuration,
  KoaContextWithOIDC,
} from 'oidc-provider';
import { errors } from 'oidc-provider';
import type { Portal } from '../portals/index.ts';
import { addScopes, type ScopesByResource } from './consents.ts';
import { OPENID_SCOPES, SCOPES } from './scopes.ts';
import type { CustodySigningKey } from './signing-key.ts';

/** Addresses of the endpoints; every other one derives from them. */
export const ROUTES = {
  authorization: '/authorize',
  token: '/token',
  userinfo: '/userinfo',
  jwks: '/jwks',
  revocation: '/revoke',
  end_session: '/end-session',
  pushed_authorization_request: '/par',
} as const;

/** Seconds. A session ends after eight hours without use; a grant outlives every session that refers to it. */
const TTL = {
  AccessToken: 600,
  AuthorizationCode: 60,
  Grant: 14 * 24 * 3600,
  IdToken: 600,
  Interaction: 1800,
  Session: 8 * 3600,
} as const;

export interface ConfigurationParts {
  readonly issuer: string;
  readonly cookieKeys: readonly string[];
  readonly adapter: (model: string) => Adapter;
  readonly signingKeys: readonly CustodySigningKey[];
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>;
  /** The claims of an active account, `sub` being its id; undefined for any other. */
  readonly claims: (accountId: string) => Promise<AccountClaims | undefined>;
  readonly subjectOf: (accountId: string, clientId: string) => Promise<string>;
  /** The scopes of our own API that a portal may ask for. */
  readonly apiScopes: (clientId: string) => Promise<readonly string[]>;
  /** What the person has agreed to give this portal, on any device. */
  readonly consented: (accountId: string, clientId: string) => Promise<ScopesByResource>;
  readonly pages: {
    renderError: NonNullable<Configuration['renderError']>;
    logoutSource(ctx: KoaContextWithOIDC, form: string): Promise<void>;
    postLogoutSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
  };
}

/** The resource indicator (RFC 8707) of our own API. */
export function apiResource(issuer: string): string {
  return `${issuer}/api/v1`;
}

export function toConfiguration(parts: ConfigurationParts): Configuration {
  const secure = parts.issuer.startsWith('https:');
  const cookie = { httpOnly: true, sameSite: 'lax', signed: true, secure, overwrite: true } as const;
  return {
    adapter: parts.adapter,
    jwks: { keys: [...parts.signingKeys] },
    routes: ROUTES,
    ttl: TTL,
    clientDefaults: { id_token_signed_response_alg: 'ES256', subject_type: 'pairwise' },
    responseTypes: ['code'],
    subjectTypes: ['pairwise'],
    pkce: { required: () => true },
    scopes: Object.keys(OPENID_SCOPES),
    claims: Object.fromEntries(
      Object.entries(OPENID_SCOPES).map(([scope, { claims }]) => [scope, [...claims]]),
    ),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    enabledJWA: {
      idTokenSigningAlgValues: ['ES256'],
      userinfoSigningAlgValues: ['ES256'],
      dPoPSigningAlgValues: ['ES256', 'Ed25519'],
    },
    cookies: {
      keys: [...parts.cookieKeys],
      names: {
        session: secure ? '__Host-yx_session' : 'yx_session',
        interaction: 'yx_interaction',
        resume: 'yx_resume',
      },
      long: cookie,
      short: cookie,
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      // RFC 7009, section 2.1: a portal revokes what was issued to it.
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: parts.pages.logoutSource,
        postLogoutSuccessSource: parts.pages.postLogoutSuccessSource,
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        async getResourceServerInfo(_ctx, resource, client) {
          const scopes = await parts.apiScopes(client.clientId);
          if (resource !== apiResource(parts.issuer) || scopes.length === 0) throw new errors.InvalidTarget();
          return {
            scope: scopes.join(' '),
            audience: resource,
            accessTokenFormat: 'opaque',
            accessTokenTTL: TTL.AccessToken,
          };
        },
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    clientBasedCORS: () => false,
    fetch: parts.fetch as NonNullable<Configuration['fetch']>,
    renderError: parts.pages.renderError,
    pairwiseIdentifier: (_ctx, accountId, client) => parts.subjectOf(accountId, client.clientId),
    async findAccount(_ctx, accountId) {
      const claims = await parts.claims(accountId);
      return claims && { accountId, claims: () => claims };
    },
    async loadExistingGrant(ctx) {
      const { client, session, provider, result } = ctx.oidc;
      if (!client || !session?.accountId) return undefined;
      const grantId = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
      const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId);
      if (existing && coversRequest(existing, ctx.oidc)) return existing;
      // What needs no consent, and what was agreed to before, on whatever device, is granted; the consent prompt asks for the rest.
      const grant =
        existing ?? new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
      addScopes(grant, { '': WITHOUT_CONSENT });
      addScopes(grant, await parts.consented(session.accountId, client.clientId));
      await grant.save();
      return grant;
    },
  };
}

const WITHOUT_CONSENT = Object.keys(SCOPES).filter((scope) => SCOPES[scope]?.consent === false);

/** Whether a grant has been asked for all that the request wants. */
function coversRequest(
  grant: Grant,
  { requestParamScopes, requestParamOIDCScopes, resourceServers = {} }: RequestedScopes,
): boolean {
  const encountered = grant.getOIDCScopeEncountered().split(' ');
  return (
    [...requestParamOIDCScopes].every((scope) => encountered.includes(scope)) &&
    Object.entries(resourceServers).every(([resource, server]) => {
      const known = grant.getResourceScopeEncountered(resource).split(' ');
      return [...requestParamScopes].every((scope) => !server.scopes.has(scope) || known.includes(scope));
    })
  );
}

type Grant = InstanceType<Provider['Grant']>;
type RequestedScopes = Pick<
  KoaContextWithOIDC['oidc'],
  'requestParamScopes' | 'requestParamOIDCScopes' | 'resourceServers'
>;

/** A portal as client metadata (OpenID Connect Dynamic Client Registration 1.0, section 2). */
export function toClientMetadata(portal: Portal): AdapterPayload {
  return {
    client_id: portal.clientId,
    // Secrets are kept as digests and compared by the registry; the library wants a value to be there.
    client_secret: 'kept as a digest by the registry',
    client_name: portal.name['zh-CN'] ?? portal.clientId,
    client_uri: portal.homeUri,
    redirect_uris: [...portal.redirectUris],
    post_logout_redirect_uris: [...portal.postLogoutRedirectUris],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    // The library knows scopes of resources by their resource alone; `apiScopes` restricts those.
    scope: portal.scopes.filter((scope) => scope in OPENID_SCOPES).join(' '),
    token_endpoint_auth_method: 'client_secret_basic',
    ...(portal.backchannelLogoutUri === undefined
      ? {}
      : { backchannel_logout_uri: portal.backchannelLogoutUri, backchannel_logout_session_required: true }),
  };
}
