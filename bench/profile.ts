/** `npm run bench -- --profile <flow>`: where the CPU time of one operation goes, by module and by function, product and vanilla. */
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../test/setup/services.ts';
import type { FlowName } from './driver/flows.ts';
import { Load } from './driver/measure.ts';
import { PEOPLE, type Starter } from './servers.ts';

/** As `Profiler.stop` answers (Chrome DevTools Protocol). */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

const SAMPLING_MICROSECONDS = 200;
const SHOWN = 40;
const WARM_SECONDS = 5;

export async function profile(
  flow: FlowName,
  starters: { product: Starter; vanilla: Starter },
  seconds: number,
): Promise<void> {
  for (const start of [starters.product, starters.vanilla]) {
    const port = await freePort();
    const server = await start({ nodeOptions: [`--inspect=127.0.0.1:${port}`] });
    const load = await Load.prepare(server.target, flow, { people: PEOPLE });
    try {
      if (!load) {
        console.log(`${server.target.label} does not offer ${flow}`);
        continue;
      }
      await load.saturate(WARM_SECONDS);
      const plain = await load.saturate(seconds);
      const inspector = await connectInspector(port);
      await inspector.send('Profiler.enable');
      await inspector.send('Profiler.setSamplingInterval', { interval: SAMPLING_MICROSECONDS });
      await inspector.send('Profiler.start');
      await load.saturate(seconds);
      const { profile } = (await inspector.send('Profiler.stop')) as { profile: CpuProfile };
      inspector.close();
      console.log(`\n${server.target.label}, ${flow}: ${plain.cpuMs.toFixed(3)} ms of CPU per operation`);
      console.log(summarise(profile, plain.cpuMs * 1000));
    } finally {
      load?.close();
      await server.stop();
    }
  }
}

/** Times per operation: the shares of the profile, of what an operation costs without it. */
function summarise(profile: CpuProfile, operationMicroseconds: number): string {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map<number, number>();
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node.id);

  const own = new Map<number, number>();
  let busy = 0;
  profile.samples.forEach((id, i) => {
    const time = profile.timeDeltas[i] ?? 0;
    if (nodes.get(id)?.callFrame.functionName === '(idle)') return;
    own.set(id, (own.get(id) ?? 0) + time);
    busy += time;
  });

  const byModule = new Map<string, number>();
  const bySelf = new Map<string, number>();
  const byTotal = new Map<string, number>();
  const add = (sums: Map<string, number>, key: string, time: number) =>
    sums.set(key, (sums.get(key) ?? 0) + time);
  for (const [id, time] of own) {
    const node = nodes.get(id);
    if (!node) continue;
    const stack: ProfileNode[] = [];
    for (let at = nodes.get(id); at; at = nodes.get(parents.get(at.id) ?? 0)) stack.push(at);
    // What Node.js itself does is charged to the module that called it, where one did.
    add(byModule, moduleOf(stack.find(isOutsideNode) ?? node), time);
    add(bySelf, nameOf(node), time);
    // Each function once per stack, however often it is on it.
    for (const name of new Set(stack.filter(isOutsideNode).map(nameOf))) add(byTotal, name, time);
  }

  const section = (title: string, sums: ReadonlyMap<string, number>, shown: number) =>
    [
      `\n${title}`,
      ...[...sums]
        .sort(([, a], [, b]) => b - a)
        .slice(0, shown)
        .map(([name, time]) => {
          const share = time / busy;
          const microseconds = (share * operationMicroseconds).toFixed(0);
          return `${microseconds.padStart(6)} us ${(share * 100).toFixed(1).padStart(5)} %  ${name}`;
        }),
    ].join('\n');
  return [
    section('by module, with what Node.js does for it', byModule, 30),
    section('by function, own time', bySelf, SHOWN),
    section('by function, with what it calls before it waits', byTotal, SHOWN * 2),
  ].join('\n');
}

function isOutsideNode({ callFrame: { url } }: ProfileNode): boolean {
  return url !== '' && !url.startsWith('node:');
}

/** A package, or a file of ours, or a part of Node.js that nobody's code called. */
function moduleOf({ callFrame: { url, functionName } }: ProfileNode): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'built-in functions';
  const inPackage = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  return inPackage ?? url.replace(/^file:.*\/(src|bench)\//, '$1/');
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const file = url.replace(/^.*node_modules\//, '').replace(/^file:.*\/(src|bench)\//, '$1/');
  return `${name} ${file}:${lineNumber + 1}`;
}

/** The server's inspector (`--inspect`), by which the profile leaves out start and warm-up. */
async function connectInspector(port: number) {
  const [page] = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  if (!page) throw new Error('the server has no inspector');
  const socket = new WebSocket(page.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error('the inspector does not answer')));
  });
  const waiting = new Map<number, (result: unknown) => void>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id === undefined) return;
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let sent = 0;
  return {
    send(method: string, params: object = {}): Promise<unknown> {
      const id = ++sent;
      socket.send(JSON.stringify({ id, method, params }));
      return Promise.race([
        new Promise((resolve) => waiting.set(id, resolve)),
        setTimeout(60_000, undefined, { ref: false }).then(() => {
          throw new Error(`the inspector did not answer ${method}`);
        }),
      ]);
    },
    close: () => socket.close(),
  };
}
