/** Requests that two readers could take for two different ones. */
import type { Middleware } from './context.ts';
import { HttpError } from './errors.ts';

/** Of these the server keeps the first, where a proxy may have gone by the last (RFC 9110, section 5.3; RFC 9112, section 3.2). */
const ONCE = ['host', 'authorization', 'content-type'];

export const refuseAmbiguous: Middleware = async function refuse(ctx, next) {
  const names = ctx.req.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  for (const header of ONCE)
    if (names.indexOf(header) !== names.lastIndexOf(header))
      throw new HttpError('HEADER_TWICE', `The header ${header} was sent twice.`);
  return next();
};
