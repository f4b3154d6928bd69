/** Load, and what came of it. Targets are driven in turns, and only figures of one round are compared: the machine's mood cancels out. */
import { setTimeout } from 'node:timers/promises';
import { FLOWS, Lane, Site, type FlowName, type Operation, type Target } from './flows.ts';
import { cpuSeconds } from './processes.ts';

export interface Round {
  readonly operations: number;
  /** Operations per second of the clock. */
  readonly rate: number;
  /** CPU milliseconds of the server per operation. */
  readonly cpuMs: number;
  /** Milliseconds that each operation took, ascending. */
  readonly times: readonly number[];
  /** Share of its core that the driver needed: near 1 the rate says more of the driver than of the server. */
  readonly driver: number;
}

export type Arrivals = 'even' | 'random';

/** A target with people signed in, ready to repeat one flow. */
export class Load {
  readonly target: Target;
  readonly #operations: readonly Operation[];
  readonly #lanes: readonly Lane[];

  private constructor(target: Target, operations: readonly Operation[], lanes: number) {
    this.target = target;
    this.#operations = operations;
    this.#lanes = Array.from({ length: lanes }, () => new Lane(target));
  }

  /** @returns undefined if the target does not offer the flow. */
  static async prepare(
    target: Target,
    flow: FlowName,
    { people, lanes = people }: { people: number; lanes?: number },
  ): Promise<Load | undefined> {
    const site = await Site.open(target);
    const operations: Operation[] = [];
    for (let person = 0; person < people; person++) {
      const operation = await FLOWS[flow](site, person);
      if (!operation) return undefined;
      operations.push(operation);
    }
    return new Load(target, operations, lanes);
  }

  /** One operation of the first person. */
  async once(): Promise<void> {
    const [lane] = this.#lanes;
    if (lane) await this.#operation(0)(lane);
  }

  /** Closed loop: every lane begins the next operation when the last one ends. */
  saturate(seconds: number, lanes = this.#lanes.length): Promise<Round> {
    const end = performance.now() + seconds * 1000;
    return this.#measured(async (times) => {
      await Promise.all(
        this.#lanes.slice(0, lanes).map(async (lane, i) => {
          const operation = this.#operation(i);
          while (performance.now() < end) {
            const started = performance.now();
            await operation(lane);
            times.push(performance.now() - started);
          }
        }),
      );
    });
  }

  /**
   * Open loop: `rate` operations begin per second, whether or not the last ones have ended; at even distances, as constant-rate load
   * generators do, or at random (Poisson), as people do.
   */
  arrive(rate: number, seconds: number, arrivals: Arrivals): Promise<Round> {
    return this.#measured(async (times) => {
      const started = performance.now();
      const end = started + seconds * 1000;
      const idle = this.#lanes.map((lane, i) => ({ lane, operation: this.#operation(i) }));
      const underway = new Set<Promise<void>>();
      const waiting: number[] = [];
      let failure: unknown;
      const begin = (arrived: number, seat: (typeof idle)[number]) => {
        const running = seat
          .operation(seat.lane)
          .then(
            () => void times.push(performance.now() - arrived),
            (error: unknown) => void (failure ??= error),
          )
          .finally(() => {
            underway.delete(running);
            const next = waiting.shift();
            if (next === undefined) idle.push(seat);
            else begin(next, seat);
          });
        underway.add(running);
      };
      const gap = () => (arrivals === 'even' ? 1 : -Math.log(1 - Math.random())) * (1000 / rate);
      for (let due = started; due < end && failure === undefined; due += gap()) {
        // Timers tick in milliseconds; what is due within one begins together, and counts from then.
        const pause = due - performance.now();
        if (pause > 0) await setTimeout(pause);
        const seat = idle.pop();
        if (seat) begin(performance.now(), seat);
        else waiting.push(performance.now());
      }
      while (underway.size > 0) await Promise.race(underway);
      if (failure !== undefined) throw failure;
    });
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
  }

  #operation(i: number): Operation {
    const operation = this.#operations[i % this.#operations.length];
    if (!operation) throw new TypeError('nobody is signed in');
    return operation;
  }

  async #measured(work: (times: number[]) => Promise<void>): Promise<Round> {
    const times: number[] = [];
    const cpu = cpuSeconds(this.target.pids);
    const own = process.cpuUsage();
    const started = performance.now();
    await work(times);
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(own);
    return {
      operations: times.length,
      rate: times.length / seconds,
      cpuMs: ((cpuSeconds(this.target.pids) - cpu) / times.length) * 1000,
      times: times.sort((a, b) => a - b),
      driver: (user + system) / 1e6 / seconds,
    };
  }
}

/** Drives every load for `seconds`, `runs` times, the order reversed every other time. @returns the rounds of each. */
export async function inTurns(
  loads: readonly Load[],
  options: { runs: number; seconds: number; warm: number },
) {
  const rounds = new Map<Load, Round[]>(loads.map((load) => [load, []]));
  for (const load of loads) await load.saturate(options.warm);
  for (let run = 0; run < options.runs; run++)
    for (const load of run % 2 === 0 ? loads : loads.toReversed())
      rounds.get(load)?.push(await load.saturate(options.seconds));
  return loads.map((load) => rounds.get(load) ?? []);
}

/** How many times better `ours` is than `theirs`: medians of the ratios of each round. */
export function ratios(ours: readonly Round[], theirs: readonly Round[]): { cpu: number; rate: number } {
  const of = (ratio: (a: Round, b: Round) => number) =>
    median(ours.flatMap((round, i) => (theirs[i] ? [ratio(round, theirs[i])] : [])));
  return { cpu: of((a, b) => b.cpuMs / a.cpuMs), rate: of((a, b) => a.rate / b.rate) };
}

export function median(values: readonly number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** @param sorted Ascending. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
