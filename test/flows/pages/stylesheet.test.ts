/** The stylesheet that every page shares. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApp, type TestApp } from '../../support/app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await startApp();
});
afterAll(() => t.stop());

test('the stylesheet is under 20 kB, mirrors by itself, and is cached for ever under its digest', async () => {
  const home = await (await fetch(`${t.origin}/`, { headers: { Accept: 'text/html' } })).text();
  const href = /<link rel="stylesheet" href="([^"]+)"/.exec(home)?.[1] ?? '';
  expect(href).toMatch(/^\/assets\/yinxin\.[0-9a-f]{12}\.css$/);
  const response = await fetch(t.origin + href);
  expect(response.headers.get('cache-control')).toContain('immutable');
  const css = await response.text();
  expect(Buffer.byteLength(css)).toBeLessThan(20_480);
  // CSS Logical Properties: no side is named, neither by itself nor as the second and fourth of four values.
  const sides =
    /(?:margin|padding|border|inset|scroll-margin)-(?:left|right)|[{;]\s*(?:left|right|float)\s*:|text-align:\s*(?:left|right)/g;
  expect([...css.matchAll(sides)].map(([found]) => found)).toEqual([]);
  const fourValues = [...css.matchAll(/(?:margin|padding|inset|border-width|border-radius):([^;}]+)/g)]
    .map(([, value = '']) => value.trim().split(/\s+/))
    .filter(([, right, , left]) => left !== undefined && left !== right);
  expect(fourValues).toEqual([]);
});
