/** Signatures of cookies, in the shape in which Koa's `cookies` and oidc-provider take them (Keygrip's). */
import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';

export interface CookieKeys {
  /** HMAC-SHA-256 in base64url, by the newest key. */
  sign(data: string): string;
  /** Which key made the signature, the newest being 0; -1: none of them. */
  index(data: string, signature: string): number;
  verify(data: string, signature: string): boolean;
}

/** @param keys The newest first; at least one. */
export function createCookieKeys(keys: readonly KeyObject[]): CookieKeys {
  const [newest] = keys;
  if (!newest) throw new TypeError('a key for cookies is missing');
  const hmac = (key: KeyObject, data: string) => createHmac('sha256', key).update(data).digest();

  function index(data: string, signature: string): number {
    const given = Buffer.from(signature, 'base64url');
    return keys.findIndex((key) => {
      const expected = hmac(key, data);
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }
  return {
    sign: (data) => hmac(newest, data).toString('base64url'),
    index,
    verify: (data, signature) => index(data, signature) >= 0,
  };
}
