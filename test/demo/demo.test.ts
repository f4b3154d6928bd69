/** The demonstration, as a newcomer runs it. */
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { freePort } from '../setup/services.ts';
import { newSecrets } from '../support/app.ts';
import { createDatabase } from '../support/databases.ts';
import { runProcess, startProcess } from '../support/processes.ts';
import { extractCms, opensslCms, pdfsig, qpdfCheck } from '../support/validators.ts';

const folder = mkdtempSync(join(tmpdir(), 'yinxin-demo-'));
const env = { DATA_DIRECTORY: join(folder, 'data'), KEYS_DIRECTORY: join(folder, 'keys') };
let ports: number[];
let flags: string[];

beforeAll(async () => {
  ports = [await freePort(), await freePort(), await freePort()];
  flags = [
    '--port',
    String(ports[0]),
    '--zhejiang-port',
    String(ports[1]),
    '--guangdong-port',
    String(ports[2]),
  ];
});
const reachable = (port: number | undefined) =>
  fetch(`http://localhost:${port}/`).then(
    () => true,
    () => false,
  );

describe('npm run demo', () => {
  test('--once does the whole job on an empty folder, proves each step, and leaves files that others verify', async () => {
    const { code, output } = await runProcess(['demo', '--once', ...flags], env);
    expect(output).toContain('Every step held');
    expect(code).toBe(0);
    expect(output).toMatch(/\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const file = (name: string) => readFileSync(join(env.DATA_DIRECTORY, 'demo', name));
    const [original, sealed, root] = [file('original.pdf'), file('sealed.pdf'), file('root.pem').toString()];
    expect(sealed.subarray(0, original.length).equals(original)).toBe(true);
    expect(pdfsig(sealed, root)).toMatch(/Signature is Valid[\s\S]*Certificate is Trusted/);
    expect(pdfsig(file('tampered.pdf'), root)).toContain('Digest Mismatch');
    expect(qpdfCheck(sealed)).toContain('No syntax or stream encoding errors found');
    const { cms, content } = extractCms(sealed);
    expect(opensslCms(cms, content, root)).toMatch(/successful \(0\)$/);
    expect(JSON.parse(file('receipt.json').toString())).toMatchObject({
      state: 'completed',
      receipt: { entry: { type: 'sealing.completed' } },
    });
  });

  test('stays up with both portals, finds its data again, and ends everything at Ctrl-C', async () => {
    expect(existsSync(join(env.DATA_DIRECTORY, 'pglite'))).toBe(true);
    const demo = await startProcess(['demo', ...flags], env, /Ctrl-C ends everything/);
    expect(demo.output()).toContain('lihua');
    expect(await Promise.all(ports.map(reachable))).toEqual([true, true, true]);
    const home = await (
      await fetch(`http://localhost:${ports[0]}/`, { headers: { Accept: 'text/html' } })
    ).text();
    expect(home).toContain('浙江政务服务网');
    expect(await demo.stop('SIGINT')).toBe(0);
    expect(await Promise.all(ports.map(reachable))).toEqual([false, false, false]);
  });

  test('says which port is taken and how to choose another, and leaves nothing running', async () => {
    const demo = await startProcess(['demo', ...flags], env, /Ctrl-C ends everything/);
    const elsewhere = { DATA_DIRECTORY: join(folder, 'other'), KEYS_DIRECTORY: join(folder, 'other-keys') };
    const second = await runProcess(['demo', ...flags], elsewhere);
    expect(second.code).toBe(1);
    expect(second.output).toContain('--port');
    expect(await demo.stop('SIGINT')).toBe(0);
  });

  test('does the same job on PostgreSQL and Redis', async () => {
    const database = await createDatabase();
    const server = {
      ...env,
      ...newSecrets(),
      DATABASE_URL: database.url,
      REDIS_URL: inject('redisUrl'),
      REDIS_KEY_PREFIX: 'demo-test',
    };
    const { code, output } = await runProcess(['demo', '--once', ...flags], {
      ...server,
      DATA_DIRECTORY: join(folder, 'server'),
    });
    expect(output).toContain('Every step held');
    expect(code).toBe(0);
    await database.drop();
  });
});
