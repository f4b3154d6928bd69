/**
 * The thread in which passwords are hashed, one at a time. Threads of our own and not libuv's pool: files, name look-ups and signatures
 * never wait behind a hash, and the system can be told that hashes give way to requests.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as argon2 from 'argon2';
import type { Config } from '../../platform/config.ts';
import { giveWay } from '../../platform/give-way.ts';
import type { Measured } from './password-queue.ts';

export interface ThreadData {
  readonly cost: Config['argon2'];
  /** Keys by their ids. */
  readonly peppers: ReadonlyMap<string, Uint8Array>;
}

export type ThreadJob =
  | { readonly act: 'hash'; readonly password: string; readonly pepper: string }
  | { readonly act: 'verify'; readonly password: string; readonly pepper: string; readonly phc: string };

export type ThreadMessage =
  | { readonly kind: 'ready'; readonly engine: 'argon2' | '@node-rs/argon2'; readonly warning?: string }
  /** Of the jobs of one message, in their order. */
  | { readonly kind: 'done'; readonly outcomes: readonly ThreadOutcome[] };

export type ThreadOutcome = Measured<string | boolean> | { readonly reason: string };

interface Engine {
  hash(password: string, cost: Config['argon2'], secret: Buffer): Promise<string> | string;
  verify(phc: string, password: string, secret: Buffer): Promise<boolean> | boolean;
}

/** `Algorithm.Argon2id` of @node-rs/argon2, whose const enum does not exist at run time. */
const ARGON2ID = 2;
/** Cheap enough to be done at every start; what is compared does not depend on the cost. */
const CROSS_CHECK_COST = { memoryKiB: 64, passes: 2, lanes: 1 };

const reference: Engine = {
  hash: (password, cost, secret) =>
    argon2.hash(password, {
      type: argon2.argon2id,
      memoryCost: cost.memoryKiB,
      timeCost: cost.passes,
      parallelism: cost.lanes,
      secret,
    }),
  verify: (phc, password, secret) => argon2.verify(phc, password, { secret }),
};

/** The optional engine, two to four times cheaper. It works in this thread itself. */
async function accelerated(): Promise<Engine> {
  const rs = await import('@node-rs/argon2');
  return {
    hash: (password, cost, secret) =>
      rs.hashSync(password, {
        algorithm: ARGON2ID,
        memoryCost: cost.memoryKiB,
        timeCost: cost.passes,
        parallelism: cost.lanes,
        secret,
      }),
    verify: (phc, password, secret) => rs.verifySync(phc, password, { secret }),
  };
}

/** Whether both engines agree, in both directions. */
async function agree(one: Engine, other: Engine, secret: Buffer): Promise<boolean> {
  const probe = 'cross-check 交叉核对';
  const [ours, theirs] = [
    await one.hash(probe, CROSS_CHECK_COST, secret),
    await other.hash(probe, CROSS_CHECK_COST, secret),
  ];
  return (
    (await other.verify(ours, probe, secret)) &&
    (await one.verify(theirs, probe, secret)) &&
    !(await one.verify(theirs, `${probe}.`, secret))
  );
}

async function chooseEngine(secret: Buffer): Promise<{ engine: Engine; ready: ThreadMessage }> {
  try {
    const engine = await accelerated();
    if (await agree(engine, reference, secret))
      return { engine, ready: { kind: 'ready', engine: '@node-rs/argon2' } };
    const warning = '@node-rs/argon2 disagrees with argon2 and is not used';
    return { engine: reference, ready: { kind: 'ready', engine: 'argon2', warning } };
  } catch {
    const warning = '@node-rs/argon2 is not available; argon2 does the work';
    return { engine: reference, ready: { kind: 'ready', engine: 'argon2', warning } };
  }
}

if (parentPort) {
  const port = parentPort;
  const { cost, peppers } = workerData as ThreadData;
  const secrets = new Map([...peppers].map(([id, bytes]) => [id, Buffer.from(bytes)]));
  const say = (message: ThreadMessage) => port.postMessage(message);
  giveWay();
  const [any = Buffer.alloc(32)] = secrets.values();
  const { engine, ready } = await chooseEngine(any);
  async function outcomeOf(job: ThreadJob): Promise<ThreadOutcome> {
    try {
      const started = performance.now();
      const secret = secrets.get(job.pepper);
      if (!secret) throw new TypeError('no such pepper');
      const value =
        job.act === 'hash'
          ? await engine.hash(job.password, cost, secret)
          : await engine.verify(job.phc, job.password, secret);
      return { value, ms: performance.now() - started };
    } catch (error) {
      return { reason: error instanceof Error ? error.message : 'unknown' };
    }
  }
  port.on('message', (jobs: readonly ThreadJob[]) => {
    void (async () => {
      const outcomes: ThreadOutcome[] = [];
      for (const job of jobs) outcomes.push(await outcomeOf(job));
      say({ kind: 'done', outcomes });
    })();
  });
  say(ready);
}
