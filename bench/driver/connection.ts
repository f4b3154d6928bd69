/** A lean HTTP/1.1 client for load: one keep-alive connection, one request after another. It costs a tenth of `fetch`, which the driver's core is short of. */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly text: string;
  header(name: string): string | undefined;
  /** Every value of a header that may come more than once. */
  headers(name: string): string[];
  json(): Record<string, unknown>;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const NOTHING = Buffer.alloc(0);
const CRLF = '\r\n';

export class Connection {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #received: Buffer = NOTHING;
  #waiting: Waiting | undefined;

  constructor(origin: string) {
    const { hostname, port } = new URL(origin);
    this.#host = hostname;
    this.#port = Number(port);
  }

  request(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: string,
  ): Promise<Answer> {
    let text = `${method} ${path} HTTP/1.1${CRLF}host: ${this.#host}:${this.#port}${CRLF}`;
    for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}${CRLF}`;
    if (body !== undefined) text += `content-length: ${Buffer.byteLength(body)}${CRLF}`;
    this.#socket ??= this.#open();
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.#socket.write(text + CRLF + (body ?? ''));
    return answer;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    const socket = connect(this.#port, this.#host).setNoDelay(true);
    this.#received = NOTHING;
    socket.on('data', (chunk) => {
      this.#received = this.#received.length > 0 ? Buffer.concat([this.#received, chunk]) : chunk;
      this.#read();
    });
    const ended = (error = new Error('the server closed the connection')) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#waiting?.reject(error);
      this.#waiting = undefined;
    };
    socket.on('error', ended);
    socket.on('close', () => ended());
    return socket;
  }

  #read(): void {
    const headEnd = this.#received.indexOf(CRLF + CRLF);
    if (headEnd < 0 || !this.#waiting) return;
    const head = this.#received.toString('latin1', 0, headEnd);
    const message = readBody(head, this.#received, headEnd + 4);
    if (!message) return;
    this.#received = this.#received.subarray(message.end);
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    if (headerOf(head, 'connection') === 'close') this.close();
    resolve({
      status: Number(head.slice(9, 12)),
      text: message.body.toString(),
      header: (name) => headerOf(head, name),
      headers: (name) =>
        [...head.matchAll(new RegExp(`^${name}: *(.*)$`, 'gim'))].map(([, value = '']) => value),
      json: () => JSON.parse(message.body.toString()) as Record<string, unknown>,
    });
  }
}

function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1];
}

/** The body that begins at `start`, if all of it is there, and where the next message begins. */
function readBody(head: string, received: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const length = headerOf(head, 'content-length');
  if (length !== undefined) {
    const end = start + Number(length);
    return received.length < end ? undefined : { body: received.subarray(start, end), end };
  }
  if (headerOf(head, 'transfer-encoding') !== 'chunked') return { body: NOTHING, end: start };
  const parts: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = received.indexOf(CRLF, at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(received.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (received.length < end) return undefined;
    if (size === 0) return { body: Buffer.concat(parts), end };
    parts.push(received.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = end;
  }
}
