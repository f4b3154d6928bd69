/** A server that answers as it is told to, and keeps what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type ToldAnswer = (response: ServerResponse) => void;

export interface ToldServer {
  readonly origin: string;
  /** What it was asked since the last `reset`. */
  seen: { readonly request: IncomingMessage; readonly body: string }[];
  /** What comes next is answered by these in turn, and by 500 when there are none. */
  answers: ToldAnswer[];
  reset(): void;
  stop(): void;
}

export async function startToldServer(): Promise<ToldServer> {
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      told.seen.push({ request, body });
      const answer = told.answers.shift();
      if (answer) answer(response);
      else response.writeHead(500).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const told: ToldServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    answers: [],
    reset() {
      told.seen = [];
      told.answers = [];
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
  return told;
}

export const json =
  (body: unknown, status = 200): ToldAnswer =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
