/** Each call to a store that a sign-in makes, broken in turn: whatever fails, nobody is signed in by it. */
import { TOTP, Secret } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCode } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { Authenticator, optionsOn } from '../support/authenticator.ts';
import { createInstruments } from '../support/instruments.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import {
  newPerson,
  newPhonePerson,
  registerRelyingParty,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

const clock = new TestClock(new Date());
const instruments = createInstruments();
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({
    clock,
    through: instruments.through,
    env: { IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' },
  });
  rp = await registerRelyingParty(t, { clientId: 'portal' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

async function isSignedIn(browser: UserAgent): Promise<boolean> {
  const { url } = await rp.begin({ prompt: 'none' });
  return (await browser.get(url, rp.redirectUri)).url.searchParams.has('code');
}
const signInsOf = async (identifier: string) => {
  const rows = await t.app.db.query('SELECT 1 FROM audit_events WHERE type = $1 AND subject = $2', [
    'account.signed-in',
    await t.app.identity.find(identifier),
  ]);
  return rows.length;
};

interface Act {
  readonly person: Person;
  readonly browser: UserAgent;
  run(): Promise<Page>;
  /** What must hold whatever has failed. */
  check?(call: string): Promise<void>;
}

/**
 * Runs an act to learn what it calls, then again for each call with that one broken. Nobody arrives at the portal then, everybody is
 * told to come back, and a session that stands nevertheless belongs to a sign-in that was whole and is on record.
 * @param prepare Brings a browser of its own to where the act begins.
 */
async function breakEach(prepare: () => Promise<Act>): Promise<string[]> {
  // What a process reads once it does not read again.
  await (await prepare()).run();
  const whole = await prepare();
  const { result, calls } = await instruments.during(() => whole.run());
  expect(result.url.href).toContain(`${rp.redirectUri}?code=`);
  for (const [place, call] of calls.entries()) {
    const { person, browser, run, check } = await prepare();
    const before = await signInsOf(person.identifier);
    const page = await instruments.breaking(place, run);
    expect(page.status, call).toBe(503);
    expect(page.headers.get('retry-after'), call).toBe('5');
    await check?.(call);
    if (await isSignedIn(browser)) expect(await signInsOf(person.identifier), call).toBe(before + 1);
  }
  return calls;
}

async function newAccount(): Promise<{ person: Person; accountId: AccountId }> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { person, accountId };
}
async function deviceCookie(browser: UserAgent): Promise<string> {
  const cookie = (await browser.jar.getCookies(t.origin)).find(({ key }) => key === 'yx_device');
  return cookie?.toString() ?? '';
}
const open = async (browser: UserAgent, parameters?: Record<string, string>) =>
  browser.get((await rp.begin(parameters)).url, rp.redirectUri);

describe('with each store call broken in turn', () => {
  test('a sign-in by password on a new device', async () => {
    const { person } = await newAccount();
    const calls = await breakEach(async () => {
      const browser = new UserAgent();
      const page = await open(browser);
      return { person, browser, run: () => browser.submit(page, { ...person }, '/sign-in', rp.redirectUri) };
    });
    expect(calls).toEqual(
      expect.arrayContaining(['limits take', 'hasher verify', 'limits giveBack', 'sessions saveSession']),
    );
  });

  test('a second factor on a device that is known', async () => {
    const { person, accountId } = await newAccount();
    await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
    const { secret } = t.app.identity.totp.propose('');
    const code = () => {
      clock.advance(30);
      return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
    };
    await t.app.identity.totp.enrol({ accountId, secret, code: code() });
    const first = new UserAgent();
    await first.submit(await open(first), { ...person }, '/sign-in', rp.redirectUri);
    let known = await deviceCookie(first);
    const calls = await breakEach(async () => {
      const browser = new UserAgent();
      await browser.jar.setCookie(known, t.origin);
      const page = await open(browser, { acr_values: 'urn:yinxin:loa:3' });
      const asked = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
      return {
        person,
        browser,
        async run() {
          const done = await browser.submit(asked, { code: code() }, '/otp', rp.redirectUri);
          known = await deviceCookie(browser);
          return done;
        },
      };
    });
    expect(calls).not.toContain('database query INSERT known_devices');
    expect(await t.app.identity.devices.list(accountId, undefined)).toHaveLength(1);
  });

  test('a registration', async () => {
    await breakEach(async () => {
      const browser = new UserAgent();
      const person = newPhonePerson();
      const address = await browser.get(`${(await open(browser)).url.href}/register`);
      const sent = await browser.submit(address, { identifier: person.identifier }, '/register');
      const code = await readCode(t.origin, `+86${person.identifier}`);
      const page = await browser.submit(sent, { code }, '/register/code');
      const fields = { password: person.password, passwordAgain: person.password };
      return {
        person,
        browser,
        run: () => browser.submit(page, fields, '/register/password', rp.redirectUri),
      };
    });
  });

  test('a sign-in by a code', async () => {
    await breakEach(async () => {
      const browser = new UserAgent();
      const person = newPhonePerson();
      await t.app.identity.register({ ...person, verified: true });
      const address = await browser.get(`${(await open(browser)).url.href}/code`);
      const sent = await browser.submit(address, { identifier: person.identifier }, '/code');
      const code = await readCode(t.origin, `+86${person.identifier}`);
      return { person, browser, run: () => browser.submit(sent, { code }, '/code/enter', rp.redirectUri) };
    });
  });

  test('a recovery', async () => {
    await breakEach(async () => {
      const browser = new UserAgent();
      const person = newPhonePerson();
      await t.app.identity.register({ ...person, verified: true });
      const address = await browser.get(`${(await open(browser)).url.href}/recover`);
      const sent = await browser.submit(address, { identifier: person.identifier }, '/recover');
      const code = await readCode(t.origin, `+86${person.identifier}`);
      const page = await browser.submit(sent, { code }, '/recover/code');
      const fields = {
        password: 'a new lantern for the ferry',
        passwordAgain: 'a new lantern for the ferry',
      };
      return {
        person,
        browser,
        run: () => browser.submit(page, fields, '/recover/password', rp.redirectUri),
      };
    });
  });

  test('a sign-in by passkey', async () => {
    const { person, accountId } = await newAccount();
    const { passkeys } = t.app.identity;
    const authenticator = new Authenticator({ origin: t.origin, counter: 'counts' });
    const made = authenticator.create(
      await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'x' }),
    );
    await passkeys.register({ accountId, binding: 'b', response: made, name: 'key' });
    const calls = await breakEach(async () => {
      const browser = new UserAgent();
      const page = await open(browser);
      const credential = authenticator.get(optionsOn(page.text, 'get'));
      return { person, browser, run: () => browser.submit(page, { credential }, '/passkey', rp.redirectUri) };
    });
    expect(calls).toEqual(expect.arrayContaining(['database query UPDATE passkeys']));
    // What broke on the way has given nobody a copy.
    expect((await passkeys.list(accountId))[0]?.suspendedAt).toBeUndefined();
  });

  test('a sign-in that was approved on a phone', async () => {
    const { person } = await newAccount();
    const phone = new UserAgent();
    await phone.submit(await phone.get(`${t.origin}/approvals`), { ...person }, '/sign-in');
    const calls = await breakEach(async () => {
      const browser = new UserAgent();
      const screen = await browser.submit(await open(browser), {}, '/phone');
      const [, address = ''] = /href="([^"]+\/phone\/xdr_[^"]+)"/.exec(screen.text) ?? [];
      const question = await phone.submit(await phone.get(address), {}, '/phone/open');
      const numbered = await browser.get(screen.url);
      const [, number = ''] = /class="number"><strong>(\d\d)</.exec(numbered.text) ?? [];
      const done = await phone.submit(question, { decision: 'allow', number }, '/phone');
      expect(done.status).toBe(200);
      return { person, browser, run: () => browser.get(screen.url, rp.redirectUri) };
    });
    expect(calls).toEqual(expect.arrayContaining(['database query UPDATE cross_device_requests']));
  });

  describe('a proofing', () => {
    const { number, name, third } = statementOf(fictional('王小示'));
    const fields = { name, number, value: third.value };
    let last: AccountId | undefined;

    /** Somebody new, signed in and asked who they are; whoever held the document before holds it no more. */
    async function arrive(level: number) {
      if (last !== undefined) await t.app.identity.persons.release(last, 'operator');
      const { person, accountId } = await newAccount();
      last = accountId;
      const browser = new UserAgent();
      const first = await open(browser, { acr_values: `urn:yinxin:loa:${level}` });
      const page = await browser.submit(first, { ...person }, '/sign-in', rp.redirectUri);
      return { person, accountId, browser, page };
    }

    /** Level, document, evidence and audit entry are there together, or none of them is. */
    async function isWhole(accountId: AccountId, level: number, call: string): Promise<void> {
      const { persons, account } = t.app.identity;
      const proofed = (await account(accountId))?.proofing === level;
      const confirmed = (await persons.evidence(accountId)).filter(({ result }) => result === 'confirmed');
      const entries = await t.app.db.query(
        `SELECT 1 FROM audit_events WHERE type = 'proofing.recorded' AND subject = $1`,
        [accountId],
      );
      expect((await persons.person(accountId)) !== undefined, call).toBe(proofed);
      expect(confirmed.length, call).toBe(proofed ? 1 : 0);
      expect(entries.length, call).toBe(proofed ? 1 : 0);
    }

    test('by comparing', async () => {
      const calls = await breakEach(async () => {
        const { person, accountId, browser, page } = await arrive(2);
        return {
          person,
          browser,
          run: () => browser.submit(page, fields, '/proofing', rp.redirectUri),
          check: (call) => isWhole(accountId, 2, call),
        };
      });
      expect(calls).toEqual(
        expect.arrayContaining([
          'database query INSERT proofing_evidence',
          'database query INSERT verified_documents',
        ]),
      );
    });

    test('by a live check, on the way back from it', async () => {
      const link = ({ text, url }: Page, label: string) => {
        const [, href = ''] = new RegExp(`<a\\b[^>]*href="([^"]*)"[^>]*>\\s*${label}`).exec(text) ?? [];
        return new URL(href.replaceAll('&amp;', '&'), url);
      };
      const calls = await breakEach(async () => {
        const { person, accountId, browser, page } = await arrive(3);
        const agreed = await browser.submit(page, fields, '/proofing');
        const check = await browser.get(link(agreed, '前往核验'));
        const ended = await browser.submit(check, { outcome: 'confirmed' });
        const back = link(ended, '返回继续办理');
        return {
          person,
          browser,
          async run() {
            const asked = await browser.get(back, rp.redirectUri);
            // A second factor, which the person does not want.
            return asked.status === 200 ? browser.submit(asked, {}, '/decline', rp.redirectUri) : asked;
          },
          check: (call) => isWhole(accountId, 3, call),
        };
      });
      expect(calls).toEqual(expect.arrayContaining(['database query INSERT verified_documents']));
    });
  });

  test('a wrong password', async () => {
    const { person } = await newAccount();
    const fresh = async () => {
      const browser = new UserAgent();
      const page = await open(browser);
      return { browser, run: () => browser.submit(page, { ...person, password: 'not this' }, '/sign-in') };
    };
    const { calls } = await instruments.during((await fresh()).run);
    for (const [place, call] of calls.entries()) {
      const { browser, run } = await fresh();
      expect((await instruments.breaking(place, run)).status, call).toBe(503);
      expect(await isSignedIn(browser), call).toBe(false);
    }
  });
});
