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

  function send(request: IncomingMessage, response: ServerResponse, answer: Answer, started: number): void {
    const traceId = traceIdOf(String(request.headers['traceparent'] ?? ''));
    const body = answer.body ?? '';
    response.writeHead(answer.status, {
      'X-Trace-Id': traceId,
      ...common,
      ...answer.headers,
      // 304 has no body, and no length of one.
      ...(answer.status === 304 ? {} : { 'Content-Length': Buffer.byteLength(body) }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
    const ms = performance.now() - started;
    const { method } = request;
    metrics.requests.inc({ area, method: method ?? '', status: `${Math.floor(answer.status / 100)}xx` });
    metrics.requestSeconds.observe({ area }, ms / 1000);
    logger.info({ traceId, area, method, status: answer.status, ms: Math.round(ms) }, 'request');
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
