import { expect, test } from 'vitest';
import { fuzzPdf } from '../../fuzz/pdf.ts';

test('files spoilt at random are sealed soundly or refused, and nothing else', () => {
  const { accepted, refused } = fuzzPdf(600, 20260131);
  expect(accepted).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(50);
});
