/**
 * The record of releases: which portal got which claims of whom, and when. It is durable before the answer leaves. Answers that leave at the
 * same time share one statement: while one is being written, those that come meanwhile gather for the next.
 */
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../platform/clock.ts';
import { only, type Db, type Queryable } from '../platform/db/db.ts';

/** By which answer: of an endpoint, or of our own API. */
export type ReleaseWay = 'userinfo' | 'id-token' | 'api';

export interface Release {
  readonly accountId: string;
  readonly clientId: string;
  readonly way: ReleaseWay;
  /** Names of the claims, without their values. */
  readonly claims: readonly string[];
}

export interface RecordedRelease extends Release {
  /** Grows with time. */
  readonly id: number;
  readonly at: Date;
}

export interface Releases {
  /** Resolves when the release is durable. One that says nothing of a person is not recorded. */
  record(release: Release): Promise<void>;
  /** The newest first. @param page.before Id of the release after which the page begins. */
  of(
    accountId: string,
    page: { readonly limit: number; readonly before?: number | undefined },
  ): Promise<RecordedRelease[]>;
  /** What each portal got of an account: which claims, and when first and last. */
  byPortal(accountId: string): Promise<
    readonly {
      readonly clientId: string;
      readonly claims: readonly string[];
      readonly first: Date;
      readonly last: Date;
    }[]
  >;
  /** Forgets what is older than the time given. @returns how many rows. */
  forget(before: Date): Promise<number>;
}

/** Claims that say how and when somebody signed in, or are made for the portal alone (OpenID Connect Core 1.0, section 2). */
const IMPERSONAL: ReadonlySet<string> = new Set([
  'sub',
  'iss',
  'aud',
  'exp',
  'iat',
  'auth_time',
  'nonce',
  'acr',
  'amr',
  'azp',
  'sid',
]);

/** Rows of one statement. */
const BATCH = 500;

interface Waiting {
  /** Account, portal, way, claims: as it goes to the database. */
  readonly row: readonly [accountId: string, clientId: string, way: string, claims: string];
  resolve(): void;
  reject(error: unknown): void;
}

interface Row {
  readonly id: number;
  readonly client_id: string;
  readonly way: ReleaseWay;
  readonly claims: string;
  readonly at: Date;
}

/** Lets an account take over the releases of another that is closed into it. */
export async function moveReleases(tx: Queryable, from: string, into: string): Promise<void> {
  await tx.query('UPDATE releases SET account_id = $2 WHERE account_id = $1', [from, into]);
}

export function createReleases(parts: { readonly db: Db; readonly clock: Clock }): Releases {
  const { db, clock } = parts;
  let waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;

  async function write(batch: readonly Waiting[]): Promise<void> {
    try {
      await db.query(
        `INSERT INTO releases (account_id, client_id, way, claims, at)
           SELECT row->>0, row->>1, row->>2, row->>3, $2 FROM jsonb_array_elements($1::jsonb) AS row`,
        [JSON.stringify(batch.map(({ row }) => row)), clock.now()],
      );
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      // Whatever this turn of the loop brings goes together.
      await setImmediate();
      const batch = waiting.slice(0, BATCH);
      waiting = waiting.slice(BATCH);
      await write(batch);
    }
    writing = undefined;
  }

  return {
    record({ accountId, clientId, way, claims }) {
      const personal = claims.filter((claim) => !IMPERSONAL.has(claim));
      if (personal.length === 0) return Promise.resolve();
      const written = new Promise<void>((resolve, reject) => {
        waiting.push({ row: [accountId, clientId, way, personal.join(' ')], resolve, reject });
      });
      writing ??= writeAll();
      return written;
    },

    async of(accountId, { limit, before }) {
      const rows = await db.query<Row>(
        `SELECT id, client_id, way, claims, at FROM releases
          WHERE account_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
        [accountId, before ?? null, limit],
      );
      return rows.map(({ id, client_id: clientId, way, claims, at }) => ({
        id,
        accountId,
        clientId,
        way,
        claims: claims.split(' '),
        at,
      }));
    },

    async byPortal(accountId) {
      const rows = await db.query<{ client_id: string; claims: string; first: Date; last: Date }>(
        `SELECT client_id, string_agg(DISTINCT claims, ' ') AS claims, min(at) AS first, max(at) AS last
           FROM releases WHERE account_id = $1 GROUP BY client_id`,
        [accountId],
      );
      return rows.map(({ client_id: clientId, claims, first, last }) => ({
        clientId,
        claims: [...new Set(claims.split(' '))].toSorted(),
        first,
        last,
      }));
    },

    async forget(before) {
      const { n } = only(
        await db.query<{ n: number }>(
          'WITH gone AS (DELETE FROM releases WHERE at < $1 RETURNING 1) SELECT count(*) AS n FROM gone',
          [before],
        ),
      );
      return n;
    },
  };
}
