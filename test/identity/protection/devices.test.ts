import { createSecretKey, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { createDevices, type Arrival, type Devices } from '../../../src/identity/protection/devices.ts';
import type { Account } from '../../../src/identity/index.ts';
import { toDataKeys, type DataKeys } from '../../../src/platform/data-keys.ts';
import { newId, type AccountId } from '../../../src/platform/ids.ts';
import { recordedMessages } from '../../support/messages.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0';

describe('known devices', () => {
  let rooms: Rooms;
  let devices: Devices;
  const secrets = [randomBytes(32), randomBytes(32)].map((bytes) => createSecretKey(bytes));
  const [older, newer] = [toDataKeys(secrets[0]!), toDataKeys(secrets[1]!, [secrets[0]!])];

  const messages = recordedMessages();
  const reachable = new Set<string>();
  const open = (dataKeys: DataKeys) => createDevices({ ...rooms, dataKeys, messages });
  const accountOf = (id: AccountId) =>
    ({
      id,
      phone: '+8613900000000',
      phoneVerified: reachable.has(id),
      email: 'somebody@example.cn',
      emailVerified: reachable.has(id),
    }) as Account;
  const remember = (account: AccountId, arrives: Arrival, by = devices) =>
    rooms.db.transaction((tx) => by.remember(tx, accountOf(account), arrives));

  beforeAll(async () => {
    rooms = await openRooms();
    devices = open(older);
  });

  async function openAccount(): Promise<AccountId> {
    const id = newId('acc', rooms.clock.now());
    await rooms.db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [
      id,
      rooms.clock.now(),
    ]);
    return id;
  }
  const arrival = (cookie: string | undefined, address = '192.0.2.1') => ({
    cookie,
    address,
    userAgent: FIREFOX,
    language: 'en',
  });

  test('a device is new once, then known, under a cookie that changes each time', async () => {
    const account = await openAccount();
    expect(await devices.factsOf(account, arrival(undefined))).toEqual({
      knownDevice: false,
      knownNetwork: false,
      last: undefined,
    });
    const first = await remember(account, arrival(undefined));
    expect(first.isNew).toBe(true);
    rooms.clock.advance(3600);
    const second = await remember(account, arrival(first.cookie));
    expect(second).toMatchObject({ id: first.id, isNew: false });
    expect(second.cookie).not.toBe(first.cookie);
    expect(await devices.recognise(account, second.cookie)).toBe(first.id);
  });

  test('networks are known by their prefix, and the last one is told apart', async () => {
    const account = await openAccount();
    await remember(account, arrival(undefined, '192.0.2.1'));
    const at = rooms.clock.now();
    rooms.clock.advance(60);
    expect(await devices.factsOf(account, arrival(undefined, '192.0.77.5'))).toEqual({
      knownDevice: false,
      knownNetwork: true,
      last: { at, sameNetwork: true },
    });
    await remember(account, arrival(undefined, '2001:db8:1::1'));
    expect(await devices.factsOf(account, arrival(undefined, '192.0.77.5'))).toMatchObject({
      knownNetwork: true,
      last: { sameNetwork: false },
    });
    expect(await devices.factsOf(account, arrival(undefined, '2001:db8:2::1'))).toMatchObject({
      knownNetwork: false,
    });
  });

  test('a cookie that was replaced is good until its successor is used: an answer may be lost', async () => {
    const account = await openAccount();
    const first = await remember(account, arrival(undefined));
    rooms.clock.advance(3600);
    await remember(account, arrival(first.cookie));
    rooms.clock.advance(3600);
    const again = await remember(account, arrival(first.cookie));
    expect(again).toMatchObject({ id: first.id, isNew: false });
    rooms.clock.advance(3600);
    const next = await remember(account, arrival(again.cookie));
    expect(next.isNew).toBe(false);
    expect(await devices.recognise(account, first.cookie)).toBeUndefined();
  });

  test('two tabs that sign in at once stay one device, and the browser keeps a good cookie', async () => {
    const account = await openAccount();
    const first = await remember(account, arrival(undefined));
    const tabs = await Promise.all([1, 2, 3].map(() => remember(account, arrival(first.cookie))));
    expect(new Set(tabs.map(({ id }) => id))).toEqual(new Set([first.id]));
    const replaced = tabs.flatMap(({ cookie }) => cookie ?? []);
    expect(replaced).toHaveLength(1);
    expect(await devices.recognise(account, replaced[0])).toBe(first.id);
  });

  test("a copied cookie that a thief uses is no longer the owner's: the owner comes as a new device and is told", async () => {
    const account = await openAccount();
    const first = await remember(account, arrival(undefined));
    let thief = first.cookie;
    for (let i = 0; i < 2; i++) {
      rooms.clock.advance(3600);
      thief = (await remember(account, arrival(thief, '198.51.100.1'))).cookie;
    }
    expect(await devices.recognise(account, first.cookie)).toBeUndefined();
  });

  test("one browser knows several accounts, and none of them by another's token", async () => {
    const accounts = [await openAccount(), await openAccount(), await openAccount()];
    let cookie: string | undefined;
    for (const account of accounts) cookie = (await remember(account, arrival(cookie))).cookie;
    const ids = await Promise.all(accounts.map((account) => devices.recognise(account, cookie)));
    expect(new Set(ids).size).toBe(3);
    expect(ids).not.toContain(undefined);
    expect(await devices.recognise(await openAccount(), cookie)).toBeUndefined();
    expect(await devices.recognise(undefined, cookie)).toBeUndefined();
    const digests = await rooms.db.query<{ digest: Uint8Array }>(
      'SELECT digest FROM known_devices WHERE account_id = ANY($1)',
      [accounts],
    );
    expect(new Set(digests.map(({ digest }) => Buffer.from(digest).toString('hex'))).size).toBe(3);
  });

  test('a cookie that was altered, cut, joined or made up is none', async () => {
    const [mine, other] = [await openAccount(), await openAccount()];
    const cookie = (await remember(mine, arrival(undefined))).cookie ?? '';
    const theirs = (await remember(other, arrival(undefined))).cookie ?? '';
    const bytes = Buffer.from(cookie, 'base64url');
    const flipped = Array.from(bytes, (_, i) => {
      const copy = Buffer.from(bytes);
      copy[i] = (copy[i] ?? 0) ^ 1;
      return copy.toString('base64url');
    });
    const joined = Buffer.concat([bytes.subarray(0, 33), Buffer.from(theirs, 'base64url')]).toString(
      'base64url',
    );
    for (const forged of [
      ...flipped,
      joined,
      cookie.slice(4),
      cookie.slice(0, -4),
      '',
      'x',
      'A'.repeat(9000),
    ])
      expect(await devices.recognise(mine, forged)).toBeUndefined();
  });

  test('another data key still knows the devices and networks of the one before', async () => {
    const account = await openAccount();
    const first = await remember(account, arrival(undefined));
    const rotated = open(newer);
    expect(await rotated.factsOf(account, arrival(first.cookie))).toMatchObject({
      knownDevice: true,
      knownNetwork: true,
    });
    rooms.clock.advance(3600);
    const second = await remember(account, arrival(first.cookie), rotated);
    expect(second).toMatchObject({ id: first.id, isNew: false });
    const later = open(toDataKeys(secrets[1]!));
    expect(await later.recognise(account, second.cookie)).toBe(first.id);
  });

  test('of a new device the owner is told at every address that is certain, in the language of the device before', async () => {
    const account = await openAccount();
    reachable.add(account);
    const told = () => messages.sent.splice(0);
    told();
    const first = await remember(account, { ...arrival(undefined), language: 'zh-CN' });
    expect(told()).toEqual([]);
    rooms.clock.advance(120);
    await remember(account, { ...arrival(first.cookie), language: 'en' });
    expect(told()).toEqual([]);
    rooms.clock.advance(120);
    await remember(account, { ...arrival(undefined), language: 'en' });
    const about = {
      kind: 'newDevice',
      language: 'zh-CN',
      parameters: { browser: 'Firefox', system: 'Linux' },
    };
    expect(told()).toEqual([
      { channel: 'sms', to: '+8613900000000', ...about },
      { channel: 'email', to: 'somebody@example.cn', ...about },
    ]);
    await remember(account, { ...arrival(undefined), userAgent: 'curl/8' });
    expect(told().map(({ kind }) => kind)).toEqual(['newUnknownDevice', 'newUnknownDevice']);
    const unreachable = await openAccount();
    await remember(unreachable, arrival(undefined));
    await remember(unreachable, arrival(undefined));
    expect(told()).toEqual([]);
  });

  test('a device is not remembered when its owner could not be told', async () => {
    const account = await openAccount();
    reachable.add(account);
    await remember(account, arrival(undefined));
    const failing = createDevices({
      ...rooms,
      dataKeys: older,
      messages: { ...messages, send: () => Promise.reject(new Error('away')) },
    });
    await expect(remember(account, arrival(undefined), failing)).rejects.toThrow('away');
    expect(await devices.list(account, undefined)).toHaveLength(1);
  });

  test('devices are listed by browser and system, the last one first, and can be forgotten by their owner alone', async () => {
    const [account, other] = [await openAccount(), await openAccount()];
    const first = await remember(account, arrival(undefined));
    rooms.clock.advance(60);
    const second = await remember(account, { ...arrival(undefined), userAgent: 'curl/8' });
    const listed = await devices.list(account, first.cookie);
    expect(listed).toMatchObject([
      { id: second.id, browser: undefined, system: undefined, current: false },
      { id: first.id, browser: 'Firefox', system: 'Linux', current: true },
    ]);
    expect(await devices.forget(other, first.id)).toBe(false);
    expect(await devices.forget(account, first.id)).toBe(true);
    expect(await devices.forget(account, first.id)).toBe(false);
    expect(await devices.recognise(account, first.cookie)).toBeUndefined();
    expect(await devices.list(account, first.cookie)).toHaveLength(1);
    // It was here before, though: forgetting a device does not make the next one the first of all.
    expect((await devices.factsOf(account, arrival(first.cookie))).last).toBeDefined();
    const trail = await rooms.db.query<{ type: string }>(
      'SELECT type FROM audit_events WHERE subject = $1 ORDER BY seq',
      [account],
    );
    expect(trail.map(({ type }) => type)).toEqual(['account.device-forgotten']);
  });

  test('no more than a hundred devices and networks are kept, and nothing about them can be read in the database', async () => {
    const account = await openAccount();
    for (let i = 0; i < 103; i++) {
      rooms.clock.advance(1);
      await remember(account, arrival(undefined, `10.${i}.0.1`));
    }
    expect(await devices.list(account, undefined)).toHaveLength(100);
    const networks = await rooms.db.query('SELECT digest FROM known_networks WHERE account_id = $1', [
      account,
    ]);
    expect(networks).toHaveLength(100);
    const rows = await rooms.db.query<{ name: Uint8Array }>(
      'SELECT name FROM known_devices WHERE account_id = $1',
      [account],
    );
    expect(rows.map(({ name }) => Buffer.from(name).toString('latin1')).join()).not.toContain('Firefox');
  });
});
