/**
 * `npm run fuzz [inputs] [seed] [workers] [kinds]`: the long form of the fuzzing, a million mutated inputs of each kind unless told otherwise
 * (`npm run fuzz 10000000`), a request to the running program for every fifty of them, and an SM2 signature for every hundred. All but the
 * requests are shared out among threads, one for each core by default. `kinds`, comma-separated: `pki`, `pdf`, `sm2`, `http`; all if left out.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { fuzzPki } from './der.ts';
import { fuzzHttp } from './http.ts';
import { fuzzPdf } from './pdf.ts';
import { randomSignatures } from './sm2.ts';

interface Share {
  readonly kind: string;
  readonly count: number;
  readonly seed: number;
  /** Which of the chunks are this thread's: every `of`-th, from `first` on. */
  readonly first: number;
  readonly of: number;
}

interface Kind {
  readonly fuzz: (iterations: number, seed: number) => unknown;
  readonly chunk: number;
  readonly inThreads: boolean;
  /** One for so many of the inputs asked for. */
  readonly share: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  pki: { fuzz: fuzzPki, chunk: 10_000, inThreads: true, share: 1 },
  pdf: { fuzz: fuzzPdf, chunk: 10_000, inThreads: true, share: 1 },
  sm2: { fuzz: randomSignatures, chunk: 1000, inThreads: true, share: 100 },
  http: { fuzz: fuzzHttp, chunk: 2000, inThreads: false, share: 50 },
};

/** In chunks, each with a seed of its own, so that a finding can be repeated alone. */
async function work({ kind, count, seed, first, of }: Share): Promise<void> {
  const { fuzz, chunk } = kindOf(kind);
  for (let done = first * chunk; done < count; done += of * chunk) {
    try {
      await fuzz(Math.min(chunk, count - done), seed + done);
    } catch (error) {
      process.stderr.write(`${kind}: seed ${seed + done}\n`);
      throw error;
    }
  }
}

function kindOf(kind: string) {
  const found = KINDS[kind];
  if (!found) throw new TypeError(`There is no kind ${kind}: ${Object.keys(KINDS).join(', ')}`);
  return found;
}

async function workInThread(share: Share): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: share });
  // A finding arrives as the thread's error, and `once` throws it.
  await once(worker, 'exit');
}

async function main(): Promise<void> {
  const inputs = Number(process.argv[2] ?? 1_000_000);
  const seed = Number(process.argv[3] ?? Math.trunc(Math.random() * 0x7fff_ffff));
  const threads = Number(process.argv[4] ?? availableParallelism());
  for (const kind of process.argv[5]?.split(',') ?? Object.keys(KINDS)) {
    const { inThreads, share } = kindOf(kind);
    const count = Math.ceil(inputs / share);
    const of = inThreads ? threads : 1;
    const started = performance.now();
    await Promise.all(
      Array.from({ length: of }, (_, first) =>
        (inThreads ? workInThread : work)({ kind, count, seed, first, of }),
      ),
    );
    const seconds = (performance.now() - started) / 1000;
    const memory = Math.round(process.memoryUsage().rss / 1_048_576);
    process.stdout.write(
      `${kind}: ${count} inputs from seed ${seed}, no crash and no hang; ${seconds.toFixed(0)} s, ` +
        `${Math.round(count / seconds)} a second in ${of} threads, ${memory} MiB\n`,
    );
  }
}

if (isMainThread) await main();
else {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- as `workInThread` gave it
  await work(workerData as Share);
}
