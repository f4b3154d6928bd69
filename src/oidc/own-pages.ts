/** Our pages in the places where oidc-provider would show its own: errors, sign-out, and the form that carries an answer to a portal. */
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { errors } from 'oidc-provider';
import type { Context, Middleware, WayOn } from '../platform/http/context.ts';
import { renderErrorPage } from '../platform/http/edge.ts';
import type { Pages } from '../platform/http/pages.ts';
import { toPublicError } from '../platform/http/statuses.ts';
import { portalName, type Portal, type Portals } from '../portals/index.ts';
import type { ConfigurationParts } from './configuration.ts';
import type { Restarts } from './interactions/restart.ts';

/** Remembers which portal a person came from, so that an expired request can lead back there. Signed; holds a `client_id`. */
const ORIGIN_COOKIE = 'yx_origin';

export interface OwnPages {
  readonly renderError: NonNullable<Configuration['renderError']>;
  logoutSource(ctx: KoaContextWithOIDC, form: string): Promise<void>;
  postLogoutSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
  userCodeInputSource: ConfigurationParts['pages']['userCodeInputSource'];
  userCodeConfirmSource: ConfigurationParts['pages']['userCodeConfirmSource'];
  deviceSuccessSource(ctx: KoaContextWithOIDC): Promise<void>;
  /** Replaces the library's self-submitting form by our page of the same effect. */
  readonly formPages: Middleware;
  rememberOrigin(ctx: Context, clientId: string): void;
  /** Where somebody goes on who meets an error on a page of this path: the portal is remembered by a cookie. */
  wayOn(ctx: Context, href: string): Promise<WayOn>;
  /** The page for an interaction that is over: finished, expired, or of another browser. */
  renderExpired(ctx: Context): Promise<void>;
}

export function createOwnPages(parts: {
  pages: Pages;
  portals: Portals;
  restarts: Restarts;
  issuer: string;
}): OwnPages {
  const { pages, portals, restarts } = parts;
  const secure = parts.issuer.startsWith('https:');
  const linkTo = (ctx: Context, portal: Portal | undefined) =>
    portal && { name: portalName(portal, ctx.state.language.code), href: portal.homeUri };

  async function originOf(ctx: Context): Promise<Portal | undefined> {
    const clientId = ctx.cookies.get(ORIGIN_COOKIE, { signed: true });
    return clientId === undefined ? undefined : portals.find(clientId);
  }

  async function renderExpired(ctx: Context): Promise<void> {
    const data = { traceId: ctx.state.traceId, homeHref: '/', portal: linkTo(ctx, await originOf(ctx)) };
    delete ctx.state.lifetime;
    pages.render(ctx, 'expired', data, { status: 400, path: '/' });
  }

  return {
    async renderError(oidcCtx, out, error) {
      const ctx = oidcCtx as unknown as Context;
      if (ctx.accepts('json', 'html') !== 'html') {
        ctx.body = out;
        return;
      }
      if (error instanceof errors.SessionNotFound) {
        const { uid } = (ctx as { params?: { uid?: string } }).params ?? {};
        if (!(await restarts.restart(ctx, oidcCtx.oidc.provider, uid))) await renderExpired(ctx);
        return;
      }
      // An unregistered redirect URI means that the request may be anyone's: no way "back" is offered then.
      const trusted = !(error instanceof errors.InvalidRedirectUri || error instanceof errors.InvalidClient);
      const portal =
        trusted && oidcCtx.oidc.client ? await portals.find(oidcCtx.oidc.client.clientId) : undefined;
      const failed = toPublicError(error);
      const said =
        failed.status === 503
          ? failed
          : { code: out.error, status: oidcCtx.status, message: out.error_description ?? out.error };
      renderErrorPage(ctx, pages, said, linkTo(ctx, portal));
    },

    async logoutSource(oidcCtx, form) {
      const ctx = oidcCtx as unknown as Context;
      const { session, client } = oidcCtx.oidc;
      const clientIds = Object.keys(session?.authorizations ?? {});
      const signedIn = await Promise.all(clientIds.map((clientId) => portals.find(clientId)));
      const back = session?.state?.['postLogoutRedirectUri'];
      const portal = client && (await portals.find(client.clientId));
      const data = {
        form,
        portal: portal && { name: portalName(portal, ctx.state.language.code) },
        portals: signedIn.filter((p) => p !== undefined).map((p) => portalName(p, ctx.state.language.code)),
      };
      // The links for language and mode come back to the same question, without the ID token of the first address.
      const { state } = oidcCtx.oidc.params ?? {};
      const again = { client_id: client?.clientId, post_logout_redirect_uri: back, state };
      const query = new URLSearchParams(
        Object.entries(again).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
      );
      pages.render(ctx, 'sign-out', data, {
        formTargets: typeof back === 'string' ? [new URL(back).origin] : [],
        path: `${ctx.path}?${query.toString()}`,
      });
    },

    async postLogoutSuccessSource(oidcCtx) {
      // With `client_id` only that portal was signed out of (the library's answer to the second button).
      pages.render(oidcCtx, 'signed-out', {
        homeHref: '/',
        stillSignedIn: oidcCtx.oidc.client !== undefined,
      });
    },

    async userCodeInputSource(oidcCtx, form, _out, error) {
      const known = error && DEVICE_PROBLEMS[error.name];
      const problem = error && (known ?? 'error.deviceFailed');
      pages.render(
        oidcCtx,
        'device',
        {
          action: '/device',
          xsrf: hiddenField(form, 'xsrf'),
          errors: problem === undefined ? [] : [{ field: known ? 'user_code' : 'form', key: problem }],
          code: error?.userCode,
        },
        { status: error ? 422 : 200, path: '/device' },
      );
    },

    async userCodeConfirmSource(oidcCtx, form, client, _deviceInfo, userCode) {
      const ctx = oidcCtx as unknown as Context;
      const portal = await portals.find(client.clientId);
      if (!portal) throw new TypeError('a device code of an unknown portal');
      pages.render(
        ctx,
        'device-confirm',
        {
          action: '/device',
          xsrf: hiddenField(form, 'xsrf'),
          userCode,
          portal: {
            name: portalName(portal, ctx.state.language.code),
            host: new URL(portal.homeUri).host,
            sandbox: portal.state === 'sandbox',
          },
        },
        { path: '/device' },
      );
    },

    async deviceSuccessSource(oidcCtx) {
      pages.render(oidcCtx, 'device-done', {}, { path: '/device' });
    },

    async formPages(ctx, next) {
      await next();
      const form = typeof ctx.body === 'string' ? readLibraryForm(ctx.body) : undefined;
      if (!form) return;
      const target = new URL(form.action, parts.issuer).origin;
      const oidc = (ctx as unknown as KoaContextWithOIDC).oidc;
      const portal = oidc.client ? await portals.find(oidc.client.clientId) : undefined;
      const name = portal
        ? portalName(portal, ctx.state.language.code)
        : ctx.state.language.t('service.name');
      // The form may be answered with a redirect to the portal, which `form-action` covers too.
      const back = [...(portal?.redirectUris ?? []), ...(portal?.postLogoutRedirectUris ?? [])].map(
        (uri) => new URL(uri).origin,
      );
      pages.render(
        ctx,
        'redirect',
        { ...form, portalName: name },
        { status: ctx.status, formTargets: [...new Set([target, ...back])], path: '/' },
      );
    },

    rememberOrigin(ctx, clientId) {
      ctx.cookies.set(ORIGIN_COOKIE, clientId, {
        signed: true,
        httpOnly: true,
        sameSite: 'lax',
        secure,
        path: '/',
        overwrite: true,
      });
    },

    async wayOn(ctx, href) {
      // Errors have brought somebody here: this must not add one.
      const portal = await originOf(ctx).catch(() => undefined);
      return { portal: linkTo(ctx, portal), href, formTargets: [] };
    },

    renderExpired,
  };
}

/** What is wrong with a typed code, by the library's names of errors. */
const DEVICE_PROBLEMS: Readonly<Record<string, string>> = {
  NoCodeError: 'error.deviceCodeMissing',
  NotFoundError: 'error.deviceCodeWrong',
  ExpiredError: 'error.deviceCodeExpired',
  AlreadyUsedError: 'error.deviceCodeUsed',
  InvalidRequest: 'error.deviceCodeUsed',
  AbortedError: 'error.deviceRefused',
};

/** The value of a hidden field in a form that the library wrote. */
function hiddenField(form: string, name: string): string {
  return unescapeHtml(new RegExp(`name="${name}" value="([^"]*)"`).exec(form)?.[1] ?? '');
}

/** Reads the form out of the page that oidc-provider writes (`lib/response_modes/form_post.js`), or nothing if it is another body. */
function readLibraryForm(
  html: string,
): { action: string; fields: { name: string; value: string }[] } | undefined {
  if (!html.includes('<title>Submitting Callback</title>')) return undefined;
  const action = /<form method="post" action="([^"]*)">/.exec(html)?.[1];
  if (action === undefined) return undefined;
  const inputs = html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g);
  return {
    action: unescapeHtml(action),
    fields: [...inputs].map(([, name = '', value = '']) => ({ name, value: unescapeHtml(value) })),
  };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

function unescapeHtml(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}
