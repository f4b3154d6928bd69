import { expect, test } from 'vitest';
import { fuzzHttp } from '../../fuzz/http.ts';

test('200 requests that are spoilt at random are answered, and harm nobody', async () => {
  const { answers, unsendable } = await fuzzHttp(200, 20_260_701);
  expect(unsendable).toBeLessThan(40);
  expect(answers['4xx']).toBeGreaterThan(50);
});
