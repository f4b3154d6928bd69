/**
 * A service elsewhere that is asked by a contract: an authority, a register. It answers in time or counts as unavailable; what it says is
 * bounded and read strictly; after several failures in a row it is left alone for a while, so that people are not kept waiting.
 */
import { createSecretKey } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { PartnerSource } from '../sources.ts';
import { signMessage } from './message-signature.ts';
import type { OutboundFetch } from './outbound.ts';

/** Largest answer that is read, in bytes. */
const ANSWER_MAX_BYTES = 16_384;
/** Failures in a row after which it is left alone, and for how long. */
const FAILURES = 5;
const PAUSE_SECONDS = 30;
const RETRY_AFTER_MS = 200;

/** Something that a second try may mend. */
class Transient extends Error {}

export interface Question {
  readonly method: 'GET' | 'POST';
  /** Under the partner's address. */
  readonly path: string;
  /** The same for every try, so that trying again asks nothing twice. */
  readonly requestId?: string;
  readonly body?: object;
}

export interface Partner {
  /**
   * Asks, twice where the first try was cut off.
   * @returns undefined if there is no answer by the contract; why goes to the log and never to the caller.
   */
  ask<T>(schema: z.ZodType<T>, question: Question): Promise<T | undefined>;
}

/** @param parts.what It is, for the log. */
export function createPartner(
  source: PartnerSource,
  parts: {
    readonly what: string;
    readonly fetch: OutboundFetch;
    readonly clock: Clock;
    readonly logger: Logger;
  },
): Partner {
  const { clock, logger } = parts;
  const base = source.url.replace(/\/$/, '');
  const authentication = authenticator(source.authentication, clock);
  let failures = 0;
  let closedUntil = 0;

  async function call<T>(schema: z.ZodType<T>, question: Question): Promise<T> {
    const url = `${base}${question.path}`;
    const body = question.body === undefined ? undefined : JSON.stringify(question.body);
    const own: Record<string, string> =
      question.requestId === undefined ? {} : { 'idempotency-key': `"${question.requestId}"` };
    const headers = {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...own,
      ...authentication({ method: question.method, url, headers: own, body }),
    };
    const signal = AbortSignal.timeout(source.timeoutMs);
    const response = await parts
      .fetch(url, { method: question.method, headers, redirect: 'error', signal, ...(body ? { body } : {}) })
      .catch((cause: unknown) => {
        throw new Transient('it cannot be reached', { cause });
      });
    const text = await readBounded(response);
    if (response.status >= 500 || response.status === 429 || response.status === 408)
      throw new Transient(`it answered ${response.status}`);
    if (response.status !== 200) throw new Error(`it answered ${response.status}`);
    const answer = schema.safeParse(parseJson(text));
    // What is wrong with it may quote it, and it may quote the person: only that it is wrong is told.
    if (!answer.success) throw new Error('it answered something that the contract does not know');
    return answer.data;
  }

  return {
    async ask(schema, question) {
      if (clock.now().getTime() < closedUntil) return undefined;
      // While it is shut, the first call after the pause tries alone.
      if (failures >= FAILURES) closedUntil = clock.now().getTime() + PAUSE_SECONDS * 1000;
      try {
        const answer = await call(schema, question).catch(async (error: unknown) => {
          if (!(error instanceof Transient) || failures >= FAILURES) throw error;
          await setTimeout(RETRY_AFTER_MS);
          return call(schema, question);
        });
        failures = 0;
        closedUntil = 0;
        return answer;
      } catch (error) {
        failures += 1;
        if (failures >= FAILURES) closedUntil = clock.now().getTime() + PAUSE_SECONDS * 1000;
        logger.error({ err: error, partner: source.id, failures }, `${parts.what} failed`);
        return undefined;
      }
    },
  };
}

function authenticator(
  authentication: PartnerSource['authentication'],
  clock: Clock,
): (request: Parameters<typeof signMessage>[0]) => Record<string, string> {
  switch (authentication.method) {
    case 'bearer':
      return () => ({ authorization: `Bearer ${authentication.token}` });
    case 'hmac': {
      const key = createSecretKey(Buffer.from(authentication.secret, 'base64'));
      return (request) =>
        signMessage(request, {
          keyId: authentication.keyId,
          key,
          created: Math.floor(clock.now().getTime() / 1000),
        });
    }
    // The connection itself says who we are.
    case 'mtls':
      return () => ({});
  }
}

/** @throws {Error} the answer is longer than any that a contract knows, or broke off. */
async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > ANSWER_MAX_BYTES) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new Transient('its answer broke off', { cause });
  }
  if (size > ANSWER_MAX_BYTES) throw new Error('its answer is too long');
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
