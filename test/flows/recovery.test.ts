/** Getting back into an account, and what an impostor gets: over real HTTP. */
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCode, readMessage } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import {
  newPhonePerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';
import { stable } from '../support/stable.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
const HOUR = 3600;
const clock = new TestClock(new Date());
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({ clock });
  rp = await registerRelyingParty(t, { clientId: 'zhejiang' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

interface Citizen extends Person {
  readonly accountId: AccountId;
  readonly email: string;
}

/** An account with a phone number and an address of e-mail, both checked, at a level of proofing. */
async function citizen(proofing = 1): Promise<Citizen> {
  const person = newPhonePerson();
  const { accountId } = await t.app.identity.register({ ...person, verified: true, language: 'zh-CN' });
  const email = `c${person.identifier}@example.cn`;
  const changer = { accountId, binding: person.identifier, language: 'zh-CN' };
  await t.app.identity.contacts.askKnown(changer, 'sms');
  const knownCode = await readCode(t.origin, `+86${person.identifier}`);
  await t.app.identity.contacts.propose(changer, { text: email, knownCode });
  await t.app.identity.contacts.confirm(changer, await readCode(t.origin, email));
  if (proofing > 1)
    await t.app.identity.recordProofing(accountId, { level: proofing, method: 'counter' }, 'system');
  clock.advance(HOUR);
  return { ...person, accountId, email };
}

/** Sets up an authenticator app. @returns what it shows, a new code each time. */
async function authenticator({ accountId }: Citizen): Promise<() => string> {
  const { secret } = t.app.identity.totp.propose('');
  const app = new TOTP({ secret: Secret.fromBase32(secret) });
  const code = () => {
    clock.advance(30);
    return app.generate({ timestamp: clock.now().getTime() });
  };
  await t.app.identity.totp.enrol({ accountId, secret, code: code() });
  return code;
}

/** Goes as far as the code that came to an address. */
async function begin(identifier: string, portal = rp, parameters: Record<string, string> = {}) {
  const browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
  const attempt = await portal.begin(parameters);
  const page = await browser.get(attempt.url);
  const base = `${page.url.origin}${page.url.pathname}`;
  const address = await browser.get(`${base}/recover`);
  return { browser, attempt, base, sent: await browser.submit(address, { identifier }, '/recover') };
}

async function recover(identifier: string, to: string, parameters: Record<string, string> = {}) {
  const begun = await begin(identifier, rp, parameters);
  await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
  const code = await readCode(t.origin, to);
  expect(code).toHaveLength(8);
  return { ...begun, next: await begun.browser.submit(begun.sent, { code }, '/recover/code') };
}

const newPassword = 'a new lantern for the ferry';
const setPassword = (browser: UserAgent, page: Page, password = newPassword) =>
  browser.submit(page, { password, passwordAgain: password }, '/recover/password', rp.redirectUri);
const signsIn = async (person: Person, password: string) => {
  const { callback } = await signIn(rp, new UserAgent(), { ...person, password });
  return callback.href.startsWith(rp.redirectUri);
};
const account = (person: Citizen) => t.app.identity.account(person.accountId);
const outbox = async () => (await new UserAgent().get(`${t.origin}/outbox`)).text;

describe('a forgotten password', () => {
  // The first of all: the library compares times of requests with its own clock, which the test's has not left yet.
  test('in a browser that is signed in ends that session, too: the same request asks for the new password', async () => {
    const person = newPhonePerson();
    await t.app.identity.register({ ...person, verified: true });
    const browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
    await signIn(rp, browser, person);
    const attempt = await rp.begin({ prompt: 'login' });
    const page = await browser.get(attempt.url);
    const base = `${page.url.origin}${page.url.pathname}`;
    const sent = await browser.submit(
      await browser.get(`${base}/recover`),
      { identifier: person.identifier },
      '/recover',
    );
    const next = await browser.submit(
      sent,
      { code: await readCode(t.origin, `+86${person.identifier}`) },
      '/recover/code',
    );
    const end = await setPassword(browser, next);
    const arrived = await browser.submit(
      end,
      { ...person, password: newPassword },
      '/sign-in',
      rp.redirectUri,
    );
    expect((await rp.redeem(arrived.url, attempt)).claims()).toMatchObject({ amr: ['pwd'] });
  });

  test('is set anew by whoever shows an address of the account; every session ends, every address is told', async () => {
    const person = await citizen();
    const elsewhere = new UserAgent();
    await signIn(rp, elsewhere, person);
    const known = async () =>
      (await t.app.identity.devices.list(person.accountId, undefined)).map(({ id }) => id);
    const [before] = await known();
    const { browser, attempt, next } = await recover(person.email, person.email);
    expect(next.url.pathname).toMatch(/\/recover\/next$/);
    const arrived = await setPassword(browser, next);
    // The only device that is known is the one that has recovered the account.
    expect(await known()).toEqual([expect.not.stringMatching(before ?? '')]);
    expect((await rp.redeem(arrived.url, attempt)).claims()).toMatchObject({ acr: loa(1), amr: ['otp'] });
    expect(await signsIn(person, person.password)).toBe(false);
    expect(await signsIn(person, newPassword)).toBe(true);
    const silent = await elsewhere.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri);
    expect(silent.url.searchParams.get('error')).toBe('login_required');
    for (const to of [person.email, `+86${person.identifier}`])
      expect(await readMessage(t.origin, to, /已于.*找回/)).toBeTruthy();
  });

  test('needs a good one, and is set once for what was shown', async () => {
    const person = await citizen();
    const { browser, next } = await recover(person.identifier, `+86${person.identifier}`);
    const short = await setPassword(browser, next, 'short');
    expect(short.status).toBe(422);
    const ends = await Promise.all(
      Array.from({ length: 10 }, (_, i) => setPassword(browser, short, `${newPassword} ${i}`)),
    );
    expect(ends.filter(({ url }) => url.href.startsWith(rp.redirectUri))).toHaveLength(1);
    expect((await setPassword(browser, short)).url.href).not.toContain(rp.redirectUri);
    const recovered = await t.app.db.query(
      `SELECT 1 FROM audit_events WHERE type = 'account.recovered' AND subject = $1`,
      [person.accountId],
    );
    expect(recovered).toHaveLength(1);
  });

  test('tells nobody whether an address has an account', async () => {
    const known = await citizen();
    const unchecked = newPhonePerson();
    await t.app.identity.register(unchecked);
    const answers = await Promise.all(
      [known.identifier, unchecked.identifier, newPhonePerson().identifier].map(async (identifier) => {
        const { browser, sent } = await begin(identifier);
        const guess = await browser.submit(sent, { code: '00000000' }, '/recover/code');
        const again = await browser.submit(sent, {}, '/resend');
        return [sent, guess, again].map(({ status, url, text }) => ({
          status,
          path: url.pathname.replace(/[\w-]{43}/, ''),
          text: stable(text).replaceAll(`${identifier.slice(0, 3)}****${identifier.slice(-4)}`, 'masked'),
        }));
      }),
    );
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
    expect(await outbox()).not.toContain(unchecked.identifier);
  });
});

describe('recovery never lowers assurance', () => {
  test('who has taken a phone number over gets the first level of a proofed account, and no more until it is proofed again', async () => {
    const person = await citizen(3);
    const { browser, attempt, next } = await recover(person.identifier, `+86${person.identifier}`, {
      acr_values: `${loa(2)} ${loa(1)}`,
    });
    const arrived = await setPassword(browser, next);
    const claims = (await rp.redeem(arrived.url, attempt)).claims();
    expect(claims).toMatchObject({ acr: loa(1) });
    expect(await account(person)).toMatchObject({ proofing: 1 });
    // Not with the new password, nor with a factor that is added to it.
    const code = await authenticator(person);
    const essential = { claims: JSON.stringify({ id_token: { acr: { essential: true, value: loa(2) } } }) };
    const again = await signIn(rp, new UserAgent(), { ...person, password: newPassword }, essential);
    expect(again.callback.searchParams.get('error')).toBe('unmet_authentication_requirements');
    expect(code()).toMatch(/^\d{6}$/);
    // Proofing again gives it back.
    await t.app.identity.recordProofing(person.accountId, { level: 3, method: 'counter' }, 'system');
    const proofed = await signIn(rp, new UserAgent(), { ...person, password: newPassword }, essential);
    expect((await rp.redeem(proofed.callback, proofed)).claims()).toMatchObject({ acr: loa(2) });
  });

  test('who shows the second factor as well keeps the level', async () => {
    const person = await citizen(3);
    const code = await authenticator(person);
    const { browser, next } = await recover(person.email, person.email);
    expect(next.text).toContain('第二种登录方式');
    // Nothing but the second factor leads on.
    expect(
      (await browser.get(next.url)).forms.some(({ action }) => action.pathname.endsWith('/password')),
    ).toBe(false);
    const wrong = await browser.submit(next, { code: '000000' }, '/recover/factor');
    expect(wrong.status).toBe(422);
    const shown = await browser.submit(wrong, { code: code() }, '/recover/factor');
    const arrived = await setPassword(browser, shown);
    expect(arrived.url.href).toContain(rp.redirectUri);
    expect(await account(person)).toMatchObject({ proofing: 3 });
    expect((await account(person))?.methods).toContain('otp');
  });

  test('a recovery code does as well as the second factor', async () => {
    const person = await citizen(2);
    const [paper = ''] = await t.app.identity.recoveryCodes.generate(person.accountId);
    const { browser, next } = await recover(person.identifier, `+86${person.identifier}`);
    const shown = await browser.submit(next, { code: paper.toUpperCase() }, '/recover/factor');
    expect((await setPassword(browser, shown)).url.href).toContain(rp.redirectUri);
    expect(await account(person)).toMatchObject({ proofing: 2 });
  });

  test('who has lost it waits, every address is told, and then gets the first level without it', async () => {
    const person = await citizen(3);
    await authenticator(person);
    const first = await recover(person.email, person.email);
    const waiting = await first.browser.submit(first.next, {}, '/recover/lost');
    expect(waiting.text).toContain('请等待');
    for (const to of [person.email, `+86${person.identifier}`])
      expect(await readMessage(t.origin, to, /申请找回/)).toContain('/recovery/stop');
    // Asking again neither starts the time anew nor tells anybody twice.
    const told = (await outbox()).split('申请找回您的账号').length;
    clock.advance(71 * HOUR);
    const second = await recover(person.email, person.email);
    expect(second.next.text).toContain('请等待');
    expect((await outbox()).split('申请找回您的账号').length).toBe(told);
    // Posting the password does not help.
    const forced = await second.browser.submit(
      {
        ...second.next,
        forms: [
          { action: new URL(`${second.base}/recover/password`), fields: second.next.forms[0]?.fields ?? {} },
        ],
      },
      { password: newPassword, passwordAgain: newPassword },
    );
    expect(forced.text).toContain('请等待');
    expect(await signsIn(person, newPassword)).toBe(false);
    clock.advance(HOUR);
    const third = await recover(person.email, person.email);
    expect((await setPassword(third.browser, third.next)).url.href).toContain(rp.redirectUri);
    expect(await account(person)).toMatchObject({ proofing: 1 });
    expect((await account(person))?.methods).not.toContain('otp');
    expect(await readMessage(t.origin, person.email, /已于.*找回/)).toBeTruthy();
  });

  test('whoever has taken a mailbox over is stopped by the word that went to the phone, once', async () => {
    const victim = await citizen(3);
    await authenticator(victim);
    const attacker = await recover(victim.email, victim.email);
    await attacker.browser.submit(attacker.next, {}, '/recover/lost');
    const notice = await readMessage(t.origin, `+86${victim.identifier}`, /申请找回/);
    const word = /(?:[0-9a-z]{4}-){3}[0-9a-z]{4}/.exec(notice)?.[0] ?? '';
    const owner = new UserAgent({ 'Accept-Language': 'zh-CN' });
    const page = await owner.get(`${t.origin}/recovery/stop`);
    expect((await owner.submit(page, { word: '0000-0000-0000-0000' })).status).toBe(422);
    const stopped = await owner.submit(page, { word: word.toUpperCase().replaceAll('-', ' ') });
    expect(stopped.text).toContain('已经停止');
    expect((await owner.submit(page, { word })).status).toBe(422);
    clock.advance(100 * HOUR);
    const again = await recover(victim.email, victim.email);
    expect(again.next.text).toContain('还需要第二种登录方式');
    expect(await signsIn(victim, victim.password)).toBe(true);
  });

  test('a sign-in that shows the second factor stops a recovery which says that it is lost; the password alone does not', async () => {
    const person = await citizen(3);
    const code = await authenticator(person);
    const begun = await recover(person.email, person.email);
    await begun.browser.submit(begun.next, {}, '/recover/lost');
    await signIn(rp, new UserAgent(), person, { acr_values: loa(1) });
    expect(await t.app.identity.recovery.waiting(person.accountId)).toBeDefined();
    const browser = new UserAgent();
    const attempt = await rp.begin({ acr_values: loa(3) });
    const asked = await browser.submit(await browser.get(attempt.url), { ...person }, '/sign-in');
    await browser.submit(asked, { code: code() }, '/otp', rp.redirectUri);
    expect(await t.app.identity.recovery.waiting(person.accountId)).toBeUndefined();
    expect(await readMessage(t.origin, person.email, /找回已于/)).toBeTruthy();
  });

  test('one that is completed and stopped at the same moment does one of the two', async () => {
    for (let round = 0; round < 3; round++) {
      const person = await citizen(3);
      await authenticator(person);
      const begun = await recover(person.email, person.email);
      await begun.browser.submit(begun.next, {}, '/recover/lost');
      const notice = await readMessage(t.origin, person.email, /申请找回/);
      const word = /(?:[0-9a-z]{4}-){3}[0-9a-z]{4}/.exec(notice)?.[0] ?? '';
      clock.advance(72 * HOUR);
      const ready = await recover(person.email, person.email);
      const [end, stopped] = await Promise.all([
        setPassword(ready.browser, ready.next),
        t.app.identity.recovery.stop(word),
      ]);
      expect(end.url.href.startsWith(rp.redirectUri)).toBe(!stopped);
      expect(await signsIn(person, stopped ? person.password : newPassword)).toBe(true);
    }
  });

  test('one that nobody completes within a week is over', async () => {
    const person = await citizen();
    await authenticator(person);
    const begun = await recover(person.email, person.email);
    await begun.browser.submit(begun.next, {}, '/recover/lost');
    clock.advance((72 + 7 * 24) * HOUR);
    const late = await recover(person.email, person.email);
    expect(late.next.text).toContain('还需要第二种登录方式');
    expect((await late.browser.submit(late.next, {}, '/recover/lost')).text).toContain('请等待');
  });
});
