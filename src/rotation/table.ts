/** Tables with encrypted columns: each room describes its own once, next to the code that reads and writes them. */
import { createBlindIndex, createCipher, keyIdOf } from '../platform/cipher.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Queryable } from '../platform/db/db.ts';
import type { Holding, Step } from './holding.ts';

/** Values of a row by column, as PostgreSQL writes them as text. */
export type RowTexts = Readonly<Record<string, string>>;

export interface EncryptedColumn {
  /** What `createCipher` was given. */
  readonly purpose: string;
  /** What the record is bound to. */
  readonly context: (row: RowTexts) => string | undefined;
}

export interface IndexColumn {
  /** What `createBlindIndex` was given. */
  readonly purpose: string;
  /** What the index is made of; undefined: there is none. @param opened The row's encrypted columns, opened, as UTF-8. */
  readonly of: (row: RowTexts, opened: Partial<RowTexts>) => string | undefined;
}

/** A row's values and indexes are written together, by one process: they are under one key. */
export interface EncryptedTable {
  readonly table: string;
  /** Columns of the primary key with their types, in its order. */
  readonly key: Readonly<Record<string, 'text' | 'bytea' | 'bigint' | 'boolean'>>;
  /** Other columns of which contexts and indexes are made. */
  readonly reads?: readonly string[];
  /** Encrypted columns; one that is null is left alone. */
  readonly values: Readonly<Record<string, EncryptedColumn>>;
  readonly indexes?: Readonly<Record<string, IndexColumn>>;
}

/** Rows looked at in one step: some milliseconds of work. */
const BATCH = 200;
/** A step gives way rather than wait for a row: shorter than the second after which PostgreSQL looks for whom to end in a deadlock. */
const LOCK_TIMEOUT = '200ms';

type Row = Readonly<Record<string, string | Uint8Array | null>>;

export function tableHolding(description: EncryptedTable, dataKeys: DataKeys): Holding {
  const { table, key, reads = [] } = description;
  const keys = Object.entries(key);
  const values = Object.entries(description.values).map(([column, { purpose, context }]) => ({
    column,
    context,
    cipher: createCipher(dataKeys, purpose),
  }));
  const indexes = Object.entries(description.indexes ?? {}).map(([column, { purpose, of }]) => ({
    column,
    of,
    index: createBlindIndex(dataKeys, purpose),
  }));
  const texts = [...keys.map(([column]) => column), ...reads];

  // With the table's name: a bare one would mean the text of the result, which no index is ordered by.
  const order = keys.map(([column]) => `t.${column}`).join(', ');
  const select = `SELECT ${[...texts.map((column) => `t.${column}::text AS ${column}`), ...values.map(({ column }) => `t.${column}`)].join(', ')} FROM ${table} AS t`;
  const after = `WHERE (${order}) > (${keys.map(([, type], i) => `$${i + 1}::text::${type}`).join(', ')})`;
  const count = values
    .map(
      ({ column }) => `SELECT CASE WHEN substring(${column} from 1 for 1) = '\\x02'::bytea
        THEN encode(substring(${column} from 2 for 8), 'hex') ELSE '' END AS key_id FROM ${table} WHERE ${column} IS NOT NULL`,
    )
    .join(' UNION ALL ');
  // A row that was changed since it was read differs from `was`, and stays as it is.
  const update = `UPDATE ${table} AS t SET ${[
    ...values.map(({ column }, i) => `${column} = n.now${i}`),
    ...indexes.map(({ column }, i) => `${column} = n.index${i}`),
  ].join(', ')}
    FROM jsonb_to_recordset($1::jsonb) AS n(${[
      ...keys.map(([, type], i) => `key${i} ${type}`),
      ...values.map((_, i) => `was${i} bytea, now${i} bytea`),
      ...indexes.map((_, i) => `index${i} bytea`),
    ].join(', ')})
    WHERE ${[
      ...keys.map(([column], i) => `t.${column} = n.key${i}`),
      ...values.map(({ column }, i) => `t.${column} IS NOT DISTINCT FROM n.was${i}`),
    ].join(' AND ')}`;

  /** The row as the statement takes it; undefined: nothing of it lies under another key. */
  function renewed(row: Row): Record<string, string | null> | undefined {
    const isCurrent = ({ column }: { column: string }) =>
      row[column] === null || keyIdOf(bytesOf(row, column)) === dataKeys.current.id;
    if (values.every(isCurrent)) return undefined;
    const rowTexts = Object.fromEntries(texts.map((column) => [column, textOf(row, column)]));
    const opened: Record<string, string> = {};
    const change: Record<string, string | null> = {};
    keys.forEach(([column], i) => (change[`key${i}`] = textOf(row, column)));
    values.forEach(({ column, cipher, context }, i) => {
      if (row[column] === null) return;
      const was = bytesOf(row, column);
      const boundTo = context(rowTexts);
      if (boundTo === undefined) throw new TypeError(`${table}.${column} is bound to nothing`);
      const plaintext = cipher.decrypt(was, boundTo);
      opened[column] = Buffer.from(plaintext).toString('utf8');
      change[`was${i}`] = toHex(was);
      change[`now${i}`] = toHex(cipher.encrypt(plaintext, boundTo));
    });
    indexes.forEach(({ of, index }, i) => {
      const value = of(rowTexts, opened);
      change[`index${i}`] = value === undefined ? null : toHex(index.current(value));
    });
    return change;
  }

  /** @returns how many of the changes could not be written. */
  async function write(tx: Queryable, changes: readonly object[]): Promise<number> {
    await tx.script('SAVEPOINT batch');
    try {
      await tx.query(update, [JSON.stringify(changes)]);
      return 0;
    } catch (error) {
      if (isLockTimeout(error)) throw error;
      await tx.script('ROLLBACK TO SAVEPOINT batch');
      if (changes.length === 1) return 1;
      // One of them spoils the rest: each by itself.
      let failed = 0;
      for (const change of changes) failed += await write(tx, [change]);
      return failed;
    }
  }

  return {
    name: table,
    async count(tx) {
      const rows = await tx.query<{ key_id: string; records: number }>(
        `SELECT key_id, count(*) AS records FROM (${count}) AS records GROUP BY key_id`,
      );
      return new Map(rows.map(({ key_id, records }) => [key_id, records]));
    },
    async renew(tx, position): Promise<Step> {
      await tx.query(
        `SELECT set_config('lock_timeout', $1, true), set_config('yinxin.encrypting_anew', 'on', true)`,
        [LOCK_TIMEOUT],
      );
      const begin = position === undefined ? [] : (JSON.parse(position) as string[]);
      const rows = await tx.query<Row>(
        `${select} ${begin.length > 0 ? after : ''} ORDER BY ${order} LIMIT ${BATCH}`,
        begin,
      );
      const changes: object[] = [];
      let failed = 0;
      for (const row of rows)
        try {
          const change = renewed(row);
          if (change) changes.push(change);
        } catch {
          failed += 1;
        }
      const unwritten = changes.length > 0 ? await write(tx, changes) : 0;
      const last = rows.length === BATCH ? rows.at(-1) : undefined;
      return {
        position: last && JSON.stringify(keys.map(([column]) => textOf(last, column))),
        renewed: changes.length - unwritten,
        failed: failed + unwritten,
      };
    },
  };
}

/** SQLSTATE 55P03: someone else has a row. */
export function isLockTimeout(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '55P03';
}

function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`${column} is not read as text`);
  return value;
}

function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new TypeError(`${column} is not bytes`);
  return value;
}

/** As PostgreSQL reads and writes `bytea` as text. */
function toHex(bytes: Uint8Array): string {
  return `\\x${Buffer.from(bytes).toString('hex')}`;
}
