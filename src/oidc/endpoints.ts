/**
 * The addresses of the protocol: written one way, each with its methods. The library would also answer to other cases and a slash at the
 * end, where the parts around it do not recognise the request.
 */
import { HttpError } from '../platform/http/errors.ts';
import type { Middleware } from '../platform/http/context.ts';
import { ROUTES } from './configuration.ts';

const GET = ['GET', 'HEAD'];
const BOTH = [...GET, 'POST'];
const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  ['/.well-known/openid-configuration', GET],
  ['/.well-known/oauth-authorization-server', GET],
  [ROUTES.jwks, GET],
  [ROUTES.authorization, BOTH],
  [ROUTES.userinfo, BOTH],
  [ROUTES.code_verification, BOTH],
  [ROUTES.end_session, BOTH],
  [`${ROUTES.end_session}/confirm`, ['POST']],
  [`${ROUTES.end_session}/success`, GET],
  ...[
    ROUTES.token,
    ROUTES.introspection,
    ROUTES.revocation,
    ROUTES.pushed_authorization_request,
    ROUTES.device_authorization,
    ROUTES.backchannel_authentication,
    ROUTES.registration,
  ].map((path): [string, string[]] => [path, ['POST']]),
]);
/** Addresses with one more segment of any text. */
const MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  [ROUTES.authorization, GET],
  [ROUTES.code_verification, GET],
  [ROUTES.registration, [...GET, 'PUT', 'DELETE']],
]);

const RESUMED = new RegExp(`^(?:${ROUTES.authorization}|${ROUTES.code_verification})/[^/]+$`);

function methodsAt(path: string): readonly string[] | undefined {
  const [, parent = '', member] = /^(\/[^/]+)\/([^/]+)$/.exec(path) ?? [];
  return METHODS.get(path) ?? (member === undefined ? undefined : MEMBERS.get(parent));
}

/** Refuses what no endpoint answers to, in the form of OAuth errors. */
export function exactEndpoints(): Middleware {
  return async function exactly(ctx, next) {
    const methods = methodsAt(ctx.path);
    if (!methods && !methodsAt(ctx.path.toLowerCase().replace(/\/$/, ''))) return next();
    ctx.state.area = 'oidc';
    if (!methods) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
    // OPTIONS is asked by browsers before requests of scripts (CORS), which the library answers.
    if (!methods.includes(ctx.method) && ctx.method !== 'OPTIONS') {
      ctx.set('Allow', methods.join(', '));
      throw new HttpError('METHOD_NOT_ALLOWED', `This address answers to ${methods.join(', ')}.`);
    }
    // Where a request is taken up again it is the stored one; of another in the address the library's error handling would take half.
    if (RESUMED.test(ctx.path)) ctx.querystring = '';
    return next();
  };
}
