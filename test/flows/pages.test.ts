/** Every page in real Chromium, as a citizen meets it: phone and desktop, light and dark, both languages, large type. */
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/chromium.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Set to a folder to keep a picture of every page. */
const pictures = process.env['SCREENSHOTS'];

let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone profile' });
  if (pictures !== undefined) mkdirSync(pictures, { recursive: true });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

const VIEWS = [
  {
    name: 'phone-light-zh',
    viewport: { width: 320, height: 700 },
    colorScheme: 'light',
    locale: 'zh-CN',
    large: false,
  },
  {
    name: 'phone-dark-en-large',
    viewport: { width: 320, height: 700 },
    colorScheme: 'dark',
    locale: 'en',
    large: true,
  },
  {
    name: 'desktop-light-en',
    viewport: { width: 1280, height: 800 },
    colorScheme: 'light',
    locale: 'en',
    large: false,
  },
  {
    name: 'desktop-dark-zh',
    viewport: { width: 1280, height: 800 },
    colorScheme: 'dark',
    locale: 'zh-CN',
    large: false,
  },
] as const;

describe.each(VIEWS)('pages on $name', (view) => {
  let browser: BrowserContext;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser({
      viewport: view.viewport,
      colorScheme: view.colorScheme,
      locale: view.locale,
    });
    page = await browser.newPage();
    // Whatever the policy refuses, or the browser cannot load, is said on the console.
    page.on(
      'console',
      (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()),
    );
    page.on('request', (request) => {
      const { origin } = new URL(request.url());
      if (origin !== t.origin && origin !== new URL(rp.redirectUri).origin)
        complaints.push(`request to ${origin}`);
    });
    // The portal's own page: what matters is that the browser was allowed to go there.
    await page.route(`${new URL(rp.redirectUri).origin}/**`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>portal</title>' }),
    );
    await page.goto(`${t.origin}/`);
    if (view.large) await page.click('a[href*="type=large"]');
  });
  afterAll(() => browser.close());

  async function look(name: string): Promise<void> {
    if (pictures !== undefined)
      await page.screenshot({ path: `${pictures}/${name}-${view.name}.png`, fullPage: true });
    expect(
      await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
      `${name} scrolls sideways`,
    ).toBe(true);
    expect(await page.getAttribute('html', 'lang')).toBe(view.locale);
    expect(await page.getAttribute('html', 'data-type')).toBe(view.large ? 'large' : null);
    expect(await page.locator('h1').count()).toBe(1);
    const small = await page.evaluate(
      `[...document.querySelectorAll('button, input:not([type=hidden])')].filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.outerHTML)`,
    );
    expect(small, `${name} has small targets`).toEqual([]);
    // The policy keeps scripts out of the page; the check runs beside it.
    const client = await browser.newCDPSession(page);
    await client.send('Runtime.evaluate', { expression: axe });
    const { result } = await client.send('Runtime.evaluate', {
      expression: `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((r) => JSON.stringify(r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join())))`,
      awaitPromise: true,
      returnByValue: true,
    });
    await client.detach();
    expect(JSON.parse(String(result.value)), `${name} has findings of axe`).toEqual([]);
  }

  test('a whole visit: home, sign-in, registration, consent, portal, sign-out, signed out', async () => {
    const person = { ...newPerson(), identifier: `199${String(Date.now()).slice(-8)}` };
    await look('home');

    await page.goto((await rp.begin()).url.href);
    await look('sign-in');
    await page.fill('#identifier', 'nobody-here');
    await page.fill('#password', 'not the password');
    await page.click('form[action$="/sign-in"] button');
    await look('sign-in-refused');
    expect(await page.evaluate('document.activeElement?.getAttribute("role")')).toBe('alert');

    await page.click('a[href$="/register"]');
    await look('register');
    await page.click('form[action$="/register"] button');
    await look('register-problems');
    await page.fill('#identifier', person.identifier);
    await page.fill('#password', person.password);
    await page.fill('#passwordAgain', person.password);
    await page.click('form[action$="/register"] button');
    await look('consent');
    await page.click('button[value="allow"]');
    // Chromium holds `form-action` against the redirect after the POST: arriving proves that the policy allows the portal.
    await page.waitForURL(`${rp.redirectUri}**`);

    await page.goto(
      `${t.origin}/end-session?client_id=zhejiang&post_logout_redirect_uri=${encodeURIComponent(new URL('/', rp.redirectUri).href)}`,
    );
    await look('sign-out');
    await page.click('button[name="logout"]');
    await page.waitForURL(new URL('/', rp.redirectUri).href);
    await page.goto(`${t.origin}/end-session/success`);
    await look('signed-out');
  });

  test('what can go wrong: an expired request, an unknown page, an unknown portal', async () => {
    await page.goto((await rp.begin()).url.href);
    const interaction = page.url();
    await browser.clearCookies({ name: 'yx_interaction' });
    await page.goto(interaction);
    await look('expired');
    await page.goto(`${t.origin}/nowhere`);
    await look('not-found');
    await page.goto(`${t.origin}/authorize?client_id=nobody`);
    await look('unknown-portal');
    // The browser itself reports these three answers as failed loads.
    const unexpected = complaints.filter(
      (line) => !/the server responded with a status of (400|404|422)/.test(line),
    );
    expect(unexpected).toEqual([]);
  });

  test('form_post arrives at the portal by itself', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    await page.goto((await rp.begin({ response_mode: 'form_post', scope: 'openid' })).url.href);
    await page.fill('#identifier', person.identifier);
    await page.fill('#password', person.password);
    await page.click('form[action$="/sign-in"] button');
    await page.waitForURL(rp.redirectUri);
    await page.goto(`${t.origin}/end-session`);
    await page.click('button[name="logout"]');
  });
});

test('without JavaScript a whole sign-in works, form_post by a button', async () => {
  const person = newPerson();
  await t.app.identity.register(person);
  const browser = await openBrowser({ javaScriptEnabled: false, locale: 'zh-CN' });
  const page = await browser.newPage();
  await page.route(`${new URL(rp.redirectUri).origin}/**`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>portal</title>' }),
  );
  await page.goto((await rp.begin({ response_mode: 'form_post', scope: 'openid' })).url.href);
  await page.fill('#identifier', person.identifier);
  await page.fill('#password', person.password);
  await page.press('#password', 'Enter');
  await page.click('#onward button');
  await page.waitForURL(rp.redirectUri);
  await browser.close();
});

test('the stylesheet is under 20 kB and cached for ever under its digest', async () => {
  const home = await (await fetch(`${t.origin}/`, { headers: { Accept: 'text/html' } })).text();
  const href = /<link rel="stylesheet" href="([^"]+)"/.exec(home)?.[1] ?? '';
  expect(href).toMatch(/^\/assets\/yinxin\.[0-9a-f]{12}\.css$/);
  const response = await fetch(t.origin + href);
  expect(response.headers.get('cache-control')).toContain('immutable');
  expect((await response.arrayBuffer()).byteLength).toBeLessThan(20_480);
});
