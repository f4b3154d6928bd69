/** A TCP relay in front of a store that counts round trips: what is sent before an answer comes counts once, however many commands it is. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Milliseconds for which the relay holds what it was sent, so that all that is sent without waiting for an answer leaves together. */
const HOLD_MS = 3;

export interface CountingProxy {
  /** The store's address through this relay. */
  readonly url: string;
  /** Round trips since this was last asked. */
  take(): number;
  stop(): Promise<void>;
}

export async function startCountingProxy(storeUrl: string): Promise<CountingProxy> {
  const store = new URL(storeUrl);
  const sockets = new Set<Socket>();
  let trips = 0;
  let held: (() => void)[] = [];
  // Over all connections: commands on two of them at once are one wait, not two.
  const release = () => {
    trips += 1;
    for (const send of held.splice(0)) send();
  };
  const server = createServer((client) => {
    const upstream = connect(Number(store.port), store.hostname).setNoDelay(true);
    client.setNoDelay(true);
    client.on('data', (chunk) => {
      if (held.length === 0) setTimeout(release, HOLD_MS);
      held.push(() => upstream.write(chunk));
    });
    upstream.on('data', (chunk) => client.write(chunk));
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(storeUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    take() {
      const taken = trips;
      trips = 0;
      return taken;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
