/** The end of a page, and more time for it: said beforehand, given by a form or a script, and given only so often. */
import type { BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { extendedEnd } from '../../src/oidc/interactions/lifetime.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/chromium.ts';
import { TestClock } from '../support/clock.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

const MINUTE = 60;
const clock = new TestClock(new Date());
let t: TestApp;
let rp: RelyingParty;
let chromium: BrowserContext;

beforeAll(async () => {
  t = await startApp({ clock });
  rp = await registerRelyingParty(t, { clientId: 'open' });
  chromium = await openBrowser({ locale: 'zh-CN' });
});
afterAll(async () => {
  await chromium.close();
  await rp.stop();
  await t.stop();
});

/** The library has the real time for the end of what it makes. */
beforeEach(() => clock.advance((Date.now() - clock.now().getTime()) / 1000));

async function newAccount() {
  const person = newPerson();
  await t.app.identity.register(person);
  return person;
}

const untilOf = (page: Page) => /请在 (\d\d:\d\d) 之前完成/.exec(page.text)?.[1];
const isSignIn = (page: Page) => page.forms.some(({ action }) => action.pathname.endsWith('/sign-in'));

test('a page says when it ends, in the time of the people who are served', async () => {
  const asked = Date.now();
  const page = await new UserAgent().get((await rp.begin()).url);
  // The request began in some second between these two.
  const times = [Math.floor(asked / 1000) * 1000, Date.now()].map((began) =>
    new Date(began + 30 * MINUTE * 1000).toLocaleTimeString('zh-CN', {
      timeZone: 'Asia/Shanghai',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }),
  );
  expect(times).toContain(untilOf(page));
});

test('without more time a request is over after half an hour, and begins again', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  clock.advance(31 * MINUTE);
  const again = await browser.submit(page, { ...newPerson() }, '/sign-in');
  expect(again.url.pathname).not.toBe(page.url.pathname);
  expect(again.visited.map(({ pathname }) => pathname)).toContain('/authorize');
});

test('who asks for more time in time can go on where they were, with what they have shown', async () => {
  const browser = new UserAgent();
  const person = await newAccount();
  const attempt = await rp.begin();
  const page = await browser.get(attempt.url);
  clock.advance(25 * MINUTE);
  const extended = await browser.submit(page, {}, '/extend');
  expect(extended.url.pathname).toBe(page.url.pathname);
  expect(extended.text).toContain('role="status"');
  expect(untilOf(extended)).not.toBe(untilOf(page));
  clock.advance(20 * MINUTE);
  const done = await browser.submit(extended, { ...person }, '/sign-in', rp.redirectUri);
  expect(done.url.searchParams.get('code')).toBeTruthy();
  expect((await rp.redeem(done.url, attempt)).claims()?.sub).toBeTruthy();
});

test('more time is given ten times and no more, and never takes time away', () => {
  const iat = 1_000_000;
  let [now, exp, times] = [iat, iat + 1800, 0];
  for (;;) {
    now = exp - 1;
    const end = extendedEnd({ iat, exp }, now);
    expect(end).toBeGreaterThanOrEqual(exp);
    if (end === exp) break;
    exp = end;
    times += 1;
  }
  // The last second of each is used up by the next.
  expect(times).toBe(11);
  expect(exp).toBe(iat + 11 * 1800);
  expect(extendedEnd({ iat, exp: iat + 1800 }, iat)).toBe(iat + 1800);
});

test('after the last extension the page has no button for another, and a form all the same changes nothing', async () => {
  const browser = new UserAgent();
  let page = await browser.get((await rp.begin()).url);
  for (let given = 0; given < 12; given += 1) {
    if (!page.forms.some(({ action }) => action.pathname.endsWith('/extend'))) break;
    clock.advance(29 * MINUTE);
    page = await browser.submit(page, {}, '/extend');
    expect(isSignIn(page)).toBe(true);
  }
  expect(page.forms.some(({ action }) => action.pathname.endsWith('/extend'))).toBe(false);
  const cookie = await browser.jar.getCookieString(page.url.href);
  const csrf = page.forms[0]?.fields['csrf'] ?? '';
  const late = await fetch(`${page.url.origin}${page.url.pathname}/extend`, {
    method: 'POST',
    headers: { Cookie: cookie, Origin: t.origin, Accept: 'application/json' },
    body: new URLSearchParams({ csrf }),
  });
  const { time } = (await late.json()) as { time: string };
  expect(time).toBe(untilOf(page));
});

test('nobody else gives a page more time, and nobody is sent elsewhere by it', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  const address = `${page.url.origin}${page.url.pathname}/extend`;
  const cookie = await browser.jar.getCookieString(page.url.href);
  const csrf = page.forms[0]?.fields['csrf'] ?? '';
  const post = (headers: Record<string, string>, body: Record<string, string>) =>
    fetch(address, {
      method: 'POST',
      redirect: 'manual',
      headers: { Accept: 'text/html', ...headers },
      body: new URLSearchParams(body),
    });
  expect((await post({ Cookie: cookie, Origin: t.origin }, {})).status).toBe(403);
  expect((await post({ Cookie: cookie, Origin: 'https://evil.example' }, { csrf })).status).toBe(403);
  // Without the cookie of the interaction it is somebody else's.
  expect((await post({ Origin: t.origin }, { csrf })).status).toBe(400);
  for (const back of [
    'https://evil.example/',
    '//evil.example',
    '/account',
    `${page.url.pathname}/../../account`,
  ]) {
    const answer = await post({ Cookie: cookie, Origin: t.origin }, { csrf, back });
    expect(answer.headers.get('location'), back).toBe(`${page.url.pathname}?extended=yes`);
  }
});

test("a session on our own pages lasts eight hours more for whoever wants to stay, and is nobody's without one", async () => {
  const browser = new UserAgent();
  const person = await newAccount();
  let page = await browser.submit(await browser.get(`${t.origin}/approvals`), { ...person }, '/sign-in');
  expect(page.text).toContain('您的登录在');
  clock.advance(7 * 3600);
  page = await browser.submit(page, {}, '/session/extend');
  expect(page.url.pathname).toBe('/approvals');
  clock.advance(7 * 3600);
  expect(isSignIn(await browser.get(`${t.origin}/approvals`))).toBe(false);
  clock.advance(9 * 3600);
  expect(isSignIn(await browser.submit(page, {}, '/session/extend'))).toBe(true);
});

test('two minutes before the end a dialog asks, keeps what was typed, and gives more time without leaving the page', async () => {
  const person = await newAccount();
  const page = await chromium.newPage();
  await page.clock.install();
  await page.goto((await rp.begin()).url.href);
  const address = page.url();
  const dialog = page.getByRole('alertdialog');
  await page.fill('#identifier', person.identifier);
  await page.fill('#password', person.password);
  await page.clock.fastForward('27:00');
  expect(await dialog.isVisible()).toBe(false);
  clock.advance(28 * MINUTE);
  await page.clock.fastForward('01:10');
  await dialog.waitFor();
  // Announced by its name and words, with the focus on what gives more time.
  expect(await dialog.getAttribute('aria-labelledby')).toBe('lifetime-title');
  expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe('继续使用');
  const before = await page.locator('[data-lifetime-until]').textContent();
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'hidden' });
  expect(page.url()).toBe(address);
  expect(await page.locator('[data-lifetime-until]').textContent()).not.toBe(before);
  expect(await page.getByRole('status').textContent()).toContain('已经延长到');
  expect(await page.inputValue('#password')).toBe(person.password);
  clock.advance(10 * MINUTE);
  await page.route(`${rp.redirectUri}**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: 'portal' }),
  );
  await page.click('form[action$="/sign-in"] button[type="submit"]');
  await page.waitForURL(`${rp.redirectUri}**`);
  await page.close();
});

test('who did not answer is told that the page has ended, and how to begin again', async () => {
  const page = await chromium.newPage();
  await page.clock.install();
  await page.goto((await rp.begin({ prompt: 'login' })).url.href);
  const address = page.url();
  await page.clock.fastForward('31:00');
  await page.getByRole('alertdialog').waitFor();
  expect(await page.getByRole('alertdialog').textContent()).toContain('这个页面已经失效');
  const again = page.waitForRequest((request) => request.url() === address && request.method() === 'GET');
  await page.click('dialog a');
  await again;
  await page.close();
});
