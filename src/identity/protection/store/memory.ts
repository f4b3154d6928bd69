/** The counters of embedded mode, in this process. Every operation runs to its end before the next begins, which makes each of them atomic. */
import type { Clock } from '../../../platform/clock.ts';
import type { LimitStore } from './store.ts';

interface Counter {
  count: number;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
}

/** Writes between two sweeps of what has ended. */
const SWEEP_EVERY = 1000;

export function createMemoryLimitStore(clock: Clock): LimitStore {
  /** By key, then by the seconds of the window. */
  const counters = new Map<string, Map<number, Counter>>();
  let writes = 0;

  function sweep(now: number): void {
    for (const [key, windows] of counters)
      if ([...windows.values()].every(({ endsAt }) => endsAt <= now)) counters.delete(key);
  }

  return {
    async take(key, windows) {
      const now = clock.now().getTime();
      const kept = counters.get(key) ?? new Map<number, Counter>();
      const running = windows.map(({ tries, seconds }) => {
        const counter = kept.get(seconds);
        return counter && counter.endsAt > now
          ? { tries, seconds, ...counter }
          : { tries, seconds, count: 0, endsAt: now + seconds * 1000 };
      });
      const full = running.filter(({ count, tries }) => count >= tries);
      const waitMs = Math.max(0, ...full.map(({ endsAt }) => endsAt - now));
      const taken = waitMs === 0 ? 1 : 0;
      for (const { seconds, count, endsAt } of taken === 1 ? running : [])
        kept.set(seconds, { count: count + 1, endsAt });
      counters.set(key, kept);
      writes += 1;
      if (writes % SWEEP_EVERY === 0) sweep(now);
      const longest = running.reduce((a, b) => (b.seconds > a.seconds ? b : a));
      return { waitSeconds: Math.ceil(waitMs / 1000), used: longest.count + taken };
    },
    async giveBack(key) {
      for (const counter of counters.get(key)?.values() ?? []) counter.count = Math.max(0, counter.count - 1);
    },
    async clear(key) {
      counters.delete(key);
    },
  };
}
