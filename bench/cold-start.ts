/** Cold start: from the start of the process to the first `/readyz` that says 200, on data that exists, with the compile cache warm. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/setup/services.ts';
import { newSecrets, type Places } from './servers.ts';
import type { Bounds } from './table.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const RUNS = 7;

export interface ColdStart {
  readonly mode: string;
  /** Milliseconds. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly bounds: Bounds;
}

export async function coldStarts(places: Places): Promise<ColdStart[]> {
  const cache = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: join(places.folder, 'compile-cache') };
  const embedded = {
    ...cache,
    DATA_DIRECTORY: join(places.folder, 'data'),
    KEYS_DIRECTORY: join(places.folder, 'keys'),
  };
  const server = {
    ...cache,
    DATABASE_URL: places.databaseUrl,
    REDIS_URL: places.redisUrl,
    ...newSecrets(),
  };
  return [await measure('embedded', embedded, 5000), await measure('server', server, 1500)];
}

async function measure(
  mode: string,
  env: Record<string, string | undefined>,
  bound: number,
): Promise<ColdStart> {
  const times: number[] = [];
  // The first start makes the data and fills the compile cache; it does not count.
  for (let run = 0; run <= RUNS; run++) {
    const time = await startOnce(env);
    if (run > 0) times.push(time);
  }
  times.sort((a, b) => a - b);
  const at = (i: number) => Math.round(times[i] ?? Number.NaN);
  return {
    mode,
    median: at(RUNS >> 1),
    least: at(0),
    most: at(RUNS - 1),
    bounds: { must: bound, aim: bound, better: 'less', unit: ' ms' },
  };
}

async function startOnce(env: Record<string, string | undefined>): Promise<number> {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const started = performance.now();
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    stdio: 'ignore',
    env: { ...env, PORT: String(port), ISSUER: origin },
  });
  for (;;) {
    const ready = await fetch(`${origin}/readyz`).then(
      (response) => response.status === 200,
      () => false,
    );
    if (ready) break;
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
    await setTimeout(5);
  }
  const time = performance.now() - started;
  child.kill('SIGTERM');
  await once(child, 'exit');
  return time;
}
