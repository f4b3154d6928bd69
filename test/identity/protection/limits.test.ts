import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  createLimits,
  LimitError,
  toLimitPlan,
  type Limits,
} from '../../../src/identity/protection/limits.ts';
import { createMemoryLimitStore } from '../../../src/identity/protection/store/memory.ts';
import type { LimitStore } from '../../../src/identity/protection/store/store.ts';
import { ConfigError } from '../../../src/platform/config.ts';
import { toDataKeys } from '../../../src/platform/data-keys.ts';
import { createMetrics } from '../../../src/platform/metrics.ts';
import { TestClock } from '../../support/clock.ts';

const PLAN = toLimitPlan({
  password: {
    device: [{ tries: 2, seconds: 60 }],
    address: [{ tries: 20, seconds: 60 }],
    pair: [{ tries: 3, seconds: 60 }],
    account: [{ tries: 5, seconds: 60 }],
  },
});
const OWNER = { address: '192.0.2.1', account: 'the owner' };

function open(wrap = (store: LimitStore) => store): { limits: Limits; clock: TestClock; keys: Set<string> } {
  const clock = new TestClock();
  const inner = createMemoryLimitStore(clock);
  const keys = new Set<string>();
  const store = wrap({
    ...inner,
    take(key, windows) {
      keys.add(key);
      return inner.take(key, windows);
    },
  });
  const dataKeys = toDataKeys(createSecretKey(randomBytes(32)));
  return { limits: createLimits({ store, plan: PLAN, dataKeys, metrics: createMetrics() }), clock, keys };
}

async function tries(limits: Limits, trier: Parameters<Limits['take']>[1], times: number): Promise<number> {
  let made = 0;
  for (let i = 0; i < times; i++)
    await limits.take('password', trier).then(
      () => (made += 1),
      (error: unknown) => expect(error).toBeInstanceOf(LimitError),
    );
  return made;
}

describe('limits', () => {
  test('hold per address and account together, per account from everywhere, per address for every account', async () => {
    const { limits } = open();
    expect(await tries(limits, OWNER, 10)).toBe(3);
    expect(await tries(limits, { ...OWNER, address: '192.0.2.2' }, 10)).toBe(2);
    expect(await tries(limits, { ...OWNER, address: '192.0.2.3' }, 10)).toBe(0);
    let elsewhere = 0;
    for (let i = 0; i < 30; i++) elsewhere += await tries(limits, { ...OWNER, account: `account ${i}` }, 1);
    expect(elsewhere).toBe(17);
  });

  test('cannot be used by strangers to keep out who is at a known device', async () => {
    const { limits } = open();
    for (let i = 0; i < 30; i++)
      await tries(limits, { address: `198.51.100.${i}`, account: OWNER.account }, 3);
    expect(await tries(limits, OWNER, 1)).toBe(0);
    expect(await tries(limits, { ...OWNER, device: 'dev_known' }, 5)).toBe(2);
    expect(await tries(limits, { ...OWNER, device: 'dev_other' }, 5)).toBe(2);
  });

  test('cannot be used either by a neighbour behind the same address', async () => {
    const { limits } = open();
    for (let i = 0; i < 30; i++) await tries(limits, { ...OWNER, account: `other ${i}` }, 1);
    await expect(limits.take('password', OWNER)).rejects.toThrow(LimitError);
    expect(await tries(limits, { ...OWNER, device: 'dev_known' }, 1)).toBe(1);
  });

  test('count a /64 of IPv6 as one address', async () => {
    const { limits } = open();
    let made = 0;
    for (let i = 1; i < 40; i++)
      made += await tries(limits, { address: `2001:db8:1:2::${i.toString(16)}`, account: `account ${i}` }, 1);
    expect(made).toBe(20);
    expect(await tries(limits, { address: '2001:db8:1:3::1', account: 'account 1' }, 1)).toBe(1);
  });

  test('what a refused try had been counted for already is given back', async () => {
    const { limits } = open();
    await tries(limits, OWNER, 3);
    await tries(limits, OWNER, 100);
    // Had the address been charged for what was refused, nothing would be left of its 20.
    expect(await tries(limits, { ...OWNER, account: 'another' }, 3)).toBe(3);
  });

  test('a right try is no guess: it is given back, and what went wrong at that place is forgotten', async () => {
    const { limits } = open();
    await tries(limits, OWNER, 2);
    const attempt = await limits.take('password', OWNER);
    expect(attempt.failuresBefore).toBe(2);
    await attempt.succeeded();
    expect(await tries(limits, OWNER, 10)).toBe(3);
    // Strangers elsewhere gain nothing by it: the account still counts what was wrong.
    expect(await tries(limits, { ...OWNER, address: '192.0.2.2' }, 10)).toBe(0);
  });

  test('a try that could not be made is given back, and nothing is forgotten for it', async () => {
    const { limits } = open();
    await tries(limits, OWNER, 2);
    for (let i = 0; i < 5; i++) await (await limits.take('password', OWNER)).notMade();
    expect(await tries(limits, OWNER, 10)).toBe(1);
  });

  test('say for how long, in a way that fits the header Retry-After, and nothing about the account', async () => {
    const { limits, clock } = open();
    await tries(limits, OWNER, 3);
    clock.advance(12.5);
    const problem: unknown = await limits.take('password', OWNER).catch((error: unknown) => error);
    expect(problem).toMatchObject({ code: 'TOO_MANY_TRIES', retryAfterSeconds: 48 });
    expect(String(problem)).not.toContain(OWNER.account);
    clock.advance(47.5);
    expect(await tries(limits, OWNER, 1)).toBe(1);
  });

  test('acts do not count for each other, and keys show neither address nor account', async () => {
    const { limits, keys } = open();
    await tries(limits, OWNER, 3);
    await expect(limits.take('passkey', OWNER)).resolves.toBeDefined();
    expect([...keys].join()).not.toMatch(/192|owner|password/);
    expect(keys.size).toBe(4);
  });

  test('a store that fails lets nobody try', async () => {
    const { limits } = open((store) => ({ ...store, take: () => Promise.reject(new Error('away')) }));
    await expect(limits.take('password', OWNER)).rejects.toThrow('away');
  });
});

describe('the plan of limits', () => {
  const problemsOf = (overrides: unknown) => {
    try {
      toLimitPlan(overrides);
    } catch (error) {
      if (error instanceof ConfigError) return error.problems.map(({ problem }) => problem);
      throw error;
    }
    return [];
  };

  test('is complete as it is shipped', () => {
    expect(problemsOf(undefined)).toEqual([]);
  });

  test('guesses at one password from unknown devices stay within a hundred a day', () => {
    expect(toLimitPlan(undefined).password.account?.at(-1)).toEqual({ tries: 100, seconds: 86_400 });
  });

  test('names every mistake', () => {
    expect(problemsOf({ password: { address: [] } })[0]).toContain('password.address');
    expect(problemsOf({ password: {} })).toEqual(['password: has no budget']);
    expect(problemsOf({ passwords: { address: [{ tries: 1, seconds: 1 }] } })).toHaveLength(1);
    expect(problemsOf({ passkey: { address: [{ tries: 0, seconds: 1 }] } })[0]).toContain(
      'passkey.address.0.tries',
    );
    expect(
      problemsOf({
        passkey: {
          address: [
            { tries: 5, seconds: 60 },
            { tries: 5, seconds: 3600 },
          ],
        },
      }),
    ).toEqual(['passkey.address: must grow: each window longer than the one before, with more tries']);
    for (const overrides of ['text', 7, null, []])
      expect(problemsOf(overrides)).toEqual(['is not a JSON object']);
  });
});
