/** Spoils real PDFs at random and asks that the format only ever returns or refuses, soon, and that what it returns holds. */
import { FormatError } from '../../src/seals/formats/format.ts';
import { pdf } from '../../src/seals/formats/pdf/index.ts';
import { PLAIN, SEALABLE, buildPdf, sealBlindly, sealing, vector } from '../seals/formats/support.ts';

/** Work that no spoilt file of this size is worth, in milliseconds of this process. */
const PATIENCE_MS = 2_000;
/** What numbers are replaced with: edges of what is counted, located and referred to. */
const NUMBERS = [
  '0',
  '1',
  '-1',
  '2',
  '9',
  '255',
  '65535',
  '8388607',
  '2147483648',
  '99999999999999999999',
  '0.5',
];
const TOKENS = [
  'null',
  '[]',
  '<<>>',
  '()',
  '<00>',
  '/X',
  '1 0 R',
  '4 0 R',
  'endobj',
  'stream\n',
  '<<',
  '[',
  '%',
  '%%EOF\n',
];

export interface FuzzReport {
  readonly accepted: number;
  readonly refused: number;
}

/**
 * @param seed The same seed gives the same files.
 * @throws when one of them breaks a promise; the message says which, and how to make it again.
 */
export function fuzzPdf(iterations: number, seed: number): FuzzReport {
  const random = generator(seed);
  const seeds = [
    ...Object.keys(SEALABLE).map((name) => vector(name)),
    ...(['table', 'stream'] as const).map((kind) => buildPdf(PLAIN, { kind })),
    Buffer.from(
      sealBlindly(sealBlindly(vector('ghostscript'), { signatureBytes: 64 }), { signatureBytes: 64 }),
    ),
  ];
  let accepted = 0;
  for (let i = 0; i < iterations; i++) {
    let document = seeds[random(seeds.length)] as Buffer;
    for (let changes = 1 + random(4); changes > 0; changes--) document = spoil(document, seeds, random);
    try {
      if (holds(document)) accepted++;
    } catch (cause) {
      throw new Error(`file ${i} of seed ${seed} breaks a promise`, { cause });
    }
  }
  return { accepted, refused: iterations - accepted };
}

/** Whether the document can be sealed. If so, the seal can be found again and covers all of it. */
function holds(document: Buffer): boolean {
  const start = process.cpuUsage();
  const before = Buffer.from(document);
  const parsed = attempt(() => pdf.parse(document));
  const sealed = attempt(() => pdf.prepare(document, sealing()).assemble(Buffer.of(0x30, 0)));
  if (process.cpuUsage(start).user / 1000 > PATIENCE_MS) throw new Error('it takes too long');
  if (!document.equals(before)) throw new Error('the document was changed in place');
  if (sealed === undefined) return false;
  if (!document.equals(sealed.subarray(0, document.length))) throw new Error('the original does not survive');
  const own = pdf
    .parse(sealed)
    .signatures.filter(
      ({ problem, ...rest }) => problem === undefined && 'covered' in rest && rest.coversWholeDocument,
    );
  if (own.length !== 1) throw new Error(`${own.length} signatures cover the sealed document`);
  if (parsed === undefined) throw new Error('a document that can be sealed cannot be read');
  return true;
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

type Random = (below: number) => number;

/** One change: a byte, a number, a token, a stretch taken out, doubled, brought from elsewhere, or the end cut off. */
function spoil(document: Buffer, seeds: readonly Buffer[], random: Random): Buffer {
  const at = random(document.length);
  const until = Math.min(document.length, at + 1 + random(random(10) === 0 ? 4000 : 40));
  const put = (from: number, to: number, bytes: Uint8Array | string) =>
    Buffer.concat([
      document.subarray(0, from),
      Buffer.from(bytes as string, 'latin1'),
      document.subarray(to),
    ]);
  switch (random(8)) {
    case 0:
      return put(at, at + 1, Buffer.of(random(256)));
    case 1:
    case 2: {
      const number = find(document, at, /\d+/g);
      if (number === undefined) return document;
      const replacement = random(3) === 0 ? (NUMBERS[random(NUMBERS.length)] as string) : String(random(60));
      // The same width keeps every offset right, and the spoilt number is reached.
      const width = random(4) === 0 ? 0 : number.length;
      return put(
        number.start,
        number.start + number.length,
        replacement.padStart(width, '0').slice(-width || undefined),
      );
    }
    case 3: {
      const token = find(document, at, /\/[A-Za-z]+|\d+ 0 R|\[|\]|<<|>>|endobj|stream/g);
      if (token === undefined) return document;
      const replacement = (TOKENS[random(TOKENS.length)] as string).padEnd(token.length);
      return put(token.start, token.start + token.length, replacement);
    }
    case 4:
      return put(at, until, '');
    case 5:
      return put(at, at, document.subarray(at, until));
    case 6: {
      const other = seeds[random(seeds.length)] as Buffer;
      const from = random(other.length);
      return put(at, until, other.subarray(from, from + until - at));
    }
    default:
      return random(4) === 0
        ? document.subarray(0, at)
        : put(at, until, Buffer.alloc(until - at, random(2) * 32));
  }
}

/** The first match near `at`. */
function find(document: Buffer, at: number, pattern: RegExp): { start: number; length: number } | undefined {
  const window = document.toString('latin1', at, at + 2000);
  const match = pattern.exec(window);
  pattern.lastIndex = 0;
  return match === null ? undefined : { start: at + match.index, length: match[0].length };
}

/** Mulberry32. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
