/** Every page in real Chromium, as a citizen meets it: phone and desktop, light and dark, both languages, large type. */
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CIBA, DEVICE_CODE } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/chromium.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Set to a folder to keep a picture of every page. */
const pictures = process.env['SCREENSHOTS'];

let t: TestApp;
let rp: RelyingParty;
/** A portal in its sandbox that asks for everything there is. */
let kiosk: RelyingParty;

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone profile' });
  kiosk = await registerRelyingParty(t, {
    clientId: 'kiosk',
    registration: {
      optionalClaims: ['phone_number'],
      metadata: {
        grant_types: ['authorization_code', DEVICE_CODE, CIBA],
        backchannel_token_delivery_mode: 'poll',
        authorization_details_types: ['urn:yinxin:seal-act'],
      },
    },
  });
  await t.app.portals.setState('kiosk', 'sandbox', 'system');
  if (pictures !== undefined) mkdirSync(pictures, { recursive: true });
});
afterAll(async () => {
  await Promise.all([rp.stop(), kiosk.stop()]);
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
    const portals = [rp, kiosk].map(({ redirectUri }) => new URL(redirectUri).origin);
    // Whatever the policy refuses, or the browser cannot load, is said on the console.
    page.on(
      'console',
      (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()),
    );
    page.on('request', (request) => {
      const { origin } = new URL(request.url());
      if (![t.origin, ...portals].includes(origin)) complaints.push(`request to ${origin}`);
    });
    // The portal's own page: what matters is that the browser was allowed to go there.
    for (const portal of portals)
      await page.route(`${portal}/**`, (route) =>
        route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>portal</title>' }),
      );
    await page.goto(`${t.origin}/`);
    if (view.large) await page.click('a[href*="type=large"]');
  });
  afterAll(() => browser.close());

  async function look(name: string): Promise<void> {
    // A click has led here: what is looked at is the page with its stylesheet.
    await page.waitForLoadState('load');
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
      // A box is ticked by its label, too.
      `[...document.querySelectorAll('button, input:not([type=hidden])')].filter((e) => (e.closest('label') ?? e).getBoundingClientRect().height < 44).map((e) => e.outerHTML)`,
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

  test('further pages: confirming, choosing an account, optional claims and acts, a device, approvals', async () => {
    const person = { ...newPerson(), identifier: `198${String(Date.now()).slice(-8)}` };
    await t.app.identity.register(person);
    const credentials = async () => {
      await page.fill('#identifier', person.identifier);
      await page.fill('#password', person.password);
      await page.click('form[action$="/sign-in"] button');
    };
    const basic = { Authorization: `Basic ${btoa(`${kiosk.clientId}:${kiosk.secret}`)}` };
    const ask = async (path: string, body: Record<string, string>) => {
      const init = { method: 'POST', headers: basic, body: new URLSearchParams(body) };
      return (await (await fetch(`${t.origin}${path}`, init)).json()) as Record<string, string>;
    };

    const act = {
      type: 'urn:yinxin:seal-act',
      identifier: 'seal_01',
      document_digest: 'ab'.repeat(32),
      document_name: '房屋租赁合同（二〇二六年第十二号）.pdf',
      purpose: '签订合同',
    };
    await page.goto(
      (
        await kiosk.begin({
          scope: 'openid profile phone seals:use',
          resource: `${t.origin}/api/v1`,
          authorization_details: JSON.stringify([act]),
        })
      ).url.href,
    );
    await credentials();
    await look('consent-optional-and-act');
    await page.click('button[value="allow"]');
    await page.waitForURL(`${kiosk.redirectUri}**`);

    await page.goto((await kiosk.begin({ prompt: 'login' })).url.href);
    await look('confirm');
    await page.goto((await kiosk.begin({ prompt: 'select_account' })).url.href);
    await look('select-account');

    const device = await ask('/device/authorization', { scope: 'openid' });
    await page.goto(`${t.origin}/device`);
    await look('device');
    await page.fill('#user_code', 'BBBB-BBBB');
    await page.click('form[action$="/device"] button');
    await look('device-wrong');
    await page.fill('#user_code', device['user_code'] ?? '');
    await page.click('form[action$="/device"] button');
    await look('device-confirm');
    await page.click('button[name="confirm"]');
    await look('device-done');

    await ask('/backchannel-authentication', {
      scope: 'openid profile phone',
      login_hint: person.identifier,
      binding_message: 'A-17 窗口',
    });
    await page.goto(`${t.origin}/approvals`);
    await look('approvals');
    await page.click('button[value="allow"]');
    await look('approvals-done');
    await browser.clearCookies({ name: 'yx_session' });
    await page.goto(`${t.origin}/approvals`);
    await look('sign-in-to-own-page');
  });

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
    // A request that nobody remembers any more: one that is remembered begins again.
    await page.goto((await rp.begin()).url.href);
    await page.goto(`${t.origin}/interaction/${'x'.repeat(43)}`);
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
