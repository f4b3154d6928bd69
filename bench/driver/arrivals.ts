/**
 * A process of its own that asks for tokens at random moments (client credentials) and says how long that took: what else the driver does
 * must not hold up its clock. Argument: the target as JSON. For each line on standard input it goes on for so many seconds, and answers
 * with a line: percentiles 50 and 99 in milliseconds, as JSON.
 */
import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import type { Target } from './flows.ts';
import { Load, percentile } from './measure.ts';

/** Requests a second, whether or not the last ones have ended. */
const RATE = 100;
const LANES = 16;

const target = { ...(JSON.parse(process.argv[2] ?? '') as Omit<Target, 'person'>), person: () => ({}) };
const load = await Load.prepare(target, 'cc_jwt', { people: LANES });
if (!load) throw new Error('the product does not offer cc_jwt');
try {
  setPriority(-10);
} catch {
  // Without the right to it the driver's other work and the stores come before it at times.
}
await load.arrive(RATE, 1, 'random');
console.log('ready');
for await (const seconds of createInterface(process.stdin)) {
  const { times } = await load.arrive(RATE, Number(seconds), 'random');
  console.log(JSON.stringify([percentile(times, 0.5), percentile(times, 0.99)]));
}
load.close();
