import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createMessages, masked, type Messages } from '../../../src/identity/index.ts';
import type { Carrier, Letter, Message } from '../../../src/identity/messages/messages.ts';
import { compose, MESSAGE_KINDS } from '../../../src/identity/messages/texts.ts';
import { toDataKeys } from '../../../src/platform/data-keys.ts';
import { loadLanguages } from '../../../src/platform/i18n.ts';
import { Unacceptable } from '../../../src/platform/outbox.ts';
import { recordingLogger } from '../../support/logger.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const languages = loadLanguages();
const dataKeys = toDataKeys(createSecretKey(randomBytes(32)));
const { lines, logger } = recordingLogger();
let rooms: Rooms;
const started: Messages[] = [];

beforeAll(async () => {
  rooms = await openRooms();
});
afterEach(async () => {
  for (const messages of started.splice(0)) await messages.stop();
  await rooms.db.query('DELETE FROM message_outbox');
});
afterAll(() => rooms.db.close());

/** The messages of one process, and what its carriers took. */
function process(carry: Carrier = async () => undefined): { messages: Messages; taken: Letter[] } {
  const taken: Letter[] = [];
  const carrier: Carrier = async (letter) => {
    await carry(letter);
    taken.push(letter);
  };
  const messages = createMessages({ ...rooms, logger, dataKeys, languages, carriers: { sms: carrier } });
  messages.start();
  started.push(messages);
  return { messages, taken };
}
const message = (more: Partial<Message> = {}): Message => ({
  channel: 'sms',
  to: '+8619912340001',
  kind: 'signInCode',
  language: 'en',
  parameters: { code: '246810', minutes: 10 },
  ...more,
});
const waiting = (messages: Messages) => messages.undelivered();

describe('a message', () => {
  test('is sent in the words and language of its reader, and then nothing of it stays', async () => {
    const { messages, taken } = process();
    await messages.send(message());
    await messages.send(message({ language: 'zh-CN' }));
    await expect.poll(() => waiting(messages)).toEqual([]);
    expect(taken.map(({ to }) => to)).toEqual(['+8619912340001', '+8619912340001']);
    const [english, chinese] = ['en', 'zh-CN'].map((code) => taken.find(({ language }) => language === code));
    expect(english?.text).toMatch(/246810.*10 minutes/);
    expect(chinese?.text).toMatch(/^【印信统一身份认证】246810/);
  });

  test('rests until whoever asked has their answer, or somebody looks at what has come', async () => {
    const { messages, taken } = process();
    // What the start has set going looks for messages too.
    await messages.settle();
    await messages.send(message());
    expect(taken).toEqual([]);
    await messages.settle();
    expect(taken).toHaveLength(1);
    expect(await waiting(messages)).toEqual([]);
  });

  test('lies encrypted, and shows neither address nor text to whoever lists what waits', async () => {
    const { messages } = process(() => Promise.reject(new Error('HTTP 503')));
    await messages.send(message());
    await expect.poll(async () => (await waiting(messages))[0]?.lastProblem).toBe('HTTP 503');
    const [row] = await rooms.db.query<{ row: object }>('SELECT to_jsonb(m) AS row FROM message_outbox m');
    const shown = JSON.stringify([row, await waiting(messages), lines]);
    for (const secret of ['246810', '19912340001'])
      for (const form of [
        secret,
        Buffer.from(secret).toString('hex'),
        Buffer.from(secret).toString('base64'),
      ])
        expect(shown).not.toContain(form.replace(/=+$/, ''));
    expect(lines.join()).toContain('a message was not taken');
  });

  test('belongs to the change that it tells of: without the change there is no message', async () => {
    const { messages, taken } = process();
    await rooms.db
      .transaction(async (tx) => {
        await messages.send(message({ to: '+8619912340002' }), tx);
        throw new Error('the change failed');
      })
      .catch(() => undefined);
    await rooms.db.transaction((tx) => messages.send(message({ to: '+8619912340003' }), tx));
    await expect.poll(() => taken.map(({ to }) => to)).toEqual(['+8619912340003']);
  });

  test('to nobody takes the same way and reaches nobody', async () => {
    const { messages, taken } = process();
    await messages.send(message({ to: undefined }));
    await messages.send(message());
    await expect.poll(() => waiting(messages)).toEqual([]);
    expect(taken).toHaveLength(1);
  });

  test('that is refused for the moment is repeated, for good is given up at once, and can be sent again', async () => {
    let answer: Error | undefined = new Error('HTTP 503');
    const { messages, taken } = process(async () => {
      if (answer) throw answer;
    });
    await messages.send(message());
    await expect.poll(async () => (await waiting(messages))[0]?.lastProblem).toBe('HTTP 503');
    expect(await waiting(messages)).toMatchObject([{ state: 'waiting', attempts: 1 }]);
    answer = new Unacceptable('HTTP 422');
    rooms.clock.advance(2);
    await messages.resend();
    await expect.poll(async () => (await waiting(messages))[0]?.state, { timeout: 5000 }).toBe('dead');
    expect(await waiting(messages)).toMatchObject([
      { channel: 'sms', kind: 'signInCode', lastProblem: 'HTTP 422' },
    ]);
    answer = undefined;
    expect(await messages.resend()).toBe(1);
    await expect.poll(() => waiting(messages)).toEqual([]);
    expect(taken).toHaveLength(1);
  });

  test('that is of no use any more is not sent', async () => {
    let answer: Error | undefined = new Error('HTTP 503');
    const { messages, taken } = process(async () => {
      if (answer) throw answer;
    });
    await messages.send(message({ expiresAt: new Date(rooms.clock.now().getTime() + 600_000) }));
    await expect.poll(async () => (await waiting(messages))[0]?.lastProblem).toBe('HTTP 503');
    answer = undefined;
    rooms.clock.advance(600);
    await messages.resend();
    await expect.poll(() => waiting(messages)).toEqual([]);
    expect(taken).toEqual([]);
  });

  test('that hangs holds up no other', async () => {
    let release = () => {};
    const hanging = new Promise<void>((resolve) => (release = resolve));
    const { messages, taken } = process(({ to }) => (to.endsWith('9') ? hanging : Promise.resolve()));
    for (const end of [9, 1, 2, 3]) await messages.send(message({ to: `+861991234000${end}` }));
    await expect.poll(() => taken.length).toBe(3);
    release();
    await expect.poll(() => taken.length).toBe(4);
  });

  test('is sent by one process, however many there are, and in time however many wait', async () => {
    const processes = [process(), process(), process()];
    await Promise.all(
      Array.from({ length: 90 }, async (_, i) =>
        processes[i % 3]?.messages.send(message({ to: `+86199${String(i).padStart(8, '0')}` })),
      ),
    );
    await expect.poll(() => processes[0]?.messages.undelivered(), { timeout: 10_000 }).toEqual([]);
    const taken = processes.flatMap((one) => one.taken.map(({ to }) => to));
    expect(taken).toHaveLength(90);
    expect(new Set(taken).size).toBe(90);
  });

  test('on a channel that nothing carries is given up', async () => {
    const { messages } = process();
    expect([...messages.channels]).toEqual(['sms']);
    await messages.send(message({ channel: 'email', to: 'lihua@example.cn' }));
    await expect.poll(async () => (await waiting(messages))[0]?.state).toBe('dead');
  });
});

test('every message has words in every language, and no word is for a message that there is not', () => {
  for (const language of languages.all)
    for (const kind of MESSAGE_KINDS) {
      const { subject, text } = compose(language, 'email', kind, {});
      expect(subject.length).toBeGreaterThan(3);
      expect(text.length).toBeGreaterThan(20);
    }
});

test.each([
  ['sms', '+8613800138000', '138****8000'],
  ['email', 'lihua@example.cn', 'l***@example.cn'],
  ['email', 'l@example.cn', 'l***@example.cn'],
] as const)('an address by %s, %s, is shown as %s', (channel, value, shown) => {
  expect(masked({ channel, value })).toBe(shown);
});
