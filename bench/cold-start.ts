/** Cold start: from the start of the process to the first `/readyz` that says 200, on data that exists, with the compile cache warm. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/setup/services.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const RUNS = 7;
const secret = () => randomBytes(32).toString('base64');

export interface ColdStart {
  readonly mode: string;
  readonly 'median ms': number;
  readonly 'least ms': number;
  readonly 'most ms': number;
  readonly 'bound ms': number;
}

export async function coldStarts(places: {
  folder: string;
  databaseUrl: string;
  redisUrl: string;
}): Promise<ColdStart[]> {
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
    KEY_ENCRYPTION_KEY: secret(),
    DATA_KEY: secret(),
    PASSWORD_PEPPER: secret(),
    COOKIE_KEYS: secret(),
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
  return { mode, 'median ms': at(RUNS >> 1), 'least ms': at(0), 'most ms': at(RUNS - 1), 'bound ms': bound };
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
