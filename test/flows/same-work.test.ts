/**
 * Nobody learns by asking whether an account exists, is locked, or is being guessed at: whole answers are compared, and the work that is
 * done for each.
 */
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
