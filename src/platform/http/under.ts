/** Routers by their first segment: a router tries every route that it has, and most requests are for another. */
import type { Middleware } from './context.ts';

/** @param prefix A path without a slash at its end. @returns `routes` for this path and those below it; others go on at once. */
export function under(prefix: string, routes: Middleware): Middleware {
  const below = `${prefix}/`;
  return function underPrefix(ctx, next) {
    return ctx.path === prefix || ctx.path.startsWith(below) ? routes(ctx, next) : next();
  };
}
