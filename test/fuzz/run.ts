/** `npm run fuzz [inputs] [seed]`: the long form of the fuzzing, a million mutated inputs of each kind unless told otherwise. */
import { fuzzPki } from './der.ts';
import { fuzzPdf } from './pdf.ts';

const inputs = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Math.trunc(Math.random() * 0x7fff_ffff));
const CHUNK = 10_000;

for (const [kind, fuzz] of Object.entries({ 'certificates and CMS': fuzzPki, PDF: fuzzPdf })) {
  const started = performance.now();
  // In chunks, each with a seed of its own, so that a finding can be repeated alone.
  for (let done = 0; done < inputs; done += CHUNK) {
    try {
      fuzz(Math.min(CHUNK, inputs - done), seed + done);
    } catch (error) {
      process.stderr.write(`${kind}: seed ${seed + done}\n`);
      throw error;
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const memory = Math.round(process.memoryUsage().rss / 1_048_576);
  process.stdout.write(
    `${kind}: ${inputs} mutated inputs from seed ${seed}, no crash and no hang; ${seconds.toFixed(0)} s, ${memory} MiB\n`,
  );
}
