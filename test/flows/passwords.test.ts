/** Passwords over real HTTP: what people see when many sign in at once, and what a new password must be. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BrowserContext } from 'playwright-core';
import { readCode } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/chromium.ts';
import {
  newPerson,
  newPhonePerson,
  registerRelyingParty,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

let people = 0;

/** The page on which a registration chooses a password: the address is checked. */
async function toPassword(t: TestApp, browser: UserAgent, signInPage: Page, { identifier }: Person) {
  const address = await browser.get(`${signInPage.url.href}/register`);
  const sent = await browser.submit(address, { identifier }, '/register');
  const to = identifier.includes('@') ? identifier : `+86${identifier}`;
  return browser.submit(sent, { code: await readCode(t.origin, to) }, '/register/code');
}

describe('when too many people sign in', () => {
  let t: TestApp;
  let rp: RelyingParty;

  beforeAll(async () => {
    t = await startApp({
      // One hash at a time, which takes a while, and nobody waits.
      env: {
        PASSWORD_HASHES_IN_FLIGHT: '1',
        PASSWORD_WAIT_SECONDS: '0',
        ARGON2_MEMORY_KIB: '65536',
        ARGON2_PASSES: '40',
      },
    });
    rp = await registerRelyingParty(t, { clientId: 'busy' });
  });
  afterAll(async () => {
    await rp.stop();
    await t.stop();
  });

  test('the others get their form back with a 503 and the time to wait, and nothing they typed is lost but the password', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const arrived = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const browser = new UserAgent();
        return { browser, page: await browser.get((await rp.begin()).url) };
      }),
    );
    const answers = await Promise.all(
      arrived.map(({ browser, page }) => browser.submit(page, { ...person }, '/sign-in', rp.redirectUri)),
    );
    const served = answers.filter(({ url }) => url.href.startsWith(rp.redirectUri));
    const refused = answers.filter((answer) => !served.includes(answer));
    expect(served.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    for (const { status, headers, text, forms } of refused) {
      expect(status).toBe(503);
      const seconds = Number(headers.get('retry-after'));
      expect(seconds).toBeGreaterThan(0);
      expect(text).toContain(`请在 ${seconds} 秒后再次输入密码`);
      expect(text).not.toContain(person.password);
      expect(forms[0]?.fields).toMatchObject({ identifier: person.identifier, password: '' });
    }
    const again = arrived[answers.findIndex((answer) => refused.includes(answer))];
    const [page] = refused;
    if (!again || !page) throw new Error('nobody was refused');
    const second = await again.browser.submit(
      page,
      { password: person.password },
      '/sign-in',
      rp.redirectUri,
    );
    expect(second.url.href.startsWith(rp.redirectUri)).toBe(true);
  });

  test('operators see how many hashes are made and how many people wait', async () => {
    const metrics = await (await fetch(`${t.origin}/metrics`)).text();
    expect(metrics).toMatch(/^yinxin_password_hashes\{state="in-flight"\} \d+$/m);
    expect(metrics).toMatch(/^yinxin_password_hashes\{state="waiting"\} \d+$/m);
  });

  test('a registration keeps its checked address too', async () => {
    const forms = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const browser = new UserAgent();
        const person = newPhonePerson();
        const page = await browser.get((await rp.begin()).url);
        return { browser, person, page: await toPassword(t, browser, page, person) };
      }),
    );
    const answers = await Promise.all(
      forms.map(async ({ browser, person, page }) => {
        const fields = { password: person.password, passwordAgain: person.password };
        return { person, answer: await browser.submit(page, fields, '/register/password', rp.redirectUri) };
      }),
    );
    const refused = answers.filter(({ answer }) => answer.status === 503);
    expect(refused.length).toBeGreaterThan(0);
    for (const { answer, person } of refused) {
      expect(answer.forms[0]?.fields).toMatchObject({ username: `+86${person.identifier}`, password: '' });
      expect(await t.app.identity.find(person.identifier)).toBeUndefined();
    }
  });
});

describe('a new password', () => {
  let t: TestApp;
  let rp: RelyingParty;

  beforeAll(async () => {
    t = await startApp();
    rp = await registerRelyingParty(t, { clientId: 'new-passwords' });
  });
  afterAll(async () => {
    await rp.stop();
    await t.stop();
  });

  test.each([
    ['too short', 'kx8-j2p', '至少需要 15 个字符'],
    ['that everybody would try', 'password1234567', '太常见'],
    ['made of the address', 'lin.xiaoyu1988lin.xiaoyu', '太常见'],
    ['made of the name of the service', 'yinxin2024yinxin', '太常见'],
  ])('%s is refused at registration with what to do', async (_what, password, words) => {
    const browser = new UserAgent();
    const page = await browser.get((await rp.begin()).url);
    people += 1;
    const person = { identifier: `lin.xiaoyu1988+${people}@example.cn`, password };
    const form = await toPassword(t, browser, page, person);
    const answer = await browser.submit(form, { password, passwordAgain: password }, '/register/password');
    expect(answer.status).toBe(422);
    expect(answer.text).toContain(words);
    expect(answer.text).not.toContain(`"${password}"`);
  });
});

describe('a password that may not go on as it is', () => {
  let t: TestApp;
  let rp: RelyingParty;

  beforeAll(async () => {
    t = await startApp({ env: { PASSWORD_RULES: '{"maximumAgeDays":90,"leastKinds":3}' } });
    rp = await registerRelyingParty(t, { clientId: 'strict' });
  });
  afterAll(async () => {
    await rp.stop();
    await t.stop();
  });

  async function arrive(person: { identifier: string; password: string }, browser = new UserAgent()) {
    const attempt = await rp.begin();
    const page = await browser.get(attempt.url);
    return {
      browser,
      attempt,
      page: await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri),
    };
  }
  const choose = (browser: UserAgent, page: Page, password: string, again = password) =>
    browser.submit(page, { password, passwordAgain: again }, '/new-password', rp.redirectUri);

  test('because of its age is changed at the next sign-in, and everything that was begun with it ends', async () => {
    const person = { identifier: 'aged-one', password: 'a heron at the Weir' };
    await t.app.identity.register(person);
    const before = await arrive(person);
    expect(before.page.url.href.startsWith(rp.redirectUri)).toBe(true);
    await rp.redeem(before.page.url, before.attempt);

    await t.app.db.query(
      `UPDATE password_credentials SET created_at = created_at - interval '91 days' WHERE account_id = $1`,
      [await t.app.identity.find(person.identifier)],
    );
    const { browser, page, attempt } = await arrive(person);
    expect(page.status).toBe(200);
    expect(page.text).toContain('请设置新密码');

    expect((await choose(browser, page, 'shorter')).text).toContain('至少需要 15 个字符');
    expect((await choose(browser, page, 'a heron at the weir')).text).toContain('至少 3 种');
    expect((await choose(browser, page, 'An otter by the bridge', 'another')).text).toContain(
      '两次输入的密码不一样',
    );
    const reused = await choose(browser, page, person.password);
    expect(reused.status).toBe(422);
    expect(reused.text).toContain('这个密码您用过了');
    const done = await choose(browser, page, 'An otter by the bridge');
    expect(done.url.href.startsWith(rp.redirectUri)).toBe(true);
    expect((await rp.redeem(done.url, attempt)).claims()?.amr).toEqual(['pwd']);

    expect((await arrive(person)).page.text).toContain('密码不正确');
    const after = await arrive({ ...person, password: 'An otter by the bridge' });
    expect(after.page.url.href.startsWith(rp.redirectUri)).toBe(true);
    // The session of before is over: its browser is asked to sign in.
    expect((await before.browser.get((await rp.begin()).url, rp.redirectUri)).url.pathname).toMatch(
      /^\/interaction\//,
    );
  });

  test('is no way to change one that may: the form is over for who was not asked', async () => {
    const person = { identifier: 'fresh-one', password: 'a heron at the Weir' };
    await t.app.identity.register(person);
    const browser = new UserAgent();
    const page = await browser.get((await rp.begin()).url);
    const base = page.url.pathname;
    const form = {
      ...page,
      forms: page.forms.map((each) => ({ ...each, action: new URL(`${base}/new-password`, page.url) })),
    };
    await choose(browser, form, 'An otter by the bridge');
    expect((await arrive(person)).page.url.href.startsWith(rp.redirectUri)).toBe(true);
  });

  test('because it is short and alone now is changed to a longer one', async () => {
    const person = { identifier: 'short-one', password: 'a heron at the Weir' };
    const { accountId } = await t.app.identity.register(person);
    await t.app.db.query(
      'INSERT INTO totp_credentials (account_id, secret, last_step, created_at) VALUES ($1, $2, 0, $3)',
      [accountId, Buffer.alloc(20), new Date()],
    );
    await t.app.changePassword({ accountId, present: person.password, password: 'Kx8-j2pq' });
    const short = { ...person, password: 'Kx8-j2pq' };
    const asked = await arrive(short);
    expect(asked.page.forms.some(({ action }) => action.pathname.endsWith('/otp'))).toBe(true);

    await t.app.db.query('DELETE FROM totp_credentials WHERE account_id = $1', [accountId]);
    const { browser, page } = await arrive(short);
    expect(page.text).toContain('您的密码较短');
    expect((await choose(browser, page, 'Qz7-w4vt')).text).toContain('至少需要 15 个字符');
    const done = await choose(browser, page, 'An otter by the bridge');
    expect(done.url.href.startsWith(rp.redirectUri)).toBe(true);
  });
});

describe('in a browser with scripts', () => {
  let t: TestApp;
  let rp: RelyingParty;
  let browser: BrowserContext;

  beforeAll(async () => {
    t = await startApp();
    rp = await registerRelyingParty(t, { clientId: 'scripts' });
    browser = await openBrowser({ locale: 'zh-CN' });
  });
  afterAll(async () => {
    await browser.close();
    await rp.stop();
    await t.stop();
  });

  test('a password can be looked at, is typed once at registration, and is hidden when it goes', async () => {
    const page = await browser.newPage();
    await page.goto((await rp.begin()).url.href);
    await page.getByRole('link', { name: '注册' }).click();
    await page.getByLabel('手机号或邮箱').fill('typed-once@example.cn');
    await page.getByRole('button', { name: '发送验证码' }).click();
    await page.getByLabel('验证码', { exact: true }).fill(await readCode(t.origin, 'typed-once@example.cn'));
    await page.getByRole('button', { name: '继续' }).click();
    const password = page.getByLabel('设置密码', { exact: true });
    const type = () => password.getAttribute('type');
    await password.fill('a heron at the weir');
    expect(await page.getByLabel('再次输入密码').isVisible()).toBe(false);
    expect(await type()).toBe('password');
    await page.getByRole('button', { name: '显示密码' }).click();
    expect(await type()).toBe('text');
    await page.getByRole('button', { name: '隐藏密码' }).click();
    expect(await type()).toBe('password');
    await page.getByRole('button', { name: '显示密码' }).click();
    const sent = page.waitForRequest((request) => request.method() === 'POST');
    await page.getByRole('button', { name: '创建账号' }).click();
    const body = new URLSearchParams((await sent).postData() ?? '');
    expect(body.get('passwordAgain')).toBe('a heron at the weir');
    await expect.poll(() => t.app.identity.find('typed-once@example.cn')).toMatch(/^acc_/);
    await page.close();
  });
});
