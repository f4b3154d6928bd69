import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLogoutOutbox, type LogoutOutbox } from '../../src/oidc/index.ts';
import { silentLogger } from '../support/logger.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
const started: LogoutOutbox[] = [];

beforeAll(async () => {
  rooms = await openRooms();
});
beforeEach(async () => {
  for (const outbox of started.splice(0)) await outbox.stop();
  await rooms.db.query('DELETE FROM logout_outbox');
});
afterAll(async () => {
  for (const outbox of started) await outbox.stop();
  await rooms.db.close();
});

/** The outbox of one process. `deliver` is how portals answer it. */
function process(deliver?: (clientId: string) => Promise<void> | void): {
  outbox: LogoutOutbox;
  calls: string[];
} {
  const calls: string[] = [];
  const outbox = createLogoutOutbox({ db: rooms.db, clock: rooms.clock, logger: silentLogger });
  if (deliver)
    outbox.start(async ({ clientId }) => {
      calls.push(clientId);
      await deliver(clientId);
    });
  started.push(outbox);
  return { outbox, calls };
}
const call = (clientId: string) => ({ clientId, accountId: 'acc_1', sid: 'sid-1' });
const refuse = () => {
  throw new Error('expected 200 OK, got: 500');
};

describe('a logout call', () => {
  test('is made at once, and forgotten when the portal accepted it', async () => {
    const { outbox, calls } = process(() => undefined);
    await outbox.enqueue(call('zhejiang'));
    await expect.poll(() => outbox.undelivered()).toEqual([]);
    expect(calls).toEqual(['zhejiang']);
  });

  test('does not make the person wait for a portal that hangs', async () => {
    let release = () => {};
    const { outbox } = process(() => new Promise<void>((resolve) => (release = resolve)));
    await outbox.enqueue(call('slow'));
    expect(await outbox.undelivered()).toMatchObject([{ clientId: 'slow' }]);
    release();
    await expect.poll(() => outbox.undelivered()).toEqual([]);
  });

  test('that a portal answers with 500 is repeated with growing pauses, then accepted', async () => {
    let fail = true;
    const { outbox, calls } = process(() => (fail ? refuse() : undefined));
    await outbox.enqueue(call('flaky'));
    const at = () =>
      outbox
        .undelivered()
        .then(([first]) => first && (first.nextAttemptAt.getTime() - rooms.clock.now().getTime()) / 1000);
    await expect.poll(at).toBe(5);
    rooms.clock.advance(4);
    await outbox.resend();
    expect(calls).toHaveLength(1);
    rooms.clock.advance(1);
    await expect.poll(at, { timeout: 5000 }).toBe(15);
    fail = false;
    rooms.clock.advance(15);
    await expect.poll(() => outbox.undelivered(), { timeout: 5000 }).toEqual([]);
    expect(calls).toHaveLength(3);
  });

  test('that is never accepted ends in the list, says why, and can be sent again', async () => {
    let fail = true;
    const { outbox, calls } = process(() => (fail ? refuse() : undefined));
    await outbox.enqueue(call('dead'));
    await rooms.db.query(`UPDATE logout_outbox SET attempts = 8`);
    await expect.poll(async () => (await outbox.undelivered())[0]?.attempts).toBeGreaterThanOrEqual(8);
    rooms.clock.advance(86_400);
    await expect.poll(async () => (await outbox.undelivered())[0]?.state, { timeout: 5000 }).toBe('dead');
    expect(await outbox.undelivered()).toMatchObject([
      { clientId: 'dead', lastProblem: 'expected 200 OK, got: 500' },
    ]);
    const before = calls.length;
    rooms.clock.advance(86_400);
    fail = false;
    expect(await outbox.resend()).toBe(1);
    await expect.poll(() => outbox.undelivered()).toEqual([]);
    expect(calls.length).toBe(before + 1);
  });

  test('of a process that was killed is made by another', async () => {
    const { outbox: killed } = process();
    await killed.enqueue(call('orphan'));
    // It had taken the call and died before it could settle it.
    await rooms.db.query(`UPDATE logout_outbox SET attempts = 1, next_attempt_at = $1`, [
      new Date(rooms.clock.now().getTime() + 30_000),
    ]);
    const { outbox, calls } = process(() => undefined);
    expect(calls).toEqual([]);
    rooms.clock.advance(31);
    await expect.poll(() => outbox.undelivered(), { timeout: 5000 }).toEqual([]);
    expect(calls).toEqual(['orphan']);
  });

  test('is made by one process, however many there are', async () => {
    const accept = () => undefined;
    const processes = [process(accept), process(accept), process(accept)];
    for (let i = 0; i < 60; i++) await processes[i % 3]?.outbox.enqueue(call(`portal-${i}`));
    await expect.poll(() => processes[0]?.outbox.undelivered(), { timeout: 5000 }).toEqual([]);
    const calls = processes.flatMap((one) => one.calls);
    expect(calls).toHaveLength(60);
    expect(new Set(calls).size).toBe(60);
  });
});
