/** Discovery and JWKS (OpenID Connect Discovery 1.0, RFC 8414, RFC 7517) as ready bytes: made once, answered with ETag and Cache-Control. */
import { createHash } from 'node:crypto';
import type { Middleware } from '../platform/http/context.ts';
import type { Answer, DirectHandler } from '../platform/http/direct.ts';
import { ROUTES } from './configuration.ts';

const PATHS: ReadonlySet<string> = new Set([
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
  ROUTES.jwks,
]);
/** Seconds that a portal may keep a copy. A new signing key is announced at least this long before it signs. */
export const PUBLISHED_MAX_AGE = 300;

/** A document with both of its answers, as they are sent each time. */
interface Ready {
  readonly etag: string;
  readonly whole: Answer;
  readonly unchanged: Answer;
}

function toReady(body: Buffer, type: string): Ready {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = {
    'Cache-Control': `public, max-age=${PUBLISHED_MAX_AGE}`,
    'Access-Control-Allow-Origin': '*',
    ETag: etag,
  };
  return {
    etag,
    whole: { status: 200, headers: { ...headers, 'Content-Type': type }, body, quiet: true },
    unchanged: { status: 304, headers, quiet: true },
  };
}

function answerWith({ etag, whole, unchanged }: Ready, ifNoneMatch: string): Answer {
  return ifNoneMatch !== '' && hasCopy(ifNoneMatch, etag) ? unchanged : whole;
}

export interface Published {
  /** Asks the library the first time, and keeps what it says; none of it depends on the request. */
  readonly middleware: Middleware;
  /** Answers with what is kept. */
  readonly direct: DirectHandler;
}

export function createPublished(): Published {
  const ready = new Map<string, Ready>();

  return {
    direct(request) {
      const { url = '', method, headers } = request;
      const document = method === 'GET' || method === 'HEAD' ? ready.get(url) : undefined;
      return document && answerWith(document, headers['if-none-match'] ?? '');
    },
    async middleware(ctx, next) {
      if (!PATHS.has(ctx.path) || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
      let document = ready.get(ctx.path);
      if (!document) {
        await next();
        if (ctx.status !== 200) return;
        const published = ctx.path === ROUTES.jwks ? ctx.body : trueMetadata(ctx.body as object);
        const body = Buffer.from(JSON.stringify(published));
        document = toReady(body, ctx.response.get('content-type'));
        ready.set(ctx.path, document);
      }
      const { status, headers = {}, body } = answerWith(document, ctx.get('if-none-match'));
      ctx.state.area = 'oidc';
      ctx.status = status;
      ctx.set(headers);
      if (body !== undefined) ctx.body = body;
    },
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
