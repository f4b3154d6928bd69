/** One contract for the counters, held in this process and on Redis. */
import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryLimitStore } from '../../../src/identity/protection/store/memory.ts';
import { createRedisLimitStore } from '../../../src/identity/protection/store/redis.ts';
import type { LimitStore } from '../../../src/identity/protection/store/store.ts';
import { TestClock } from '../../support/clock.ts';
import { openRedis } from '../../support/databases.ts';

const BACKENDS: Record<
  string,
  (clock: TestClock) => Promise<{ store: LimitStore; close(): Promise<unknown> }>
> = {
  memory: async (clock) => ({ store: createMemoryLimitStore(clock), close: async () => undefined }),
  Redis: async (clock) => {
    const { redis, prefix } = await openRedis();
    return { store: createRedisLimitStore(redis, prefix, clock), close: () => redis.close() };
  },
};

const MINUTE = { tries: 3, seconds: 60 };
const HOUR = { tries: 5, seconds: 3600 };

describe.each(Object.entries(BACKENDS))('the counters on %s', (_name, open) => {
  const clock = new TestClock();
  let store: LimitStore;
  let close: () => Promise<unknown>;
  let key: string;

  beforeAll(async () => {
    ({ store, close } = await open(clock));
  });
  afterAll(() => close());
  beforeEach(() => {
    key = randomUUID();
  });
  const take = async (times: number, windows = [MINUTE, HOUR]) => {
    let counted = await store.take(key, windows);
    for (let i = 1; i < times; i++) counted = await store.take(key, windows);
    return counted;
  };

  test('let through what a window holds, then say for how long they wait', async () => {
    expect(await take(3)).toEqual({ waitSeconds: 0, used: 3 });
    expect(await take(1)).toEqual({ waitSeconds: 60, used: 3 });
    clock.advance(20);
    expect(await take(1)).toEqual({ waitSeconds: 40, used: 3 });
  });

  test('a window begins with its first try, and the next when it has ended', async () => {
    await take(1);
    clock.advance(50);
    await take(2);
    expect((await take(1)).waitSeconds).toBe(10);
    clock.advance(10);
    expect(await take(1)).toEqual({ waitSeconds: 0, used: 4 });
  });

  test('who goes on waits for the longer window', async () => {
    await take(3);
    clock.advance(60);
    await take(2);
    expect((await take(1)).waitSeconds).toBe(3540);
    clock.advance(3540);
    expect(await take(1)).toEqual({ waitSeconds: 0, used: 1 });
  });

  test('what was refused is not counted, so nobody can prolong a wait', async () => {
    await take(3);
    await take(50);
    clock.advance(60);
    expect(await take(1)).toEqual({ waitSeconds: 0, used: 4 });
  });

  test('of fifty in parallel no more get through than the window holds', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.take(key, [MINUTE, HOUR])));
    expect(answers.filter(({ waitSeconds }) => waitSeconds === 0)).toHaveLength(3);
    expect(answers.filter(({ waitSeconds }) => waitSeconds === 60)).toHaveLength(47);
  });

  test('a try that is given back makes room for one, and never for more than was taken', async () => {
    await take(3);
    await store.giveBack(key);
    expect(await take(1)).toEqual({ waitSeconds: 0, used: 3 });
    for (let i = 0; i < 10; i++) await store.giveBack(key);
    expect(await take(3)).toEqual({ waitSeconds: 0, used: 3 });
    expect((await take(1)).waitSeconds).toBe(60);
    await store.giveBack(randomUUID());
  });

  test('what is cleared begins anew', async () => {
    await take(3);
    await store.clear(key);
    expect(await take(1)).toEqual({ waitSeconds: 0, used: 1 });
  });

  test('keys do not count for each other', async () => {
    await take(3);
    expect(await store.take(randomUUID(), [MINUTE])).toEqual({ waitSeconds: 0, used: 1 });
  });

  test('a large window is as exact as a small one', async () => {
    const month = { tries: 1, seconds: 31 * 86_400 };
    await take(1, [month]);
    expect((await take(1, [month])).waitSeconds).toBe(month.seconds);
  });
});

test('Redis forgets a counter when its longest window is over', async () => {
  const { redis, prefix } = await openRedis();
  const clock = new TestClock();
  await createRedisLimitStore(redis, prefix, clock).take('key', [MINUTE, HOUR]);
  const [name] = await redis.keys(`${prefix}:*`);
  expect(await redis.ttl(name ?? '')).toBeGreaterThan(3590);
  await redis.close();
});

test('the counters of this process do not grow for ever', async () => {
  const clock = new TestClock();
  const store = createMemoryLimitStore(clock);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 60_000; i++) {
    await store.take(`key ${i}`, [MINUTE, HOUR]);
    clock.advance(60);
  }
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  // Used once more, so that it was not collected itself.
  await store.clear('key 0');
  expect(grown).toBeLessThan(5_000_000);
});
