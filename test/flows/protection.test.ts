/** Guessing at accounts, as it looks from outside: under the limits as they are shipped, behind a proxy that is believed. */
import { TOTP, Secret } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { PasswordQueueError, type PasswordHasher } from '../../src/identity/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { Authenticator, optionsOn } from '../support/authenticator.ts';
import { TestClock } from '../support/clock.ts';
import {
  newPerson,
  newPhonePerson,
  registerRelyingParty,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0';
const clock = new TestClock(new Date());
let t: TestApp;
let rp: RelyingParty;
let busy = false;

beforeAll(async () => {
  t = await startApp({
    clock,
    env: { LIMITS: undefined, TRUSTED_PROXIES: '127.0.0.0/8,::1/128' },
    through: (port, made) =>
      port === 'hasher'
        ? {
            ...made,
            verify: (...args: Parameters<PasswordHasher['verify']>) =>
              busy
                ? Promise.reject(new PasswordQueueError('PASSWORDS_BUSY', 'busy', { retryAfterSeconds: 3 }))
                : (made as unknown as PasswordHasher).verify(...args),
          }
        : made,
  });
  rp = await registerRelyingParty(t, { clientId: 'portal' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

let networks = 0;
/** An address in a /16 that nobody else has. */
const newAddress = () => {
  networks += 1;
  return `11.${networks % 250}.${Math.floor(networks / 250)}.7`;
};
const browserAt = (address = newAddress(), headers = {}) =>
  new UserAgent({ 'Accept-Language': 'en', 'User-Agent': FIREFOX, 'X-Forwarded-For': address, ...headers });

async function open(browser: UserAgent, parameters?: Record<string, string>): Promise<Page> {
  return browser.get((await rp.begin(parameters)).url, rp.redirectUri);
}
async function attempt(browser: UserAgent, { identifier, password }: Person): Promise<Page> {
  return browser.submit(await open(browser), { identifier, password }, '/sign-in', rp.redirectUri);
}
/** Tries again from the page that the last answer showed, as a program would. */
async function guess(browser: UserAgent, identifier: string, times: number): Promise<number[]> {
  const page = await open(browser);
  const statuses: number[] = [];
  for (let i = 0; i < times; i++)
    statuses.push((await browser.submit(page, { identifier, password: `guess ${i}` }, '/sign-in')).status);
  return statuses;
}
const has = ({ text }: Page, action: string) => text.includes(`${action}"`);
const arrived = (page: Page) => page.url.href.startsWith(rp.redirectUri);

async function newAccount(person: Person = newPerson()) {
  const { accountId } = await t.app.identity.register(person);
  return { person, accountId };
}
async function withApp(accountId: Awaited<ReturnType<typeof newAccount>>['accountId']) {
  const { secret } = t.app.identity.totp.propose('');
  const code = () => {
    clock.advance(30);
    return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
  };
  await t.app.identity.totp.enrol({ accountId, secret, code: code() });
  return code;
}

describe('guessing at a password', () => {
  test('ends after six tries from one address, with a page that says how long and no more', async () => {
    const { person } = await newAccount();
    const address = newAddress();
    const stranger = browserAt(address);
    expect(await guess(stranger, person.identifier, 6)).toEqual(Array(6).fill(422));
    const refused = await attempt(stranger, person);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(refused.text).toContain('Try again in 1 minute.');
    expect(refused.text).not.toContain(person.identifier);
    // Whoever guesses at somebody else from there is not concerned, and after a minute nobody is.
    expect(arrived(await attempt(browserAt(address), (await newAccount()).person))).toBe(true);
    clock.advance(60);
    expect(arrived(await attempt(stranger, person))).toBe(true);
  });

  test('by strangers everywhere keeps the owner out of nothing at a device that the account knows', async () => {
    const { person } = await newAccount();
    const owner = browserAt();
    expect(arrived(await attempt(owner, person))).toBe(true);
    const guesses = await Promise.all(
      Array.from({ length: 5 }, () => guess(browserAt(), person.identifier, 5)),
    );
    expect(guesses.flat().filter((status) => status === 422)).toHaveLength(20);
    // From a device that it does not know, even the right password waits.
    const elsewhere = await attempt(browserAt(), person);
    expect(elsewhere.status).toBe(429);
    expect(Number(elsewhere.headers.get('retry-after'))).toBeLessThanOrEqual(300);
    const page = await open(owner, { prompt: 'login' });
    const entered = await owner.submit(page, { password: person.password }, '/confirm', rp.redirectUri);
    expect(arrived(entered)).toBe(true);
    clock.advance(300);
  });

  test('by strangers everywhere keeps nobody out who has a passkey, on whatever device', async () => {
    const { person, accountId } = await newAccount();
    const { passkeys } = t.app.identity;
    const authenticator = new Authenticator({ origin: t.origin });
    const made = { accountId, binding: 'the test' };
    const options = await passkeys.registrationOptions({ ...made, userName: 'somebody' });
    await passkeys.register({ ...made, response: authenticator.create(options), name: 'phone' });
    await Promise.all(Array.from({ length: 5 }, () => guess(browserAt(), person.identifier, 5)));
    const browser = browserAt();
    const refused = await attempt(browser, person);
    expect(refused.status).toBe(429);
    const href = /href="(\/interaction\/[^"]+)"/.exec(refused.text)?.[1] ?? '';
    const page = await browser.get(new URL(href, t.origin));
    const credential = authenticator.get(optionsOn(page.text, 'get'));
    expect(arrived(await browser.submit(page, { credential }, '/passkey', rp.redirectUri))).toBe(true);
    clock.advance(300);
  });

  test('by a neighbour behind the same address keeps the owner out of nothing either', async () => {
    const { person } = await newAccount();
    const address = newAddress();
    const owner = browserAt(address);
    expect(arrived(await attempt(owner, person))).toBe(true);
    await guess(browserAt(address), person.identifier, 7);
    expect((await attempt(browserAt(address), person)).status).toBe(429);
    const page = await open(owner, { prompt: 'login' });
    expect(arrived(await owner.submit(page, { password: person.password }, '/confirm', rp.redirectUri))).toBe(
      true,
    );
  });

  test('at a device that the account knows ends, too', async () => {
    const { person } = await newAccount();
    const browser = browserAt();
    await attempt(browser, person);
    const page = await open(browser, { prompt: 'login' });
    const statuses: number[] = [];
    for (let i = 0; i < 11; i++)
      statuses.push((await browser.submit(page, { password: `guess ${i}` }, '/confirm')).status);
    expect(statuses).toEqual([...Array<number>(10).fill(422), 429]);
  });

  test('with a device cookie of another account, or one that is made up, brings no more tries', async () => {
    const { person } = await newAccount();
    const stranger = browserAt();
    await attempt(stranger, (await newAccount()).person);
    const first = await open(stranger, { prompt: 'login' });
    const page = await stranger.get(`${first.url.href}?other=yes`);
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++)
      statuses.push(
        (await stranger.submit(page, { identifier: person.identifier, password: `guess ${i}` }, '/sign-in'))
          .status,
      );
    expect(statuses).toEqual([...Array<number>(6).fill(422), 429]);
    const forger = browserAt();
    await forger.jar.setCookie(`yx_device=${'A'.repeat(76)}; Path=/`, t.origin);
    expect((await guess(forger, person.identifier, 7)).at(-1)).toBe(429);
  });

  test('at a device that was known before the password changed is that of a stranger; where it was changed it is not', async () => {
    const { person, accountId } = await newAccount();
    const [owner, thief] = [browserAt(), browserAt()];
    for (const browser of [owner, thief]) expect(arrived(await attempt(browser, person))).toBe(true);
    const password = 'a new lantern for the ferry';
    const form = await owner.get(`${t.origin}/account/password`);
    const page = has(form, '/confirm')
      ? await owner.submit(form, { password: person.password }, '/confirm')
      : form;
    await owner.submit(page, { present: person.password, password, passwordAgain: password }, '/password');
    expect((await t.app.identity.devices.list(accountId, undefined)).length).toBe(1);
    expect((await guess(thief, person.identifier, 7)).at(-1)).toBe(429);
    // Strangers everywhere use up what strangers have; the owner's browser has its own.
    await Promise.all(Array.from({ length: 5 }, () => guess(browserAt(), person.identifier, 5)));
    expect((await attempt(browserAt(), { ...person, password })).status).toBe(429);
    const again = await open(owner, { prompt: 'login' });
    expect(arrived(await owner.submit(again, { password }, '/confirm', rp.redirectUri))).toBe(true);
    clock.advance(300);
  });

  test('is not what somebody does whom a full queue has turned away', async () => {
    const { person } = await newAccount();
    const browser = browserAt();
    busy = true;
    try {
      expect(await guess(browser, person.identifier, 8)).toEqual(Array(8).fill(503));
    } finally {
      busy = false;
    }
    expect(arrived(await attempt(browser, person))).toBe(true);
  });

  test('right sign-ins are no guesses, however many there are behind one address', async () => {
    const address = newAddress();
    const { person } = await newAccount();
    for (let i = 0; i < 12; i++) expect(arrived(await attempt(browserAt(address), person))).toBe(true);
  });

  test('a code of a second factor is limited, too', async () => {
    const { person, accountId } = await newAccount();
    await withApp(accountId);
    await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
    const browser = browserAt();
    const page = await browser.submit(
      await open(browser, { acr_values: 'urn:yinxin:loa:3' }),
      { ...person },
      '/sign-in',
      rp.redirectUri,
    );
    const statuses: number[] = [];
    for (let i = 0; i < 11; i++)
      statuses.push((await browser.submit(page, { code: '000000' }, '/otp')).status);
    expect(statuses).toEqual([...Array<number>(10).fill(422), 429]);
  });

  test('opening accounts is limited by address', async () => {
    const address = newAddress();
    const register = async ({ identifier }: Person) => {
      const browser = browserAt(address);
      const page = await browser.get(`${(await open(browser)).url.href}/register`);
      return browser.submit(page, { identifier }, '/register');
    };
    for (let i = 0; i < 20; i++)
      expect((await register(newPhonePerson())).url.pathname).toMatch(/\/register\/code$/);
    expect((await register(newPhonePerson())).status).toBe(429);
  });
});

describe('a new device', () => {
  const notices = async () => {
    const page = await browserAt().get(`${t.origin}/outbox`);
    return page.text.match(/Firefox/g)?.length ?? 0;
  };
  async function reachable(accountId: string) {
    await t.app.db.query('UPDATE account_identifiers SET verified_at = created_at WHERE account_id = $1', [
      accountId,
    ]);
  }

  test("is told of, once, at the phone that is known to be the person's", async () => {
    const { person, accountId } = await newAccount({
      identifier: '19900002222',
      password: 'a heron in the reeds',
    });
    await reachable(accountId);
    const address = newAddress();
    const first = browserAt(address);
    await attempt(first, person);
    expect(await notices()).toBe(0);
    const second = browserAt(address);
    await attempt(second, person);
    await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
    expect(await notices()).toBe(1);
    const page = await open(second, { prompt: 'login' });
    await second.submit(page, { password: person.password }, '/confirm', rp.redirectUri);
    await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
    expect(await notices()).toBe(1);
    const listed = await t.app.identity.devices.list(accountId, undefined);
    expect(listed.map(({ browser, system }) => `${browser} ${system}`)).toEqual([
      'Firefox Windows',
      'Firefox Windows',
    ]);
  });

  test('from a new network shows a second factor besides, if the account has one, and is known then', async () => {
    const { person, accountId } = await newAccount();
    const home = browserAt();
    await attempt(home, person);
    const code = await withApp(accountId);
    clock.advance(3600);
    const abroad = browserAt();
    const asked = await attempt(abroad, person);
    expect(arrived(asked)).toBe(false);
    expect(asked.text).toContain('name="code"');
    // Nothing leads past it: the request begins again, and asks again.
    expect((await open(abroad)).text).toContain('name="password"');
    const again = await attempt(abroad, person);
    expect(arrived(await abroad.submit(again, { code: code() }, '/otp', rp.redirectUri))).toBe(true);
    const later = browserAt();
    for (const line of await abroad.jar.getCookies(t.origin))
      if (line.key === 'yx_device') await later.jar.setCookie(line.toString(), t.origin);
    clock.advance(3600);
    expect(arrived(await attempt(later, person))).toBe(true);
  });

  test('in a network that the account knows shows no more than usual', async () => {
    const { person, accountId } = await newAccount();
    const address = newAddress();
    await attempt(browserAt(address), person);
    await withApp(accountId);
    expect(arrived(await attempt(browserAt(address), person))).toBe(true);
  });

  test('after many guesses shows a second factor even there', async () => {
    const { person, accountId } = await newAccount();
    const address = newAddress();
    await attempt(browserAt(address), person);
    await withApp(accountId);
    await guess(browserAt(), person.identifier, 6);
    await guess(browserAt(), person.identifier, 6);
    expect((await attempt(browserAt(address), person)).text).toContain('name="code"');
  });

  test('of an account without a second factor enters, and is told of', async () => {
    const { person, accountId } = await newAccount({
      identifier: 'crane@example.cn',
      password: 'a crane over the ice',
    });
    await reachable(accountId);
    await attempt(browserAt(), person);
    const before = await notices();
    expect(arrived(await attempt(browserAt(), person))).toBe(true);
    await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
    expect(await notices()).toBe(before + 1);
  });
});

describe('the session', () => {
  const sessionOf = async (browser: UserAgent) =>
    (await browser.jar.getCookies(t.origin)).find(({ key }) => key === 'yx_session')?.value;

  test('has a new id after each sign-in, and the old one is worth nothing', async () => {
    const { person } = await newAccount();
    const browser = browserAt();
    const ids: (string | undefined)[] = [];
    await attempt(browser, person);
    const jars = [];
    for (let i = 0; i < 3; i++) {
      ids.push(await sessionOf(browser));
      jars.push(await browser.jar.getCookieString(t.origin));
      const page = await open(browser, { prompt: 'login' });
      expect(
        arrived(await browser.submit(page, { password: person.password }, '/confirm', rp.redirectUri)),
      ).toBe(true);
    }
    ids.push(await sessionOf(browser));
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(4);
    const { url } = await rp.begin({ prompt: 'none' });
    for (const Cookie of jars) {
      const answer = await fetch(url, { redirect: 'manual', headers: { Cookie } });
      expect(answer.headers.get('location')).toContain('error=login_required');
    }
    const answer = await fetch(url, {
      redirect: 'manual',
      headers: { Cookie: await browser.jar.getCookieString(t.origin) },
    });
    expect(answer.headers.get('location')).toContain('code=');
  });

  test("that somebody planted in another's browser is not signed in to by that person", async () => {
    const { person } = await newAccount();
    const attacker = browserAt();
    await attacker.get(`${t.origin}/device`);
    const planted = await attacker.jar.getCookies(t.origin);
    expect(planted.some(({ key }) => key === 'yx_session')).toBe(true);
    const victim = browserAt();
    for (const cookie of planted) await victim.jar.setCookie(cookie.toString(), t.origin);
    expect(arrived(await attempt(victim, person))).toBe(true);
    const { url } = await rp.begin({ prompt: 'none' });
    expect((await attacker.get(url, rp.redirectUri)).url.href).toContain('error=login_required');
    expect((await victim.get(url, rp.redirectUri)).url.href).toContain('code=');
  });
});
