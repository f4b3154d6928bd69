/** Requests that two readers could take for two different ones. */
import type { IncomingMessage } from 'node:http';
import type { Middleware } from './context.ts';
import { HttpError } from './errors.ts';

/** Of these the server keeps the first, where a proxy may have gone by the last (RFC 9110, section 5.3; RFC 9112, section 3.2). */
const ONCE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-type']);

const LENGTHS: ReadonlySet<number> = new Set([...ONCE].map(({ length }) => length));

/** A header that came twice and may come once. */
export function headerTwice({ rawHeaders }: IncomingMessage): string | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i] ?? '';
    // Most are told apart by their length alone.
    if (!LENGTHS.has(header.length)) continue;
    const name = header.toLowerCase();
    if (!ONCE.has(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

export const refuseAmbiguous: Middleware = async function refuse(ctx, next) {
  const header = headerTwice(ctx.req);
  if (header !== undefined) throw new HttpError('HEADER_TWICE', `The header ${header} was sent twice.`);
  return next();
};
