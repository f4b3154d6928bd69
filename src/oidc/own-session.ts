/**
 * The person's session on pages of this service itself. They sign in to them as to any portal, by the built-in one: the same pages, the
 * same step-up, and the session that all portals share.
 */
import type Provider from 'oidc-provider';
import type { Context, Middleware } from '../platform/http/context.ts';
import { ownPath } from '../platform/http/preferences.ts';
import { OWN_PORTAL, OWN_RETURN_PATH } from '../portals/index.ts';
import { ROUTES } from './configuration.ts';
import type { SessionFactors } from './policy.ts';

type Session = InstanceType<Provider['Session']> & SessionFactors;

/** The session of the request's browser, signed in or not. */
export async function ownSession(provider: Provider, ctx: Context): Promise<Session> {
  return provider.Session.get(ctx);
}

/**
 * Sends a person to sign in, and back to a page of ours.
 * @param path The page: a path on this origin, with nothing personal in it.
 * @param options.fullWithinSeconds They show all that their account can show, not longer ago than this.
 */
export function sendToSignIn(
  ctx: Context,
  issuer: string,
  path: string,
  options: { readonly fullWithinSeconds?: number; readonly acrValues?: string } = {},
): void {
  const query = new URLSearchParams({
    client_id: OWN_PORTAL,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: `${issuer}${OWN_RETURN_PATH}`,
    state: path,
    ...(options.fullWithinSeconds === undefined ? {} : { max_age: String(options.fullWithinSeconds) }),
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
