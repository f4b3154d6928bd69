/** Signing in on a screen by approving on a phone: two browsers, real HTTP, no script. */
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { newPerson, registerRelyingParty, type Person, type RelyingParty } from '../support/relying-party.ts';

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

const desktopHeaders = {
  'Accept-Language': 'en',
  'User-Agent': 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36',
};

async function newAccount(): Promise<Person & { accountId: AccountId }> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { ...person, accountId };
}

/** A phone that is signed in. */
async function phoneOf(person: Person): Promise<UserAgent> {
  const phone = new UserAgent({ 'Accept-Language': 'en' });
  const page = await phone.get(`${t.origin}/approvals`);
  await phone.submit(page, { ...person }, '/sign-in');
  return phone;
}

/** A screen that shows a code. */
async function screen(parameters: Record<string, string> = {}) {
  const browser = new UserAgent(desktopHeaders);
  const attempt = await rp.begin(parameters);
  const signInPage = await browser.get(attempt.url, rp.redirectUri);
  const page = await browser.submit(signInPage, {}, '/phone');
  const look = (search = '') =>
    browser.get(`${page.url.origin}${page.url.pathname}${search}`, rp.redirectUri);
  return { browser, attempt, page, look, address: addressOn(page) };
}

/** The address that the code stands for. */
function addressOn(page: Page): string {
  const address = new RegExp(`href="(${t.origin}/phone/[^"]+)"`).exec(page.text)?.[1];
  if (address === undefined) throw new Error(`no code on ${page.url.href}: ${page.text}`);
  return address;
}

function numberOn(page: Page): string {
  const number = /class="number"><strong>(\d\d)</.exec(page.text)?.[1];
  if (number === undefined) throw new Error(`no number on ${page.url.href}`);
  return number;
}

/** Scans the code and goes on to what is asked. */
async function open(phone: UserAgent, address: string): Promise<Page> {
  return phone.submit(await phone.get(address), {}, '/phone/open');
}

const has = (page: Page, action: string) =>
  page.forms.some(({ action: { pathname } }) => pathname.endsWith(action));
const wrong = (number: string) => (number === '99' ? '10' : String(Number(number) + 1));

describe('a sign-in on a screen', () => {
  test('is approved on a phone that has seen portal, account, device, network and time, by the number of the screen', async () => {
    const person = await newAccount();
    const phone = await phoneOf(person);
    const { attempt, page, look, address } = await screen();
    expect(page.status).toBe(200);
    expect(page.text).toContain('<svg');
    expect(page.headers.get('refresh')).toBe('3');
    expect(page.text).not.toContain('class="number"');

    const question = await open(phone, address);
    expect(question.url.pathname).toBe('/phone');
    for (const word of ['Test portal zhejiang', person.identifier, 'Chrome · Windows', '127.0.*.*'])
      expect(question.text).toContain(word);
    expect(question.text).toContain('The same network as this phone');
    expect(question.text).toContain('just now');

    const numbered = await look();
    const number = numberOn(numbered);
    expect(question.text).not.toContain(`>${number}<`);
    const done = await phone.submit(question, { decision: 'allow', number }, '/phone');
    expect(done.text).toContain('Go back to the other device');

    const finished = await look();
    expect(finished.url.href.startsWith(rp.redirectUri)).toBe(true);
    const claims = (await rp.redeem(finished.url, attempt)).claims();
    expect(claims).toMatchObject({ amr: ['pwd', 'mca'] });
    expect(
      await t.app.db.query(
        `SELECT type FROM audit_events WHERE subject = $1 AND type <> 'account.device-added' ORDER BY seq`,
        [person.accountId],
      ),
    ).toEqual(
      ['account.registered', 'account.signed-in', 'cross-device.approved', 'account.signed-in'].map(
        (type) => ({ type }),
      ),
    );
  });

  test('is refused on the phone, and says so', async () => {
    const phone = await phoneOf(await newAccount());
    const { look, address } = await screen();
    const question = await open(phone, address);
    const done = await phone.submit(question, { decision: 'deny' }, '/phone');
    expect(done.text).toContain('You refused');
    const page = await look();
    expect(page.text).toContain('The sign-in was refused');
    expect(page.headers.get('refresh')).toBeNull();
    // A new code can be asked for.
    expect(has(page, '/phone')).toBe(true);
  });

  test('stops looking by itself when the person says so, and looks when they ask', async () => {
    const { page, look } = await screen();
    expect(page.text).toContain('?wait=no');
    const still = await look('?wait=no');
    expect(still.headers.get('refresh')).toBeNull();
    expect(still.text).toContain('Check now');
    expect(still.text).toContain('<svg');
  });

  test('is over after a minute without a phone, and can begin anew', async () => {
    const { browser, look, address } = await screen();
    clock.advance(60);
    const page = await look();
    expect(page.text).toContain('no longer valid');
    expect(page.headers.get('refresh')).toBeNull();
    const again = await browser.submit(page, {}, '/phone');
    expect(addressOn(again)).not.toBe(address);
  });

  test('of a phone that is not signed in begins with signing in there, and one that was idle confirms first', async () => {
    const person = await newAccount();
    const phone = new UserAgent({ 'Accept-Language': 'en' });
    const { look, address } = await screen();
    const asked = await open(phone, address);
    expect(has(asked, '/sign-in')).toBe(true);
    const question = await phone.submit(asked, { ...person }, '/sign-in');
    expect(question.url.pathname).toBe('/phone');
    await phone.submit(question, { decision: 'allow', number: numberOn(await look()) }, '/phone');
    expect((await look()).url.href.startsWith(rp.redirectUri)).toBe(true);

    clock.advance(901);
    const second = await screen();
    const confirm = await open(phone, second.address);
    expect(has(confirm, '/confirm')).toBe(true);
    const confirmed = await phone.submit(confirm, { password: person.password }, '/confirm');
    expect(confirmed.url.pathname).toBe('/phone');
    await phone.submit(confirmed, { decision: 'allow', number: numberOn(await second.look()) }, '/phone');
    expect((await second.look()).url.href.startsWith(rp.redirectUri)).toBe(true);
  });

  test('is no ground for approving the next one: what was shown on the first phone gets no fresher on the way', async () => {
    const person = await newAccount();
    const phone = await phoneOf(person);
    clock.advance(850);
    const first = await screen();
    const question = await open(phone, first.address);
    await phone.submit(question, { decision: 'allow', number: numberOn(await first.look()) }, '/phone');
    expect((await first.look()).url.href.startsWith(rp.redirectUri)).toBe(true);
    clock.advance(60);
    const next = await screen();
    expect(has(await open(first.browser, next.address), '/confirm')).toBe(true);
  });

  test('reaches what the phone has shown and no more: it is no factor of its own', async () => {
    const person = await newAccount();
    const { accountId } = person;
    await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
    const { secret } = t.app.identity.totp.propose('');
    const code = () => {
      clock.advance(30);
      return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
    };
    await t.app.identity.totp.enrol({ accountId, secret, code: code() });
    const phone = await phoneOf(person);
    const loa3 = {
      claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'urn:yinxin:loa:3' } } }),
    };
    const approve = async () => {
      const { look, address, attempt } = await screen(loa3);
      const question = await open(phone, address);
      await phone.submit(question, { decision: 'allow', number: numberOn(await look()) }, '/phone');
      return { attempt, page: await look() };
    };
    // The password that the phone has shown is not worth more on the screen, nor is typing it there once more.
    const { page } = await approve();
    expect(has(page, '/otp')).toBe(true);
    expect(page.text).not.toContain('name="password"');

    const asked = await phone.get((await rp.begin(loa3)).url, rp.redirectUri);
    await phone.submit(asked, { code: code() }, '/otp', rp.redirectUri);
    const second = await approve();
    expect((await rp.redeem(second.page.url, second.attempt)).claims()).toMatchObject({
      acr: 'urn:yinxin:loa:3',
      amr: expect.arrayContaining(['pwd', 'otp', 'mca', 'mfa']),
    });
  });
});

describe('an attack on a sign-in by phone', () => {
  test('with a code that was used: the second phone gets nothing, before and after the approval', async () => {
    const [owner, thief] = [await phoneOf(await newAccount()), await phoneOf(await newAccount())];
    const { look, address } = await screen();
    const question = await open(owner, address);
    const second = await open(thief, address);
    expect(second.status).toBe(410);
    expect(second.text).toContain('no longer valid');
    await owner.submit(question, { decision: 'allow', number: numberOn(await look()) }, '/phone');
    expect((await open(thief, address)).status).toBe(410);
    expect((await open(owner, address)).status).toBe(410);
  });

  test('by guessing the number: the first wrong one ends it, and the screen says so', async () => {
    const phone = await phoneOf(await newAccount());
    const { look, address } = await screen();
    const question = await open(phone, address);
    const number = numberOn(await look());
    const slip = await phone.submit(question, { decision: 'allow', number: '7' }, '/phone');
    expect(slip.status).toBe(422);
    const missed = await phone.submit(slip, { decision: 'allow', number: wrong(number) }, '/phone');
    expect(missed.text).toContain('the sign-in has ended');
    expect((await phone.submit(question, { decision: 'allow', number }, '/phone')).status).toBe(410);
    expect((await look()).text).toContain('did not match');
  });

  test('from another browser than the one with the code: it cannot finish, with or without the address', async () => {
    const phone = await phoneOf(await newAccount());
    const { page, look, address } = await screen();
    const question = await open(phone, address);
    await phone.submit(question, { decision: 'allow', number: numberOn(await look()) }, '/phone');
    const other = new UserAgent(desktopHeaders);
    const stolen = await other.get(page.url, rp.redirectUri);
    expect(stolen.url.href.startsWith(rp.redirectUri)).toBe(false);
    const own = await screen();
    const crossed = await own.browser.get(page.url, rp.redirectUri);
    expect(crossed.url.href.startsWith(rp.redirectUri)).toBe(false);
    expect((await look()).url.href.startsWith(rp.redirectUri)).toBe(true);
  });

  test('by approving after the time is over', async () => {
    const phone = await phoneOf(await newAccount());
    const { look, address } = await screen();
    const question = await open(phone, address);
    const number = numberOn(await look());
    clock.advance(300);
    expect((await phone.submit(question, { decision: 'allow', number }, '/phone')).status).toBe(410);
    expect((await look()).text).toContain('no longer valid');
  });

  test('by putting another request under the page that the person has open', async () => {
    const phone = await phoneOf(await newAccount());
    const mine = await screen();
    const question = await open(phone, mine.address);
    // The attacker's code is opened in another tab, or by a link: the cookie is now of their request.
    const theirs = await screen();
    await open(phone, theirs.address);
    const number = numberOn(await theirs.look());
    expect((await phone.submit(question, { decision: 'allow', number }, '/phone')).status).toBe(410);
    expect((await theirs.look()).text).toContain(`<strong>${number}</strong>`);
  });

  test('by changing who is signed in between the page and the click', async () => {
    const [first, second] = [await newAccount(), await newAccount()];
    const phone = await phoneOf(first);
    const { look, address } = await screen();
    const question = await open(phone, address);
    const number = numberOn(await look());
    const over = await phone.get(`${t.origin}/end-session`);
    await phone.submit(over, { logout: 'yes' }, '/confirm');
    await phone.submit(await phone.get(`${t.origin}/approvals`), { ...second }, '/sign-in');
    expect((await phone.submit(question, { decision: 'allow', number }, '/phone')).status).toBe(410);
    expect((await look()).text).toContain(`<strong>${number}</strong>`);
  });

  test('from a page of another site', async () => {
    const phone = await phoneOf(await newAccount());
    const { page, look, address } = await screen();
    const question = await open(phone, address);
    const number = numberOn(await look());
    const fields = { ...question.forms.find(({ action }) => action.pathname === '/phone')?.fields, number };
    const post = async (body: Record<string, string>, origin: string) =>
      fetch(`${t.origin}/phone`, {
        method: 'POST',
        headers: { Cookie: await phone.jar.getCookieString(t.origin), Origin: origin, Accept: 'text/html' },
        body: new URLSearchParams({ ...body, decision: 'allow' }),
      });
    expect((await post({ ...fields, csrf: 'x' }, t.origin)).status).toBe(403);
    expect((await post(fields, 'https://evil.example')).status).toBe(403);
    expect((await look()).text).toContain(`<strong>${number}</strong>`);
    // Nor does a code begin by itself.
    const begun = await fetch(page.url, { method: 'POST', headers: { Accept: 'text/html' } });
    expect(begun.status).toBeGreaterThanOrEqual(400);
  });

  test('by looking with HEAD: nothing is taken', async () => {
    const phone = await phoneOf(await newAccount());
    const { browser, page, look, address } = await screen();
    const question = await open(phone, address);
    await phone.submit(question, { decision: 'allow', number: numberOn(await look()) }, '/phone');
    const head = await fetch(page.url, {
      method: 'HEAD',
      redirect: 'manual',
      headers: { Cookie: await browser.jar.getCookieString(page.url.href) },
    });
    expect(head.status).toBe(200);
    expect((await look()).url.href.startsWith(rp.redirectUri)).toBe(true);
  });

  test('with addresses that nobody made', async () => {
    const phone = await phoneOf(await newAccount());
    for (const token of ['x', 'xdr_0.x', '%00', '..%2f..%2f', 'y'.repeat(3000), '<script>']) {
      const page = await phone.get(`${t.origin}/phone/${token}`);
      expect(page.status, token.slice(0, 20)).toBeLessThan(500);
      expect(page.text).not.toContain('<script>');
      if (page.status === 200) expect((await phone.submit(page, {}, '/phone/open')).status).toBe(410);
    }
    expect((await phone.get(`${t.origin}/phone`)).status).toBe(410);
  });
});
