/** The OpenID provider's door: the endpoints, served by the library with the keys of the moment, and what other rooms ask of it. */
import type { Middleware } from '../platform/http/context.ts';
import type { DirectHandler } from '../platform/http/direct.ts';
import type { AccountId } from '../platform/ids.ts';
import type { Portal } from '../portals/index.ts';
import type { Acting } from '../organisations/index.ts';
import type { WithChoice } from './acting.ts';
import { apiResource, CODE_CHALLENGE_OPTIONAL } from './configuration.ts';
import { createGenerations, type GenerationParts, type SignOutEverywhere } from './generation.ts';
import type { LogoutOutbox } from './logout-outbox.ts';
import { createOwnAccount, type OwnAccount } from './own-account.ts';
import { sendToSignIn } from './own-session.ts';
import type { Release } from './releases.ts';
import type { TokenKeys } from './token-keys.ts';

export interface OidcParts extends GenerationParts {
  readonly tokenKeys: TokenKeys;
  /** Makes the back-channel logout calls. */
  readonly logouts: LogoutOutbox;
}

/** Whom a bearer token speaks for. */
export interface BearerToken {
  readonly accountId: AccountId;
  readonly clientId: string;
  readonly scopes: ReadonlySet<string>;
  /** For whom the person acts by it; undefined: for themselves. */
  readonly acting: Acting | undefined;
}

export interface Oidc {
  /** Every endpoint of the provider and the pages of its interactions. */
  readonly middleware: Middleware;
  /** Answers plain requests before the framework; leaves every other alone. */
  readonly direct: DirectHandler;
  /** What an access token for our own API stands for, or undefined if it is unknown, ended, revoked, or made for something else. */
  bearer(token: string): Promise<BearerToken | undefined>;
  /** @throws {errors.InvalidClientMetadata} this provider could not serve a portal so described. */
  checkPortal(portal: Portal): void;
  readonly signOutEverywhere: SignOutEverywhere;
  /** The `sub` by which a portal knows an account. */
  subjectOf(accountId: string, clientId: string): Promise<string>;
  /** The account that a portal knows by a `sub`, if there is one and it is active. */
  accountOf(sub: string, clientId: string): Promise<AccountId | undefined>;
  /** Puts on record what our own API tells a portal of a person; resolves when it is durable. */
  recordRelease(release: Omit<Release, 'way'>): Promise<void>;
  /** Forgets what was released longer ago than it is kept. @returns how many releases. */
  forgetReleases(): Promise<number>;
  /** Ends every session and every grant of an account that is no more. */
  endEverything(accountId: string): Promise<void>;
  /** What people see and end of their own. */
  readonly own: OwnAccount;
  /**
   * A token with which one portal may register itself (RFC 7591, section 1.2).
   * @param options.seconds How long it is good.
   * @param options.codeChallenge Whether that portal must send PKCE.
   */
  issueInitialAccessToken(options: {
    readonly seconds: number;
    readonly codeChallenge?: 'required' | 'optional';
  }): Promise<string>;
}

export async function createOidc(parts: OidcParts): Promise<Oidc> {
  const { config, logger, tokenKeys } = parts;
  const apiUri = apiResource(config.issuer);
  const generations = createGenerations(parts);
  const { build, signOutEverywhere } = generations;
  let current = build(await tokenKeys.published());
  let rebuilding: Promise<void> = Promise.resolve();
  tokenKeys.onChange(() => {
    rebuilding = rebuilding
      .then(async () => {
        current = build(await tokenKeys.published());
      })
      .catch((error: unknown) => logger.error({ err: error }, 'the token keys could not be taken over'));
  });
  parts.logouts.start(async ({ clientId, accountId, sid }) => {
    const client = await current.provider.Client.find(clientId);
    if (!client) throw new Error('the portal is not registered any more, or suspended');
    await current.callPortal(client, accountId, sid);
  });

  return {
    middleware: (ctx, next) => current.middleware(ctx, next),
    direct: (request) => current.direct(request),
    async bearer(token) {
      const { provider } = current;
      const accessToken = await provider.AccessToken.find(token);
      // A sender-constrained token (RFC 9449, RFC 8705) proves nothing when it is shown as a bearer token.
      if (!accessToken?.isValid || accessToken.isSenderConstrained() || accessToken.aud !== apiUri)
        return undefined;
      const grant =
        accessToken.grantId === undefined ? undefined : await provider.Grant.find(accessToken.grantId);
      if (!grant || accessToken.clientId === undefined) return undefined;
      const account = await parts.accounts.account(accessToken.accountId);
      // A token that does not say for whom it was asked for speaks for the person alone.
      const says = 'organisation' in (accessToken.extra ?? {});
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to its payload by `acting.ts`
      const acting = says ? (grant as unknown as WithChoice).acting?.as : undefined;
      return (
        account && {
          accountId: account.id,
          clientId: accessToken.clientId,
          scopes: accessToken.scopes,
          acting: acting ?? undefined,
        }
      );
    },
    checkPortal: (portal) => current.check(portal),
    signOutEverywhere,
    async subjectOf(accountId, clientId) {
      const portal = await parts.portals.find(clientId);
      if (!portal) throw new TypeError('a subject was asked for on behalf of an unknown portal');
      return generations.subjects.subjectOf(accountId, portal.sector);
    },
    async accountOf(sub, clientId) {
      const portal = await parts.portals.find(clientId);
      const id = portal && (await generations.subjects.accountOf(sub, portal.sector));
      return id === undefined ? undefined : (await parts.accounts.account(id))?.id;
    },
    recordRelease: (release) => generations.releases.record({ ...release, way: 'api' }),
    forgetReleases: () =>
      generations.releases.forget(new Date(parts.clock.now().getTime() - config.releasesDays * 86_400_000)),
    endEverything: generations.sessions.endEverything,
    own: createOwnAccount({
      ...parts,
      ...generations,
      session: (ctx) => current.session(ctx),
      sendToSignIn: (ctx, path, options) => sendToSignIn(ctx, config.issuer, path, options),
      noteShowing: (ctx, showing) => current.noteShowing(ctx, showing),
      acting: (ctx) => current.acting(ctx),
      switchActing: (ctx, accountId, as) => current.switchActing(ctx, accountId, as),
      renew: (ctx) => current.renewSession(ctx),
    }),
    issueInitialAccessToken: ({ seconds, codeChallenge = 'required' }) =>
      new current.provider.InitialAccessToken({
        expiresIn: seconds,
        ...(codeChallenge === 'optional' ? { policies: [CODE_CHALLENGE_OPTIONAL] } : {}),
      }).save(),
  };
}
