/** A clock that moves only when it is told to. */
import type { Clock } from '../../src/platform/clock.ts';

export class TestClock implements Clock {
  #now: number;

  constructor(at: Date | string = '2026-11-23T08:00:00.000Z') {
    this.#now = new Date(at).getTime();
  }

  now(): Date {
    return new Date(this.#now);
  }

  advance(seconds: number): void {
    this.#now += seconds * 1000;
  }
}
