/** Certificates, OCSP answers and time-stamps of one core, in a process of their own on the servers' core. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from './driver/measure.ts';
import { pinnedTo, SERVER_CORE } from './driver/processes.ts';
import type { Bench } from './measures.ts';
import type { Bounds, Row } from './table.ts';

const atLeast = (must: number, aim: number): Bounds => ({ must, aim, better: 'more' });

const ROWS: Readonly<Record<string, readonly [measure: string, bounds?: Bounds]>> = {
  certificate: ['certificates built and signed, per core', atLeast(2000, 5000)],
  recorded: ['  with their record and audit entry, one by one'],
  'ocsp-nonce': ['OCSP answers signed for a nonce, per core', atLeast(10_000, 15_000)],
  'ocsp-ready': ['  ready ones'],
  'time-stamp': ['time-stamps, per core', atLeast(5000, 8000)],
  'time-stamp-sm2': ['  with SM2'],
};

export async function certification({ places, options }: Bench): Promise<Row[]> {
  const script = fileURLToPath(new URL('baselines/certification.ts', import.meta.url));
  const numbers = [places.databaseUrl, String(options.seconds), String(options.runs)];
  const [command, ...args] = [...pinnedTo(SERVER_CORE), process.execPath, script, ...numbers];
  const printed = execFileSync(command ?? process.execPath, args, { encoding: 'utf8' });
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- as the script prints it
  const rounds = JSON.parse(printed) as Record<string, number[]>;
  return Object.entries(ROWS).map(([name, [measure, bounds]]) => {
    const value = median(rounds[name] ?? []);
    return { measure, product: `${Math.round(value)}/s of CPU`, ...(bounds ? { value, bounds } : {}) };
  });
}
