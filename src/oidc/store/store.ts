/**
 * Where sessions, codes and tokens live: Redis, or this process in embedded mode. Both keep the same contract, held to it by one suite.
 * Keys are digests and values ciphertext: the store never sees an id that a browser or a portal could present.
 */

export interface StoredRecord {
  readonly value: string;
  /** Seconds since 1970 at which it was consumed, if it was. */
  readonly consumedAt: number | undefined;
}

/** A session: a body, and one entry per portal that it has signed in to. */
export interface StoredSession {
  readonly body: string;
  /** By `client_id`. */
  readonly authorizations: Readonly<Record<string, string>>;
}

export interface SessionChange {
  readonly uid: string;
  /** Digest of the account that is signed in, so that all sessions of an account can be found. */
  readonly account?: string | undefined;
  readonly body: string;
  /** Entries to write. Entries that are not named stay as they are, so that requests in parallel lose none of each other's. */
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface OidcStore {
  /** Writes a record, replacing what was there. */
  put(
    model: string,
    key: string,
    value: string,
    options: { readonly ttlSeconds: number | undefined },
  ): Promise<void>;
  /** Writes a record if there is none: of any number of callers exactly one gets `true`. */
  putOnce(model: string, key: string, value: string, ttlSeconds: number): Promise<boolean>;
  get(model: string, key: string): Promise<StoredRecord | undefined>;
  /** Marks a record as consumed and keeps its time to live: of any number of callers exactly one gets `true`; of a missing record none does. */
  consume(model: string, key: string, at: number): Promise<boolean>;
  remove(model: string, key: string): Promise<void>;

  /**
   * Writes a session under `key` and lets its `uid` lead there.
   * @returns false, having written nothing, if this session was ended: a request that began before a sign-out cannot undo it.
   */
  saveSession(key: string, change: SessionChange, ttlSeconds: number): Promise<boolean>;
  /** Adds entries to the session that `uid` leads to, if it still lives. @returns whether it does. */
  addAuthorizations(uid: string, set: Readonly<Record<string, string>>): Promise<boolean>;
  /** @param clientId Of the entries, read only this one. */
  session(key: string, clientId?: string): Promise<StoredSession | undefined>;
  /** Where the session lies that a uid leads to. */
  sessionKeyOf(uid: string): Promise<string | undefined>;
  sessionByUid(uid: string): Promise<StoredSession | undefined>;
  /** Takes a portal's entry out of a session, if it still lives. */
  removeAuthorization(key: string, clientId: string): Promise<void>;
  /** Keys of the sessions in which an account is signed in; some may have ended. */
  sessionsOf(account: string): Promise<string[]>;
  /** Ends a session for good. */
  endSession(key: string): Promise<void>;

  /** Notes that a grant lies under its key, so that all grants of an account can be found. @param ttlSeconds The same for every grant. */
  indexGrant(account: string, grant: IndexedGrant, ttlSeconds: number): Promise<void>;
  /** Grants of an account; some may have ended. */
  grantsOf(account: string): Promise<IndexedGrant[]>;

  /**
   * Goes through what lies here, step by step; whatever lies here from the first step to the last is met. A value is replaced by what
   * `replace` answers, if it is still the same by then; when it ends, and whether it was consumed, stay.
   * @param cursor Where the step before ended; undefined: at the beginning.
   */
  walk(
    cursor: string | undefined,
    replace: (value: string, place: Place) => string | undefined,
  ): Promise<Walk>;
}

export interface IndexedGrant {
  readonly key: string;
  readonly clientId: string;
}

/** Where a value lies: a record, or the body or one portal's entry of a session. */
export type Place =
  | { readonly model: string; readonly key: string }
  | { readonly session: 'body' }
  | { readonly session: 'entry'; readonly clientId: string };

export interface Walk {
  /** Where the next step begins; undefined: this was the last. */
  readonly cursor: string | undefined;
  readonly replaced: number;
}

/** How long an ended session refuses to be written again: longer than any request that loaded it can last. */
export const ENDED_SECONDS = 300;
