/** What a stranger could tell accounts apart by, asked of a server process as `npm start` runs it. */
import { randomBytes, randomInt } from 'node:crypto';
import { createApp } from '../../src/app.ts';
import { UserAgent, type Form } from '../../src/demo/user-agent.ts';
import { toConfig, type RawEnv } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { lenientLimits, newSecrets } from '../support/app.ts';
import { silentLogger } from '../support/logger.ts';
import { startProcess } from '../support/processes.ts';
import { newPerson, registerRelyingParty } from '../support/relying-party.ts';
import type { Ask } from './measure.ts';

export interface Stage {
  /** By what is asked, the cases that must look alike. */
  readonly scenes: Readonly<Record<string, Readonly<Record<string, Ask>>>>;
  /** Status of the newest answer of each case: alike, too, or something else was measured. */
  readonly statuses: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export async function openStage(stores: { databaseUrl: string; redisUrl: string }): Promise<Stage> {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  // The hash costs what it costs in production, and every budget is counted, though none is used up.
  const { ARGON2_MEMORY_KIB: _memory, ARGON2_PASSES: _passes, ...secrets } = newSecrets();
  const env: RawEnv = {
    ...secrets,
    LIMITS: JSON.stringify(lenientLimits([], ['address', 'pair', 'account'])),
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    REDIS_KEY_PREFIX: `timing-${randomBytes(6).toString('hex')}`,
    ISSUER: origin,
    PORT: String(port),
    HOST: '127.0.0.1',
    LOG_LEVEL: 'warn',
  };
  const server = await startProcess(['serve'], { ...env, LOG_LEVEL: 'info' });
  const app = await createApp(toConfig(env), { logger: silentLogger });
  const rp = await registerRelyingParty({ app, origin }, { clientId: 'timing' });
  const statuses = new Map<string, number>();

  async function newAccount(): Promise<string> {
    const person = newPerson();
    await app.identity.register(person);
    return person.identifier;
  }
  const known = await newAccount();
  const locked = await newAccount();
  await app.lockAccount((await app.identity.find(locked)) ?? '', 'system');

  /** Sends a form as one browser would, from one page again and again, and reads the whole answer. */
  async function sender(path: string): Promise<(fields: Record<string, string>) => Promise<Response>> {
    const browser = new UserAgent();
    const first = await browser.get((await rp.begin()).url);
    const page = path === '/sign-in' ? first : await browser.get(first.url.href + path);
    const form: Form | undefined = page.forms.find(({ action }) => action.pathname.endsWith(path));
    if (!form) throw new Error(`no form to ${path}`);
    const headers = {
      Cookie: await browser.jar.getCookieString(page.url.href),
      Origin: origin,
      Accept: 'text/html',
    };
    return (fields) =>
      fetch(form.action, {
        method: 'POST',
        redirect: 'manual',
        headers,
        body: new URLSearchParams({ ...form.fields, ...fields }),
      });
  }

  /** Cases that send different fields to one address. */
  async function scene(
    path: string,
    cases: Readonly<Record<string, () => Record<string, string>>>,
  ): Promise<Readonly<Record<string, Ask>>> {
    const send = await sender(path);
    return Object.fromEntries(
      Object.entries(cases).map(([name, fields]) => [
        name,
        async () => {
          const body = fields();
          const started = performance.now();
          const response = await send(body);
          await response.arrayBuffer();
          const ms = performance.now() - started;
          statuses.set(`${path} ${name}`, response.status);
          return ms;
        },
      ]),
    );
  }

  const password = 'not the right one, surely';
  const nobody = () => `nobody-${randomInt(1e9)}`;
  return {
    scenes: {
      'signing in': await scene('/sign-in', {
        'account exists': () => ({ identifier: known, password }),
        'account is locked': () => ({ identifier: locked, password }),
        'no such account': () => ({ identifier: nobody(), password }),
        'impossible name': () => ({ identifier: `!${nobody()}`, password }),
      }),
    },
    statuses,
    async stop() {
      await rp.stop();
      await server.stop();
      await app.stop();
    },
  };
}
