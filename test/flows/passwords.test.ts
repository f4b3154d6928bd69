/** Passwords over real HTTP: what people see when many sign in at once, and what a new password must be. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

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

  test('a registration keeps what was typed too', async () => {
    const forms = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const browser = new UserAgent();
        const page = await browser.get((await rp.begin()).url);
        return { browser, page: await browser.get(`${page.url.href}/register`) };
      }),
    );
    const answers = await Promise.all(
      forms.map(({ browser, page }) => {
        const person = newPerson();
        const fields = { ...person, passwordAgain: person.password };
        return browser
          .submit(page, fields, '/register', rp.redirectUri)
          .then((answer) => ({ answer, person }));
      }),
    );
    const refused = answers.filter(({ answer }) => answer.status === 503);
    expect(refused.length).toBeGreaterThan(0);
    for (const { answer, person } of refused) {
      expect(answer.forms[0]?.fields).toMatchObject({ identifier: person.identifier, password: '' });
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
    ['made of the user name', 'lin.xiaoyu1988lin.xiaoyu', '太常见'],
    ['made of the name of the service', 'yinxin2024yinxin', '太常见'],
  ])('%s is refused at registration with what to do', async (_what, password, words) => {
    const browser = new UserAgent();
    const page = await browser.get((await rp.begin()).url);
    const form = await browser.get(`${page.url.href}/register`);
    const answer = await browser.submit(
      form,
      { identifier: 'lin.xiaoyu1988', password, passwordAgain: password },
      '/register',
    );
    expect(answer.status).toBe(422);
    expect(answer.text).toContain(words);
    expect(answer.text).not.toContain(`"${password}"`);
  });
});
