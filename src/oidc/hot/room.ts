/** What the parts of the hot path share: the portal, the session and the grant behind a request, as plain values. */
import { randomBytes } from 'node:crypto';
import type { AccountCache } from '../../identity/index.ts';
import type { Portal, Portals, Resources } from '../../portals/index.ts';
import { keyOf, outlivesSuspension, type Found, type Records } from '../records.ts';
import type { RefreshGrace } from '../refresh-grace.ts';
import type { Releases } from '../releases.ts';
import type { OidcStore } from '../store/store.ts';
import type { Subjects } from '../subjects.ts';
import type { PublishedKey } from '../token-keys.ts';
import { toPlainPortal, type GrantPayload, type PlainPortal } from './plain.ts';

export interface HotParts {
  readonly issuer: string;
  readonly records: Records;
  readonly store: OidcStore;
  readonly accounts: AccountCache;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly subjects: Subjects;
  readonly releases: Releases;
  readonly refreshGrace: RefreshGrace;
  /** Seconds since 1970, whole. */
  now(): number;
  /** Seconds since 1970, with fractions. */
  instant(): number;
}

export interface Room extends HotParts {
  /** Signs ID tokens and access tokens. */
  readonly key: PublishedKey;
  plain(clientId: string): Promise<PlainPortal | undefined>;
  /** A grant that stands: not ended, of this portal and person, and not from before a suspension. */
  grant(id: string, clientId: string, accountId: string, found?: Found): Promise<GrantPayload | undefined>;
  /** The grant that a session had at a portal last time: where to look, never what to believe. */
  readonly grantOf: BoundedMap;
  /** Whether the session that something is bound to goes on, with this grant. What goes on without a session is bound to none. */
  holds(bound: Bound): Promise<boolean>;
  signedJwt(header: object, payload: object): Promise<string>;
}

/** Something that ends with a session, unless offline access was agreed to. */
export interface Bound {
  readonly clientId: string;
  readonly accountId: string;
  readonly grantId: string;
  readonly sessionUid?: string | undefined;
  readonly expiresWithSession?: boolean | undefined;
  /** Where the session lay when this was written: it spares looking up where it lies now. */
  readonly sessionKey?: string | undefined;
}

export function createRoom(parts: HotParts, key: PublishedKey): Room {
  const { records, store, portals, now } = parts;
  const known = new WeakMap<Portal, { readonly plain: PlainPortal | undefined }>();
  const headers = new Map<string, string>();

  return {
    ...parts,
    key,

    async plain(clientId) {
      const portal = await portals.find(clientId);
      if (!portal) return undefined;
      const kept = known.get(portal);
      if (kept) return kept.plain;
      const plain = toPlainPortal(portal);
      known.set(portal, { plain });
      return plain;
    },

    grantOf: createBoundedMap(),

    async grant(id, clientId, accountId, read) {
      const found = read ?? (await records.find('Grant', id));
      if (!found) return undefined;
      const grant = found.payload as GrantPayload;
      const portal = await portals.find(clientId);
      const stands =
        portal !== undefined &&
        grant.clientId === clientId &&
        grant.accountId === accountId &&
        isCurrent(found, portal, now());
      return stands ? grant : undefined;
    },

    async holds({ clientId, accountId, grantId, sessionUid, sessionKey, expiresWithSession }) {
      if (expiresWithSession !== true) return true;
      if (sessionUid === undefined) return false;
      const read = (place: string) => records.session(place, clientId);
      let session = sessionKey === undefined ? undefined : await read(sessionKey);
      if (!session) {
        // It was given a new id since: signing in again does that.
        const moved = await store.sessionKeyOf(keyOf(sessionUid));
        session = moved === undefined ? undefined : await read(moved);
      }
      const { body, entry } = session ?? {};
      return (
        body?.uid === sessionUid &&
        body.accountId === accountId &&
        (body.exp ?? 0) > now() &&
        entry?.grantId === grantId
      );
    },

    async signedJwt(header, payload) {
      if (!key.signer) throw new TypeError('the key of the hot path does not sign');
      const text = JSON.stringify(header);
      const first = headers.get(text) ?? Buffer.from(text).toString('base64url');
      headers.set(text, first);
      const signed = `${first}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
      const signature = await key.signer.sign(Buffer.from(signed));
      return `${signed}.${Buffer.from(signature).toString('base64url')}`;
    },
  };
}

export interface BoundedMap {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

const HINTS = 20_000;

function createBoundedMap(): BoundedMap {
  const entries = new Map<string, string>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      if (entries.get(key) === value) return;
      entries.set(key, value);
      const [oldest] = entries.keys();
      if (entries.size > HINTS && oldest !== undefined) entries.delete(oldest);
    },
  };
}

/** Not ended, and not from before the portal was suspended. */
export function isCurrent({ payload }: Found, portal: Portal, now: number): boolean {
  return (payload.exp ?? 0) > now && outlivesSuspension(payload, portal);
}

/** 256 random bits, base64url: the value of a code or token. */
export function newValue(): string {
  return randomBytes(32).toString('base64url');
}
