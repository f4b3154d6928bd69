/**
 * An authority that is reached over HTTP, by the contract in `docs/proofing-authority.md`. It answers in time or counts as unavailable; what
 * it says is bounded and read strictly; after several failures in a row it is left alone for a while, so that people are not kept waiting.
 */
import { createSecretKey } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import type { OutboundFetch } from '../../platform/http/outbound.ts';
import type { Logger } from '../../platform/logger.ts';
import type { HttpAuthoritySource } from '../../platform/sources.ts';
import { COMPARED, LIVE_CHECKED, type Answer, type Comparison, type ProofingAuthority } from './authority.ts';
import type { DocumentKind } from './documents.ts';
import { signMessage } from './message-signature.ts';

/** Largest answer that is read, in bytes. */
const ANSWER_MAX_BYTES = 16_384;
/** Failures in a row after which the authority is left alone, and for how long. */
const FAILURES = 5;
const PAUSE_SECONDS = 30;
const RETRY_AFTER_MS = 200;

const reference = z.string().regex(/^[\x21-\x7e]{1,200}$/);
const confirmed = z.object({
  result: z.literal('confirmed'),
  level: z.union([z.literal(COMPARED), z.literal(LIVE_CHECKED)]),
  reference,
});
const refused = z.object({ result: z.literal('refused'), reference: reference.optional() });
const compared = z.discriminatedUnion('result', [
  confirmed,
  refused,
  z.object({ result: z.literal('continue'), uri: z.string().max(2000), reference }),
]);
const checked = z.discriminatedUnion('result', [
  confirmed,
  refused,
  z.object({ result: z.literal('pending') }),
]);

/** Something that a second try may mend. */
class Transient extends Error {}

export function createHttpAuthority(
  source: HttpAuthoritySource,
  parts: {
    readonly fetch: OutboundFetch;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly kinds: readonly DocumentKind[];
  },
): ProofingAuthority {
  const { clock, logger } = parts;
  const base = source.url.replace(/\/$/, '');
  const origins = new Set([new URL(base).origin, ...source.liveCheckOrigins]);
  const authentication = authenticator(source.authentication, clock);
  let failures = 0;
  let closedUntil = 0;

  async function call<T>(
    schema: z.ZodType<T>,
    request: { method: 'GET' | 'POST'; path: string; requestId?: string; body?: object },
  ): Promise<T> {
    const url = `${base}${request.path}`;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const own: Record<string, string> =
      request.requestId === undefined ? {} : { 'idempotency-key': `"${request.requestId}"` };
    const headers = {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...own,
      ...authentication({ method: request.method, url, headers: own, body }),
    };
    const signal = AbortSignal.timeout(source.timeoutMs);
    const response = await parts
      .fetch(url, { method: request.method, headers, redirect: 'error', signal, ...(body ? { body } : {}) })
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

  /** Tries twice where that asks nothing twice, and tells the log, never the caller, what went wrong. */
  async function reach<T>(request: () => Promise<T>): Promise<T | undefined> {
    if (clock.now().getTime() < closedUntil) return undefined;
    // While it is shut, the first call after the pause tries alone.
    if (failures >= FAILURES) closedUntil = clock.now().getTime() + PAUSE_SECONDS * 1000;
    try {
      const answer = await request().catch(async (error: unknown) => {
        if (!(error instanceof Transient) || failures >= FAILURES) throw error;
        await setTimeout(RETRY_AFTER_MS);
        return request();
      });
      failures = 0;
      closedUntil = 0;
      return answer;
    } catch (error) {
      failures += 1;
      if (failures >= FAILURES) closedUntil = clock.now().getTime() + PAUSE_SECONDS * 1000;
      logger.error({ err: error, authority: source.id, failures }, 'a proofing authority failed');
      return undefined;
    }
  }

  return {
    id: source.id,
    name: source.name,
    trustFramework: source.trustFramework,
    fictional: false,
    kinds: parts.kinds,
    attainable: source.attainable,

    async compare(comparison) {
      const { requestId, wanted } = comparison;
      const body = toRequest(comparison);
      const answer = await reach(() =>
        call(compared, { method: 'POST', path: '/comparisons', requestId, body }),
      );
      if (answer?.result !== 'continue') return toAnswer(answer, wanted);
      const uri = URL.parse(answer.uri);
      if (uri && origins.has(uri.origin))
        return { kind: 'continue', uri: uri.href, reference: answer.reference };
      logger.error(
        { authority: source.id },
        'a proofing authority sends people to an origin that is not registered',
      );
      return { kind: 'unavailable' };
    },

    async result(reference) {
      const path = `/comparisons/${encodeURIComponent(reference)}`;
      const answer = await reach(() => call(checked, { method: 'GET', path }));
      return answer?.result === 'pending' ? { kind: 'pending' } : toAnswer(answer, LIVE_CHECKED);
    },
  };
}

function toRequest({ requestId, claim, wanted, returnUri }: Comparison): object {
  const { document, name, third } = claim;
  const members = {
    phone: 'phone',
    validUntil: 'valid_until',
    birthdate: 'birthdate',
    reference: 'reference',
  };
  return {
    request_id: requestId,
    wanted_level: wanted,
    return_uri: returnUri,
    document: {
      kind: document.kind,
      number: document.number,
      ...(document.issuingCountry === undefined ? {} : { issuing_country: document.issuingCountry }),
    },
    name,
    [members[third.item]]: third.value,
  };
}

function toAnswer(
  answer: z.output<typeof confirmed> | z.output<typeof refused> | undefined,
  wanted: number,
): Answer {
  if (answer === undefined) return { kind: 'unavailable' };
  if (answer.result === 'refused') return { kind: 'refused', reference: answer.reference };
  // More than was asked for is not taken: nobody has asked the person for it.
  const level = answer.level > wanted ? COMPARED : answer.level;
  return { kind: 'confirmed', level, reference: answer.reference };
}

function authenticator(
  authentication: HttpAuthoritySource['authentication'],
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

/** @throws {Error} the answer is longer than any that the contract knows, or broke off. */
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
