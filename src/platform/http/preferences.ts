/** A person's choice of language and of elder mode, kept in two cookies for a year. They carry nothing else. */
import type { Languages } from '../i18n.ts';
import type { Context, Middleware } from './context.ts';

const LANGUAGE = 'yx_language';
const MODE = 'yx_mode';
const ONE_YEAR_MS = 31_536_000_000;

export interface Preferences {
  /** Reads the choices into `ctx.state`, and answers `/preferences`, the plain links by which they are changed. */
  readonly middleware: Middleware;
  /** Takes `ui_locales` of a portal's request as if the person had chosen it, so that the links on the pages can still change it. */
  adopt(ctx: Context, uiLocales: string): void;
}

export function createPreferences(languages: Languages, issuer: string): Preferences {
  const cookieOptions = {
    maxAge: ONE_YEAR_MS,
    httpOnly: true,
    sameSite: 'lax',
    secure: issuer.startsWith('https:'),
    signed: false,
    overwrite: true,
  } as const;

  return {
    async middleware(ctx, next) {
      const uiLocales = typeof ctx.query['ui_locales'] === 'string' ? ctx.query['ui_locales'] : undefined;
      ctx.state.language = languages.choose({
        uiLocales,
        cookie: ctx.cookies.get(LANGUAGE),
        acceptLanguage: ctx.get('accept-language'),
      });
      ctx.state.elder = ctx.cookies.get(MODE) === 'elder';
      if (ctx.path !== '/preferences' || ctx.method !== 'GET') return next();

      const { language, mode, back } = ctx.query;
      if (typeof language === 'string' && languages.get(language))
        ctx.cookies.set(LANGUAGE, language, cookieOptions);
      if (mode === 'elder' || mode === 'standard') ctx.cookies.set(MODE, mode, cookieOptions);
      ctx.status = 303;
      ctx.redirect(ownPath(back, issuer));
    },
    adopt(ctx, uiLocales) {
      ctx.state.language = languages.choose({ uiLocales, cookie: ctx.state.language.code });
      ctx.cookies.set(LANGUAGE, ctx.state.language.code, cookieOptions);
    },
  };
}

/** Address that changes one choice and comes back to `path`. */
export function preferenceHref(
  choice: { language: string } | { mode: 'elder' | 'standard' },
  path: string,
): string {
  return `/preferences?${new URLSearchParams({ ...choice, back: path }).toString()}`;
}

/** A path on this origin, or `/`: the parameter must not send anyone elsewhere. */
export function ownPath(back: Context['query'][string], issuer: string): string {
  if (typeof back !== 'string' || !back.startsWith('/')) return '/';
  const url = URL.parse(back, issuer);
  // `/..//evil.example` becomes a path of two slashes, which a browser takes for a host.
  return url?.origin === issuer && !url.pathname.startsWith('//') ? url.pathname + url.search : '/';
}
