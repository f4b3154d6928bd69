/** Compares how long answers take, so that a difference is one of the cases and not of the moment. */

import { setTimeout } from 'node:timers/promises';

/** One way to ask, such as for an account that exists. Resolves to the milliseconds until the whole answer was there. */
export type Ask = () => Promise<number>;

export interface Figure {
  readonly name: string;
  /** Milliseconds: half of the answers took less. */
  readonly median: number;
  /** How far the median is from that of the first case: 0.02 is two in a hundred slower. */
  readonly difference: number;
}

/**
 * Asks in turns, in an order that changes with each turn: whatever slows one case down slows down all.
 * @param options.pauseMs Before each: what the last answer has left to be done in the background is over then.
 */
export async function compare(
  cases: Readonly<Record<string, Ask>>,
  rounds: number,
  { shuffle, pauseMs }: { shuffle: <T>(list: readonly T[]) => T[]; pauseMs: number },
): Promise<Figure[]> {
  const names = Object.keys(cases);
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++)
    for (const name of shuffle(names)) {
      await setTimeout(pauseMs);
      times.get(name)?.push((await cases[name]?.()) ?? 0);
    }
  const medians = names.map((name) => median(times.get(name) ?? []));
  return names.map((name, i) => {
    const own = medians[i] ?? 0;
    return { name, median: own, difference: own / (medians[0] ?? own) - 1 };
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? 0, sorted[Math.floor(middle)] ?? 0];
  return (low + high) / 2;
}
