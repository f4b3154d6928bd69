/** The OpenID provider: oidc-provider with our storage, keys, pages and rules. */
import compose from 'koa-compose';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import type { AuditLog } from '../audit/index.ts';
import type { Identity } from '../identity/index.ts';
import type { Signer } from '../pki/index.ts';
import { thumbprint } from '../pki/index.ts';
import { createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import type { Db } from '../platform/db/db.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import { createOutboundFetch } from '../platform/http/outbound.ts';
import type { Pages } from '../platform/http/pages.ts';
import { speakFor } from '../platform/http/origin.ts';
import type { Preferences } from '../platform/http/preferences.ts';
import type { AccountId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { deriveKey, type Secrets } from '../platform/secrets.ts';
import type { Portals } from '../portals/index.ts';
import { createAdapterFactory, keyOf } from './adapter.ts';
import { apiResource, toClientMetadata, toConfiguration } from './configuration.ts';
import { createConsents } from './consents.ts';
import { interactionRoutes } from './interactions/routes.ts';
import type { LogoutOutbox } from './logout-outbox.ts';
import { createOwnPages } from './own-pages.ts';
import { publishOnce } from './published.ts';
import { API_SCOPES, claimsOf } from './scopes.ts';
import { CustodySigningKey } from './signing-key.ts';
import type { OidcStore } from './store/store.ts';
import { createSubjects } from './subjects.ts';

export interface OidcParts {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly db: Db;
  readonly store: OidcStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly audit: AuditLog;
  readonly identity: Identity;
  readonly portals: Portals;
  /** The token signing key (ES256). */
  readonly signer: Signer;
  readonly forms: Forms;
  readonly pages: Pages;
  readonly preferences: Preferences;
  /** Makes the back-channel logout calls. */
  readonly logouts: LogoutOutbox;
}

/** Whom a bearer token speaks for. */
export interface BearerToken {
  readonly accountId: AccountId;
  readonly clientId: string;
  readonly scopes: ReadonlySet<string>;
}

export interface Oidc {
  /** Every endpoint of the provider and the pages of its interactions. */
  readonly middleware: Middleware;
  /** What an access token for our own API stands for, or undefined if it is unknown, ended, revoked, or made for something else. */
  bearer(token: string): Promise<BearerToken | undefined>;
}

export async function createOidc(parts: OidcParts): Promise<Oidc> {
  const { config, store, clock, identity, portals, pages } = parts;
  const subjects = createSubjects(parts);
  const consents = createConsents(parts);
  const ownPages = createOwnPages({ pages, portals, issuer: config.issuer });
  const provider = new Provider(
    config.issuer,
    toConfiguration({
      issuer: config.issuer,
      cookieKeys: parts.secrets.cookieKeys,
      adapter: createAdapterFactory({
        store,
        clock,
        cipher: createCipher(deriveKey(parts.secrets.dataKey, 'oidc-store')),
        async findClient(clientId) {
          const portal = await portals.find(clientId);
          return portal && toClientMetadata(portal);
        },
      }),
      signingKeys: [new CustodySigningKey(parts.signer, await thumbprint(parts.signer.publicKey))],
      fetch: createOutboundFetch(config.outboundNetworks) as typeof fetch,
      async claims(accountId) {
        const account = await identity.account(accountId);
        return account && claimsOf(account);
      },
      async subjectOf(accountId, clientId) {
        const portal = await portals.find(clientId);
        if (!portal) throw new TypeError('a subject was asked for on behalf of an unknown portal');
        return subjects.subjectOf(accountId, portal.sector);
      },
      async apiScopes(clientId) {
        const portal = await portals.find(clientId);
        return portal?.scopes.filter((scope) => scope in API_SCOPES) ?? [];
      },
      consented: (accountId, clientId) => consents.given(accountId, clientId),
      pages: ownPages,
    }),
  );
  speakFor(config.issuer, provider);

  // Client secrets are kept as digests: the registry compares.
  provider.Client.prototype.compareClientSecret = function compareClientSecret(secret) {
    return portals.checkSecret(this.clientId, secret);
  };
  // The library looks whether a `jti` was used and writes it later; two requests in parallel would both pass. One write decides instead.
  provider.ReplayDetection.unique = async function unique(iss, jti, exp) {
    const ttlSeconds = Math.max(1, Math.ceil(exp - clock.now().getTime() / 1000));
    return store.putOnce('ReplayDetection', keyOf(JSON.stringify([iss, jti])), '1', ttlSeconds);
  };

  // The library would call each portal while the person waits, once, and forget what failed. The calls go through the outbox instead.
  const clients = provider.Client.prototype as unknown as LogoutClient;
  const callPortal = clients.backchannelLogout;
  clients.backchannelLogout = function backchannelLogout(accountId, sid) {
    return parts.logouts.enqueue({ clientId: this.clientId, accountId, sid });
  };
  parts.logouts.start(async ({ clientId, accountId, sid }) => {
    const client = await provider.Client.find(clientId);
    if (!client) throw new Error('the portal is not registered any more, or suspended');
    await callPortal.call(client as unknown as LogoutClient, accountId, sid);
  });

  report(provider, parts.logger);
  provider.on('interaction.started', (ctx) => {
    const uiLocales = ctx.oidc.params?.['ui_locales'];
    if (typeof uiLocales === 'string') parts.preferences.adopt(ctx, uiLocales);
    if (ctx.oidc.client) ownPages.rememberOrigin(ctx, ctx.oidc.client.clientId);
  });

  const endpoints = compose(provider.middleware as unknown as Middleware[]);
  return {
    middleware: compose<Context>([
      publishOnce(),
      interactionRoutes({ ...parts, provider, consents, ownPages }),
      ownPages.formPages,
      async function oidcEndpoints(ctx, next) {
        await endpoints(ctx, next);
        const oidcCtx = ctx as unknown as Partial<KoaContextWithOIDC>;
        // The library defines `ctx.oidc` on the routes that it serves, and on no other.
        if (!oidcCtx.oidc) return;
        ctx.state.area = 'oidc';
        await recordSignOut(oidcCtx as KoaContextWithOIDC, parts);
      },
    ]),
    async bearer(token) {
      const accessToken = await provider.AccessToken.find(token);
      // A sender-constrained token (RFC 9449, RFC 8705) proves nothing when it is shown as a bearer token.
      if (
        !accessToken?.isValid ||
        accessToken.isSenderConstrained() ||
        accessToken.aud !== apiResource(config.issuer)
      )
        return undefined;
      const grant =
        accessToken.grantId === undefined ? undefined : await provider.Grant.find(accessToken.grantId);
      if (!grant || accessToken.clientId === undefined) return undefined;
      const account = await identity.account(accessToken.accountId);
      return account && { accountId: account.id, clientId: accessToken.clientId, scopes: accessToken.scopes };
    },
  };
}

/** A part of the library's client that its types leave out. */
interface LogoutClient {
  readonly clientId: string;
  backchannelLogout(accountId: string, sid: string | undefined): Promise<void>;
}

/** A session ends in the session store, so its entry cannot be part of that change; it follows at once. */
async function recordSignOut(ctx: KoaContextWithOIDC, parts: OidcParts): Promise<void> {
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
  provider.on('server_error', (ctx, error) =>
    logger.error({ traceId: traceIdOf(ctx), err: error }, 'oidc request failed'),
  );
  provider.on('authorization.error', (ctx, error) =>
    logger.info({ traceId: traceIdOf(ctx), oauthError: error.error }, 'authorization refused'),
  );
  provider.on('grant.error', (ctx, error) =>
    logger.info({ traceId: traceIdOf(ctx), oauthError: error.error }, 'token request refused'),
  );
}
