/**
 * Challenges of passkey ceremonies (Web Authentication Level 3, section 13.4.3): random, short-lived, good once, and good only for the
 * ceremony and the browser that they were made for. They carry their own proof, so that showing a page stores nothing.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { deriveKeys } from '../../platform/secrets.ts';

/** How long a page may lie open before its challenge is too old, in seconds. */
export const CHALLENGE_SECONDS = 900;

const TIME_BYTES = 6;
const RANDOM_BYTES = 16;
const HEAD_BYTES = TIME_BYTES + RANDOM_BYTES;
const MAC_BYTES = 32;

/** What a challenge is good for. */
export interface ChallengePurpose {
  readonly ceremony: 'create' | 'get';
  /** What ties it to one browser: the id of an interaction or a session, which is never shown to another. */
  readonly binding: string;
  /** The account, where it is known beforehand. */
  readonly accountId?: string | undefined;
}

export interface PasskeyChallenges {
  make(purpose: ChallengePurpose): Uint8Array<ArrayBuffer>;
  /** Takes a challenge: of any number of callers exactly one gets `true`, if it was made for this purpose and is not too old. */
  take(challenge: Uint8Array, purpose: ChallengePurpose): Promise<boolean>;
}

/**
 * Notes a name for some time in a store that all processes share: of any number of callers with one name exactly one gets `true`.
 * @param name At most 100 signs; whoever reads it learns nothing.
 */
export type TakeOnce = (name: string, ttlSeconds: number) => Promise<boolean>;

export function createPasskeyChallenges(parts: {
  clock: Clock;
  dataKeys: DataKeys;
  takeOnce: TakeOnce;
}): PasskeyChallenges {
  const { clock, takeOnce } = parts;
  const keys = deriveKeys(parts.dataKeys, 'passkey-challenge');
  const macOf = (head: Uint8Array, { ceremony, binding, accountId }: ChallengePurpose, key = keys[0]) =>
    createHmac('sha256', key)
      .update(head)
      .update(JSON.stringify([ceremony, binding, accountId ?? null]))
      .digest();

  return {
    make(purpose) {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUIntBE(clock.now().getTime(), 0, TIME_BYTES);
      randomBytes(RANDOM_BYTES).copy(head, TIME_BYTES);
      return Uint8Array.from([...head, ...macOf(head, purpose)]);
    },
    async take(challenge, purpose) {
      if (challenge.length !== HEAD_BYTES + MAC_BYTES) return false;
      const head = Buffer.from(challenge.subarray(0, HEAD_BYTES));
      const mac = challenge.subarray(HEAD_BYTES);
      if (!keys.some((key) => timingSafeEqual(mac, macOf(head, purpose, key)))) return false;
      const age = clock.now().getTime() - head.readUIntBE(0, TIME_BYTES);
      if (age > CHALLENGE_SECONDS * 1000) return false;
      // Remembered for longer than it could be shown, whatever the clocks of two processes say.
      return takeOnce(head.toString('base64url'), CHALLENGE_SECONDS * 2);
    },
  };
}
