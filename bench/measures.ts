/** Every measure of the benchmark: how it is taken, and the rows that it gives. */
import { createClient } from 'redis';
import { coldStarts } from './cold-start.ts';
import { startCountingProxy } from './driver/counting-proxy.ts';
import type { FlowName, Target } from './driver/flows.ts';
import { inTurns, Load, median, percentile, ratios, type Arrivals, type Round } from './driver/measure.ts';
import { DRIVER_CORES, moveAnywhere, moveTo, residentMiB } from './driver/processes.ts';
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

const atLeast = (must: number, aim: number): Bounds => ({ must, aim, better: 'more' });
const atMost = (must: number, aim: number, unit = ''): Bounds => ({ must, aim, better: 'less', unit });

export const MEASURES = {
  login: loginAgainstBoth,
  'round-trips': roundTrips,
  userinfo: flow('userinfo', 'userinfo', atLeast(1.25, 2)),
  introspect: flow('introspect', 'introspection', atLeast(1.25, 2)),
  refresh: flow('refresh', 'refresh', atLeast(1.25, 2)),
  cc_jwt: flow('cc_jwt', 'client credentials, JWT', atLeast(1.3, 2)),
  discovery: flow('discovery', 'discovery', atLeast(3, 4)),
  jwks: flow('jwks', 'JWKS', atLeast(3, 4)),
  processes,
  tail,
  memory,
  'cold-start': coldStart,
} satisfies Record<string, Measure>;

export type MeasureName = keyof typeof MEASURES;

/** The product against vanilla on one flow. */
function flow(name: FlowName, measure: string, bounds: Bounds): Measure {
  return async ({ product, vanilla, options }) => {
    const [ours, theirs] = await rounds(name, [product.target, vanilla.target], options);
    if (!theirs) throw new Error(`vanilla does not offer ${name}`);
    return [ours ? compared(measure, ours, theirs, bounds) : notOffered(measure, theirs, bounds)];
  };
}

/** The sign-in through an open session: against vanilla, and against the least that it could be. */
async function loginAgainstBoth(bench: Bench): Promise<Row[]> {
  const { product, vanilla, options, starters } = bench;
  const bound = await starters.bound();
  try {
    const targets = [product.target, vanilla.target, bound.target];
    const [ours, theirs, least] = await rounds('login', targets, options);
    if (!ours || !theirs || !least) throw new Error('a server does not offer the code flow');
    return [
      compared('login (authorize, code, tokens)', ours, theirs, atLeast(1.4, 2.5)),
      {
        measure: '  lower bound, by hand',
        product: figures(least),
        vanilla: figures(theirs),
        ratio: ratios(least, theirs),
      },
    ];
  } finally {
    await bound.stop();
  }
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

function compared(measure: string, ours: readonly Round[], theirs: readonly Round[], bounds: Bounds): Row {
  return {
    measure,
    product: figures(ours),
    vanilla: figures(theirs),
    ratio: ratios(ours, theirs),
    bounds,
  };
}

function notOffered(measure: string, theirs: readonly Round[], bounds: Bounds): Row {
  return { measure, product: 'not offered', vanilla: figures(theirs), bounds };
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

/** How long a login takes at half the saturating rate, against one alone. */
async function tail({ product, vanilla, options }: Bench): Promise<Row[]> {
  const ours = await tailOf(product.target, options);
  const theirs = await tailOf(vanilla.target, options);
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
}

const TAIL_WINDOWS = 3;

async function tailOf(target: Target, options: Options) {
  const load = await Load.prepare(target, 'login', { people: PEOPLE, lanes: 64 });
  if (!load) throw new Error('the server does not offer the code flow');
  const seconds = Math.max(2, options.seconds);
  try {
    await load.saturate(options.warm, PEOPLE);
    const { rate: full } = await load.saturate(seconds, PEOPLE);
    // The first window opens connections and meets code that no other measure has run.
    await load.arrive(full / 2, seconds, 'even');
    const alone: number[] = [];
    const p99 = { even: [] as number[], random: [] as number[] };
    for (let window = 0; window < TAIL_WINDOWS; window++) {
      alone.push(percentile((await load.saturate(1, 1)).times, 0.5));
      for (const arrivals of ['even', 'random'] as const)
        p99[arrivals].push(percentile((await load.arrive(full / 2, seconds, arrivals)).times, 0.99));
    }
    return {
      rate: full / 2,
      alone: median(alone),
      p99: { even: median(p99.even), random: median(p99.random) },
    };
  } finally {
    load.close();
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
