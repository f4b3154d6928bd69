/** The servers of the benchmark: the product in server mode, and the two baselines. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import limits from '../config/limits.json' with { type: 'json' };
import { createApp } from '../src/app.ts';
import { SCOPES } from '../src/oidc/index.ts';
import { toConfig } from '../src/platform/config.ts';
import { connectPg } from '../src/platform/db/pg.ts';
import { createLogger } from '../src/platform/logger.ts';
import type { PortalRegistration } from '../src/portals/index.ts';
import { freePort } from '../test/setup/services.ts';
import type { Target } from './driver/flows.ts';
import { startServer, type ServerProcess } from './driver/processes.ts';

export interface Places {
  /** For logs, and whatever else is thrown away afterwards. */
  readonly folder: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export interface Running {
  readonly target: Target;
  readonly process: ServerProcess;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly core?: string;
  /** Another way to the stores than the direct one. */
  readonly stores?: { readonly databaseUrl: string; readonly redisUrl: string };
  readonly nodeOptions?: readonly string[];
  /** Of the environment, for this process alone. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** Starts servers of one kind, as many as wanted. */
export type Starter = (options?: StartOptions) => Promise<Running>;

/** Nothing listens there: the driver reads the redirect and does not follow it. */
const RESOURCE = 'urn:bench:api';
const REDIRECT_URI = 'http://127.0.0.1:9/callback';
const CLIENT_ID = 'bench';
export const PEOPLE = 16;

/** The limits that are declared, with as many windows, which the load does not meet though it comes from one address. */
const LENIENT = Object.fromEntries(
  Object.entries(limits).map(([act, budgets]) => [
    act,
    Object.fromEntries(
      Object.entries(budgets).map(([scope, windows]) => [
        scope,
        windows.map(({ seconds }, i) => ({ tries: 999_000 + i, seconds })),
      ]),
    ),
  ]),
);

/** The four secrets of an installation, and limits for a benchmark. */
export function newSecrets(): Record<string, string> {
  const secret = () => randomBytes(32).toString('base64');
  return {
    KEY_ENCRYPTION_KEY: secret(),
    DATA_KEY: secret(),
    PASSWORD_PEPPER: secret(),
    COOKIE_KEYS: secret(),
    LIMITS: JSON.stringify(LENIENT),
  };
}

/** @param variables Of the product's environment, over what is set here: to try what a setting brings. */
export async function installProduct(
  { folder, databaseUrl, redisUrl }: Places,
  variables: Readonly<Record<string, string>>,
): Promise<Starter> {
  const issuer = `http://127.0.0.1:${await freePort()}`;
  const env = {
    ...newSecrets(),
    // Hashing a password is no part of what is measured here, and would only make the preparation long.
    ARGON2_MEMORY_KIB: '7168',
    ARGON2_PASSES: '1',
    DATABASE_URL: await createDatabase(databaseUrl),
    REDIS_URL: redisUrl,
    REDIS_KEY_PREFIX: `bench-${randomBytes(6).toString('hex')}`,
    ISSUER: issuer,
    HOST: '127.0.0.1',
    DRAIN_SECONDS: '1',
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
    ...variables,
  };
  const people = Array.from({ length: PEOPLE }, (_, i) => ({
    identifier: `bench-${i}`,
    password: `a quiet word ${i} by the river`,
  }));
  const app = await createApp(toConfig(env), { logger: createLogger('silent') });
  await app.resources.register(
    {
      identifier: RESOURCE,
      name: { 'zh-CN': '性能测试接口' },
      scopes: { 'bench:read': { 'zh-CN': '读取' } },
      tokenFormat: 'jwt',
      tokenSeconds: 600,
    },
    'system',
  );
  await app.portals.register(portal(), 'system');
  const secret = await app.portals.issueSecret(CLIENT_ID);
  for (const person of people) await app.identity.register(person);
  await app.stop();

  return async ({ core, stores, nodeOptions = [], variables: own = {} } = {}) => {
    const port = await freePort();
    const process = await startServer({
      args: [...startOptions(), ...nodeOptions, path('../src/main.ts'), 'serve'],
      env: {
        ...env,
        ...own,
        PORT: String(port),
        ...(stores ? { DATABASE_URL: onSameDatabase(stores.databaseUrl), REDIS_URL: stores.redisUrl } : {}),
      },
      origin: `http://127.0.0.1:${port}`,
      ready: '/readyz',
      log: join(folder, `product-${port}.log`),
      ...(core === undefined ? {} : { core }),
    });
    return running('product', process, {
      secret,
      resource: RESOURCE,
      person: (i) => ({ ...people[i % people.length], decision: 'allow' }),
    });
  };

  function onSameDatabase(url: string): string {
    const own = new URL(url);
    own.pathname = new URL(env.DATABASE_URL).pathname;
    return own.href;
  }
}

/** The options that `npm start` gives to Node. */
function startOptions(): string[] {
  const { scripts } = JSON.parse(readFileSync(path('../package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}

/** The portal of the benchmark. */
function portal(): PortalRegistration {
  return {
    clientId: CLIENT_ID,
    name: { 'zh-CN': '性能测试门户', en: 'Benchmark portal' },
    sector: CLIENT_ID,
    homeUri: 'http://127.0.0.1:9/',
    redirectUris: [REDIRECT_URI],
    postLogoutRedirectUris: [],
    backchannelLogoutUri: undefined,
    scopes: Object.keys(SCOPES),
    resources: { [RESOURCE]: ['bench:read'] },
    metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
  };
}

export async function createDatabase(serverUrl: string): Promise<string> {
  const name = `yinxin_bench_${randomBytes(6).toString('hex')}`;
  const admin = connectPg(serverUrl, { poolSize: 2, logger: createLogger('silent') });
  await admin.script(`CREATE DATABASE ${name}`);
  await admin.close();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** @param name A file of `baselines/`. */
export async function baseline(name: 'vanilla' | 'bound', { folder, redisUrl }: Places): Promise<Starter> {
  const issuer = `http://127.0.0.1:${await freePort()}`;
  const secret = randomBytes(32).toString('base64url');
  return async ({ core, stores, nodeOptions = [] } = {}) => {
    const port = await freePort();
    const process = await startServer({
      args: [...nodeOptions, path(`baselines/${name}.ts`)],
      env: {
        ISSUER: issuer,
        PORT: String(port),
        REDIS_URL: stores?.redisUrl ?? redisUrl,
        CLIENT_ID,
        CLIENT_SECRET: secret,
        REDIRECT_URI,
      },
      origin: `http://127.0.0.1:${port}`,
      ready: '/.well-known/openid-configuration',
      log: join(folder, `${name}-${port}.log`),
      ...(core === undefined ? {} : { core }),
    });
    return running(name, process, {
      secret,
      resource: RESOURCE,
      person: (i) => ({ login: `user-${i}`, password: 'any' }),
    });
  };
}

function running(
  label: string,
  process: ServerProcess,
  own: { secret: string; resource: string; person: Target['person'] },
): Running {
  const { secret, ...rest } = own;
  const target: Target = {
    label,
    origins: [process.origin],
    pids: [process.pid],
    client: { id: CLIENT_ID, secret, redirectUri: REDIRECT_URI },
    ...rest,
  };
  return { target, process, stop: () => process.stop() };
}

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
