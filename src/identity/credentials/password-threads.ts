/** The threads that hash passwords: started when they are first needed, kept, and replaced when one ends. */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../platform/logger.ts';
import type { ThreadData, ThreadJob, ThreadMessage } from './password-thread.ts';

export interface PasswordThreads {
  /** @returns a PHC string for `hash`, whether it matches for `verify`. @throws {Error} the engine refuses the stored string. */
  run(job: Extract<ThreadJob, { act: 'hash' }>): Promise<string>;
  run(job: Extract<ThreadJob, { act: 'verify' }>): Promise<boolean>;
  stop(): Promise<void>;
}

/** A thread does little besides the hash, whose memory lies outside of its heap. */
const LIMITS = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

interface Thread {
  readonly worker: Worker;
  /** Settles the job in hand. */
  answer: ((message: ThreadMessage) => void) | undefined;
}

/** As many threads as jobs run at the same time: whoever calls bounds that. */
export function createPasswordThreads(parts: { data: ThreadData; logger: Logger }): PasswordThreads {
  const { data, logger } = parts;
  const idle: Thread[] = [];
  const all = new Set<Thread>();
  let announced = false;

  function start(): Promise<Thread> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./password-thread.ts', import.meta.url), {
        workerData: data,
        // It needs no variable, and should see no secret.
        env: {},
        resourceLimits: LIMITS,
      });
      const thread: Thread = { worker, answer: undefined };
      all.add(thread);
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          announce(message);
          resolve(thread);
        } else thread.answer?.(message);
      });
      const gone = (reason: string) => {
        all.delete(thread);
        const place = idle.indexOf(thread);
        if (place >= 0) idle.splice(place, 1);
        thread.answer?.({ kind: 'failed', reason });
        reject(new Error(reason));
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

  async function run(job: ThreadJob): Promise<string | boolean> {
    const thread = idle.pop() ?? (await start());
    // A thread that works keeps the process alive, one that waits does not.
    thread.worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        thread.answer = (message) => {
          if (message.kind === 'done') resolve(message.value);
          else reject(new Error(message.kind === 'failed' ? message.reason : 'the thread began anew'));
        };
        // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
        thread.worker.postMessage(job);
      });
    } finally {
      thread.answer = undefined;
      if (all.has(thread)) {
        thread.worker.unref();
        idle.push(thread);
      }
    }
  }

  return {
    run: run as PasswordThreads['run'],
    async stop() {
      await Promise.all([...all].map(({ worker }) => worker.terminate()));
    },
  };
}
