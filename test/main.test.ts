/** The command line, as processes. */
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { freePort } from './setup/services.ts';
import { newSecrets } from './support/app.ts';
import { createDatabase } from './support/databases.ts';
import { runProcess, startProcess } from './support/processes.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  database = await createDatabase();
  const port = await freePort();
  env = {
    ...newSecrets(),
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    REDIS_KEY_PREFIX: 'main-test',
    ISSUER: `http://localhost:${port}`,
    PORT: String(port),
    HOST: '127.0.0.1',
  };
});
afterAll(() => database.drop());

describe('yinxin serve', () => {
  test('refuses to start and names every bad variable in one answer, showing no value', async () => {
    const { code, output } = await runProcess(['serve'], {
      DATABASE_URL: database.url,
      REDIS_URL: 'redis://localhost',
      KEY_ENCRYPTION_KEY: 'changeme',
      DATA_KEY: 'placeholder',
    });
    expect(code).toBe(1);
    for (const variable of ['ISSUER', 'KEY_ENCRYPTION_KEY', 'DATA_KEY', 'PASSWORD_PEPPER', 'COOKIE_KEYS'])
      expect(output).toContain(`${variable}: `);
    expect(output).not.toContain('changeme');
    expect(output).not.toContain('at file:');
  });

  test('answers readiness, discovery and pages, then stops on SIGTERM with requests in flight answered', async () => {
    const server = await startProcess(['serve'], env);
    expect(await (await fetch(`${env['ISSUER']}/readyz`)).json()).toEqual({ status: 'ready', failed: [] });
    expect(await (await fetch(`${env['ISSUER']}/healthz`)).json()).toEqual({ status: 'ok' });
    const discovery = (await (
      await fetch(`${env['ISSUER']}/.well-known/openid-configuration`)
    ).json()) as Record<string, unknown>;
    expect(discovery).toMatchObject({
      issuer: env['ISSUER'],
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['ES256', 'RS256'],
      backchannel_logout_supported: true,
    });
    const inFlight = Promise.all(
      Array.from({ length: 20 }, () => fetch(`${env['ISSUER']}/`).then((response) => response.text())),
    );
    await inFlight;
    expect(await server.stop()).toBe(0);
    expect(server.output()).toContain('"msg":"stopping"');
    await expect(fetch(`${env['ISSUER']}/healthz`)).rejects.toThrow();
  });

  test('does not start on a database whose keys another key-encryption key wrapped', async () => {
    const { code, output } = await runProcess(['serve'], {
      ...env,
      KEY_ENCRYPTION_KEY: newSecrets()['KEY_ENCRYPTION_KEY'],
    });
    expect(code).toBe(1);
    expect(output).toContain('KEY_ENCRYPTION_KEY is not the one');
  });

  test('says in embedded mode that it is embedded, and finds its data again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'yinxin-embedded-'));
    const port = await freePort();
    const embedded = {
      PORT: String(port),
      DATA_DIRECTORY: join(folder, 'data'),
      KEYS_DIRECTORY: join(folder, 'keys'),
    };
    const kids: (string | undefined)[] = [];
    for (let start = 0; start < 2; start++) {
      const server = await startProcess(['serve'], embedded, /embedded mode/);
      const { keys } = (await (await fetch(`http://localhost:${port}/jwks`)).json()) as {
        keys: { kid: string }[];
      };
      kids.push(keys[0]?.kid);
      const second = await runProcess(['serve'], { ...embedded, PORT: '0' });
      expect(second).toMatchObject({ code: 1, output: expect.stringContaining('Stop it first') as string });
      expect(await server.stop('SIGINT')).toBe(0);
    }
    expect(kids[0]).toBeTruthy();
    expect(kids[0]).toBe(kids[1]);
  });
});

describe('yinxin', () => {
  test('migrate brings an empty database up, and then has nothing to do', async () => {
    const empty = await createDatabase();
    expect((await runProcess(['migrate'], { ...env, DATABASE_URL: empty.url })).output).toContain(
      '"applied":[1,',
    );
    expect((await runProcess(['migrate'], { ...env, DATABASE_URL: empty.url })).output).toContain(
      '"applied":[]',
    );
    await empty.drop();
  });

  test('provision brings about what a file describes, shows each new secret once, and may be repeated', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'yinxin-provision-')), 'installation.json');
    const description = {
      portals: [
        {
          clientId: 'hainan',
          name: { 'zh-CN': '海南政务服务网' },
          sector: 'hainan',
          homeUri: 'https://hainan.example.cn/',
          redirectUris: ['https://hainan.example.cn/cb'],
          scopes: ['openid'],
        },
      ],
      organisations: [
        {
          unifiedSocialCreditCode: '91350100M000100Y43',
          name: '福州示例有限公司',
          members: [{ identifier: 'nobody-yet', role: 'administrator' }],
          units: [
            {
              name: '办公室',
              officers: ['nobody-yet'],
              seals: ['福州示例有限公司'],
              mandates: [{ agent: 'nobody-yet', seals: ['福州示例有限公司'], purpose: '办事', days: 30 }],
              units: [{ name: '前台' }],
            },
          ],
        },
      ],
    };
    writeFileSync(file, JSON.stringify(description));
    const first = await runProcess(['provision', file], env);
    expect(first.output).toMatch(/hainan client_secret [\w-]{43}\n/);
    expect(first.output).toContain('nobody-yet has no account yet');
    expect(first.code).toBe(1);
    const second = await runProcess(['provision', file], env);
    expect(second.output).not.toContain('client_secret');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(description);

    const [organisation] = description.organisations;
    const [unit] = organisation?.units ?? [];
    const foreign = { ...unit, mandates: [{ agent: 'x', seals: ['别处的印章'], purpose: '办事', days: 1 }] };
    writeFileSync(file, JSON.stringify({ organisations: [{ ...organisation, units: [foreign] }] }));
    expect((await runProcess(['provision', file], env)).output).toContain(
      'a seal that its unit does not have',
    );

    writeFileSync(file, JSON.stringify({ portals: [{ clientId: 'x' }], surprise: 1 }));
    const bad = await runProcess(['provision', file], env);
    expect(bad.code).toBe(1);
    expect(bad.output).toContain('surprise');
    expect(bad.output).not.toContain('at file:');
  });

  test('operators look after organisations: see them, suspend them, and dissolve them for good', async () => {
    const code = '91350100M000100Y43';
    expect((await runProcess(['organisations', code], env)).output).toMatch(
      /^org_\w{26} active enterprise 350100$/m,
    );
    const suspended = await runProcess(['organisations', 'suspend', code], env);
    expect(suspended).toMatchObject({ code: 0, output: expect.stringContaining(' suspended ') as string });
    expect((await runProcess(['organisations', 'dissolve', code], env)).code).toBe(0);
    const resumed = await runProcess(['organisations', 'resume', code], env);
    expect(resumed).toMatchObject({
      code: 1,
      output: expect.stringContaining('dissolved, for good') as string,
    });
    const refused = await runProcess(['organisations', 'approve', code, 'act_1'], env);
    expect(refused.code).toBe(1);
    expect((await runProcess(['organisations', 'show', '91350100M000100Y4Z'], env)).output).toContain(
      'There is no such organisation.',
    );
  });

  test('operators look after portals, accounts and token keys', async () => {
    const run = async (...args: string[]) => {
      const { code, output } = await runProcess(args, env);
      expect(code, `${args.join(' ')}: ${output}`).toBe(0);
      return output;
    };
    expect(await run('portals')).toContain('hainan approved baseline https://hainan.example.cn/');
    expect(await run('portals', 'secret', 'hainan', '--others-expire', '60')).toMatch(
      /^hainan client_secret [\w-]{43}\n$/,
    );
    await run('portals', 'suspend', 'hainan');
    expect(await run('portals')).toContain('hainan suspended');
    await run('portals', 'approve', 'hainan');
    expect(await run('portals', 'token', '--seconds', '60')).toMatch(/^[\w-]{43}\n$/);
    const before = await run('keys');
    expect(before.match(/ES256 signing|RS256 signing/g)).toHaveLength(2);
    const rotated = await run('keys', 'rotate');
    expect(rotated.match(/announced/g)).toHaveLength(2);
    expect(rotated).toContain(before.split(' ')[0] ?? 'no key');
    expect(await runProcess(['accounts', 'lock', 'nobody-here'], env)).toMatchObject({
      code: 1,
      output: 'There is no such account.\n',
    });
    expect(await runProcess(['portals', 'suspend', 'nobody'], env)).toMatchObject({
      code: 1,
      output: 'There is no such portal.\n',
    });
  });

  test('data-keys says what lies under which key, and brings all of it under the current one', async () => {
    const { code, output } = await runProcess(['data-keys', 'rotate', '--wait'], env);
    expect(code, output).toBe(0);
    expect(output).toMatch(/100 % of \d+ records\n/);
    expect(output).toMatch(/^account_identifiers \d+ records/m);
    expect(output).toMatch(/\nkey [0-9a-f]{16} encrypts\n$/);
  });

  test('audit check walks the chain', async () => {
    expect(await runProcess(['audit', 'check'], env)).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^\d+ entries, chain intact/) as string,
    });
  });

  test('says how it is used when it is not understood', async () => {
    for (const args of [
      [],
      ['sing'],
      ['audit'],
      ['provision'],
      ['keys', 'lose'],
      ['data-keys', 'lose'],
      ['accounts', 'lock'],
    ])
      expect(await runProcess(args, {})).toMatchObject({
        code: 2,
        output: expect.stringContaining('yinxin <command>') as string,
      });
  });
});

describe('yinxin keys', () => {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-ceremony-'));
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim();

  test('makes a wrapping key with its shares, brings it back from them, and never prints it', async () => {
    const out = join(folder, 'new');
    const made = await runProcess(
      ['keys', 'ceremony', '--out', out, '--shares', '3', '--threshold', '2'],
      {},
    );
    expect(made.code).toBe(0);
    const [, id = ''] = /^wrapping key ([0-9a-f]{16})$/m.exec(made.output) ?? [];
    const key = read('new/wrapping-key');
    expect(Buffer.from(key, 'base64')).toHaveLength(32);
    expect(statSync(join(out, 'wrapping-key')).mode & 0o777).toBe(0o600);
    const shares = [1, 3].map((n) => join(out, `share-${n}-of-3`));
    const back = join(folder, 'back');
    const restored = await runProcess(['keys', 'restore', ...shares, '--out', back], {});
    expect(restored.output).toContain(`wrapping key ${id}`);
    expect(read('back')).toBe(key);
    const few = await runProcess(['keys', 'restore', ...shares.slice(1), '--out', join(folder, 'no')], {});
    expect(few).toMatchObject({ code: 1, output: expect.stringContaining('2 different shares') as string });
    const again = await runProcess(['keys', 'ceremony', '--out', out], {});
    expect(again.code).toBe(1);
    for (const { output } of [made, restored, few, again]) expect(output).not.toContain(key);
  });

  test('replaces the wrapping key of a running installation, which starts with the new one alone afterwards', async () => {
    const before = await runProcess(['keys', 'status'], env);
    expect(before.output).toMatch(/^wrapping key [0-9a-f]{16} wraps, \d+ data keys under it$/m);
    expect(before.output).toMatch(/^1 audit P-256 envelope active$/m);
    const next = newSecrets()['KEY_ENCRYPTION_KEY'];
    const both = { ...env, KEY_ENCRYPTION_KEY: next, KEY_ENCRYPTION_KEY_OTHERS: env['KEY_ENCRYPTION_KEY'] };
    const rewrapped = await runProcess(['keys', 'rewrap'], both);
    expect(rewrapped).toMatchObject({
      code: 0,
      output: expect.stringMatching(/[1-9]\d* wrapped anew, 0 left/) as string,
    });
    const after = await runProcess(['keys', 'status'], { ...env, KEY_ENCRYPTION_KEY: next });
    expect(after).toMatchObject({ code: 0 });
    expect(after.output).toMatch(/wraps, [1-9]\d* data keys under it/);
    const shared = await runProcess(['keys', 'backup', '--out', join(folder, 'present')], both);
    expect(shared.output.trim()).toMatch(/^wrapping key [0-9a-f]{16}$/m);
    env = { ...env, KEY_ENCRYPTION_KEY: next };
  });
});
