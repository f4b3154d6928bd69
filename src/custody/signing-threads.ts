/** The threads that sign: started when they are first needed, fed in batches, replaced when one ends. */
import type { KeyObject } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SignatureAlgorithm } from '../pki/index.ts';
import { CustodyError } from './errors.ts';
import type { FromThread, ThreadJob, ToThread } from './signing-thread.ts';

export interface SigningThreads {
  /** Makes a key known; the number stands for it. */
  know(privateKey: KeyObject): number;
  forget(key: number): void;
  /** @throws {CustodyError} KEYS_BUSY: too many are waiting; KEY_UNAVAILABLE: the thread failed. */
  sign(key: number, algorithm: SignatureAlgorithm, data: Uint8Array): Promise<Uint8Array>;
  stop(): Promise<void>;
}

/** Signatures that may wait: those of RSA-4096 take some seconds on one core. */
const MOST_WAITING = 4096;
/** Messages that a thread has before it: while it works on one the next is there. */
const MESSAGES_AHEAD = 2;
/** Jobs of one message: what comes in while a thread works travels together. */
const MOST_JOBS = 32;
const LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 8 };

interface Thread {
  readonly worker: Worker;
  readonly known: Set<number>;
  readonly waiting: ThreadJob[];
  /** Messages under way. */
  messages: number;
  /** Jobs given to it, waiting or under way. */
  readonly jobs: Map<number, { resolve(signature: Uint8Array): void; reject(error: Error): void }>;
  flushing: boolean;
}

export function createSigningThreads(options: { threads?: number } = {}): SigningThreads {
  const most = options.threads ?? availableParallelism();
  const threads = new Set<Thread>();
  const keys = new Map<number, KeyObject>();
  let numbers = 0;
  let stopped = false;

  function start(): Thread {
    const worker = new Worker(new URL('./signing-thread.ts', import.meta.url), {
      // It needs no variable, and should see no secret but the keys that it is given.
      env: {},
      resourceLimits: LIMITS,
    });
    const thread: Thread = {
      worker,
      known: new Set(),
      waiting: [],
      messages: 0,
      jobs: new Map(),
      flushing: false,
    };
    threads.add(thread);
    worker.unref();
    worker.on('message', (results: FromThread) => {
      thread.messages -= 1;
      for (const result of results) {
        const job = thread.jobs.get(result.number);
        thread.jobs.delete(result.number);
        if ('signature' in result) job?.resolve(result.signature);
        else job?.reject(unavailable(new Error(result.failed)));
      }
      flush(thread);
      // A thread that works keeps the process alive, one that waits does not.
      if (thread.jobs.size === 0) worker.unref();
    });
    const gone = (reason: Error) => {
      threads.delete(thread);
      for (const { reject } of thread.jobs.values()) reject(unavailable(reason));
      thread.jobs.clear();
    };
    worker.once('error', (error) => gone(error instanceof Error ? error : new Error(String(error))));
    worker.once('exit', () => gone(new Error('a thread for signatures ended')));
    return thread;
  }

  /** The one with the least to do; a new one while all are at work and there is a core for it. */
  function choose(): Thread {
    let best: Thread | undefined;
    for (const thread of threads) if (!best || thread.jobs.size < best.jobs.size) best = thread;
    return best && (best.jobs.size === 0 || threads.size >= most) ? best : start();
  }

  function say(thread: Thread, message: ToThread): void {
    // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    thread.worker.postMessage(message);
  }

  function flush(thread: Thread): void {
    thread.flushing = false;
    while (thread.waiting.length > 0 && thread.messages < MESSAGES_AHEAD) {
      thread.messages += 1;
      say(thread, { kind: 'sign', jobs: thread.waiting.splice(0, MOST_JOBS) });
    }
  }

  return {
    know(privateKey) {
      numbers += 1;
      keys.set(numbers, privateKey);
      return numbers;
    },
    forget(key) {
      keys.delete(key);
      for (const thread of threads) {
        if (!thread.known.delete(key)) continue;
        // What was asked for before is still signed.
        const jobs = thread.waiting.filter((job) => job.key === key);
        if (jobs.length > 0) {
          thread.waiting.splice(0, Infinity, ...thread.waiting.filter((job) => job.key !== key));
          thread.messages += 1;
          say(thread, { kind: 'sign', jobs });
        }
        say(thread, { kind: 'forget', key });
      }
    },
    async sign(key, algorithm, data) {
      const privateKey = keys.get(key);
      if (!privateKey || stopped) throw unavailable(new Error('the key was put away'));
      let waiting = 0;
      for (const each of threads) waiting += each.jobs.size;
      if (waiting >= MOST_WAITING)
        throw new CustodyError('KEYS_BUSY', 'Too many signatures are asked for at the moment.', {
          retryAfterSeconds: 1,
        });
      const thread = choose();
      if (!thread.known.has(key)) {
        thread.known.add(key);
        say(thread, { kind: 'know', key, privateKey });
      }
      numbers += 1;
      const number = numbers;
      thread.worker.ref();
      return new Promise((resolve, reject) => {
        thread.jobs.set(number, { resolve, reject });
        // Octets of their own: a Buffer travels with the pool that it is a piece of.
        thread.waiting.push({ number, key, algorithm, data: new Uint8Array(data) });
        if (thread.flushing) return;
        thread.flushing = true;
        queueMicrotask(() => flush(thread));
      });
    },
    async stop() {
      stopped = true;
      keys.clear();
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

function unavailable(cause: Error): CustodyError {
  return new CustodyError('KEY_UNAVAILABLE', 'The key cannot be used at the moment.', { cause });
}
