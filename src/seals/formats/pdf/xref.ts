/**
 * Where the objects of a file are: the chain of cross-reference sections, newest first (ISO 32000-2, 7.5.4 to 7.5.8). Sections are
 * located at once, their entries are read only when asked for.
 */
import { Lexer, isDigit } from './lexer.ts';
import { type Budget, LIMITS, beyondLimits, damaged } from './refusals.ts';
import { readStream } from './streams.ts';
import { Dict, type Value, isCount } from './values.ts';

/** Where one object is: nowhere, at an offset, or inside an object stream. */
export type Entry =
  | { readonly kind: 'free' }
  | { readonly kind: 'plain'; readonly offset: number; readonly generation: number }
  | { readonly kind: 'packed'; readonly stream: number; readonly index: number };

/** One cross-reference section: what one saving of the file added. */
export interface Section {
  readonly kind: 'table' | 'stream';
  /** Its offset, as `startxref` and `/Prev` give it. */
  readonly offset: number;
  readonly trailer: Dict;
  /** One more than the highest object number that it speaks of. */
  readonly size: number;
  /** `undefined` when it says nothing of that object. */
  find(number: number): Entry | undefined;
}

const TABLE_ENTRY_BYTES = 20;
const FREE: Entry = { kind: 'free' };

/** Follows the chain from `offset` to the first section. */
export function readSections(bytes: Buffer, offset: number, budget: Budget): Section[] {
  const sections: Section[] = [];
  const seen = new Set<number>();
  for (let next: Value | undefined = offset; next !== undefined && next !== 0;) {
    if (!isCount(next) || next >= bytes.length) throw damaged('a cross-reference section outside the file');
    if (seen.has(next)) throw damaged('cross-reference sections in a circle');
    seen.add(next);
    if (sections.length >= LIMITS.sections) throw beyondLimits('sections');
    const section = readSection(bytes, next, budget);
    sections.push(section);
    next = section.trailer.get('Prev');
  }
  if (sections.length === 0) throw damaged('no cross-reference section');
  return sections;
}

function readSection(bytes: Buffer, offset: number, budget: Budget): Section {
  const lexer = new Lexer(bytes, offset, budget);
  return lexer.takeKeyword('xref')
    ? readTable(lexer, offset, budget)
    : readStreamSection(bytes, offset, budget);
}

/** A run of object numbers whose entries lie side by side, the first at `position`. */
interface Range {
  readonly first: number;
  readonly count: number;
  readonly position: number;
}

/** Ranges in order of object number; no number may stand in two, since readers differ in which they believe. */
class Ranges {
  readonly #ranges: readonly Range[];
  readonly size: number;

  constructor(ranges: Range[]) {
    this.#ranges = ranges.filter(({ count }) => count > 0).sort((a, b) => a.first - b.first);
    let size = 0;
    for (const { first, count } of this.#ranges) {
      if (first < size) throw damaged('an object number twice in one cross-reference section');
      size = first + count;
    }
    if (size > LIMITS.objectNumber + 1) throw beyondLimits('objectNumber');
    this.size = size;
  }

  /** Position of the entry of `number`, each being `entryBytes` long. */
  locate(number: number, entryBytes: number): number | undefined {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { first, count, position } = this.#ranges[middle] as Range;
      if (number < first) high = middle;
      else if (number >= first + count) low = middle + 1;
      else return position + (number - first) * entryBytes;
    }
    return undefined;
  }
}

function readTable(lexer: Lexer, offset: number, budget: Budget): Section {
  const { bytes } = lexer;
  const found: Range[] = [];
  for (;;) {
    const first = lexer.takeCount();
    if (first === undefined) break;
    const count = lexer.expectCount();
    lexer.skipSpace();
    found.push({ first, count, position: lexer.position });
    lexer.position += count * TABLE_ENTRY_BYTES;
    if (lexer.position > bytes.length) throw damaged('a cross-reference table that breaks off');
  }
  lexer.expectKeyword('trailer');
  const trailer = lexer.value();
  if (!(trailer instanceof Dict)) throw damaged('a trailer expected');
  const ranges = new Ranges(found);
  const beside = hybridPart(bytes, trailer, budget);
  return {
    kind: 'table',
    offset,
    trailer,
    size: Math.max(ranges.size, beside?.size ?? 0),
    find(number) {
      const position = ranges.locate(number, TABLE_ENTRY_BYTES);
      return position === undefined ? beside?.find(number) : readTableEntry(bytes, position);
    },
  };
}

/** The cross-reference stream beside a table, asked after it and before the section before (7.5.8.4). */
function hybridPart(bytes: Buffer, trailer: Dict, budget: Budget): Section | undefined {
  const offset = trailer.get('XRefStm');
  if (offset === undefined) return undefined;
  if (!isCount(offset) || offset >= bytes.length) throw damaged('XRefStm outside the file');
  return readStreamSection(bytes, offset, budget);
}

/** `nnnnnnnnnn ggggg n` and a line end of two bytes, exactly (7.5.4). */
function readTableEntry(bytes: Buffer, position: number): Entry {
  for (let i = 0; i < 16; i++) {
    if (i === 10 ? bytes[position + i] !== 0x20 : !isDigit(bytes[position + i])) {
      throw damaged(`a cross-reference entry at offset ${position} is malformed`);
    }
  }
  const type = bytes.toString('latin1', position + 16, position + 18);
  if (type === ' f') return FREE;
  if (type !== ' n')
    throw damaged(`a cross-reference entry at offset ${position} is neither free nor in use`);
  const offset = Number(bytes.toString('latin1', position, position + 10));
  return offset === 0
    ? FREE
    : { kind: 'plain', offset, generation: Number(bytes.toString('latin1', position + 11, position + 16)) };
}

function readStreamSection(bytes: Buffer, offset: number, budget: Budget): Section {
  const object = new Lexer(bytes, offset, budget).indirectObject(undefined);
  const trailer = object.value;
  if (!(trailer instanceof Dict) || trailer.get('Type') !== 'XRef' || object.dataStart === undefined) {
    throw damaged(`no cross-reference section at offset ${offset}`);
  }
  const widths = fieldWidths(trailer);
  const entryBytes = widths[0] + widths[1] + widths[2];
  const ranges = indexedRanges(trailer, entryBytes);
  let rows: Buffer | undefined;
  return {
    kind: 'stream',
    offset,
    trailer,
    size: ranges.size,
    find(number) {
      const position = ranges.locate(number, entryBytes);
      if (position === undefined) return undefined;
      rows ??= readStream(object, (key) => trailer.get(key) ?? null, budget);
      if (position + entryBytes > rows.length) throw damaged('a cross-reference stream that breaks off');
      return readStreamEntry(rows, position, widths);
    },
  };
}

type Widths = readonly [type: number, second: number, third: number];

function fieldWidths(trailer: Dict): Widths {
  const widths = trailer.get('W');
  if (!Array.isArray(widths) || widths.length < 3 || !widths.every((width) => isCount(width) && width <= 8)) {
    throw damaged('the field widths of a cross-reference stream');
  }
  if (widths.length > 3 || widths[1] === 0) throw damaged('the field widths of a cross-reference stream');
  return widths as unknown as Widths;
}

function indexedRanges(trailer: Dict, entryBytes: number): Ranges {
  const index = trailer.get('Index') ?? [0, trailer.get('Size') ?? null];
  if (!Array.isArray(index) || index.length % 2 !== 0 || !index.every(isCount)) {
    throw damaged('the index of a cross-reference stream');
  }
  const ranges: Range[] = [];
  let rows = 0;
  for (let i = 0; i < index.length; i += 2) {
    const [first, count] = [index[i], index[i + 1]] as [number, number];
    ranges.push({ first, count, position: rows * entryBytes });
    rows += count;
  }
  return new Ranges(ranges);
}

/** Type 0 is free, 1 is at an offset, 2 is in an object stream; any other means null (7.5.8.3). */
function readStreamEntry(
  rows: Buffer,
  position: number,
  [typeBytes, secondBytes, thirdBytes]: Widths,
): Entry {
  const type = typeBytes === 0 ? 1 : readField(rows, position, typeBytes);
  const second = readField(rows, position + typeBytes, secondBytes);
  const third = readField(rows, position + typeBytes + secondBytes, thirdBytes);
  switch (type) {
    case 1:
      return { kind: 'plain', offset: second, generation: third };
    case 2:
      return { kind: 'packed', stream: second, index: third };
    default:
      return FREE;
  }
}

function readField(rows: Buffer, position: number, width: number): number {
  let value = 0;
  for (let i = position; i < position + width; i++) value = value * 256 + (rows[i] as number);
  return value;
}
