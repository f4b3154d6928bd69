/**
 * Records as they lie in the store: ids as digests, payloads as ciphertext bound to where it lies. What was opened last is remembered by
 * its ciphertext, so that a session or grant that is read at every request is opened once while it stays the same.
 */
import { createHash } from 'node:crypto';
import type { AdapterPayload } from 'oidc-provider';
import { createCipher, isRecord, keyIdOf, type Cipher } from '../platform/cipher.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Holding } from '../rotation/index.ts';
import type { OidcStore, Place, StoredSession } from './store/store.ts';

/** The name under which an id is stored: its digest, so that a copy of the store signs nobody in. */
export function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}

export interface Found {
  /** Without `jti`. Shared with other readers: not to be changed. */
  readonly payload: Readonly<AdapterPayload>;
  /** Seconds since 1970, with fractions. */
  readonly consumedAt: number | undefined;
}

/** Whether a portal may still use what it was given: suspending it ends everything that was issued until then (`iat`, seconds). */
export function outlivesSuspension(
  { iat = 0 }: Readonly<AdapterPayload>,
  portal: { readonly validFrom: Date | undefined },
): boolean {
  return portal.validFrom === undefined || iat * 1000 >= portal.validFrom.getTime();
}

export interface Records {
  put(model: string, id: string, payload: object, ttlSeconds: number | undefined): Promise<void>;
  find(model: string, id: string): Promise<Found | undefined>;
  /** Consumes a record. Of any number of callers one gets `true`. */
  consume(model: string, id: string, at: number): Promise<boolean>;
  remove(model: string, id: string): Promise<void>;
  /** A session with the entry of one portal. @param key What `keyOf` gave. */
  session(key: string, clientId: string): Promise<SessionView | undefined>;
  sealText(text: string, context: string): string;
  openText(sealed: string, context: string): string;
}

export interface SessionView {
  readonly body: Readonly<AdapterPayload>;
  /** What the session knows of the portal, if it was there. */
  readonly entry: { readonly grantId?: string | undefined; readonly sid?: string | undefined } | undefined;
}

/** Opened records remembered: some megabytes. Only what is read again and again: a code that is opened once would push those out. */
const REMEMBERED = 4000;
const REREAD = /^(?:Session|Grant|AccessToken)\b/;

export const SESSION_CONTEXT = 'Session';
export const sessionEntryContext = (clientId: string) => `Session:${clientId}`;

const recordContext = (model: string, key: string) => `${model}:${key}`;

/** A cipher for everything in the store. */
export function createStoreCipher(dataKeys: DataKeys): Cipher {
  return createCipher(dataKeys, 'oidc-store');
}

function contextOf(place: Place): string {
  if ('model' in place) return recordContext(place.model, place.key);
  return place.session === 'body' ? SESSION_CONTEXT : sessionEntryContext(place.clientId);
}

/** The store as one of the places whose records are brought under the current data key. */
export function storeHolding(store: OidcStore, dataKeys: DataKeys): Holding {
  const cipher = createStoreCipher(dataKeys);
  return {
    name: 'store',
    async count() {
      const counted = new Map<string, number>();
      let cursor: string | undefined;
      do {
        ({ cursor } = await store.walk(cursor, (sealed) => {
          const bytes = Buffer.from(sealed, 'base64');
          // What has the length of no record is a marker or a number.
          if (!isRecord(bytes)) return undefined;
          const keyId = keyIdOf(bytes) ?? '';
          counted.set(keyId, (counted.get(keyId) ?? 0) + 1);
          return undefined;
        }));
      } while (cursor !== undefined);
      return counted;
    },
    async renew(_tx, position) {
      let failed = 0;
      const { cursor, replaced } = await store.walk(position, (sealed, place) => {
        const bytes = Buffer.from(sealed, 'base64');
        if (!isRecord(bytes) || keyIdOf(bytes) === dataKeys.current.id) return undefined;
        try {
          const context = contextOf(place);
          return Buffer.from(cipher.encrypt(cipher.decrypt(bytes, context), context)).toString('base64');
        } catch {
          failed += 1;
          return undefined;
        }
      });
      return { position: cursor, renewed: replaced, failed };
    },
  };
}

export function createRecords({ store, cipher }: { store: OidcStore; cipher: Cipher }): Records {
  const opened = new Map<string, { context: string; value: AdapterPayload }>();

  function sealText(text: string, context: string): string {
    return Buffer.from(cipher.encrypt(Buffer.from(text), context)).toString('base64');
  }

  function openText(sealed: string, context: string): string {
    return Buffer.from(cipher.decrypt(Buffer.from(sealed, 'base64'), context)).toString('utf8');
  }

  function open(sealed: string, context: string): AdapterPayload {
    const known = opened.get(sealed);
    if (known?.context === context) return known.value;
    const value = JSON.parse(openText(sealed, context)) as AdapterPayload;
    if (!REREAD.test(context)) return value;
    opened.set(sealed, { context, value });
    const [oldest] = opened.keys();
    if (opened.size > REMEMBERED && oldest !== undefined) opened.delete(oldest);
    return value;
  }

  function view(stored: StoredSession, clientId: string): SessionView {
    const entry = stored.authorizations[clientId];
    return {
      body: open(stored.body, SESSION_CONTEXT),
      entry: entry === undefined ? undefined : open(entry, sessionEntryContext(clientId)),
    };
  }

  return {
    sealText,
    openText,
    async put(model, id, payload, ttlSeconds) {
      const key = keyOf(id);
      await store.put(model, key, sealText(JSON.stringify(payload), recordContext(model, key)), {
        ttlSeconds,
      });
    },
    async find(model, id) {
      const key = keyOf(id);
      const record = await store.get(model, key);
      return (
        record && { payload: open(record.value, recordContext(model, key)), consumedAt: record.consumedAt }
      );
    },
    consume: (model, id, at) => store.consume(model, keyOf(id), at),
    remove: (model, id) => store.remove(model, keyOf(id)),
    async session(key, clientId) {
      const stored = await store.session(key, clientId);
      return stored && view(stored, clientId);
    },
  };
}
