/** Discovery and JWKS (OpenID Connect Discovery 1.0, RFC 8414, RFC 7517) as ready bytes: made once, answered with ETag and Cache-Control. */
import { createHash } from 'node:crypto';
import type { Middleware } from '../platform/http/context.ts';
import { ROUTES } from './configuration.ts';

const PATHS: ReadonlySet<string> = new Set([
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
  ROUTES.jwks,
]);
/** Seconds that a portal may keep a copy. A new signing key is announced at least this long before it signs. */
export const PUBLISHED_MAX_AGE = 300;

interface Ready {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
}

/** Keeps what the library answers the first time; none of it depends on the request. */
export function publishOnce(): Middleware {
  const ready = new Map<string, Ready>();
  return async function published(ctx, next) {
    if (!PATHS.has(ctx.path) || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    let document = ready.get(ctx.path);
    if (!document) {
      await next();
      if (ctx.status !== 200) return;
      const published = ctx.path === ROUTES.jwks ? ctx.body : trueMetadata(ctx.body as object);
      const body = Buffer.from(JSON.stringify(published));
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      document = { body, etag, type: ctx.response.get('content-type') };
      ready.set(ctx.path, document);
    }
    ctx.state.area = 'oidc';
    ctx.set('Cache-Control', `public, max-age=${PUBLISHED_MAX_AGE}`);
    ctx.set('Access-Control-Allow-Origin', '*');
    ctx.set('ETag', document.etag);
    if (hasCopy(ctx.get('if-none-match'), document.etag)) {
      ctx.status = 304;
      return;
    }
    ctx.status = 200;
    ctx.type = document.type;
    ctx.body = document.body;
  };
}

/** Members of the library's metadata that say of this provider what is not so. */
const UNTRUE: Readonly<Record<string, unknown>> = {
  // Every `sub` is pairwise; see client-metadata.ts.
  subject_types_supported: ['pairwise'],
  // CIBA: people approve where they are signed in.
  backchannel_user_code_parameter_supported: false,
  // No key of ours decrypts.
  request_object_encryption_enc_values_supported: undefined,
};

/** RFC 8414, section 2: a list without members is left out. */
function trueMetadata(metadata: object): object {
  return Object.fromEntries(
    Object.entries({ ...metadata, ...UNTRUE }).filter(
      ([, value]) => !(Array.isArray(value) && value.length === 0),
    ),
  );
}

/** RFC 9110, section 13.1.2. Koa's own test takes a client's `no-cache` for a wish to be sent everything again. */
function hasCopy(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch
    .split(',')
    .some((tag) => tag.trim() === etag || tag.trim() === `W/${etag}` || tag.trim() === '*');
}
