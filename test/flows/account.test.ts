/** A person's own pages: what they see and change is theirs, and nobody else sees or changes it. */
import { Secret, TOTP } from 'otpauth';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { checkChain } from '../../src/audit/index.ts';
import { readCode } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { lenientLimits, startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const SAFARI =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1';

const clock = new TestClock(new Date());
let t: TestApp;
let zhejiang: RelyingParty;
let guangdong: RelyingParty;

beforeAll(async () => {
  const limits = lenientLimits(['user-name']);
  t = await startApp({ clock, env: { LIMITS: JSON.stringify(limits) } });
  zhejiang = await registerRelyingParty(t, {
    clientId: 'zhejiang',
    scopes: ['openid', 'profile', 'phone', 'offline_access'],
    scope: 'openid phone profile',
    registration: {
      metadata: { grant_types: ['authorization_code', 'refresh_token'] },
      purposes: { phone: { 'zh-CN': '发送办件进度', en: 'To send you news of your case' } },
    },
  });
  guangdong = await registerRelyingParty(t, { clientId: 'guangdong', scope: 'openid profile' });
});
afterAll(async () => {
  await Promise.all([zhejiang.stop(), guangdong.stop()]);
  await t.stop();
});

const browserOf = (userAgent = FIREFOX) =>
  new UserAgent({ 'Accept-Language': 'en', 'User-Agent': userAgent });

let phones = 0;
/** A mobile number in a block that no operator has given out. */
const newPhone = () => `1990001${String((phones += 1)).padStart(4, '0')}`;

async function newAccount() {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { person, accountId };
}

/** Opens one of the person's own pages, signing in or confirming by the password if asked. */
async function open(browser: UserAgent, path: string, person: Person): Promise<Page> {
  let page = await browser.get(`${t.origin}${path}`);
  for (const action of ['/sign-in', '/confirm'])
    if (page.forms.some((form) => form.action.pathname.endsWith(action)))
      page = await browser.submit(
        page,
        action === '/sign-in' ? { ...person } : { password: person.password },
        action,
      );
  return page;
}

const has = (page: Page, action: string) =>
  page.forms.some(({ action: { pathname } }) => pathname.endsWith(action));
const cookieOf = async (browser: UserAgent) =>
  (await browser.jar.getCookies(t.origin)).find(({ key }) => key === 'yx_session')?.value ?? '';

test('whoever has no session is asked to sign in, and comes back to the page', async () => {
  const { person } = await newAccount();
  const browser = browserOf();
  const page = await browser.get(`${t.origin}/account`);
  expect(has(page, '/sign-in')).toBe(true);
  const account = await browser.submit(page, { ...person }, '/sign-in');
  expect(account.url.pathname).toBe('/account');
  expect(account.text).toContain(person.identifier);
  for (const href of ['methods', 'sessions', 'portals', 'history', 'releases'])
    expect(account.text).toContain(`href="/account/${href}"`);
});

test('what changes the account asks again once what was shown is older than five minutes', async () => {
  const { person } = await newAccount();
  const browser = browserOf();
  await open(browser, '/account', person);
  expect((await browser.get(`${t.origin}/account/password`)).url.pathname).toBe('/account/password');
  clock.advance(301);
  // Looking needs no more than the session.
  expect((await browser.get(`${t.origin}/account/sessions`)).url.pathname).toBe('/account/sessions');
  for (const path of [
    '/account/password',
    '/account/app',
    '/account/recovery-codes',
    '/account/app/remove',
  ]) {
    const page = await browser.get(`${t.origin}${path}`);
    expect(has(page, '/confirm'), path).toBe(true);
  }
});

test('a form is refused that did not come from our page, or comes when what was shown is too old', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  const page = await open(browser, '/account/recovery-codes', person);
  const cookie = await browser.jar.getCookieString(t.origin);
  const strange = await fetch(`${t.origin}/account/recovery-codes`, {
    method: 'POST',
    redirect: 'manual',
    headers: { Cookie: cookie, Origin: 'https://evil.example', Accept: 'text/html' },
    body: new URLSearchParams({ csrf: page.forms[0]?.fields['csrf'] ?? '' }),
  });
  expect(strange.status).toBe(403);
  clock.advance(601);
  const late = await browser.submit(page, {}, '/recovery-codes');
  expect(has(late, '/confirm')).toBe(true);
  expect(await t.app.identity.recoveryCodes.left(accountId)).toBe(0);
});

test('changing the password ends every other session, and gives this one a new id', async () => {
  const { person } = await newAccount();
  const [here, there] = [browserOf(), browserOf(SAFARI)];
  await signIn(zhejiang, there, person);
  const page = await open(here, '/account/password', person);
  const before = await cookieOf(here);

  const refused = await here.submit(
    page,
    {
      present: 'not the password',
      password: 'a new quiet word by the sea',
      passwordAgain: 'a new quiet word by the sea',
    },
    '/password',
  );
  expect(refused.status).toBe(422);
  const done = await here.submit(
    refused,
    {
      present: person.password,
      password: 'a new quiet word by the sea',
      passwordAgain: 'a new quiet word by the sea',
    },
    '/password',
  );
  expect(done.status).toBe(200);
  expect(done.text).toContain('All other devices were signed out');
  expect(await cookieOf(here)).not.toBe(before);
  expect((await here.get(`${t.origin}/account`)).url.pathname).toBe('/account');
  expect(has(await there.get(`${t.origin}/account`), '/sign-in')).toBe(true);

  // The old id is good for nothing.
  const stolen = new UserAgent();
  await stolen.jar.setCookie(`yx_session=${before}`, t.origin);
  expect(has(await stolen.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  await expect(t.app.identity.passwords.authenticate(person)).rejects.toMatchObject({
    code: 'CREDENTIALS_WRONG',
  });
});

test('an authenticator app is set up with a code of its own, asked for from then on, and removed', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  const page = await open(browser, '/account/app', person);
  const secret = /<code class="secret"[^>]*>([A-Z2-7 ]+)</.exec(page.text)?.[1]?.replaceAll(' ', '') ?? '';
  const code = () => {
    clock.advance(30);
    return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
  };
  const wrong = await browser.submit(page, { code: '000000' }, '/app');
  expect(wrong.status).toBe(422);
  expect(wrong.text).toContain(secret.slice(0, 4));
  const done = await browser.submit(wrong, { code: code() }, '/app');
  expect(done.text).toContain('The authenticator app is set up.');
  expect((await t.app.identity.account(accountId))?.methods).toContain('otp');

  // Now that the account can show two things, both are asked for.
  clock.advance(301);
  const confirm = await browser.get(`${t.origin}/account/app/remove`);
  const otp = await browser.submit(confirm, { password: person.password }, '/confirm');
  expect(has(otp, '/otp')).toBe(true);
  const remove = await browser.submit(otp, { code: code() }, '/otp');
  expect(remove.url.pathname).toBe('/account/app/remove');
  // Whoever takes a way in away may have lost it to somebody: what they began with it is over.
  const elsewhere = browserOf(SAFARI);
  const entered = await elsewhere.submit(
    await elsewhere.get(`${t.origin}/account`),
    { ...person },
    '/sign-in',
  );
  if (has(entered, '/otp')) await elsewhere.submit(entered, { code: code() }, '/otp');
  expect((await elsewhere.get(`${t.origin}/account`)).url.pathname).toBe('/account');
  await browser.submit(remove, {}, '/app/remove');
  expect((await t.app.identity.account(accountId))?.methods).not.toContain('otp');
  expect(has(await elsewhere.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  expect((await browser.get(`${t.origin}/account`)).url.pathname).toBe('/account');
});

test("a secret that was proposed to one person sets up nobody else's app", async () => {
  const [own, other] = [await newAccount(), await newAccount()];
  const [mine, theirs] = [browserOf(), browserOf()];
  const page = await open(mine, '/account/app', own.person);
  const secret = /<code class="secret"[^>]*>([A-Z2-7 ]+)</.exec(page.text)?.[1]?.replaceAll(' ', '') ?? '';
  const sealed = page.forms.find(({ action }) => action.pathname === '/account/app')?.fields['sealed'] ?? '';
  const victim = await open(theirs, '/account/app', other.person);
  const code = TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
  const answer = await theirs.submit(victim, { sealed, code }, '/app');
  expect(answer.status).toBe(422);
  expect((await t.app.identity.account(other.accountId))?.methods).not.toContain('otp');
});

test('whoever was proofed and has a password alone proves once more who they are before a factor is added', async () => {
  const { person, accountId } = await newAccount();
  await t.app.identity.recordProofing(accountId, { level: 2, method: 'counter' }, 'system');
  const browser = browserOf();
  for (const path of ['/account/app', '/account/recovery-codes']) {
    const page = await open(browser, path, person);
    expect(page.text, path).toContain('show once more who you are');
    expect(has(page, path), path).toBe(false);
  }
});

test('recovery codes are shown once, ten of them', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  const made = await browser.submit(
    await open(browser, '/account/recovery-codes', person),
    {},
    '/recovery-codes',
  );
  const codes = [...made.text.matchAll(/<li><code[^>]*>([\w-]+)<\/code>/g)].map(([, code = '']) => code);
  expect(codes).toHaveLength(10);
  await t.app.identity.recoveryCodes.check({ accountId, code: codes[0] ?? '' });
  const methods = await browser.get(`${t.origin}/account/methods`);
  expect(methods.text).toContain('9 codes are left');
  expect(methods.text).not.toContain(codes[1]);
});

/** The page of the one session that is not the asking browser's own. */
const otherSession = (page: Page) =>
  [...page.text.matchAll(/href="(\/account\/sessions\/[\w-]{43})"/g)].map(([, path = '']) => path);

test('sessions are listed with device and time, each has a page with its portals, and one of them is ended', async () => {
  const { person } = await newAccount();
  const [here, there] = [browserOf(), browserOf(SAFARI)];
  const attempt = await signIn(zhejiang, there, person);
  const sid = (await zhejiang.redeem(attempt.callback, attempt)).claims()?.['sid'];
  const list = await open(here, '/account/sessions', person);
  expect(list.text).toContain('Firefox on Linux');
  expect(list.text).toContain('Safari on iPhone');
  expect(list.text).toContain('This device');
  // Neither session's id, nor what leads to it, is on the page.
  for (const browser of [here, there]) expect(list.text).not.toContain(await cookieOf(browser));
  const pages = await Promise.all(otherSession(list).map((path) => here.get(t.origin + path)));
  expect(pages).toHaveLength(2);
  const page = pages.find(({ text }) => text.includes('Safari on iPhone'));
  if (!page) throw new Error('the session has no page');
  expect(page.text).toContain('Test portal zhejiang');
  expect(page.text).toMatch(/127\.0\.0\.0\/16/);
  // One's own is signed out of by signing out.
  const own = pages.find((each) => each !== page);
  expect(own && has(own, '/end')).toBe(false);

  const told = zhejiang.logouts.length;
  const done = await here.submit(page, {}, '/end');
  expect(done.text).toContain('The portals concerned are told');
  expect(otherSession(done)).toHaveLength(1);
  expect(has(await there.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  expect((await here.get(`${t.origin}/account`)).url.pathname).toBe('/account');
  await expect.poll(() => zhejiang.logouts.length).toBe(told + 1);
  const token = zhejiang.logouts.at(-1)?.get('logout_token') ?? '';
  expect(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))).toMatchObject({
    sid,
  });
  expect((await here.submit(page, {}, '/end')).text).toContain('over already');
});

test('all other sessions are ended, or all of them', async () => {
  const { person } = await newAccount();
  const browsers = [browserOf(), browserOf(SAFARI), browserOf()] as const;
  for (const browser of browsers) await open(browser, '/account', person);
  const [here, ...others] = browsers;
  await here.submit(await open(here, '/account/sessions/end-others', person), {}, '/end-others');
  for (const other of others) expect(has(await other.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  const alone = await here.get(`${t.origin}/account/sessions`);
  expect(otherSession(alone)).toHaveLength(1);
  expect(alone.text).not.toContain('/end-others');
  const over = await here.submit(await here.get(`${t.origin}/account/sessions/end-all`), {}, '/end-all');
  expect(over.status).toBe(200);
  expect(has(await here.get(`${t.origin}/account`), '/sign-in')).toBe(true);
});

test("nobody sees, ends or reports another's session, device or consent", async () => {
  const [own, other] = [await newAccount(), await newAccount()];
  const [mine, theirs] = [browserOf(), browserOf(SAFARI)];
  await signIn(zhejiang, theirs, other.person);
  const second = browserOf(SAFARI);
  await open(second, '/account', other.person);
  const victim = await open(theirs, '/account/sessions', other.person);
  const handles = otherSession(victim);
  const device = /href="(\/account\/devices\/\w+)"/.exec(victim.text)?.[1] ?? '';
  expect(handles).toHaveLength(2);
  const signInEntry = (await t.app.audit.about(other.accountId, { limit: 50 })).find(
    ({ entry }) => entry.type === 'account.signed-in',
  );
  const seq = String(signInEntry?.entry.seq);

  const page = await open(mine, '/account/sessions/end-all', own.person);
  const csrf = page.forms[0]?.fields['csrf'] ?? '';
  const post = async (path: string, fields: Record<string, string> = {}) =>
    fetch(`${t.origin}${path}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { Cookie: await mine.jar.getCookieString(t.origin), Origin: t.origin, Accept: 'text/html' },
      body: new URLSearchParams({ csrf, ...fields }),
    });
  for (const handle of handles) {
    expect((await mine.get(t.origin + handle)).status).toBe(404);
    expect(await (await post(`${handle}/end`)).text()).toContain('已经不存在');
  }
  expect((await mine.get(t.origin + device)).status).toBe(404);
  expect((await post(`${device}/forget`)).status).toBe(200);
  expect((await mine.get(`${t.origin}/account/portals/zhejiang`)).status).toBe(404);
  expect((await post('/account/portals/zhejiang/withdraw')).status).toBe(404);
  for (const [kind, about] of [
    ['sign-in', seq],
    ['device', device.split('/').at(-1) ?? ''],
    ['portal', 'zhejiang'],
    ['session', 'x'],
  ] as const) {
    expect((await mine.get(`${t.origin}/account/report?kind=${kind}&about=${about}`)).status, kind).toBe(404);
    expect((await post('/account/report', { kind, about })).status, kind).toBe(404);
  }
  for (const path of ['/account/history', '/account/releases', '/account/portals'])
    expect((await mine.get(`${t.origin}${path}`)).text, path).not.toContain('zhejiang');
  const file = await (await post('/account/data')).text();
  expect(file).toContain(own.accountId);
  expect(file).not.toContain(other.accountId);
  expect(file).not.toContain('zhejiang');
  await mine.submit(page, {}, '/end-all');

  expect((await second.get(`${t.origin}/account`)).url.pathname).toBe('/account');
  expect((await theirs.get(`${t.origin}/account/portals/zhejiang`)).status).toBe(200);
  expect((await theirs.get(t.origin + device)).status).toBe(200);
});

test('a portal is shown with what it was given, why, since when, and what it got', async () => {
  const { person } = await newAccount();
  const browser = browserOf();
  const attempt = await signIn(zhejiang, browser, person);
  const tokens = await zhejiang.redeem(attempt.callback, attempt);
  const before = await browser.get(`${t.origin}/account/portals/zhejiang`);
  expect(before.text).toContain('To send you news of your case');
  expect(before.text).toContain('Never so far');
  expect((await browser.get(`${t.origin}/account/releases`)).text).not.toContain('Test portal zhejiang');

  const claims = await oidc.fetchUserInfo(zhejiang.client, tokens.access_token, tokens.claims()?.sub ?? '');
  expect(claims.preferred_username).toBe(person.identifier);
  const after = await browser.get(`${t.origin}/account/portals/zhejiang`);
  expect(after.text).not.toContain('Never so far');
  expect(after.text).toContain(claims.sub);
  const releases = await browser.get(`${t.origin}/account/releases`);
  expect(releases.text).toContain('Test portal zhejiang');
  expect(releases.text).toContain('User name');
  // What was given is named, not repeated.
  expect(releases.text).not.toContain(person.identifier);
});

test('a consent that is withdrawn takes every token with it, signs the portal out, and is asked for again', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  const params = { scope: 'openid profile offline_access', prompt: 'consent' };
  const attempt = await signIn(zhejiang, browser, person, params);
  const tokens = await zhejiang.redeem(attempt.callback, attempt);
  const elsewhere = await signIn(guangdong, browser, person);
  const others = await guangdong.redeem(elsewhere.callback, elsewhere);
  const pending = await signIn(zhejiang, browser, person);
  const sub = tokens.claims()?.sub ?? '';
  await oidc.fetchUserInfo(zhejiang.client, tokens.access_token, sub);

  const told = zhejiang.logouts.length;
  const page = await browser.get(`${t.origin}/account/portals/zhejiang`);
  const done = await browser.submit(page, {}, '/withdraw');
  expect(done.text).toContain('Withdrawn. Test portal zhejiang');

  await expect(oidc.fetchUserInfo(zhejiang.client, tokens.access_token, sub)).rejects.toThrow();
  expect(await oidc.tokenIntrospection(zhejiang.client, tokens.access_token)).toEqual({ active: false });
  await expect(oidc.refreshTokenGrant(zhejiang.client, tokens.refresh_token ?? '')).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  await expect(zhejiang.redeem(pending.callback, pending)).rejects.toMatchObject({ error: 'invalid_grant' });
  await expect.poll(() => zhejiang.logouts.length).toBeGreaterThan(told);
  // Nothing of it touches the other portal, nor the session.
  await oidc.fetchUserInfo(guangdong.client, others.access_token, others.claims()?.sub ?? '');
  expect((await browser.get(`${t.origin}/account`)).url.pathname).toBe('/account');

  const silent = await browser.get((await zhejiang.begin({ prompt: 'none' })).url, zhejiang.redirectUri);
  expect(silent.url.searchParams.get('error')).toBe('consent_required');
  const again = await browser.get((await zhejiang.begin()).url, zhejiang.redirectUri);
  expect(has(again, '/consent')).toBe(true);
  const agreed = await signIn(zhejiang, browser, person);
  const fresh = await zhejiang.redeem(agreed.callback, agreed);
  expect(fresh.claims()?.sub).toBe(sub);
  expect((await oidc.fetchUserInfo(zhejiang.client, fresh.access_token, sub)).preferred_username).toBe(
    person.identifier,
  );
  const types = (await t.app.audit.about(accountId, { limit: 50 })).map(({ entry }) => entry.type);
  expect(types).toContain('consent.withdrawn');
});

test('the history shows sign-ins and changes, the newest first, page by page', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  await open(browser, '/account', person);
  const account = await t.app.identity.account(accountId);
  const arrival = { cookie: undefined, address: '192.0.2.1', userAgent: '', language: 'en' };
  for (let i = 0; i < 20; i++)
    await t.app.identity.signedIn({ account: account!, factors: { pwd: 1 }, clientId: 'guangdong', arrival });
  const first = await browser.get(`${t.origin}/account/history`);
  expect(first.text.match(/<li>/g)).toHaveLength(30);
  expect(first.text).toContain('At Test portal guangdong');
  const next = /href="(\/account\/history\?before=\d+)"/.exec(first.text)?.[1] ?? '';
  const second = await browser.get(t.origin + next);
  expect(second.text).toContain('The account was opened');
  expect(second.text).not.toContain('rel="next"');
  expect((await browser.get(`${t.origin}/account/history?before=abc`)).text.match(/<li>/g)).toHaveLength(30);
});

test('a phone number is changed by whoever shows the old one and the new one, and nobody learns whether it is taken', async () => {
  const [old, fresh, taken] = [newPhone(), newPhone(), newPhone()];
  const person = { ...newPerson(), identifier: old };
  const { accountId } = await t.app.identity.register({ ...person, verified: true });
  const other = await t.app.identity.register({ ...newPerson(), identifier: taken, verified: true });
  const browser = browserOf();
  // The phone is a second factor, and shown as one first.
  const show = async (phone: string): Promise<Page> => {
    clock.advance(3600);
    const page = await open(browser, '/account/phone', person);
    if (!has(page, '/resend')) return page;
    const sent = await browser.submit(page, {}, '/resend');
    const shown = await browser.submit(sent, { code: await readCode(t.origin, `+86${phone}`) }, '/sms');
    clock.advance(61);
    return shown;
  };
  let page = await browser.submit(await show(old), {}, '/known');
  const known = await readCode(t.origin, `+86${old}`);
  expect((await browser.submit(page, { knownCode: '00000000', identifier: fresh }, '/new')).status).toBe(422);
  page = await browser.submit(page, { knownCode: known, identifier: fresh }, '/new');
  const wrong = await browser.submit(page, { code: '000000' }, '/confirm');
  expect(wrong.status).toBe(422);
  const done = await browser.submit(wrong, { code: await readCode(t.origin, `+86${fresh}`) }, '/confirm');
  expect(done.text).toContain('The phone number was changed.');
  expect((await t.app.identity.account(accountId))?.phone).toBe(`+86${fresh}`);

  // Of a number that has an account the page says what it says of every other; its holder is told.
  page = await browser.submit(await show(fresh), {}, '/known');
  const again = await browser.submit(
    page,
    { knownCode: await readCode(t.origin, `+86${fresh}`), identifier: taken },
    '/new',
  );
  expect(again.status).toBe(200);
  expect((await t.app.identity.account(other.accountId))?.phone).toBe(`+86${taken}`);
  expect((await browser.submit(again, { code: '123456' }, '/confirm')).status).toBe(422);
});

test('a user name is chosen and changed; one that is taken is told, and asking for many is not', async () => {
  const [own, other] = [await newAccount(), await newAccount()];
  const browser = browserOf();
  const page = await open(browser, '/account/username', own.person);
  const refused = await browser.submit(page, { username: other.person.identifier }, '/username');
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('is taken');
  expect((await browser.submit(page, { username: '9' }, '/username')).text).toContain('begins with a letter');
  const name = `renamed-${process.pid}`;
  expect((await browser.submit(page, { username: name }, '/username')).text).toContain(
    'The user name was saved.',
  );
  expect(await t.app.identity.find(name)).toBe(own.accountId);
  expect(await t.app.identity.find(own.person.identifier)).toBeUndefined();
  const answers: number[] = [];
  for (let i = 0; i < 60 && answers.at(-1) !== 429; i++)
    answers.push((await browser.submit(page, { username: other.person.identifier }, '/username')).status);
  expect(answers.at(-1)).toBe(429);
});

test('a sign-in that was not theirs is reported: it ends, they are told, and operators see it once', async () => {
  const { person, accountId } = await newAccount();
  const [here, stranger] = [browserOf(), browserOf(SAFARI)];
  await open(here, '/account', person);
  await signIn(zhejiang, stranger, person);
  const history = await here.get(`${t.origin}/account/history`);
  const [href = ''] = [...history.text.matchAll(/href="(\/account\/report\?[^"]+)"/g)].map(([, path = '']) =>
    path.replaceAll('&amp;', '&'),
  );
  const page = await here.get(t.origin + href);
  expect(page.text).toContain('A sign-in at Test portal zhejiang');
  const done = await here.submit(page, {}, '/report');
  const id = /rep_\w{26}/.exec(done.text)?.[0] ?? '';
  expect(done.text).toContain('href="/account/password"');
  expect(has(await stranger.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  expect((await here.get(`${t.origin}/account`)).url.pathname).toBe('/account');
  // A second report of the same is the same.
  expect((await here.submit(page, {}, '/report')).text).toContain(id);
  const reports = (await t.app.identity.misuseReports.open()).filter(
    (report) => report.accountId === accountId,
  );
  expect(reports).toMatchObject([{ id, kind: 'sign-in', state: 'open' }]);
  expect(await (await fetch(`${t.origin}/metrics`)).text()).toContain(
    'yinxin_misuse_reports_total{kind="sign-in"} 1',
  );
  expect(await t.app.identity.misuseReports.settle(id, 'operator')).toBe(true);
  expect(await t.app.identity.misuseReports.settle(id, 'operator')).toBe(false);
});

test('a device that was not theirs is reported: every session that was begun on it ends, and it is unknown again', async () => {
  const { person } = await newAccount();
  const [here, stranger] = [browserOf(), browserOf(SAFARI)];
  await open(here, '/account', person);
  await open(stranger, '/account', person);
  const list = await here.get(`${t.origin}/account/sessions`);
  const devices = [...list.text.matchAll(/href="(\/account\/devices\/\w+)"/g)].map(([, path = '']) => path);
  const pages = await Promise.all(devices.map((path) => here.get(t.origin + path)));
  const theirs = pages.find(({ text }) => text.includes('Safari on iPhone'));
  const href =
    /href="(\/account\/report\?[^"]+)"/.exec(theirs?.text ?? '')?.[1]?.replaceAll('&amp;', '&') ?? '';
  await here.submit(await here.get(t.origin + href), {}, '/report');
  expect(has(await stranger.get(`${t.origin}/account`), '/sign-in')).toBe(true);
  expect((await here.get(t.origin + (theirs?.url.pathname ?? ''))).status).toBe(404);
});

test('a portal that nobody agreed to is reported: its consent is withdrawn', async () => {
  const { person } = await newAccount();
  const browser = browserOf();
  const attempt = await signIn(zhejiang, browser, person);
  const tokens = await zhejiang.redeem(attempt.callback, attempt);
  const page = await browser.get(`${t.origin}/account/report?kind=portal&about=zhejiang`);
  await browser.submit(page, {}, '/report');
  await expect(
    oidc.fetchUserInfo(zhejiang.client, tokens.access_token, tokens.claims()?.sub ?? ''),
  ).rejects.toThrow();
});

test('everything that is held of a person is theirs to take along, in clear terms and without secrets', async () => {
  const { person, accountId } = await newAccount();
  const browser = browserOf();
  const attempt = await signIn(zhejiang, browser, person);
  const tokens = await zhejiang.redeem(attempt.callback, attempt);
  const sub = tokens.claims()?.sub ?? '';
  await oidc.fetchUserInfo(zhejiang.client, tokens.access_token, sub);
  const codes = await t.app.identity.recoveryCodes.generate(accountId);
  await t.app.identity.recoveryCodes.remove(accountId);
  const answer = await browser.submit(await open(browser, '/account/data', person), {}, '/data');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-disposition')).toBe('attachment; filename="yinxin-account.json"');
  const file = exported.parse(JSON.parse(answer.text));
  expect(file.account.id).toBe(accountId);
  expect(file.identifiers).toMatchObject([{ kind: 'username', value: person.identifier }]);
  expect(file.consents).toMatchObject([{ portal: 'zhejiang' }]);
  expect(file.portalNumbers).toContainEqual(expect.objectContaining({ sector: 'zhejiang', sub }));
  expect(file.releases).toMatchObject([{ portal: 'zhejiang', way: 'userinfo' }]);
  expect(file.history[0]).toMatchObject({ type: 'account.exported' });
  expect(file.history.at(-1)).toMatchObject({ type: 'account.registered' });
  for (const secret of [
    person.password,
    '$argon2',
    tokens.access_token,
    await cookieOf(browser),
    codes[0] ?? '-',
  ])
    expect(answer.text).not.toContain(secret);

  clock.advance(901);
  expect(has(await browser.get(`${t.origin}/account/data`), '/confirm')).toBe(true);
});

test('a file of many releases is whole', async () => {
  const { person, accountId } = await newAccount();
  await t.app.db.query(
    `INSERT INTO releases (account_id, client_id, way, claims, at)
       SELECT $1, 'zhejiang', 'userinfo', 'phone_number', now() FROM generate_series(1, 1203)`,
    [accountId],
  );
  const organisation = await t.app.organisations.found(
    { unifiedSocialCreditCode: '91350100ARUJWX97A0', name: '虚构委托有限公司' },
    'system',
  );
  await t.app.organisations.mandates.grant(
    {
      organisationId: organisation.id,
      agentId: accountId,
      services: ['zhejiang'],
      seals: [],
      purpose: '代理记账',
      validTo: new Date(clock.now().getTime() + 86_400_000),
    },
    'system',
  );
  const browser = browserOf();
  const answer = await browser.submit(await open(browser, '/account/data', person), {}, '/data');
  const file = exported.parse(JSON.parse(answer.text));
  expect(file.releases).toHaveLength(1203);
  expect(file.mandates).toMatchObject([{ organisation: '虚构委托有限公司', purpose: '代理记账' }]);
});

/** docs/account-export.md */
const moment = z.iso.datetime();
const exported = z.strictObject({
  format: z.literal('urn:yinxin:account-export:1'),
  writtenAt: moment,
  account: z.strictObject({
    id: z.string(),
    openedAt: moment,
    proofing: z.number(),
    language: z.string().optional(),
  }),
  identifiers: z.array(
    z.strictObject({ kind: z.string(), value: z.string(), since: moment, verifiedAt: moment.optional() }),
  ),
  credentials: z.strictObject({
    password: z.strictObject({ since: moment }).optional(),
    authenticatorApp: z.strictObject({ since: moment }).optional(),
    recoveryCodes: z.strictObject({ since: moment, left: z.number() }).optional(),
    passkeys: z.array(z.looseObject({ name: z.string(), createdAt: moment })),
    upstream: z.array(z.strictObject({ issuer: z.string(), since: moment })),
  }),
  devices: z.array(z.looseObject({ id: z.string(), firstSeenAt: moment, lastSeenAt: moment })),
  person: z.looseObject({ name: z.string() }).optional(),
  evidence: z.array(z.looseObject({ id: z.string(), authority: z.string(), at: moment })),
  address: z.record(z.string(), z.string()).optional(),
  sessions: z.array(z.looseObject({ lastSeenAt: moment, portals: z.array(z.string()) })),
  consents: z.array(
    z.strictObject({
      portal: z.string(),
      scopes: z.record(z.string(), z.array(z.string())),
      claims: z.array(z.string()),
      refused: z.array(z.string()),
      since: moment,
      last: moment,
    }),
  ),
  portalNumbers: z.array(z.strictObject({ sector: z.string(), sub: z.string(), since: moment })),
  organisations: z.array(
    z.strictObject({ organisation: z.string(), unit: z.string().optional(), role: z.string() }),
  ),
  sealings: z.array(z.looseObject({ id: z.string(), sealId: z.string(), state: z.string() })),
  misuseReports: z.array(
    z.strictObject({
      id: z.string(),
      kind: z.string(),
      about: z.string(),
      state: z.string(),
      reportedAt: moment,
    }),
  ),
  releases: z.array(
    z.strictObject({ portal: z.string(), way: z.string(), claims: z.array(z.string()), at: moment }),
  ),
  mandates: z.array(
    z.strictObject({
      organisation: z.string(),
      unit: z.string().optional(),
      services: z.array(z.string()),
      seals: z.array(z.string()),
      purpose: z.string(),
      validFrom: moment,
      validTo: moment,
      revokedAt: moment.optional(),
    }),
  ),
  history: z.array(
    z.strictObject({
      at: moment,
      type: z.string(),
      actor: z.string(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
});

test('the chain of the audit log stands after all of it', async () => {
  expect((await checkChain(t.app.audit)).finding).toBeUndefined();
});
