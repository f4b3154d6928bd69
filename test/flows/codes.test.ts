/** Signing in and registering by codes, over real HTTP: what a person, and what a stranger, is told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCode, readMessage } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import {
  newPhonePerson,
  registerByCode,
  registerRelyingParty,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';
import { stable } from '../support/stable.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
const clock = new TestClock(new Date());
let t: TestApp;
let rp: RelyingParty;
/** Wants the second level. */
let strict: RelyingParty;

beforeAll(async () => {
  t = await startApp({ clock });
  rp = await registerRelyingParty(t, { clientId: 'zhejiang' });
  strict = await registerRelyingParty(t, { clientId: 'strict', registration: { minimumAcr: loa(2) } });
});
afterAll(async () => {
  await Promise.all([rp.stop(), strict.stop()]);
  await t.stop();
});

const outbox = async () => (await new UserAgent().get(`${t.origin}/outbox`)).text;
const phoneOf = ({ identifier }: Person) => `+86${identifier}`;
const wrongCode = (code: string) => `${(Number(code[0]) + 1) % 10}${code.slice(1)}`;

/** An account with a checked phone number. */
async function registered(): Promise<Person & { accountId: string }> {
  const person = newPhonePerson();
  const { accountId } = await t.app.identity.register({ ...person, verified: true, language: 'zh-CN' });
  return { ...person, accountId };
}

async function begin(portal = rp, language = 'zh-CN', parameters: Record<string, string> = {}) {
  const browser = new UserAgent({ 'Accept-Language': language });
  const attempt = await portal.begin(parameters);
  const page = await browser.get(attempt.url);
  return { browser, attempt, page, base: `${page.url.origin}${page.url.pathname}` };
}

/** What of a page could tell two people apart: all but what differs from one visit to the next. */
function told(page: Page, identifier: string) {
  const headers = Object.fromEntries(
    [...page.headers].filter(
      ([name]) => !['date', 'x-trace-id', 'set-cookie', 'content-length'].includes(name),
    ),
  );
  return {
    status: page.status,
    path: page.url.pathname.replace(/[\w-]{43}/, 'uid'),
    headers: { ...headers, 'content-security-policy': '' },
    text: stable(page.text)
      .replaceAll(identifier, 'identifier')
      .replaceAll(`${identifier.slice(0, 3)}****${identifier.slice(-4)}`, 'masked'),
  };
}

describe('registration', () => {
  test('checks the address before there is an account, and makes one of the first level', async () => {
    const person = newPhonePerson();
    const { browser, attempt, page } = await begin(rp, 'zh-CN', { acr_values: loa(1) });
    const arrived = await registerByCode(t.origin, browser, page, person, rp.redirectUri);
    const tokens = await rp.redeem(arrived.url, attempt);
    expect(tokens.claims()).toMatchObject({ acr: loa(1), amr: ['pwd'] });
    const account = await t.app.identity.account((await t.app.identity.find(person.identifier)) ?? '');
    expect(account).toMatchObject({
      phone: phoneOf(person),
      phoneVerified: true,
      proofing: 1,
      username: undefined,
    });
  });

  test('by e-mail is the same', async () => {
    const person = { ...newPhonePerson(), identifier: 'Wang.Fang@Example.CN' };
    const { browser, page } = await begin();
    const lower = { ...person, identifier: person.identifier.toLowerCase() };
    await registerByCode(t.origin, browser, page, lower, rp.redirectUri);
    const account = await t.app.identity.account((await t.app.identity.find(person.identifier)) ?? '');
    expect(account).toMatchObject({ email: 'wang.fang@example.cn', emailVerified: true });
  });

  test('leads to no password without the code, and to no account without a good password', async () => {
    const person = newPhonePerson();
    const { browser, page, base } = await begin();
    const expired = async (path: string) => (await browser.get(`${base}${path}`)).url.pathname;
    // Without a code that was sent, or typed, the pages behind are not there.
    expect(await expired('/register/code')).toMatch(/\/register$/);
    expect(await expired('/register/password')).not.toMatch(/\/password$/);
    const address = await browser.get(`${page.url.href}/register`);
    let codePage = await browser.submit(address, { identifier: person.identifier }, '/register');
    const code = await readCode(t.origin, phoneOf(person));
    codePage = await browser.submit(codePage, { code: wrongCode(code) }, '/register/code');
    expect(codePage.status).toBe(422);
    const password = await browser.submit(codePage, { code }, '/register/code');
    expect(password.url.pathname).toMatch(/\/register\/password$/);
    const short = await browser.submit(
      password,
      { password: 'short', passwordAgain: 'short' },
      '/register/password',
    );
    expect(short.status).toBe(422);
    expect(short.text).not.toContain('value="short"');
    const slip = { password: person.password, passwordAgain: `${person.password}.` };
    expect((await browser.submit(short, slip, '/register/password')).text).toContain('两次输入的密码不一样');
    expect(await t.app.identity.find(person.identifier)).toBeUndefined();
    await browser.submit(
      short,
      { password: person.password, passwordAgain: person.password },
      '/register/password',
      rp.redirectUri,
    );
    expect(await t.app.identity.find(person.identifier)).toMatch(/^acc_/);
  });

  test('tells nobody that an address has an account but whoever holds it', async () => {
    const known = await registered();
    const unknown = newPhonePerson();
    const answers = await Promise.all(
      [known, unknown].map(async ({ identifier }) => {
        const { browser, page } = await begin();
        const address = await browser.get(`${page.url.href}/register`);
        const sent = await browser.submit(address, { identifier }, '/register');
        const again = await browser.submit(sent, {}, '/resend');
        const guess = await browser.submit(sent, { code: '000000' }, '/register/code');
        return [sent, again, guess].map((shown) => told(shown, identifier));
      }),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(await readMessage(t.origin, phoneOf(known))).toContain('已经有账号');
    expect(await readMessage(t.origin, phoneOf(unknown))).toMatch(/\d{6}/);
  });

  test('says what is wrong with an address, and keeps it', async () => {
    const { browser, page } = await begin(rp, 'en');
    const address = await browser.get(`${page.url.href}/register`);
    for (const identifier of ['', 'lihua', '12345', 'a@b', '<script>'])
      expect((await browser.submit(address, { identifier }, '/register')).status).toBe(422);
    const { text } = await browser.submit(address, { identifier: 'li"hua' }, '/register');
    expect(text).toContain('mainland China mobile number');
    expect(text).toContain('value="li&quot;hua"');
  });

  test('of two who finish it for one address at once makes one account', async () => {
    const person = newPhonePerson();
    const passwordPages: { browser: UserAgent; page: Page }[] = [];
    for (let i = 0; i < 2; i++) {
      const { browser, page } = await begin();
      const address = await browser.get(`${page.url.href}/register`);
      const codePage = await browser.submit(address, { identifier: person.identifier }, '/register');
      await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
      const code = await readCode(t.origin, phoneOf(person));
      passwordPages.push({ browser, page: await browser.submit(codePage, { code }, '/register/code') });
      clock.advance(60);
    }
    const ends = await Promise.all(
      passwordPages.map(({ browser, page }) =>
        browser.submit(
          page,
          { password: person.password, passwordAgain: person.password },
          '/register/password',
          rp.redirectUri,
        ),
      ),
    );
    expect(ends.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([303, 422]);
  });
});

describe('sign-in by a code', () => {
  test('takes an address and the code that went there, and reaches the first level', async () => {
    const person = await registered();
    await t.app.identity.recordProofing(person.accountId, { level: 2, method: 'counter' }, 'system');
    const { browser, attempt, page } = await begin(rp, 'zh-CN', { acr_values: `${loa(2)} ${loa(1)}` });
    const address = await browser.get(`${page.url.href}/code`);
    const codePage = await browser.submit(address, { identifier: person.identifier }, '/code');
    expect(codePage.text).toContain(`${person.identifier.slice(0, 3)}****${person.identifier.slice(-4)}`);
    expect(codePage.text).not.toContain(person.identifier);
    expect(codePage.text).toMatch(/autocomplete="one-time-code"[\s\S]*inputmode="numeric"/);
    const code = await readCode(t.origin, phoneOf(person));
    const next = await browser.submit(codePage, { code }, '/code/enter', rp.redirectUri);
    // The second level is wished for and could be had: the password is asked for as well, for a code to an address is not enough for it.
    expect(next.url.href).not.toContain(rp.redirectUri);
    expect(next.text).toContain('name="password"');
    const arrived = await browser.submit(next, { password: person.password }, '/confirm', rp.redirectUri);
    expect((await rp.redeem(arrived.url, attempt)).claims()).toMatchObject({ acr: loa(2) });
  });

  test('alone arrives at a portal of the first level, by text message and by e-mail', async () => {
    const person = await registered();
    const changer = { accountId: person.accountId as `acc_${string}`, binding: 'b-1', language: 'zh-CN' };
    clock.advance(60);
    await t.app.identity.contacts.askKnown(changer, 'sms');
    const knownCode = await readCode(t.origin, phoneOf(person));
    await t.app.identity.contacts.propose(changer, { text: 'code-alone@example.cn', knownCode });
    await t.app.identity.contacts.confirm(changer, await readCode(t.origin, 'code-alone@example.cn'));
    for (const [identifier, to, amr] of [
      [person.identifier, phoneOf(person), 'sms'],
      ['code-alone@example.cn', 'code-alone@example.cn', 'otp'],
    ] as const) {
      const { browser, attempt, page } = await begin();
      const address = await browser.get(`${page.url.href}/code`);
      const codePage = await browser.submit(address, { identifier }, '/code');
      await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
      const code = await readCode(t.origin, to);
      const arrived = await browser.submit(codePage, { code }, '/code/enter', rp.redirectUri);
      expect((await rp.redeem(arrived.url, attempt)).claims()).toMatchObject({ acr: loa(1), amr: [amr] });
    }
  });

  test('by somebody who has taken a phone number over gets no further than the first level', async () => {
    const victim = await registered();
    await t.app.identity.recordProofing(victim.accountId, { level: 3, method: 'counter' }, 'system');
    const { browser, page } = await begin(strict);
    const address = await browser.get(`${page.url.href}/code`);
    const codePage = await browser.submit(address, { identifier: victim.identifier }, '/code');
    const code = await readCode(t.origin, phoneOf(victim));
    const next = await browser.submit(codePage, { code }, '/code/enter', strict.redirectUri);
    expect(next.url.origin).toBe(t.origin);
    expect(next.text).toContain('name="password"');
  });

  test('tells nobody whether an address has an account', async () => {
    const known = await registered();
    const unchecked = newPhonePerson();
    await t.app.identity.register(unchecked);
    const answers = await Promise.all(
      [known, unchecked, newPhonePerson()].map(async ({ identifier }) => {
        const { browser, page } = await begin();
        const address = await browser.get(`${page.url.href}/code`);
        const sent = await browser.submit(address, { identifier }, '/code');
        const again = await browser.submit(sent, {}, '/resend');
        const guesses: Page[] = [];
        for (let i = 0; i < 7; i++)
          guesses.push(await browser.submit(sent, { code: '000000' }, '/code/enter'));
        return [sent, again, ...guesses].map((shown) => told(shown, identifier));
      }),
    );
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    // After five wrong codes a new one is needed, whoever asks.
    expect(answers[0]?.at(-1)?.text).toContain('已经失效');
    await expect.poll(() => t.app.messages.undelivered()).toEqual([]);
    expect(await outbox()).not.toContain(phoneOf(unchecked));
  });

  test('in one browser is of no use in another', async () => {
    const person = await registered();
    const mine = await begin();
    const theirs = await begin();
    const address = await mine.browser.get(`${mine.page.url.href}/code`);
    const codePage = await mine.browser.submit(address, { identifier: person.identifier }, '/code');
    const code = await readCode(t.origin, phoneOf(person));
    clock.advance(60);
    const other = await theirs.browser.submit(
      await theirs.browser.get(`${theirs.page.url.href}/code`),
      { identifier: newPhonePerson().identifier },
      '/code',
    );
    expect((await theirs.browser.submit(other, { code }, '/code/enter', rp.redirectUri)).status).toBe(422);
    expect((await mine.browser.submit(codePage, { code }, '/code/enter', rp.redirectUri)).status).toBe(303);
  });
});

describe('a second factor', () => {
  test('by text message is sent when it is asked for, and raises the level', async () => {
    const person = await registered();
    await t.app.identity.recordProofing(person.accountId, { level: 3, method: 'counter' }, 'system');
    const { browser, attempt, page } = await begin(rp, 'zh-CN', { acr_values: loa(3) });
    const asked = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
    expect(asked.text).toContain('发送验证码');
    expect(await outbox()).not.toContain(phoneOf(person));
    const codePage = await browser.submit(asked, {}, '/sms/resend');
    const code = await readCode(t.origin, phoneOf(person));
    const wrong = await browser.submit(codePage, { code: wrongCode(code) }, '/sms');
    expect(wrong.status).toBe(422);
    const arrived = await browser.submit(wrong, { code }, '/sms', rp.redirectUri);
    expect((await rp.redeem(arrived.url, attempt)).claims()).toMatchObject({
      acr: loa(3),
      amr: ['pwd', 'sms', 'mfa'],
    });
  });

  test('may be a recovery code, once; its owner is told', async () => {
    const person = await registered();
    await t.app.identity.recordProofing(person.accountId, { level: 3, method: 'counter' }, 'system');
    const [code = ''] = await t.app.identity.recoveryCodes.generate(person.accountId as `acc_${string}`);
    const signIn = async () => {
      const visit = await begin(rp, 'zh-CN', { acr_values: loa(3) });
      const first = await visit.browser.submit(visit.page, { ...person }, '/sign-in', rp.redirectUri);
      const way = await visit.browser.get(`${visit.base}?way=recovery`);
      expect(first.text).toContain('way=recovery');
      return { ...visit, end: await visit.browser.submit(way, { code }, '/recovery-code', rp.redirectUri) };
    };
    const { end, attempt } = await signIn();
    expect((await rp.redeem(end.url, attempt)).claims()).toMatchObject({
      acr: loa(3),
      amr: ['pwd', 'otp', 'mfa'],
    });
    expect(await readMessage(t.origin, phoneOf(person), /备用码于/)).toContain('还剩 9 个');
    expect((await signIn()).end.status).toBe(422);
  });
});
