import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTokenKeys, type TokenKeys } from '../../src/oidc/index.ts';
import { dueMoves, type TokenKey } from '../../src/oidc/token-keys.ts';
import { silentLogger } from '../support/logger.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const plan = { announced: DAY, signing: 90 * DAY, retired: 30 * DAY };
let rooms: Rooms;
let one: TokenKeys;
let two: TokenKeys;

beforeEach(async () => {
  rooms = await openRooms();
  one = await createTokenKeys({ ...rooms, logger: silentLogger, plan });
  two = await createTokenKeys({ ...rooms, logger: silentLogger, plan });
});
afterEach(async () => {
  await one.stop();
  await two.stop();
  await rooms.db.close();
});

const states = async (keys: TokenKeys) =>
  (await keys.all()).map(({ alg, state }) => `${alg} ${state}`).toSorted((a, b) => a.localeCompare(b));
const kids = async (keys: TokenKeys, state: string) =>
  (await keys.published()).filter((key) => key.state === state).map(({ kid }) => kid);

describe('token keys', () => {
  test('are made once, one of each algorithm, and sign', async () => {
    expect(await states(one)).toEqual(['ES256 signing', 'RS256 signing']);
    expect(await kids(two, 'signing')).toEqual(await kids(one, 'signing'));
    const [key] = await one.published();
    expect((await key?.signer?.sign(Buffer.from('x')))?.length).toBe(64);
  });

  test('move by schedule: announced a day before, signing, retired a month, gone', async () => {
    const first = await kids(one, 'signing');
    rooms.clock.advance(89 * DAY - 1);
    await one.advance();
    expect(await states(one)).toEqual(['ES256 signing', 'RS256 signing']);
    rooms.clock.advance(1);
    await Promise.all([one.advance(), two.advance()]);
    expect(await states(one)).toEqual([
      'ES256 announced',
      'ES256 signing',
      'RS256 announced',
      'RS256 signing',
    ]);
    const next = await kids(one, 'announced');
    rooms.clock.advance(DAY);
    await Promise.all([one.advance(), two.advance()]);
    expect(await kids(one, 'signing')).toEqual(next);
    expect(await kids(one, 'retired')).toEqual(first);
    // Published still, and without the means to sign.
    const retired = (await one.published()).filter(({ state }) => state === 'retired');
    expect(retired.map(({ signer }) => signer)).toEqual([undefined, undefined]);
    rooms.clock.advance(30 * DAY);
    await one.advance();
    expect(await kids(one, 'retired')).toEqual([]);
    const [row] = await rooms.db.query<{ n: number }>(
      `SELECT count(*) AS n FROM custody_keys WHERE state = 'destroyed' AND private_key IS NULL`,
    );
    expect(row?.n).toBe(2);
  });

  test('rotate by command, and every process is told', async () => {
    let told = 0;
    two.onChange(() => {
      told += 1;
    });
    await one.rotate({ now: false });
    expect(await states(two)).toEqual([
      'ES256 announced',
      'ES256 signing',
      'RS256 announced',
      'RS256 signing',
    ]);
    await expect.poll(() => told).toBeGreaterThan(0);
    // Asked twice, announced once.
    await two.rotate({ now: false });
    expect(await states(two)).toHaveLength(4);
  });

  test('change at once when a key may be known to others, and the old ones are gone', async () => {
    const before = await kids(one, 'signing');
    await one.rotate({ now: true });
    expect(await states(two)).toEqual(['ES256 signing', 'RS256 signing']);
    expect((await kids(two, 'signing')).some((kid) => before.includes(kid))).toBe(false);
  });

  test('every move is on record', async () => {
    await one.rotate({ now: true });
    const rows = await rooms.db.query<{ detail: { state: string } }>(
      `SELECT detail FROM audit_events WHERE type = 'token-key.changed' ORDER BY seq`,
    );
    // The first keys sign as soon as they are there; those that follow take their place.
    expect(rows.map(({ detail }) => detail.state).join(' ')).toBe(
      'announced announced signing signing announced announced retired signing retired signing',
    );
  });
});

test('a key is never asked to sign before it was announced long enough', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  const key = (state: TokenKey['state'], ageSeconds: number): TokenKey => ({
    keyId: `key_${state}` as TokenKey['keyId'],
    alg: 'ES256',
    state,
    since: new Date(now.getTime() - ageSeconds * 1000),
  });
  const moves = (...keys: TokenKey[]) =>
    dueMoves(keys, plan, now)
      .filter((move) => !(move.kind === 'announce' && move.alg === 'RS256'))
      .map(({ kind }) => kind);
  expect(moves(key('signing', 200 * DAY), key('announced', DAY - 1))).toEqual([]);
  expect(moves(key('signing', 200 * DAY), key('announced', DAY))).toEqual(['sign']);
  expect(moves(key('signing', 89 * DAY))).toEqual(['announce']);
  expect(moves()).toEqual(['announce']);
  expect(moves(key('announced', 0))).toEqual(['sign']);
  expect(moves(key('signing', 0), key('retired', 30 * DAY))).toEqual(['remove']);
});
