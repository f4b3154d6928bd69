/** The listening server and its graceful stop. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Server {
  /** Port that it listens on; the one asked for, or the one that the system chose. */
  readonly port: number;
  /** Takes no new connection, lets requests in flight end, and cuts those off that outlast `drainMs`. */
  stop(drainMs: number): Promise<void>;
}

export async function listen(
  handler: RequestListener,
  options: { host: string; port: number },
): Promise<Server> {
  const server = createServer(
    { requestTimeout: 120_000, headersTimeout: 20_000, maxHeaderSize: 16_384, keepAliveTimeout: 65_000 },
    (request, response) => {
      // What is left of a body that was refused is read and thrown away, so that the connection can be used again.
      response.once('finish', () => request.resume());
      handler(request, response);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop(drainMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const cutOff = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed.finally(() => clearTimeout(cutOff));
    },
  };
}
