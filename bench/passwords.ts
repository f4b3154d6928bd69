/** Sign-ins with a password: what they cost beside the hash itself, and what other requests feel of them. */
import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Bench } from './measures.ts';
import { Lane, Site, type Target } from './driver/flows.ts';
import { Load, median } from './driver/measure.ts';
import { cpuSeconds, pinnedTo, SERVER_CORE } from './driver/processes.ts';
import { PEOPLE } from './servers.ts';
import type { Row } from './table.ts';

/** The cost that the product has where nothing is configured; who waits waits long, so that nobody is sent away. */
const COST = { ARGON2_MEMORY_KIB: '19456', ARGON2_PASSES: '2', PASSWORD_WAIT_SECONDS: '60' };
const WINDOW_SECONDS = 4;
const FORMS_PER_LANE = 15;
/** More than can be sent in the window by one core. */
const FORMS_IN_WINDOW = 60;
/** Rounds of forms before the first that counts: code that has run a thousand times costs a third less. */
const WARM_ROUNDS = 5;

export async function passwords({ starters, options }: Bench): Promise<Row[]> {
  const server = await starters.product({ variables: COST });
  const signIns = await Load.prepare(server.target, 'password', { people: PEOPLE });
  if (!signIns) throw new Error('the product does not offer a sign-in by password');
  const tokens = await startArrivals(server.target);
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

    const p99: { without: number; during: number }[] = [];
    for (let run = 0; run < options.runs; run++) {
      const without = await tokens.p99(WINDOW_SECONDS);
      let during = Number.NaN;
      await forms(server.target, FORMS_IN_WINDOW, async () => {
        during = await tokens.p99(WINDOW_SECONDS);
      });
      p99.push({ without, during });
    }
    const ratio = median(p99.map(({ without, during }) => during / without));
    const of = (name: keyof (typeof rounds)[number]) => median(rounds.map((round) => round[name]));
    const middle = (name: 'without' | 'during') => median(p99.map((round) => round[name])).toFixed(2);
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
        product: `${middle('during')} ms, without ${middle('without')} ms; x${ratio.toFixed(2)}`,
        value: ratio,
        bounds: { must: 2, aim: 1.5, better: 'less' },
      },
    ];
  } finally {
    signIns.close();
    tokens.stop();
    await server.stop();
  }
}

/** Starts the process that asks for tokens. */
async function startArrivals(target: Target) {
  const { person: _, ...data } = target;
  const script = fileURLToPath(new URL('driver/arrivals.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(data)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the process that asks for tokens has ended');
    return value;
  };
  await line();
  return {
    async p99(seconds: number): Promise<number> {
      child.stdin.write(`${seconds}\n`);
      const [, p99 = Number.NaN] = JSON.parse(await line()) as number[];
      return p99;
    },
    stop: () => child.kill(),
  };
}

/**
 * Sends sign-in forms that lie open already, and nothing else: CPU milliseconds of each, and how many a second.
 * @param meanwhile Runs beside; when it ends no more forms are sent.
 */
async function forms(
  target: Target,
  each = FORMS_PER_LANE,
  meanwhile?: () => Promise<void>,
): Promise<{ cpuMs: number; rate: number }> {
  const site = await Site.open(target);
  const lanes = Array.from({ length: PEOPLE }, () => new Lane(target));
  try {
    const opened = await Promise.all(
      lanes.map(async (lane, i) => {
        const own = [];
        for (let n = 0; n < each; n++) own.push(await site.openSignIn(lane, i));
        return own;
      }),
    );
    const cpu = cpuSeconds(target.pids);
    const started = performance.now();
    let sent = 0;
    let over = false;
    const sending = Promise.all(
      lanes.map(async (lane, i) => {
        for (const send of opened[i] ?? []) {
          if (over) return;
          await send(lane, true);
          sent += 1;
        }
      }),
    );
    await meanwhile?.();
    if (meanwhile && sent === PEOPLE * each) throw new Error('the forms were used up before the end');
    over = meanwhile !== undefined;
    await sending;
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
