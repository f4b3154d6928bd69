/** Passkeys in real Chromium with a virtual authenticator: the script of the pages, the browser and the server together. */
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import type { BrowserContext, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { UserAgent, type Page as AnsweredPage } from '../../src/demo/user-agent.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { Authenticator, optionsOn } from '../support/authenticator.ts';
import { openBrowser } from '../support/chromium.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let t: TestApp;
let rp: RelyingParty;
let context: BrowserContext;
let page: Page;
let cdp: CDPSession;
let authenticatorId: string;
const complaints: string[] = [];

beforeAll(async () => {
  t = await startApp({ env: { IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' } });
  rp = await registerRelyingParty(t, { clientId: 'zhejiang' });
  context = await openBrowser({ locale: 'en', viewport: { width: 1280, height: 900 } });
});
afterAll(async () => {
  await context.close();
  await rp.stop();
  await t.stop();
});

beforeEach(async () => {
  await context.clearCookies();
  await page?.close();
  page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const portal = new URL(rp.redirectUri).origin;
  await page.route(`${portal}/**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>portal</title>' }),
  );
  cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  authenticatorId = await addAuthenticator();
});

/** @param settings How it differs from the device of a person who has touched the sensor. */
async function addAuthenticator(settings: { isUserVerified?: boolean } = {}): Promise<string> {
  const added = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: settings.isUserVerified ?? true,
      automaticPresenceSimulation: true,
      defaultBackupEligibility: true,
      defaultBackupState: true,
    },
  });
  return added.authenticatorId;
}

const credentials = async () => (await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials;

async function newAccount(): Promise<Person & { accountId: AccountId }> {
  const person = newPerson();
  return { ...person, accountId: (await t.app.identity.register(person)).accountId };
}

/** Whether the person touches the sensor as soon as they are asked, also by the suggestions of a sign-in page. */
async function touch(enabled: boolean): Promise<void> {
  await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
}

/** Opens a sign-in page and leaves its suggestions alone. */
async function openUntouched(url: string): Promise<void> {
  await touch(false);
  await page.goto(url);
}

/** The authenticator may take the suggestion of the page before the button is reached: either way it is used. */
async function press(): Promise<void> {
  await page.click('form[data-passkey="get"] button', { timeout: 5000 }).catch(() => undefined);
}

async function signInByPassword(person: Person): Promise<void> {
  await page.fill('#identifier', person.identifier);
  await page.fill('#password', person.password);
  await page.click('form[action$="/sign-in"] button[type="submit"]:not([name])');
}

/** Makes a passkey on the account's own page. */
async function enrol(person: Person, name: string): Promise<void> {
  await openUntouched(`${t.origin}/account/passkeys`);
  if (await page.locator('#identifier').isVisible()) await signInByPassword(person);
  await page.waitForURL('**/account/passkeys');
  await touch(true);
  await page.fill('#name', name);
  await page.click('form[data-passkey="create"] button');
  await page.waitForSelector('[role="status"]');
}

async function findings(): Promise<unknown> {
  await page.waitForLoadState('load');
  // The policy keeps scripts out of the page; the check runs beside it.
  await cdp.send('Runtime.evaluate', { expression: axe });
  const { result } = await cdp.send('Runtime.evaluate', {
    expression: `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => JSON.stringify(r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join())))`,
    awaitPromise: true,
    returnByValue: true,
  });
  return JSON.parse(String(result.value));
}

test('a passkey is made on the account page and signs in without a user name, also as one of two, until it is removed', async () => {
  const person = await newAccount();
  await enrol(person, '我的手机');
  expect(await page.textContent('[role="status"]')).toBe('The passkey has been created.');
  expect(await page.textContent('.held h2')).toBe('我的手机');
  expect(await findings()).toEqual([]);
  expect(await credentials()).toMatchObject([{ isResidentCredential: true, rpId: 'localhost' }]);
  // What the authenticator keeps of the account says nothing.
  const [{ userHandle = '' } = {}] = await credentials();
  expect(Buffer.from(userHandle, 'base64')).toHaveLength(32);

  // A second one, on another device: the first device says that it has one already.
  await page.click('form[data-passkey="create"] button');
  await page.waitForSelector('[data-passkey-says="known"]:not([hidden])');
  const first = authenticatorId;
  await cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: first });
  authenticatorId = await addAuthenticator();
  await page.reload();
  await enrol(person, 'Work laptop');
  expect(await page.locator('.held h2').allTextContents()).toEqual(['我的手机', 'Work laptop']);

  await context.clearCookies();
  const attempt = await rp.begin();
  await openUntouched(attempt.url.href);
  expect(await findings()).toEqual([]);
  await touch(true);
  await press();
  await page.waitForURL(`${rp.redirectUri}**`);
  const claims = (await rp.redeem(new URL(page.url()), attempt)).claims();
  expect(claims).toMatchObject({ amr: ['swk', 'user', 'mfa'] });

  await page.goto(`${t.origin}/account/passkeys`);
  await page.click('section:has-text("Work laptop") a');
  expect(await findings()).toEqual([]);
  await page.fill('#name', '');
  await page.click('form[action$="/name"] button');
  expect(await page.textContent('[role="alert"]')).toContain('Enter a name of 1 to 60 characters.');
  await page.fill('#name', 'Old laptop');
  await page.click('form[action$="/name"] button');
  expect(await page.textContent('[role="status"]')).toBe('The name has been saved.');
  const elsewhere = new UserAgent();
  await signIn(rp, elsewhere, person);
  const silently = async () =>
    (await elsewhere.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri)).url.searchParams;
  expect((await silently()).get('error')).toBeNull();
  await page.click('section:has-text("Old laptop") a');
  await page.click('form[action$="/remove"] button');
  // Whoever has the lost laptop is signed out with it.
  expect((await silently()).get('error')).toBe('login_required');
  expect(await page.textContent('[role="status"]')).toBe(
    'The passkey has been removed. All other devices were signed out.',
  );

  await context.clearCookies();
  await openUntouched((await rp.begin()).url.href);
  const answer = page.waitForResponse((response) => response.url().endsWith('/passkey'));
  await touch(true);
  await press();
  expect((await answer).status()).toBe(422);
});

test('a passkey is offered among the suggestions of the sign-in page, and taken with one touch', async () => {
  const person = await newAccount();
  await enrol(person, 'phone');
  await context.clearCookies();
  const attempt = await rp.begin();
  await page.goto(attempt.url.href);
  // The virtual authenticator touches the suggestion at once.
  await page.waitForURL(`${rp.redirectUri}**`);
  expect((await rp.redeem(new URL(page.url()), attempt)).claims()).toMatchObject({
    amr: ['swk', 'user', 'mfa'],
  });
});

test('a passkey that does not verify its user makes nothing and signs nobody in', async () => {
  const person = await newAccount();
  await enrol(person, 'phone');
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await context.clearCookies();
  await page.goto((await rp.begin()).url.href);
  await page.click('form[data-passkey="get"] button');
  await page.waitForSelector('[data-passkey-says="stopped"]:not([hidden])');
  expect(page.url()).toContain('/interaction/');
  // The password still lets its owner in.
  await signInByPassword(person);
  await page.waitForURL(`${rp.redirectUri}**`);
});

test('a passkey confirms that it is still its owner who is there', async () => {
  const person = await newAccount();
  await enrol(person, 'phone');
  await context.clearCookies();
  await openUntouched((await rp.begin()).url.href);
  await signInByPassword(person);
  await page.waitForURL(`${rp.redirectUri}**`);

  const again = await rp.begin({ prompt: 'login' });
  await page.goto(again.url.href);
  await page.waitForSelector('form[action$="/confirm-passkey"]');
  expect(await findings()).toEqual([]);
  await touch(true);
  await press();
  await page.waitForURL(`${rp.redirectUri}**`);
  expect((await rp.redeem(new URL(page.url()), again)).claims()?.['amr']).toContain('swk');
});

test('a passkey is set up on the way to a portal that asks for two factors, by whoever has just proved who they are', async () => {
  const { accountId, ...person } = await newAccount();
  const browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
  const attempt = await rp.begin({
    claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'urn:yinxin:loa:3' } } }),
  });
  const follow = (from: AnsweredPage, href: RegExp) =>
    browser.get(
      new URL((href.exec(from.text)?.[1] ?? '').replaceAll('&amp;', '&'), from.url),
      rp.redirectUri,
    );
  const first = await browser.get(attempt.url, rp.redirectUri);
  const proofing = await browser.submit(first, { ...person }, '/sign-in');
  const { number, third } = statementOf(fictional('王小示', 'resident-id'));
  const agreed = await browser.submit(proofing, { name: '王小示', number, value: third.value }, '/proofing');
  const check = await follow(agreed, /<a class="button" href="([^"]+)"/);
  const ended = await browser.submit(check, { outcome: 'confirmed' });
  const choices = await follow(ended, /<a class="button" href="([^"]+)"/);
  const page = await follow(choices, /href="([^"]+\/set-up\/passkey)"/);
  expect(page.text).toContain('创建通行密钥');

  const authenticator = new Authenticator({ origin: t.origin });
  const credential = authenticator.create(optionsOn(page.text, 'create'));
  const nameless = await browser.submit(page, { credential, name: ' ' }, '/set-up/passkey');
  expect(nameless.status).toBe(422);
  const made = authenticator.create(optionsOn(nameless.text, 'create'));
  const done = await browser.submit(
    nameless,
    { credential: made, name: '手机' },
    '/set-up/passkey',
    rp.redirectUri,
  );
  expect((await rp.redeem(done.url, attempt)).claims()).toMatchObject({
    acr: 'urn:yinxin:loa:3',
    amr: ['pwd', 'swk', 'user', 'mfa'],
  });
  expect(await t.app.identity.passkeys.list(accountId)).toMatchObject([{ name: '手机' }]);
});

test('whose password is all that a proofed account has cannot add a passkey without being proofed again', async () => {
  const { accountId, ...person } = await newAccount();
  await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
  const browser = new UserAgent({ 'Accept-Language': 'en' });
  const page = await browser.submit(
    await browser.get(`${t.origin}/account/passkeys`),
    { ...person },
    '/sign-in',
  );
  expect(page.text).toContain('show once more who you are');
  expect(page.text).not.toContain('data-passkey="create"');
  // Nor by a form of one's own making.
  const cookie = await browser.jar.getCookieString(t.origin);
  const csrf = (await browser.get((await rp.begin({ prompt: 'login' })).url)).forms[0]?.fields['csrf'] ?? '';
  const answer = await fetch(`${t.origin}/account/passkeys`, {
    method: 'POST',
    headers: { Cookie: cookie, Origin: t.origin, Accept: 'text/html' },
    body: new URLSearchParams({ csrf, name: 'x', credential: '{}' }),
  });
  expect(await answer.text()).not.toContain('data-passkey="create"');
  expect(await t.app.identity.passkeys.list(accountId)).toEqual([]);
  // The way there leads by way of proofing.
  expect((await browser.get(`${t.origin}/account/methods/prove`)).url.pathname).toMatch(/\/proofing$/);
});

test('a page of another origin gets nothing for this one', async () => {
  const person = await newAccount();
  await enrol(person, 'phone');
  await context.clearCookies();
  await openUntouched((await rp.begin()).url.href);
  const signInPage = page.url();
  const options = await page.getAttribute('form[data-passkey="get"]', 'data-options');
  const script = `navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(${options}) }).then(() => 'given', (error) => error.name)`;
  // Another host is refused by the browser itself; the same host on another port by us, since it signs with its own origin.
  await page.goto('data:text/html,<title>elsewhere</title>');
  expect(await page.evaluate(script).catch(() => 'no such thing here')).not.toBe('given');

  const other = `http://localhost:${new URL(rp.redirectUri).port}`;
  await page.route(`${other}/**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>evil</title>' }),
  );
  await page.goto(`${other}/`);
  await touch(true);
  const stolen = await page.evaluate<string>(
    `navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(${options}) }).then((c) => JSON.stringify(c.toJSON()))`,
  );
  await touch(false);
  await page.goto(signInPage);
  await page.waitForSelector('form[data-passkey="get"]');
  await page.evaluate(
    `(() => { const f = document.querySelector('form[data-passkey="get"]'); f.elements.credential.value = ${JSON.stringify(stolen)}; HTMLFormElement.prototype.submit.call(f); })()`,
  );
  await page.waitForSelector('[role="alert"]:has-text("could not be accepted")');
  expect(page.url()).toContain('/interaction/');
});

test('without scripts the pages say that passkeys need them, and nothing else is missing', async () => {
  const person = await newAccount();
  const plain = await openBrowser({ locale: 'en', javaScriptEnabled: false });
  const quiet = await plain.newPage();
  await quiet.goto((await rp.begin()).url.href);
  expect(await quiet.textContent('form[data-passkey="get"]')).toContain('Passkeys need JavaScript');
  expect(await quiet.locator('form[data-passkey="get"] button').isVisible()).toBe(false);
  await quiet.route(`${new URL(rp.redirectUri).origin}/**`, (route) => route.fulfill({ body: 'portal' }));
  await quiet.fill('#identifier', person.identifier);
  await quiet.fill('#password', person.password);
  await quiet.click('form[action$="/sign-in"] button[type="submit"]:not([name])');
  await quiet.waitForURL(`${rp.redirectUri}**`);
  await plain.close();
});

test('older browsers, which cannot read the options or write the answer, are helped', async () => {
  const person = await newAccount();
  await page.addInitScript(`
    delete PublicKeyCredential.parseCreationOptionsFromJSON;
    delete PublicKeyCredential.parseRequestOptionsFromJSON;
    delete PublicKeyCredential.prototype.toJSON;
    delete PublicKeyCredential.isConditionalMediationAvailable;
  `);
  await enrol(person, 'old phone');
  await context.clearCookies();
  const attempt = await rp.begin();
  await page.goto(attempt.url.href);
  await page.click('form[data-passkey="get"] button');
  await page.waitForURL(`${rp.redirectUri}**`);
  expect((await rp.redeem(new URL(page.url()), attempt)).claims()?.['amr']).toContain('swk');
});

test('a browser that knows no passkeys says so', async () => {
  await page.addInitScript('delete window.PublicKeyCredential');
  await page.goto((await rp.begin()).url.href);
  await page.waitForSelector('[data-passkey-says="unsupported"]:not([hidden])');
  expect(await page.locator('form[data-passkey="get"] button').isVisible()).toBe(false);
});

test('nothing of it was refused by the policy of the pages', () => {
  expect(complaints.filter((line) => !/the server responded with a status of 4/.test(line))).toEqual([]);
});
