/** A logout that was promised is kept, though the process that promised it was killed. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createApp, type App } from '../../src/app.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { toConfig, type RawEnv } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { newSecrets } from '../support/app.ts';
import { createDatabase } from '../support/databases.ts';
import { silentLogger } from '../support/logger.ts';
import { startProcess } from '../support/processes.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let env: RawEnv;
let origin: string;
let app: App;
let rp: RelyingParty;
/** A portal that takes calls and does not answer them, until it does. */
let answers = false;
const calls: string[] = [];
const portal = createServer((request, response) => {
  void text(request).then((body) => {
    calls.push(body);
    if (answers) response.writeHead(200).end();
  });
});

beforeAll(async () => {
  database = await createDatabase();
  const port = await freePort();
  origin = `http://localhost:${port}`;
  env = {
    ...newSecrets(),
    DATABASE_URL: database.url,
    REDIS_URL: inject('redisUrl'),
    REDIS_KEY_PREFIX: `killed-${port}`,
    ISSUER: origin,
    HOST: '127.0.0.1',
    PORT: String(port),
    OUTBOUND_NETWORKS: '127.0.0.0/8,::1/128',
  };
  await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
  // Registers and looks on; it would make the calls too, so it is not kept while the others run.
  app = await createApp(toConfig({ ...env, PORT: '0' }), { logger: silentLogger });
});
afterAll(async () => {
  portal.closeAllConnections();
  portal.close();
  await rp.stop();
  await database.drop();
});

test('kill -9 after the click loses no logout: another process makes the call', async () => {
  const first = await startProcess(['serve'], env);
  rp = await registerRelyingParty(
    { app, origin },
    {
      clientId: 'slow',
      registration: {
        backchannelLogoutUri: `http://127.0.0.1:${(portal.address() as AddressInfo).port}/logout`,
      },
    },
  );
  const person = newPerson();
  await app.identity.register(person);
  const { db } = app;
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  await browser.submit(await browser.get(`${origin}/end-session`), { logout: 'yes' }, '/confirm');
  await first.stop('SIGKILL');
  const waiting = await db.query<{ client_id: string }>('SELECT client_id FROM logout_outbox');
  expect(waiting).toEqual([{ client_id: 'slow' }]);
  await app.stop();

  answers = true;
  calls.length = 0;
  const second = await startProcess(['serve'], env);
  const onlooker = await createApp(toConfig({ ...env, PORT: '0' }), { logger: silentLogger });
  // What was taken by the dead process is given back when its time is over; that time passes here.
  await onlooker.db.query(`UPDATE logout_outbox SET next_attempt_at = now() - interval '1 second'`);
  await expect.poll(() => onlooker.logouts.undelivered(), { timeout: 15_000 }).toEqual([]);
  expect(calls.length).toBeGreaterThanOrEqual(1);
  expect(calls[0]).toMatch(/^logout_token=/);
  await onlooker.stop();
  await second.stop();
});
