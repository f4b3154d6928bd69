/** Forged forms, stolen interactions, hostile parameters: each answered with a clear error, nothing lost, nothing reflected. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
const person = newPerson();

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, { clientId: 'zhejiang' });
  await t.app.identity.register(person);
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

test('a form without the token, or with the token of another browser, is refused and signs nobody in', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  const foreign = (await new UserAgent().get((await rp.begin()).url)).forms[0]?.fields['csrf'] ?? '';
  for (const csrf of ['', 'x', foreign]) {
    const answer = await browser.submit(page, { ...person, csrf }, '/sign-in');
    expect(answer.status).toBe(403);
    expect(answer.text).toContain('FORM_FROM_ELSEWHERE');
  }
  expect(
    (await browser.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri)).url.searchParams.get(
      'error',
    ),
  ).toBe('login_required');
});

test('a form from another origin is refused even with the right token', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  const form = page.forms[0];
  const response = await fetch(form?.action ?? '', {
    method: 'POST',
    headers: { Origin: 'https://evil.example', Cookie: await browser.jar.getCookieString(page.url.href) },
    body: new URLSearchParams({ ...form?.fields, ...person }),
  });
  expect(response.status).toBe(403);
});

test('an interaction belongs to the browser that began it', async () => {
  const page = await new UserAgent().get((await rp.begin()).url);
  const thief = await new UserAgent().get(page.url);
  expect(thief.status).toBe(400);
  expect(thief.text).toContain('这次登录已经过期');
});

test('an interaction that is over leads on to the portal: by the back button, a bookmark, or a form sent twice', async () => {
  const browser = new UserAgent();
  const attempt = await rp.begin();
  const page = await browser.get(attempt.url);
  await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  const back = await browser.get(page.url, rp.redirectUri);
  expect(back.url.searchParams.get('state')).toBe(attempt.state);
  await rp.redeem(back.url, attempt);
  const resubmitted = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  await rp.redeem(resubmitted.url, attempt);
});

test('two tabs that sign in one after the other both end at the portal', async () => {
  const browser = new UserAgent();
  const attempts = [await rp.begin(), await rp.begin()] as const;
  const pages = [await browser.get(attempts[0].url), await browser.get(attempts[1].url)] as const;
  for (const i of [0, 1] as const) {
    const callback = await browser.submit(pages[i], { ...person }, '/sign-in', rp.redirectUri);
    expect((await rp.redeem(callback.url, attempts[i])).claims()?.sub).toBeTypeOf('string');
  }
});

test('an expired interaction begins the same request again', async () => {
  const browser = new UserAgent();
  const attempt = await rp.begin({ login_hint: 'someone' });
  const page = await browser.get(attempt.url);
  // The interaction and its cookies are gone; the browser still has others.
  await browser.jar.setCookie(`yx_interaction=x; Path=${page.url.pathname}; Max-Age=0`, page.url.href);
  const again = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  expect(again.url.pathname).toMatch(/^\/interaction\//);
  expect(again.url.pathname).not.toBe(page.url.pathname);
  expect(again.text).toContain('value="someone"');
  const callback = await browser.submit(again, { ...person }, '/sign-in', rp.redirectUri);
  await rp.redeem(callback.url, attempt);
});

test('a browser that keeps no cookies gets a page that leads back to the portal, and no endless redirect', async () => {
  const page = await new UserAgent().get((await rp.begin()).url);
  const without = await fetch(page.url, { redirect: 'manual', headers: { Accept: 'text/html' } });
  expect(without.status).toBe(400);
  expect(await without.text()).toContain('这次登录已经过期');
});

test.each([
  ['another host', (uri: string) => uri.replace('127.0.0.1', 'evil.example')],
  ['a suffix', (uri: string) => `${uri}.evil`],
  ['another port', (uri: string) => uri.replace(/:\d+/, ':1')],
  ['a path that climbs', (uri: string) => `${uri}/../x`],
  ['an encoded dot', (uri: string) => uri.replace('callback', 'c%61llback')],
  ['a user', (uri: string) => uri.replace('://', '://a@')],
  ['a fragment', (uri: string) => `${uri}#x`],
  ['another case', (uri: string) => uri.replace('callback', 'Callback')],
])('a redirect URI with %s is not followed', async (_what, change) => {
  const { url } = await rp.begin({ redirect_uri: change(rp.redirectUri) });
  const page = await new UserAgent().get(url);
  expect(page.visited).toHaveLength(1);
  expect(page.status).toBe(400);
  expect(page.text).not.toContain('evil.example');
});

test('an unknown portal gets an error page that offers no way to it', async () => {
  const { url } = await rp.begin({ client_id: 'nobody<script>' });
  const page = await new UserAgent().get(url);
  expect(page.status).toBe(400);
  expect(page.text).not.toContain('<script>');
  expect(page.text).toContain('invalid_client');
  expect(page.text).toMatch(/[0-9a-f]{32}/);
});

test('programs get JSON errors where browsers get pages', async () => {
  const { url } = await rp.begin({ client_id: 'nobody' });
  const response = await fetch(url, { headers: { Accept: 'application/json' }, redirect: 'manual' });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: 'invalid_client' });
  const missing = await fetch(`${t.origin}/nowhere`, { headers: { Accept: 'application/json' } });
  expect(missing.headers.get('content-type')).toContain('application/problem+json');
  expect(await missing.json()).toMatchObject({
    status: 404,
    code: 'NOT_FOUND',
    traceId: missing.headers.get('x-trace-id'),
  });
});

test.each([
  '//evil.example/x',
  'https://evil.example',
  '/\\evil.example',
  'javascript:alert(1)',
  '/\t/evil.example',
  '/..//evil.example',
  '/.\\\\evil.example',
  '',
])('preferences do not send anyone to %j', async (back) => {
  const response = await fetch(
    `${t.origin}/preferences?${new URLSearchParams({ language: 'en', back }).toString()}`,
    {
      redirect: 'manual',
    },
  );
  expect(response.status).toBe(303);
  expect(new URL(response.headers.get('location') ?? '', t.origin).origin).toBe(t.origin);
  expect(response.headers.get('location')).not.toContain('evil');
});

test('a form that is too large, of another type or not UTF-8 is a 4xx', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  const action = page.forms[0]?.action ?? '';
  const cookie = await browser.jar.getCookieString(page.url.href);
  const send = (body: string | Buffer<ArrayBuffer>, type: string) =>
    fetch(action, { method: 'POST', headers: { Cookie: cookie, 'Content-Type': type }, body }).then(
      (response) => response.status,
    );
  const form = 'application/x-www-form-urlencoded';
  expect(await send('a'.repeat(20_000), form)).toBe(413);
  expect(await send('{}', 'application/json')).toBe(415);
  expect(await send(Buffer.from([0x61, 0x3d, 0xff, 0xfe]), form)).toBe(400);
  expect(await send(Array.from({ length: 100 }, (_, i) => `f${i}=1`).join('&'), form)).toBe(400);
});

test('every page is under the strict policy and its neighbours', async () => {
  const browser = new UserAgent();
  const signInPage = await browser.get((await rp.begin()).url);
  const pages = [
    signInPage,
    await browser.get(`${signInPage.url.href}/register`),
    await browser.get(`${t.origin}/`),
    await browser.get(`${t.origin}/nowhere`),
  ];
  for (const page of pages) {
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).toContain("frame-ancestors 'none'");
    const nonce = /style-src 'nonce-([^']+)'/.exec(policy)?.[1];
    expect(page.text).toContain(`nonce="${nonce}"`);
    expect(page.text).not.toMatch(/ style="| on\w+="/);
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.headers.get('cache-control')).toBe('no-store');
  }
  expect(signInPage.headers.get('content-security-policy')).toContain(
    `form-action 'self' ${new URL(rp.redirectUri).origin};`,
  );
});

test('a sign-in cookie is HttpOnly, SameSite=Lax and ends with the browser', async () => {
  const browser = new UserAgent();
  await signIn(rp, browser, person);
  const cookie = (await browser.jar.getCookies(t.origin)).find(({ key }) => key === 'yx_session');
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'lax', expires: 'Infinity' });
});
