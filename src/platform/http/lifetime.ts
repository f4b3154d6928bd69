/**
 * When what a page is about ends, said on the page with a way to extend it (WCAG 2.2, 2.2.1): in words and by a button, which need no
 * script, and by a dialog two minutes before, which keeps what was typed.
 */
import type { Language } from '../i18n.ts';

export interface Lifetime {
  /** From then on the forms of the page are not taken any more. */
  readonly endsAt: Date;
  /** Where a form posts to that extends it; undefined: it cannot be extended. */
  readonly extendAction: string | undefined;
  /** What ends: one request of a portal, or the person's session. */
  readonly of: 'request' | 'session';
}

/** How a page says it. */
export interface LifetimeWords {
  /** What is left, in whole seconds, by the server's clock: the browser's may be wrong. */
  readonly seconds: number;
  /** The time of day at which it ends. */
  readonly time: string;
}

export function toWords({ endsAt }: Lifetime, now: Date, language: Language): LifetimeWords {
  return {
    seconds: Math.max(0, Math.floor((endsAt.getTime() - now.getTime()) / 1000)),
    time: language.time(endsAt),
  };
}
