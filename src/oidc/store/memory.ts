/** The store of embedded mode, in this process. Every operation runs to its end before the next begins, which makes each of them atomic. */
import type { Clock } from '../../platform/clock.ts';
import { ENDED_SECONDS, type IndexedGrant, type OidcStore, type Place, type StoredSession } from './store.ts';

interface Entry<T> {
  readonly value: T;
  readonly expiresAt: number;
}

interface RecordEntry {
  value: string;
  consumedAt?: number;
}

interface SessionEntry {
  ended: boolean;
  body: string;
  authorizations: Record<string, string>;
}

/** Writes between two sweeps of what has expired. */
const SWEEP_EVERY = 1000;

export function createMemoryStore(clock: Clock): OidcStore {
  const records = new ExpiringMap<RecordEntry>(clock);
  const once = new ExpiringMap<string>(clock);
  const sessions = new ExpiringMap<SessionEntry>(clock);
  const uids = new ExpiringMap<string>(clock);
  const accounts = new ExpiringMap<Set<string>>(clock);
  const grants = new ExpiringMap<IndexedGrant[]>(clock);
  const name = (model: string, key: string) => `${model}:${key}`;

  function alive(key: string | undefined): SessionEntry | undefined {
    const session = key === undefined ? undefined : sessions.get(key);
    return session?.ended === false ? session : undefined;
  }
  const copy = (session: SessionEntry | undefined): StoredSession | undefined =>
    session && { body: session.body, authorizations: { ...session.authorizations } };

  return {
    async put(model, key, value, { ttlSeconds }) {
      records.set(name(model, key), { value }, ttlSeconds);
    },
    async putOnce(model, key, value, ttlSeconds) {
      if (once.get(name(model, key)) !== undefined) return false;
      once.set(name(model, key), value, ttlSeconds);
      return true;
    },
    async get(model, key) {
      const entry = records.get(name(model, key));
      return entry && { value: entry.value, consumedAt: entry.consumedAt };
    },
    async consume(model, key, at) {
      const entry = records.get(name(model, key));
      if (!entry || entry.consumedAt !== undefined) return false;
      entry.consumedAt = at;
      return true;
    },
    async remove(model, key) {
      records.delete(name(model, key));
    },

    async saveSession(key, change, ttlSeconds) {
      const before = sessions.get(key);
      if (before?.ended) return false;
      const authorizations = { ...before?.authorizations, ...change.set };
      for (const clientId of change.remove) delete authorizations[clientId];
      sessions.set(key, { ended: false, body: change.body, authorizations }, ttlSeconds);
      uids.set(change.uid, key, ttlSeconds);
      if (change.account !== undefined)
        accounts.set(change.account, (accounts.get(change.account) ?? new Set()).add(key), ttlSeconds);
      return true;
    },
    async addAuthorizations(uid, set) {
      const session = alive(uids.get(uid));
      if (!session) return false;
      Object.assign(session.authorizations, set);
      return true;
    },
    async session(key, clientId) {
      const whole = copy(alive(key));
      if (!whole || clientId === undefined) return whole;
      const entry = whole.authorizations[clientId];
      return { ...whole, authorizations: entry === undefined ? {} : { [clientId]: entry } };
    },
    sessionKeyOf: async (uid) => uids.get(uid),
    sessionByUid: async (uid) => copy(alive(uids.get(uid))),
    async removeAuthorization(key, clientId) {
      delete alive(key)?.authorizations[clientId];
    },
    sessionsOf: async (account) => [...(accounts.get(account) ?? [])].filter((key) => alive(key)),
    async endSession(key) {
      sessions.set(key, { ended: true, body: '', authorizations: {} }, ENDED_SECONDS);
    },

    async indexGrant(account, grant, ttlSeconds) {
      const others = (grants.get(account) ?? []).filter(
        ({ key }) => key !== grant.key && records.get(name('Grant', key)),
      );
      grants.set(account, [...others, grant], ttlSeconds);
    },
    grantsOf: async (account) => grants.get(account) ?? [],

    async walk(_cursor, replace) {
      let replaced = 0;
      const replacing = (value: string, place: Place): string => {
        const other = replace(value, place);
        if (other !== undefined) replaced += 1;
        return other ?? value;
      };
      for (const [place, entry] of records.entries()) {
        const colon = place.indexOf(':');
        entry.value = replacing(entry.value, { model: place.slice(0, colon), key: place.slice(colon + 1) });
      }
      for (const [, session] of sessions.entries()) {
        if (session.ended) continue;
        session.body = replacing(session.body, { session: 'body' });
        for (const [clientId, text] of Object.entries(session.authorizations))
          session.authorizations[clientId] = replacing(text, { session: 'entry', clientId });
      }
      return { cursor: undefined, replaced };
    },
  };
}

class ExpiringMap<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #clock: Clock;
  #writes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.expiresAt > this.#clock.now().getTime() ? entry.value : undefined;
  }

  set(key: string, value: T, ttlSeconds: number | undefined): void {
    const now = this.#clock.now().getTime();
    this.#entries.set(key, {
      value,
      expiresAt: ttlSeconds === undefined ? Infinity : now + ttlSeconds * 1000,
    });
    this.#writes += 1;
    if (this.#writes % SWEEP_EVERY === 0)
      for (const [k, entry] of this.#entries) if (entry.expiresAt <= now) this.#entries.delete(k);
  }

  /** What has not expired. */
  *entries(): Generator<[string, T]> {
    const now = this.#clock.now().getTime();
    for (const [key, { value, expiresAt }] of this.#entries) if (expiresAt > now) yield [key, value];
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
