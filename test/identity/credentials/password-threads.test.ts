import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { BATCH, createPasswordThreads } from '../../../src/identity/credentials/password-threads.ts';
import { createLogger } from '../../../src/platform/logger.ts';

describe('threads for passwords', () => {
  const data = {
    cost: { memoryKiB: 64, passes: 1, lanes: 1 },
    peppers: new Map([['current', randomBytes(32)]]),
  };
  const threads = createPasswordThreads({ data, threads: 2, logger: createLogger('silent') });
  afterAll(() => threads.stop());
  const hash = async (password: string) =>
    (await threads.run({ act: 'hash', password, pepper: 'current' })).value;
  const verify = async (phc: string, password: string, pepper = 'current') =>
    (await threads.run({ act: 'verify', phc, password, pepper })).value;

  test('give everybody their own answer, however many come at once', async () => {
    const words = Array.from({ length: 3 * BATCH + 1 }, (_, i) => `word ${i}`);
    const hashes = await Promise.all(words.map(hash));
    const answers = await Promise.all(
      words.flatMap((word, i) => [verify(hashes[i]!, word), verify(hashes[i]!, `${word}!`)]),
    );
    expect(answers).toEqual(words.flatMap(() => [true, false]));
  });

  test('a job that fails harms none that is done beside it', async () => {
    const phc = await hash('a quiet word');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 2 * BATCH }, (_, i) =>
        i % 2 === 0 ? verify(phc, 'a quiet word') : verify(phc, 'a quiet word', 'nobody knows it'),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(
      outcomes.map((_, i) => (i % 2 === 0 ? 'fulfilled' : 'rejected')),
    );
  });

  test('when one ends, whoever it was working for is told, and the others get another', async () => {
    const posted = vi.spyOn(Worker.prototype, 'postMessage');
    const alone = createPasswordThreads({ data, threads: 1, logger: createLogger('silent') });
    const work = () => alone.run({ act: 'hash', password: 'a quiet word', pepper: 'current' });
    await work();
    const [worker] = posted.mock.contexts as Worker[];
    posted.mockRestore();
    const given = work();
    const waiting = work();
    await worker?.terminate();
    await expect(given).rejects.toThrow('ended');
    expect((await waiting).value).toMatch(/^\$argon2id\$/);
    await alone.stop();
  });

  test('whoever waits when they are stopped is told so', async () => {
    const stopped = createPasswordThreads({ data, threads: 1, logger: createLogger('silent') });
    const { value: phc } = await stopped.run({ act: 'hash', password: 'a quiet word', pepper: 'current' });
    const pending = Array.from({ length: 3 * BATCH }, () =>
      stopped.run({ act: 'verify', phc, password: 'a quiet word', pepper: 'current' }),
    );
    const outcomes = Promise.allSettled(pending);
    await stopped.stop();
    expect((await outcomes).at(-1)?.status).toBe('rejected');
    await expect(stopped.run({ act: 'hash', password: 'more', pepper: 'current' })).rejects.toThrow();
  });
});
