/**
 * The library with one set of keys, and closed in what it leaves open. When the keys change another generation takes its place; requests
 * in flight end with the one they began with. All that lasts is in the stores, so generations differ in nothing but their keys.
 */
import { randomBytes } from 'node:crypto';
import compose from 'koa-compose';
import Provider, { type Client, type KoaContextWithOIDC } from 'oidc-provider';
import type { AuditLog } from '../audit/index.ts';
import type { AccountCache, Assurable, Identity, Limits, Means, Showing } from '../identity/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import type { Db } from '../platform/db/db.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import { createCookieKeys } from '../platform/http/cookie-keys.ts';
import type { DirectHandler } from '../platform/http/direct.ts';
import type { Forms } from '../platform/http/forms.ts';
import { speakFor } from '../platform/http/origin.ts';
import { createOutboundFetch } from '../platform/http/outbound.ts';
import type { Pages } from '../platform/http/pages.ts';
import type { Preferences } from '../platform/http/preferences.ts';
import { toPublicError } from '../platform/http/statuses.ts';
import { refuseAmbiguous } from '../platform/http/unambiguous.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { deriveKey, type Secrets } from '../platform/secrets.ts';
import type { Acting, Organisations } from '../organisations/index.ts';
import type { Portal, Portals, Resources } from '../portals/index.ts';
import { createAdapterFactory } from './adapter.ts';
import { approvalRoutes, createBackchannel, pingInBackground } from './backchannel.ts';
import { boundedRequests } from './bounds.ts';
import { createClientCertificates } from './client-certificates.ts';
import { SECRET_ELSEWHERE, toClientMetadata, toRegistration } from './client-metadata.ts';
import {
  apiResource,
  CODE_CHALLENGE_OPTIONAL,
  toConfiguration,
  TTL,
  verifiedClaimsMissing,
} from './configuration.ts';
import { createConsents, type Consents } from './consents.ts';
import { limitEndpoints } from './endpoint-limits.ts';
import { exactEndpoints } from './endpoints.ts';
import { createGuard, type Guard } from './guard.ts';
import { createHotPath } from './hot/index.ts';
import { createRestarts } from './interactions/restart.ts';
import { upstreamReturn } from './interactions/upstream.ts';
import { interactionRoutes } from './interactions/routes.ts';
import type { LogoutOutbox } from './logout-outbox.ts';
import { crossDeviceRoutes } from './cross-device.ts';
import type { OwnSession } from './own-account.ts';
import {
  noteShowing,
  chooseActing,
  chosenActing,
  ownReturn,
  ownSession,
  renewSession,
  sessionExtension,
} from './own-session.ts';
import { createOwnPages } from './own-pages.ts';
import { createPolicy, type LoginResult, type SessionFactors } from './policy.ts';
import { postAsGet } from './post-as-get.ts';
import { createPublished } from './published.ts';
import { createRefreshGrace } from './refresh-grace.ts';
import { createReleases, type Releases } from './releases.ts';
import { asInvalidMetadata, manageRegistrations } from './registration.ts';
import { createClaims } from './claims.ts';
import { createActing, ORGANISATION_SCOPE, type ActingFor, type Choice } from './acting.ts';
import { API_SCOPES, OPENID_SCOPES } from './scopes.ts';
import { createRecords, createStoreCipher, keyOf } from './records.ts';
import { continued, createSessions, type Sessions } from './sessions.ts';
import { CustodySigningKey } from './signing-key.ts';
import { verifiedClaimsMetadata } from './verified-claims.ts';
import type { OidcStore } from './store/store.ts';
import { createSubjects, type Subjects } from './subjects.ts';
import type { PublishedKey } from './token-keys.ts';

/** How far ahead an assertion may expire. */
const REPLAY_MAX_SECONDS = 24 * 3600;

export interface GenerationParts {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly db: Db;
  readonly store: OidcStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly audit: AuditLog;
  readonly identity: Identity;
  readonly accounts: AccountCache;
  /** What people can come by while they sign in. */
  readonly means: Means;
  readonly organisations: Pick<Organisations, 'actingFor' | 'authority' | 'use'>;
  /** By which rules people are identified here, for the provider's metadata. */
  readonly trustFrameworks: readonly string[];
  /** What an authority is called in verified claims. */
  organizationOf(authority: string): string;
  readonly limits: Limits;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly forms: Forms;
  readonly pages: Pages;
  readonly preferences: Preferences;
  /** Language tags of the pages. */
  readonly languages: readonly string[];
  readonly logouts: LogoutOutbox;
}

export interface Generation {
  readonly provider: Provider;
  readonly middleware: Middleware;
  /** Answers plain requests before the framework. */
  readonly direct: DirectHandler;
  /** @throws {errors.InvalidClientMetadata} this provider could not serve a portal so described. */
  check(portal: Portal): void;
  /** Makes one back-channel logout call. @throws when the portal does not accept it. */
  callPortal(client: Client, accountId: string, sid: string | undefined): Promise<void>;
  /** The session of the request's browser. */
  session(ctx: Context): Promise<OwnSession>;
  /** Gives it a new id. */
  renewSession(ctx: Context): Promise<void>;
  /** For whom its person has said that they act from now on. */
  acting(ctx: Context): Promise<Choice | undefined>;
  switchActing(ctx: Context, accountId: string, as: Acting | null): Promise<boolean>;
  /** Adds to it what its person has just shown. */
  noteShowing(ctx: Context, showing: Showing): Promise<void>;
}

/** Parts of the library's client that its types leave out. */
interface LibraryClient {
  readonly clientId: string;
  subjectType: string;
  backchannelLogout(accountId: string, sid: string | undefined): Promise<void>;
}

/**
 * Ends every session of an account and tells its portals through the outbox.
 * @param reason Closed word for the audit log, such as `account-locked`.
 * @param exceptUid A session that goes on.
 */
export type SignOutEverywhere = (
  accountId: string,
  reason: string,
  actor: string,
  exceptUid?: string,
) => Promise<void>;

export interface Generations {
  /** Makes a generation of the given keys, on the same rooms as every other. */
  build(keys: readonly PublishedKey[]): Generation;
  readonly signOutEverywhere: SignOutEverywhere;
  readonly sessions: Sessions;
  readonly consents: Consents;
  readonly releases: Releases;
  readonly subjects: Subjects;
  readonly guard: Guard;
  readonly acting: ActingFor;
}

export function createGenerations(parts: GenerationParts): Generations {
  const { config, secrets, store, clock, portals, resources, pages, logger, means } = parts;
  const apiUri = apiResource(config.issuer);
  const cookieKeys = createCookieKeys(secrets.cookieKeys);
  const now = () => Math.floor(clock.now().getTime() / 1000);
  const records = createRecords({ store, cipher: createStoreCipher(secrets.dataKeys) });
  const subjects = createSubjects({ ...parts, mergedInto: parts.identity.persons.mergedInto });
  const consents = createConsents(parts);
  const acting = createActing(parts);
  const claims = createClaims({ ...parts, acting, subjectOf: subjects.subjectOf });
  const releases = createReleases(parts);
  const sessions = createSessions({ ...parts, records, dataKeys: secrets.dataKeys });
  const restarts = createRestarts({ records, clock, issuer: config.issuer });
  const ownPages = createOwnPages({ pages, portals, restarts, issuer: config.issuer });
  const certificates = createClientCertificates(config.mutualTls, clock);
  const refreshGrace = createRefreshGrace({ records, certificateOf: certificates.senderOf });
  const backchannel = createBackchannel(parts);
  const guard = createGuard({ ...parts, issuer: config.issuer });
  const outboundFetch = createOutboundFetch(
    config.outboundNetworks,
    config.outboundAuthorities,
  ) as typeof fetch;
  const adapter = createAdapterFactory({
    store,
    clock,
    records,
    findPortal: (clientId) => portals.find(clientId),
    clients: {
      async save({ client_secret: secret, ...metadata }) {
        const registration = toRegistration(metadata, {
          scopes: Object.keys(OPENID_SCOPES),
          homeUri: `${config.issuer}/`,
        });
        const { InitialAccessToken: initial, RegistrationAccessToken: own } =
          Provider.ctx?.oidc.entities ?? {};
        const policies = initial?.policies ?? own?.policies ?? [];
        if (policies.includes(CODE_CHALLENGE_OPTIONAL)) registration.codeChallenge = 'optional';
        await portals
          .register(
            { ...registration, ...demandsOn(await portals.find(registration.clientId)) },
            'dynamic-registration',
            { state: 'sandbox' },
          )
          .catch(asInvalidMetadata);
        if (typeof secret === 'string' && secret !== SECRET_ELSEWHERE)
          await portals.addSecret(registration.clientId, secret);
      },
      remove: (clientId) => portals.setState(clientId, 'suspended', 'dynamic-registration'),
    },
  });

  async function resourceServer(indicator: string, clientId: string) {
    const portal = await portals.find(clientId);
    if (indicator === apiUri) {
      const scopes = portal?.scopes.filter((scope) => scope in API_SCOPES) ?? [];
      return scopes.length === 0
        ? undefined
        : { scope: scopes.join(' '), audience: apiUri, accessTokenFormat: 'opaque' as const };
    }
    const resource = resources.find(indicator);
    const scopes = portal?.resources[indicator];
    return (
      resource &&
      scopes && {
        scope: scopes.filter((scope) => scope in resource.scopes).join(' '),
        audience: indicator,
        accessTokenFormat: resource.tokenFormat,
        accessTokenTTL: resource.tokenSeconds,
        jwt: { sign: { alg: 'ES256' as const } },
      }
    );
  }

  const signOutEverywhere: SignOutEverywhere = async (accountId, reason, actor, exceptUid) => {
    const ended = await sessions.endAll(accountId, exceptUid);
    await parts.db.transaction((tx) =>
      parts.audit.record(tx, {
        type: 'account.sessions-ended',
        actor,
        subject: accountId,
        detail: { reason, sessions: ended },
      }),
    );
  };

  function build(keys: readonly PublishedKey[]): Generation {
    /** A portal's parsed client lives as long as the registry's record of it: however many portals there are, none is parsed twice. */
    const clients = new WeakMap<Portal, Client>();
    const portalOf = new WeakMap<object, Portal>();
    const provider: Provider = new Provider(
      config.issuer,
      toConfiguration({
        issuer: config.issuer,
        cookieKeys,
        // A nonce made by a process with another current key is answered with a new one (RFC 9449, section 8), as one too old is.
        dpopNonceSecret: deriveKey(secrets.dataKeys.current.secret, 'dpop-nonce').export(),
        languages: parts.languages,
        adapter,
        signingKeys: keys.map((key) => new CustodySigningKey(key)),
        fetch: outboundFetch,
        async account(accountId, { justChanged }) {
          const account = await (justChanged
            ? parts.accounts.refreshed(accountId)
            : parts.accounts.account(accountId));
          return (
            account && {
              assurable: account,
              claims: (client, asked) => claims.of(account, client && portalOf.get(client), asked),
            }
          );
        },
        async subjectOf(accountId, clientId) {
          const portal = await portals.find(clientId);
          if (!portal) throw new TypeError('a subject was asked for on behalf of an unknown portal');
          return subjects.subjectOf(accountId, portal.sector);
        },
        async accountOf(subject, clientId) {
          const portal = await portals.find(clientId);
          return portal && subjects.accountOf(subject, portal.sector);
        },
        portalOf: (client) => portalOf.get(client),
        resourceServer,
        mayIntrospect: (clientId, audience) =>
          resources.find(audience)?.introspectedBy.includes(clientId) ?? false,
        agreed: consents.given,
        decideActing: acting.decide,
        extraTokenClaims: (ctx, client) =>
          acting.extraTokenClaims(ctx, (accountId) =>
            subjects.subjectOf(accountId, portalOf.get(client)?.sector ?? client.clientId),
          ),
        saveGrant: consents.save,
        policy: createPolicy({
          portalOf: (client) => portalOf.get(client),
          verifiedClaimsMissing,
          choicesOf: async (accountId, clientId) => (await acting.choices(accountId, clientId)).length,
          assurable: (account) => (account as { assurable?: Assurable }).assurable,
          means,
          now,
        }),
        certificates: certificates.feature,
        endpointAliases: certificates.aliases,
        backchannel: backchannel.configuration,
        verifiedClaims: verifiedClaimsMetadata(parts.trustFrameworks),
        registration: {
          newClientId: () => `p-${randomBytes(12).toString('hex')}`,
          newSecret: () => randomBytes(32).toString('base64url'),
        },
        pages: ownPages,
      }),
    );
    speakFor(config.issuer, provider);

    const parse = (portal: Portal): Client => {
      certificates.check(portal);
      const client = new (provider.Client as unknown as new (metadata: object) => Client)(
        toClientMetadata(portal),
      );
      (client as unknown as LibraryClient).subjectType = 'pairwise';
      portalOf.set(client, portal);
      return client;
    };
    provider.Client.find = async (clientId) => {
      const portal = typeof clientId === 'string' ? await portals.find(clientId) : undefined;
      if (!portal) return undefined;
      const known = clients.get(portal);
      if (known) return known;
      const client = parse(portal);
      clients.set(portal, client);
      return client;
    };
    // Client secrets are kept as digests: the registry compares.
    provider.Client.prototype.compareClientSecret = function compareClientSecret(secret) {
      return portals.checkSecret(this.clientId, secret);
    };
    // The library looks whether a `jti` was used and writes it later; two requests in parallel would both pass. One write decides instead.
    provider.ReplayDetection.unique = async function unique(iss, jti, exp) {
      const ttlSeconds = Math.max(1, Math.ceil(exp - clock.now().getTime() / 1000));
      // What would have to be remembered for longer is not taken (RFC 7523, section 3, rule 4).
      if (!(ttlSeconds <= REPLAY_MAX_SECONDS)) return false;
      return store.putOnce('ReplayDetection', keyOf(JSON.stringify([iss, jti])), '1', ttlSeconds);
    };
    // The library would call each portal while the person waits, once, and forget what failed. The calls go through the outbox instead.
    const prototype = provider.Client.prototype as unknown as LibraryClient;
    const callOfLibrary = prototype.backchannelLogout;
    prototype.backchannelLogout = function backchannelLogout(accountId, sid) {
      return parts.logouts.enqueue({ clientId: this.clientId, accountId, sid });
    };
    rememberFactors(provider);
    acting.attach(provider);
    recordReleases(provider, releases);
    saveNewSessions(provider, config.issuer.startsWith('https:'));
    pingInBackground(provider, logger);
    refreshGrace.attach(provider);
    certificates.attach(provider);
    report(provider, logger);
    provider.on('interaction.started', (ctx) => {
      const uiLocales = ctx.oidc.params?.['ui_locales'];
      if (typeof uiLocales === 'string') parts.preferences.adopt(ctx, uiLocales);
      if (ctx.oidc.client) ownPages.rememberOrigin(ctx, ctx.oidc.client.clientId);
    });

    const published = createPublished();
    const endpoints = compose(provider.middleware as unknown as Middleware[]);
    const middleware = compose<Context>([
      exactEndpoints(),
      refuseAmbiguous,
      published.middleware,
      postAsGet(),
      boundedRequests(),
      certificates.atOrigin,
      ownReturn(config.issuer),
      sessionExtension({ ...parts, provider, issuer: config.issuer }),
      interactionRoutes({
        ...parts,
        acting,
        guard,
        provider,
        records,
        claims,
        consents,
        ownPages,
        restarts,
        issuer: config.issuer,
        signOutEverywhere,
      }),
      upstreamReturn({ identity: parts.identity, records, clock, issuer: config.issuer }),
      approvalRoutes({ ...parts, provider, backchannel, claims, consents, now }),
      crossDeviceRoutes({ ...parts, provider }),
      manageRegistrations(portals),
      limitEndpoints(parts),
      refreshGrace.middleware,
      ownPages.formPages,
      async function oidcEndpoints(ctx, next) {
        await endpoints(ctx, next);
        const oidcCtx = ctx as unknown as Partial<KoaContextWithOIDC>;
        // The library defines `ctx.oidc` on the routes that it serves, and on no other.
        if (!oidcCtx.oidc) return;
        ctx.state.area = 'oidc';
        await restarts.remember(oidcCtx as KoaContextWithOIDC);
        await recordSignOut(oidcCtx as KoaContextWithOIDC, parts);
      },
    ]);
    const hot = createHotPath(
      {
        ...parts,
        issuer: config.issuer,
        records,
        subjects,
        releases,
        refreshGrace,
        now,
        instant: () => clock.now().getTime() / 1000,
      },
      keys,
      {
        cookieKeys,
        sessionCookie: provider.cookieName('session'),
      },
    );
    return {
      provider,
      middleware,
      direct: (request) => published.direct(request) ?? (config.hotPath ? hot(request) : undefined),
      check: (portal) => void parse(portal),
      callPortal: (client, accountId, sid) =>
        callOfLibrary.call(client as unknown as LibraryClient, accountId, sid),
      async session(ctx) {
        const { accountId, uid, factors = {} } = await ownSession(provider, ctx);
        return { accountId, uid, factors };
      },
      noteShowing: (ctx, showing) => noteShowing(provider, ctx, showing),
      acting: (ctx) => chosenActing(provider, ctx),
      switchActing: (ctx, accountId, as) =>
        chooseActing(provider, ctx, accountId, { as, at: clock.now().getTime() / 1000 }),
      renewSession: (ctx) => renewSession(provider, ctx, config.issuer.startsWith('https:')),
    };
  }

  return { build, signOutEverywhere, sessions, consents, releases, subjects, guard, acting };
}

/**
 * What operators ask of a portal, which its own changes of its registration (RFC 7592) leave as it is. What they allow it, and the sector
 * that its addresses give, are for the registration that they have seen.
 */
function demandsOn(portal: Portal | undefined) {
  if (!portal) return {};
  const { region, department, profile, minimumAcr, codeChallenge, optionalClaims, purposes } = portal;
  return {
    profile,
    codeChallenge,
    optionalClaims,
    purposes,
    ...(region === undefined ? {} : { region }),
    ...(department === undefined ? {} : { department }),
    ...(minimumAcr === undefined ? {} : { minimumAcr }),
  };
}

/** Lets the session keep when each factor was shown, for which the library knows one time, and how it was begun. */
function rememberFactors(provider: Provider): void {
  const Session = provider.Session as unknown as { IN_PAYLOAD: readonly string[] };
  const members = [...Session.IN_PAYLOAD, 'factors', 'beginning'];
  Object.defineProperty(Session, 'IN_PAYLOAD', { get: () => members });
  provider.on('interaction.ended', (ctx) => {
    const login = ctx.oidc.result?.login as LoginResult | undefined;
    // eslint-disable-next-line typescript/no-unsafe-type-assertion -- both were added to its payload just above
    const session = ctx.oidc.session as unknown as SessionFactors | undefined;
    if (!login || !session) return;
    if (login.factors) session.factors = { ...session.factors, ...login.factors };
    if (login.beginning)
      session.beginning = session.beginning ? continued(session.beginning, login.beginning) : login.beginning;
  });
}

/** Whatever the library releases of a person goes through one method, which waits until the release is on record. */
function recordReleases(provider: Provider, releases: Releases): void {
  const { prototype } = (provider as unknown as { Claims: { prototype: LibraryClaims } }).Claims;
  const result = prototype.result;
  prototype.result = async function recordedResult() {
    const claims = { ...(await result.call(this)), ...actingIn(this) };
    await releases.record({
      accountId: String(this.available['sub']),
      clientId: this.client.clientId,
      way: this.ctx?.oidc.route === 'userinfo' ? 'userinfo' : 'id-token',
      claims: namesOf(claims),
    });
    return claims;
  };
}

/** Whom the person acts for is in the ID token, too, of a portal that asked for it by its scope: a portal looks there first. */
function actingIn({ available, ctx }: LibraryClaims): Readonly<Record<string, unknown>> {
  const { AuthorizationCode, RefreshToken, DeviceCode, Grant } = ctx?.oidc.entities ?? {};
  const scope = (AuthorizationCode ?? RefreshToken ?? DeviceCode)?.scope?.split(' ') ?? [];
  if (!scope.includes(ORGANISATION_SCOPE) || Grant?.getRejectedOIDCClaims().includes('organisation'))
    return {};
  const names = ['organisation', 'act', 'organisation_authority'].filter((name) => name in available);
  return Object.fromEntries(names.map((name) => [name, available[name]]));
}

/** Names of claims, those inside `verified_claims` (OpenID Identity Assurance Schema 1.0, section 5.1) by their own names. */
function namesOf({ verified_claims: verified = [], ...claims }: Readonly<Record<string, unknown>>): string[] {
  const inner = [verified].flat() as { readonly claims?: object }[];
  return [...new Set([...Object.keys(claims), ...inner.flatMap((each) => Object.keys(each.claims ?? {}))])];
}

/** What the library makes of the claims that an answer may have. */
interface LibraryClaims {
  /** Of the account, `sub` being its id. */
  readonly available: Readonly<Record<string, unknown>>;
  readonly client: Client;
  readonly ctx: KoaContextWithOIDC | undefined;
  /** Those that leave. */
  result(): Promise<Readonly<Record<string, unknown>>>;
}

/** After an error the library shows the device page again, with a secret in a session that it has never saved, and cannot save then. */
function saveNewSessions(provider: Provider, secure: boolean): void {
  const prototype = provider.Session.prototype as unknown as {
    readonly id: string;
    readonly exp: number | undefined;
    save(ttlSeconds: number): Promise<string>;
    persist(): Promise<string>;
  };
  const persist = prototype.persist;
  prototype.persist = function persistOrSave() {
    if (this.exp !== undefined) return persist.call(this);
    const cookie = { httpOnly: true, sameSite: 'lax', signed: true, secure, overwrite: true } as const;
    Provider.ctx?.cookies.set(provider.cookieName('session'), this.id, cookie);
    return this.save(TTL.Session);
  };
}

/** A session ends in the session store, so its entry cannot be part of that change; it follows at once. */
async function recordSignOut(ctx: KoaContextWithOIDC, parts: GenerationParts): Promise<void> {
  const { session, route, params } = ctx.oidc;
  if (route !== 'end_session_confirm' || ctx.status !== 303 || !session?.accountId) return;
  const { accountId } = session;
  const everywhere = params?.['logout'] !== undefined;
  const clientIds = everywhere
    ? Object.keys(session.authorizations ?? {})
    : ctx.oidc.client
      ? [ctx.oidc.client.clientId]
      : [];
  if (!everywhere && clientIds.length === 0) return;
  await parts.db.transaction((tx) =>
    parts.audit.record(tx, {
      type: 'account.signed-out',
      actor: accountId,
      subject: accountId,
      detail: { clientIds },
    }),
  );
}

function report(provider: Provider, logger: Logger): void {
  const traceIdOf = (ctx: KoaContextWithOIDC) => (ctx.state as Partial<RequestState>).traceId;
  provider.on('server_error', (ctx, error) => {
    logger.error({ traceId: traceIdOf(ctx), err: error }, 'oidc request failed');
    // The library knows one status for whatever fails.
    if (toPublicError(error).status !== 503) return;
    ctx.status = 503;
    ctx.set('Retry-After', '5');
  });
  provider.on('authorization.error', (ctx, error) =>
    logger.info({ traceId: traceIdOf(ctx), oauthError: error.error }, 'authorization refused'),
  );
  provider.on('grant.error', (ctx, error) =>
    logger.info({ traceId: traceIdOf(ctx), oauthError: error.error }, 'token request refused'),
  );
}
