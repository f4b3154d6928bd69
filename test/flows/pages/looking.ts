/** How a page is looked at in real Chromium: light and dark, on a phone and a desktop, magnified four times, with wider text, in forced colours, with little motion. */
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import type { BrowserContext, CDPSession, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadLanguages } from '../../../src/platform/i18n.ts';
import { startApp, type TestApp } from '../../support/app.ts';
import { openBrowser } from '../../support/chromium.ts';
import { withPseudoLanguage } from '../../support/pseudo-language.ts';
import { meetPortals, surround, VIEWS, walkEnv, WALKS, type Surroundings } from '../../support/walks.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** Rules on colours, and on where things stand. What a page is made of is the same in every scheme and width, and was looked at. */
const WHAT_IS_SEEN = ['color-contrast', 'link-in-text-block', 'target-size', 'scrollable-region-focusable'];
/** Set to a folder to keep a picture of every page. */
const pictures = process.env['SCREENSHOTS'];

const PAGE_MAX_BYTES = 100_000;

/** Somebody who reads the pages. */
export interface Reader {
  readonly name: string;
  readonly locale: string;
  readonly dir: 'ltr' | 'rtl';
  readonly elder: boolean;
  readonly javaScript: boolean;
}

const SIZES = {
  phone: { width: 320, height: 700 },
  desktop: { width: 1280, height: 800 },
  /** 1280 by 1024 at 400 % (WCAG 2.2, 1.4.10). */
  magnified: { width: 320, height: 256 },
} as const;

const NO_PAGE_HAS = {
  sidewaysScroll: `document.documentElement.scrollWidth > innerWidth ? [document.documentElement.scrollWidth] : []`,
  // A box is ticked by its label, too. The links of running text are as tall as their line.
  smallTargets: `[...document.querySelectorAll('button, input:not([type=hidden]), select, .settings a, .ways a')]
    .filter((e) => e.checkVisibility() && (e.closest('label') ?? e).getBoundingClientRect().height < 44).map((e) => e.outerHTML)`,
  cutText: `[...document.querySelectorAll('main *, header *, footer *')]
    .filter((e) => e.checkVisibility() && !e.closest('.unseen, svg') && getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML)`,
  movement: `[...document.querySelectorAll('*')]
    .filter((e) => getComputedStyle(e).transitionDuration.split(', ').some((d) => d !== '0s') || getComputedStyle(e).animationName !== 'none').map((e) => e.outerHTML)`,
  /** Colours of our own are gone in forced colours: what can be pressed or filled in has a border. */
  borderless: `[...document.querySelectorAll('.button, input:not([type=hidden], [type=checkbox], [type=radio]), select, .portal, .problem')]
    .filter((e) => e.checkVisibility() && getComputedStyle(e).borderTopStyle === 'none').map((e) => e.outerHTML)`,
  unknownAutocomplete: `[...document.querySelectorAll('input:not([type=hidden], [type=checkbox], [type=radio]), select')]
    .filter((e) => !['username', 'username webauthn', 'current-password', 'new-password', 'one-time-code', 'tel', 'email', 'name', 'country-name', 'address-level1', 'address-level2', 'address-line1', 'postal-code', 'off'].includes(e.autocomplete)).map((e) => e.outerHTML)`,
  lostNotes: `[...document.querySelectorAll('[aria-describedby], [aria-labelledby]')]
    .filter((e) => [e.getAttribute('aria-describedby'), e.getAttribute('aria-labelledby')].some((ids) => (ids ?? '').split(' ').some((id) => id && !document.getElementById(id)))).map((e) => e.outerHTML)`,
  /** The browser's focus is asked for once, and where there is a summary of errors, by it. */
  strayFocus: `[...document.querySelectorAll('[autofocus]')].filter((e) => !e.matches('.problem')).map((e) => e.outerHTML)`,
  inlineStyles: `[...document.querySelectorAll('[style], style')].map((e) => e.outerHTML)`,
} as const;

/** WCAG 2.2, 1.4.12. */
const WIDER_TEXT = `* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important; } p { margin-bottom: 2em !important; }`;

/** Walks every way through the pages as this reader, and looks at each page on the way. Each reader has a file of their own: they share nothing. */
export function lookAtPages(reader: Reader): void {
  const catalogues = withPseudoLanguage();
  const languages = loadLanguages({ directory: catalogues });
  let t: TestApp;
  let surroundings: Surroundings;
  let browser: BrowserContext;
  let page: Page;
  let client: CDPSession;
  const complaints: string[] = [];
  const seen = new Set<string>();

  beforeAll(async () => {
    t = await startApp({ env: walkEnv(), languages: catalogues });
    surroundings = await surround(t);
    if (pictures !== undefined) mkdirSync(pictures, { recursive: true });
    browser = await openBrowser({
      locale: reader.locale,
      javaScriptEnabled: reader.javaScript,
      // Colours would be looked at on their way from one scheme to the other.
      reducedMotion: 'reduce',
    });
    await meetPortals(browser, surroundings);
    page = await browser.newPage();
    client = await browser.newCDPSession(page);
    const known = new Set([
      t.origin,
      ...[surroundings.rp, surroundings.kiosk].map((rp) => new URL(rp.redirectUri).origin),
    ]);
    // Whatever the policy refuses, or the browser cannot load, is said on the console.
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      const { origin } = new URL(request.url());
      if (!known.has(origin)) complaints.push(`request to ${origin}`);
    });
    await page.goto(`${t.origin}/`);
    if (reader.elder) await page.click('a[href*="mode=elder"]');
  });
  afterAll(async () => {
    await browser.close();
    await surroundings.stop();
    await t.stop();
  });

  /** The policy keeps scripts out of the page, and a reader may have none: what is asked of it is asked beside it. */
  async function ask<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await client.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value as T;
  }

  async function lookAt(name: string): Promise<void> {
    // A click has led here: what is looked at is the page with its stylesheet.
    await expect.poll(() => ask('document.readyState'), { timeout: 20_000 }).toBe('complete');
    await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none' });
    await page.setViewportSize(SIZES.phone);
    const picture = async (how: string) => {
      if (pictures !== undefined)
        await page.screenshot({ path: `${pictures}/${name}-${reader.name}-${how}.png`, fullPage: true });
    };
    const hasNo = async (...faults: readonly (keyof typeof NO_PAGE_HAS)[]) => {
      for (const fault of faults) expect(await ask(NO_PAGE_HAS[fault]), `${name}: ${fault}`).toEqual([]);
    };
    /** It needs timers of the page: where scripts are off the same pages are left to the other readers. */
    const findings = async (runOnly: readonly string[]) =>
      reader.javaScript
        ? ask<string[]>(
            `axe.run({ runOnly: ${JSON.stringify(runOnly)}, resultTypes: ['violations'] })
          .then(({ violations }) => violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join()))`,
          )
        : [];

    seen.add((await page.getAttribute('html', 'data-page')) ?? '');
    expect(await page.getAttribute('html', 'lang')).toBe(reader.locale);
    expect(await page.getAttribute('html', 'dir')).toBe(reader.dir);
    expect(await page.getAttribute('html', 'data-mode')).toBe(reader.elder ? 'elder' : null);
    expect(await page.locator('h1').count()).toBe(1);
    await hasNo('unknownAutocomplete', 'lostNotes', 'strayFocus', 'inlineStyles');
    const problem = await page.locator('.problem').count();
    expect(
      (await page.title()).startsWith(languages.get(reader.locale)?.t('page.errorPrefix') ?? '?'),
      `${name}: title`,
    ).toBe(problem > 0);
    if (problem > 0) expect(await ask('document.activeElement.className'), `${name}: focus`).toBe('problem');
    expect(
      await ask(
        `[performance.getEntriesByType('navigation'), performance.getEntriesByType('resource')].flat().reduce((sum, e) => sum + e.encodedBodySize + 500, 0)`,
      ),
      `${name}: weight`,
    ).toBeLessThan(PAGE_MAX_BYTES);

    await picture('phone');
    await hasNo('sidewaysScroll', 'smallTargets', 'cutText');
    if (reader.javaScript) await ask(axe);
    expect(await findings(WCAG), `${name}: axe`).toEqual([]);

    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize(SIZES.desktop);
    await picture('desktop-dark');
    await hasNo('sidewaysScroll', 'cutText');
    expect(await findings(WHAT_IS_SEEN), `${name}: axe, dark`).toEqual([]);
    if (pictures !== undefined) {
      await page.emulateMedia({ colorScheme: 'light' });
      await picture('desktop');
    }
    if (reader.dir === 'rtl') {
      const [brand, settings, column] = await Promise.all(
        ['.brand', '.settings', 'h1'].map((selector) => page.locator(selector).boundingBox()),
      );
      expect((brand?.x ?? 0) > (settings?.x ?? 0), `${name}: the head is not mirrored`).toBe(true);
      expect((column?.x ?? 0) + (column?.width ?? 0), `${name}: the text is not mirrored`).toBeGreaterThan(
        1000,
      );
    }

    await page.setViewportSize(SIZES.magnified);
    await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
    await ask(
      `{ const wider = new CSSStyleSheet(); wider.replaceSync(${JSON.stringify(WIDER_TEXT)}); document.adoptedStyleSheets = [wider]; }`,
    );
    await picture('magnified');
    await hasNo('sidewaysScroll', 'cutText', 'movement', 'borderless');
    await ask(`document.adoptedStyleSheets = [];`);
  }

  test.each(Object.entries(WALKS))('%s', async (_name, walk) => {
    await browser.clearCookies({ name: 'yx_session' });
    await walk({
      ...surroundings,
      page,
      look: lookAt,
      words: (key) => languages.get(reader.locale)?.t(key) ?? '',
    });
    // The browser itself reports answers that are refusals as failed loads.
    const refusals = /the server responded with a status of (400|404|422|429)/;
    expect(complaints.splice(0).filter((line) => !refusals.test(line))).toEqual([]);
  });

  test('every page that there is was seen', () => {
    expect(VIEWS.filter((view) => !seen.has(view))).toEqual([]);
  });
}
