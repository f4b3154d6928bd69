/**
 * `npm run bench`: the product against a plain oidc-provider, in turns, in one run. See README.md beside this file.
 * Compare figures of one run alone; between runs only ratios mean something.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startServices } from '../test/setup/services.ts';
import { FLOWS, type FlowName } from './driver/flows.ts';
import { coreSeconds, DRIVER_CORES, moveTo, placement } from './driver/processes.ts';
import { MEASURES, type Bench, type MeasureName } from './measures.ts';
import { profile } from './profile.ts';
import { baseline, installProduct, type Running } from './servers.ts';
import { formatTable, type Row } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(MEASURES).join(',') },
    seconds: { type: 'string', default: '0.7' },
    runs: { type: 'string', default: '7' },
    warm: { type: 'string', default: '2' },
    soak: { type: 'string', default: '20' },
    profile: { type: 'string' },
    env: { type: 'string', multiple: true, default: [] },
  },
});
const names = values.only.split(',').map((name) => nameIn(MEASURES, name));
const profiled = values.profile === undefined ? undefined : nameIn(FLOWS, values.profile);
const variables = Object.fromEntries(
  values.env.map((pair): [string, string] => {
    const [name = '', ...value] = pair.split('=');
    return [name, value.join('=')];
  }),
);

moveTo(DRIVER_CORES);
const folder = mkdtempSync(join(tmpdir(), 'yinxin-bench-'));
const services = await startServices();
const running: Running[] = [];
try {
  const places = { folder, databaseUrl: services.databaseUrl, redisUrl: services.redisUrl };
  const starters = {
    product: await installProduct(places, variables),
    vanilla: await baseline('vanilla', places),
    bound: await baseline('bound', places),
  };
  if (profiled) await profile(profiled, starters, Number(values.seconds) * 10);
  else {
    const product = await starters.product();
    running.push(product);
    const vanilla = await starters.vanilla();
    running.push(vanilla);
    const options = {
      seconds: Number(values.seconds),
      runs: Number(values.runs),
      warm: Number(values.warm),
      soak: Number(values.soak),
    };
    await measureAll(names, { options, places, starters, product, vanilla });
  }
} finally {
  await Promise.all(running.map((server) => server.stop()));
  await services.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function measureAll(names: readonly MeasureName[], bench: Bench): Promise<void> {
  console.log(`${placement}; ${bench.options.runs} rounds of ${bench.options.seconds} s in turns\n`);
  const rows: Row[] = [];
  const before = coreSeconds();
  for (const name of names) {
    process.stderr.write(`${name} ...\n`);
    try {
      rows.push(...(await MEASURES[name](bench)));
    } catch (error) {
      process.exitCode = 1;
      rows.push({
        measure: name,
        product: `failed: ${error instanceof Error ? error.message : String(error)}`,
      });
    }
  }
  console.log(formatTable(rows));
  const after = coreSeconds();
  const others = ((after.others - before.others) / (after.all - before.all)) * 100;
  console.log(
    `\n${others.toFixed(0)} % of the cores' time went to others; above a few, only the ratios by CPU mean something`,
  );
}

function nameIn<T extends object>(known: T, name: string): keyof T & (FlowName | MeasureName) {
  if (!Object.hasOwn(known, name))
    throw new Error(`there is no "${name}"; there are ${Object.keys(known).join(', ')}`);
  return name as keyof T & (FlowName | MeasureName);
}
