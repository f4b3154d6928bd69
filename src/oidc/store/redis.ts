/**
 * The store of server mode. A command or script touches one key, so that Redis Cluster serves it unchanged. Commands that do not wait for
 * each other are sent together: what costs is the way there and back.
 */
import { createScripts, type Redis } from '../../platform/redis.ts';
import { ENDED_SECONDS, type OidcStore, type Place, type StoredSession } from './store.ts';

/** A record that was consumed begins with this, the time, and a colon; ciphertext in base64 never does. */
const CONSUMED = '!';
const CONSUME = `
local value = redis.call('GET', KEYS[1])
if not value or string.sub(value, 1, 1) == '${CONSUMED}' then return 0 end
redis.call('SET', KEYS[1], '${CONSUMED}' .. ARGV[1] .. ':' .. value, 'KEEPTTL')
return 1`;

/** ARGV: seconds to live, body, number of pairs, then client and entry of each, then the clients to remove. Answers 0 ended, 1 updated, 2 created. */
const SAVE_SESSION = `
if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 0 end
local created = 1 - redis.call('EXISTS', KEYS[1])
redis.call('HSET', KEYS[1], 'body', ARGV[2])
local first_removed = 4 + 2 * tonumber(ARGV[3])
for i = 4, first_removed - 1, 2 do redis.call('HSET', KEYS[1], 'client:' .. ARGV[i], ARGV[i + 1]) end
for i = first_removed, #ARGV do redis.call('HDEL', KEYS[1], 'client:' .. ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1 + created`;

/** ARGV: client and entry of each pair. */
const ADD_AUTHORIZATIONS = `
if redis.call('HEXISTS', KEYS[1], 'body') == 0 then return 0 end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], 'client:' .. ARGV[i], ARGV[i + 1]) end
return 1`;

const END_SESSION = `
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', '1')
redis.call('EXPIRE', KEYS[1], ARGV[1])`;

/** ARGV: the value that is there, the one to put in its place. */
const REPLACE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`;

/** ARGV: field, the value that is there, the one to put in its place. */
const REPLACE_FIELD = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

/** Keys looked at in one step of a walk. */
const WALK_KEYS = 200;

export function createRedisStore(redis: Redis, prefix: string): OidcStore {
  const name = (model: string, key: string) => `${prefix}:${model}:${key}`;
  const sessionName = (key: string) => name('Session', key);
  const uidName = (uid: string) => name('SessionUid', uid);
  const accountName = (account: string) => `${prefix}:AccountSessions:${account}`;
  const grantsName = (account: string) => `${prefix}:AccountGrants:${account}`;
  const run = createScripts(redis);

  async function readSession(key: string): Promise<StoredSession | undefined> {
    const fields = await redis.hGetAll(sessionName(key));
    const { body } = fields;
    if (body === undefined) return undefined;
    const authorizations: Record<string, string> = {};
    for (const [field, value] of Object.entries(fields))
      if (field.startsWith('client:')) authorizations[field.slice(7)] = value;
    return { body, authorizations };
  }

  async function readEntry(key: string, clientId: string): Promise<StoredSession | undefined> {
    const [body, entry] = await redis.hmGet(sessionName(key), ['body', `client:${clientId}`]);
    if (typeof body !== 'string') return undefined;
    return { body, authorizations: typeof entry === 'string' ? { [clientId]: entry } : {} };
  }

  return {
    async put(model, key, value, { ttlSeconds }) {
      await redis.set(
        name(model, key),
        value,
        ttlSeconds === undefined ? {} : { expiration: { type: 'EX', value: ttlSeconds } },
      );
    },
    async putOnce(model, key, value, ttlSeconds) {
      const answer = await redis.set(name(model, key), value, {
        condition: 'NX',
        expiration: { type: 'EX', value: ttlSeconds },
      });
      return answer === 'OK';
    },
    async get(model, key) {
      const value = await redis.get(name(model, key));
      if (value === null) return undefined;
      if (!value.startsWith(CONSUMED)) return { value, consumedAt: undefined };
      const colon = value.indexOf(':');
      return { value: value.slice(colon + 1), consumedAt: Number(value.slice(1, colon)) };
    },
    async consume(model, key, at) {
      return (await run(CONSUME, name(model, key), [String(at)])) === 1;
    },
    async remove(model, key) {
      await redis.del(name(model, key));
    },

    async saveSession(key, change, ttlSeconds) {
      const pairs = Object.entries(change.set);
      const [saved] = await Promise.all([
        run(SAVE_SESSION, sessionName(key), [
          String(ttlSeconds),
          change.body,
          String(pairs.length),
          ...pairs.flat(),
          ...change.remove,
        ]),
        redis.expire(uidName(change.uid), ttlSeconds),
        change.account === undefined ? undefined : index(accountName(change.account), key, ttlSeconds),
      ]);
      // Only a session that was really written may take the uid over: a refused write must not lead it back to an ended one.
      if (saved === 2)
        await redis.set(uidName(change.uid), key, { expiration: { type: 'EX', value: ttlSeconds } });
      return saved !== 0;
    },
    async addAuthorizations(uid, set) {
      const key = await redis.get(uidName(uid));
      return (
        key !== null && (await run(ADD_AUTHORIZATIONS, sessionName(key), Object.entries(set).flat())) === 1
      );
    },
    session: (key, clientId) => (clientId === undefined ? readSession(key) : readEntry(key, clientId)),
    sessionKeyOf: async (uid) => (await redis.get(uidName(uid))) ?? undefined,
    async sessionByUid(uid) {
      const key = await redis.get(uidName(uid));
      return key === null ? undefined : readSession(key);
    },
    async removeAuthorization(key, clientId) {
      await redis.hDel(sessionName(key), `client:${clientId}`);
    },
    sessionsOf: (account) => redis.zRange(accountName(account), 0, -1),
    async endSession(key) {
      await run(END_SESSION, sessionName(key), [String(ENDED_SECONDS)]);
    },

    indexGrant: (account, { key, clientId }, ttlSeconds) =>
      index(grantsName(account), `${key} ${clientId}`, ttlSeconds),
    async grantsOf(account) {
      const members = await redis.zRange(grantsName(account), 0, -1);
      return members.map((member) => {
        const space = member.indexOf(' ');
        return { key: member.slice(0, space), clientId: member.slice(space + 1) };
      });
    },

    async walk(cursor, replace) {
      const scanned = await redis.scan(cursor ?? '0', { MATCH: `${prefix}:*`, COUNT: WALK_KEYS });
      const replaced = await Promise.all(
        scanned.keys.map(async (at) => {
          const [, model = '', key = ''] = /^([^:]*):(.*)$/s.exec(at.slice(prefix.length + 1)) ?? [];
          if (model === 'Session') return replaceInSession(at, replace);
          // Pointers are ours, and name what they lead to.
          if (model === 'SessionUid' || (await redis.type(at)) !== 'string') return 0;
          return replaceRecord(at, (value) => replace(value, { model, key }));
        }),
      );
      return {
        cursor: scanned.cursor === '0' ? undefined : scanned.cursor,
        replaced: replaced.reduce((sum, n) => sum + n, 0),
      };
    },
  };

  /** Tries again where the value was changed at this very moment. */
  async function replaceRecord(at: string, replace: (value: string) => string | undefined): Promise<number> {
    for (;;) {
      const whole = await redis.get(at);
      if (whole === null) return 0;
      const start = whole.startsWith(CONSUMED) ? whole.indexOf(':') + 1 : 0;
      const other = replace(whole.slice(start));
      if (other === undefined) return 0;
      if ((await run(REPLACE, at, [whole, whole.slice(0, start) + other])) === 1) return 1;
    }
  }

  async function replaceInSession(
    at: string,
    replace: (value: string, place: Place) => string | undefined,
  ): Promise<number> {
    let replaced = 0;
    for (const field of await redis.hKeys(at)) {
      if (field !== 'body' && !field.startsWith('client:')) continue;
      const place: Place =
        field === 'body' ? { session: 'body' } : { session: 'entry', clientId: field.slice(7) };
      for (;;) {
        const value = await redis.hGet(at, field);
        const other = value === null ? undefined : replace(value, place);
        if (value === null || other === undefined) break;
        if ((await run(REPLACE_FIELD, at, [field, value, other])) === 1) {
          replaced += 1;
          break;
        }
      }
    }
    return replaced;
  }

  /** Puts what belongs to an account into its index, scored by its end. */
  async function index(list: string, value: string, ttlSeconds: number): Promise<void> {
    const now = Math.floor(Date.now() / 1000);
    await redis
      .multi()
      .zRemRangeByScore(list, '-inf', now)
      .zAdd(list, { score: now + ttlSeconds, value })
      .expire(list, ttlSeconds)
      .exec();
  }
}
