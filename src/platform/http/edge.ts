/** The outer ring of every request: trace id, security headers, one log line, metrics, and the only place where errors become answers. */
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import type { ClientAddress } from './client-address.ts';
import { traceIdOf, type Area, type Context, type Middleware } from './context.ts';
import { HttpError } from './errors.ts';
import type { Pages } from './pages.ts';
import { toPublicError, type PublicError } from './statuses.ts';

/** Gives the request its trace id, the headers that every answer has, its log line and its metrics. */
export function observe(parts: {
  issuer: string;
  logger: Logger;
  metrics: Metrics;
  addressOf: ClientAddress;
}): Middleware {
  const hsts = parts.issuer.startsWith('https:');
  return async function observeRequest(ctx, next) {
    const started = performance.now();
    ctx.state.traceId = traceIdOf(ctx.get('traceparent'));
    ctx.state.area = 'pages' as Area;
    ctx.state.address = parts.addressOf(ctx.req);
    ctx.set('X-Trace-Id', ctx.state.traceId);
    ctx.set('X-Content-Type-Options', 'nosniff');
    ctx.set('X-Frame-Options', 'DENY');
    // Not `no-referrer`: it makes browsers send `Origin: null` with our own forms.
    ctx.set('Referrer-Policy', 'same-origin');
    ctx.set('Cache-Control', 'no-store');
    if (hsts) ctx.set('Strict-Transport-Security', 'max-age=63072000; includeSubDomains');
    try {
      await next();
    } finally {
      const { area, traceId } = ctx.state;
      const ms = performance.now() - started;
      parts.metrics.requests.inc({ area, method: ctx.method, status: `${Math.floor(ctx.status / 100)}xx` });
      parts.metrics.requestSeconds.observe({ area }, ms / 1000);
      if (area !== 'operations' && area !== 'assets')
        // The path is left out: it carries interaction and document ids. The route's pattern says as much as a reader needs.
        parts.logger.info(
          { traceId, area, route: routeOf(ctx), method: ctx.method, status: ctx.status, ms: Math.round(ms) },
          'request',
        );
    }
  };
}

/** Turns what was thrown into an answer: a page for people, an OAuth error or problem details (RFC 9457) for programs. */
export function answerErrors(parts: { logger: Logger; pages: Pages }): Middleware {
  return async function answerErrorsOf(ctx, next) {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined)
        throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
    } catch (error) {
      const said = toPublicError(error);
      const line = { traceId: ctx.state.traceId, errorCode: said.code, err: error };
      if (said.status >= 500) parts.logger.error(line, 'request failed');
      else parts.logger.info(line, 'request refused');
      const { retryAfterSeconds = said.status === 503 ? 5 : undefined } = said;
      if (retryAfterSeconds !== undefined) ctx.set('Retry-After', String(retryAfterSeconds));
      if (wantsPage(ctx)) renderErrorPage(ctx, parts.pages, said);
      else if (ctx.state.area === 'oidc') answerAsOAuth(ctx, said);
      else {
        ctx.status = said.status;
        ctx.type = 'application/problem+json';
        ctx.body = JSON.stringify({
          type: `urn:yinxin:problem:${said.code}`,
          title: said.message,
          status: said.status,
          code: said.code,
          traceId: ctx.state.traceId,
        });
      }
    }
  };
}

function wantsPage(ctx: Context): boolean {
  const { area } = ctx.state;
  return (area === 'pages' || area === 'oidc') && ctx.accepts('json', 'html') === 'html';
}

/** RFC 6749, section 5.2. */
function answerAsOAuth(ctx: Context, said: PublicError): void {
  ctx.status = said.status;
  ctx.type = 'application/json';
  ctx.body = JSON.stringify({
    error:
      said.status === 503 || said.status === 429
        ? 'temporarily_unavailable'
        : said.status >= 500
          ? 'server_error'
          : 'invalid_request',
    error_description: said.message,
  });
}

/** Messages of the catalogue by code, or by status; the code and the trace id stand below them for the help desk. */
export function renderErrorPage(
  ctx: Context,
  pages: Pages,
  said: PublicError,
  portal?: { name: string; href: string },
): void {
  const key = pageMessageOf(said);
  const { wayOn, typed } = ctx.state;
  // What ended before it was done can be done again. A program's answer in between would lead a browser nowhere.
  const again = TRY_AGAIN.has(said.status) && (ctx.method === 'POST' || ctx.method === 'GET');
  const data = {
    status: said.status,
    titleKey: `error.${key}.title`,
    messageKey: `error.${key}.message`,
    messageParams: { seconds: said.retryAfterSeconds ?? 1 },
    ...(said.status === 429 ? waitMessage(said.retryAfterSeconds ?? 60) : {}),
    code: said.code,
    traceId: ctx.state.traceId,
    portal: portal ?? wayOn?.portal,
    againForm: again && ctx.method === 'POST' && typed ? { action: ctx.path, fields: typed } : undefined,
    againHref: again && ctx.method === 'GET' && ctx.querystring === '' ? ctx.path : wayOn?.href,
    homeHref: '/',
  };
  // Nothing on this page ends.
  delete ctx.state.lifetime;
  // The links for language and mode lead back to what can be fetched, and repeat no parameter of a request that was refused.
  const path = ctx.method === 'GET' && ctx.querystring === '' ? ctx.path : (wayOn?.href ?? '/');
  pages.render(ctx, 'error', data, { status: said.status, path, formTargets: wayOn?.formTargets ?? [] });
}

const TRY_AGAIN: ReadonlySet<number> = new Set([429, 500, 503]);

/** Which words of the catalogue (`error.<word>.title`) an error page has. */
export function pageMessageOf({ code, status }: Pick<PublicError, 'code' | 'status'>): string {
  const known = PAGE_MESSAGES[code];
  if (known !== undefined) return known;
  // Codes of OAuth are written small; they speak of what a portal has sent.
  if (/^[a-z]/.test(code)) return status >= 500 ? 'serverError' : 'invalidRequest';
  return STATUS_MESSAGES[status] ?? (status >= 500 ? 'serverError' : 'notDone');
}

/** How long to wait, in minutes or hours and never less than it takes: a person need not count seconds. */
export function waitMessage(seconds: number): { messageKey: string; messageParams: { n: number } } {
  const minutes = Math.max(1, Math.ceil(seconds / 60));
  if (minutes < 90) return { messageKey: 'error.tooMany.minutes', messageParams: { n: minutes } };
  return { messageKey: 'error.tooMany.hours', messageParams: { n: Math.ceil(minutes / 60) } };
}

const PAGE_MESSAGES: Readonly<Record<string, string>> = {
  FORM_FROM_ELSEWHERE: 'csrf',
  PASSWORDS_BUSY: 'busy',
  invalid_client: 'invalidClient',
  invalid_redirect_uri: 'invalidRedirectUri',
  access_denied: 'accessDenied',
  server_error: 'serverError',
  temporarily_unavailable: 'unavailable',
};

const STATUS_MESSAGES: Readonly<Record<number, string>> = {
  400: 'unreadable',
  404: 'notFound',
  405: 'notFound',
  413: 'tooLarge',
  415: 'unreadable',
  429: 'tooMany',
  503: 'unavailable',
};

function routeOf(ctx: Context): string | undefined {
  const matched: unknown = (ctx as { _matchedRoute?: unknown })._matchedRoute;
  return typeof matched === 'string' ? matched : undefined;
}
