/** Who people are, for tests: rooms with persons and the register of invented people, and what those people type. */
import { createSecretKey, randomBytes } from 'node:crypto';
import { newId, type AccountId } from '../../src/platform/ids.ts';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Db } from '../../src/platform/db/db.ts';
import {
  FICTIONAL_PEOPLE,
  createFictionalRegister,
  type FictionalPerson,
} from '../../src/identity/proofing/fictional-register.ts';
import { createPersons } from '../../src/identity/proofing/persons.ts';
import { createProofing, type Statement } from '../../src/identity/proofing/proofing.ts';
import type { AuditLog } from '../../src/audit/index.ts';
import type { ProofingAuthority } from '../../src/identity/proofing/authority.ts';

export const LIVE_CHECK_URI = 'https://id.example/fictional-register/live-check';

/** Persons and proofing on a database. */
export function openProofing(
  rooms: { db: Db; clock: Clock; audit: AuditLog },
  options: {
    authorities?: readonly ProofingAuthority[];
    onMerge?: Parameters<typeof createPersons>[0]['onMerge'];
  } = {},
) {
  const dataKeys = toDataKeys(createSecretKey(randomBytes(32)));
  const register = createFictionalRegister({ ...rooms, liveCheckUri: LIVE_CHECK_URI });
  const persons = createPersons({ ...rooms, dataKeys, onMerge: options.onMerge ?? [] });
  const authorities = options.authorities ?? [register];
  const proofing = createProofing({ ...rooms, dataKeys, persons, authorities });
  return { dataKeys, register, persons, proofing };
}

/** An account that nothing leads to. */
export async function newAccount({ db, clock }: { db: Db; clock: Clock }): Promise<AccountId> {
  const id = newId('acc', clock.now());
  await db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [id, clock.now()]);
  return id;
}

/** Somebody invented, by name and kind of document. */
export function fictional(name: string, kind = 'resident-id'): FictionalPerson {
  const person = FICTIONAL_PEOPLE.find((each) => each.name === name && each.kind === kind);
  if (!person) throw new Error(`nobody is called ${name}`);
  return person;
}

/** What a person types who says the truth. */
export function statementOf(person: FictionalPerson): Statement {
  const { kind, number, issuingCountry, name, phone } = person;
  return { kind, number, issuingCountry, name, third: { item: 'phone', value: phone } };
}
