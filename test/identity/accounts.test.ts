import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  createIdentity,
  createPasswordHasher,
  IdentityError,
  type Identity,
  type PasswordHasher,
} from '../../src/identity/index.ts';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import { silentLogger } from '../support/logger.ts';
import { recordedMessages } from '../support/messages.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
let identity: Identity;
let passwords: PasswordHasher;
const password = 'a heron at the weir';

beforeAll(async () => {
  rooms = await openRooms();
  passwords = await createPasswordHasher({
    cost: { memoryKiB: 7168, passes: 1, lanes: 1 },
    pepper: createSecretKey(randomBytes(32)),
    logger: silentLogger,
  });
  identity = createIdentity({
    messages: recordedMessages(),
    recoveryWaitHours: 72,
    ...rooms,
    dataKeys: toDataKeys(createSecretKey(randomBytes(32))),
    passwords,
    serviceName: 'Test',
    issuer: 'https://id.example.cn',
    passkeyAuthorities: undefined,
    takeOnce: async () => true,
  });
});
afterAll(() => rooms.db.close());

const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);

describe('accounts', () => {
  test('are found by every spelling of their identifier, and by no other', async () => {
    const { accountId } = await identity.register({ identifier: '13900001111', password });
    for (const spelling of ['13900001111', '+86 139 0000 1111', '139-0000-1111'])
      expect(await identity.find(spelling)).toBe(accountId);
    expect(await identity.find('13900001112')).toBeUndefined();
    expect(await identity.account(accountId)).toMatchObject({ phone: '+8613900001111', username: undefined });
  });

  test('opened ten times at once with one identifier are one account', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => identity.register({ identifier: 'ten-at-once', password })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(codeOf(outcome.reason)).toBe('IDENTIFIER_TAKEN');
    expect(
      await rooms.db.query(`SELECT 1 FROM audit_events WHERE type = 'account.registered' AND subject = $1`, [
        await identity.find('ten-at-once'),
      ]),
    ).toHaveLength(1);
  });

  test('let in with the right password, and record it', async () => {
    const { accountId } = await identity.register({ identifier: 'signs-in', password });
    const showing = await identity.passwords.authenticate({ identifier: 'SIGNS-IN', password });
    const at = rooms.clock.now();
    expect(showing).toEqual({ accountId, method: 'pwd', at });
    const account = await identity.account(accountId);
    await identity.signedIn({
      account: account!,
      factors: { pwd: at.getTime() / 1000 },
      clientId: 'zhejiang',
      arrival: { cookie: undefined, address: '192.0.2.1', userAgent: '', language: 'en' },
    });
    expect(
      await rooms.db.query(
        `SELECT detail FROM audit_events WHERE type = 'account.signed-in' AND subject = $1`,
        [accountId],
      ),
    ).toEqual([{ detail: { amr: ['pwd'], clientId: 'zhejiang' } }]);
  });

  test('cost one comparison and give one answer, whatever is wrong with an attempt', async () => {
    const { accountId } = await identity.register({ identifier: 'locked-one', password });
    await identity.register({ identifier: 'open-one', password });
    await rooms.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [accountId]);
    const verify = vi.spyOn(passwords, 'verify');
    const attempts = [
      ['open-one', 'the wrong one entirely'],
      ['locked-one', password],
      ['nobody-of-this-name', password],
      ['不是一个名字', password],
      ['', ''],
      ['x'.repeat(10_000), 'y'.repeat(10_000)],
    ];
    for (const [identifier = '', tried = ''] of attempts)
      expect(
        await identity.passwords.authenticate({ identifier, password: tried }).catch(codeOf),
        identifier.slice(0, 20),
      ).toBe('CREDENTIALS_WRONG');
    expect(verify).toHaveBeenCalledTimes(attempts.length);
    verify.mockRestore();
  });
});
