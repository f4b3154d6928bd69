/** Races against two server processes on one PostgreSQL and one Redis. The short form runs with the tests, the long one as `npm run races`. */
import { setTimeout } from 'node:timers/promises';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { newPerson, signIn, type Person, type RelyingParty } from '../support/relying-party.ts';

export interface Field {
  readonly origins: readonly [string, string];
  readonly rp: RelyingParty;
  readonly eight: readonly RelyingParty[];
  register(person: Person): Promise<unknown>;
}

const PARALLEL = 20;

/** One authorization code redeemed by twenty at once, half of them at each process. @returns the status codes and errors. */
export async function raceForCode(
  field: Field,
): Promise<{ statuses: number[]; errors: string[]; tokenAfterwards: number }> {
  const { rp, origins } = field;
  const person = newPerson();
  await field.register(person);
  const attempt = await signIn(rp, new UserAgent(), person);
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, async (_, i) => {
      const response = await fetch(`${origins[i % 2]}/token`, {
        method: 'POST',
        headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code: attempt.callback.searchParams.get('code') ?? '',
          redirect_uri: rp.redirectUri,
          code_verifier: attempt.verifier,
        }),
      });
      return {
        status: response.status,
        body: (await response.json()) as { error?: string; access_token?: string },
      };
    }),
  );
  const winner = answers.find(({ status }) => status === 200);
  const userinfo = await fetch(`${origins[0]}/userinfo`, {
    headers: { Authorization: `Bearer ${winner?.body.access_token}` },
  });
  return {
    statuses: answers.map(({ status }) => status),
    errors: [...new Set(answers.flatMap(({ body }) => body.error ?? []))],
    // A code used twice takes with it what it gave.
    tokenAfterwards: userinfo.status,
  };
}

/** One pushed request used by twenty at once, each with its own signed-in browser session. */
export async function raceForRequestUri(
  field: Field,
): Promise<{ codes: number; errors: string[]; serverErrors: number }> {
  const { rp, origins } = field;
  const person = newPerson();
  await field.register(person);
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  const { url } = await rp.begin();
  const pushed = await fetch(`${origins[0]}/par`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
    body: url.searchParams,
  });
  const { request_uri: requestUri } = (await pushed.json()) as { request_uri: string };
  const cookie = await browser.jar.getCookieString(origins[0]);
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, async (_, i) => {
      const target = `${origins[i % 2]}/authorize?${new URLSearchParams({ client_id: rp.clientId, request_uri: requestUri }).toString()}`;
      const response = await fetch(target, {
        redirect: 'manual',
        headers: { Cookie: cookie, Accept: 'application/json' },
      });
      const location = response.headers.get('location');
      const text = await response.text();
      const back = location === null ? undefined : new URL(location, target).searchParams;
      return {
        status: response.status,
        code: back?.get('code'),
        error:
          back?.get('error') ??
          (location === null ? (JSON.parse(text) as { error?: string }).error : undefined),
      };
    }),
  );
  return {
    codes: answers.filter(({ code }) => code).length,
    errors: [...new Set(answers.flatMap(({ error }) => error ?? []))],
    serverErrors: answers.filter(({ status }) => status >= 500).length,
  };
}

/** Eight portals opened at once in one session. @returns how many the session remembers: those that its end reaches. */
export async function openEightPortals(field: Field): Promise<number> {
  const { rp, eight, origins } = field;
  const person = newPerson();
  await field.register(person);
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  for (const portal of eight) portal.logouts.length = 0;
  const cookie = await browser.jar.getCookieString(origins[0]);
  await Promise.all(
    eight.map(async (portal, i) => {
      const { url } = await portal.begin();
      await fetch(url.href.replace(origins[0], origins[i % 2] ?? ''), {
        redirect: 'manual',
        headers: { Cookie: cookie },
      });
    }),
  );
  await browser.submit(await browser.get(`${origins[0]}/end-session`), { logout: 'yes' }, '/confirm');
  const reached = () => eight.filter((portal) => portal.logouts.length === 1).length;
  for (let waited = 0; waited < 3000 && reached() < eight.length; waited += 20) await setTimeout(20);
  return reached();
}
