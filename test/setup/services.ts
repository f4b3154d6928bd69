/**
 * Brings what the tests run against: PostgreSQL, Redis, Chromium and the outside validators. `DATABASE_URL` and `REDIS_URL` are used when
 * set; else binaries of this machine, started on free ports with throw-away data; as root on Debian what is missing is installed. Where
 * none of this is possible the run fails with the line to type: nothing is skipped.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
  }
}

/** Command on the PATH -> Debian package that has it. */
const TOOLS: Readonly<Record<string, string>> = {
  chromium: 'chromium',
  pdfsig: 'poppler-utils',
  qpdf: 'qpdf',
  mutool: 'mupdf-tools',
  certutil: 'libnss3-tools',
  openssl: 'openssl',
  javac: 'default-jdk-headless',
  'softhsm2-util': 'softhsm2',
};
/** Judges what OpenSSL cannot: SM2 under the signer ID of the standard in lists, answers and time-stamps. */
const BOUNCY_CASTLE = { path: '/usr/share/java/bcpkix.jar', package: 'libbcpkix-java' };
const CJK_FONT = {
  path: '/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc',
  package: 'fonts-noto-cjk',
};

/** What `node-gyp` needs. */
const COMPILER: Readonly<Record<string, string>> = { python3: 'python3', make: 'make', 'g++': 'g++' };
const PKCS11_BINDING = 'node_modules/pkcs11js/build/Release/pkcs11.node';

export interface Services {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  stop(): Promise<void>;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = await startServices();
  project.provide('databaseUrl', services.databaseUrl);
  project.provide('redisUrl', services.redisUrl);
  return services.stop;
}

/** The same services for the long runs, which are scripts of their own. */
export async function startServices(): Promise<Services> {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-test-'));
  // PostgreSQL runs as another user when this one is root, and must be able to enter.
  chmodSync(folder, 0o755);
  const started: ChildProcess[] = [];
  const stop = async () => {
    for (const child of started) child.kill('SIGINT');
    await Promise.all(
      started.map(
        (child) =>
          new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve(0))),
      ),
    );
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    bringTools();
    buildPkcs11();
    return {
      databaseUrl: process.env['DATABASE_URL'] ?? (await startPostgres(folder, started)),
      redisUrl: process.env['REDIS_URL'] ?? (await startRedis(started)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function bringTools(): void {
  const missing = Object.entries(TOOLS)
    .filter(([command]) => !onPath(command))
    .map(([, name]) => name);
  for (const file of [CJK_FONT, BOUNCY_CASTLE]) if (!existsSync(file.path)) missing.push(file.package);
  if (process.env['DATABASE_URL'] === undefined && postgresBinaries() === undefined)
    missing.push('postgresql');
  if (process.env['REDIS_URL'] === undefined && !onPath('redis-server')) missing.push('redis-server');
  if (!existsSync(PKCS11_BINDING))
    for (const [command, name] of Object.entries(COMPILER)) if (!onPath(command)) missing.push(name);
  if (missing.length > 0) install([...new Set(missing)]);
}

/** `pkcs11js` comes as source, and is built where it is wanted: with the headers that came with Node, and nothing from elsewhere. */
function buildPkcs11(): void {
  if (existsSync(PKCS11_BINDING)) return;
  try {
    execFileSync('npm', ['run', '--silent', 'pkcs11'], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    throw new Error('pkcs11js could not be built. Type: npm run pkcs11', { cause });
  }
}

function install(packages: readonly string[]): void {
  const line = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !onPath('apt-get'))
    throw new Error(`The tests need more of this machine. As root, type: ${line}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // A package's own server must not start on its default port while the tests run.
  const options = ['-o', 'Dpkg::Use-Pty=0', '-y', '-qq', '--no-install-recommends'];
  try {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
    execFileSync('apt-get', ['install', ...options, ...packages], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...env, RUNLEVEL: '1' },
    });
  } catch (cause) {
    throw new Error(`The packages could not be installed. As root, type: ${line}`, { cause });
  }
}

/** The folder of the newest PostgreSQL's programs, if it is 15 or newer. */
function postgresBinaries(): string | undefined {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base)
    ? readdirSync(base)
        .map(Number)
        .filter((version) => version >= 15)
    : [];
  return versions
    .sort((a, b) => b - a)
    .map((version) => `${base}/${version}/bin`)
    .find((bin) => existsSync(`${bin}/initdb`));
}

async function startPostgres(folder: string, started: ChildProcess[]): Promise<string> {
  const bin = postgresBinaries();
  if (bin === undefined) throw new Error('PostgreSQL 15 or newer was not found after installing it');
  const data = join(folder, 'postgres');
  mkdirSync(data, { mode: 0o700 });
  // PostgreSQL refuses to run as root.
  const owner = process.getuid?.() === 0 ? userIds('postgres') : undefined;
  if (owner) chownSync(data, owner.uid, owner.gid);
  const run = { ...owner, cwd: folder, stdio: 'ignore' as const };
  execFileSync(
    `${bin}/initdb`,
    ['-D', data, '-U', 'yinxin', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    run,
  );
  const port = await freePort();
  const settings = [
    'fsync=off',
    'full_page_writes=off',
    'max_connections=200',
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${data}`,
  ];
  started.push(
    spawn(
      `${bin}/postgres`,
      ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
      run,
    ),
  );
  await untilReady(() => {
    execFileSync(`${bin}/pg_isready`, ['-h', '127.0.0.1', '-p', String(port), '-q']);
  });
  return `postgres://yinxin@127.0.0.1:${port}/postgres`;
}

async function startRedis(started: ChildProcess[]): Promise<string> {
  const port = await freePort();
  started.push(
    spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      { stdio: 'ignore' },
    ),
  );
  await untilReady(() => connects(port));
  return `redis://127.0.0.1:${port}`;
}

async function untilReady(check: () => unknown): Promise<void> {
  const until = Date.now() + 30_000;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
      await setTimeout(100);
    }
  }
}

function connects(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.end();
      resolve();
    });
    socket.once('error', reject);
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function onPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, command)));
}

function userIds(name: string): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
