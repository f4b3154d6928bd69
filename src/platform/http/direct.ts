/**
 * Answers that are given before the framework: for the few requests that make up nearly all of the traffic. Each has the same headers, log
 * line and metrics as every other. What a handler does not answer goes on untouched, its body included.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics.ts';
import { traceIdOf, type Area } from './context.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Public and the same for everyone: counted, but neither traced, timed nor logged. */
  readonly quiet?: boolean;
}

/** @returns what to answer, or nothing: then the request goes on to the framework. */
export type DirectHandler = (request: IncomingMessage) => Answer | undefined | Promise<Answer | undefined>;

export function answerDirectly(
  parts: { readonly issuer: string; readonly logger: Logger; readonly metrics: Metrics; readonly area: Area },
  handler: DirectHandler,
  otherwise: RequestListener,
): RequestListener {
  const { logger, metrics, area } = parts;
  const common: Record<string, string> = {
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    ...(parts.issuer.startsWith('https:')
      ? { 'Strict-Transport-Security': 'max-age=63072000; includeSubDomains' }
      : {}),
  };

  // The labels are few, and many answers leave in one turn of the loop: they are counted together at its end.
  const pending = new Map<string, { labels: { area: Area; method: string; status: string }; n: number }>();
  function flush(): void {
    for (const { labels, n } of pending.values()) metrics.requests.inc(labels, n);
    pending.clear();
  }
  function count(method: string, status: number): void {
    const name = `${method} ${status}`;
    const known = pending.get(name);
    if (known) {
      known.n += 1;
      return;
    }
    if (pending.size === 0) setImmediate(flush);
    pending.set(name, { labels: { area, method, status: `${Math.floor(status / 100)}xx` }, n: 1 });
  }
  const seconds = metrics.requestSeconds.labels({ area });
  const quietHeaders = new WeakMap<object, readonly string[]>();

  /** The headers of a quiet answer, laid out once: its `headers` are the same object each time. */
  function flatHeaders(answer: Answer): readonly string[] {
    const { headers = {}, body = '' } = answer;
    const known = quietHeaders.get(headers);
    if (known) return known;
    const length = answer.status === 304 ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
    // What concerns frames, referrers and one person's data says nothing of a public document.
    const flat = Object.entries({ 'X-Content-Type-Options': 'nosniff', ...headers, ...length }).flat();
    quietHeaders.set(headers, flat);
    return flat;
  }

  function send(request: IncomingMessage, response: ServerResponse, answer: Answer, started: number): void {
    const { method = '' } = request;
    const { status, body = '' } = answer;
    const traceId = answer.quiet === true ? '' : traceIdOf(String(request.headers['traceparent'] ?? ''));
    if (answer.quiet === true) response.writeHead(status, flatHeaders(answer) as string[]);
    else
      response.writeHead(status, {
        'X-Trace-Id': traceId,
        ...common,
        ...answer.headers,
        'Content-Length': Buffer.byteLength(body),
      });
    response.end(method === 'HEAD' ? undefined : body);
    count(method, status);
    if (answer.quiet === true) return;
    const ms = performance.now() - started;
    seconds.observe(ms / 1000);
    logger.info({ traceId, area, method, status, ms: Math.round(ms) }, 'request');
  }

  return (request, response) => {
    const started = performance.now();
    const answer = handler(request);
    if (answer === undefined) otherwise(request, response);
    else if (!(answer instanceof Promise)) send(request, response, answer, started);
    else
      answer.then(
        (given) => {
          if (given) send(request, response, given, started);
          else otherwise(request, response);
        },
        // Whatever went wrong, the framework's handlers meet it too, and say so as they always do.
        (error: unknown) => {
          logger.debug({ err: error }, 'a direct answer failed');
          // Nobody is there any more to be answered.
          if (!request.destroyed) otherwise(request, response);
        },
      );
  };
}
