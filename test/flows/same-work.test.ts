/**
 * Nobody learns by asking whether an account exists, is locked, or is being guessed at: whole answers are compared, and the work that is
 * done for each.
 */
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { createInstruments } from '../support/instruments.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

const clock = new TestClock(new Date());
const instruments = createInstruments();
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({
    clock,
    through: instruments.through,
    env: { LIMITS: undefined, TRUSTED_PROXIES: '127.0.0.0/8,::1/128' },
  });
  rp = await registerRelyingParty(t, { clientId: 'portal' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

let networks = 0;
const newAddress = () => `12.${(networks += 1)}.0.7`;
const newBrowser = (address = newAddress()) => new UserAgent({ 'X-Forwarded-For': address });
const open = async (browser: UserAgent) => browser.get((await rp.begin()).url, rp.redirectUri);

/** Everything about an answer that a stranger sees, with what differs by chance, and what the stranger typed, left out. */
function seen({ status, headers, text, url }: Page, typed: string): object {
  const random =
    /[\w-]{43,}|[0-9a-f]{32}|\/interaction\/[\w-]+|nonce[-="']+[\w+/=-]{20,}|data-seconds="\d+"|\b\d\d:\d\d\b/g;
  const plain = (words: string) => words.replaceAll(`value="${typed}"`, 'TYPED').replace(random, 'RANDOM');
  return {
    status,
    path: plain(url.pathname),
    headers: [...headers]
      .filter(([name]) => !['date', 'content-length'].includes(name))
      .map(([name, value]) => [name, plain(value)]),
    text: plain(text),
  };
}

/** Signs in to `identifier` with a wrong password, as a new browser from a new place. */
async function tryAt(identifier: string, times = 1) {
  const browser = newBrowser();
  const page = await open(browser);
  const { result, calls } = await instruments.during(() =>
    browser.submit(page, { identifier, password: 'not this one, surely' }, '/sign-in'),
  );
  for (let i = 1; i < times; i++)
    await browser.submit(page, { identifier, password: 'nor this' }, '/sign-in');
  return { answer: seen(result, identifier), calls };
}

async function newAccount() {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { identifier: person.identifier, accountId };
}

describe('signing in', () => {
  test('an account that exists, one that is locked, one that does not exist and a name that none can have: same answer, same work', async () => {
    const known = await newAccount();
    const locked = await newAccount();
    await t.app.lockAccount(locked.accountId, 'system');
    const expected = await tryAt(known.identifier);
    expect(expected.answer).toMatchObject({ status: 422 });
    const counted = (call: string) => expected.calls.filter((each) => each === call).length;
    expect([counted('limits take'), counted('hasher verify'), counted('limits giveBack')]).toEqual([3, 1, 0]);
    for (const identifier of [
      locked.identifier,
      'nobody-has-this-name',
      '19911110000',
      'nobody@example.cn',
      '!',
      'x'.repeat(200),
    ])
      expect(await tryAt(identifier), identifier).toEqual(expected);
  });

  test('what is limited is limited alike, whether it exists or not, and says as much', async () => {
    const known = await newAccount();
    const locked = await newAccount();
    await t.app.lockAccount(locked.accountId, 'system');
    const refusalOf = async (identifier: string) => {
      for (let i = 0; i < 4; i++) await tryAt(identifier, 5);
      return tryAt(identifier);
    };
    const expected = await refusalOf(known.identifier);
    expect(expected.answer).toMatchObject({ status: 429 });
    expect(expected.calls).not.toContain('hasher verify');
    for (const identifier of [locked.identifier, 'nobody-has-that-name', '19911110001', '!!'])
      expect(await refusalOf(identifier), identifier).toEqual(expected);
  });

  test('a second name of a limited account is not limited with it: nobody learns that both lead to one person', async () => {
    const { identifier, accountId } = await newAccount();
    const phone = '19911110002';
    const other = await t.app.identity.register({ identifier: phone, password: 'somebody else has this' });
    await t.app.db.query('UPDATE account_identifiers SET account_id = $1 WHERE account_id = $2', [
      accountId,
      other.accountId,
    ]);
    for (let i = 0; i < 4; i++) await tryAt(identifier, 5);
    expect((await tryAt(identifier)).answer).toMatchObject({ status: 429 });
    expect((await tryAt(phone)).answer).toMatchObject({ status: 422 });
  });
});

describe('asking for a code', () => {
  const FORMS = { 'to register': 'register', 'to recover': 'recover', 'to sign in': 'code' } as const;
  let numbers = 0;
  /** A number that nobody has; all of them look alike when they are masked. */
  const newNumber = () => `199${String((numbers += 1)).padStart(4, '0')}0000`;

  async function withAccount(verified: boolean) {
    const identifier = newNumber();
    const person = { identifier, password: newPerson().password };
    const { accountId } = await t.app.identity.register({ ...person, verified, language: 'zh-CN' });
    return { identifier, accountId };
  }
  /** What can be behind a number. */
  const CASES: Readonly<Record<string, () => Promise<string>>> = {
    'nobody has it': async () => newNumber(),
    'an account has it': async () => (await withAccount(true)).identifier,
    'an account has it that was never shown to': async () => (await withAccount(false)).identifier,
    'a locked account has it': async () => {
      const { identifier, accountId } = await withAccount(true);
      await t.app.lockAccount(accountId, 'system');
      return identifier;
    },
    'an account with a second factor has it': async () => {
      const { identifier, accountId } = await withAccount(true);
      const { secret } = t.app.identity.totp.propose('');
      clock.advance(30);
      const code = TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: clock.now().getTime() });
      await t.app.identity.totp.enrol({ accountId, secret, code });
      return identifier;
    },
  };

  /** Asks for a code, mistypes it, asks for another at once and a minute later. @returns what a stranger sees, and what was done for it. */
  async function ask(form: string, identifier: string) {
    const browser = newBrowser();
    const first = await open(browser);
    const trail: object[] = [];
    const note = async (act: () => Promise<Page>) => {
      const { result, calls } = await instruments.during(act);
      trail.push({ answer: seen(result, identifier), calls });
      return result;
    };
    const address = await browser.get(`${first.url.href}/${form}`);
    const sent = await note(() => browser.submit(address, { identifier }, `/${form}`));
    const codePath = sent.url.pathname.slice(first.url.pathname.length);
    expect(sent.text).toContain('199****0000');
    await note(() => browser.submit(sent, { code: '00000000'.slice(form === 'recover' ? 0 : 2) }, codePath));
    await note(() => browser.submit(sent, {}, `${codePath}/resend`));
    clock.advance(60);
    await note(() => browser.submit(sent, {}, `${codePath}/resend`));
    return trail;
  }

  test.each(Object.entries(FORMS))(
    '%s: whoever has the number, or nobody: same answers, same work',
    async (_, form) => {
      const trails: Record<string, object[]> = {};
      for (const [name, prepare] of Object.entries(CASES)) trails[name] = await ask(form, await prepare());
      const [expected = [], ...others] = Object.values(trails);
      expect(JSON.stringify(expected[0])).toMatch(/limits take.*INSERT message_outbox/);
      expect(expected.map((step) => (step as { answer: { status: number } }).answer.status)).toEqual([
        200, 422, 422, 200,
      ]);
      for (const [i, trail] of others.entries()) expect(trail, Object.keys(CASES)[i + 1]).toEqual(expected);
    },
  );

  test('too often: whoever has the number, or nobody, is limited alike', async () => {
    const refusals = [];
    for (const prepare of Object.values(CASES)) {
      const identifier = await prepare();
      const address = newAddress();
      let page: Page | undefined;
      let calls: string[] = [];
      for (let i = 0; i < 21; i++) {
        const browser = newBrowser(address);
        const form = await browser.get(`${(await open(browser)).url.href}/recover`);
        ({ result: page, calls } = await instruments.during(() =>
          browser.submit(form, { identifier }, '/recover'),
        ));
      }
      refusals.push({ answer: page && seen(page, identifier), calls });
    }
    expect(refusals[0]).toMatchObject({ answer: { status: 429 } });
    for (const refusal of refusals) expect(refusal).toEqual(refusals[0]);
  });
});
