/**
 * Whoever waits for a password hash: as many at work as there are threads, a few given to them ahead, the others in the order in which they
 * came, and nobody for longer than is worth waiting. How long that is follows from what a hash has cost so far.
 */
import { AppError } from '../../platform/errors.ts';

export class PasswordQueueError extends AppError<'PASSWORDS_BUSY' | 'REQUEST_ABANDONED'> {}

export interface Turn {
  /** Ends the wait of a person who has gone. What has begun is not stopped. */
  readonly signal?: AbortSignal | undefined;
  /** Nobody waits for it: it is done when nobody else waits, or not at all. */
  readonly idle?: boolean;
}

/** What came of a task, and what it cost by itself. */
export interface Measured<T> {
  readonly value: T;
  readonly ms: number;
}

export interface PasswordQueue {
  /**
   * Does `task` when its turn comes, and gives its value.
   * @throws {PasswordQueueError} PASSWORDS_BUSY at once, with the seconds until there is room again, if the wait would be too long;
   * REQUEST_ABANDONED when the signal ends it.
   */
  run<T>(task: () => Promise<Measured<T>>, turn?: Turn): Promise<T>;
  /** How many are given out and how many wait, for metrics. */
  depth(): { readonly inFlight: number; readonly waiting: number };
}

/** What a task is taken to cost before one has been measured. */
const FIRST_GUESS_MS = 50;
/** Least that a task is taken to cost, so that the queue is bounded in number as well. */
const LEAST_MS = 1;
/** Weight of the newest measurement in the mean. */
const WEIGHT = 0.1;
/** Idle tasks that may wait for each thread; they hold passwords. */
const IDLE_PER_THREAD = 16;

/**
 * @param options.inFlight How many tasks run at a time.
 * @param options.ahead How many more are given out, to be begun as soon as there is room. Default: none.
 * @param options.waitSeconds The longest wait that is offered.
 */
export function createPasswordQueue(options: {
  inFlight: number;
  ahead?: number;
  waitSeconds: number;
}): PasswordQueue {
  const { inFlight, ahead = 0, waitSeconds } = options;
  // A set keeps the order of arrival and lets one leave from the middle.
  const waiting = new Set<() => void>();
  const idle = new Set<() => void>();
  let running = 0;
  let meanMs: number | undefined;

  /** Seconds until a task that comes now begins. */
  function wait(): number {
    const each = Math.max(LEAST_MS, meanMs ?? FIRST_GUESS_MS);
    return ((Math.max(0, running - inFlight) + waiting.size + 1) * each) / inFlight / 1000;
  }

  function next(): void {
    const [first] = waiting.size > 0 ? waiting : idle;
    if (!first || running >= (waiting.size > 0 ? inFlight + ahead : inFlight)) return;
    waiting.delete(first);
    idle.delete(first);
    first();
  }

  async function work<T>(task: () => Promise<Measured<T>>): Promise<T> {
    try {
      const { value, ms } = await task();
      meanMs = meanMs === undefined ? ms : meanMs + (ms - meanMs) * WEIGHT;
      return value;
    } finally {
      running -= 1;
      next();
    }
  }

  /** Does the task when its turn comes, in the place of the one that ends. */
  function inTurn<T>(task: () => Promise<Measured<T>>, { signal, idle: patient = false }: Turn): Promise<T> {
    return new Promise((resolve, reject) => {
      const line = patient ? idle : waiting;
      const begin = () => {
        signal?.removeEventListener('abort', leave);
        running += 1;
        work(task).then(resolve, reject);
      };
      const leave = () => {
        line.delete(begin);
        reject(abandoned());
      };
      signal?.addEventListener('abort', leave, { once: true });
      line.add(begin);
      next();
    });
  }

  return {
    async run(task, turn = {}) {
      if (turn.signal?.aborted) throw abandoned();
      const full = turn.idle
        ? idle.size >= inFlight * IDLE_PER_THREAD
        : running >= inFlight && wait() > waitSeconds;
      if (full)
        throw new PasswordQueueError('PASSWORDS_BUSY', 'Too many people are signing in. Try again shortly.', {
          retryAfterSeconds: Math.max(1, Math.ceil(wait())),
        });
      return inTurn(task, turn);
    },
    depth: () => ({ inFlight: running, waiting: waiting.size }),
  };
}

function abandoned(): PasswordQueueError {
  return new PasswordQueueError('REQUEST_ABANDONED', 'The request was given up.');
}
