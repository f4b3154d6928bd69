/**
 * What oidc-provider asks of storage, on `OidcStore`. Closed here, because the library leaves it open: every one-time thing is consumed by
 * one compare-and-set, and sessions written in parallel merge. Ids become digests and payloads ciphertext before they leave this file.
 */
import { createHash } from 'node:crypto';
import { Provider, errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import type { Cipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { OidcStore, StoredSession } from './store/store.ts';

/** Finds the client metadata of a `client_id`; clients are portals, which live in PostgreSQL. */
export type ClientLookup = (clientId: string) => Promise<AdapterPayload | undefined>;

/** Models whose records name the grant they came from, and fall with it. */
const GRANT_MODELS = [
  'AccessToken',
  'AuthorizationCode',
  'RefreshToken',
  'DeviceCode',
  'BackchannelAuthenticationRequest',
];

export function createAdapterFactory(parts: {
  store: OidcStore;
  cipher: Cipher;
  clock: Clock;
  findClient: ClientLookup;
}): (model: string) => Adapter {
  return (model) => {
    switch (model) {
      case 'Client':
        return createClientAdapter(parts.findClient);
      case 'Session':
        return createSessionAdapter(parts);
      default:
        return createRecordAdapter(model, parts);
    }
  };
}

/** The name under which an id is stored: its digest, so that a copy of the store signs nobody in. */
export function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}

function createRecordAdapter(
  model: string,
  parts: { store: OidcStore; cipher: Cipher; clock: Clock },
): Adapter {
  const { store, cipher, clock } = parts;
  const contextOf = (key: string) => `${model}:${key}`;
  const open = (key: string, value: string) =>
    JSON.parse(decryptText(cipher, value, contextOf(key))) as AdapterPayload;
  return {
    ...unusedMethods(model),
    async upsert(id, payload, expiresIn) {
      const key = keyOf(id);
      const { jti: _id, ...rest } = payload;
      // An interaction remembers the session by its raw id, which nothing reads.
      if (model === 'Interaction' && rest['session']) delete (rest['session'] as { cookie?: string }).cookie;
      await store.put(model, key, encryptText(cipher, JSON.stringify(rest), contextOf(key)), {
        ttlSeconds: expiresIn,
        grant:
          GRANT_MODELS.includes(model) && payload.grantId !== undefined ? keyOf(payload.grantId) : undefined,
      });
    },
    async find(id) {
      const key = keyOf(id);
      const record = await store.get(model, key);
      if (!record) return undefined;
      const payload = open(key, record.value);
      return {
        ...payload,
        jti: id,
        ...(record.consumedAt === undefined ? {} : { consumed: record.consumedAt }),
      };
    },
    async consume(id) {
      const key = keyOf(id);
      if (await store.consume(model, key, epochSeconds(clock))) return;
      // Lost the race. RFC 6749, section 4.1.2: whatever a code used twice has led to is revoked.
      if (model === 'PushedAuthorizationRequest')
        throw new errors.InvalidRequestUri('request_uri has already been used');
      const record = await store.get(model, key);
      const grantId = record && open(key, record.value).grantId;
      if (model === 'AuthorizationCode' && grantId !== undefined) {
        await Promise.all(GRANT_MODELS.map((granted) => store.removeGrant(granted, keyOf(grantId))));
        await store.remove('Grant', keyOf(grantId));
      }
      throw new errors.InvalidGrant('grant request is invalid');
    },
    destroy: (id) => store.remove(model, keyOf(id)),
    revokeByGrantId: (grantId) => store.removeGrant(model, keyOf(grantId)),
  };
}

function createClientAdapter(findClient: ClientLookup): Adapter {
  return { ...unusedMethods('Client'), find: findClient };
}

/** What the request in hand loaded, by key, so that what it changes can be told apart from what others saved meanwhile. */
const LOADED = Symbol('authorizations as loaded');
type Entries = Readonly<Record<string, string>>;

function loadedByThisRequest(): Map<string, Entries> {
  const state = Provider.ctx?.state as { [LOADED]?: Map<string, Entries> } | undefined;
  return state ? (state[LOADED] ??= new Map()) : new Map();
}

function createSessionAdapter(parts: { store: OidcStore; cipher: Cipher }): Adapter {
  const { store, cipher } = parts;
  const bodyContext = 'Session';
  const entryContext = (clientId: string) => `Session:${clientId}`;

  function open(session: StoredSession): { payload: AdapterPayload; entries: Entries } {
    const payload = JSON.parse(decryptText(cipher, session.body, bodyContext)) as AdapterPayload;
    const entries: Record<string, string> = {};
    const authorizations: Record<string, object> = {};
    for (const [clientId, text] of Object.entries(session.authorizations)) {
      const json = decryptText(cipher, text, entryContext(clientId));
      entries[clientId] = json;
      authorizations[clientId] = JSON.parse(json) as object;
    }
    return { payload: Object.keys(entries).length > 0 ? { ...payload, authorizations } : payload, entries };
  }

  return {
    ...unusedMethods('Session'),
    async upsert(id, payload, expiresIn) {
      const { jti: _id, authorizations = {}, ...body } = payload;
      if (body.uid === undefined || expiresIn === undefined)
        throw new TypeError('a session has a uid and an end');
      const key = keyOf(id);
      const uid = keyOf(body.uid);
      const current = Object.fromEntries(
        Object.entries(authorizations).map(([clientId, entry]) => [clientId, JSON.stringify(entry)]),
      );
      // A session that was not loaded under this id (new, or given a new id) is written whole.
      const loaded = loadedByThisRequest().get(key) ?? {};
      const changed = Object.entries(current).filter(([clientId, json]) => loaded[clientId] !== json);
      const set = Object.fromEntries(
        changed.map(([clientId, json]) => [clientId, encryptText(cipher, json, entryContext(clientId))]),
      );
      const remove = Object.keys(loaded).filter((clientId) => !(clientId in current));
      const saved = await store.saveSession(
        key,
        { uid, body: encryptText(cipher, JSON.stringify(body), bodyContext), set, remove },
        expiresIn,
      );
      // Meanwhile this session was given a new id (sign-in) or was ended (sign-out). In the first case the portal is remembered there.
      if (!saved) await store.addAuthorizations(uid, set);
    },
    async find(id) {
      const key = keyOf(id);
      const session = await store.session(key);
      if (!session) return undefined;
      const { payload, entries } = open(session);
      loadedByThisRequest().set(key, entries);
      return { ...payload, jti: id };
    },
    async findByUid(uid) {
      const session = await store.sessionByUid(keyOf(uid));
      return session && open(session).payload;
    },
    destroy: (id) => store.endSession(keyOf(id)),
  };
}

function encryptText(cipher: Cipher, text: string, context: string): string {
  return Buffer.from(cipher.encrypt(Buffer.from(text), context)).toString('base64');
}

function decryptText(cipher: Cipher, text: string, context: string): string {
  return Buffer.from(cipher.decrypt(Buffer.from(text, 'base64'), context)).toString('utf8');
}

function epochSeconds(clock: Clock): number {
  return Math.floor(clock.now().getTime() / 1000);
}

/** The library's contract has methods that it calls for some models only; calling one here would be a mistake of ours. */
function unusedMethods(model: string): Adapter {
  const unused = (method: string) => async (): Promise<never> => {
    throw new TypeError(`${model} has no use for ${method}`);
  };
  return {
    upsert: unused('upsert'),
    find: unused('find'),
    findByUid: unused('findByUid'),
    findByUserCode: unused('findByUserCode'),
    consume: unused('consume'),
    destroy: unused('destroy'),
    revokeByGrantId: unused('revokeByGrantId'),
  };
}
