import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  createIdentity,
  createPasswordHasher,
  createPasswordPolicy,
  IdentityError,
  type Identity,
  type PasswordRules,
  type PasswordHasher,
} from '../../../src/identity/index.ts';
import { toDataKeys } from '../../../src/platform/data-keys.ts';
import { silentLogger } from '../../support/logger.ts';
import { recordedMessages } from '../../support/messages.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const weak = { memoryKiB: 7168, passes: 1, lanes: 1 };
const strong = { memoryKiB: 8192, passes: 1, lanes: 1 };
const pepper = createSecretKey(randomBytes(32));
const newer = createSecretKey(randomBytes(32));
const dataKeys = toDataKeys(createSecretKey(randomBytes(32)));
const password = 'a heron at the weir';
const other = 'an otter by the bridge';
const DECLARED: PasswordRules = {
  minimumLength: 15,
  minimumLengthWithSecondFactor: 8,
  leastKinds: 1,
  maximumAgeDays: null,
  history: 0,
};

let rooms: Rooms;
const opened: PasswordHasher[] = [];

/** The room as a process with these settings has it. */
async function identityWith(
  hasherParts: Partial<Parameters<typeof createPasswordHasher>[0]> = {},
  rules: Partial<PasswordRules> = {},
): Promise<{ identity: Identity; hasher: PasswordHasher }> {
  const hasher = await createPasswordHasher({ cost: weak, pepper, logger: silentLogger, ...hasherParts });
  opened.push(hasher);
  const identity = createIdentity({
    messages: recordedMessages(),
    recoveryWaitHours: 72,
    ...rooms,
    dataKeys,
    passwords: hasher,
    passwordPolicy: createPasswordPolicy({ context: ['Test'], rules: { ...DECLARED, ...rules } }),
    serviceName: 'Test',
    issuer: 'https://id.example.cn',
    passkeyAuthorities: undefined,
    takeOnce: async () => true,
  });
  return { identity, hasher };
}

const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);

async function stored(accountId: string) {
  const [row] = await rooms.db.query<{ hash: string; pepper: string; created_at: Date }>(
    'SELECT hash, pepper, created_at FROM password_credentials WHERE account_id = $1',
    [accountId],
  );
  if (!row) throw new Error('no password');
  return row;
}

beforeAll(async () => {
  rooms = await openRooms();
});
afterAll(async () => {
  await Promise.all(opened.map((hasher) => hasher.stop()));
  await rooms.db.close();
});

describe('a stored password', () => {
  test.each([
    ['hashed at a lower cost', { cost: strong }],
    ['keyed with an older pepper', { pepper: newer, otherPeppers: [pepper] }],
  ])('%s is hashed anew when its owner signs in, and only then', async (_what, settings) => {
    const identifier = `upgrade-${Object.keys(settings).length}-${'cost' in settings ? 'cost' : 'pepper'}`;
    const { accountId } = await (await identityWith()).identity.register({ identifier, password });
    const before = await stored(accountId);
    const { identity, hasher } = await identityWith(settings);
    const hash = vi.spyOn(hasher, 'hash');

    expect(await identity.passwords.authenticate({ identifier, password: other }).catch(codeOf)).toBe(
      'CREDENTIALS_WRONG',
    );
    expect(await stored(accountId)).toEqual(before);

    expect(await identity.passwords.authenticate({ identifier, password })).toMatchObject({ accountId });
    await vi.waitFor(async () => expect(await stored(accountId)).not.toEqual(before));
    const after = await stored(accountId);
    // Its age is that of the password, not of the hash.
    expect(after.created_at).toEqual(before.created_at);
    await identity.passwords.authenticate({ identifier, password });
    expect(await stored(accountId)).toEqual(after);
    expect(hash).toHaveBeenCalledTimes(1);
  });

  test('that two sign-ins find outdated at the same moment ends with one hash, which is right', async () => {
    const identifier = 'two-at-once';
    const { accountId } = await (await identityWith()).identity.register({ identifier, password });
    const before = await stored(accountId);
    const one = await identityWith({ cost: strong });
    const two = await identityWith({ cost: strong, pepper: newer, otherPeppers: [pepper] });
    const made = [vi.spyOn(one.hasher, 'hash'), vi.spyOn(two.hasher, 'hash')];
    await Promise.all(
      [one, two].map(({ identity }) => identity.passwords.authenticate({ identifier, password })),
    );
    await vi.waitFor(async () => expect(await stored(accountId)).not.toEqual(before));
    const hashes = await Promise.all(made.map((spy) => spy.mock.results[0]?.value));
    expect(hashes.map((hash) => hash?.phc)).toContain((await stored(accountId)).hash);
    expect(await two.identity.passwords.authenticate({ identifier, password })).toMatchObject({ accountId });
  });

  test('that is changed while it is hashed anew stays changed', async () => {
    const identifier = 'changed-meanwhile';
    const { accountId } = await (await identityWith()).identity.register({ identifier, password });
    const { identity, hasher } = await identityWith({ cost: strong });
    const hash = hasher.hash;
    let go: (() => void) | undefined;
    const wait = new Promise<void>((resolve) => (go = resolve));
    const held = vi
      .spyOn(hasher, 'hash')
      .mockImplementationOnce((...parts) => wait.then(() => hash(...parts)));
    await identity.passwords.authenticate({ identifier, password });
    await identity.passwords.change({ accountId, present: password, password: other });
    const changed = await stored(accountId);
    go?.();
    await held.mock.results[0]?.value;
    // What follows upon the hash has begun by then, and the database takes one statement after another.
    await new Promise((resolve) => setImmediate(resolve));
    expect(await stored(accountId)).toEqual(changed);
    expect(await identity.passwords.authenticate({ identifier, password }).catch(codeOf)).toBe(
      'CREDENTIALS_WRONG',
    );
  });

  test('under a pepper that is not known is answered as a wrong one, after the same work', async () => {
    const identifier = 'pepper-gone';
    await (await identityWith()).identity.register({ identifier, password });
    const { identity, hasher } = await identityWith({ pepper: newer });
    const verify = vi.spyOn(hasher, 'verify');
    const errors = [];
    for (const attempt of [
      { identifier, password },
      { identifier, password: other },
      { identifier: 'nobody-of-this-name', password },
    ])
      errors.push(await identity.passwords.authenticate(attempt).catch((error: unknown) => error));
    expect(errors.map(codeOf)).toEqual(Array(3).fill('CREDENTIALS_WRONG'));
    expect(new Set(errors.map((error) => (error as Error).message)).size).toBe(1);
    expect(verify).toHaveBeenCalledTimes(3);
  });
});

describe('changing a password', () => {
  test('asks for the present one, and refuses what the rules do not allow', async () => {
    const { identity } = await identityWith();
    const { accountId } = await identity.register({ identifier: 'wang.xiaohe', password });
    const change = (present: string, next: string) =>
      identity.passwords.change({ accountId, present, password: next }).catch(codeOf);
    expect(await change(other, other)).toBe('CREDENTIALS_WRONG');
    expect(await change(password, 'k8j2p9qx')).toBe('PASSWORD_SHORT');
    expect(await change(password, 'wang.xiaohewang.xiaohe')).toBe('PASSWORD_COMMON');
    expect(await change(password, other)).toBeUndefined();
    expect(
      await identity.passwords.authenticate({ identifier: 'wang.xiaohe', password: other }),
    ).toMatchObject({ accountId });
  });

  test('twice at once by the same present password changes it once', async () => {
    const { identity } = await identityWith();
    const { accountId } = await identity.register({ identifier: 'twice-at-once', password });
    const nexts = ['the first of two new ones', 'the second of two new ones'];
    const outcomes = await Promise.all(
      nexts.map((next) =>
        identity.passwords.change({ accountId, present: password, password: next }).catch(codeOf),
      ),
    );
    expect(new Set(outcomes)).toEqual(new Set(['CREDENTIALS_WRONG', undefined]));
    const kept = nexts.find((_, i) => outcomes[i] === undefined) ?? '';
    expect(
      await identity.passwords.authenticate({ identifier: 'twice-at-once', password: kept }),
    ).toMatchObject({ accountId });
  });

  test('may be to a shorter one where a second factor is always asked for', async () => {
    const { identity } = await identityWith();
    const { accountId } = await identity.register({ identifier: 'has-a-second', password });
    await rooms.db.query(
      'INSERT INTO totp_credentials (account_id, secret, last_step, created_at) VALUES ($1, $2, 0, $3)',
      [accountId, Buffer.alloc(20), rooms.clock.now()],
    );
    await identity.passwords.change({ accountId, present: password, password: 'k8j2p9qx' });
    const [row] = await rooms.db.query(
      'SELECT stands_alone FROM password_credentials WHERE account_id = $1',
      [accountId],
    );
    expect(row).toEqual({ stands_alone: false });
  });

  test('is not helped to a shorter one by recovery codes, which are used up', async () => {
    const { identity } = await identityWith();
    const { accountId } = await identity.register({ identifier: 'has-codes-only', password });
    await rooms.db.query('INSERT INTO recovery_codes (account_id, digest, created_at) VALUES ($1, $2, $3)', [
      accountId,
      randomBytes(32),
      rooms.clock.now(),
    ]);
    expect(
      await identity.passwords.change({ accountId, present: password, password: 'k8j2p9qx' }).catch(codeOf),
    ).toBe('PASSWORD_SHORT');
  });

  test('refuses the last ones that a history remembers, and no older one', async () => {
    const { identity } = await identityWith({}, { history: 3 });
    const words = ['first', 'second', 'third', 'fourth'].map((word) => `the ${word} heron at the weir`);
    const [first = '', second = '', third = '', fourth = ''] = words;
    const { accountId } = await identity.register({ identifier: 'has-a-history', password: first });
    const change = async (present: string, next: string) => {
      rooms.clock.advance(60);
      return identity.passwords.change({ accountId, present, password: next }).catch(codeOf);
    };
    expect(await change(first, first)).toBe('PASSWORD_REUSED');
    expect(await change(first, second)).toBeUndefined();
    expect(await change(second, third)).toBeUndefined();
    for (const used of [first, second, third])
      expect(await change(third, used), used).toBe('PASSWORD_REUSED');
    expect(await change(third, fourth)).toBeUndefined();
    expect(await change(fourth, first)).toBeUndefined();
    expect(
      await rooms.db.query('SELECT 1 FROM password_history WHERE account_id = $1', [accountId]),
    ).toHaveLength(2);
  });
});
