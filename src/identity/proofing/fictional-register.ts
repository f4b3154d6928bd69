/**
 * A register of invented people (`config/fictional-people.json`), so that everything can be tried where no authority is. It answers as a real one
 * does, and says everywhere that it is none. Its live check is a page of its own (`demo/live-check.ts`).
 */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import people from '../../../config/fictional-people.json' with { type: 'json' };
import type { Clock } from '../../platform/clock.ts';
import type { Db } from '../../platform/db/db.ts';
import { COMPARED, LIVE_CHECKED, type Claim, type ProofingAuthority } from './authority.ts';
import { canonicalName, documentKey, DOCUMENT_KINDS, type DocumentKind } from './documents.ts';

/** Somebody who does not exist. */
export interface FictionalPerson {
  readonly name: string;
  readonly kind: DocumentKind;
  readonly number: string;
  readonly issuingCountry?: string | undefined;
  /** E.164. */
  readonly phone: string;
  /** ISO 8601, or `unlimited`. */
  readonly validUntil: string;
  readonly birthdate: string;
}

export const FICTIONAL_PEOPLE: readonly FictionalPerson[] = z
  .array(
    z
      .object({
        name: z.string(),
        kind: z.enum(DOCUMENT_KINDS),
        number: z.string(),
        issuingCountry: z.string().optional(),
        phone: z.string(),
        validUntil: z.string(),
        birthdate: z.string(),
      })
      .strict(),
  )
  .parse(people);

export interface FictionalRegister extends ProofingAuthority {
  /** Whether a live check waits for its person. */
  waits(reference: string): Promise<boolean>;
  /** Ends a live check. @returns where the person is sent back to, once. */
  decide(reference: string, outcome: 'confirmed' | 'refused'): Promise<string | undefined>;
}

const LIVE_CHECK_SECONDS = 900;

/** @param parts.liveCheckUri Address of the page, under which the reference follows. */
export function createFictionalRegister(parts: {
  db: Db;
  clock: Clock;
  liveCheckUri: string;
  people?: readonly FictionalPerson[];
}): FictionalRegister {
  const { db, clock } = parts;
  const known = new Map((parts.people ?? FICTIONAL_PEOPLE).map((person) => [documentKey(person), person]));
  const digest = (reference: string) => createHash('sha256').update(reference).digest();

  function agrees({ document, name, third }: Claim): boolean {
    const person = known.get(documentKey(document));
    if (!person || canonicalName(person.name) !== canonicalName(name)) return false;
    // References of this register are handed out for comparisons that agreed, and to nobody else than this service.
    return third.item === 'reference'
      ? third.value.startsWith('fiction-')
      : person[third.item] === third.value;
  }

  return {
    id: 'fiction',
    name: { 'zh-CN': '虚构人口登记册', en: 'Register of invented people' },
    trustFramework: 'urn:yinxin:trust-framework:fiction',
    fictional: true,
    kinds: DOCUMENT_KINDS,
    attainable: LIVE_CHECKED,

    async compare({ claim, wanted, returnUri }) {
      const reference = `fiction-${randomBytes(18).toString('base64url')}`;
      if (!agrees(claim)) return { kind: 'refused', reference };
      if (wanted < LIVE_CHECKED) return { kind: 'confirmed', level: COMPARED, reference };
      const now = clock.now();
      await db.query('DELETE FROM fictional_live_checks WHERE expires_at < $1', [now]);
      await db.query(
        'INSERT INTO fictional_live_checks (reference_digest, return_uri, expires_at) VALUES ($1, $2, $3)',
        [digest(reference), returnUri, new Date(now.getTime() + LIVE_CHECK_SECONDS * 1000)],
      );
      return { kind: 'continue', uri: `${parts.liveCheckUri}/${reference}`, reference };
    },

    async result(reference) {
      const [row] = await db.query<{ outcome: 'confirmed' | 'refused' | null }>(
        'SELECT outcome FROM fictional_live_checks WHERE reference_digest = $1 AND expires_at > $2',
        [digest(reference), clock.now()],
      );
      if (!row) return { kind: 'refused', reference };
      if (row.outcome === null) return { kind: 'pending' };
      return row.outcome === 'confirmed'
        ? { kind: 'confirmed', level: LIVE_CHECKED, reference }
        : { kind: 'refused', reference };
    },

    async waits(reference) {
      const rows = await db.query(
        'SELECT 1 FROM fictional_live_checks WHERE reference_digest = $1 AND outcome IS NULL AND expires_at > $2',
        [digest(reference), clock.now()],
      );
      return rows.length === 1;
    },

    async decide(reference, outcome) {
      const [row] = await db.query<{ return_uri: string }>(
        `UPDATE fictional_live_checks SET outcome = $2
          WHERE reference_digest = $1 AND outcome IS NULL AND expires_at > $3 RETURNING return_uri`,
        [digest(reference), outcome, clock.now()],
      );
      return row?.return_uri;
    },
  };
}
