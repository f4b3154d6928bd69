/** What a stranger could tell accounts apart by, asked of a server process as `npm start` runs it. */
import { randomBytes, randomInt } from 'node:crypto';
import { createApp } from '../../src/app.ts';
import { startGateway } from '../../src/demo/gateway.ts';
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
  readonly statuses: Map<string, number>;
  stop(): Promise<void>;
}

/** @param stores.tries How often each case can be asked: a number is sent a code once. */
export async function openStage(stores: {
  databaseUrl: string;
  redisUrl: string;
  tries: number;
}): Promise<Stage> {
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const gateway = await startGateway();
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
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
    ...gateway.env,
  };
  const server = await startProcess(['serve'], env);
  const app = await createApp(toConfig(env), { logger: silentLogger });
  const rp = await registerRelyingParty({ app, origin }, { clientId: 'timing' });
  const statuses = new Map<string, number>();

  async function newAccount(identifier = newPerson().identifier): Promise<string> {
    const account = {
      identifier,
      password: 'everybody here has this one',
      verified: true,
      language: 'zh-CN',
    };
    await app.identity.register(account);
    return identifier;
  }
  let numbers = 0;
  const newNumber = () => `199${String((numbers += 1)).padStart(8, '0')}`;
  /** Numbers of accounts, one for each try. */
  async function withAccounts(lock: boolean): Promise<() => string> {
    const list = Array.from({ length: stores.tries }, newNumber);
    await inTurns(list, async (number) => {
      await newAccount(number);
      if (lock) await app.lockAccount((await app.identity.find(number)) ?? '', 'system');
    });
    return () => list.pop() ?? newNumber();
  }
  const known = await newAccount();
  const locked = await newAccount();
  await app.lockAccount((await app.identity.find(locked)) ?? '', 'system');

  /** Sends a form as one browser would, from one page again and again, and reads the whole answer. */
  async function sender(
    path: string,
    before?: { path: string; fields: Record<string, string> },
  ): Promise<(fields: Record<string, string>) => Promise<Response>> {
    const browser = new UserAgent();
    const first = await browser.get((await rp.begin()).url);
    const page =
      path === '/sign-in'
        ? first
        : before
          ? await browser.submit(await browser.get(first.url.href + before.path), before.fields, before.path)
          : await browser.get(first.url.href + path);
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

  function timed(
    label: string,
    send: (fields: Record<string, string>) => Promise<Response>,
    fields: () => Record<string, string>,
  ): Ask {
    return async () => {
      const body = fields();
      const started = performance.now();
      const response = await send(body);
      await response.arrayBuffer();
      const ms = performance.now() - started;
      statuses.set(label, response.status);
      return ms;
    };
  }

  /** Cases that send different fields to one address. */
  async function scene(
    path: string,
    cases: Readonly<Record<string, () => Record<string, string>>>,
  ): Promise<Readonly<Record<string, Ask>>> {
    const send = await sender(path);
    return Object.fromEntries(
      Object.entries(cases).map(([name, fields]) => [name, timed(`${path} ${name}`, send, fields)]),
    );
  }

  /** Asking for a code at numbers that lead to an account, or do not. */
  async function codeScene(path: string): Promise<Readonly<Record<string, Ask>>> {
    const [existing, lockedOnes] = [await withAccounts(false), await withAccounts(true)];
    return scene(path, {
      'no such account': () => ({ identifier: newNumber() }),
      'account exists': () => ({ identifier: existing() }),
      'account is locked': () => ({ identifier: lockedOnes() }),
    });
  }

  /** Asking for another code too soon. */
  async function resendScene(path: string): Promise<Readonly<Record<string, Ask>>> {
    const cases = { 'no such account': newNumber(), 'account exists': await newAccount(newNumber()) };
    const asks: Record<string, Ask> = {};
    for (const [name, identifier] of Object.entries(cases)) {
      const send = await sender(`${path}/code/resend`, { path, fields: { identifier } });
      asks[name] = timed(`${path}/code/resend ${name}`, send, () => ({}));
    }
    return asks;
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
      registering: await codeScene('/register'),
      recovering: await codeScene('/recover'),
      'signing in by a code': await codeScene('/code'),
      'another code for a recovery': await resendScene('/recover'),
    },
    statuses,
    async stop() {
      await rp.stop();
      await server.stop();
      await app.stop();
      await gateway.close();
    },
  };
}

/** Does so much at once as does not fill a queue. */
async function inTurns<T>(list: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const width = 4;
  for (let i = 0; i < list.length; i += width) await Promise.all(list.slice(i, i + width).map(work));
}
