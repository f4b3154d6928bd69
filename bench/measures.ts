/** Every measure of the benchmark: how it is taken, and the rows that it gives. */
import { createClient } from 'redis';
import { certification } from './certification.ts';
import { coldStarts } from './cold-start.ts';
import { passwords } from './passwords.ts';
import { startCountingProxy } from './driver/counting-proxy.ts';
import type { FlowName, Target } from './driver/flows.ts';
import { inTurns, Load, median, percentile, ratios, type Arrivals, type Round } from './driver/measure.ts';
import { DRIVER_CORES, moveAnywhere, moveTo, residentMiB } from './driver/processes.ts';
import { signing } from './signing.ts';
import { PEOPLE, type Places, type Running, type Starter } from './servers.ts';
import type { Bounds, Row } from './table.ts';

export interface Options {
  readonly seconds: number;
  readonly runs: number;
  readonly warm: number;
  /** Seconds of saturation for the memory measure; 0 leaves it out. */
  readonly soak: number;
}

export interface Bench {
  readonly options: Options;
  readonly places: Places;
  readonly starters: { readonly product: Starter; readonly vanilla: Starter; readonly bound: Starter };
  /** One process of each, running during the whole benchmark. */
  readonly product: Running;
  readonly vanilla: Running;
}

export type Measure = (bench: Bench) => Promise<Row[]>;

export const atLeast = (must: number, aim: number): Bounds => ({ must, aim, better: 'more' });
export const atMost = (must: number, aim: number, unit = ''): Bounds => ({ must, aim, better: 'less', unit });

export const MEASURES = {
  login: flow('login', 'login (authorize, code, tokens)', atLeast(1.4, 2.5), { bound: true }),
  'round-trips': roundTrips,
  userinfo: flow('userinfo', 'userinfo', atLeast(1.25, 2)),
  introspect: flow('introspect', 'introspection', atLeast(1.25, 2)),
  refresh: flow('refresh', 'refresh', atLeast(1.25, 2)),
  cc_jwt: flow('cc_jwt', 'client credentials, JWT', atLeast(1.3, 2)),
  discovery: flow('discovery', 'discovery', atLeast(3, 4), { bound: true }),
  jwks: flow('jwks', 'JWKS', atLeast(3, 4), { bound: true }),
  processes,
  tail,
  memory,
  passwords,
  signing,
  certification,
  'cold-start': coldStart,
} satisfies Record<string, Measure>;

export type MeasureName = keyof typeof MEASURES;

/** The product against vanilla on one flow; with `bound`, also the least work that it could be. */
function flow(name: FlowName, measure: string, bounds: Bounds, extra: { bound?: boolean } = {}): Measure {
  return async ({ product, vanilla, starters, options }) => {
    const bound = extra.bound ? await starters.bound() : undefined;
    try {
      const targets = [product, vanilla, bound].flatMap((running) => running?.target ?? []);
      const [ours, theirs, least] = await rounds(name, targets, options);
      if (!theirs) throw new Error(`vanilla does not offer ${name}`);
      return [
        {
          measure,
          product: ours ? figures(ours) : 'not offered',
          vanilla: figures(theirs),
          bounds,
          ...(ours ? { ratio: ratios(ours, theirs) } : {}),
        },
        ...(least
          ? [{ measure: '  the least it could be', product: figures(least), ratio: ratios(least, theirs) }]
          : []),
      ];
    } finally {
      await bound?.stop();
    }
  };
}

async function rounds(
  name: FlowName,
  targets: readonly Target[],
  options: Options,
): Promise<(readonly Round[] | undefined)[]> {
  const loads = await Promise.all(targets.map((target) => Load.prepare(target, name, { people: PEOPLE })));
  const offered = loads.filter((load) => load !== undefined);
  try {
    const all = await inTurns(offered, options);
    return loads.map((load) => load && all[offered.indexOf(load)]);
  } finally {
    for (const load of offered) load.close();
  }
}

/** CPU per operation, operations per core second, and what the clock saw. */
function figures(all: readonly Round[]): string {
  const cpuMs = median(all.map((round) => round.cpuMs));
  const rate = median(all.map((round) => round.rate));
  return `${cpuMs.toFixed(3)} ms ${Math.round(1000 / cpuMs)}/core ${Math.round(rate)}/s`;
}

/** One login at a time through relays that count. What the stores' own command counters say stands beside it. */
async function roundTrips({ starters, places }: Bench): Promise<Row[]> {
  const [ours, theirs] = [
    await countTrips(starters.product, places),
    await countTrips(starters.vanilla, places),
  ];
  return [
    {
      measure: 'Redis round trips of a login',
      product: String(ours.redis),
      vanilla: String(theirs.redis),
      value: ours.redis,
      bounds: atMost(6, 4),
    },
    {
      measure: '  Redis commands',
      product: ours.commands.toFixed(1),
      vanilla: theirs.commands.toFixed(1),
    },
    {
      measure: '  PostgreSQL round trips',
      product: String(ours.database),
      vanilla: String(theirs.database),
    },
  ];
}

const COUNTED_LOGINS = 40;

async function countTrips(start: Starter, places: Places) {
  const redis = await startCountingProxy(places.redisUrl);
  const database = await startCountingProxy(places.databaseUrl);
  const server = await start({ stores: { redisUrl: redis.url, databaseUrl: database.url } });
  const load = await Load.prepare(server.target, 'login', { people: 1 });
  if (!load) throw new Error('the server does not offer the code flow');
  try {
    // What is remembered once it has been read, such as the portal, is not part of a login.
    for (let i = 0; i < 5; i++) await load.once();
    const perLogin: { redis: number; database: number }[] = [];
    const before = await redisCommands(places.redisUrl);
    redis.take();
    database.take();
    for (let i = 0; i < COUNTED_LOGINS; i++) {
      await load.once();
      perLogin.push({ redis: redis.take(), database: database.take() });
    }
    const commands = (await redisCommands(places.redisUrl)) - before;
    return {
      redis: median(perLogin.map((trips) => trips.redis)),
      database: median(perLogin.map((trips) => trips.database)),
      commands: commands / COUNTED_LOGINS,
    };
  } finally {
    load.close();
    await server.stop();
    await redis.stop();
    await database.stop();
  }
}

/** Commands that Redis has carried out, those inside scripts included, those of asking left out. */
async function redisCommands(url: string): Promise<number> {
  const client = createClient({ url });
  await client.connect();
  const text = await client.info('commandstats');
  client.destroy();
  let calls = 0;
  for (const [, command = '', count = ''] of text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g))
    if (!/^(info|client|hello)/.test(command)) calls += Number(count);
  return calls;
}

/**
 * Two processes behind one issuer, each request to the other one: what a login costs against one process alone. Where driver and stores need
 * the second core too, that costs something by itself; vanilla on the same cores shows how much.
 */
async function processes({ product, vanilla, starters, options }: Bench): Promise<Row[]> {
  const ours = await pairAgainstOne(product.target, starters.product, options);
  const theirs = await pairAgainstOne(vanilla.target, starters.vanilla, options);
  const said = ({ two, cpu, rate }: typeof ours) =>
    `${figures(two)}, per core x${cpu.toFixed(2)} (CPU) x${rate.toFixed(2)} (rate)`;
  return [
    {
      measure: 'two processes, per core against one',
      product: said(ours),
      vanilla: said(theirs),
      value: ours.cpu,
      bounds: atLeast(0.9, 0.95),
    },
  ];
}

async function pairAgainstOne(single: Target, start: Starter, options: Options) {
  const second = await start({ core: DRIVER_CORES });
  try {
    const pair: Target = {
      ...single,
      origins: [...single.origins, ...second.target.origins],
      pids: [...single.pids, ...second.target.pids],
    };
    const [two, one] = await rounds('login', [pair, single], options);
    if (!two || !one) throw new Error('the server does not offer the code flow');
    const { cpu, rate } = ratios(two, one);
    return { two, cpu, rate: rate / 2 };
  } finally {
    await second.stop();
  }
}

/** How long a login takes at half the saturating rate, against one alone; the servers in turns here too. */
async function tail({ product, vanilla, options }: Bench): Promise<Row[]> {
  const tails = [await Tail.prepare(product.target, options), await Tail.prepare(vanilla.target, options)];
  try {
    for (let window = 0; window < TAIL_WINDOWS; window++) for (const each of tails) await each.window();
    const [ours, theirs] = tails.map((each) => each.result());
    if (!ours || !theirs) throw new TypeError('two were measured');
    const said = ({ alone, rate, p99 }: typeof ours, arrivals: Arrivals) => {
      const times = p99[arrivals];
      return `${times.toFixed(1)} ms at ${Math.round(rate)}/s, x${(times / alone).toFixed(1)} of ${alone.toFixed(1)} ms`;
    };
    return [
      {
        measure: 'p99 of a login at half load / p50 alone',
        product: said(ours, 'even'),
        vanilla: said(theirs, 'even'),
        value: ours.p99.even / ours.alone,
        bounds: atMost(4, 3),
      },
      {
        measure: '  with arrivals at random',
        product: said(ours, 'random'),
        vanilla: said(theirs, 'random'),
      },
    ];
  } finally {
    for (const each of tails) each.close();
  }
}

const TAIL_WINDOWS = 3;
const TAIL_SECONDS = 2;

class Tail {
  readonly #load: Load;
  /** Half of what saturates it. */
  readonly #rate: number;
  readonly #alone: number[] = [];
  readonly #p99 = { even: [] as number[], random: [] as number[] };

  private constructor(load: Load, rate: number) {
    this.#load = load;
    this.#rate = rate;
  }

  static async prepare(target: Target, options: Options): Promise<Tail> {
    const load = await Load.prepare(target, 'login', { people: PEOPLE, lanes: 64 });
    if (!load) throw new Error('the server does not offer the code flow');
    await load.saturate(options.warm, PEOPLE);
    const rate = (await load.saturate(TAIL_SECONDS, PEOPLE)).rate / 2;
    // The first arrivals open connections and meet code that no other measure has run.
    await load.arrive(rate, TAIL_SECONDS, 'even');
    return new Tail(load, rate);
  }

  async window(): Promise<void> {
    this.#alone.push(percentile((await this.#load.saturate(1, 1)).times, 0.5));
    for (const arrivals of ['even', 'random'] as const) {
      const { times } = await this.#load.arrive(this.#rate, TAIL_SECONDS, arrivals);
      this.#p99[arrivals].push(percentile(times, 0.99));
    }
  }

  result() {
    const { even, random } = this.#p99;
    return {
      rate: this.#rate,
      alone: median(this.#alone),
      p99: { even: median(even), random: median(random) },
    };
  }

  close(): void {
    this.#load.close();
  }
}

/** Memory of a fresh process while it is kept busy with logins. */
async function memory({ starters, options }: Bench): Promise<Row[]> {
  if (options.soak === 0) return [];
  const server = await starters.product();
  const load = await Load.prepare(server.target, 'login', { people: PEOPLE });
  if (!load) throw new Error('the product does not offer the code flow');
  try {
    const samples: number[] = [];
    const sampling = setInterval(() => samples.push(residentMiB(server.process.pid)), 250);
    try {
      await load.saturate(options.soak);
    } finally {
      clearInterval(sampling);
    }
    // What the collector leaves moves up and down: compare stretches of time, not moments.
    const tenth = Math.max(1, Math.floor(samples.length / 10));
    const middle = Math.floor(samples.length / 2);
    const halfway = median(samples.slice(middle, middle + tenth));
    const last = median(samples.slice(-tenth));
    const growth = (last / halfway - 1) * 100;
    const measure = `after ${options.soak} s at saturation`;
    return [
      {
        measure: `memory ${measure}`,
        product: `${Math.round(last)} MiB`,
        value: last,
        bounds: atMost(300, 300, ' MiB'),
      },
      {
        measure: '  growth in the last half',
        product: `${growth.toFixed(1)} %`,
        value: growth,
        bounds: atMost(5, 5, ' %'),
      },
    ];
  } finally {
    load.close();
    await server.stop();
  }
}

async function coldStart({ places }: Bench): Promise<Row[]> {
  // A start has the whole machine, as on a machine of its own.
  moveAnywhere();
  try {
    const starts = await coldStarts(places);
    return starts.map(({ mode, median, least, most, bounds }) => ({
      measure: `cold start, ${mode}`,
      product: `${median} ms (${least} to ${most})`,
      value: median,
      bounds,
    }));
  } finally {
    moveTo(DRIVER_CORES);
  }
}
