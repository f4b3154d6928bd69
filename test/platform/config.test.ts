import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, readEnv, toConfig, type RawEnv } from '../../src/platform/config.ts';

const secret = () => randomBytes(32).toString('base64');
const server = (): RawEnv => ({
  ISSUER: 'https://id.example.cn',
  DATABASE_URL: 'postgres://db.example/yinxin',
  REDIS_URL: 'rediss://cache.example',
  KEY_ENCRYPTION_KEY: secret(),
  DATA_KEY: secret(),
  PASSWORD_PEPPER: secret(),
  COOKIE_KEYS: `${secret()},${secret()}`,
});

function problemsOf(raw: RawEnv): Record<string, string> {
  try {
    toConfig(readEnv(raw));
  } catch (error) {
    if (error instanceof ConfigError)
      return Object.fromEntries(error.problems.map((p) => [p.variable, p.problem]));
    throw error;
  }
  return {};
}

describe('configuration', () => {
  test('server mode is chosen by both addresses and is frozen to its depth', () => {
    const { config, secrets } = toConfig(readEnv(server()));
    expect(config).toMatchObject({
      mode: 'server',
      issuer: 'https://id.example.cn',
      port: 3000,
      outboundNetworks: [],
    });
    expect(
      Object.isFrozen(config) && Object.isFrozen(config.argon2) && Object.isFrozen(config.database),
    ).toBe(true);
    expect(secrets.cookieKeys).toHaveLength(2);
  });

  test('neither address means embedded mode, whose secrets are made once and readable by their owner alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'yinxin-keys-'));
    const raw = { KEYS_DIRECTORY: join(folder, 'keys') };
    const first = toConfig(readEnv(raw));
    expect(first.config).toMatchObject({
      mode: 'embedded',
      issuer: 'http://localhost:3000',
      host: '127.0.0.1',
      outboundNetworks: ['127.0.0.0/8', '::1/128'],
    });
    const path = join(folder, 'keys', 'development-secrets.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const kept = readFileSync(path, 'utf8');
    expect(toConfig(readEnv(raw)).secrets.cookieKeys).toEqual(first.secrets.cookieKeys);
    expect(readFileSync(path, 'utf8')).toBe(kept);
  });

  test('every bad variable is named in one answer, and no value is shown', () => {
    const raw = {
      ...server(),
      ISSUER: 'http://id.example.cn',
      PORT: '70000',
      LOG_LEVEL: 'loud',
      KEY_ENCRYPTION_KEY: 'changeme',
      DATA_KEY: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64'),
      PASSWORD_PEPPER: undefined,
      COOKIE_KEYS: Buffer.alloc(32).toString('base64'),
      OUTBOUND_NETWORKS: '10.0.0.0/33',
      REDIS_URL: undefined,
    };
    const problems = problemsOf(raw);
    expect(Object.keys(problems).sort()).toEqual([
      'COOKIE_KEYS',
      'DATA_KEY',
      'ISSUER',
      'KEY_ENCRYPTION_KEY',
      'LOG_LEVEL',
      'OUTBOUND_NETWORKS',
      'PASSWORD_PEPPER',
      'PORT',
      'REDIS_URL',
    ]);
    expect(problems['DATA_KEY']).toContain('placeholder');
    expect(JSON.stringify(problems)).not.toContain('changeme');
  });

  test('a secret that serves two purposes is refused', () => {
    const raw = { ...server() };
    expect(problemsOf({ ...raw, DATA_KEY: raw['KEY_ENCRYPTION_KEY'] })).toEqual({
      DATA_KEY: 'repeats the value of KEY_ENCRYPTION_KEY',
    });
  });

  test('server mode without a single secret names each of them', () => {
    const problems = problemsOf({ DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://cache' });
    expect(Object.keys(problems).sort()).toEqual([
      'COOKIE_KEYS',
      'DATA_KEY',
      'ISSUER',
      'KEY_ENCRYPTION_KEY',
      'PASSWORD_PEPPER',
    ]);
  });

  test('a secret may be a file', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'yinxin-secret-')), 'data-key');
    writeFileSync(path, `${secret()}\n`);
    expect(problemsOf({ ...server(), DATA_KEY: undefined, DATA_KEY_FILE: path })).toEqual({});
    expect(problemsOf({ ...server(), DATA_KEY_FILE: '/nowhere/data-key' })).toEqual({
      DATA_KEY_FILE: 'names a file that cannot be read',
    });
  });

  test.each([
    'https://id.example.cn/',
    'https://id.example.cn/path',
    'ftp://id.example.cn',
    'nonsense',
    'https://user@id.example.cn',
  ])('the issuer %s is refused', (issuer) => {
    expect(problemsOf({ ...server(), ISSUER: issuer })).toHaveProperty('ISSUER');
  });
});
