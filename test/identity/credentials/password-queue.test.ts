import { describe, expect, test } from 'vitest';
import {
  createPasswordQueue,
  PasswordQueueError,
  type Measured,
} from '../../../src/identity/credentials/password-queue.ts';

/** Tasks that end when they are told to, and cost what is told. */
function world({ inFlight = 2, ahead = 0, waitSeconds = 1 } = {}) {
  const queue = createPasswordQueue({ inFlight, ahead, waitSeconds });
  const order: string[] = [];
  const ends = new Map<string, (ms: number) => void>();
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    queue,
    order,
    /** A task by its name; its promise is the outcome. */
    ask(name: string, turn?: Parameters<typeof queue.run>[1]) {
      const outcome = queue.run(() => {
        order.push(name);
        return new Promise<Measured<string>>((resolve) =>
          ends.set(name, (ms) => resolve({ value: name, ms })),
        );
      }, turn);
      outcome.catch(() => undefined);
      return outcome;
    },
    async end(name: string, ms = 100) {
      ends.get(name)?.(ms);
      await settle();
    },
  };
}

const refusal = (outcome: Promise<unknown>) =>
  outcome.then(
    () => undefined,
    (error: unknown) =>
      error instanceof PasswordQueueError ? { code: error.code, seconds: error.retryAfterSeconds } : error,
  );

describe('the queue for password hashes', () => {
  test('lets as many work as it is told, and the others in the order in which they came', async () => {
    const { ask, end, order, queue } = world({ inFlight: 2, waitSeconds: 10 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) void ask(name);
    expect(order).toEqual(['a', 'b']);
    expect(queue.depth()).toEqual({ inFlight: 2, waiting: 3 });
    await end('b');
    await end('a');
    expect(order).toEqual(['a', 'b', 'c', 'd']);
    await end('c');
    expect(order).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('refuses at once whoever would wait longer than is offered, by what a hash has cost so far', async () => {
    const { ask, end } = world({ inFlight: 2, waitSeconds: 1 });
    const first = ask('first');
    await end('first', 200);
    await first;
    for (const name of ['a', 'b']) void ask(name);
    // Two hashes of 200 ms at a time: ten that wait are a second.
    const waiting = Array.from({ length: 10 }, (_, i) => ask(`w${i}`));
    expect(await refusal(ask('one too many'))).toEqual({ code: 'PASSWORDS_BUSY', seconds: 2 });
    await end('a', 200);
    await end('b', 200);
    void ask('again');
    for (let i = 0; i < 10; i++) await end(`w${i}`, 200);
    await expect(Promise.all(waiting)).resolves.toHaveLength(10);
  });

  test('says after how many seconds there is room, longer when hashes take longer', async () => {
    const { ask, end } = world({ inFlight: 1, waitSeconds: 7 });
    void ask('slow');
    await end('slow', 6000);
    void ask('a');
    void ask('b');
    expect(await refusal(ask('c'))).toEqual({ code: 'PASSWORDS_BUSY', seconds: 12 });
  });

  test('with no wait offered does what has a thread, and refuses the rest', async () => {
    const { ask, end } = world({ inFlight: 1, waitSeconds: 0 });
    const first = ask('first');
    expect(await refusal(ask('second'))).toEqual({ code: 'PASSWORDS_BUSY', seconds: 1 });
    await end('first');
    expect(await first).toBe('first');
  });

  test('gives some out ahead, who wait like the others', async () => {
    const { ask, end, order, queue } = world({ inFlight: 1, ahead: 2, waitSeconds: 1 });
    void ask('first');
    await end('first', 400);
    for (const name of ['a', 'b', 'c']) void ask(name);
    expect(order).toEqual(['first', 'a', 'b', 'c']);
    expect(queue.depth()).toEqual({ inFlight: 3, waiting: 0 });
    // Two are before it, of 400 ms each.
    expect(await refusal(ask('d'))).toEqual({ code: 'PASSWORDS_BUSY', seconds: 2 });
    void ask('upgrade', { idle: true });
    await end('a', 400);
    await end('b', 400);
    expect(order).not.toContain('upgrade');
    await end('c', 400);
    expect(order).toContain('upgrade');
  });

  test('does nothing for who has gone, and does not let them hold up the others', async () => {
    const { ask, end, order } = world({ inFlight: 1, waitSeconds: 10 });
    void ask('a');
    const gone = new AbortController();
    const left = ask('left', { signal: gone.signal });
    const stays = ask('stays');
    gone.abort();
    expect(await refusal(left)).toMatchObject({ code: 'REQUEST_ABANDONED' });
    expect(await refusal(ask('gone already', { signal: gone.signal }))).toMatchObject({
      code: 'REQUEST_ABANDONED',
    });
    await end('a');
    await end('stays');
    expect(await stays).toBe('stays');
    expect(order).toEqual(['a', 'stays']);
  });

  test('does not stop what has begun when the person goes', async () => {
    const { ask, end } = world({ inFlight: 1 });
    const gone = new AbortController();
    const begun = ask('begun', { signal: gone.signal });
    gone.abort();
    await end('begun');
    expect(await begun).toBe('begun');
  });

  test('does what nobody waits for when nobody waits', async () => {
    const { ask, end, order } = world({ inFlight: 1, waitSeconds: 10 });
    void ask('a');
    void ask('upgrade', { idle: true });
    void ask('b');
    void ask('c');
    await end('a');
    await end('b');
    expect(order).toEqual(['a', 'b', 'c']);
    await end('c');
    expect(order).toEqual(['a', 'b', 'c', 'upgrade']);
  });

  test('keeps a bounded number of what nobody waits for', async () => {
    const { ask } = world({ inFlight: 1, waitSeconds: 10 });
    void ask('a');
    for (let i = 0; i < 16; i++) void ask(`upgrade ${i}`, { idle: true });
    expect(await refusal(ask('one more', { idle: true }))).toMatchObject({ code: 'PASSWORDS_BUSY' });
  });

  test('goes on after a task that failed', async () => {
    const { queue, ask, end } = world({ inFlight: 1 });
    await expect(queue.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const next = ask('next');
    await end('next');
    expect(await next).toBe('next');
  });
});
