/** Sign-ins with a password: what they cost beside the hash itself, and what other requests feel of them. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Bench } from './measures.ts';
import { Lane, Site, type Target } from './driver/flows.ts';
import { Load, median, percentile } from './driver/measure.ts';
import { cpuSeconds, pinnedTo, SERVER_CORE } from './driver/processes.ts';
import { PEOPLE } from './servers.ts';
import type { Row } from './table.ts';

/** The cost that the product has where nothing is configured; who waits waits long, so that nobody is sent away. */
const COST = { ARGON2_MEMORY_KIB: '19456', ARGON2_PASSES: '2', PASSWORD_WAIT_SECONDS: '60' };
/** Token requests begin at this rate, whether or not sign-ins saturate the server. */
const TOKEN_RATE = 100;
const WINDOW_SECONDS = 4;
const FORMS_PER_LANE = 15;
/** Rounds of forms before the first that counts: code that has run a thousand times costs a third less. */
const WARM_ROUNDS = 5;

export async function passwords({ starters, options }: Bench): Promise<Row[]> {
  const server = await starters.product({ variables: COST });
  const signIns = await prepare('password');
  const tokens = await prepare('cc_jwt');
  async function prepare(flow: 'password' | 'cc_jwt'): Promise<Load> {
    const load = await Load.prepare(server.target, flow, { people: PEOPLE });
    if (!load) throw new Error(`the product does not offer ${flow}`);
    return load;
  }
  try {
    // The people are made with a cheap hash; each sign-in of the first round leaves one of the full cost.
    await signIns.saturate(options.warm);
    for (let round = 0; round < WARM_ROUNDS; round++) await forms(server.target);
    const rounds: Record<'cpuMs' | 'wholeMs' | 'bareMs' | 'cpu' | 'whole' | 'rate', number>[] = [];
    for (let run = 0; run < options.runs; run++) {
      const { cpuMs, rate } = await forms(server.target);
      const wholeMs = (await signIns.saturate(options.seconds * 2)).cpuMs;
      const bare = bareHash();
      rounds.push({
        cpuMs,
        wholeMs,
        bareMs: bare.cpuMs,
        cpu: bare.cpuMs / cpuMs,
        whole: bare.cpuMs / wholeMs,
        rate: (rate * bare.clockMs) / 1000,
      });
    }

    const p99 = { without: [] as number[], during: [] as number[] };
    for (let run = 0; run < Math.ceil(options.runs / 2); run++) {
      p99.without.push(await tail());
      const busy = signIns.saturate(WINDOW_SECONDS + 0.5);
      p99.during.push(await tail());
      await busy;
    }
    async function tail(): Promise<number> {
      return percentile((await tokens.arrive(TOKEN_RATE, WINDOW_SECONDS, 'random')).times, 0.99);
    }
    const ratio = median(p99.during.map((ms, i) => ms / (p99.without[i] ?? Number.NaN)));
    const of = (name: keyof (typeof rounds)[number]) => median(rounds.map((round) => round[name]));
    return [
      {
        measure: 'password sign-ins per core, in bare hashes',
        product: `${of('cpuMs').toFixed(2)} ms, a bare hash ${of('bareMs').toFixed(2)} ms; x${of('cpu').toFixed(2)} (CPU) x${of('rate').toFixed(2)} (rate)`,
        value: of('cpu'),
        bounds: { must: 0.8, aim: 0.9, better: 'more' },
      },
      {
        measure: "  from the portal's request to the code",
        product: `${of('wholeMs').toFixed(2)} ms; x${of('whole').toFixed(2)} (CPU)`,
      },
      {
        measure: 'p99 of token requests while sign-ins saturate',
        product: `${median(p99.during).toFixed(2)} ms, without ${median(p99.without).toFixed(2)} ms; x${ratio.toFixed(2)}`,
        value: ratio,
        bounds: { must: 2, aim: 1.5, better: 'less' },
      },
    ];
  } finally {
    signIns.close();
    tokens.close();
    await server.stop();
  }
}

/** Sends sign-in forms that lie open already, and nothing else: CPU milliseconds of each, and how many a second. */
async function forms(target: Target): Promise<{ cpuMs: number; rate: number }> {
  const site = await Site.open(target);
  const lanes = Array.from({ length: PEOPLE }, () => new Lane(target));
  try {
    const opened = await Promise.all(
      lanes.map(async (lane, i) => {
        const own = [];
        for (let n = 0; n < FORMS_PER_LANE; n++) own.push(await site.openSignIn(lane, i));
        return own;
      }),
    );
    const cpu = cpuSeconds(target.pids);
    const started = performance.now();
    await Promise.all(
      lanes.map(async (lane, i) => {
        for (const send of opened[i] ?? []) await send(lane, true);
      }),
    );
    const sent = PEOPLE * FORMS_PER_LANE;
    return {
      cpuMs: ((cpuSeconds(target.pids) - cpu) / sent) * 1000,
      rate: sent / ((performance.now() - started) / 1000),
    };
  } finally {
    for (const lane of lanes) lane.close();
  }
}

/** What one hash takes by the engine that the product uses, one after another on the core of the server. */
function bareHash(): { cpuMs: number; clockMs: number } {
  const script = fileURLToPath(new URL('baselines/bare-hash.ts', import.meta.url));
  const [command, ...args] = [...pinnedTo(SERVER_CORE), process.execPath, script];
  const printed = execFileSync(command ?? process.execPath, args, { encoding: 'utf8' });
  const [cpuMs = Number.NaN, clockMs = Number.NaN] = printed.split(' ').map(Number);
  return { cpuMs, clockMs };
}
