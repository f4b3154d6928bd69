/** Races against two server processes on one PostgreSQL and one Redis. The short form runs with the tests, the long one as `npm run races`. */
import type { FictionalGateway } from '../../src/demo/gateway.ts';
import { randomUUID, type webcrypto } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { Passkeys } from '../../src/identity/index.ts';
import { Authenticator, optionsOn } from '../support/authenticator.ts';
import { newPerson, signIn, type Person, type RelyingParty } from '../support/relying-party.ts';

export interface Field {
  readonly origins: readonly [string, string];
  readonly rp: RelyingParty;
  readonly eight: readonly RelyingParty[];
  /** A portal that signs its assertions, for the machine grants, devices and CIBA. */
  readonly signing: SigningPortal;
  /** A person with a checked phone number and recovery codes, whose identity was checked. */
  registerWithPhone(): Promise<{ person: Person; accountId: string; recoveryCodes: readonly string[] }>;
  /** Where text messages arrive. */
  readonly gateway: Pick<FictionalGateway, 'messagesTo'>;
  /** Lets the waiting time of a recovery be over. */
  letWait(accountId: string): Promise<void>;
  /** A person who was checked at a counter and has an authenticator app. */
  registerWithApp(): Promise<Person>;
  register(person: Person): Promise<{ accountId: string }>;
  readonly passkeys: Passkeys;
}

export interface SigningPortal {
  readonly clientId: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly rp: RelyingParty;
}

const PARALLEL = 20;

/** What twenty requests at once, half of them at each process, were answered. */
export interface Tally {
  /** How many had what only one may have. */
  readonly won: number;
  readonly errors: string[];
  readonly serverErrors: number;
}

async function tally(
  origins: readonly [string, string],
  request: (origin: string, i: number) => Promise<Response>,
  wins: (status: number, body: string) => boolean = (status) => status === 200,
): Promise<Tally> {
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, async (_, i) => {
      const response = await request(origins[i % 2] ?? origins[0], i);
      return { status: response.status, body: await response.text() };
    }),
  );
  const errorIn = (body: string) =>
    body.startsWith('{') ? ((JSON.parse(body) as { error?: string }).error ?? []) : [];
  return {
    won: answers.filter(({ status, body }) => wins(status, body)).length,
    errors: [...new Set(answers.flatMap(({ body }) => errorIn(body)))],
    serverErrors: answers.filter(({ status }) => status >= 500).length,
  };
}

async function assertionOf(
  { clientId, privateKey }: SigningPortal,
  audience: string,
): Promise<URLSearchParams> {
  const assertion = await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(privateKey);
  return new URLSearchParams({
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
  });
}

async function signed(
  field: Field,
  origin: string,
  path: string,
  parameters: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Response> {
  const body = await assertionOf(field.signing, field.origins[0]);
  for (const [name, value] of Object.entries(parameters)) body.set(name, value);
  return fetch(`${origin}${path}`, { method: 'POST', headers, body });
}

/** One client assertion shown by twenty at once. */
export async function raceForAssertion(field: Field): Promise<Tally> {
  const body = await assertionOf(field.signing, field.origins[0]);
  body.set('grant_type', 'client_credentials');
  return tally(field.origins, (origin) => fetch(`${origin}/token`, { method: 'POST', body }));
}

/** One DPoP proof shown by twenty at once, each with a client assertion of its own. */
export async function raceForProof(field: Field): Promise<Tally> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const proof = await new SignJWT({ jti: randomUUID(), htm: 'POST', htu: `${field.origins[0]}/token` })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
    .setIssuedAt()
    .sign(privateKey);
  return tally(field.origins, (origin) =>
    signed(field, origin, '/token', { grant_type: 'client_credentials' }, { DPoP: proof }),
  );
}

/** One device code confirmed by twenty at once, each in a browser of its own; then redeemed by twenty at once. */
export async function raceForDevice(field: Field): Promise<{ confirmed: Tally; redeemed: Tally }> {
  const { origins } = field;
  const device = (await (
    await signed(field, origins[0], '/device/authorization', { scope: 'openid' })
  ).json()) as { device_code: string; user_code: string };
  const person = newPerson();
  await field.register(person);
  const browsers = await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      const browser = new UserAgent();
      const page = await browser.get(`${origins[0]}/device`);
      return { browser, page: await browser.submit(page, { user_code: device.user_code }, '/device') };
    }),
  );
  const confirmed = await tally(
    origins,
    async (origin, i) => {
      const { browser, page } = browsers[i] ?? { browser: new UserAgent(), page: undefined };
      return fetch(`${origin}/device`, {
        method: 'POST',
        redirect: 'manual',
        headers: { Cookie: await browser.jar.getCookieString(origins[0]), Accept: 'text/html' },
        body: new URLSearchParams({ ...page?.forms[0]?.fields, confirm: 'yes' }),
      });
    },
    (status) => status === 303,
  );
  // A code that has been confirmed once more by one browser alone, all the way.
  const second = (await (
    await signed(field, origins[0], '/device/authorization', { scope: 'openid' })
  ).json()) as { device_code: string; user_code: string };
  const browser = new UserAgent();
  let page = await browser.submit(
    await browser.get(`${origins[0]}/device`),
    { user_code: second.user_code },
    '/device',
  );
  page = await browser.submit(page, { confirm: 'yes' }, '/device');
  await browser.submit(page, { ...person }, '/sign-in');
  const redeemed = await tally(origins, (origin) =>
    signed(field, origin, '/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: second.device_code,
    }),
  );
  return { confirmed, redeemed };
}

/** One answer of an authenticator sent by twenty at once, as from one page that was copied. */
export async function raceForPasskey(field: Field): Promise<Tally> {
  const { origins, passkeys, rp } = field;
  const { accountId } = await field.register(newPerson());
  const authenticator = new Authenticator({ origin: origins[0] });
  const creation = await passkeys.registrationOptions({ accountId, binding: 'race', userName: 'race' });
  const made = authenticator.create(creation);
  await passkeys.register({ accountId, binding: 'race', response: made, name: 'race' });
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url, rp.redirectUri);
  const credential = authenticator.get(optionsOn(page.text, 'get'));
  return postTwenty(field, browser, page, '/passkey', { credential });
}

/** A sign-in by phone: the code opened by twenty phones, the number typed twenty times, the approval taken twenty times, all at once. */
export async function raceForCrossDevice(
  field: Field,
): Promise<{ opened: Tally; approved: Tally; finished: Tally }> {
  const { origins, rp } = field;
  const person = newPerson();
  await field.register(person);
  const [phone, screen] = [new UserAgent(), new UserAgent()];
  const begin = async () => {
    const page = await screen.get((await rp.begin()).url, rp.redirectUri);
    const code = await screen.submit(page, {}, '/phone');
    const [, address = ''] = /href="([^"]+\/phone\/xdr_[^"]+)"/.exec(code.text) ?? [];
    return { code, phonePage: await phone.get(address) };
  };
  await phone.submit(await phone.get(`${origins[0]}/approvals`), { ...person }, '/sign-in');

  const raced = await begin();
  const opened = await postTwenty(field, phone, raced.phonePage, '/phone/open', {});

  const { code, phonePage } = await begin();
  const question = await phone.submit(phonePage, {}, '/phone/open');
  const [, number = ''] = /class="number"><strong>(\d\d)</.exec((await screen.get(code.url)).text) ?? [];
  const approved = await postTwenty(
    field,
    phone,
    question,
    '/phone',
    { decision: 'allow', number },
    (status) => status === 200,
  );
  const cookie = await screen.jar.getCookieString(code.url.href);
  const finished = await tally(
    origins,
    (origin) =>
      fetch(code.url.href.replace(origins[0], origin), {
        redirect: 'manual',
        headers: { Cookie: cookie, Accept: 'text/html' },
      }),
    (status) => status === 303,
  );
  return { opened, approved, finished };
}

/** One form of a page sent by twenty at once, all with the cookies of one browser. */
async function postTwenty(
  { origins }: Field,
  browser: UserAgent,
  page: Page,
  action: string,
  fields: Record<string, string>,
  wins = (status: number): boolean => status === 303,
): Promise<Tally> {
  const form = page.forms.find((candidate) => candidate.action.pathname.endsWith(action));
  if (!form) throw new Error(`${page.url.href} has no form to ${action}`);
  const cookie = await browser.jar.getCookieString(page.url.href);
  return tally(
    origins,
    (origin) =>
      fetch(form.action.href.replace(origins[0], origin), {
        method: 'POST',
        redirect: 'manual',
        headers: { Cookie: cookie, Origin: origins[0], Accept: 'text/html' },
        body: new URLSearchParams({ ...form.fields, ...fields }),
      }),
    wins,
  );
}

/** One approved backchannel request redeemed by twenty at once. */
export async function raceForBackchannel(field: Field): Promise<Tally> {
  const { origins } = field;
  const person = newPerson();
  await field.register(person);
  const { auth_req_id: id } = (await (
    await signed(field, origins[0], '/backchannel-authentication', {
      scope: 'openid',
      login_hint: person.identifier,
    })
  ).json()) as { auth_req_id: string };
  const browser = new UserAgent();
  const page = await browser.submit(await browser.get(`${origins[0]}/approvals`), { ...person }, '/sign-in');
  await browser.submit(page, { decision: 'allow' }, page.forms[0]?.action.pathname);
  return tally(origins, (origin) =>
    signed(field, origin, '/token', { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: id }),
  );
}

/** One refresh token shown by twenty at once: all of them are two tabs of one browser. @returns how many different answers there were. */
export async function raceForRefresh(
  field: Field,
): Promise<{ different: number; statuses: number[]; livesOn: number }> {
  const { rp, origins } = field;
  const person = newPerson();
  await field.register(person);
  const attempt = await signIn(rp, new UserAgent(), person);
  const { refresh_token: refreshToken = '' } = await rp.redeem(attempt.callback, attempt);
  const refresh = async (origin: string, token: string) => {
    const response = await fetch(`${origin}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
    });
    return { status: response.status, text: await response.text() };
  };
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, (_, i) => refresh(origins[i % 2] ?? '', refreshToken)),
  );
  const [first] = answers;
  const { refresh_token: next = '' } = JSON.parse(first?.text ?? '{}') as { refresh_token?: string };
  return {
    different: new Set(answers.map(({ text }) => text)).size,
    statuses: [...new Set(answers.map(({ status }) => status))],
    livesOn: (await refresh(origins[1], next)).status,
  };
}

/** What a crowd of guesses at once, half of them at each process, was answered. */
export interface Crowd {
  /** How many were compared: wrong, and said to be wrong. */
  readonly compared: number;
  /** How many were told to wait. */
  readonly refused: number;
  readonly others: number[];
}

const GUESSES = 60;

async function crowd(
  field: Field,
  action: URL,
  fields: Record<string, string>,
  options: { readonly cookie: string; readonly address: (i: number) => string },
): Promise<Crowd> {
  const statuses = await Promise.all(
    Array.from({ length: GUESSES }, async (_, i) => {
      const response = await fetch(action.href.replace(field.origins[0], field.origins[i % 2] ?? ''), {
        method: 'POST',
        redirect: 'manual',
        headers: {
          Cookie: options.cookie,
          Origin: field.origins[0],
          Accept: 'text/html',
          'X-Forwarded-For': options.address(i),
        },
        body: new URLSearchParams(fields),
      });
      await response.body?.cancel();
      return response.status;
    }),
  );
  const count = (status: number) => statuses.filter((each) => each === status).length;
  return {
    compared: count(422),
    refused: count(429),
    others: statuses.filter((status) => status !== 422 && status !== 429),
  };
}

/** Guesses at one password: all from one address, then each from its own. */
export async function raceForPassword(field: Field): Promise<{ oneAddress: Crowd; everywhere: Crowd }> {
  const run = async (address: (i: number) => string) => {
    const person = newPerson();
    await field.register(person);
    const browser = new UserAgent();
    const page = await browser.get((await field.rp.begin()).url, field.rp.redirectUri);
    const form = page.forms.find(({ action }) => action.pathname.endsWith('/sign-in'));
    if (!form) throw new Error('no page to sign in');
    return crowd(
      field,
      form.action,
      { ...form.fields, identifier: person.identifier, password: 'not this one' },
      { cookie: await browser.jar.getCookieString(page.url.href), address },
    );
  };
  const home = newNetwork();
  return { oneAddress: await run(() => `${home}.1`), everywhere: await run(() => `${newNetwork()}.1`) };
}

/** Guesses at the code of one authenticator app, each from its own address. */
export async function raceForTotp(field: Field): Promise<Crowd> {
  const { rp } = field;
  const person = await field.registerWithApp();
  const browser = new UserAgent();
  const { url } = await rp.begin({ acr_values: 'urn:yinxin:loa:3' });
  const first = await browser.get(url, rp.redirectUri);
  const page = await browser.submit(first, { ...person }, '/sign-in', rp.redirectUri);
  const form = page.forms.find(({ action }) => action.pathname.endsWith('/otp'));
  if (!form) throw new Error('no page for a code');
  return crowd(
    field,
    form.action,
    { ...form.fields, code: '000000' },
    { cookie: await browser.jar.getCookieString(page.url.href), address: () => `${newNetwork()}.1` },
  );
}

let networks = 0;
function newNetwork(): string {
  networks += 1;
  return `${20 + (networks >> 16)}.${(networks >> 8) & 255}.${networks & 255}`;
}

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
