import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  carriedFactors,
  createCrossDevice,
  type CrossDevice,
} from '../../../src/identity/credentials/cross-device.ts';
import { IdentityError } from '../../../src/identity/index.ts';
import { toDataKeys } from '../../../src/platform/data-keys.ts';
import { newId, type AccountId } from '../../../src/platform/ids.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

let rooms: Rooms;
let crossDevice: CrossDevice;
const place = { address: '203.0.113.9', userAgent: 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' };

beforeAll(async () => {
  rooms = await openRooms();
  crossDevice = createCrossDevice({ ...rooms, dataKeys: toDataKeys(createSecretKey(randomBytes(32))) });
});
afterAll(() => rooms.db.close());

const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);
const OVER = 'CROSS_DEVICE_OVER';

async function newAccount(): Promise<AccountId> {
  const id = newId('acc', rooms.clock.now());
  await rooms.db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [
    id,
    rooms.clock.now(),
  ]);
  return id;
}

/** A screen that shows a code. */
async function screen(binding = randomBytes(8).toString('hex')) {
  await crossDevice.begin({ binding, clientId: 'zhejiang', place });
  const standing = await crossDevice.standing(binding);
  if (standing?.state !== 'waiting') throw new Error('no code');
  return { binding, token: standing.token };
}

/** A screen, and a phone that has opened its code. */
async function opened() {
  const { binding, token } = await screen();
  const handle = await crossDevice.open(token);
  const accountId = await newAccount();
  const question = await crossDevice.question(handle, accountId);
  const standing = await crossDevice.standing(binding);
  if (!question || standing?.state !== 'opened') throw new Error('not opened');
  const { number } = standing;
  const answer = { handle, id: question.id, accountId };
  const seconds = Math.floor(rooms.clock.now().getTime() / 1000);
  const approve = (changes: Partial<typeof answer & { number: number }> = {}) =>
    crossDevice.approve({ ...answer, number, factors: { pwd: seconds - 60 }, ...changes });
  return { binding, token, handle, accountId, question, number, answer, approve, seconds };
}

describe('a sign-in that is approved on another device', () => {
  test('goes from the code by way of the number to what the phone has shown, with its own times', async () => {
    const { binding, accountId, question, approve, seconds } = await opened();
    expect(question).toMatchObject({ clientId: 'zhejiang', place, startedAt: rooms.clock.now() });
    expect(await approve()).toBe(true);
    expect(await crossDevice.standing(binding)).toEqual({ state: 'approved' });
    expect(await crossDevice.finish(binding)).toEqual([
      { accountId, method: 'pwd', at: new Date((seconds - 60) * 1000) },
      { accountId, method: 'mca', at: rooms.clock.now() },
    ]);
    expect(await crossDevice.standing(binding)).toEqual({ state: 'over' });
    expect(
      await rooms.db.query('SELECT type, detail FROM audit_events WHERE subject = $1', [accountId]),
    ).toEqual([{ type: 'cross-device.approved', detail: { clientId: 'zhejiang' } }]);
  });

  test('has a number of two digits that only the screen knows', async () => {
    const { number, question } = await opened();
    expect(number).toBeGreaterThanOrEqual(10);
    expect(number).toBeLessThan(100);
    expect(JSON.stringify(question)).not.toContain('number');
    const { token, binding } = await screen();
    // Before a phone has opened the code there is none to read.
    expect(await crossDevice.standing(binding)).not.toHaveProperty('number');
    expect(token).toMatch(/^xdr_[0-9a-z]{26}\.[\w-]{22}$/);
  });

  test('is told to the screen when it is refused', async () => {
    const { binding, answer, accountId } = await opened();
    await crossDevice.refuse(answer);
    expect(await crossDevice.standing(binding)).toEqual({ state: 'refused' });
    expect(await crossDevice.finish(binding).catch(codeOf)).toBe(OVER);
    expect(await rooms.db.query('SELECT type FROM audit_events WHERE subject = $1', [accountId])).toEqual([
      { type: 'cross-device.refused' },
    ]);
  });

  test('is at rest without a readable place, token or handle', async () => {
    const { token, handle } = await opened();
    const rows = await rooms.db.query('SELECT * FROM cross_device_requests');
    const text = JSON.stringify(rows, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    for (const secret of [token.split('.')[1] ?? '', handle, '203.0.113.9', 'Firefox'])
      expect(text).not.toContain(secret);
  });

  test('carries no more than the phone has shown, and no hardware', () => {
    expect(carriedFactors({ pwd: 100, otp: 200, mca: 300 })).toEqual({ pwd: 100, otp: 200 });
    expect(carriedFactors({ hwk: 100 })).toEqual({ swk: 100 });
    expect(carriedFactors({ hwk: 100, swk: 90, pwd: 1 })).toEqual({ swk: 100, pwd: 1 });
  });
});

describe('a code', () => {
  test('is opened by one phone of twenty', async () => {
    const { token } = await screen();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => crossDevice.open(token)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await crossDevice.open(token).catch(codeOf)).toBe(OVER);
  });

  test('is good for a minute', async () => {
    const { token, binding } = await screen();
    const late = await screen();
    rooms.clock.advance(59);
    await crossDevice.open(token);
    rooms.clock.advance(1);
    expect(await crossDevice.open(late.token).catch(codeOf)).toBe(OVER);
    expect(await crossDevice.standing(late.binding)).toEqual({ state: 'over' });
    expect(await crossDevice.standing(binding)).toMatchObject({ state: 'opened' });
  });

  test('that was replaced, guessed or tampered with opens nothing', async () => {
    const { token, binding } = await screen();
    const [id = '', mac = ''] = token.split('.');
    const wrong = [
      '',
      '.',
      id,
      `${id}.`,
      `${id}.${'A'.repeat(22)}`,
      `${token}.x`,
      `${id.slice(0, -1)}0.${mac}`,
      `xdr_${'0'.repeat(26)}.${mac}`,
      'x'.repeat(10_000),
    ];
    for (const guess of wrong.filter((guess) => guess !== token))
      expect(await crossDevice.open(guess).catch(codeOf), guess.slice(0, 60)).toBe(OVER);
    await screen(binding);
    expect(await crossDevice.open(token).catch(codeOf)).toBe(OVER);
  });
});

describe('an approval', () => {
  test('takes one try at the number: a wrong one ends it, however many are sent at once', async () => {
    const { approve, number, binding, accountId } = await opened();
    const wrong = number === 99 ? 10 : number + 1;
    expect(await approve({ number: wrong })).toBe(false);
    expect(await approve().catch(codeOf)).toBe(OVER);
    expect(await crossDevice.standing(binding)).toEqual({ state: 'mismatched' });
    expect(await crossDevice.finish(binding).catch(codeOf)).toBe(OVER);
    expect(await rooms.db.query('SELECT type FROM audit_events WHERE subject = $1', [accountId])).toEqual([
      { type: 'cross-device.mismatched' },
    ]);

    const guesser = await opened();
    const guesses = await Promise.allSettled(
      Array.from({ length: 90 }, (_, i) => guesser.approve({ number: 10 + i })),
    );
    expect(guesses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('is of the request that was seen, by the account that saw it, on the phone that opened it', async () => {
    const { approve, answer, handle, number } = await opened();
    const other = await opened();
    expect(await approve({ id: other.question.id }).catch(codeOf)).toBe(OVER);
    expect(await approve({ handle: other.handle }).catch(codeOf)).toBe(OVER);
    expect(await approve({ accountId: other.accountId }).catch(codeOf)).toBe(OVER);
    expect(await crossDevice.question(handle, other.accountId)).toBeUndefined();
    expect(await crossDevice.refuse({ ...answer, accountId: other.accountId }).catch(codeOf)).toBe(OVER);
    // It still stands for the one who saw it.
    expect(await approve({ number })).toBe(true);
  });

  test('needs that somebody has seen what is approved', async () => {
    const { token, binding } = await screen();
    const handle = await crossDevice.open(token);
    const standing = await crossDevice.standing(binding);
    const number = standing?.state === 'opened' ? standing.number : 0;
    const answer = { handle, id: token.split('.')[0] ?? '', accountId: await newAccount(), number };
    expect(await crossDevice.approve({ ...answer, factors: {} }).catch(codeOf)).toBe(OVER);
  });

  test('comes too late after five minutes, and is taken too late after five more', async () => {
    const slow = await opened();
    rooms.clock.advance(300);
    expect(await slow.approve().catch(codeOf)).toBe(OVER);
    expect(await crossDevice.refuse(slow.answer).catch(codeOf)).toBe(OVER);
    expect(await crossDevice.question(slow.handle, slow.accountId)).toBeUndefined();
    const left = await opened();
    await left.approve();
    rooms.clock.advance(300);
    expect(await crossDevice.finish(left.binding).catch(codeOf)).toBe(OVER);
  });

  test('is taken once, by the browser that showed the code, for an account that is active', async () => {
    const { approve, binding } = await opened();
    await approve();
    expect(await crossDevice.finish('another browser').catch(codeOf)).toBe(OVER);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => crossDevice.finish(binding)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);

    const locked = await opened();
    await locked.approve();
    await rooms.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [locked.accountId]);
    expect(await crossDevice.finish(locked.binding).catch(codeOf)).toBe(OVER);
  });

  test('leaves nothing behind after an hour', async () => {
    await opened();
    rooms.clock.advance(2 * 3600);
    const { binding } = await screen();
    expect(await rooms.db.query('SELECT count(*) AS n FROM cross_device_requests')).toEqual([{ n: 1 }]);
    expect(await crossDevice.standing(binding)).toMatchObject({ state: 'waiting' });
  });
});
