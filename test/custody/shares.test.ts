import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  combineWrappingKey,
  CustodyError,
  splitWrappingKey,
  wrappingKeyId,
} from '../../src/custody/index.ts';

const codeOf = (error: unknown) => (error instanceof CustodyError ? error.code : error);
const key = createSecretKey(randomBytes(32));

describe('shares of a wrapping key', () => {
  test('give it back, whichever are enough, and name it', async () => {
    const shares = await splitWrappingKey(key, { shares: 5, threshold: 3 });
    expect(new Set(shares).size).toBe(5);
    for (const share of shares)
      expect(share).toMatch(new RegExp(`^yinxin-share\\.${wrappingKeyId(key)}\\.3\\.`));
    for (const [i, j, k] of [
      [0, 1, 2],
      [4, 2, 0],
      [3, 1, 4],
    ] as const) {
      const some = [shares[i] ?? '', ` ${shares[j] ?? ''}\n`, shares[k] ?? ''];
      expect((await combineWrappingKey(some)).equals(key)).toBe(true);
    }
    expect((await combineWrappingKey(shares)).equals(key)).toBe(true);
  });

  test('too few, the same one twice, damaged ones and those of another key give nothing', async () => {
    const shares = await splitWrappingKey(key, { shares: 3, threshold: 2 });
    const [one = '', two = ''] = shares;
    const [foreign = ''] = await splitWrappingKey(createSecretKey(randomBytes(32)), {
      shares: 3,
      threshold: 2,
    });
    const [higher = ''] = await splitWrappingKey(key, { shares: 3, threshold: 3 });
    const damaged = one.replace(
      /\.([A-Za-z0-9_-])([A-Za-z0-9_-]{43})\./,
      (_, first: string, rest: string) => {
        return `.${first === 'A' ? 'B' : 'A'}${rest}.`;
      },
    );
    for (const lines of [[], [one], [one, one], [one, foreign], [one, higher], [damaged, two], ['x', two]])
      expect(await combineWrappingKey(lines).catch(codeOf)).toBe('SHARES_INVALID');
  });

  test('of one key split twice do not go together: what they would give is not the key that they name', async () => {
    const [one = ''] = await splitWrappingKey(key, { shares: 2, threshold: 2 });
    const again = await splitWrappingKey(key, { shares: 2, threshold: 2 });
    for (const other of again) {
      const result = await combineWrappingKey([one, other]).catch(codeOf);
      expect(result).toBe('SHARES_INVALID');
    }
  });

  test('are two to 255, and at least two of them are needed', async () => {
    for (const [shares, threshold] of [
      [1, 1],
      [3, 1],
      [2, 3],
      [256, 3],
      [2.5, 2],
      [Number.NaN, 2],
    ] as const)
      await expect(splitWrappingKey(key, { shares, threshold })).rejects.toThrow(RangeError);
  });
});
