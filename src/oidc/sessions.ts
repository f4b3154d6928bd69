/** The sessions of an account and the grants of its portals: seen, and ended. Whatever ends, the portals concerned are told by the outbox. */
import { deviceNameOf } from '../identity/index.ts';
import { networkOf, parseAddress } from '../platform/address.ts';
import { createBlindIndex } from '../platform/cipher.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Context } from '../platform/http/context.ts';
import type { DeviceId } from '../platform/ids.ts';
import type { Portals } from '../portals/index.ts';
import { TTL } from './configuration.ts';
import type { LogoutOutbox } from './logout-outbox.ts';
import { keyOf, SESSION_CONTEXT, sessionEntryContext, type Records } from './records.ts';
import type { OidcStore, StoredSession } from './store/store.ts';

/** How a session was begun: kept in it, so that its owner can tell their sessions apart. */
export interface Beginning {
  /** Seconds since 1970. */
  readonly at: number;
  /** Sequence numbers of the audit entries of its sign-ins, the first one and the newest. */
  readonly entries: readonly number[];
  /** The device as the account knows it. */
  readonly device?: DeviceId | undefined;
  /** Browser and system by name, without versions. */
  readonly browser?: string | undefined;
  readonly system?: string | undefined;
  /** Prefix of the address, such as `203.0.0.0/16`. */
  readonly network?: string | undefined;
}

/** Far enough to say nothing of a street, near enough to tell an own network from a strange one. */
const NETWORK = { ipv4: 16, ipv6: 32 };

/** What is kept of how a browser arrives that has just signed in. */
export function beginningOf(
  ctx: Context,
  signIn: { readonly at: number; readonly entry: number; readonly device: DeviceId },
): Beginning {
  const address = parseAddress(ctx.state.address);
  return {
    at: signIn.at,
    entries: [signIn.entry],
    device: signIn.device,
    ...deviceNameOf(ctx.get('user-agent')),
    network: address && networkOf(address, NETWORK),
  };
}

/** Sign-ins that a session remembers: whoever reports one ends the session that it belongs to. */
const ENTRIES = 20;

/** A session that goes on with another sign-in. Pure. */
export function continued(beginning: Beginning, { entries }: Beginning): Beginning {
  const [first, ...others] = [...beginning.entries, ...entries];
  return { ...beginning, entries: first === undefined ? [] : [first, ...others.slice(1 - ENTRIES)] };
}

/** A session as its owner sees it. */
export interface SessionView {
  /** Keyed digest by which it is ended: neither the session's id nor anything that leads to it. */
  readonly handle: string;
  readonly beginning: Beginning | undefined;
  /** To about ten minutes. */
  readonly lastSeenAt: Date;
  /** Portals that were signed in to. */
  readonly clientIds: readonly string[];
  /** Whether it is the session of the browser that asks. */
  readonly current: boolean;
}

/** Which session is meant: by its handle, by a sign-in of it, or all that were begun on a device. */
export type Which = { readonly handle: string } | { readonly entry: number } | { readonly device: string };

export interface Sessions {
  /** The living sessions of an account, the last seen first. @param currentUid The asking browser's own. */
  list(accountId: string, currentUid: string | undefined): Promise<SessionView[]>;
  /** Ends the sessions of the account that are meant. @returns how many there were. */
  end(accountId: string, which: Which): Promise<number>;
  /** Ends every session of the account, but for one. @returns how many ended. */
  endAll(accountId: string, exceptUid?: string): Promise<number>;
  /** Ends whatever a portal was given by this account: its grants, and with them every code and token; and signs the portal out. */
  endPortal(accountId: string, clientId: string): Promise<void>;
  /** Ends every session and every grant of the account. */
  endEverything(accountId: string): Promise<void>;
}

interface Body {
  readonly uid: string;
  readonly accountId?: string;
  readonly exp?: number;
  readonly beginning?: Beginning;
}

interface Loaded {
  readonly key: string;
  readonly body: Body;
  readonly authorizations: StoredSession['authorizations'];
}

export function createSessions(parts: {
  readonly store: OidcStore;
  readonly records: Records;
  readonly dataKeys: DataKeys;
  readonly portals: Portals;
  readonly logouts: LogoutOutbox;
}): Sessions {
  const { store, records, portals, logouts } = parts;
  const handles = createBlindIndex(parts.dataKeys, 'session-handle');
  const text = (handle: Uint8Array) => Buffer.from(handle).toString('base64url');

  async function load(accountId: string): Promise<Loaded[]> {
    const keys = await store.sessionsOf(keyOf(accountId));
    const loaded = await Promise.all(
      keys.map(async (key) => {
        const session = await store.session(key);
        if (!session) return [];
        const body = JSON.parse(records.openText(session.body, SESSION_CONTEXT)) as Body;
        // The index may name a session that somebody else has signed in to since.
        return body.accountId === accountId ? [{ key, body, authorizations: session.authorizations }] : [];
      }),
    );
    return loaded.flat();
  }

  /** Tells a portal that it is signed out, if it wants to be told. */
  async function tell(accountId: string, clientId: string, entry: string | undefined): Promise<void> {
    const portal = await portals.find(clientId);
    if (portal?.backchannelLogoutUri === undefined || entry === undefined) return;
    const { sid } = JSON.parse(records.openText(entry, sessionEntryContext(clientId))) as { sid?: string };
    await logouts.enqueue({ clientId, accountId, sid });
  }

  async function endLoaded(accountId: string, { key, authorizations }: Loaded): Promise<void> {
    for (const [clientId, entry] of Object.entries(authorizations)) await tell(accountId, clientId, entry);
    await store.endSession(key);
  }

  async function endAll(accountId: string, exceptUid?: string): Promise<number> {
    const sessions = (await load(accountId)).filter(({ body }) => body.uid !== exceptUid);
    for (const session of sessions) await endLoaded(accountId, session);
    return sessions.length;
  }

  return {
    endAll,

    async endEverything(accountId) {
      const grants = await store.grantsOf(keyOf(accountId));
      await Promise.all(grants.map(({ key }) => store.remove('Grant', key)));
      await endAll(accountId);
    },

    async list(accountId, currentUid) {
      return (await load(accountId))
        .map(({ body, authorizations }) => ({
          handle: text(handles.current(body.uid)),
          beginning: body.beginning,
          // Whoever uses a session prolongs it.
          lastSeenAt: new Date(((body.exp ?? 0) - TTL.Session) * 1000),
          clientIds: Object.keys(authorizations),
          current: body.uid === currentUid,
        }))
        .toSorted((a, b) => b.lastSeenAt.getTime() - a.lastSeenAt.getTime());
    },

    async end(accountId, which) {
      const isMeant = ({ uid, beginning }: Body): boolean => {
        if ('handle' in which) return handles.all(uid).some((handle) => text(handle) === which.handle);
        if ('entry' in which) return beginning?.entries.includes(which.entry) === true;
        return beginning?.device === which.device;
      };
      const meant = (await load(accountId)).filter(({ body }) => isMeant(body));
      for (const session of meant) await endLoaded(accountId, session);
      return meant.length;
    },

    async endPortal(accountId, clientId) {
      // Grants first: from then on no token works, whatever becomes of the rest.
      const grants = (await store.grantsOf(keyOf(accountId))).filter((grant) => grant.clientId === clientId);
      await Promise.all(grants.map(({ key }) => store.remove('Grant', key)));
      for (const { key, authorizations } of await load(accountId)) {
        const entry = authorizations[clientId];
        if (entry === undefined) continue;
        const { grantId } = JSON.parse(records.openText(entry, sessionEntryContext(clientId))) as {
          grantId?: string;
        };
        if (grantId !== undefined) await records.remove('Grant', grantId);
        await tell(accountId, clientId, entry);
        await store.removeAuthorization(key, clientId);
      }
    },
  };
}
