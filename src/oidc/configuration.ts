/** What oidc-provider is told, built from values alone: no I/O, no clock. Whatever it asks back goes through the functions given here. */
import type Provider from 'oidc-provider';
import type {
  AccountClaims,
  AuthorizationCode,
  Adapter,
  CIBAEnabledConfiguration,
  Client,
  Configuration,
  interactionPolicy,
  KoaContextWithOIDC,
  ResourceServer,
} from 'oidc-provider';
import { errors } from 'oidc-provider';
import { LADDER, type Assurable } from '../identity/index.ts';
import type { CookieKeys } from '../platform/http/cookie-keys.ts';
import { PROFILES, type Portal, type Profile } from '../portals/index.ts';
import { wordOf, type Choice, type WithChoice } from './acting.ts';
import { addScopes, applyAgreement, type Agreement } from './consents.ts';
import { RICH_TYPES, validateRich } from './rich-requests.ts';
import { mayReceive, OPENID_SCOPES, SCOPES, SINGLE_CLAIMS, VERIFIED_CLAIMS } from './scopes.ts';
import { claimsWithin, readRequest, withObjects } from './verified-claims.ts';
import type { CustodySigningKey } from './signing-key.ts';

/** Addresses of the endpoints; every other one derives from them. */
export const ROUTES = {
  authorization: '/authorize',
  backchannel_authentication: '/backchannel-authentication',
  code_verification: '/device',
  device_authorization: '/device/authorization',
  end_session: '/end-session',
  introspection: '/introspect',
  jwks: '/jwks',
  pushed_authorization_request: '/par',
  registration: '/register',
  revocation: '/revoke',
  token: '/token',
  userinfo: '/userinfo',
} as const;

/** Seconds. A session ends after eight hours without use; a grant outlives every session and token that refers to it. */
export const TTL = {
  AccessToken: 600,
  AuthorizationCode: 60,
  BackchannelAuthenticationRequest: 300,
  ClientCredentials: 600,
  DeviceCode: 600,
  Grant: 90 * 24 * 3600,
  IdToken: 600,
  Interaction: 1800,
  OfflineRefreshToken: 60 * 24 * 3600,
  Session: 8 * 3600,
} as const;

/** Longest that a JWT access token speaks for a person: so long it may outlive a consent that was withdrawn. */
export const SELF_CONTAINED_SECONDS = 300;

const ENCRYPTION = {
  alg: ['ECDH-ES', 'RSA-OAEP', 'RSA-OAEP-256'],
  enc: ['A128CBC-HS256', 'A128GCM', 'A256CBC-HS512', 'A256GCM'],
};

export interface ConfigurationParts {
  readonly issuer: string;
  readonly cookieKeys: CookieKeys;
  /** 32 bytes, shared by every process: makes the nonces of RFC 9449, section 8. */
  readonly dpopNonceSecret: Buffer;
  readonly languages: readonly string[];
  readonly adapter: (model: string) => Adapter;
  readonly signingKeys: readonly CustodySigningKey[];
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>;
  /**
   * The active account; undefined for any other.
   * @param options.justChanged The person comes from pages on which they may have changed it.
   */
  readonly account: (
    accountId: string,
    options: { readonly justChanged: boolean },
  ) => Promise<LibraryAccount | undefined>;
  /** Members of the provider's metadata that say what verified claims there are. */
  readonly verifiedClaims: Readonly<Record<string, unknown>>;
  readonly subjectOf: (accountId: string, clientId: string) => Promise<string>;
  /** The account that a portal knows by its `sub`. */
  readonly accountOf: (subject: string, clientId: string) => Promise<string | undefined>;
  readonly portalOf: (client: Client) => Portal | undefined;
  /** The resource server if the portal may ask for tokens for it. */
  readonly resourceServer: (resource: string, clientId: string) => Promise<ResourceServer | undefined>;
  /** Whether a portal may look into tokens made for `audience`. */
  readonly mayIntrospect: (clientId: string, audience: string) => boolean;
  /** What the person has agreed to give this portal, and refused, on any device. */
  readonly agreed: (accountId: string, clientId: string) => Promise<Agreement>;
  /** On whose behalf the request goes on. */
  readonly decideActing: (
    ctx: KoaContextWithOIDC,
    existing: WithChoice | undefined,
  ) => Promise<Choice | undefined>;
  readonly extraTokenClaims: (ctx: KoaContextWithOIDC, client: Client) => Promise<object>;
  /** Saves a grant, unless what it rests on was withdrawn meanwhile. */
  readonly saveGrant: (grant: Grant) => Promise<unknown>;
  readonly policy: InstanceType<typeof interactionPolicy.Prompt>[];
  readonly certificates: NonNullable<NonNullable<Configuration['features']>['mTLS']>;
  /** `mtls_endpoint_aliases` (RFC 8705, section 5). */
  readonly endpointAliases: Readonly<Record<string, string>> | undefined;
  readonly backchannel: Omit<CIBAEnabledConfiguration, 'enabled' | 'deliveryModes'>;
  readonly registration: { readonly newClientId: () => string; readonly newSecret: () => string };
  readonly pages: {
    renderError: NonNullable<Configuration['renderError']>;
    logoutSource(ctx: KoaContextWithOIDC, form: string): Promise<void>;
    postLogoutSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
    userCodeInputSource(
      ctx: KoaContextWithOIDC,
      form: string,
      out?: unknown,
      error?: Error & { userCode?: string },
    ): Promise<void>;
    userCodeConfirmSource(
      ctx: KoaContextWithOIDC,
      form: string,
      client: Client,
      deviceInfo: unknown,
      userCode: string,
    ): Promise<void>;
    deviceSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
  };
}

/** An account as the library is given it. */
export interface LibraryAccount {
  readonly assurable: Assurable;
  /** What may leave for a portal, `sub` being the account's id. @param agreed Whether the person agreed to give a claim. */
  claims(
    client: Client | undefined,
    asked: {
      scope: string;
      claims: Readonly<Record<string, unknown>>;
      agreed(claim: string): boolean;
      grant: object | undefined;
    },
  ): Promise<AccountClaims>;
}

/** On an initial access token: the portal that registers with it need not send PKCE. */
export const CODE_CHALLENGE_OPTIONAL = 'code-challenge-optional';

/** The resource indicator (RFC 8707) of our own API. */
export function apiResource(issuer: string): string {
  return `${issuer}/api/v1`;
}

export function toConfiguration(parts: ConfigurationParts): Configuration {
  const secure = parts.issuer.startsWith('https:');
  const cookie = { httpOnly: true, sameSite: 'lax', signed: true, secure, overwrite: true } as const;
  const profileOf = (client: Client | undefined): Profile => {
    const portal = client && parts.portalOf(client);
    return PROFILES[portal?.profile ?? 'baseline'];
  };
  return {
    acrValues: LADDER.map((level) => level.acr),
    // OpenID Connect Core 1.0, section 3.1.2.1: it is required, however many are registered.
    allowOmittingSingleRegisteredRedirectUri: false,
    adapter: parts.adapter,
    jwks: { keys: [...parts.signingKeys] },
    routes: ROUTES,
    ttl: {
      ...TTL,
      AccessToken: (_ctx, token) => {
        const { accessTokenFormat, accessTokenTTL = TTL.AccessToken } = token.resourceServer ?? {};
        // An API that reads it by itself learns of nothing that ends meanwhile.
        return accessTokenFormat === 'jwt'
          ? Math.min(accessTokenTTL, SELF_CONTAINED_SECONDS)
          : accessTokenTTL;
      },
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? TTL.ClientCredentials,
      BackchannelAuthenticationRequest: (ctx) =>
        Math.min(
          TTL.BackchannelAuthenticationRequest,
          Number(ctx?.oidc.params?.['requested_expiry'] ?? TTL.BackchannelAuthenticationRequest),
        ),
      RefreshToken: (_ctx, token) => (token.expiresWithSession ? TTL.Session : TTL.OfflineRefreshToken),
    },
    clientDefaults: {
      id_token_signed_response_alg: 'ES256',
      authorization_signed_response_alg: 'ES256',
      introspection_signed_response_alg: 'ES256',
      subject_type: 'pairwise',
    },
    responseTypes: ['code'],
    // Portals of the registry are pairwise by their stored sector, which the library is not asked to derive; see client-metadata.ts.
    subjectTypes: ['pairwise', 'public'],
    pkce: { required: (_ctx, client) => parts.portalOf(client)?.codeChallenge !== 'optional' },
    scopes: Object.keys(OPENID_SCOPES),
    claims: {
      ...Object.fromEntries(
        Object.entries(OPENID_SCOPES)
          .filter(([, { claims }]) => claims.length > 0)
          .map(([scope, { claims }]) => [scope, [...claims]]),
      ),
      ...Object.fromEntries(SINGLE_CLAIMS.map((claim) => [claim, null])),
    },
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      ...(parts.certificates.selfSignedTlsClientAuth ? (['self_signed_tls_client_auth'] as const) : []),
      ...(parts.certificates.tlsClientAuth ? (['tls_client_auth'] as const) : []),
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: ['ES256', 'PS256', 'RS256', 'EdDSA', 'Ed25519'],
      idTokenSigningAlgValues: ['ES256', 'RS256'],
      userinfoSigningAlgValues: ['ES256', 'RS256'],
      introspectionSigningAlgValues: ['ES256', 'RS256'],
      authorizationSigningAlgValues: ['ES256', 'RS256'],
      requestObjectSigningAlgValues: ['ES256', 'PS256', 'RS256', 'EdDSA', 'Ed25519'],
      dPoPSigningAlgValues: ['ES256', 'PS256', 'EdDSA', 'Ed25519'],
      idTokenEncryptionAlgValues: ENCRYPTION.alg,
      idTokenEncryptionEncValues: ENCRYPTION.enc,
      userinfoEncryptionAlgValues: ENCRYPTION.alg,
      userinfoEncryptionEncValues: ENCRYPTION.enc,
      introspectionEncryptionAlgValues: ENCRYPTION.alg,
      introspectionEncryptionEncValues: ENCRYPTION.enc,
      authorizationEncryptionAlgValues: ENCRYPTION.alg,
      authorizationEncryptionEncValues: ENCRYPTION.enc,
      // No key of ours decrypts: custody signs.
      requestObjectEncryptionAlgValues: [],
      requestObjectEncryptionEncValues: [],
    } as NonNullable<Configuration['enabledJWA']>,
    cookies: {
      keys: parts.cookieKeys,
      names: {
        session: secure ? '__Host-yx_session' : 'yx_session',
        interaction: 'yx_interaction',
        resume: 'yx_resume',
      },
      long: cookie,
      short: cookie,
    },
    discovery: {
      claims_locales_supported: undefined,
      ui_locales_supported: [...parts.languages],
      display_values_supported: ['page'],
      ...parts.verifiedClaims,
      mtls_endpoint_aliases: parts.endpointAliases,
    },
    features: {
      backchannelLogout: { enabled: true },
      ciba: { enabled: true, deliveryModes: ['poll', 'ping'], ...parts.backchannel },
      claimsParameter: {
        enabled: true,
        assertClaimsParameter(ctx, claims) {
          for (const place of ['userinfo', 'id_token']) {
            const members = (claims as Record<string, Record<string, unknown> | undefined>)[place] ?? {};
            if (VERIFIED_CLAIMS in members && !readRequest(members[VERIFIED_CLAIMS]))
              throw new errors.InvalidRequest(
                `claims.${place}.verified_claims needs verification with trust_framework, and claims`,
              );
          }
          // The library passes on objects alone.
          if (ctx.oidc.params) ctx.oidc.params['claims'] = JSON.stringify(withObjects({ ...claims }));
        },
      },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        charset: 'base-20',
        mask: '****-****',
        // Where a device is and what it calls itself is nobody's business after it has its tokens.
        deviceInfo: () => ({}),
        userCodeInputSource: parts.pages.userCodeInputSource,
        userCodeConfirmSource: parts.pages.userCodeConfirmSource,
        successSource: parts.pages.deviceSuccessSource,
      },
      dPoP: { enabled: true, nonceSecret: parts.dpopNonceSecret, requireNonce: () => false },
      encryption: { enabled: true },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      fapi: {
        enabled: true,
        profile: (_ctx, client) =>
          client && parts.portalOf(client)?.profile === 'fapi2' ? '2.0' : undefined,
      },
      introspection: {
        enabled: true,
        async allowedPolicy(_ctx, client, token) {
          const { aud, accountId } = token as { aud?: string | string[]; accountId?: string };
          const allowed =
            token.clientId === client.clientId ||
            [aud ?? []].flat().some((audience) => parts.mayIntrospect(client.clientId, audience));
          // The library asks nobody whether the person may still be spoken for.
          return (
            allowed &&
            (accountId === undefined ||
              (await parts.account(accountId, { justChanged: false })) !== undefined)
          );
        },
      },
      jwtIntrospection: { enabled: true },
      jwtResponseModes: { enabled: true },
      jwtUserinfo: { enabled: true },
      mTLS: parts.certificates,
      registration: {
        enabled: true,
        initialAccessToken: true,
        // What a policy allows is read off the token where the portal is saved; see generation.ts.
        policies: { [CODE_CHALLENGE_OPTIONAL]: () => undefined },
        idFactory: parts.registration.newClientId,
        secretFactory: parts.registration.newSecret,
      },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
      requestObjects: {
        enabled: true,
        assertJwtClaimsAndHeader(ctx, claims, header, client) {
          const pushed = 'PushedAuthorizationRequest' in ctx.oidc.entities;
          if (!pushed && !profileOf(client).signingAlgs.includes((header as { alg?: string }).alg ?? ''))
            throw new errors.InvalidRequestObject('alg is not allowed for this client');
          assertLifetime(claims, {
            // FAPI 2.0 Message Signing, section 5.3.1; CIBA Core 1.0, section 7.1.1.
            required:
              ctx.oidc.route === 'backchannel_authentication'
                ? ['exp', 'iat', 'nbf', 'jti']
                : parts.portalOf(client)?.profile === 'fapi2'
                  ? ['exp', 'nbf']
                  : [],
          });
        },
      },
      // RFC 7009, section 2.1: a portal revokes what was issued to it.
      revocation: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
      },
      richAuthorizationRequests: {
        enabled: true,
        types: Object.fromEntries(RICH_TYPES.map((type) => [type, { validate: validateRich }])),
        authorizationDetailsForGrantSource: (ctx) => requestedDetails(ctx),
        authorizationDetailsForAccessToken: (_ctx, _token, source) => source?.rar,
        authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
      },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: parts.pages.logoutSource,
        postLogoutSuccessSource: parts.pages.postLogoutSuccessSource,
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        async getResourceServerInfo(_ctx, resource, client) {
          const info = await parts.resourceServer(resource, client.clientId);
          if (!info) throw new errors.InvalidTarget();
          return info;
        },
      },
    },
    interactions: { policy: parts.policy, url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    clientBasedCORS: () => false,
    fetch: parts.fetch as NonNullable<Configuration['fetch']>,
    fetchResponseBodyLimits: { jwks_uri: 65_536, sector_identifier_uri: 65_536 },
    renderError: parts.pages.renderError,
    pairwiseIdentifier: (_ctx, accountId, client) => parts.subjectOf(accountId, client.clientId),
    issueRefreshToken: (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') &&
      (source.scopes.has('offline_access') || source.scopes.has('openid')),
    rotateRefreshToken: (ctx) => profileOf(ctx.oidc.client).rotatesRefreshTokens,
    assertJwtClientAuthClaimsAndHeader(ctx, claims, header, client) {
      if (!profileOf(client).signingAlgs.includes((header as { alg?: string }).alg ?? ''))
        throw new errors.InvalidClientAuth('alg is not allowed for this client');
      // FAPI 2.0, section 5.3.2.1 (8): the issuer and nothing else.
      if (parts.portalOf(client)?.profile === 'fapi2' && claims['aud'] !== ctx.oidc.issuer)
        throw new errors.InvalidClientAuth('aud must be the issuer identifier');
    },
    extraTokenClaims: async (ctx, token) =>
      token.kind === 'AccessToken' && ctx.oidc.client
        ? { ...(await parts.extraTokenClaims(ctx, ctx.oidc.client)) }
        : undefined,
    async findAccount(ctx, id) {
      const { route, client, entities } = ctx.oidc;
      // The library takes the `sub` of an ID token hint for an account's id; it is the number that this portal knows the person by.
      const byHint = route === 'backchannel_authentication' && 'IdTokenHint' in entities && client;
      const accountId = byHint ? await parts.accountOf(id, client.clientId) : id;
      const account =
        accountId === undefined
          ? undefined
          : await parts.account(accountId, { justChanged: route === 'resume' });
      return accountId === undefined || !account
        ? undefined
        : {
            accountId,
            claims: (_use, scope, claims, rejected) =>
              account.claims(ctx.oidc.client, {
                scope,
                claims: { ...claims },
                agreed: (claim) => !rejected.includes(claim) && wasGranted(ctx.oidc.entities.Grant, claim),
                grant: ctx.oidc.entities.Grant,
              }),
            assurable: account.assurable,
          };
    },
    async loadExistingGrant(ctx) {
      const { client, session, provider, result } = ctx.oidc;
      if (!client || !session?.accountId) return undefined;
      const grantId = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
      const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId);
      const within = claimsWithin(ctx.oidc.params?.['claims']);
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to its payload by `acting.ts`
      const kept = existing as unknown as WithChoice | undefined;
      const acting = await parts.decideActing(ctx, kept);
      const same = kept?.acting === undefined ? undefined : wordOf(kept.acting.as);
      const wanted = acting && wordOf(acting.as);
      if (existing && same === wanted && coversRequest(existing, ctx.oidc, within)) return existing;
      // What needs no consent, and what was agreed to before, on whatever device, is granted; the consent prompt asks for the rest.
      // What was given to one organisation's agent is not taken along to another: each choice has a grant of its own.
      const grant =
        existing && (same === undefined || same === wanted)
          ? existing
          : new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
      if (acting) Object.assign(grant, { acting });
      const agreement = await parts.agreed(session.accountId, client.clientId);
      addScopes(grant, { '': WITHOUT_CONSENT });
      // A claim that comes with an agreed scope is agreed to when it is asked for by itself, too.
      grant.addOIDCClaims(
        (agreement.scopes[''] ?? []).flatMap((scope): readonly string[] => SCOPES[scope]?.claims ?? []),
      );
      applyAgreement(grant, agreement);
      grant.rejectOIDCClaims(notAllowed(ctx.oidc, parts.portalOf(client)));
      await parts.saveGrant(grant);
      return grant;
    },
  };
}

const WITHOUT_CONSENT = Object.keys(SCOPES).filter((scope) => SCOPES[scope]?.consent === false);

/** Claims asked for one by one that the portal is not allowed: nobody is asked for them, and they are not released. */
function notAllowed(
  { requestParamClaims }: KoaContextWithOIDC['oidc'],
  portal: Portal | undefined,
): string[] {
  return [...requestParamClaims].filter((claim) => portal === undefined || !mayReceive(portal, claim));
}

/** Whether a grant gives a claim, by one of its scopes or by name. */
function wasGranted(grant: Grant | undefined, claim: string): boolean {
  if (!grant) return false;
  const scopes = grant.getOIDCScope().split(' ');
  return (
    grant.getOIDCClaims().includes(claim) ||
    scopes.some((scope) => SCOPES[scope]?.claims.includes(claim) === true)
  );
}

/** Claims inside `verified_claims` that nobody has been asked for yet. */
export function verifiedClaimsMissing({ oidc }: KoaContextWithOIDC): string[] {
  const portalMay = oidc.requestParamClaims.has(VERIFIED_CLAIMS);
  const grant = oidc.entities.Grant;
  if (!portalMay || !grant || grant.getRejectedOIDCClaims().includes(VERIFIED_CLAIMS)) return [];
  const encountered = new Set(grant.getOIDCClaimsEncountered());
  return claimsWithin(oidc.params?.['claims']).filter(
    (claim) => !encountered.has(claim) && !wasGranted(grant, claim),
  );
}

/** Whether a grant has been asked for all that the request wants. @param within Claims inside `verified_claims`. */
function coversRequest(
  grant: Grant,
  { requestParamScopes, requestParamOIDCScopes, requestParamClaims, resourceServers = {} }: Requested,
  within: readonly string[],
): boolean {
  const encountered = grant.getOIDCScopeEncountered().split(' ');
  const claims = new Set<string>(requestParamClaims.size > 0 ? grant.getOIDCClaimsEncountered() : []);
  return (
    [...requestParamOIDCScopes].every((scope) => encountered.includes(scope)) &&
    [...requestParamClaims].every((claim) => claims.has(claim)) &&
    within.every((claim) => claims.has(claim) || wasGranted(grant, claim)) &&
    Object.entries(resourceServers).every(([resource, server]) => {
      const known = grant.getResourceScopeEncountered(resource).split(' ');
      return [...requestParamScopes].every((scope) => !server.scopes.has(scope) || known.includes(scope));
    })
  );
}

/** What was asked for and agreed to in this very request: agreement to one act is no agreement to the next. */
function requestedDetails(ctx: KoaContextWithOIDC): AuthorizationDetails | undefined {
  const details = ctx.oidc.params?.['authorization_details'];
  return typeof details === 'string' && ctx.oidc.result?.consent
    ? (JSON.parse(details) as AuthorizationDetails)
    : undefined;
}

/** @throws {errors.InvalidRequestObject} a claim is missing, or it is good for more than an hour. */
function assertLifetime(claims: object, { required }: { required: readonly string[] }): void {
  const { exp, nbf } = claims as { exp?: unknown; nbf?: unknown };
  for (const name of required)
    if (!(name in claims))
      throw new errors.InvalidRequestObject(`Request Object is missing the '${name}' claim`);
  if (required.length > 0 && !(Number(exp) > Number(nbf) && Number(exp) - Number(nbf) <= 3600))
    throw new errors.InvalidRequestObject("'exp' is not within an hour after 'nbf'");
}

type AuthorizationDetails = NonNullable<AuthorizationCode['rar']>;
type Grant = InstanceType<Provider['Grant']>;
type Requested = Pick<
  KoaContextWithOIDC['oidc'],
  'requestParamScopes' | 'requestParamOIDCScopes' | 'requestParamClaims' | 'resourceServers'
>;
