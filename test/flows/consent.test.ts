import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
let person: Person;
const purpose = { 'zh-CN': '办理结果通知', en: 'to tell you the outcome' };

beforeAll(async () => {
  t = await startApp();
  rp = await registerRelyingParty(t, {
    clientId: 'asking',
    registration: {
      scopes: ['openid', 'profile', 'phone'],
      optionalClaims: ['phone_number'],
      purposes: { phone_number: purpose, profile: { 'zh-CN': '页面称呼' } },
    },
  });
  await registerRelyingParty(t, { clientId: 'modest', registration: { scopes: ['openid', 'profile'] } }).then(
    (modest) => modest.stop(),
  );
});
beforeEach(async () => {
  const number = `139${String(Math.floor(Math.random() * 1e8)).padStart(8, '0')}`;
  person = { identifier: number, password: newPerson().password };
  await t.app.identity.register(person);
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

async function consentPage(browser: UserAgent, parameters: Record<string, string>) {
  const attempt = await rp.begin(parameters);
  let page = await browser.get(attempt.url, rp.redirectUri);
  if (page.forms.some(({ action }) => action.pathname.endsWith('/sign-in')))
    page = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  return { attempt, page };
}
async function userinfo(callback: URL, attempt: Awaited<ReturnType<typeof rp.begin>>) {
  const tokens = await rp.redeem(callback, attempt);
  const response = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  return (await response.json()) as Record<string, unknown>;
}
const national = () => `+86${person.identifier}`;

test('the page says of each claim what it is, its value with the middle hidden, and why the portal asks', async () => {
  const { page } = await consentPage(new UserAgent(), { scope: 'openid profile phone' });
  const masked = national().replace(/^\+86(\d{3})\d{4}(\d{4})$/, '$1****$2');
  expect(page.text).toContain(masked);
  expect(page.text).not.toContain(person.identifier);
  expect(page.text).toContain(purpose['zh-CN']);
  expect(page.text).toContain('页面称呼');
  expect(page.text).toContain('name="claim-phone_number"');
  expect(page.text).not.toContain('name="claim-preferred_username"');
});

test('an optional claim is shared only if it is chosen, and the decision is remembered', async () => {
  const browser = new UserAgent();
  const { attempt, page } = await consentPage(browser, { scope: 'openid phone' });
  const callback = await browser.submit(page, { decision: 'allow' }, '/consent', rp.redirectUri);
  expect(await userinfo(callback.url, attempt)).not.toHaveProperty('phone_number');
  // Another device, another day: nobody is asked again, and nothing is shared.
  const later = new UserAgent();
  const second = await consentPage(later, { scope: 'openid phone' });
  expect(second.page.url.href.startsWith(rp.redirectUri)).toBe(true);
  const released = await userinfo(second.page.url, second.attempt);
  expect(released).not.toHaveProperty('phone_number');
  expect(released).not.toHaveProperty('phone_number_verified');
});

test('a chosen optional claim is shared', async () => {
  const browser = new UserAgent();
  const { attempt, page } = await consentPage(browser, { scope: 'openid phone' });
  const callback = await browser.submit(
    page,
    { decision: 'allow', 'claim-phone_number': 'yes' },
    '/consent',
    rp.redirectUri,
  );
  expect(await userinfo(callback.url, attempt)).toMatchObject({ phone_number: national() });
});

test('who refused may change their mind when the portal asks with prompt=consent', async () => {
  const browser = new UserAgent();
  const first = await consentPage(browser, { scope: 'openid phone' });
  await browser.submit(first.page, { decision: 'allow' }, '/consent', rp.redirectUri);
  const { attempt, page } = await consentPage(browser, { scope: 'openid phone', prompt: 'consent' });
  const callback = await browser.submit(
    page,
    { decision: 'allow', 'claim-phone_number': 'yes' },
    '/consent',
    rp.redirectUri,
  );
  expect(await userinfo(callback.url, attempt)).toMatchObject({ phone_number: national() });
});

test('claims may be asked for one by one; without essential they may be refused', async () => {
  const browser = new UserAgent();
  const claims = JSON.stringify({
    userinfo: { phone_number: null },
    id_token: { auth_time: { essential: true } },
  });
  const { attempt, page } = await consentPage(browser, { claims });
  expect(page.text).toContain('name="claim-phone_number"');
  const callback = await browser.submit(
    page,
    { decision: 'allow', 'claim-phone_number': 'yes' },
    '/consent',
    rp.redirectUri,
  );
  expect(await userinfo(callback.url, attempt)).toMatchObject({ phone_number: national() });
});

test('a claim that the portal is not registered for is neither asked of the person nor released', async () => {
  const modest = await registerRelyingParty(t, {
    clientId: 'modest',
    registration: { scopes: ['openid', 'profile'] },
  });
  const browser = new UserAgent();
  const attempt = await signIn(modest, browser, person, {
    claims: JSON.stringify({ userinfo: { phone_number: { essential: true } } }),
  });
  const tokens = await modest.redeem(attempt.callback, attempt);
  const response = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  expect(await response.json()).not.toHaveProperty('phone_number');
  await modest.stop();
});

test('a person who refuses everything goes back to the portal with access_denied', async () => {
  const browser = new UserAgent();
  const { page } = await consentPage(browser, { scope: 'openid profile' });
  const back = await browser.submit(page, { decision: 'deny' }, '/consent', rp.redirectUri);
  expect(back.url.searchParams.get('error')).toBe('access_denied');
});
