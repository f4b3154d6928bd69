import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
let t: TestApp;
let open: RelyingParty;
/** A portal that nobody reaches below level 2. */
let strict: RelyingParty;

beforeAll(async () => {
  t = await startApp();
  open = await registerRelyingParty(t, { clientId: 'open' });
  strict = await registerRelyingParty(t, {
    clientId: 'strict',
    registration: { minimumAcr: loa(2) },
  });
});
afterAll(async () => {
  await Promise.all([open.stop(), strict.stop()]);
  await t.stop();
});

async function personAt(proofing: number): Promise<Person> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.recordProofing(accountId, { level: proofing, method: 'counter' }, 'system');
  return person;
}
const claimsRequest = (acr: object) => JSON.stringify({ id_token: { acr } });
const errorOf = (page: Page) => page.url.searchParams.get('error');

test('the ID token says which level was reached', async () => {
  const attempt = await signIn(open, new UserAgent(), await personAt(2));
  const claims = (await open.redeem(attempt.callback, attempt)).claims();
  expect(claims).toMatchObject({ acr: loa(2), amr: ['pwd'] });
  const unproofed = await signIn(open, new UserAgent(), await personAt(0));
  expect((await open.redeem(unproofed.callback, unproofed)).claims()).not.toHaveProperty('acr');
});

test('acr_values are honoured in their order, and unknown or unreachable ones end nothing', async () => {
  const person = await personAt(2);
  for (const [values, acr] of [
    [`${loa(1)} ${loa(2)}`, loa(1)],
    [`${loa(4)} ${loa(2)}`, loa(2)],
    ['1 2', loa(2)],
  ] as const) {
    const attempt = await signIn(open, new UserAgent(), person, { acr_values: values });
    expect((await open.redeem(attempt.callback, attempt)).claims()?.acr).toBe(acr);
  }
});

test('an essential level that is reached is asserted as it was asked for', async () => {
  const attempt = await signIn(open, new UserAgent(), await personAt(2), {
    claims: claimsRequest({ essential: true, values: [loa(1)] }),
  });
  expect((await open.redeem(attempt.callback, attempt)).claims()?.acr).toBe(loa(1));
});

test('an essential level that cannot be reached ends after at most five redirects, also without a page', async () => {
  const person = await personAt(2);
  const browser = new UserAgent();
  const parameters = { claims: claimsRequest({ essential: true, value: loa(3) }) };
  const { page } = await signIn(open, browser, person, parameters);
  expect(errorOf(page)).toBe('unmet_authentication_requirements');
  expect(page.visited.length).toBeLessThanOrEqual(6);
  // Now there is a session.
  const silent = await browser.get(
    (await open.begin({ ...parameters, prompt: 'none' })).url,
    open.redirectUri,
  );
  expect(errorOf(silent)).toBe('unmet_authentication_requirements');
  const again = await browser.get((await open.begin(parameters)).url, open.redirectUri);
  expect(errorOf(again)).toBe('unmet_authentication_requirements');
  expect(again.visited.length).toBeLessThanOrEqual(2);
});

test("the portal's least level is enforced whatever the address says", async () => {
  const low = await personAt(1);
  for (const parameters of [{}, { acr_values: loa(1) }, { claims: claimsRequest({ value: loa(1) }) }]) {
    const { page } = await signIn(strict, new UserAgent(), low, parameters);
    expect(errorOf(page)).toBe('unmet_authentication_requirements');
  }
  const high = await signIn(strict, new UserAgent(), await personAt(2), { acr_values: loa(1) });
  expect((await strict.redeem(high.callback, high)).claims()?.acr).toBe(loa(2));
});

test('a session made at an open portal does not open a strict one to whom it is closed', async () => {
  const browser = new UserAgent();
  await signIn(open, browser, await personAt(1));
  const page = await browser.get((await strict.begin()).url, strict.redirectUri);
  expect(errorOf(page)).toBe('unmet_authentication_requirements');
});

test('a level that has aged out asks for the missing factor only, and stands again after it', async () => {
  const clock = new TestClock(new Date());
  const aged = await startApp({ clock });
  try {
    const rp = await registerRelyingParty(aged, { clientId: 'aged', registration: { minimumAcr: loa(2) } });
    const person = newPerson();
    const { accountId } = await aged.app.identity.register(person);
    await aged.app.identity.recordProofing(accountId, { level: 2, method: 'counter' }, 'system');
    const browser = new UserAgent();
    await signIn(rp, browser, person);
    // Still fresh: no page.
    const silent = await browser.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri);
    expect(silent.url.searchParams.get('code')).not.toBeNull();

    clock.advance(3 * 3600);
    const refused = await browser.get((await rp.begin({ prompt: 'none' })).url, rp.redirectUri);
    expect(errorOf(refused)).toBe('login_required');
    const attempt = await rp.begin();
    const page = await browser.get(attempt.url, rp.redirectUri);
    const form = page.forms.find(({ action }) => action.pathname.endsWith('/confirm'));
    expect(page.text).toContain(person.identifier);
    expect(Object.keys(form?.fields ?? {})).not.toContain('identifier');
    const wrong = await browser.submit(page, { password: 'not the password' }, '/confirm', rp.redirectUri);
    expect(wrong.status).toBe(422);
    const callback = await browser.submit(wrong, { password: person.password }, '/confirm', rp.redirectUri);
    expect((await rp.redeem(callback.url, attempt)).claims()?.acr).toBe(loa(2));
    await rp.stop();
  } finally {
    await aged.stop();
  }
});

test('prompt=select_account shows who is signed in, and goes on as them or as another', async () => {
  const browser = new UserAgent();
  const person = await personAt(1);
  const first = await signIn(open, browser, person);
  const { sub } = (await open.redeem(first.callback, first)).claims() ?? {};
  const attempt = await open.begin({ prompt: 'select_account' });
  const page = await browser.get(attempt.url, open.redirectUri);
  expect(page.text).toContain(person.identifier);
  const callback = await browser.submit(page, {}, '/select-account', open.redirectUri);
  expect((await open.redeem(callback.url, attempt)).claims()?.sub).toBe(sub);
});

test('an ID token hint of somebody else ends in login_required, not in a loop', async () => {
  const other = await signIn(open, new UserAgent(), await personAt(1));
  const hint = (await open.redeem(other.callback, other)).id_token ?? '';
  const browser = new UserAgent();
  const { page } = await signIn(open, browser, await personAt(1), { id_token_hint: hint });
  expect(errorOf(page)).toBe('login_required');
});
