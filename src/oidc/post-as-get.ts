/**
 * POST to the authorization and end-session endpoints (OpenID Connect Core 1.0, section 3.1.2.1; RP-Initiated Logout 1.0, section 2).
 * The form is turned into a GET by redirect: cookies that are SameSite=Lax come with it, where a POST from another site brings none.
 */
import getRawBody from 'raw-body';
import { HttpError } from '../platform/http/errors.ts';
import type { Middleware } from '../platform/http/context.ts';
import { ROUTES } from './configuration.ts';

const PATHS: ReadonlySet<string> = new Set([ROUTES.authorization, ROUTES.end_session]);
/** What an address line can carry through servers and browsers. Longer requests are pushed (RFC 9126). */
const MAX_BYTES = 8192;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

export function postAsGet(): Middleware {
  return async function toGet(ctx, next) {
    if (ctx.method !== 'POST' || !PATHS.has(ctx.path)) return next();
    if (!ctx.is('application/x-www-form-urlencoded'))
      throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/x-www-form-urlencoded.');
    let query: string;
    try {
      const body = await getRawBody(ctx.req, { limit: MAX_BYTES, length: ctx.get('content-length') || null });
      query = new URLSearchParams(UTF8.decode(body)).toString();
    } catch (cause) {
      throw new HttpError(
        'FORM_UNREADABLE',
        `The form could not be read, or is longer than ${MAX_BYTES} bytes; push longer requests.`,
        { cause },
      );
    }
    ctx.status = 303;
    ctx.redirect(`${ctx.path}?${query}`);
  };
}
