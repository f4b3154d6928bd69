import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createIdentity,
  createPasswordHasher,
  IdentityError,
  type Changer,
  type Identity,
} from '../../src/identity/index.ts';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { silentLogger } from '../support/logger.ts';
import { recordedMessages } from '../support/messages.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

const messages = recordedMessages();
const { sent } = messages;
let rooms: Rooms;
let identity: Identity;
let close: () => Promise<unknown>;
let people = 0;

beforeAll(async () => {
  rooms = await openRooms();
  const passwords = await createPasswordHasher({
    cost: { memoryKiB: 7168, passes: 1, lanes: 1 },
    pepper: createSecretKey(randomBytes(32)),
    otherPeppers: [],
    logger: silentLogger,
  });
  close = () => passwords.stop();
  identity = createIdentity({
    ...rooms,
    dataKeys: toDataKeys(createSecretKey(randomBytes(32))),
    passwords,
    messages,
    recoveryWaitHours: 72,
    serviceName: 'Test',
    issuer: 'https://id.example.cn',
    passkeyAuthorities: undefined,
    takeOnce: async () => true,
  });
});
beforeEach(() => {
  sent.length = 0;
  rooms.clock.advance(3600);
});
afterAll(async () => {
  await close();
  await rooms.db.close();
});

const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);
const codeTo = (to: string) =>
  String(sent.findLast((message) => message.to === to && 'code' in message.parameters)?.parameters['code']);

async function account(verified = true): Promise<{ phone: string; changer: Changer; accountId: AccountId }> {
  people += 1;
  const number = `1991235${String(people).padStart(4, '0')}`;
  const password = 'a heron at the weir';
  const { accountId } = await identity.register({ identifier: number, password, verified, language: 'en' });
  return { accountId, phone: `+86${number}`, changer: { accountId, binding: `b-${people}`, language: 'en' } };
}
/** As far as the code that goes to the new address. */
async function propose({ changer, phone }: Awaited<ReturnType<typeof account>>, text: string) {
  await identity.contacts.askKnown(changer, 'sms');
  return identity.contacts.propose(changer, { text, knownCode: codeTo(phone) });
}

describe('an address of an account', () => {
  test('is added with a code to the one that it has and one to the new one; both are told', async () => {
    const one = await account();
    await propose(one, 'One@Example.cn');
    expect((await identity.account(one.accountId))?.email).toBeUndefined();
    await identity.contacts.confirm(one.changer, codeTo('one@example.cn'));
    expect(await identity.account(one.accountId)).toMatchObject({
      email: 'one@example.cn',
      emailVerified: true,
    });
    const told = sent
      .filter(({ kind }) => kind === 'addressChanged')
      .map(({ to, language }) => [to, language]);
    expect(told).toHaveLength(2);
    expect(told).toEqual(
      expect.arrayContaining([
        [one.phone, 'en'],
        ['one@example.cn', 'en'],
      ]),
    );
  });

  test('is changed likewise, and the old one is told as well', async () => {
    const one = await account();
    await propose(one, '19912360000');
    await identity.contacts.confirm(one.changer, codeTo('+8619912360000'));
    expect(await identity.account(one.accountId)).toMatchObject({
      phone: '+8619912360000',
      phoneVerified: true,
    });
    expect(await identity.find(one.phone)).toBeUndefined();
    const told = sent.filter(({ kind }) => kind === 'addressChanged').map(({ to }) => to);
    expect(new Set(told)).toEqual(new Set([one.phone, '+8619912360000']));
    expect(told).toHaveLength(2);
  });

  test('is not changed without the code of the one that it has, nor with one of another person', async () => {
    const [one, other] = [await account(), await account()];
    const text = 'thief@example.cn';
    expect(await identity.contacts.propose(one.changer, { text, knownCode: '000000' }).catch(codeOf)).toBe(
      'CODE_OVER',
    );
    await identity.contacts.askKnown(other.changer, 'sms');
    const theirs = { ...one.changer, binding: other.changer.binding };
    expect(
      await identity.contacts.propose(theirs, { text, knownCode: codeTo(other.phone) }).catch(codeOf),
    ).toBe('CODE_WRONG');
    expect(sent.some(({ to }) => to === text)).toBe(false);
    expect(await identity.contacts.confirm(one.changer, '000000').catch(codeOf)).toBe('CODE_OVER');
  });

  test('that another account has is told to its holder alone: who asks sees no difference', async () => {
    const [one, other] = [await account(), await account()];
    expect(await propose(one, other.phone)).toMatchObject({ sent: true });
    expect(sent.at(-1)).toMatchObject({ to: other.phone, kind: 'addressTaken', parameters: {} });
    expect(await identity.contacts.confirm(one.changer, '000000').catch(codeOf)).toBe('CODE_WRONG');
    expect(await identity.find(other.phone)).toBe(other.accountId);
  });

  test('that was typed and never checked is checked in the same way', async () => {
    const one = await account(false);
    await identity.contacts.propose(one.changer, { text: one.phone, knownCode: '' });
    await identity.contacts.confirm(one.changer, codeTo(one.phone));
    expect(await identity.account(one.accountId)).toMatchObject({ phoneVerified: true, proofing: 1 });
  });

  test('comes to one of two who confirm it at once', async () => {
    const [one, other] = [await account(), await account()];
    await propose(one, 'both@example.cn');
    const first = codeTo('both@example.cn');
    rooms.clock.advance(60);
    await propose(other, 'both@example.cn');
    const outcomes = await Promise.all([
      identity.contacts.confirm(one.changer, first).catch(codeOf),
      identity.contacts.confirm(other.changer, codeTo('both@example.cn')).catch(codeOf),
    ]);
    expect(outcomes.filter((outcome) => outcome === 'IDENTIFIER_TAKEN')).toHaveLength(1);
  });

  test('is removed with a code, and told; the last one is not', async () => {
    const one = await account();
    const last = { channel: 'sms', knownCode: '' } as const;
    expect(await identity.contacts.remove(one.changer, last).catch(codeOf)).toBe('ADDRESS_LAST');
    await propose(one, 'kept@example.cn');
    await identity.contacts.confirm(one.changer, codeTo('kept@example.cn'));
    rooms.clock.advance(3600);
    await identity.contacts.askKnown(one.changer, 'email');
    await identity.contacts.remove(one.changer, { channel: 'sms', knownCode: codeTo('kept@example.cn') });
    expect(await identity.account(one.accountId)).toMatchObject({
      phone: undefined,
      email: 'kept@example.cn',
    });
    const told = sent.filter(({ kind }) => kind === 'addressRemoved').map(({ to }) => to);
    expect(new Set(told)).toEqual(new Set([one.phone, 'kept@example.cn']));
    expect(told).toHaveLength(2);
  });

  test('a user name is chosen once the account is there, and is nobody else’s', async () => {
    const [one, other] = [await account(), await account()];
    await identity.contacts.setUsername(one.accountId, 'River.Heron');
    expect((await identity.account(one.accountId))?.username).toBe('river.heron');
    expect(await identity.contacts.setUsername(other.accountId, 'river.heron').catch(codeOf)).toBe(
      'IDENTIFIER_TAKEN',
    );
    expect(await identity.contacts.setUsername(other.accountId, '13800138000').catch(codeOf)).toBe(
      'IDENTIFIER_FORM',
    );
  });
});

test('the holder is told of every factor and password, in the transaction that changes it', async () => {
  const one = await account();
  await identity.recoveryCodes.generate(one.accountId);
  await identity.passwords.change({
    accountId: one.accountId,
    present: 'a heron at the weir',
    password: 'a crane over the ice',
  });
  expect(sent.map(({ to, kind, language }) => [to, kind, language])).toEqual([
    [one.phone, 'recoveryCodesMade', 'en'],
    [one.phone, 'passwordChanged', 'en'],
  ]);
});
