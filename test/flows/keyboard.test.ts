/** The pages by keyboard alone: Tab, Enter and Space. Every stop can be seen, and comes in the order in which the page is read. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCode } from '../../src/demo/outbox.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { openBrowser } from '../support/chromium.ts';
import { newPerson } from '../support/relying-party.ts';
import { meetPortals, surround, walkEnv, type Surroundings } from '../support/walks.ts';

let t: TestApp;
let surroundings: Surroundings;
let browser: BrowserContext;
let page: Page;

beforeAll(async () => {
  t = await startApp({ env: walkEnv() });
  surroundings = await surround(t);
  browser = await openBrowser({ locale: 'zh-CN', reducedMotion: 'reduce' });
  await meetPortals(browser, surroundings);
  page = await browser.newPage();
});
afterAll(async () => {
  await browser.close();
  await surroundings.stop();
  await t.stop();
});

interface Stop {
  readonly html: string;
  readonly matches: boolean;
  /** Of the whole document, in reading order. */
  readonly place: number;
  readonly ring: number;
  readonly inView: boolean;
  readonly onTop: boolean;
}

const stopAt = (selector: string) =>
  page.evaluate<Stop>(`(() => {
    const e = document.activeElement;
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    const under = document.elementFromPoint(Math.max(0, box.left + Math.min(box.width / 2, 20)), box.top + box.height / 2);
    return {
      html: e.outerHTML.slice(0, 160),
      matches: e.matches(${JSON.stringify(selector)}),
      place: [...document.querySelectorAll('*')].indexOf(e),
      ring: style.outlineStyle === 'none' ? 0 : Number.parseFloat(style.outlineWidth),
      inView: box.top >= 0 && box.bottom <= innerHeight + 1 && box.left >= 0 && box.right <= innerWidth + 1,
      onTop: under !== null && (e === under || e.contains(under) || under.contains(e)),
    };
  })()`);

/** Presses Tab until what the selector names has the focus, and looks at every stop on the way. */
async function tabTo(selector: string): Promise<void> {
  let last = -1;
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    const stop = await stopAt(selector);
    expect(stop.ring, `no focus is to be seen on ${stop.html}`).toBeGreaterThanOrEqual(2);
    expect(stop.inView && stop.onTop, `hidden while it has the focus: ${stop.html}`).toBe(true);
    expect(stop.place, `out of order: ${stop.html}`).toBeGreaterThan(last);
    if (stop.matches) return;
    last = stop.place;
  }
  throw new Error(`${selector} is not reached by Tab`);
}

const arrived = async (path: RegExp) => page.waitForURL((url) => path.test(url.pathname));

describe.each([
  ['desktop', { width: 1280, height: 800 }],
  ['a phone at 400 %', { width: 320, height: 256 }],
] as const)('on %s', (_name, size) => {
  beforeAll(async () => {
    await browser.clearCookies();
    await page.setViewportSize(size);
  });

  test('registering, agreeing, the account, signing out and in again', async () => {
    const { rp } = surroundings;
    const person = { ...newPerson(), identifier: `1990001${String(size.width).padStart(4, '0')}` };
    await page.goto((await rp.begin()).url.href);
    await tabTo('a[href$="/register"]');
    await page.keyboard.press('Enter');
    await arrived(/\/register$/);
    await tabTo('#identifier');
    await page.keyboard.type(person.identifier);
    await page.keyboard.press('Enter');
    await arrived(/\/register\/code$/);
    await tabTo('#code');
    await page.keyboard.type(await readCode(t.origin, `+86${person.identifier}`));
    await page.keyboard.press('Enter');
    await arrived(/\/register\/password$/);
    await tabTo('#password');
    await page.keyboard.type(person.password);
    if (await page.locator('#passwordAgain').isVisible()) {
      await tabTo('#passwordAgain');
      await page.keyboard.type(person.password);
    }
    await page.keyboard.press('Enter');
    await page.locator('button[value="allow"]').waitFor();
    await tabTo('button[value="allow"]');
    await page.keyboard.press('Space');
    await arrived(/^\/callback$/);

    await page.goto(`${t.origin}/account`);
    await tabTo('main a[href="/account/sessions"]');
    await page.keyboard.press('Enter');
    await arrived(/^\/account\/sessions$/);
    await tabTo('main a[href="/account"]');
    await page.keyboard.press('Enter');
    await arrived(/^\/account$/);
    await page.goto(`${t.origin}/end-session`);
    await tabTo('button[name="logout"]');
    await page.keyboard.press('Enter');
    await arrived(/^\/end-session\/success$/);

    await page.goto((await rp.begin()).url.href);
    await tabTo('#identifier');
    await page.keyboard.type(person.identifier);
    await page.keyboard.press('Enter');
    // The summary of what is wrong takes the focus, and its link leads to the field.
    await page.locator('.problem').waitFor();
    expect((await stopAt('.problem')).matches).toBe(true);
    await tabTo('.problem a');
    await page.keyboard.press('Enter');
    expect((await stopAt('#password')).matches).toBe(true);
    await page.keyboard.type(person.password);
    await page.keyboard.press('Enter');
    await arrived(/^\/callback$/);
  });

  test('the first stop of a page skips to its content', async () => {
    await page.goto(`${t.origin}/account`);
    await page.keyboard.press('Tab');
    expect((await stopAt('.skip')).matches).toBe(true);
    expect(await page.locator('.skip').boundingBox()).toMatchObject({ y: expect.any(Number) });
    expect((await stopAt('.skip')).inView).toBe(true);
    await page.keyboard.press('Enter');
    expect((await stopAt('#main')).matches).toBe(true);
    await page.keyboard.press('Tab');
    expect((await stopAt('main *')).matches).toBe(true);
  });
});

test('elder mode is chosen by keyboard, kept, and asks for the identifier and then for the password', async () => {
  const person = newPerson();
  await t.app.identity.register(person);
  await browser.clearCookies();
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${t.origin}/`);
  await tabTo('a[href*="mode=elder"]');
  await page.keyboard.press('Enter');
  await page.locator('[data-mode="elder"]').waitFor();
  await page.goto((await surroundings.rp.begin({ scope: 'openid' })).url.href);
  expect(await page.locator('#password').count()).toBe(0);
  await tabTo('#identifier');
  await page.keyboard.press('Enter');
  await page.locator('.problem').waitFor();
  await tabTo('#identifier');
  await page.keyboard.type(person.identifier);
  await page.keyboard.press('Enter');
  await page.locator('#password').waitFor();
  expect(await page.locator('#identifier').count()).toBe(0);
  await tabTo('#password');
  await page.keyboard.type('not the password');
  await page.keyboard.press('Enter');
  await page.locator('.problem').waitFor();
  // The page of the password again, without it.
  expect(await page.inputValue('#password')).toBe('');
  await tabTo('#password');
  await page.keyboard.type(person.password);
  await page.keyboard.press('Enter');
  await arrived(/^\/callback$/);
});
