/**
 * The door to PostgreSQL. Two drivers stand behind it: `pg.ts` (a server and a pool) and `pglite.ts` (PostgreSQL in this process, one
 * connection). Values come back alike from both: `timestamptz` as Date, `bigint` as number, `bytea` as Uint8Array, `jsonb` as its value.
 */
export type Row = Record<string, unknown>;

/** Something that answers SQL: the pool, or one transaction. */
export interface Queryable {
  /** Runs one statement with `$1`-style parameters and returns its rows. */
  query<R extends object = Row>(sql: string, parameters?: readonly unknown[]): Promise<R[]>;
  /** Runs several statements without parameters, as migrations are written. */
  script(sql: string): Promise<void>;
  /** In a transaction: runs `act` once it has committed, and never if it does not. */
  afterCommit?(act: () => void): void;
  /** In a transaction: sends one statement whose rows nobody needs, and goes on without its answer. If it fails, so does the transaction. */
  send?(sql: string, parameters: readonly unknown[]): void;
}

/** One transaction. */
export interface Transaction extends Queryable {
  afterCommit(act: () => void): void;
  send(sql: string, parameters: readonly unknown[]): void;
}

export interface Db extends Queryable {
  /**
   * Runs `work` in one transaction: commits when it resolves, rolls back when it rejects. Inside, only `tx` may be used: PGlite has a
   * single connection, and a second query on the pool would wait for this very transaction.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /**
   * Calls `handler` with the payload of each NOTIFY on `channel`; resolves, once it listens, to a function that stops. An empty payload
   * means that the connection was lost and is back: anything may have been missed meanwhile.
   */
  listen(channel: string, handler: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** The one row of a statement that always yields one (an aggregate, an INSERT ... RETURNING). */
export function only<R>(rows: readonly R[]): R {
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new TypeError(`expected one row, got ${rows.length}`);
  return row;
}

/** Whether `error` is PostgreSQL's complaint that a row with this key exists (SQLSTATE 23505). */
export function isUniqueViolation(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '23505';
}
