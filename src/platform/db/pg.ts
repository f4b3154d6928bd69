/** PostgreSQL on a server, by the `pg` pool. */
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../logger.ts';
import type { Db, Queryable } from './db.ts';

const { Client, Pool, TypeOverrides, types } = pg;
const RECONNECT_MS = 500;

/** bigint as number: sequence numbers and counts stay far below 2^53. */
const parsers = new TypeOverrides();
parsers.setTypeParser(types.builtins.INT8, Number);

/** A connected pool. The server is first reached when the first statement runs. */
export function connectPg(url: string, options: { poolSize: number; logger: Logger }): Db {
  const pool = new Pool({
    connectionString: url,
    max: options.poolSize,
    types: parsers,
    connectionTimeoutMillis: 10_000,
    application_name: 'yinxin',
    // A statement that does not need the answer of the one before goes out with it: each wait costs more than the statement.
    pipeline: true,
  });
  // An idle connection that the server drops reports here; the pool replaces it by itself.
  pool.on('error', (error) => options.logger.warn({ err: error }, 'an idle database connection was lost'));

  return {
    ...queryable(pool),
    async transaction(work) {
      const client = await pool.connect();
      let broken: Error | undefined;
      const acts: (() => void)[] = [];
      const sent: Promise<pg.QueryResult>[] = [];
      const { stream } = (client as pg.PoolClient & Pick<pg.Client, 'connection'>).connection;
      function send(sql: string, parameters: readonly unknown[] = []): void {
        // Written together with what follows in the same turn, so that one packet brings all the answers.
        stream.cork();
        process.nextTick(() => stream.uncork());
        const answer = client.query(toStatement(sql, parameters));
        // Told by the end of the transaction, if that is reached.
        answer.catch(() => undefined);
        sent.push(answer);
      }
      try {
        send('BEGIN');
        const result = await work({
          ...queryable(client),
          afterCommit: (act) => acts.push(act),
          send,
        });
        send('COMMIT');
        const answers = await Promise.all(sent);
        // PostgreSQL answers so where a statement failed, whoever may have caught its error.
        if (answers.at(-1)?.command === 'ROLLBACK') throw new Error('the transaction was rolled back');
        for (const act of acts) act();
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((cause: Error) => (broken = cause));
        throw error;
      } finally {
        client.release(broken);
      }
    },
    listen: (channel, handler) => listen(url, channel, handler, options.logger),
    close: () => pool.end(),
  };
}

/** LISTEN belongs to a connection, so it has one of its own outside the pool, made anew whenever the server drops it. */
async function listen(
  url: string,
  channel: string,
  handler: (payload: string) => void,
  logger: Logger,
): Promise<() => Promise<void>> {
  let stopped = false;
  let client = await connect();

  async function connect(): Promise<pg.Client> {
    const fresh = new Client({ connectionString: url, application_name: 'yinxin-listen' });
    fresh.on('notification', (message) => handler(message.payload ?? ''));
    // `error` tells why, `end` follows it; without a handler `error` would end the process.
    fresh.on('error', (error) =>
      logger.warn({ err: error, channel }, 'the listening database connection was lost'),
    );
    await fresh.connect();
    await fresh.query(`LISTEN ${fresh.escapeIdentifier(channel)}`);
    fresh.on('end', () => void reconnect());
    return fresh;
  }
  async function reconnect(): Promise<void> {
    while (!stopped) {
      await setTimeout(RECONNECT_MS);
      try {
        client = await connect();
        if (stopped) await client.end();
        else handler('');
        return;
      } catch (error) {
        logger.warn({ err: error, channel }, 'listening to the database failed; trying again');
      }
    }
  }
  return async () => {
    stopped = true;
    await client.end();
  };
}

function queryable(executor: pg.Pool | pg.PoolClient): Queryable {
  return {
    async query<R extends object>(sql: string, parameters: readonly unknown[] = []) {
      const { rows } = await executor.query<R>(toStatement(sql, parameters));
      return rows;
    },
    async script(sql) {
      await executor.query(sql);
    },
  };
}

/** Statements that each connection keeps prepared, by their text: planning one of many parts costs more than running it. */
const prepared = new Map<string, string>();
/** Where text is made at run time it must not fill the server's memory. */
const MOST_PREPARED = 1000;

function toStatement(sql: string, parameters: readonly unknown[]): pg.QueryConfig {
  const statement = { text: sql, values: [...parameters] };
  if (parameters.length === 0) return statement;
  let name = prepared.get(sql);
  if (name === undefined && prepared.size < MOST_PREPARED) prepared.set(sql, (name = `s${prepared.size}`));
  return name === undefined ? statement : { ...statement, name };
}
