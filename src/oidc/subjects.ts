/** Pairwise subject identifiers (OpenID Connect Core 1.0, section 8.1): random, chosen once per account and sector, kept for ever. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import { only, type Db } from '../platform/db/db.ts';

export interface Subjects {
  /** The `sub` by which the portals of `sector` know an account: 256 random bits, base64url. Parallel first visits get the same one. */
  subjectOf(accountId: string, sector: string): Promise<string>;
  /** The account that the portals of `sector` know by a `sub`. */
  accountOf(subject: string, sector: string): Promise<string | undefined>;
}

/** A subject never changes, so it may be remembered for as long as there is room. */
const CACHE_ENTRIES = 50_000;

export function createSubjects(parts: { db: Db; clock: Clock }): Subjects {
  const known = new Map<string, string>();

  async function load(accountId: string, sector: string): Promise<string> {
    const [row] = await parts.db.query<{ sub: string }>(
      'SELECT sub FROM pairwise_subjects WHERE account_id = $1 AND sector = $2',
      [accountId, sector],
    );
    if (row) return row.sub;
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
  };
}
