/** Dynamic client registration (RFC 7591, RFC 7592) where the library's part and the registry's differ: secrets are digests here. */
import { errors } from 'oidc-provider';
import getRawBody from 'raw-body';
import type { Middleware } from '../platform/http/context.ts';
import { giveBody } from '../platform/http/reread.ts';
import { PortalError, type Portals } from '../portals/index.ts';
import { isDeep } from './bounds.ts';
import { SECRET_ELSEWHERE } from './client-metadata.ts';
import { ROUTES } from './configuration.ts';

const MAX_BYTES = 57_344;

export function manageRegistrations(portals: Portals): Middleware {
  return async function manage(ctx, next) {
    const clientId = clientIdOf(ctx.path);
    if (clientId === undefined && ctx.path !== ROUTES.registration) return next();
    const writes = ctx.method === (clientId === undefined ? 'POST' : 'PUT');
    if (writes && ctx.is('application/json')) {
      const text = await getRawBody(ctx.req, { limit: MAX_BYTES, encoding: 'utf8' }).catch(() => '');
      if (isDeep(text)) {
        ctx.status = 400;
        ctx.body = {
          error: 'invalid_client_metadata',
          error_description: 'the metadata is nested too deeply',
        };
        return;
      }
      const body = parse(text);
      // The library takes them for addresses before it has looked whether they are.
      const uris = body?.['redirect_uris'];
      if (Array.isArray(uris) && !uris.every((uri) => typeof uri === 'string' && URL.canParse(uri))) {
        ctx.status = 400;
        ctx.body = {
          error: 'invalid_redirect_uri',
          error_description: 'redirect_uris must only contain web uris',
        };
        return;
      }
      // OpenID Connect Dynamic Client Registration 1.0, section 2: what is not said is RS256.
      if (body) body['id_token_signed_response_alg'] ??= 'RS256';
      // It compares the secret that a portal sends back with its own copy, which is a stand-in.
      const secret = body?.['client_secret'];
      if (clientId !== undefined && typeof secret === 'string' && body)
        body['client_secret'] = (await portals.checkSecret(clientId, secret)) ? SECRET_ELSEWHERE : '';
      // An unreadable body is left for the library to refuse.
      giveBody(ctx.req, Buffer.from(body ? JSON.stringify(body) : 'unreadable'));
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

/** What the registry refuses, in the words of RFC 7591, section 3.2.2. */
export function asInvalidMetadata(error: unknown): never {
  throw error instanceof PortalError ? new errors.InvalidClientMetadata(error.message) : error;
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
