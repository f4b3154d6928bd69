/** A gateway for text messages as `docs/message-gateway.md` describes it, which delivers nothing: what came is read here. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { RawEnv } from '../platform/config.ts';

export interface FictionalGateway {
  /** Variables by which a server uses it. */
  readonly env: RawEnv;
  /** Words of the messages to a number, the newest first. */
  messagesTo(number: string): string[];
  close(): Promise<void>;
}

/** @param report Called with each message. */
export async function startGateway(
  report: (to: string, words: string) => void = () => undefined,
): Promise<FictionalGateway> {
  const token = randomBytes(16).toString('hex');
  const received = new Map<string, { to: string; text: string }>();
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const trusted = request.method === 'POST' && request.headers.authorization === `Bearer ${token}`;
      response.writeHead(trusted ? 202 : 401).end();
      if (!trusted) return;
      const message = JSON.parse(body) as { id: string; to: string; text: string };
      // The same message may come twice.
      if (!received.has(message.id)) report(message.to, message.text);
      received.set(message.id, message);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    env: { SMS_GATEWAY_URL: `http://127.0.0.1:${port}/`, SMS_GATEWAY_TOKEN: token },
    messagesTo: (number) =>
      [...received.values()]
        .filter(({ to }) => to === number)
        .map((message) => message.text)
        .toReversed(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
