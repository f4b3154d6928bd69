import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createCookieKeys } from '../../../src/platform/http/cookie-keys.ts';

describe('signatures of cookies', () => {
  const [older, newer] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];
  const before = createCookieKeys([older]);
  const during = createCookieKeys([newer, older]);
  const after = createCookieKeys([newer]);
  const signature = before.sign('yx_session=abc');

  test('are made by the newest key, and good under every key that is known', () => {
    expect(during.index('yx_session=abc', signature)).toBe(1);
    expect(during.index('yx_session=abc', during.sign('yx_session=abc'))).toBe(0);
    expect(after.index('yx_session=abc', signature)).toBe(-1);
    expect(during.sign('yx_session=abc')).toBe(after.sign('yx_session=abc'));
  });

  test('are worth nothing for another cookie, cut, lengthened, or of another alphabet', () => {
    expect(before.verify('yx_session=abc', signature)).toBe(true);
    for (const [data, given] of [
      ['yx_session=abd', signature],
      ['yx_sessio=nabc', signature],
      ['yx_session=abc', ''],
      ['yx_session=abc', signature.slice(0, -2)],
      ['yx_session=abc', `${signature}AAAA`],
      ['yx_session=abc', Buffer.from(signature, 'base64url').toString('hex')],
    ] as const)
      expect(before.verify(data, given)).toBe(false);
  });

  test('need a key', () => {
    expect(() => createCookieKeys([])).toThrow(TypeError);
  });
});
