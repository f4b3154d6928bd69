/** Real server processes, as `npm start` runs them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { RawEnv } from '../../src/platform/config.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface ServerProcess {
  readonly output: () => string;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts `yinxin <command>` and waits until it says that it is ready. @throws it ended before; the message is its output. */
export async function startProcess(
  command: readonly string[],
  env: RawEnv,
  ready: RegExp = /"msg":"ready"/,
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [MAIN, ...command], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const isReady = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (ready.test(output)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void ended.then(() => reject(new Error(`it ended: ${output}`)));
  });
  await isReady;
  return {
    output: () => output,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return (await ended)[0];
    },
  };
}

/** Runs `yinxin <command>` to its end. */
export async function runProcess(
  command: readonly string[],
  env: RawEnv,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [MAIN, ...command], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, output };
}
