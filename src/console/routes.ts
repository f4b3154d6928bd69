/** Pages that need no sign-in: what this service is, and which portals there are. */
import type { Middleware } from '../platform/http/context.ts';
import type { Pages } from '../platform/http/pages.ts';
import { portalName, type Portals } from '../portals/index.ts';

export function consoleRoutes(parts: { pages: Pages; portals: Portals }): Middleware {
  return async function home(ctx, next) {
    if (ctx.path !== '/' || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    const portals = await parts.portals.approved();
    parts.pages.render(ctx, 'home', {
      portals: portals.map((portal) => ({
        name: portalName(portal, ctx.state.language.code),
        href: portal.homeUri,
      })),
    });
  };
}
