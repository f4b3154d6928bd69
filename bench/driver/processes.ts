/** Servers as processes of their own: on which core they run, what CPU time they took, what memory they hold (proc(5)). */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout } from 'node:timers/promises';

const CORES = cpus().length;
const PINS = CORES > 1 && works('taskset', ['-V']);
/** The server under test has the first core for itself; the driver and the stores share the others. */
export const SERVER_CORE = '0';
export const DRIVER_CORES = `1-${CORES - 1}`;

export const placement = PINS
  ? `${CORES} cores; the server under test on core ${SERVER_CORE}, driver and stores on ${DRIVER_CORES}`
  : `${CORES} cores, nothing pinned`;

/** What to put before a command that shall run on `core`. */
export function pinnedTo(core: string): string[] {
  return PINS ? ['taskset', '-c', core] : [];
}

/** Moves this process, and whatever it starts from now on, to `cores`. */
export function moveTo(cores: string): void {
  if (PINS) execFileSync('taskset', ['-acp', cores, String(process.pid)], { stdio: 'ignore' });
}

export function moveAnywhere(): void {
  moveTo(`0-${CORES - 1}`);
}

export interface ServerProcess {
  readonly pid: number;
  readonly origin: string;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly origin: string;
  /** Path that answers 200 when the server is ready. */
  readonly ready: string;
  /** File that takes what it prints. A file and not a pipe: reading would be work for the driver. */
  readonly log: string;
  readonly core?: string;
}

export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const { args, env, origin, ready, log, core = SERVER_CORE } = options;
  const out = openSync(log, 'a');
  const command = [...pinnedTo(core), process.execPath, ...args];
  const child = spawn(command[0] ?? '', command.slice(1), {
    stdio: ['ignore', out, out],
    env: { PATH: process.env['PATH'], ...env },
  });
  const exited = once(child, 'exit');
  while (!(await answers(origin + ready))) {
    if (child.exitCode !== null)
      throw new Error(`the server ended: ${readFileSync(log, 'utf8').slice(-2000)}`);
    await setTimeout(20);
  }
  return {
    pid: child.pid ?? 0,
    origin,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    async (response) => {
      await response.arrayBuffer();
      return response.status === 200;
    },
    () => false,
  );
}

/** CPU seconds, user and system, that the threads of these processes have used: the first number of `schedstat`, in nanoseconds. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids)
    for (const thread of readdirSync(`/proc/${pid}/task`))
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
  return nanoseconds / 1e9;
}

/** Core seconds since the machine started: all, and those that neither idled nor went to this process and what it started. */
export function coreSeconds(): { all: number; others: number } {
  const [first = ''] = readFileSync('/proc/stat', 'latin1').split('\n');
  // user, nice, system, idle, iowait, irq, softirq, steal: hundredths of seconds (proc(5)).
  const fields = first.split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, field) => sum + field, 0);
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0);
  return { all: all / 100, others: (all - idle - ownTicks()) / 100 };
}

/** Of this process and its descendants, those that have ended included. */
function ownTicks(): number {
  const family = new Set([process.pid]);
  let ticks = 0;
  // By process id, so that parents mostly come first; a child of an older id is found by the second look.
  const found = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)
    .sort((a, b) => a - b)
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return [
          {
            pid,
            fields: stat
              .slice(stat.lastIndexOf(')') + 2)
              .split(' ')
              .map(Number),
          },
        ];
      } catch {
        return [];
      }
    });
  for (let look = 0; look < 2; look++)
    for (const { pid, fields } of found) if (family.has(fields[1] ?? 0)) family.add(pid);
  for (const { pid, fields } of found)
    if (family.has(pid)) ticks += fields.slice(11, 15).reduce((sum, field) => sum + field, 0);
  return ticks;
}

export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

function works(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
