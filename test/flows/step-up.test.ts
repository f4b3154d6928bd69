/** Stepping up: a portal asks for more than the session shows, and only what is missing is asked for. */
import { TOTP, Secret } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
const clock = new TestClock(new Date());
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({ clock });
  rp = await registerRelyingParty(t, { clientId: 'open' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

async function newAccount(proofing: number) {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  if (proofing > 0)
    await t.app.identity.recordProofing(accountId, { level: proofing, method: 'counter' }, 'system');
  return { person, accountId };
}

/** Adds an authenticator app. @returns what makes its next code. */
async function withApp(accountId: Awaited<ReturnType<typeof newAccount>>['accountId']) {
  const { secret } = t.app.identity.totp.propose('');
  const code = () => {
    clock.advance(30);
    return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
  };
  await t.app.identity.totp.enrol({ accountId, secret, code: code() });
  return code;
}

const essential = (acr: string) => ({
  claims: JSON.stringify({ id_token: { acr: { essential: true, value: acr } } }),
});
const hasForm = (page: Page, action: string) =>
  page.forms.some(({ action: { pathname } }) => pathname.endsWith(action));

test('a session by password asks for the code alone, keeps the session, and returns with the level', async () => {
  const { person, accountId } = await newAccount(3);
  const code = await withApp(accountId);
  const browser = new UserAgent();
  const first = await signIn(rp, browser, person);
  expect((await rp.redeem(first.callback, first)).claims()).toMatchObject({ acr: loa(2), amr: ['pwd'] });

  const attempt = await rp.begin(essential(loa(3)));
  const page = await browser.get(attempt.url, rp.redirectUri);
  expect(hasForm(page, '/otp')).toBe(true);
  expect(page.text).not.toContain('name="password"');
  const wrong = await browser.submit(page, { code: '000000' }, '/otp', rp.redirectUri);
  expect(wrong.status).toBe(422);
  const done = await browser.submit(wrong, { code: code() }, '/otp', rp.redirectUri);
  const claims = (await rp.redeem(done.url, attempt)).claims();
  expect(claims).toMatchObject({ acr: loa(3), amr: ['pwd', 'otp', 'mfa'], sub: expect.any(String) });

  // The raised level has its own age: after it the second level stands, and the third asks again.
  clock.advance(16 * 60);
  const later = await rp.begin({ acr_values: loa(2) });
  const silent = await browser.get(later.url, rp.redirectUri);
  expect((await rp.redeem(silent.url, later)).claims()?.['acr']).toBe(loa(2));
  expect(
    hasForm(await browser.get((await rp.begin(essential(loa(3)))).url, rp.redirectUri), '/confirm'),
  ).toBe(true);
});

test('a code is good once', async () => {
  const { accountId } = await newAccount(3);
  const code = await withApp(accountId);
  const used = code();
  const attempts = await Promise.allSettled(
    Array.from({ length: 8 }, () => t.app.identity.totp.check({ accountId, code: used })),
  );
  expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

test('a wish that nobody here can grant gives way', async () => {
  const { person } = await newAccount(1);
  const attempt = await signIn(rp, new UserAgent(), person, { acr_values: loa(3) });
  expect((await rp.redeem(attempt.callback, attempt)).claims()?.['acr']).toBe(loa(1));
});

test("a page of the second factor is nobody's before the first", async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url, rp.redirectUri);
  const csrf = page.forms[0]?.fields['csrf'] ?? '';
  const target = new URL(page.url);
  const cookie = await browser.jar.getCookieString(target.href);
  for (const path of ['/otp', '/confirm', '/set-up/otp', '/decline']) {
    const response = await fetch(`${target.href}${path}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { Cookie: cookie, Origin: t.origin, Accept: 'text/html' },
      body: new URLSearchParams({ csrf, code: '123456', password: 'x' }),
    });
    // The request begins again.
    expect(response.status, path).toBe(303);
    expect(response.headers.get('location'), path).toContain('/authorize');
  }
});

test('our own pages ask for a sign-in, and lead back to themselves and nowhere else', async () => {
  const { person } = await newAccount(1);
  const browser = new UserAgent();
  const page = await browser.get(`${t.origin}/approvals`);
  expect(hasForm(page, '/sign-in')).toBe(true);
  const back = await browser.submit(page, { ...person }, '/sign-in');
  expect(back.url.pathname).toBe('/approvals');
  expect(back.status).toBe(200);
  const elsewhere = await browser.get(
    `${t.origin}/signed-in?state=${encodeURIComponent('https://evil.example/')}`,
  );
  expect(elsewhere.url.href).toBe(`${t.origin}/`);
});
