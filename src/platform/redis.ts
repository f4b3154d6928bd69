/** The Redis client, tuned for many small commands. */
import { createHash } from 'node:crypto';
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

/** Runs scripts by digest (EVALSHA), sending the text only when the server does not have it. */
export function createScripts(
  redis: Redis,
): (script: string, key: string, args: string[]) => Promise<unknown> {
  const digests = new Map<string, string>();
  return async (script, key, args) => {
    const digest = digests.get(script) ?? createHash('sha1').update(script).digest('hex');
    digests.set(script, digest);
    const options = { keys: [key], arguments: args };
    try {
      return await redis.evalSha(digest, options);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return redis.eval(script, options);
      throw error;
    }
  };
}
