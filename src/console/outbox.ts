/** The development outbox as a page: what would have gone to phones and mailboxes. Embedded mode alone has it. */
import type { DevelopmentOutbox } from '../identity/index.ts';
import type { Middleware } from '../platform/http/context.ts';
import type { Pages } from '../platform/http/pages.ts';

export function outboxRoute(parts: {
  pages: Pages;
  outbox: DevelopmentOutbox;
  /** Lets everything come that is on its way. */
  settle: () => Promise<void>;
}): Middleware {
  return async function outbox(ctx, next) {
    if (ctx.path !== '/outbox' || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    await parts.settle();
    const { language } = ctx.state;
    const time = new Intl.DateTimeFormat(language.code, { timeStyle: 'medium' });
    parts.pages.render(ctx, 'outbox', {
      letters: parts.outbox.posted().map(({ channel, to, subject, text, at }) => ({
        channel,
        to,
        subject,
        text,
        at: time.format(at),
      })),
    });
  };
}
