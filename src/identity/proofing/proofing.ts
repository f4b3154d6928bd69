/** Proofing: a person says who they are, an authority compares it, and what it says is recorded (`persons.ts`). */
import { randomUUID } from 'node:crypto';
import { createCipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import type { Db, Queryable } from '../../platform/db/db.ts';
import { newId, type Id } from '../../platform/ids.ts';
import type { EncryptedTable } from '../../rotation/index.ts';
import {
  COMPARED,
  LIVE_CHECKED,
  type Answer,
  type ByLanguage,
  type Claim,
  type ProofingAuthority,
  type ProofingLevel,
} from './authority.ts';
import {
  documentKey,
  DOCUMENT_KINDS,
  isDate,
  isName,
  isPastDate,
  readDocument,
  thirdItemsOf,
  type DocumentKind,
  type ThirdItem,
} from './documents.ts';
import { ProofingError } from './errors.ts';
import type { LinkId } from './account-links.ts';
import type { ProofingMethod, Source } from './evidence.ts';
import type { Persons } from './persons.ts';

export type AttemptId = Id<'pra'>;

/** What a person typed. */
export interface Statement {
  readonly kind: DocumentKind;
  readonly number: string;
  readonly issuingCountry?: string | undefined;
  readonly name: string;
  readonly third: { readonly item: ThirdItem; readonly value: string };
}

export type Outcome =
  | { readonly kind: 'proofed'; readonly level: number }
  /** Something does not agree. Which, nobody is told. */
  | { readonly kind: 'refused' }
  /** The live check goes on there, and comes back. */
  | { readonly kind: 'continue'; readonly uri: string; readonly attempt: AttemptId }
  /** The live check has not ended. */
  | { readonly kind: 'pending' }
  /** The document belongs to another account. */
  | { readonly kind: 'taken'; readonly link: LinkId }
  | { readonly kind: 'unavailable' };

/** Who is asked about a kind of document. */
export interface Counterpart {
  readonly name: ByLanguage;
  readonly fictional: boolean;
}

export interface Proofing {
  /** Kinds of document that can be proofed with, from the most usual to the rarest. */
  readonly kinds: readonly DocumentKind[];
  /** The highest level that anybody can be proofed to here: 0 where there is no authority. */
  readonly attainable: ProofingLevel | 0;
  counterpart(kind: DocumentKind): Counterpart | undefined;
  /**
   * What is wrong with a statement before anybody is asked, every problem at once.
   * @returns the field of each, with its code.
   */
  check(
    statement: Statement,
  ): { field: 'number' | 'issuingCountry' | 'name' | 'third'; code: ProofingError['code'] }[];
  /** The text by which limits know a document: the same for every spelling of its number. */
  keyOf(statement: Statement): string;
  /**
   * Compares a statement with what its authority knows.
   * @param options.returnUri Where a live check sends the person back to; `{attempt}` in it is filled in.
   * @throws {ProofingError} what `check` finds; DOCUMENT_DIFFERS; ACCOUNT_NOT_ACTIVE.
   */
  compare(
    accountId: string,
    statement: Statement,
    options: { readonly wanted: ProofingLevel; readonly returnUri: string },
  ): Promise<Outcome>;
  /** Whether a live check alone would do, because the person was compared before: they need not say again who they are. */
  comparedBefore(accountId: string): Promise<Counterpart | undefined>;
  /** Goes on to the live check of a person who was compared before. */
  continueToLiveCheck(accountId: string, returnUri: string): Promise<Outcome>;
  /**
   * Asks how a live check ended, and records it once.
   * @throws {ProofingError} ATTEMPT_OVER: settled before, expired, or another account's.
   */
  resume(accountId: string, attempt: string): Promise<Outcome>;
}

/** How long a live check may last. */
const ATTEMPT_SECONDS = 1800;

/** How live checks lie in the database. */
export const PROOFING_ATTEMPTS = {
  table: 'proofing_attempts',
  key: { id: 'text' },
  values: { claim: { purpose: 'field/proofing-attempt', context: (row) => row['id'] } },
} as const satisfies EncryptedTable;

export function createProofing(parts: {
  db: Db;
  clock: Clock;
  dataKeys: DataKeys;
  persons: Persons;
  /** The first that knows a kind of document is asked about it. */
  authorities: readonly ProofingAuthority[];
}): Proofing {
  const { db, clock, persons, authorities } = parts;
  const cipher = createCipher(parts.dataKeys, PROOFING_ATTEMPTS.values.claim.purpose);
  const authorityFor = (kind: DocumentKind) => authorities.find(({ kinds }) => kinds.includes(kind));
  const kinds = DOCUMENT_KINDS.filter((kind) => authorityFor(kind) !== undefined);

  function sourceOf(authority: ProofingAuthority, method: ProofingMethod, reference?: string): Source {
    const { id, trustFramework, fictional } = authority;
    return { authority: id, trustFramework, fictional, method, reference };
  }

  /** Records a final answer. @param first Done before, in the same transaction. */
  async function conclude(
    accountId: string,
    authority: ProofingAuthority,
    claim: Claim,
    answer: Answer,
    first?: (tx: Queryable) => Promise<void>,
  ): Promise<Outcome> {
    if (answer.kind === 'confirmed') {
      const method = answer.level >= LIVE_CHECKED ? 'live-check' : 'comparison';
      const { document, name } = claim;
      const source = sourceOf(authority, method, answer.reference);
      return persons.settle(accountId, { ...source, document, name, level: answer.level }, first);
    }
    const reference = answer.kind === 'refused' ? answer.reference : undefined;
    const method = claim.third.item === 'reference' ? 'live-check' : 'comparison';
    const source = sourceOf(authority, method, reference);
    const { kind: documentKind } = claim.document;
    await persons.recordFailure(accountId, { ...source, documentKind }, answer.kind, first);
    return { kind: answer.kind };
  }

  async function ask(
    accountId: string,
    authority: ProofingAuthority,
    claim: Claim,
    options: { readonly wanted: ProofingLevel; readonly returnUri: string },
  ): Promise<Outcome> {
    const now = clock.now();
    const attempt = newId('pra', now);
    const answer = await authority.compare({
      requestId: randomUUID(),
      claim,
      wanted: options.wanted <= authority.attainable ? options.wanted : authority.attainable,
      returnUri: options.returnUri.replaceAll('{attempt}', attempt),
    });
    if (answer.kind !== 'continue') return conclude(accountId, authority, claim, answer);
    await db.query('DELETE FROM proofing_attempts WHERE account_id = $1 AND expires_at < $2', [
      accountId,
      now,
    ]);
    await db.query(
      `INSERT INTO proofing_attempts (id, account_id, authority, reference, claim, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [
        attempt,
        accountId,
        authority.id,
        answer.reference,
        cipher.encrypt(Buffer.from(JSON.stringify(claim)), attempt),
        now,
        new Date(now.getTime() + ATTEMPT_SECONDS * 1000),
      ],
    );
    return { kind: 'continue', uri: answer.uri, attempt };
  }

  function check(statement: Statement): ReturnType<Proofing['check']> {
    const problems: ReturnType<Proofing['check']> = [];
    const now = clock.now();
    const reading = readDocument(statement, now);
    if ('problem' in reading)
      problems.push({
        field: reading.problem === 'COUNTRY_FORM' ? 'issuingCountry' : 'number',
        code: reading.problem,
      });
    if (!isName(statement.name)) problems.push({ field: 'name', code: 'NAME_FORM' });
    if (readThird(statement, now) === undefined) problems.push({ field: 'third', code: 'THIRD_ITEM_FORM' });
    return problems;
  }

  /** A claim that only lacks the live check, and who confirmed the rest. */
  async function earlierClaim(
    accountId: string,
  ): Promise<{ authority: ProofingAuthority; claim: Claim } | undefined> {
    const person = await persons.person(accountId);
    const authority = person && authorities.find(({ id }) => id === person.evidence.authority);
    const { reference, level, supersededAt } = person?.evidence ?? {};
    const compared = level !== undefined && level >= COMPARED && !supersededAt;
    if (!person || !authority || reference === undefined || !compared) return undefined;
    if (authority.attainable < LIVE_CHECKED) return undefined;
    const { document, name } = person;
    return { authority, claim: { document, name, third: { item: 'reference', value: reference } } };
  }

  return {
    kinds,
    attainable: authorities.reduce<ProofingLevel | 0>(
      (most, { attainable }) => (attainable > most ? attainable : most),
      0,
    ),
    counterpart: (kind) => authorityFor(kind),
    check,

    keyOf(statement) {
      const reading = readDocument(statement, clock.now());
      return 'document' in reading ? documentKey(reading.document) : statement.kind;
    },

    async compare(accountId, statement, options) {
      const now = clock.now();
      const [problem] = check(statement);
      const reading = readDocument(statement, now);
      const third = readThird(statement, now);
      if (problem || 'problem' in reading || third === undefined)
        throw new ProofingError(
          problem?.code ?? 'NUMBER_FORM',
          'What was given cannot be compared as it is.',
        );
      const { document } = reading;
      await persons.checkDocument(accountId, document);
      const authority = authorityFor(document.kind);
      if (!authority) return { kind: 'unavailable' };
      const claim = {
        document,
        name: statement.name.trim(),
        third: { item: statement.third.item, value: third },
      };
      return ask(accountId, authority, claim, options);
    },

    async comparedBefore(accountId) {
      return (await earlierClaim(accountId))?.authority;
    },

    async continueToLiveCheck(accountId, returnUri) {
      const before = await earlierClaim(accountId);
      if (!before)
        throw new ProofingError('ATTEMPT_OVER', 'There is no comparison that a live check could follow.');
      return ask(accountId, before.authority, before.claim, { wanted: LIVE_CHECKED, returnUri });
    },

    async resume(accountId, attempt) {
      const over = () => new ProofingError('ATTEMPT_OVER', 'This check is over.');
      const [row] = await db.query<{ authority: string; reference: string; claim: Uint8Array }>(
        `SELECT authority, reference, claim FROM proofing_attempts
          WHERE id = $1 AND account_id = $2 AND expires_at > $3`,
        [attempt, accountId, clock.now()],
      );
      const authority = row && authorities.find(({ id }) => id === row.authority);
      if (!row || !authority) throw over();
      const answer = await authority.result(row.reference);
      if (answer.kind === 'pending') return { kind: 'pending' };
      // The person can come back and ask again while nobody has said how it ended.
      if (answer.kind === 'unavailable') return { kind: 'unavailable' };
      const claim = JSON.parse(Buffer.from(cipher.decrypt(row.claim, attempt)).toString('utf8')) as Claim;
      return conclude(accountId, authority, claim, answer, async (tx) => {
        const taken = await tx.query('DELETE FROM proofing_attempts WHERE id = $1 RETURNING id', [attempt]);
        if (taken.length === 0) throw over();
      });
    },
  };
}

/** @returns the third item in its one form, or undefined where it has none or is not one for this kind. */
function readThird({ kind, third }: Statement, now: Date): string | undefined {
  if (!thirdItemsOf(kind).includes(third.item)) return undefined;
  const text = third.value.normalize('NFKC').trim();
  switch (third.item) {
    case 'phone': {
      const digits = text.replaceAll(/[\s()-]/g, '');
      const mainland = /^(?:\+?86)?(1[3-9]\d{9})$/.exec(digits)?.[1];
      if (mainland !== undefined) return `+86${mainland}`;
      return /^\+\d{6,15}$/.test(digits) ? digits : undefined;
    }
    case 'birthdate': {
      const date = readDate(text);
      return date !== undefined && isPastDate(date, now) ? date : undefined;
    }
    case 'validUntil': {
      // 长期: cards of older people have no end.
      if (text === '长期') return 'unlimited';
      const date = readDate(text);
      return date !== undefined && isDate(date) ? date : undefined;
    }
  }
}

/** A date with any of the usual signs between its parts, or none, as ISO 8601. */
function readDate(text: string): string | undefined {
  const plain = text.replaceAll(/\s/g, '');
  const [, year, month = '', day = ''] =
    /^(\d{4})(\d{2})(\d{2})$/.exec(plain) ?? /^(\d{4})[-./年](\d{1,2})[-./月](\d{1,2})日?$/.exec(plain) ?? [];
  return year === undefined ? undefined : `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
}
