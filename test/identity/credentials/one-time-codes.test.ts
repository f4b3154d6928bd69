import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { IdentityError, type Address } from '../../../src/identity/index.ts';
import {
  createOneTimeCodes,
  type CodeRequest,
  type OneTimeCodes,
} from '../../../src/identity/credentials/one-time-codes.ts';
import { toDataKeys, type DataKeys } from '../../../src/platform/data-keys.ts';
import { recordedMessages } from '../../support/messages.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const secret = () => createSecretKey(randomBytes(32));
let rooms: Rooms;
let dataKeys: DataKeys;
let codes: OneTimeCodes;
const messages = recordedMessages();
const { sent } = messages;
let phones = 0;

const make = (keys: DataKeys) =>
  createOneTimeCodes({
    ...rooms,
    dataKeys: keys,
    messages,
  });

beforeAll(async () => {
  rooms = await openRooms();
  dataKeys = toDataKeys(secret());
  codes = make(dataKeys);
});
beforeEach(() => {
  sent.length = 0;
  phones += 1;
});
afterAll(() => rooms.db.close());

const phone = (): Address => ({ channel: 'sms', value: `+861991234${String(phones).padStart(4, '0')}` });
const request = (more: Partial<CodeRequest> = {}): CodeRequest => ({
  purpose: 'sign-in',
  binding: `interaction-${phones}`,
  to: phone(),
  accountId: 'acc_1',
  message: 'code',
  language: 'zh-CN',
  ...more,
});
const attempt = (code: string, more: Partial<CodeRequest> = {}) => ({ ...request(more), code });
const codeIn = (message = sent.at(-1)) => String(message?.parameters['code']);
const another = (code: string) => `${(Number(code[0]) + 1) % 10}${code.slice(1)}`;
const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);

describe('a one-time code', () => {
  test('shows that the phone or mailbox of an account is at hand, once', async () => {
    await codes.send(request());
    expect(sent).toMatchObject([{ channel: 'sms', to: phone().value, kind: 'signInCode' }]);
    expect(codeIn()).toMatch(/^\d{6}$/);
    expect(await codes.check(attempt(codeIn()))).toEqual({
      accountId: 'acc_1',
      method: 'sms',
      at: rooms.clock.now(),
    });
    expect(await codes.check(attempt(codeIn())).catch(codeOf)).toBe('CODE_OVER');
  });

  test('is read however the keyboard writes digits, and whatever separates them', async () => {
    await codes.send(request({ to: { channel: 'email', value: `a${phones}@example.cn` } }));
    const code = codeIn();
    const wide = [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join('');
    expect(await codes.check(attempt(` ${wide.slice(0, 3)} ${wide.slice(3)}`))).toMatchObject({
      method: 'email',
    });
  });

  test.each<[string, Partial<CodeRequest>]>([
    ['for another purpose', { purpose: 'second-factor' }],
    ['in another browser', { binding: 'somebody-elses' }],
  ])('is good for nothing %s', async (_what, more) => {
    await codes.send(request());
    expect(await codes.check(attempt(codeIn(), more)).catch(codeOf)).toBe('CODE_OVER');
    expect(await codes.check(attempt(codeIn()))).toBeDefined();
  });

  test('is good for ten minutes and no longer', async () => {
    await codes.send(request());
    rooms.clock.advance(599);
    expect(await codes.check(attempt(another(codeIn()))).catch(codeOf)).toBe('CODE_WRONG');
    rooms.clock.advance(1);
    expect(await codes.check(attempt(codeIn())).catch(codeOf)).toBe('CODE_OVER');
  });

  test('is over after five wrong ones, and what cannot be a code is not counted', async () => {
    await codes.send(request());
    for (const nonsense of ['', 'abcdef', '１', '9'.repeat(5000), '12 34 \u0000'])
      expect(await codes.check(attempt(nonsense)).catch(codeOf)).toBe('CODE_WRONG');
    for (let i = 0; i < 5; i++)
      expect(await codes.check(attempt(another(codeIn()))).catch(codeOf)).toBe('CODE_WRONG');
    expect(await codes.check(attempt(codeIn())).catch(codeOf)).toBe('CODE_OVER');
  });

  test('is replaced by the next one, which counts anew', async () => {
    await codes.send(request());
    const first = codeIn();
    await codes.check(attempt(another(first))).catch(() => undefined);
    rooms.clock.advance(30);
    await codes.send(request());
    if (first !== codeIn()) expect(await codes.check(attempt(first)).catch(codeOf)).toBe('CODE_WRONG');
    expect(await codes.check(attempt(codeIn()))).toBeDefined();
  });

  test('that twenty send at once lets one of them through, and twenty guesses at once are five', async () => {
    await codes.send(request());
    const right = await Promise.allSettled(Array.from({ length: 20 }, () => codes.check(attempt(codeIn()))));
    expect(right.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    rooms.clock.advance(30);
    await codes.send(request());
    const guesses = await Promise.all(
      Array.from({ length: 20 }, () => codes.check(attempt(another(codeIn()))).catch(codeOf)),
    );
    expect(guesses.filter((code) => code === 'CODE_WRONG')).toHaveLength(5);
    expect(guesses.filter((code) => code === 'CODE_OVER')).toHaveLength(15);
  });

  test('of an address without an account is made alike, sent to nobody, and fits nothing', async () => {
    const statements: string[] = [];
    const watched = createOneTimeCodes({
      ...rooms,
      dataKeys,
      db: {
        ...rooms.db,
        transaction: (work) =>
          rooms.db.transaction((tx) =>
            work({
              ...tx,
              query: (sql, parameters) => {
                statements.push(sql);
                return tx.query(sql, parameters);
              },
            }),
          ),
      },
      messages,
    });
    const known = await watched.send(request({ binding: 'known' }));
    const work = statements.splice(0);
    phones += 1;
    const unknown = await watched.send(request({ accountId: undefined, message: 'nothing' }));
    expect(unknown).toEqual(known);
    expect(statements).toEqual(work);
    expect(sent).toHaveLength(2);
    expect(sent.at(-1)).toMatchObject({ to: undefined, kind: 'signInCode', parameters: {} });
    // The digest is of no code: all of a million could be tried.
    for (let i = 0; i < 5; i++)
      expect(await codes.check(attempt(String(100_000 + i))).catch(codeOf)).toBe('CODE_WRONG');
    expect(await codes.check(attempt('100000')).catch(codeOf)).toBe('CODE_OVER');
  });

  test('that speaks for nobody yet shows whose address it is, and signs nobody in', async () => {
    const verify = { purpose: 'verify', accountId: undefined } as const;
    await codes.send(request(verify));
    expect(await codes.verify(attempt(codeIn(), verify))).toEqual(phone());
    rooms.clock.advance(30);
    await codes.send(request(verify));
    expect(await codes.check(attempt(codeIn(), verify)).catch(codeOf)).toBe('CODE_WRONG');
  });

  test('another message may go in its place, as to an address that has an account already', async () => {
    await codes.send(request({ purpose: 'verify', message: 'registrationTaken' }));
    expect(sent).toMatchObject([{ to: phone().value, kind: 'registrationTaken', parameters: {} }]);
  });

  test('lies as a keyed digest, its address encrypted', async () => {
    await codes.send(request());
    const dump = JSON.stringify([
      await rooms.db.query('SELECT to_jsonb(c) FROM one_time_codes c'),
      await rooms.db.query('SELECT to_jsonb(p) FROM one_time_code_pauses p'),
    ]);
    for (const value of [codeIn(), phone().value.slice(3)])
      for (const form of [value, Buffer.from(value).toString('hex')]) expect(dump).not.toContain(form);
  });

  test('outlives a change of the data key', async () => {
    await codes.send(request());
    const [next] = [secret()];
    const renewed = make(toDataKeys(next, [dataKeys.current.secret]));
    expect(await renewed.check(attempt(codeIn()))).toMatchObject({ accountId: 'acc_1' });
  });
});

describe('sending to one address', () => {
  test('pauses for longer and longer, whoever asks in whatever place, and begins again after a day', async () => {
    const pauses: number[] = [];
    let fromBrowser = 0;
    const send = (more: Partial<CodeRequest> = {}) =>
      codes.send(request({ binding: `browser-${phones}-${(fromBrowser += 1)}`, ...more }));
    for (let i = 0; i < 10; i++) {
      const { sent: done, resendAt } = await send();
      expect(done).toBe(true);
      const pause = (resendAt.getTime() - rooms.clock.now().getTime()) / 1000;
      pauses.push(pause);
      rooms.clock.advance(pause - 1);
      expect(await send({ purpose: 'recovery' })).toEqual({ sent: false, resendAt });
      rooms.clock.advance(1);
    }
    expect(pauses).toEqual([30, 60, 120, 300, 600, 900, 1800, 3600, 3600, 86_400]);
    expect(sent).toHaveLength(10);
    expect((await send()).resendAt.getTime()).toBe(rooms.clock.now().getTime() + 30_000);
  });

  test('that comes too soon leaves the code that is there', async () => {
    await codes.send(request());
    const code = codeIn();
    expect(await codes.send(request())).toMatchObject({ sent: false });
    expect(sent).toHaveLength(1);
    expect(await codes.check(attempt(code))).toBeDefined();
  });

  test('twenty times at once is once', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => codes.send(request({ binding: `b-${i}` }))),
    );
    expect(all.filter((one) => one.sent)).toHaveLength(1);
    expect(sent).toHaveLength(1);
  });

  test('by strangers uses up nothing of whoever has shown a first factor', async () => {
    await codes.send(request());
    expect(await codes.send(request({ purpose: 'recovery' }))).toMatchObject({ sent: false });
    expect(await codes.send(request({ purpose: 'second-factor' }))).toMatchObject({ sent: true });
  });

  test('leaves nothing behind for ever', async () => {
    const rows = async () =>
      (
        await rooms.db.query<{ n: number }>(
          'SELECT (SELECT count(*) FROM one_time_codes) + (SELECT count(*) FROM one_time_code_pauses) AS n',
        )
      )[0]?.n ?? 0;
    rooms.clock.advance(2 * 86_400);
    for (let i = 0; i < 10; i++) {
      phones += 1;
      await codes.send(request());
    }
    expect(await rows()).toBeLessThanOrEqual(20);
  });
});
