/** Proving who one is on the way to a portal, over HTTP, with the register of invented people. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';
import { stable } from '../support/stable.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
let t: TestApp;
/** Reached by nobody below level 2. */
let strict: RelyingParty;
let open: RelyingParty;

beforeAll(async () => {
  t = await startApp({ env: { IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' } });
  strict = await registerRelyingParty(t, { clientId: 'strict', registration: { minimumAcr: loa(2) } });
  open = await registerRelyingParty(t, { clientId: 'open' });
});
afterAll(async () => {
  await Promise.all([strict.stop(), open.stop()]);
  await t.stop();
});

const fields = (name: string, kind = 'resident-id') => {
  const { number, issuingCountry, third } = statementOf(fictional(name, kind));
  return { name, number, value: third.value, ...(issuingCountry === undefined ? {} : { issuingCountry }) };
};
const link = (page: Page, text: RegExp) => {
  const href = [...page.text.matchAll(/<a\b[^>]*href="([^"]*)"[^>]*>([\s\S]*?)<\/a>/g)].find(
    ([, , label = '']) => text.test(label),
  )?.[1];
  if (href === undefined) throw new Error(`${page.url.href} has no link ${text.source}`);
  return new URL(href.replaceAll('&amp;', '&'), page.url);
};
async function register(): Promise<{ person: Person; accountId: string }> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { person, accountId };
}
/** Signs in at the strict portal, up to the first page after. */
async function arrive(browser: UserAgent, person: Person, parameters: Record<string, string> = {}) {
  const attempt = await strict.begin(parameters);
  const first = await browser.get(attempt.url, strict.redirectUri);
  return { attempt, page: await browser.submit(first, { ...person }, '/sign-in', strict.redirectUri) };
}
const claimsOf = async (page: Page, attempt: Parameters<RelyingParty['redeem']>[1]) =>
  (await strict.redeem(page.url, attempt)).claims();

describe('proofing on the way', () => {
  test('a portal that asks for level 2 gets it after three items agree', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const { attempt, page } = await arrive(browser, person);
    expect(page.url.pathname).toMatch(/\/proofing$/);
    expect(page.text).toContain('都是虚构的');
    const done = await browser.submit(page, fields('王小示'), '/proofing', strict.redirectUri);
    expect(await claimsOf(done, attempt)).toMatchObject({ acr: loa(2), amr: ['pwd'] });
    // The level stands from now on.
    const again = await signIn(strict, new UserAgent(), person);
    expect(await claimsOf(again.page, again)).toMatchObject({ acr: loa(2) });
  });

  test('whichever item is wrong, the page is the same', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const { page } = await arrive(browser, person);
    const right = fields('买买提·示例');
    const pages = [];
    for (const wrong of [{ name: '买买提' }, { number: fields('张三').number }, { value: '19900000009' }]) {
      const answer = await browser.submit(page, { ...right, ...wrong }, '/proofing', strict.redirectUri);
      expect(answer.status).toBe(422);
      expect(answer.text).toContain('信息核对不一致');
      // What was typed, and what is new on every page, aside.
      pages.push(stable(answer.text).replaceAll(/value="[^"]*"/g, ''));
    }
    expect(new Set(pages).size).toBe(1);
  });

  test('what cannot be right is said at its field', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const { page } = await arrive(browser, person);
    const wrong = await browser.submit(
      page,
      { name: '', number: '110105491231002', value: '1' },
      '/proofing',
    );
    expect(wrong.status).toBe(422);
    for (const text of ['18 位号码', '请填写证件上的姓名', '请填写手机号'])
      expect(wrong.text).toContain(text);
  });

  test('another document, and another third item, are links away', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const { attempt, page } = await arrive(browser, person);
    const kinds = await browser.get(link(page, /使用其他证件/));
    const passport = await browser.get(link(kinds, /护照/));
    const byBirth = await browser.get(link(passport, /改填出生日期/));
    const { birthdate } = fictional('Anna Maria Eriksson', 'passport');
    const filled = { ...fields('Anna Maria Eriksson', 'passport'), value: birthdate };
    const done = await browser.submit(byBirth, filled, '/proofing', strict.redirectUri);
    expect(await claimsOf(done, attempt)).toMatchObject({ acr: loa(2) });
  });

  test('a live check goes on elsewhere, comes back, and gives level 3 to whoever shows two factors', async () => {
    const { person, accountId } = await register();
    const browser = new UserAgent();
    const { attempt, page } = await arrive(browser, person, { acr_values: loa(3) });
    const next = await browser.submit(page, fields('陈示港', 'hk-macao-residence-permit'), '/proofing');
    // The kind of the form was a resident ID: the number says that it is another.
    expect(next.text).toContain('另一种证件');
    const kinds = await browser.get(link(page, /使用其他证件/));
    const permit = await browser.get(link(kinds, /港澳居民居住证/));
    const agreed = await browser.submit(permit, fields('陈示港', 'hk-macao-residence-permit'), '/proofing');
    const check = await browser.get(link(agreed, /前往核验/));
    expect(check.text).toContain('不核验任何真实的人');
    // Whoever comes back too early is told so.
    const returnUri = new URL(`${attempt.url.origin}/`);
    expect(returnUri.href).not.toBe('');
    const ended = await browser.submit(check, { outcome: 'confirmed' });
    const back = await browser.get(link(ended, /返回继续办理/), strict.redirectUri);
    // Proofed to level 3; a second factor is what is missing.
    expect(back.text).toContain('请再设置一种登录方式');
    expect((await t.app.identity.account(accountId))?.proofing).toBe(3);
    const declined = await browser.submit(back, {}, '/decline', strict.redirectUri);
    expect(await claimsOf(declined, attempt)).toMatchObject({ acr: loa(2) });
  });

  test('a live check that fails raises nothing, and the way back is there', async () => {
    const { person, accountId } = await register();
    const browser = new UserAgent();
    const { page } = await arrive(browser, person, { acr_values: loa(3) });
    const agreed = await browser.submit(page, fields('张三'), '/proofing');
    const ended = await browser.submit(await browser.get(link(agreed, /前往核验/)), { outcome: 'refused' });
    const back = await browser.get(link(ended, /返回继续办理/));
    expect(back.status).toBe(422);
    expect(back.text).toContain('信息核对不一致');
    expect((await t.app.identity.account(accountId))?.proofing).toBe(0);
    expect(
      (await browser.get(link(back, /重新开始/))).forms.some(({ action }) =>
        action.pathname.endsWith('/proofing'),
      ),
    ).toBe(true);
  });

  test('whoever was compared before is asked for the live check alone', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const { page } = await arrive(browser, person);
    await browser.submit(page, fields('林示台', 'taiwan-residence-permit'), '/proofing');
    const kinds = await browser.get(link(page, /使用其他证件/));
    const permit = await browser.get(link(kinds, /台湾居民居住证/));
    await browser.submit(
      permit,
      fields('林示台', 'taiwan-residence-permit'),
      '/proofing',
      strict.redirectUri,
    );
    const attempt = await strict.begin({ acr_values: loa(3) });
    const live = await browser.get(attempt.url, strict.redirectUri);
    expect(live.text).toContain('还差一步：实人核验');
    expect(live.text).not.toContain('name="number"');
    const agreed = await browser.submit(live, {}, '/live');
    const ended = await browser.submit(await browser.get(link(agreed, /前往核验/)), { outcome: 'confirmed' });
    expect((await browser.get(link(ended, /返回继续办理/), strict.redirectUri)).text).toContain(
      '请再设置一种登录方式',
    );
  });

  test('without an authority a portal that needs one says so to itself, and nobody is asked', async () => {
    const bare = await startApp();
    const rp = await registerRelyingParty(bare, { clientId: 'strict', registration: { minimumAcr: loa(2) } });
    const person = newPerson();
    await bare.app.identity.register(person);
    const { page } = await signIn(rp, new UserAgent(), person);
    expect(page.url.searchParams.get('error')).toBe('unmet_authentication_requirements');
    expect((await fetch(`${bare.origin}/fictional-register/live-check/x`)).status).toBe(404);
    await rp.stop();
    await bare.stop();
  });
});

describe("on a person's own page", () => {
  test('stands who they are, masked, what was tried, and the way to prove more', async () => {
    const { person } = await register();
    const browser = new UserAgent();
    const signInPage = await browser.get(`${t.origin}/account/identity`);
    const page = await browser.submit(signInPage, { ...person }, '/sign-in');
    expect(page.text).toContain('还没有核对过');
    const form = await browser.get(link(page, /提高实名等级/));
    const kinds = await browser.get(link(form, /使用其他证件/));
    const permit = await browser.get(link(kinds, /台湾居民来往大陆通行证/));
    const wrong = { ...fields('林示台', 'taiwan-travel-permit'), name: '林样台' };
    const refused = await browser.submit(permit, wrong, '/proofing');
    const back = await browser.submit(refused, fields('林示台', 'taiwan-travel-permit'), '/proofing');
    expect(back.url.pathname).toBe('/account/identity');
    for (const text of ['林**', '台湾居民来往大陆通行证', '一致。', '不一致。', '这里的身份是虚构的'])
      expect(back.text).toContain(text);
    expect(back.text).not.toContain('林示台');
    expect(back.text).toContain('提高实名等级');
  });

  test('an address is kept as it is given, and forgotten when it is emptied', async () => {
    const { person, accountId } = await register();
    const browser = new UserAgent();
    const signInPage = await browser.get(`${t.origin}/account/address`);
    const page = await browser.submit(signInPage, { ...person }, '/sign-in');
    const saved = await browser.submit(
      page,
      { locality: ' 杭州市 ', street_address: '<b>1</b>' },
      '/address',
    );
    expect(saved.text).toContain('已保存');
    expect(saved.text).not.toContain('<b>1</b>');
    expect(await t.app.identity.addresses.of(accountId)).toEqual({
      locality: '杭州市',
      street_address: '<b>1</b>',
    });
    await browser.submit(saved, { locality: '', street_address: '' }, '/address');
    expect(await t.app.identity.addresses.of(accountId)).toBeUndefined();
  });
});

describe('limits', () => {
  test('a document that is tried too often waits, whoever tries', async () => {
    const LIMITS = JSON.stringify({ proofing: { account: [{ tries: 3, seconds: 3600 }] } });
    const tight = await startApp({
      env: { LIMITS, IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' },
    });
    const portal = await registerRelyingParty(tight, {
      clientId: 'strict',
      registration: { minimumAcr: loa(2) },
    });
    const tryOnce = async () => {
      const person = newPerson();
      await tight.app.identity.register(person);
      const browser = new UserAgent();
      const first = await browser.get((await portal.begin()).url, portal.redirectUri);
      const page = await browser.submit(first, { ...person }, '/sign-in', portal.redirectUri);
      return browser.submit(
        page,
        { ...fields('张三'), value: '19900000009' },
        '/proofing',
        portal.redirectUri,
      );
    };
    for (let i = 0; i < 3; i++) expect((await tryOnce()).status).toBe(422);
    const waits = await tryOnce();
    expect(waits.status).toBe(429);
    expect(waits.text).not.toContain('信息核对不一致');
    await portal.stop();
    await tight.stop();
  });
});

describe('two accounts of one person', () => {
  test('become one after both were shown; portals go on to know the person, and hear of the sessions that ended', async () => {
    const older = await register();
    const newer = await register();
    const first = await arrive(new UserAgent(), older.person);
    const browserOfOlder = new UserAgent();
    expect(first.page.url.pathname).toMatch(/proofing$/);
    const proofed = await arrive(browserOfOlder, older.person);
    const done = await browserOfOlder.submit(proofed.page, fields('李华'), '/proofing', strict.redirectUri);
    const subOfOlder = (await claimsOf(done, proofed.attempt))?.sub;

    // The newer account is known at the open portal alone.
    const browser = new UserAgent();
    const atOpen = await signIn(open, browser, newer.person);
    const subAtOpen = (await open.redeem(atOpen.callback, atOpen)).claims()?.sub;
    const attempt = await strict.begin();
    const page = await browser.get(attempt.url, strict.redirectUri);
    const taken = await browser.submit(page, fields('李华'), '/proofing', strict.redirectUri);
    expect(taken.text).toContain('您已经有一个实名账号');
    const signInPage = await browser.submit(taken, {}, '/link');
    expect(signInPage.forms.some(({ action }) => action.pathname.endsWith('/sign-in'))).toBe(true);

    // An account that is not the one changes nothing.
    const stranger = await register();
    const wrong = await browser.submit(signInPage, { ...stranger.person }, '/sign-in', strict.redirectUri);
    expect(wrong.text).toContain('两个账号都没有改变');
    expect(await t.app.identity.account(newer.accountId)).toBeDefined();

    const again = await browser.submit(wrong, {}, '/link');
    let end = await browser.submit(again, { ...older.person }, '/sign-in', strict.redirectUri);
    // The library ends the other account's session by a form of its own.
    while (end.url.origin === t.origin && end.forms.length > 0)
      end = await browser.submit(end, {}, '', strict.redirectUri);
    expect((await claimsOf(end, attempt))?.sub).toBe(subOfOlder);
    expect(await t.app.identity.account(newer.accountId)).toBeUndefined();

    // The open portal knows the account that stays by the number of the one that went.
    const later = await signIn(open, new UserAgent(), older.person);
    expect((await open.redeem(later.callback, later)).claims()?.sub).toBe(subAtOpen);
    await expect.poll(() => open.logouts.length).toBeGreaterThan(0);
    const [, body = ''] = String(open.logouts.at(-1)?.get('logout_token')).split('.');
    const told = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as { sub: string };
    expect(told.sub).toBe(subAtOpen);
    // Whoever types the name of the account that went comes to the one that stays, or to nothing.
    const byOldName = await signIn(open, new UserAgent(), newer.person);
    expect(byOldName.page.status).toBe(422);
  });

  test('a second factor of the account that stays is asked for before they are joined', async () => {
    const older = await register();
    const proofed = await arrive(new UserAgent(), older.person);
    expect(proofed.page.url.pathname).toMatch(/proofing$/);
    await t.app.identity.proofing.compare(older.accountId, statementOf(fictional('张三')), {
      wanted: 2,
      returnUri: 'https://id.example/',
    });
    const { TOTP, Secret } = await import('otpauth');
    const { secret } = t.app.identity.totp.propose('');
    const code = (offset: number) =>
      TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: Date.now() + offset });
    await t.app.identity.totp.enrol({
      accountId: older.accountId as Parameters<typeof t.app.identity.totp.enrol>[0]['accountId'],
      secret,
      code: code(0),
    });
    const newer = await register();
    const browser = new UserAgent();
    const { attempt, page } = await arrive(browser, newer.person);
    const taken = await browser.submit(page, fields('张三'), '/proofing', strict.redirectUri);
    const signInPage = await browser.submit(taken, {}, '/link');
    const half = await browser.submit(signInPage, { ...older.person }, '/sign-in', strict.redirectUri);
    expect(half.forms.some(({ action }) => action.pathname.endsWith('/otp'))).toBe(true);
    // Nothing has happened yet.
    expect(await t.app.identity.account(newer.accountId)).toBeDefined();
    const end = await browser.submit(half, { code: code(30_000) }, '/otp', strict.redirectUri);
    expect(await claimsOf(end, attempt)).toMatchObject({ acr: loa(2), amr: ['pwd', 'otp', 'mfa'] });
    expect(await t.app.identity.account(newer.accountId)).toBeUndefined();
  });
});
