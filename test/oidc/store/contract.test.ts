/** One contract for the oidc store, held in this process and on Redis. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMemoryStore } from '../../../src/oidc/store/memory.ts';
import { createRedisStore } from '../../../src/oidc/store/redis.ts';
import type { OidcStore } from '../../../src/oidc/store/store.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { openRedis } from '../../support/databases.ts';

const BACKENDS: Record<string, () => Promise<{ store: OidcStore; close(): Promise<unknown> }>> = {
  memory: async () => ({ store: createMemoryStore(systemClock), close: async () => undefined }),
  Redis: async () => {
    const { redis, prefix } = await openRedis();
    return { store: createRedisStore(redis, prefix), close: () => redis.close() };
  },
};

describe.each(Object.entries(BACKENDS))('the oidc store on %s', (_name, open) => {
  let store: OidcStore;
  let close: () => Promise<unknown>;
  const key = () => randomUUID();
  const session = (uid: string, clients: Record<string, string>, remove: string[] = []) => ({
    uid,
    body: 'body',
    set: clients,
    remove,
  });

  beforeAll(async () => {
    ({ store, close } = await open());
  });
  afterAll(() => close());

  test('finds what was put, replaces it, and forgets what was removed', async () => {
    const k = key();
    await store.put('AccessToken', k, 'one', { ttlSeconds: 60 });
    await store.put('AccessToken', k, 'two', { ttlSeconds: 60 });
    expect(await store.get('AccessToken', k)).toEqual({ value: 'two', consumedAt: undefined });
    expect(await store.get('RefreshToken', k)).toBeUndefined();
    await store.remove('AccessToken', k);
    expect(await store.get('AccessToken', k)).toBeUndefined();
  });

  test('keeps a record without an end, and forgets one whose time is over', async () => {
    const [forever, brief] = [key(), key()];
    await store.put('Grant', forever, 'x', { ttlSeconds: undefined });
    await store.put('Grant', brief, 'x', { ttlSeconds: 1 });
    await expect.poll(() => store.get('Grant', brief), { timeout: 3000 }).toBeUndefined();
    expect(await store.get('Grant', forever)).toMatchObject({ value: 'x' });
  });

  test('a put replaces a consumed record by a fresh one', async () => {
    const k = key();
    await store.put('Interaction', k, 'one', { ttlSeconds: 60 });
    await store.consume('Interaction', k, 1);
    await store.put('Interaction', k, 'two', { ttlSeconds: 60 });
    expect(await store.get('Interaction', k)).toEqual({ value: 'two', consumedAt: undefined });
  });

  test('of fifty that consume one code in parallel exactly one succeeds, and the record stays, marked', async () => {
    const k = key();
    await store.put('AuthorizationCode', k, 'code', { ttlSeconds: 60 });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => store.consume('AuthorizationCode', k, 1000 + i)),
    );
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect(await store.get('AuthorizationCode', k)).toEqual({
      value: 'code',
      consumedAt: 1000 + answers.indexOf(true),
    });
  });

  test('consuming keeps the time to live', async () => {
    const k = key();
    await store.put('AuthorizationCode', k, 'code', { ttlSeconds: 1 });
    await store.consume('AuthorizationCode', k, 1);
    await expect.poll(() => store.get('AuthorizationCode', k), { timeout: 3000 }).toBeUndefined();
  });

  test('nothing can be consumed that is not there, and trying leaves nothing behind', async () => {
    const k = key();
    expect(await store.consume('AuthorizationCode', k, 1)).toBe(false);
    expect(await store.get('AuthorizationCode', k)).toBeUndefined();
  });

  test('of fifty that put one value once in parallel exactly one succeeds', async () => {
    const k = key();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => store.putOnce('ReplayDetection', k, '1', 60)),
    );
    expect(answers.filter(Boolean)).toHaveLength(1);
  });

  test('a value put once can be put again when its time is over', async () => {
    const k = key();
    expect(await store.putOnce('ReplayDetection', k, '1', 1)).toBe(true);
    await expect.poll(() => store.putOnce('ReplayDetection', k, '1', 60), { timeout: 3000 }).toBe(true);
  });

  test('a session is found by its id and by its uid', async () => {
    const [k, uid] = [key(), key()];
    expect(await store.saveSession(k, session(uid, { zhejiang: 'z' }), 60)).toBe(true);
    const expected = { body: 'body', authorizations: { zhejiang: 'z' } };
    expect(await store.session(k)).toEqual(expected);
    expect(await store.sessionByUid(uid)).toEqual(expected);
  });

  test('eight portals that write one session in parallel are all remembered', async () => {
    const [k, uid] = [key(), key()];
    await store.saveSession(k, session(uid, {}), 60);
    const portals = Array.from({ length: 8 }, (_, i) => `portal-${i}`);
    await Promise.all(portals.map((portal) => store.saveSession(k, session(uid, { [portal]: 'x' }), 60)));
    expect(Object.keys((await store.session(k))?.authorizations ?? {}).sort()).toEqual(portals);
  });

  test('what one request removes from a session another cannot bring back by saving what it had loaded', async () => {
    const [k, uid] = [key(), key()];
    await store.saveSession(k, session(uid, { zhejiang: 'z', guangdong: 'g' }), 60);
    await store.saveSession(k, session(uid, {}, ['zhejiang']), 60);
    await store.saveSession(k, session(uid, { hainan: 'h' }), 60);
    expect((await store.session(k))?.authorizations).toEqual({ guangdong: 'g', hainan: 'h' });
  });

  test('one entry of a session can be read by itself', async () => {
    const [k, uid] = [key(), key()];
    await store.saveSession(k, session(uid, { zhejiang: 'z', guangdong: 'g' }), 60);
    expect(await store.session(k, 'guangdong')).toEqual({ body: 'body', authorizations: { guangdong: 'g' } });
    expect(await store.session(k, 'hainan')).toEqual({ body: 'body', authorizations: {} });
    expect(await store.session(key(), 'hainan')).toBeUndefined();
  });

  test('an ended session is gone, and a request that began before cannot bring it back', async () => {
    const [k, uid] = [key(), key()];
    await store.saveSession(k, session(uid, { zhejiang: 'z' }), 60);
    await store.endSession(k);
    expect(await store.saveSession(k, session(uid, { guangdong: 'g' }), 60)).toBe(false);
    expect(await store.addAuthorizations(uid, { guangdong: 'g' })).toBe(false);
    expect(await store.session(k)).toBeUndefined();
    expect(await store.sessionByUid(uid)).toBeUndefined();
  });

  test('a session that got a new id takes its uid along, and late entries reach it there', async () => {
    const [before, after, uid] = [key(), key(), key()];
    await store.saveSession(before, session(uid, { zhejiang: 'z' }), 60);
    await store.endSession(before);
    await store.saveSession(after, session(uid, { zhejiang: 'z' }), 60);
    expect(await store.saveSession(before, session(uid, { guangdong: 'g' }), 60)).toBe(false);
    expect(await store.addAuthorizations(uid, { guangdong: 'g' })).toBe(true);
    expect(await store.sessionByUid(uid)).toEqual({
      body: 'body',
      authorizations: { zhejiang: 'z', guangdong: 'g' },
    });
    expect(await store.session(after)).toEqual(await store.sessionByUid(uid));
  });

  test('the sessions of an account are found, and those that have ended are not taken for living', async () => {
    const [one, two, account] = [key(), key(), key()];
    for (const k of [one, two])
      await store.saveSession(k, { ...session(key(), { zhejiang: 'z' }), account }, 60);
    expect((await store.sessionsOf(account)).toSorted()).toEqual([one, two].toSorted());
    await store.endSession(one);
    const living = await Promise.all((await store.sessionsOf(account)).map((k) => store.session(k)));
    expect(living.filter(Boolean)).toHaveLength(1);
    expect(await store.sessionsOf(key())).toEqual([]);
  });

  test('a portal is taken out of a session, which goes on, and not out of one that has ended', async () => {
    const [k, uid] = [key(), key()];
    await store.saveSession(k, session(uid, { zhejiang: 'z', guangdong: 'g' }), 60);
    await store.removeAuthorization(k, 'zhejiang');
    expect((await store.session(k))?.authorizations).toEqual({ guangdong: 'g' });
    await store.endSession(k);
    await store.removeAuthorization(k, 'guangdong');
    expect(await store.session(k)).toBeUndefined();
    expect(await store.saveSession(k, session(uid, {}), 60)).toBe(false);
  });

  test('the grants of an account are found, each once, with the portal that they are for', async () => {
    const [account, one, two] = [key(), key(), key()];
    for (const k of [one, two]) await store.put('Grant', k, 'grant', { ttlSeconds: 60 });
    const zhejiang = { key: one, clientId: 'zhejiang' };
    const guangdong = { key: two, clientId: 'https://guangdong.example/a portal' };
    await store.indexGrant(account, zhejiang, 60);
    await store.indexGrant(account, guangdong, 60);
    await store.indexGrant(account, zhejiang, 60);
    const found = await store.grantsOf(account);
    expect(found).toHaveLength(2);
    expect(found).toEqual(expect.arrayContaining([zhejiang, guangdong]));
    expect(await store.grantsOf(key())).toEqual([]);
  });

  test('a walk meets every value with its place, and what it replaces keeps its end and whether it was consumed', async () => {
    const [plain, used, brief, uid, at, ended] = [key(), key(), key(), key(), key(), key()];
    await store.put('Grant', plain, 'walk:1', { ttlSeconds: undefined });
    await store.put('AuthorizationCode', used, 'walk:2', { ttlSeconds: 60 });
    await store.consume('AuthorizationCode', used, 7.5);
    await store.put('AccessToken', brief, 'walk:3', { ttlSeconds: 2 });
    await store.saveSession(
      at,
      { ...session(uid, { zhejiang: 'walk:5', guangdong: 'kept' }), body: 'walk:4' },
      60,
    );
    await store.saveSession(ended, { ...session(key(), {}), body: 'walk:6' }, 60);
    await store.endSession(ended);
    for (let i = 0; i < 500; i++) await store.put('Filler', key(), 'filler', { ttlSeconds: 60 });

    const met: unknown[] = [];
    const walkThrough = async (replace: (value: string) => string | undefined) => {
      let [cursor, replaced]: [string | undefined, number] = [undefined, 0];
      do {
        const step = await store.walk(cursor, (value, place) => {
          const other = replace(value);
          if (other !== undefined) met.push({ value, ...place });
          return other;
        });
        cursor = step.cursor;
        replaced += step.replaced;
      } while (cursor !== undefined);
      return replaced;
    };
    const replaced = await walkThrough((value) =>
      value.startsWith('walk:') ? value.replace('walk:', 'replaced:') : undefined,
    );
    expect(replaced).toBe(5);
    expect(met).toHaveLength(5);
    expect(met).toEqual(
      expect.arrayContaining([
        { value: 'walk:1', model: 'Grant', key: plain },
        { value: 'walk:2', model: 'AuthorizationCode', key: used },
        { value: 'walk:3', model: 'AccessToken', key: brief },
        { value: 'walk:4', session: 'body' },
        { value: 'walk:5', session: 'entry', clientId: 'zhejiang' },
      ]),
    );
    expect(await store.get('Grant', plain)).toEqual({ value: 'replaced:1', consumedAt: undefined });
    expect(await store.get('AuthorizationCode', used)).toEqual({ value: 'replaced:2', consumedAt: 7.5 });
    expect(await store.consume('AuthorizationCode', used, 8)).toBe(false);
    expect(await store.session(at)).toEqual({
      body: 'replaced:4',
      authorizations: { zhejiang: 'replaced:5', guangdong: 'kept' },
    });
    expect(await store.sessionByUid(uid)).toEqual(await store.session(at));
    expect(await store.session(ended)).toBeUndefined();
    expect(await walkThrough((value) => (value.startsWith('walk:') ? 'again' : undefined))).toBe(0);
    await expect.poll(() => store.get('AccessToken', brief), { timeout: 4000 }).toBeUndefined();
  });
});
