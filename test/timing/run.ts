/**
 * `npm run timing [tries]`: whether the time of an answer tells accounts apart. 500 tries of each case unless told otherwise; the medians
 * of cases that must look alike are within 5 % of each other, or it ends with 1. Run it alone on the machine, or before everything else on it
 * (`chrt -r 10 npm run timing`).
 */
import { randomInt } from 'node:crypto';
import { connectPg } from '../../src/platform/db/pg.ts';
import { startServices } from '../setup/services.ts';
import { silentLogger } from '../support/logger.ts';
import { compare } from './measure.ts';
import { openStage } from './scenes.ts';

const WITHIN = 0.05;
const WARM_UP = 20;

const tries = Number(process.argv[2] ?? 500);
const say = (line: string) => process.stdout.write(`${line}\n`);

function shuffle<T>(list: readonly T[]): T[] {
  const shuffled = [...list];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    const [a, b] = [shuffled[i], shuffled[j]];
    if (a !== undefined && b !== undefined) [shuffled[i], shuffled[j]] = [b, a];
  }
  return shuffled;
}

const options = { shuffle, pauseMs: 10 };

const services = await startServices();
const database = `timing_${process.pid}`;
const admin = connectPg(services.databaseUrl, { poolSize: 1, logger: silentLogger });
await admin.script(`CREATE DATABASE ${database}`);
const databaseUrl = new URL(services.databaseUrl);
databaseUrl.pathname = `/${database}`;
const stage = await openStage({
  databaseUrl: databaseUrl.href,
  redisUrl: services.redisUrl,
  tries: tries + WARM_UP,
});
let apart = 0;
try {
  for (const [scene, cases] of Object.entries(stage.scenes)) {
    await compare(cases, WARM_UP, options);
    const figures = await compare(cases, tries, options);
    say(`${scene}, ${tries} tries each:`);
    for (const { name, median, difference } of figures) {
      const percent = `${difference >= 0 ? '+' : ''}${(difference * 100).toFixed(1)} %`;
      say(`  ${name.padEnd(24)}${median.toFixed(2).padStart(9)} ms${percent.padStart(10)}`);
    }
    const medians = figures.map(({ median }) => median);
    const spread = Math.max(...medians) / Math.min(...medians) - 1;
    if (spread > WITHIN) apart += 1;
    say(`  ${spread > WITHIN ? 'APART' : 'alike'}: the medians are within ${(spread * 100).toFixed(1)} %`);
  }
} finally {
  await stage.stop();
  await admin.script(`DROP DATABASE ${database} WITH (FORCE)`);
  await admin.close();
  await services.stop();
}
process.exitCode = apart > 0 ? 1 : 0;
