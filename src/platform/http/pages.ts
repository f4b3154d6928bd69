/** Renders the pages of `views/`: escaped by default, without JavaScript, under a strict Content-Security-Policy. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { Clock } from '../clock.ts';
import type { Languages } from '../i18n.ts';
import type { Assets } from './assets.ts';
import type { Context } from './context.ts';
import type { Forms } from './forms.ts';
import { toWords, type Lifetime } from './lifetime.ts';
import { preferenceHref } from './preferences.ts';

const VIEWS = fileURLToPath(new URL('../../../views/', import.meta.url));

export interface PageOptions {
  readonly status?: number;
  /** Origins besides our own that a form on the page may lead to: Chromium applies `form-action` to the redirects after a POST, too. */
  readonly formTargets?: readonly string[];
  /** Path that the language and mode links come back to. Default: the request's own. */
  readonly path?: string;
}

export interface Pages {
  /** Answers with the page `views/<view>.eta`. */
  render(ctx: Context, view: string, data?: Readonly<Record<string, unknown>>, options?: PageOptions): void;
  /**
   * Answers a form that has extended what its page is about: a script with the new end, a browser by going back to the page.
   * @param back Path of the page, on this origin.
   */
  answerExtension(ctx: Context, lifetime: Lifetime, back: string): void;
}

export function createPages(parts: {
  languages: Languages;
  assets: Assets;
  forms: Forms;
  clock: Clock;
}): Pages {
  const words = (ctx: Context, lifetime: Lifetime) =>
    toWords(lifetime, parts.clock.now(), ctx.state.language);
  const eta = new Eta({ views: VIEWS, cache: true, autoEscape: true });
  return {
    render(ctx, view, data = {}, options = {}) {
      const { language, elder, lifetime } = ctx.state;
      const nonce = randomBytes(16).toString('base64');
      const path = options.path ?? ctx.originalUrl;
      const html = eta.render(view, {
        ...data,
        t: language.t,
        lang: language.code,
        dir: language.direction,
        view,
        elder,
        nonce,
        csrf: parts.forms.token(ctx),
        stylesheet: parts.assets.href('yinxin.css'),
        mark: parts.assets.href('mark.svg'),
        passkeyScript: parts.assets.href('passkeys.js'),
        passwordScript: parts.assets.href('passwords.js'),
        issuerName: language.t('service.name'),
        languages: parts.languages.all.map(({ code, name, direction }) => ({
          code,
          name,
          direction,
          href: preferenceHref({ language: code }, path),
          current: code === language.code,
        })),
        elderHref: preferenceHref({ mode: elder ? 'standard' : 'elder' }, path),
        lifetime: lifetime && {
          ...lifetime,
          ...words(ctx, lifetime),
          back: path,
          justExtended: ctx.query['extended'] !== undefined,
        },
        lifetimeScript: parts.assets.href('lifetime.js'),
      });
      ctx.status = options.status ?? 200;
      ctx.type = 'text/html; charset=utf-8';
      ctx.set('Content-Language', language.code);
      ctx.set('Content-Security-Policy', contentSecurityPolicy(nonce, options.formTargets ?? [], lifetime));
      ctx.body = html;
    },

    answerExtension(ctx, lifetime, back) {
      if (ctx.accepts('html', 'json') === 'json') {
        ctx.type = 'application/json';
        ctx.body = JSON.stringify(words(ctx, lifetime));
        return;
      }
      ctx.status = 303;
      ctx.redirect(`${back}${back.includes('?') ? '&' : '?'}extended=yes`);
    },
  };
}

function contentSecurityPolicy(nonce: string, formTargets: readonly string[], lifetime?: Lifetime): string {
  return [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
    "img-src 'self'",
    // By which the dialog extends what the page is about.
    ...(lifetime?.extendAction === undefined ? [] : ["connect-src 'self'"]),
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
}
