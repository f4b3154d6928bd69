/**
 * The person's session on pages of this service itself. They sign in to them as to any portal, by the built-in one: the same pages, the
 * same step-up, and the session that all portals share.
 */
import type Provider from 'oidc-provider';
import { amrOf, methodsOf, type Showing } from '../identity/index.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Lifetime } from '../platform/http/lifetime.ts';
import type { Pages } from '../platform/http/pages.ts';
import { ownPath } from '../platform/http/preferences.ts';
import { OWN_PORTAL, OWN_RETURN_PATH } from '../portals/index.ts';
import type { Choice, WithChoice } from './acting.ts';
import { ROUTES, TTL } from './configuration.ts';
import type { SessionFactors } from './policy.ts';

type Session = InstanceType<Provider['Session']> & SessionFactors & WithChoice;

/** Parts of the library's session that its types leave out. */
interface LibrarySession {
  readonly id: string;
  resetIdentifier(): void;
  persist(): Promise<string>;
}

const EXTENSION_PATH = '/session/extend';

/** The session of the request's browser, signed in or not. Pages that it is read for say when it ends. */
export async function ownSession(provider: Provider, ctx: Context): Promise<Session> {
  const session = await provider.Session.get(ctx);
  if (session.accountId !== undefined && session.exp !== undefined)
    ctx.state.lifetime ??= lifetimeOf(session.exp);
  return session;
}

function lifetimeOf(exp: number): Lifetime {
  return { endsAt: new Date(exp * 1000), extendAction: EXTENSION_PATH, of: 'session' };
}

/** Lets a session last as long as if it had just been used, which it has: its person wants to go on. */
export function sessionExtension(parts: {
  readonly provider: Provider;
  readonly issuer: string;
  readonly forms: Forms;
  readonly pages: Pages;
}): Middleware {
  return async function extendSession(ctx, next) {
    if (ctx.path !== EXTENSION_PATH || ctx.method !== 'POST') return next();
    const back = ownPath((await parts.forms.read(ctx)).get('back'), parts.issuer);
    const session = await parts.provider.Session.get(ctx);
    if (session.accountId === undefined) return sendToSignIn(ctx, parts.issuer, back);
    // Entries of portals stay as they are in the store, whatever happened to them since they were read.
    session.authorizations = {};
    await session.save(TTL.Session);
    parts.pages.answerExtension(ctx, lifetimeOf(session.exp), back);
  };
}

/** Adds to a session what its person has just shown on a page of ours, such as a factor that they set up there. */
export async function noteShowing(provider: Provider, ctx: Context, showing: Showing): Promise<void> {
  const session = await ownSession(provider, ctx);
  if (session.accountId !== showing.accountId || session.exp === undefined) return;
  const at = Math.floor(showing.at.getTime() / 1000);
  session.factors = { ...session.factors, [showing.method]: at };
  session.amr = amrOf(methodsOf(session.factors));
  await session.save(Math.max(1, session.exp - at));
}

/** For whom the person of the request's browser has said that they act, at portals that they come to from then on. */
export async function chosenActing(provider: Provider, ctx: Context): Promise<Choice | undefined> {
  return (await ownSession(provider, ctx)).acting;
}

/** Changes that. @returns false: the session is not this account's. */
export async function chooseActing(
  provider: Provider,
  ctx: Context,
  accountId: string,
  choice: Choice,
): Promise<boolean> {
  const session = await ownSession(provider, ctx);
  if (session.accountId !== accountId || session.exp === undefined) return false;
  session.acting = choice;
  await session.save(Math.max(1, session.exp - Math.floor(choice.at)));
  return true;
}

/** Gives the session of the request's browser a new id; the old one is good for nothing from then on. */
export async function renewSession(provider: Provider, ctx: Context, secure: boolean): Promise<void> {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- the library's types leave these members out
  const session = (await ownSession(provider, ctx)) as unknown as LibrarySession;
  session.resetIdentifier();
  ctx.cookies.set(provider.cookieName('session'), session.id, {
    httpOnly: true,
    sameSite: 'lax',
    signed: true,
    secure,
    overwrite: true,
  });
  await session.persist();
}

/**
 * Sends a person to sign in, and back to a page of ours.
 * @param path The page: a path on this origin, with nothing personal in it.
 * @param options.fullWithinSeconds They show all that their account can show, not longer ago than this.
 * @param options.anew They show something once more, whatever their session has shown.
 */
export function sendToSignIn(
  ctx: Context,
  issuer: string,
  path: string,
  options: { readonly fullWithinSeconds?: number; readonly acrValues?: string; readonly anew?: boolean } = {},
): void {
  const query = new URLSearchParams({
    client_id: OWN_PORTAL,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: `${issuer}${OWN_RETURN_PATH}`,
    state: path,
    ...(options.fullWithinSeconds === undefined ? {} : { max_age: String(options.fullWithinSeconds) }),
    ...(options.anew === true ? { prompt: 'login' } : {}),
    ...(options.acrValues === undefined ? {} : { acr_values: options.acrValues }),
  });
  ctx.status = 303;
  ctx.redirect(`${ROUTES.authorization}?${query.toString()}`);
}

/** Where a sign-in to our own pages comes back to. The session is what it came for: the code is left to expire. */
export function ownReturn(issuer: string): Middleware {
  return async function returnToOwnPage(ctx, next) {
    if (ctx.path !== OWN_RETURN_PATH || ctx.method !== 'GET') return next();
    ctx.status = 303;
    // Someone who went back without signing in would be sent there and back again.
    ctx.redirect(ctx.query['error'] === undefined ? ownPath(ctx.query['state'], issuer) : '/');
  };
}
