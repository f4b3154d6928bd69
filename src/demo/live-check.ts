/** The live check of invented people, as a page: whoever looks at it decides how it ends. Real ones are somebody else's pages. */
import Router from '@koa/router';
import { FICTIONAL_LIVE_CHECK_PATH, type FictionalRegister } from '../identity/index.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Pages } from '../platform/http/pages.ts';
import { under } from '../platform/http/under.ts';

export function liveCheckRoutes(parts: {
  register: FictionalRegister;
  forms: Forms;
  pages: Pages;
}): Middleware {
  const { register, forms, pages } = parts;
  const router = new Router<RequestState>({ prefix: FICTIONAL_LIVE_CHECK_PATH });
  const referenceOf = (ctx: Context) =>
    String((ctx as { params?: { reference?: string } }).params?.reference);

  router.get('/:reference', async (ctx) => {
    const reference = referenceOf(ctx);
    pages.render(ctx, 'live-check', { action: ctx.path, waits: await register.waits(reference) });
  });

  router.post('/:reference', async (ctx) => {
    const form = await forms.read(ctx);
    const outcome = form.get('outcome') === 'confirmed' ? 'confirmed' : 'refused';
    const backHref = await register.decide(referenceOf(ctx), outcome);
    // A link, not a redirect: the person goes on to a portal from there, and browsers hold `form-action` against every redirect.
    pages.render(ctx, 'live-check', { action: ctx.path, waits: false, backHref }, { path: ctx.path });
  });

  return under(FICTIONAL_LIVE_CHECK_PATH, router.routes() as unknown as Middleware);
}
