/** What every request carries through the program. */
import { randomUUID } from 'node:crypto';
import type Koa from 'koa';
import type { Language } from '../i18n.ts';
import type { Lifetime } from './lifetime.ts';

export interface RequestState {
  /** 32 hex signs (the form of a W3C trace id); in the answer's `X-Trace-Id`, on every error page and in every log line. */
  traceId: string;
  language: Language;
  /** Elder mode, chosen by the person: large type, fewer words, one action a page. */
  elder: boolean;
  /** Where somebody who meets an error can go on. */
  wayOn?: WayOn;
  /** What the form of this request carried that is no secret: an error page can offer to send it again. */
  typed?: Readonly<Record<string, string>>;
  /** When what the pages of this request are about ends, if it does. */
  lifetime?: Lifetime;
  /** Internet address that the request came from, proxies left out. Personal: for limits, never for a log. */
  address: string;
  /** Which part of the product answers; a closed set, for metrics and logs. */
  area: Area;
}

export interface WayOn {
  /** The portal that they came from, if it is known. */
  readonly portal: { readonly name: string; readonly href: string } | undefined;
  /** The page where they were. */
  readonly href: string;
  /** Origins besides our own that a form sent again may lead to. */
  readonly formTargets: readonly string[];
}

export type Area = 'pages' | 'oidc' | 'api' | 'assets' | 'operations';
export type Context = Koa.ParameterizedContext<RequestState>;
export type Middleware = Koa.Middleware<RequestState>;

/** Is aborted when the caller goes before the answer has been sent. */
export function departure(ctx: Context): AbortSignal {
  const controller = new AbortController();
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) controller.abort();
  });
  return controller.signal;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's trace (W3C Trace Context `traceparent`), or a new one. */
export function traceIdOf(traceparent: string): string {
  const given = TRACEPARENT.exec(traceparent)?.[1];
  return given !== undefined && !/^0+$/.test(given) ? given : randomUUID().replaceAll('-', '');
}
