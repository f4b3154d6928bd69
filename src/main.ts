/** The command line. Only this file reads the environment and the arguments. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ZodError, prettifyError } from 'zod';
import { createApp } from './app.ts';
import { checkChain } from './audit/index.ts';
import { runDemo } from './demo/demo.ts';
import { ConfigError, readEnv, toConfig, type RawEnv } from './platform/config.ts';
import { migrate } from './platform/db/migrate.ts';
import { connectPg } from './platform/db/pg.ts';
import { openPglite } from './platform/db/pglite.ts';
import { AppError } from './platform/errors.ts';
import { createLogger } from './platform/logger.ts';
import { provision } from './provision.ts';

const USAGE = `yinxin <command>

  serve               start the server (DATABASE_URL and REDIS_URL: server mode; neither: embedded)
  demo [--once]       everything on an empty machine, with fictional people; --once does the whole job and ends
       [--port 3000] [--zhejiang-port 3001] [--guangdong-port 3002]
  migrate             bring the database to the newest version
  provision <file>    bring portals, organisations, units and seals to what a JSON file describes
  logouts [resend]    logout calls that portals have not accepted; resend puts those given up back
  audit check         walk the audit chain and name the first thing that is wrong
`;

const COMMANDS: Readonly<Record<string, (args: string[], env: RawEnv) => Promise<number>>> = {
  serve,
  demo,
  migrate: migrateOnly,
  provision: provisionFrom,
  logouts,
  audit,
};

async function serve(_args: string[], env: RawEnv): Promise<number> {
  const settings = toConfig(env);
  const { config } = settings;
  const logger = createLogger(config.logLevel);
  const stopped = stopSignal();
  const app = await createApp(settings, { logger });
  try {
    const port = await app.start();
    logger.info({ mode: config.mode, issuer: config.issuer, port }, 'ready');
    if (config.mode === 'embedded')
      logger.warn(
        'embedded mode: one process, sessions in memory, development secrets. Set DATABASE_URL and REDIS_URL for server mode.',
      );
    const signal = await stopped;
    logger.info({ signal }, 'stopping');
  } finally {
    await app.stop();
  }
  return 0;
}

async function demo(args: string[], env: RawEnv): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean', default: false },
      port: { type: 'string', default: '3000' },
      'zhejiang-port': { type: 'string', default: '3001' },
      'guangdong-port': { type: 'string', default: '3002' },
    },
  });
  const ports = {
    provider: Number(values.port),
    zhejiang: Number(values['zhejiang-port']),
    guangdong: Number(values['guangdong-port']),
  };
  return runDemo({ env, ports, once: values.once, stopped: stopSignal() });
}

async function migrateOnly(_args: string[], env: RawEnv): Promise<number> {
  const { config } = toConfig(env);
  const { database } = config;
  const logger = createLogger(config.logLevel);
  const db =
    database.kind === 'pglite'
      ? await openPglite(database.directory)
      : connectPg(database.url, { poolSize: 2, logger });
  try {
    logger.info({ applied: await migrate(db) }, 'the database is current');
  } finally {
    await db.close();
  }
  return 0;
}

async function provisionFrom([file]: string[], env: RawEnv): Promise<number> {
  if (file === undefined) return usage();
  const description: unknown = JSON.parse(readFileSync(file, 'utf8'));
  const app = await createApp(toConfig(env), { logger: createLogger('warn') });
  try {
    const { secrets, missingOfficers } = await provision(app, description);
    for (const [clientId, secret] of secrets) print(`${clientId} client_secret ${secret}`);
    for (const identifier of missingOfficers)
      print(`${identifier} has no account yet; run this again after registration`);
    return missingOfficers.length === 0 ? 0 : 1;
  } finally {
    await app.stop();
  }
}

async function logouts([act]: string[], env: RawEnv): Promise<number> {
  if (act !== undefined && act !== 'resend') return usage();
  const app = await createApp(toConfig(env), { logger: createLogger('warn') });
  try {
    if (act === 'resend') print(`${await app.logouts.resend()} put back`);
    for (const call of await app.logouts.undelivered())
      print(
        `${call.id} ${call.clientId} ${call.state} after ${call.attempts} tries: ${call.lastProblem ?? 'not tried yet'}`,
      );
    return 0;
  } finally {
    await app.stop();
  }
}

async function audit([act]: string[], env: RawEnv): Promise<number> {
  if (act !== 'check') return usage();
  const app = await createApp(toConfig(env), { logger: createLogger('warn') });
  try {
    const { entries, finding } = await checkChain(app.audit);
    print(finding ? `entry ${finding.seq}: ${finding.problem}` : `${entries} entries, chain intact`);
    return finding ? 1 : 0;
  } finally {
    await app.stop();
  }
}

function usage(): number {
  process.stderr.write(USAGE);
  return 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Resolves with the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(130));
      });
  });
}

/** Says what a person can act on; a stack is for what nobody foresaw. */
function explain(error: unknown): string {
  if (error instanceof ZodError) return prettifyError(error);
  if (error instanceof ConfigError || error instanceof AppError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const [command = '', ...args] = process.argv.slice(2);
try {
  process.exitCode = await (COMMANDS[command]?.(args, readEnv(process.env)) ?? usage());
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
}
