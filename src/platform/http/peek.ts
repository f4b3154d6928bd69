/** Reads the form in a request without taking it from whoever reads it later. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';

const MAX_BYTES = 8192;
const FORM = /^application\/x-www-form-urlencoded(; ?charset=utf-8)?$/i;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The fields of a small `application/x-www-form-urlencoded` body, or nothing if it is anything else: larger, of unknown length, with a
 * field given twice, not UTF-8. The body stays in the request, to be read again.
 */
export async function peekForm(request: IncomingMessage): Promise<ReadonlyMap<string, string> | undefined> {
  const length = Number(request.headers['content-length']);
  if (!FORM.test(request.headers['content-type'] ?? '')) return undefined;
  if (!Number.isSafeInteger(length) || length < 1 || length > MAX_BYTES) return undefined;
  const chunks: Buffer[] = [];
  let received = 0;
  try {
    while (received < length) {
      const chunk = request.read() as Buffer | null;
      if (chunk) {
        chunks.push(chunk);
        received += chunk.length;
      } else {
        if (request.readableEnded || request.destroyed) return undefined;
        await once(request, 'readable');
      }
    }
  } finally {
    // In the same turn, before the stream can say that it has ended.
    if (!request.readableEnded && chunks.length > 0) request.unshift(Buffer.concat(chunks));
  }
  return toFields(Buffer.concat(chunks));
}

/** @returns undefined for a field given twice, or text that is not UTF-8. */
function toFields(body: Buffer): ReadonlyMap<string, string> | undefined {
  const fields = new Map<string, string>();
  try {
    for (const [name, value] of new URLSearchParams(UTF8.decode(body))) {
      if (fields.has(name)) return undefined;
      fields.set(name, value);
    }
  } catch {
    return undefined;
  }
  return fields;
}
