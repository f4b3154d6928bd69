import { expect, test } from 'vitest';
import { FICTIONAL_PEOPLE } from '../../../src/identity/proofing/fictional-register.ts';
import { DOCUMENT_KINDS, readDocument } from '../../../src/identity/proofing/documents.ts';

const NOW = new Date('2026-11-23T08:00:00Z');

test('there is somebody invented for every kind of document, in its canonical form', () => {
  expect(new Set(FICTIONAL_PEOPLE.map(({ kind }) => kind))).toEqual(new Set(DOCUMENT_KINDS));
  for (const person of FICTIONAL_PEOPLE) {
    const reading = readDocument(person, NOW);
    expect(reading).toMatchObject({ document: { kind: person.kind, number: person.number } });
    if ('facts' in reading && reading.facts.birthdate !== undefined)
      expect(reading.facts.birthdate).toBe(person.birthdate);
  }
});

test('invented residents live in divisions that exist nowhere', () => {
  for (const { kind, number } of FICTIONAL_PEOPLE)
    if (kind === 'resident-id') expect(number.slice(2, 6)).toBe('9999');
});
