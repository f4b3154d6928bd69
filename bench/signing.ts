/** Signatures through custody, with keys that are open, against the bare signature of the same engine (OpenSSL in Node), in turns. */
import { rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createPrivateKey, createSecretKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createAuditLog } from '../src/audit/index.ts';
import { createCustody, type KeyType } from '../src/custody/index.ts';
import type { SignatureAlgorithm, Signer } from '../src/pki/index.ts';
import { systemClock } from '../src/platform/clock.ts';
import { migrate } from '../src/platform/db/migrate.ts';
import { openPglite } from '../src/platform/db/pglite.ts';
import { Load, median, percentile } from './driver/measure.ts';
import type { Bench } from './measures.ts';
import { PEOPLE } from './servers.ts';
import type { Bounds, Row } from './table.ts';

interface Kind {
  readonly algorithm: SignatureAlgorithm;
  readonly keyType: KeyType;
  readonly bounds: Bounds;
  /** The bare signature, made by `sign` of node:crypto. */
  bare(): () => unknown;
}

const DATA = randomBytes(32);
/** Asked for at the same moment: what a server with that many requests has under way. */
const IN_FLIGHT = 16;

const KINDS: readonly Kind[] = [
  {
    algorithm: 'ES256',
    keyType: 'P-256',
    bounds: { must: 0.6, aim: 0.8, better: 'more' },
    bare() {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return () => sign('sha256', DATA, privateKey);
    },
  },
  {
    algorithm: 'sha256WithRSAEncryption',
    keyType: 'RSA-3072',
    bounds: { must: 0.95, aim: 0.97, better: 'more' },
    bare() {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
      return () => sign('sha256', DATA, privateKey);
    },
  },
  {
    algorithm: 'sm2-with-SM3',
    keyType: 'SM2',
    bounds: { must: 0.9, aim: 0.95, better: 'more' },
    bare() {
      // Read back it is an SM2 key, and signs under the empty ID: of no use to anybody, and exactly the work.
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'SM2' });
      const key = createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' }));
      return () => sign('sm3', DATA, key);
    },
  },
];

export async function signing(bench: Bench): Promise<Row[]> {
  return [...(await againstBare(bench)), await besideLogins(bench)];
}

/** Logins begin at this rate, whatever else is done; it is far below what a core does. */
const LOGIN_RATE = 25;
const WINDOW_SECONDS = 4;

/** What sign-ins feel of RSA-4096 in two threads of the same process. */
async function besideLogins({ starters, places, options }: Bench): Promise<Row> {
  const file = join(places.folder, 'rsa-load');
  const server = await starters.product({
    // Its threads may go where they like, as in production.
    core: `0-${availableParallelism() - 1}`,
    nodeOptions: ['--import', new URL('driver/rsa-load.ts', import.meta.url).href],
    variables: { RSA_LOAD_WHILE: file },
  });
  const logins = await Load.prepare(server.target, 'login', { people: PEOPLE });
  try {
    if (!logins) throw new Error('the product does not offer login');
    await logins.saturate(options.warm);
    const tail = async () =>
      percentile((await logins.arrive(LOGIN_RATE, WINDOW_SECONDS, 'random')).times, 0.99);
    const measured: Record<'without' | 'during', number>[] = [];
    for (let run = 0; run < Math.ceil(options.runs / 2); run++) {
      const without = await tail();
      writeFileSync(file, '');
      measured.push({ without, during: await tail() });
      rmSync(file);
    }
    const ratio = median(measured.map(({ during, without }) => during / without));
    return {
      measure: 'p99 of logins while two threads sign RSA-4096',
      product: `${median(measured.map(({ during }) => during)).toFixed(2)} ms, without ${median(measured.map(({ without }) => without)).toFixed(2)} ms; x${ratio.toFixed(2)}`,
      value: ratio,
      bounds: { must: 1.5, aim: 1.25, better: 'less' },
    };
  } finally {
    rmSync(file, { force: true });
    logins?.close();
    await server.stop();
  }
}

async function againstBare({ options }: Pick<Bench, 'options'>): Promise<Row[]> {
  const db = await openPglite();
  await migrate(db);
  const audit = createAuditLog({
    db,
    clock: systemClock,
    signer: () => Promise.reject(new Error('no receipts are asked for')),
  });
  const custody = createCustody({
    db,
    clock: systemClock,
    audit,
    keyEncryptionKey: createSecretKey(randomBytes(32)),
  });
  try {
    const rows: Row[] = [];
    for (const kind of KINDS) {
      const owner = `unit_${kind.keyType}`;
      const key = await db.transaction((tx) =>
        custody.generate(tx, { owner, purpose: 'seal', actor: 'system', keyType: kind.keyType }),
      );
      const signer = await custody.signer(owner, key.id, kind.algorithm);
      const bare = kind.bare();
      await through(signer, options.warm);
      const measured: Record<'ours' | 'theirs', Work>[] = [];
      for (let run = 0; run < options.runs; run++)
        measured.push({
          theirs: await repeated(bare, options.seconds),
          ours: await through(signer, options.seconds),
        });
      const of = (read: (run: (typeof measured)[number]) => number) => median(measured.map(read));
      const cpu = of(({ ours, theirs }) => theirs.cpuMs / ours.cpuMs);
      const rate = of(({ ours, theirs }) => ours.rate / theirs.rate);
      rows.push({
        measure: `signatures through custody, ${kind.algorithm} (${kind.keyType})`,
        product: `${of(({ ours }) => ours.rate).toFixed(0)}/s, bare ${of(({ theirs }) => theirs.rate).toFixed(0)}/s; x${cpu.toFixed(2)} (CPU) x${rate.toFixed(2)} (rate)`,
        value: cpu,
        bounds: kind.bounds,
      });
    }
    return rows;
  } finally {
    await custody.stop();
    await db.close();
  }
}

interface Work {
  /** Per second. */
  readonly rate: number;
  /** Of all threads, per signature. */
  readonly cpuMs: number;
}

/** One after the other, on this thread. */
async function repeated(act: () => unknown, seconds: number): Promise<Work> {
  return counted(seconds, async (until) => {
    let n = 0;
    while (performance.now() < until) {
      for (let i = 0; i < IN_FLIGHT; i++) act();
      n += IN_FLIGHT;
    }
    return n;
  });
}

async function through(signer: Signer, seconds: number): Promise<Work> {
  return counted(seconds, async (until) => {
    let n = 0;
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async () => {
        while (performance.now() < until) {
          await signer.sign(DATA);
          n += 1;
        }
      }),
    );
    return n;
  });
}

async function counted(seconds: number, work: (until: number) => Promise<number>): Promise<Work> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const n = await work(start + seconds * 1000);
  const elapsed = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { rate: n / elapsed, cpuMs: (user + system) / 1000 / n };
}
