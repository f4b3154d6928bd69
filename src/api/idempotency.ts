/**
 * `Idempotency-Key`: a request that is sent again is answered again and does nothing more. The key is taken before anything is done, by one
 * atomic statement, in whichever process; the answer is kept with it.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';
import { toPublicError } from '../platform/http/statuses.ts';
import type { AccountId } from '../platform/ids.ts';
import { deriveKeys } from '../platform/secrets.ts';
import { RequestError } from './errors.ts';

/** What a request was answered. */
export interface Answer {
  readonly status: number;
  readonly location?: string | undefined;
  readonly body?: unknown;
}

export interface KeyedRequest {
  readonly accountId: AccountId;
  readonly clientId: string;
  /** As the client sent it. */
  readonly key: string;
  /** Everything that makes it this request: method, path and body. JSON. */
  readonly request: unknown;
}

export interface Idempotency {
  /**
   * Runs `work` for the first request with a key, and gives its answer to every one that is the same. What is refused leaves the key free.
   * @throws {RequestError} IDEMPOTENCY_KEY_INVALID; IDEMPOTENCY_KEY_REUSED: another request came with this key; REQUEST_IN_PROGRESS;
   * REQUEST_UNFINISHED: the first one was cut off, and may or may not have been done.
   */
  once(keyed: KeyedRequest, work: () => Promise<Answer>): Promise<Answer>;
}

/** How long answers are kept. */
const KEPT_MS = 7 * 86_400_000;
/** Longer than any request takes. */
const IN_PROGRESS_MS = 60_000;

export function createIdempotency(parts: { db: Db; clock: Clock; dataKeys: DataKeys }): Idempotency {
  const { db, clock } = parts;
  // A body holds addresses of people, which a plain hash would let one guess.
  const keys = deriveKeys(parts.dataKeys, 'api-requests');

  return {
    async once({ accountId, clientId, key, request }, work) {
      if (!/^[\x21-\x7e]{1,128}$/.test(key))
        throw new RequestError(
          'IDEMPOTENCY_KEY_INVALID',
          'The Idempotency-Key must be 1 to 128 printable ASCII signs.',
        );
      const named = JSON.stringify([clientId, key]);
      const written = canonicalize(request) ?? '';
      const keyHashes = keys.map((each) => hmac(each, named));
      const requestHashes = keys.map((each) => hmac(each, written));
      const [keyHash, requestHash] = [keyHashes[0], requestHashes[0]];
      const now = clock.now();
      await db.query('DELETE FROM api_requests WHERE begun_at < $1', [new Date(now.getTime() - KEPT_MS)]);
      const earlier = async () => {
        const [row] = await db.query<{ request_hash: Uint8Array; begun_at: Date; answer: Answer | null }>(
          'SELECT request_hash, begun_at, answer FROM api_requests WHERE account_id = $1 AND key_hash = ANY($2)',
          [accountId, keyHashes],
        );
        return row;
      };
      let known = await earlier();
      if (!known) {
        const taken = await db.query(
          `INSERT INTO api_requests (account_id, key_hash, request_hash, begun_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING RETURNING key_hash`,
          [accountId, keyHash, requestHash, now],
        );
        if (taken.length > 0) return run(work, accountId, keyHash);
        known = await earlier();
      }
      const hash = known && Buffer.from(known.request_hash);
      if (hash && !requestHashes.some((each) => hash.equals(each)))
        throw new RequestError(
          'IDEMPOTENCY_KEY_REUSED',
          'This Idempotency-Key was used for another request.',
        );
      if (known?.answer) return known.answer;
      if (known && now.getTime() - known.begun_at.getTime() >= IN_PROGRESS_MS)
        throw new RequestError(
          'REQUEST_UNFINISHED',
          'The request with this Idempotency-Key was cut off. Look whether it was done, and send it with a new key.',
        );
      throw new RequestError(
        'REQUEST_IN_PROGRESS',
        'A request with this Idempotency-Key is being worked on. Ask again shortly.',
        { retryAfterSeconds: 1 },
      );
    },
  };

  async function run(
    work: () => Promise<Answer>,
    accountId: AccountId,
    keyHash: Uint8Array | undefined,
  ): Promise<Answer> {
    const values = [accountId, keyHash];
    try {
      const answer = await work();
      await db.query('UPDATE api_requests SET answer = $3 WHERE account_id = $1 AND key_hash = $2', [
        ...values,
        JSON.stringify(answer),
      ]);
      return answer;
    } catch (error) {
      // Whatever was refused was not done. Of anything else that is not sure, and the key stays taken.
      if (error instanceof AppError && toPublicError(error).status < 500)
        await db.query('DELETE FROM api_requests WHERE account_id = $1 AND key_hash = $2', values);
      throw error;
    }
  }
}

/** Forgets what an account asked for, when it is closed. */
export async function forgetRequests(tx: Queryable, accountId: AccountId): Promise<void> {
  await tx.query('DELETE FROM api_requests WHERE account_id = $1', [accountId]);
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
