/** The whole program on free ports: real HTTP, real stores, a clock of the test's own where one is given. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { createApp, type App, type Tools } from '../../src/app.ts';
import { ACTS, type Act } from '../../src/identity/protection/limits.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { toConfig, type RawEnv } from '../../src/platform/config.ts';
import { loadLanguages } from '../../src/platform/i18n.ts';
import type { Logger } from '../../src/platform/logger.ts';
import { freePort } from '../setup/services.ts';
import { createDatabase } from './databases.ts';
import { silentLogger } from './logger.ts';

export interface TestApp {
  readonly app: App;
  readonly origin: string;
  readonly env: RawEnv;
  stop(): Promise<void>;
}

const secret = () => randomBytes(32).toString('base64');

/**
 * Limits that no test meets by accident: every one of them comes from the same address.
 * @param shipped Acts that keep theirs. @param scopes Whose budgets are counted.
 */
export function lenientLimits(shipped: readonly Act[] = [], scopes: readonly string[] = ['address']): object {
  const budgets = Object.fromEntries(scopes.map((scope) => [scope, [{ tries: 1_000_000, seconds: 60 }]]));
  const acts = ACTS.filter((act) => !shipped.includes(act));
  return Object.fromEntries(acts.map((act) => [act, budgets]));
}

/** Variables of an installation with fresh secrets, the cheapest password hash, and limits that nobody meets. */
export function newSecrets(): RawEnv {
  return {
    KEY_ENCRYPTION_KEY: secret(),
    DATA_KEY: secret(),
    PASSWORD_PEPPER: secret(),
    COOKIE_KEYS: secret(),
    ARGON2_MEMORY_KIB: '7168',
    ARGON2_PASSES: '1',
    LIMITS: JSON.stringify(lenientLimits()),
  };
}

export interface TestAppOptions {
  /** Default `embedded`: PGlite in memory of a fresh folder, sessions in this process. */
  readonly mode?: 'embedded' | 'server';
  readonly env?: RawEnv;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly through?: Tools['through'];
  /** Folder of catalogues, if they are not the shipped ones. */
  readonly languages?: string;
}

export async function startApp(options: TestAppOptions = {}): Promise<TestApp> {
  const port = options.env?.['PORT'] ?? String(await freePort());
  const database =
    options.mode === 'server' && options.env?.['DATABASE_URL'] === undefined
      ? await createDatabase()
      : undefined;
  const env: RawEnv = {
    ...newSecrets(),
    PORT: port,
    HOST: '127.0.0.1',
    ISSUER: `http://localhost:${port}`,
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
    DRAIN_SECONDS: '1',
    // Nobody can be proofed, unless a test says by whom.
    IDENTITY_SOURCES: '{}',
    // `HOT_PATH=off npx vitest run test/conformance`: the same tests with every request served by the library.
    HOT_PATH: process.env['HOT_PATH'] ?? 'on',
    ...(options.mode === 'server'
      ? {
          DATABASE_URL: database?.url,
          REDIS_URL: inject('redisUrl'),
          REDIS_KEY_PREFIX: `test-${randomBytes(6).toString('hex')}`,
        }
      : { DATA_DIRECTORY: mkdtempSync(join(tmpdir(), 'yinxin-data-')) }),
    ...options.env,
  };
  const app = await createApp(toConfig(env), {
    logger: options.logger ?? silentLogger,
    ...(options.clock ? { clock: options.clock } : {}),
    ...(options.through ? { through: options.through } : {}),
    ...(options.languages === undefined
      ? {}
      : { languages: loadLanguages({ directory: options.languages, timeZone: 'Asia/Shanghai' }) }),
  });
  await app.start();
  return {
    app,
    env,
    origin: `http://localhost:${port}`,
    async stop() {
      await app.stop();
      await database?.drop();
    },
  };
}
