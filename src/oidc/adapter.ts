/**
 * What oidc-provider asks of storage, on `OidcStore`. Closed here, because the library leaves it open: every one-time thing is consumed by
 * one compare-and-set, and sessions written in parallel merge. Ids become digests and payloads ciphertext before they leave this file.
 */
import { Provider, errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import type { Clock } from '../platform/clock.ts';
import { TTL } from './configuration.ts';
import { keyOf, outlivesSuspension, SESSION_CONTEXT, sessionEntryContext, type Records } from './records.ts';
import type { OidcStore, StoredSession } from './store/store.ts';

/** Where clients go that register themselves: clients are portals, which live in PostgreSQL. */
export interface ClientRegistry {
  save(metadata: AdapterPayload): Promise<void>;
  remove(clientId: string): Promise<void>;
}

/** Says which portal a `client_id` names, if it may be used. */
export type FindPortal = (clientId: string) => Promise<{ readonly validFrom: Date | undefined } | undefined>;

/**
 * Kept for as long again as they are good: whoever polls too late is told that it has expired, not that it never was (RFC 8628, section
 * 3.5; CIBA Core 1.0, section 11). The library looks at the time by itself.
 */
const POLLED_MODELS: ReadonlySet<string> = new Set(['BackchannelAuthenticationRequest', 'DeviceCode']);

/** Seconds in which something used twice is not yet taken for stolen. */
export const GRACE_SECONDS = 3;
/**
 * Where a second use within that time does no harm to the first. Refresh tokens: see refresh-grace.ts. Device codes and backchannel requests:
 * portals poll for them, and the library would take the grant from under the request that is just being answered.
 */
const GRACEFUL_MODELS: ReadonlySet<string> = new Set([
  'RefreshToken',
  'DeviceCode',
  'BackchannelAuthenticationRequest',
]);

export function createAdapterFactory(parts: {
  store: OidcStore;
  records: Records;
  clock: Clock;
  findPortal: FindPortal;
  clients: ClientRegistry;
}): (model: string) => Adapter {
  return (model) => {
    switch (model) {
      case 'Client':
        return createClientAdapter(parts.clients);
      case 'DeviceCode':
        return createDeviceCodeAdapter(parts);
      case 'Session':
        return createSessionAdapter(parts);
      default:
        return createRecordAdapter(model, parts);
    }
  };
}

function createRecordAdapter(
  model: string,
  parts: { store: OidcStore; records: Records; clock: Clock; findPortal: FindPortal },
): Adapter {
  const { store, records, clock, findPortal } = parts;

  async function stands(payload: AdapterPayload): Promise<boolean> {
    if (payload.clientId === undefined) return true;
    const portal = await findPortal(payload.clientId);
    return portal !== undefined && outlivesSuspension(payload, portal);
  }

  return {
    ...unusedMethods(model),
    async upsert(id, payload, expiresIn) {
      const { jti: _id, ...rest } = payload;
      // An interaction remembers the session by its raw id, which nothing reads.
      if (model === 'Interaction' && rest['session']) delete (rest['session'] as { cookie?: string }).cookie;
      const kept = POLLED_MODELS.has(model) && expiresIn !== undefined ? 2 * expiresIn : expiresIn;
      const { accountId, clientId } = payload;
      await Promise.all([
        records.put(model, id, rest, kept),
        model === 'Grant' && accountId !== undefined && clientId !== undefined
          ? store.indexGrant(keyOf(accountId), { key: keyOf(id), clientId }, TTL.Grant)
          : undefined,
      ]);
    },
    async find(id) {
      const found = await records.find(model, id);
      if (!found || !(await stands(found.payload))) return undefined;
      const { consumedAt } = found;
      const inGrace =
        GRACEFUL_MODELS.has(model) &&
        consumedAt !== undefined &&
        clock.now().getTime() / 1000 - consumedAt <= GRACE_SECONDS;
      return {
        // The library changes what it is given.
        ...structuredClone(found.payload),
        jti: id,
        ...(consumedAt === undefined || inGrace ? {} : { consumed: Math.floor(consumedAt) }),
      };
    },
    async consume(id) {
      if (await records.consume(model, id, clock.now().getTime() / 1000)) return;
      // Lost the race. RFC 6749, section 4.1.2: whatever a code used twice has led to is revoked.
      if (model === 'PushedAuthorizationRequest')
        throw new errors.InvalidRequestUri('request_uri has already been used');
      const grantId = (await records.find(model, id))?.payload.grantId;
      if (model === 'AuthorizationCode' && grantId !== undefined) await records.remove('Grant', grantId);
      throw new errors.InvalidGrant('grant request is invalid');
    },
    destroy: (id) => records.remove(model, id),
    // Whatever came from a grant is good for nothing without it: every use asks for the grant.
    revokeByGrantId: (grantId) => records.remove('Grant', grantId),
  };
}

/** Looking clients up is not the library's business: `Client.find` asks the registry. */
function createClientAdapter(clients: ClientRegistry): Adapter {
  return {
    ...unusedMethods('Client'),
    upsert: (_id, payload) => clients.save(payload),
    destroy: (id) => clients.remove(id),
  };
}

/** Device codes are found by the code that a person types, too, and approved by one of any number who try (RFC 8628). */
function createDeviceCodeAdapter(parts: Parameters<typeof createRecordAdapter>[1]): Adapter {
  const { store } = parts;
  const { sealText, openText } = parts.records;
  const records = createRecordAdapter('DeviceCode', parts);
  const context = (key: string) => `UserCode:${key}`;
  return {
    ...records,
    async upsert(id, payload, expiresIn) {
      const settles = payload.error !== undefined && payload.accountId === undefined;
      // The library looks whether the code is taken and marks it later; of several who confirm or refuse at once one may go on.
      if ((payload.inFlight === true) !== settles && payload.accountId === undefined) {
        const first = await store.putOnce('DeviceDecision', keyOf(id), '1', Math.max(1, expiresIn ?? 1));
        if (!first) throw new errors.InvalidRequest('code has already been used');
      }
      if (payload.userCode !== undefined && payload.inFlight === undefined && !settles) {
        const key = keyOf(payload.userCode);
        await store.put('UserCode', key, sealText(id, context(key)), { ttlSeconds: expiresIn });
      }
      await records.upsert(id, payload, expiresIn);
    },
    async findByUserCode(userCode) {
      const key = keyOf(userCode);
      const record = await store.get('UserCode', key);
      return record && records.find(openText(record.value, context(key)));
    },
  };
}

/** What the request in hand loaded, by key, so that what it changes can be told apart from what others saved meanwhile. */
const LOADED = Symbol('authorizations as loaded');
type Entries = Readonly<Record<string, string>>;

function loadedByThisRequest(): Map<string, Entries> {
  const state = Provider.ctx?.state as { [LOADED]?: Map<string, Entries> } | undefined;
  return state ? (state[LOADED] ??= new Map()) : new Map();
}

function createSessionAdapter(parts: { store: OidcStore; records: Records }): Adapter {
  const { store } = parts;
  const { sealText, openText } = parts.records;

  function open(session: StoredSession): { payload: AdapterPayload; entries: Entries } {
    const payload = JSON.parse(openText(session.body, SESSION_CONTEXT)) as AdapterPayload;
    const entries: Record<string, string> = {};
    const authorizations: Record<string, object> = {};
    for (const [clientId, text] of Object.entries(session.authorizations)) {
      const json = openText(text, sessionEntryContext(clientId));
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
        changed.map(([clientId, json]) => [clientId, sealText(json, sessionEntryContext(clientId))]),
      );
      const remove = Object.keys(loaded).filter((clientId) => !(clientId in current));
      const saved = await store.saveSession(
        key,
        {
          uid,
          account: body.accountId === undefined ? undefined : keyOf(body.accountId),
          body: sealText(JSON.stringify(body), SESSION_CONTEXT),
          set,
          remove,
        },
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
