/** The short form of `npm run timing`: it runs, and asks what it says that it asks. What it measures is for a machine of its own. */
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createDatabase } from '../support/databases.ts';
import { compare, median } from './measure.ts';
import { openStage, type Stage } from './scenes.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let stage: Stage;

beforeAll(async () => {
  database = await createDatabase();
  stage = await openStage({ databaseUrl: database.url, redisUrl: inject('redisUrl'), tries: 3 });
});
afterAll(async () => {
  await stage.stop();
  await database.drop();
});

test('every case of every scene is asked as often, and answered alike', async () => {
  for (const [scene, cases] of Object.entries(stage.scenes)) {
    const asked: string[] = [];
    const counted = Object.fromEntries(
      Object.entries(cases).map(([name, ask]) => [
        name,
        () => {
          asked.push(name);
          return ask();
        },
      ]),
    );
    const figures = await compare(counted, 3, { shuffle: (list) => list.toReversed(), pauseMs: 0 });
    expect(figures.map(({ name }) => name)).toEqual(Object.keys(cases));
    expect(asked).toHaveLength(3 * figures.length);
    for (const { median: ms } of figures) expect(ms).toBeGreaterThan(0);
    expect(figures[0]?.difference).toBe(0);
    const answers = [...stage.statuses.values()];
    expect(answers, scene).toHaveLength(figures.length);
    expect(new Set(answers).size, scene).toBe(1);
    stage.statuses.clear();
  }
});

test('a difference is found where there is one', async () => {
  const figures = await compare({ fast: async () => 10, slow: async () => 11 }, 5, {
    shuffle: (list) => [...list],
    pauseMs: 0,
  });
  expect(figures.map(({ difference }) => Math.round(difference * 100))).toEqual([0, 10]);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
});
