/**
 * `npm run fuzz [inputs] [seed]`: the long form of the fuzzing, a million mutated inputs of each kind unless told otherwise, and a request to
 * the running program for every fifty of them.
 */
import { fuzzPki } from './der.ts';
import { fuzzHttp } from './http.ts';
import { fuzzPdf } from './pdf.ts';
import { randomSignatures } from './sm2.ts';

const inputs = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Math.trunc(Math.random() * 0x7fff_ffff));

const KINDS = [
  { kind: 'certificates and CMS', fuzz: fuzzPki, count: inputs, chunk: 10_000 },
  { kind: 'PDF', fuzz: fuzzPdf, count: inputs, chunk: 10_000 },
  { kind: 'SM2 signatures', fuzz: randomSignatures, count: Math.ceil(inputs / 100), chunk: 1000 },
  { kind: 'HTTP', fuzz: fuzzHttp, count: Math.ceil(inputs / 50), chunk: 2000 },
];

for (const { kind, fuzz, count, chunk } of KINDS) {
  const started = performance.now();
  // In chunks, each with a seed of its own, so that a finding can be repeated alone.
  for (let done = 0; done < count; done += chunk) {
    try {
      await fuzz(Math.min(chunk, count - done), seed + done);
    } catch (error) {
      process.stderr.write(`${kind}: seed ${seed + done}\n`);
      throw error;
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const memory = Math.round(process.memoryUsage().rss / 1_048_576);
  process.stdout.write(
    `${kind}: ${count} mutated inputs from seed ${seed}, no crash and no hang; ${seconds.toFixed(0)} s, ${memory} MiB\n`,
  );
}
