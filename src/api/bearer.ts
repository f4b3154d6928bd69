/** Whom a request to the API speaks for: the bearer token of its Authorization header (RFC 6750). */
import type { BearerToken, Oidc } from '../oidc/index.ts';
import type { Context } from '../platform/http/context.ts';
import { TokenError } from './errors.ts';

/** The person whom the token speaks for, if it carries `scope`. @throws {TokenError} */
export type Bearer = (ctx: Context, scope: string) => Promise<BearerToken>;

export function createBearer(oidc: Pick<Oidc, 'bearer'>): Bearer {
  return async function bearerOf(ctx, scope) {
    const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('authorization'))?.[1];
    if (token === undefined)
      throw challenge(
        ctx,
        new TokenError('TOKEN_MISSING', 'Send an access token: Authorization: Bearer ...'),
      );
    const bearer = await oidc.bearer(token);
    if (!bearer)
      throw challenge(
        ctx,
        new TokenError('TOKEN_INVALID', 'The access token is not valid here, or no longer.'),
        'invalid_token',
      );
    if (!bearer.scopes.has(scope))
      throw challenge(
        ctx,
        new TokenError('SCOPE_INSUFFICIENT', `The access token lacks the scope ${scope}.`),
        'insufficient_scope',
      );
    return bearer;
  };
}

function challenge(ctx: Context, error: TokenError, code?: string): TokenError {
  ctx.set('WWW-Authenticate', code === undefined ? 'Bearer' : `Bearer error="${code}"`);
  return error;
}
