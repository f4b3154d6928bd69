import { expect, test } from 'vitest';
import { fuzzPki } from '../fuzz/der.ts';

test('mutated certificates and messages are judged or refused, never more', () => {
  expect(fuzzPki(5000, 20_260_601)).toEqual({ runs: 5000 });
});
