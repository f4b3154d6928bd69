/** The Redis client, tuned for many small commands. */
import { createClient } from 'redis';
import type { Logger } from './logger.ts';

export type Redis = Awaited<ReturnType<typeof connectRedis>>;

/** Connects, and reconnects for ever with a growing pause. While Redis is away commands fail at once: a request answers 503, it does not hang. */
export async function connectRedis(url: string, logger: Logger) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // A command timeout starts an abort timer per command, which costs more than the command itself.
    commandOptions: { timeout: 0 },
    socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 2000) },
  });
  client.on('error', (error: Error) => logger.error({ err: error }, 'redis'));
  await client.connect();
  return client;
}
