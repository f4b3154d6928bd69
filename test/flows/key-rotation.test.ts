import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { createApp, type App } from '../../src/app.ts';
import { toConfig } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { silentLogger } from '../support/logger.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let second: { app: App; origin: string };
let rp: RelyingParty;
const clock = new TestClock(new Date());
const person = newPerson();

beforeAll(async () => {
  // An hour's notice: within it nobody's session ends.
  t = await startApp({ mode: 'server', clock, env: { TOKEN_KEY_ANNOUNCED_HOURS: '1' } });
  const port = await freePort();
  const app = await createApp(toConfig({ ...t.env, PORT: String(port) }), { logger: silentLogger, clock });
  await app.start();
  second = { app, origin: `http://localhost:${port}` };
  rp = await registerRelyingParty(t, { clientId: 'rotating' });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await rp.stop();
  await second.app.stop();
  await t.stop();
});

const published = async (origin: string) =>
  ((await (await fetch(`${origin}/jwks`)).json()) as { keys: { kid: string; alg: string }[] }).keys;

test('keys rotate while people sign in at two processes, no request fails, and every ID token verifies with what is published', async () => {
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  const cookie = await browser.jar.getCookieString(t.origin);
  const kidsUsed = new Set<string | undefined>();
  let stop = false;
  let done = 0;

  async function signInAgainAndAgain(origin: string): Promise<void> {
    while (!stop) {
      const attempt = await rp.begin();
      const answer = await fetch(attempt.url.href.replace(t.origin, origin), {
        redirect: 'manual',
        headers: { Cookie: cookie },
      });
      const code = new URL(answer.headers.get('location') ?? '', origin).searchParams.get('code') ?? '';
      const response = await fetch(`${origin}/token`, {
        method: 'POST',
        headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code,
          redirect_uri: rp.redirectUri,
          code_verifier: attempt.verifier,
        }),
      });
      expect(response.status).toBe(200);
      const { id_token: idToken } = (await response.json()) as { id_token: string };
      // As a portal does that keeps no copy for longer than it may.
      const keys = createRemoteJWKSet(new URL(`${origin}/jwks`));
      await jwtVerify(idToken, keys, { issuer: t.origin, audience: rp.clientId });
      kidsUsed.add(decodeProtectedHeader(idToken).kid);
      done += 1;
    }
  }
  const load = Promise.all([t.origin, second.origin].map(signInAgainAndAgain));

  const before = await published(t.origin);
  await t.app.tokenKeys.rotate({ now: false });
  await expect.poll(async () => (await published(second.origin)).length).toBe(4);
  expect(await published(t.origin)).toEqual(expect.arrayContaining(before));
  clock.advance(3600);
  await second.app.tokenKeys.advance();
  await expect.poll(() => kidsUsed.size).toBe(2);
  const soFar = done;
  await expect.poll(() => done).toBeGreaterThan(soFar + 10);
  stop = true;
  await load;
});
