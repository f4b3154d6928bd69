/**
 * The value of the device cookie: for each account that was signed in to with this browser a random token, under a tag that only this
 * provider can compute. Authenticated as a whole, so that nothing forged reaches the database. Pure, but for randomness.
 */
import { createHmac, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { DataKeys } from '../../platform/data-keys.ts';
import { deriveKeys } from '../../platform/secrets.ts';

/** A family shares a browser; more accounts than this do not. The oldest give way. */
const MAX_ACCOUNTS = 6;
const TAG_BYTES = 9;
const TOKEN_BYTES = 24;
const MAC_BYTES = 24;
const ENTRY_BYTES = TAG_BYTES + TOKEN_BYTES;

export interface DeviceCookie {
  /** The token that the cookie holds for an account; undefined if there is none, or the value is not ours. */
  tokenFor(value: string | undefined, accountId: string): Uint8Array | undefined;
  /** A new token for an account, and the value that holds it beside what the old value held for others. */
  withNewToken(value: string | undefined, accountId: string): { value: string; token: Uint8Array };
}

export function createDeviceCookie(dataKeys: DataKeys): DeviceCookie {
  const keys = deriveKeys(dataKeys, 'device-cookie');
  const hmac = (key: KeyObject, label: string, data: string | Uint8Array, length: number) =>
    createHmac('sha256', key).update(label).update(data).digest().subarray(0, length);
  const macOf = (key: KeyObject, body: Uint8Array) => hmac(key, 'entries:', body, MAC_BYTES);
  const tagOf = (key: KeyObject, accountId: string) => hmac(key, 'account:', accountId, TAG_BYTES);

  /** The entries of a value, the newest first. */
  function read(value: string | undefined): Buffer[] {
    const bytes = Buffer.from(value ?? '', 'base64url');
    const body = bytes.subarray(0, -MAC_BYTES);
    const count = body.length / ENTRY_BYTES;
    if (!Number.isInteger(count) || count < 1 || count > MAX_ACCOUNTS) return [];
    if (!keys.some((key) => timingSafeEqual(bytes.subarray(-MAC_BYTES), macOf(key, body)))) return [];
    return Array.from({ length: count }, (_, i) => body.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES));
  }

  function isFor(accountId: string): (entry: Buffer) => boolean {
    const tags = keys.map((key) => tagOf(key, accountId));
    return (entry) => tags.some((tag) => tag.equals(entry.subarray(0, TAG_BYTES)));
  }

  return {
    tokenFor: (value, accountId) => read(value).find(isFor(accountId))?.subarray(TAG_BYTES),
    withNewToken(value, accountId) {
      const token = randomBytes(TOKEN_BYTES);
      const isOwn = isFor(accountId);
      const others = read(value).filter((entry) => !isOwn(entry));
      const body = Buffer.concat([tagOf(keys[0], accountId), token, ...others.slice(0, MAX_ACCOUNTS - 1)]);
      return { value: Buffer.concat([body, macOf(keys[0], body)]).toString('base64url'), token };
    },
  };
}
