import { expect, test } from 'vitest';
import { fuzzPki } from '../fuzz/der.ts';

test('mutated messages of every kind are judged or refused, never more', () => {
  const { runs, accepted } = fuzzPki(8000, 20_260_601);
  expect(runs).toBe(8000);
  // Some still are messages: the judging of what can be read is tried too.
  expect(accepted).toBeGreaterThan(500);
});
