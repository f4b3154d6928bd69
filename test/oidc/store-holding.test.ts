/** Records of the store under another data key: what it opens, what it is brought under, what it loses. */
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createRecords,
  createStoreCipher,
  SESSION_CONTEXT,
  sessionEntryContext,
  storeHolding,
} from '../../src/oidc/records.ts';
import { createMemoryStore } from '../../src/oidc/store/memory.ts';
import { createRedisStore } from '../../src/oidc/store/redis.ts';
import type { OidcStore } from '../../src/oidc/store/store.ts';
import { createKeyCipher } from '../../src/platform/cipher.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import type { Queryable } from '../../src/platform/db/db.ts';
import { deriveKey } from '../../src/platform/secrets.ts';
import { openRedis } from '../support/databases.ts';

const BACKENDS: Record<string, () => Promise<{ store: OidcStore; close(): Promise<unknown> }>> = {
  memory: async () => ({ store: createMemoryStore(systemClock), close: async () => undefined }),
  Redis: async () => {
    const { redis, prefix } = await openRedis();
    return { store: createRedisStore(redis, prefix), close: () => redis.close() };
  },
};
const newKey = () => createSecretKey(randomBytes(32));
/** The store has no part in the transaction. */
const nothing: Queryable = { query: () => Promise.reject(), script: () => Promise.reject() };

describe.each(Object.entries(BACKENDS))('on %s', (_name, open) => {
  let store: OidcStore;
  let close: () => Promise<unknown>;
  beforeAll(async () => {
    ({ store, close } = await open());
  });
  afterAll(() => close());

  test('everything comes under the current key, while it is read and used', async () => {
    const [a, b] = [newKey(), newKey()];
    const [before, during, after] = [toDataKeys(a), toDataKeys(b, [a]), toDataKeys(b)];
    const records = (keys: typeof before) => createRecords({ store, cipher: createStoreCipher(keys) });
    const old = records(before);
    const ids = Array.from({ length: 700 }, () => randomUUID());
    for (const [n, id] of ids.entries())
      await old.put('AccessToken', id, { n }, n % 2 === 0 ? 60 : undefined);
    await old.put('AuthorizationCode', 'used', { code: true }, 60);
    await old.consume('AuthorizationCode', 'used', 7);
    const [key, uid] = [randomUUID(), randomUUID()];
    await store.saveSession(
      key,
      {
        uid,
        body: old.sealText('{"accountId":"acc_1"}', SESSION_CONTEXT),
        set: { zhejiang: old.sealText('{"sid":"1"}', sessionEntryContext('zhejiang')) },
        remove: [],
      },
      60,
    );
    // From before keys had names, and what is no record at all.
    const unnamed = createKeyCipher(deriveKey(a, 'oidc-store')).encrypt(Buffer.from('{"n":-1}'), 'Grant:old');
    await store.put('Grant', 'old', Buffer.from(unnamed).toString('base64'), { ttlSeconds: undefined });
    await store.putOnce('ReplayDetection', randomUUID(), '1', 60);

    const holding = storeHolding(store, during);
    expect(await holding.count(nothing)).toEqual(
      new Map([
        [before.current.id, 703],
        ['', 1],
      ]),
    );
    let [position, renewed, failed]: [string | undefined, number, number] = [undefined, 0, 0];
    do {
      const step = await holding.renew(nothing, position);
      position = step.position;
      renewed += step.renewed;
      failed += step.failed;
      // Whoever has both keys reads what lies under either, and adds to it.
      expect((await records(during).find('AccessToken', ids[3] ?? ''))?.payload).toEqual({ n: 3 });
    } while (position !== undefined);
    expect({ renewed, failed }).toEqual({ renewed: 704, failed: 0 });
    expect(await holding.count(nothing)).toEqual(new Map([[during.current.id, 704]]));

    const fresh = records(after);
    for (const [n, id] of ids.entries())
      expect((await fresh.find('AccessToken', id))?.payload).toEqual({ n });
    expect(await fresh.find('AuthorizationCode', 'used')).toEqual({ payload: { code: true }, consumedAt: 7 });
    expect(await fresh.session(key, 'zhejiang')).toEqual({
      body: { accountId: 'acc_1' },
      entry: { sid: '1' },
    });
  });
});
