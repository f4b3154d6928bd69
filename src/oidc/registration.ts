/** Dynamic client registration (RFC 7591, RFC 7592) where the library's part and the registry's differ: secrets are digests here. */
import getRawBody from 'raw-body';
import type { Middleware } from '../platform/http/context.ts';
import type { Portals } from '../portals/index.ts';
import { SECRET_ELSEWHERE } from './client-metadata.ts';
import { ROUTES } from './configuration.ts';

const MAX_BYTES = 57_344;

export function manageRegistrations(portals: Portals): Middleware {
  return async function manage(ctx, next) {
    const clientId = clientIdOf(ctx.path);
    if (clientId === undefined && ctx.path !== ROUTES.registration) return next();
    if (ctx.method === 'PUT' && clientId !== undefined && ctx.is('application/json')) {
      // The library compares the secret that a portal sends back with its own copy, which is a stand-in.
      const body = await getRawBody(ctx.req, { limit: MAX_BYTES, encoding: 'utf8' }).then(
        parse,
        () => undefined,
      );
      const secret = body?.['client_secret'];
      if (typeof secret === 'string' && body)
        body['client_secret'] = (await portals.checkSecret(clientId, secret)) ? SECRET_ELSEWHERE : '';
      // An unreadable body is left for the library to refuse.
      Object.assign(ctx.req, { body: body ?? 'unreadable' });
    }
    await next();
    const answer: unknown = ctx.body;
    if (
      typeof answer === 'object' &&
      answer !== null &&
      'client_secret' in answer &&
      answer.client_secret === SECRET_ELSEWHERE
    ) {
      const {
        client_secret: _standIn,
        client_secret_expires_at: _never,
        ...rest
      } = answer as Record<string, unknown>;
      ctx.body = rest;
    }
  };
}

function clientIdOf(path: string): string | undefined {
  const prefix = `${ROUTES.registration}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
