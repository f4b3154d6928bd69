import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { GENESIS, linkOf, type AuditEntry } from '../../src/audit/chain.ts';

const entry: AuditEntry = {
  seq: 1,
  at: '2026-11-23T08:00:00.000Z',
  type: 'unit.created',
  actor: 'system',
  subject: 'unit_1',
  detail: { organisationId: 'org_1' },
};

test('a link is SHA-256(01 || previous || SHA-256(00 || canonical JSON of the entry))', () => {
  const json =
    '{"actor":"system","at":"2026-11-23T08:00:00.000Z","detail":{"organisationId":"org_1"},"seq":1,"subject":"unit_1","type":"unit.created"}';
  const leaf = createHash('sha256')
    .update(Buffer.from([0]))
    .update(json)
    .digest();
  const link = createHash('sha256')
    .update(Buffer.from([1]))
    .update(Buffer.alloc(32))
    .update(leaf)
    .digest('hex');
  expect(Buffer.from(linkOf(GENESIS, entry)).toString('hex')).toBe(link);
});

test('the order of members does not change a link, and any value does', () => {
  const reordered = Object.fromEntries(Object.entries(entry).toReversed()) as unknown as AuditEntry;
  expect(linkOf(GENESIS, reordered)).toEqual(linkOf(GENESIS, entry));
  for (const changed of [
    { ...entry, seq: 2 },
    { ...entry, actor: 'acc_1' },
    { ...entry, detail: { organisationId: 'org_2' } },
  ])
    expect(linkOf(GENESIS, changed)).not.toEqual(linkOf(GENESIS, entry));
});
