/** Gives a request a body again that has been read, for a library that reads bodies by itself. */
import type { IncomingMessage } from 'node:http';

/** @param body What is read next; it may be another than was sent. */
export function giveBody(request: IncomingMessage, body: Buffer): void {
  delete request.headers['transfer-encoding'];
  request.headers['content-length'] = String(body.length);
  Object.defineProperties(request, {
    readable: { value: true, configurable: true },
    iterator: {
      configurable: true,
      value: async function* iterator() {
        yield body;
      },
    },
  });
}
