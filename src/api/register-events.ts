/** Where registers push what happened to people (RFC 8935). */
import getRawBody from 'raw-body';
import { RegisterEventError, type RegisterEvents } from '../identity/index.ts';
import { HttpError } from '../platform/http/errors.ts';
import type { Context, Middleware } from '../platform/http/context.ts';

const PATH = '/register-events';
const MAX_BYTES = 16_384;

export function registerEventRoute(events: RegisterEvents): Middleware {
  return async function registerEvent(ctx, next) {
    if (ctx.path !== PATH) return next();
    ctx.state.area = 'api';
    if (ctx.method !== 'POST') {
      ctx.set('Allow', 'POST');
      throw new HttpError('METHOD_NOT_ALLOWED', 'This address answers to POST.');
    }
    if (!ctx.is('application/secevent+jwt'))
      throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/secevent+jwt.');
    try {
      await events.receive(await readToken(ctx));
      ctx.status = 202;
      ctx.body = null;
      ctx.status = 202;
    } catch (error) {
      if (!(error instanceof RegisterEventError)) throw error;
      // RFC 8935, section 2.3.
      ctx.status = 400;
      ctx.body = { err: error.problem, description: error.message };
    }
  };
}

async function readToken(ctx: Context): Promise<string> {
  try {
    const body = await getRawBody(ctx.req, { limit: MAX_BYTES, length: ctx.get('content-length') || null });
    return body.toString('ascii');
  } catch (cause) {
    throw new RegisterEventError(
      'invalid_request',
      `The body is longer than ${MAX_BYTES} bytes, or broke off.`,
      {
        cause,
      },
    );
  }
}
