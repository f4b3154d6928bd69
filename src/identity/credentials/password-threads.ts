/** The threads that hash passwords: started when they are first needed, kept, and replaced when one ends. */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../platform/logger.ts';
import type { Measured } from './password-queue.ts';
import type { ThreadData, ThreadJob, ThreadMessage } from './password-thread.ts';

export interface PasswordThreads {
  /** @returns a PHC string for `hash`, whether it matches for `verify`. @throws {Error} the engine refuses the stored string. */
  run(job: Extract<ThreadJob, { act: 'hash' }>): Promise<Measured<string>>;
  run(job: Extract<ThreadJob, { act: 'verify' }>): Promise<Measured<boolean>>;
  stop(): Promise<void>;
}

/** A thread does little besides the hash, whose memory lies outside of its heap. */
const LIMITS = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/**
 * Jobs that a thread is given at once where several wait. Nobody comes between them: a hash fills the caches of its core, and each turn of
 * the main thread that lets the next one begin would find them cold, and leave them so.
 */
export const BATCH = 4;

interface Pending {
  readonly job: ThreadJob;
  resolve(done: Measured<string | boolean>): void;
  reject(error: Error): void;
}

interface Thread {
  readonly worker: Worker;
  /** What it was given and has not answered. */
  jobs: readonly Pending[];
}

/** @param parts.threads Most threads that there are, each hashing one password at a time. */
export function createPasswordThreads(parts: {
  data: ThreadData;
  threads: number;
  logger: Logger;
}): PasswordThreads {
  const { data, logger } = parts;
  const waiting: Pending[] = [];
  const idle: Thread[] = [];
  const all = new Set<Thread>();
  let starting = 0;
  let announced = false;
  let stopped = false;

  function start(): Promise<Thread> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./password-thread.ts', import.meta.url), {
        workerData: data,
        // It needs no variable, and should see no secret.
        env: {},
        resourceLimits: LIMITS,
      });
      const thread: Thread = { worker, jobs: [] };
      all.add(thread);
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          announce(message);
          worker.unref();
          resolve(thread);
          return;
        }
        const { jobs } = thread;
        thread.jobs = [];
        worker.unref();
        idle.push(thread);
        for (const [i, { resolve: done, reject: failed }] of jobs.entries()) {
          const outcome = message.outcomes[i];
          if (outcome && 'value' in outcome) done(outcome);
          else failed(new Error(outcome?.reason ?? 'a thread for passwords gave no answer'));
        }
        giveOut();
      });
      const gone = (reason: string) => {
        all.delete(thread);
        const place = idle.indexOf(thread);
        if (place >= 0) idle.splice(place, 1);
        for (const { reject: failed } of thread.jobs) failed(new Error(reason));
        thread.jobs = [];
        reject(new Error(reason));
        giveOut();
      };
      worker.once('error', (error) => gone(`a thread for passwords failed: ${error.message}`));
      worker.once('exit', () => gone('a thread for passwords ended'));
    });
  }

  function announce(ready: Extract<ThreadMessage, { kind: 'ready' }>): void {
    if (announced) return;
    announced = true;
    if (ready.warning !== undefined) logger.warn(ready.warning);
    logger.info({ engine: ready.engine }, 'passwords are hashed');
  }

  /** Gives what waits to threads that are free, and starts one where there is none yet. */
  function giveOut(): void {
    if (stopped)
      for (const { reject } of waiting.splice(0)) reject(new Error('no more passwords are hashed'));
    while (waiting.length > 0) {
      const thread = idle.pop();
      if (!thread) break;
      const jobs = waiting.splice(0, BATCH);
      thread.jobs = jobs;
      // A thread that works keeps the process alive, one that waits does not.
      thread.worker.ref();
      // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      thread.worker.postMessage(jobs.map(({ job }) => job));
    }
    if (waiting.length > starting * BATCH && all.size < parts.threads) {
      starting += 1;
      start().then(
        (thread) => {
          starting -= 1;
          idle.push(thread);
          giveOut();
        },
        (error: Error) => {
          starting -= 1;
          for (const { reject } of waiting.splice(0)) reject(error);
        },
      );
    }
  }

  function run(job: ThreadJob): Promise<Measured<string | boolean>> {
    return new Promise((resolve, reject) => {
      waiting.push({ job, resolve, reject });
      giveOut();
    });
  }

  return {
    run: run as PasswordThreads['run'],
    async stop() {
      stopped = true;
      await Promise.all([...all].map(({ worker }) => worker.terminate()));
    },
  };
}
