/** Pairwise subject identifiers (OpenID Connect Core 1.0, section 8.1): random, chosen once per account and sector, kept for ever. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import { only, type Db, type Queryable } from '../platform/db/db.ts';

export interface Subjects {
  /** The `sub` by which the portals of `sector` know an account: 256 random bits, base64url. Parallel first visits get the same one. */
  subjectOf(accountId: string, sector: string): Promise<string>;
  /** The account that the portals of `sector` know by a `sub`. */
  accountOf(subject: string, sector: string): Promise<string | undefined>;
  /** Every number of an account. */
  all(
    accountId: string,
  ): Promise<readonly { readonly sector: string; readonly sub: string; readonly since: Date }[]>;
}

/** A subject never changes, so it may be remembered for as long as there is room. */
const CACHE_ENTRIES = 50_000;

/** @param parts.mergedInto The account that one was closed into, if it was. */
export function createSubjects(parts: {
  db: Db;
  clock: Clock;
  mergedInto: (accountId: string) => Promise<string | undefined>;
}): Subjects {
  const known = new Map<string, string>();

  async function load(accountId: string, sector: string): Promise<string> {
    const [row] = await parts.db.query<{ sub: string }>(
      'SELECT sub FROM pairwise_subjects WHERE account_id = $1 AND sector = $2',
      [accountId, sector],
    );
    if (row) return row.sub;
    // What is still to be said of an account that was closed into another is said by the subject that it left it.
    const into = await parts.mergedInto(accountId);
    if (into !== undefined) return load(into, sector);
    // DO UPDATE rather than DO NOTHING: it makes the row of whoever came first visible to RETURNING.
    const written = await parts.db.query<{ sub: string }>(
      `INSERT INTO pairwise_subjects (account_id, sector, sub, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (account_id, sector) DO UPDATE SET sub = pairwise_subjects.sub RETURNING sub`,
      [accountId, sector, randomBytes(32).toString('base64url'), parts.clock.now()],
    );
    return only(written).sub;
  }

  return {
    async subjectOf(accountId, sector) {
      const key = JSON.stringify([accountId, sector]);
      const kept = known.get(key);
      if (kept !== undefined) return kept;
      const sub = await load(accountId, sector);
      known.set(key, sub);
      const [oldest] = known.keys();
      if (known.size > CACHE_ENTRIES && oldest !== undefined) known.delete(oldest);
      return sub;
    },
    async accountOf(subject, sector) {
      const [row] = await parts.db.query<{ account_id: string }>(
        'SELECT account_id FROM pairwise_subjects WHERE sub = $1 AND sector = $2',
        [subject, sector],
      );
      return row?.account_id;
    },
    async all(accountId) {
      return parts.db.query<{ sector: string; sub: string; since: Date }>(
        'SELECT sector, sub, created_at AS since FROM pairwise_subjects WHERE account_id = $1 ORDER BY created_at, sector',
        [accountId],
      );
    },
  };
}

/**
 * Lets an account that is closed into another leave it the subjects that portals know: for ever means that a portal goes on to know its
 * person by them. Where both are known in a sector the other account keeps its own, and the closed one's is never used again.
 */
export async function moveSubjects(tx: Queryable, from: string, into: string): Promise<void> {
  await tx.query(
    `UPDATE pairwise_subjects s SET account_id = $2 WHERE account_id = $1
        AND NOT EXISTS (SELECT 1 FROM pairwise_subjects o WHERE o.account_id = $2 AND o.sector = s.sector)`,
    [from, into],
  );
}
