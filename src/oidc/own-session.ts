/** The person's session where no portal is involved: on pages of this service itself. */
import type Provider from 'oidc-provider';
import type { Authentication } from '../identity/index.ts';
import type { Context } from '../platform/http/context.ts';
import type { SessionFactors } from './policy.ts';

type Session = InstanceType<Provider['Session']> & SessionFactors;

/** The session of the request's browser, signed in or not. */
export async function ownSession(provider: Provider, ctx: Context): Promise<Session> {
  return provider.Session.get(ctx);
}

/** Signs a person in, under a session id that nobody has seen before. */
export async function signInHere(
  provider: Provider,
  ctx: Context,
  authentication: Authentication,
  options: { readonly ttlSeconds: number; readonly secure: boolean },
): Promise<void> {
  const present = await ownSession(provider, ctx);
  const { accountId, amr, authTime, factors } = authentication;
  // Another person's session is left behind whole, with the portals that belong to it.
  const session = present.accountId === accountId ? present : (new provider.Session() as unknown as Session);
  if (session === present) session.resetIdentifier();
  session.loginAccount({
    accountId,
    amr: [...amr],
    loginTs: Math.floor(authTime.getTime() / 1000),
    transient: true,
  });
  session.factors = { ...session.factors, ...factors };
  await session.save(options.ttlSeconds);
  ctx.cookies.set(provider.cookieName('session'), session.jti, {
    httpOnly: true,
    sameSite: 'lax',
    signed: true,
    secure: options.secure,
    overwrite: true,
    path: '/',
  });
}
