/**
 * Appends one incremental update to a file (ISO 32000-2, 7.5.6): new and changed objects, then a cross-reference section of the same
 * kind as the file's last one. What the file already holds is never touched.
 */
import type { PdfFile } from './file.ts';
import { LIMITS, beyondLimits, damaged } from './refusals.ts';
import { type Dict, PdfString, Ref, type Span, textOf } from './values.ts';
import type { Section } from './xref.ts';

/** A piece of an object: text with one byte per character, or bytes. */
export type Chunk = string | Uint8Array;

/** (7.5.4) */
const MAX_GENERATION = 65_535;
const LF = 10;
const CR = 13;

/** Entries that belong to one section alone; all others go on into the next trailer. */
const OF_ONE_SECTION = new Set(
  'Size Prev XRefStm ID Type Length Filter DecodeParms W Index DL F FFilter FDecodeParms'.split(' '),
);

export class Increment {
  readonly #file: PdfFile;
  readonly #objects = new Map<number, { readonly ref: Ref; readonly chunks: readonly Chunk[] }>();
  #size: number;

  constructor(file: PdfFile) {
    this.#file = file;
    this.#size = file.size;
  }

  /** A reference that nothing in the file uses yet. */
  allocate(): Ref {
    if (this.#size > LIMITS.objectNumber) throw beyondLimits('objectNumber');
    return new Ref(this.#size++, 0);
  }

  /** Gives `ref` a new value. */
  put(ref: Ref, ...chunks: Chunk[]): void {
    if (this.#objects.has(ref.number)) throw damaged(`object ${ref.number} has two roles`);
    if (ref.generation > MAX_GENERATION)
      throw damaged(`object ${ref.number} has generation ${ref.generation}`);
    this.#objects.set(ref.number, { ref, chunks });
  }

  /**
   * The bytes to append.
   * @param nonce 16 bytes that become the second half of the file identifier (14.4).
   */
  write(nonce: Uint8Array): Buffer {
    const { bytes, sections } = this.#file;
    const newest = sections[0] as Section;
    const out = new Output(bytes.length);
    const last = bytes.at(-1);
    if (last !== LF && last !== CR) out.add('\n');
    // The number of the section itself, should it be a stream, comes after all others.
    const sectionRef = newest.kind === 'stream' ? this.allocate() : undefined;
    const offsets = new Map<Ref, number>();
    for (const { ref, chunks } of this.#objects.values()) {
      offsets.set(ref, out.offset);
      out.add(`${ref.number} ${ref.generation} obj\n`, ...chunks, '\nendobj\n');
    }
    const start = out.offset;
    if (sectionRef === undefined) {
      out.add('xref\n', ...tableEntries(offsets), 'trailer\n<<', this.#trailerEntries(newest, nonce), '>>\n');
    } else {
      offsets.set(sectionRef, start);
      const { index, rows } = streamEntries(offsets);
      out.add(
        `${sectionRef.number} 0 obj\n<</Type/XRef/W[1 5 2]/Index[${index}]/Length ${rows.length}`,
        this.#trailerEntries(newest, nonce),
        '>>\nstream\n',
        rows,
        '\nendstream\nendobj\n',
      );
    }
    out.add(`startxref\n${start}\n%%EOF\n`);
    return out.concat();
  }

  #trailerEntries(newest: Section, nonce: Uint8Array): string {
    const { trailer } = newest;
    const kept = [...this.#file.entrySpans(trailer)]
      .filter(([key]) => !OF_ONE_SECTION.has(key))
      .map(([key, span]) => `/${writeName(key)} ${textOf(span)}`);
    const [first] = this.#file.array(trailer, 'ID');
    const second = Buffer.from(nonce).toString('hex');
    const identifier = first instanceof PdfString ? first.bytes.toString('hex') : second;
    return `${kept.join('')}/Size ${this.#size}/Prev ${newest.offset}/ID[<${identifier}><${second}>]`;
  }
}

/** A dictionary of the file with some entries replaced or added; all else is its own old bytes. */
export function editDict(file: PdfFile, dict: Dict, changes: Readonly<Record<string, string>>): string {
  const spans = file.entrySpans(dict);
  const added = Object.keys(changes).filter((key) => !spans.has(key));
  const replaced = [...spans]
    .filter(([key]) => changes[key] !== undefined)
    .map(([key, span]) => ({ ...span, text: ` ${changes[key]}` }));
  let text = '';
  let from = dict.start;
  for (const { start, end, text: replacement } of replaced.toSorted((a, b) => a.start - b.start)) {
    text += dict.bytes.toString('latin1', from, start) + replacement;
    from = end;
  }
  // A comment may stand before the closing brackets: a line end keeps what is added out of it.
  text += dict.bytes.toString('latin1', from, dict.end - 2);
  return `${text}\n${added.map((key) => `/${key} ${changes[key]}`).join('')}>>`;
}

/** An array of the file with one element more. */
export function appendToArray(array: Span, element: string): string {
  return `${array.bytes.toString('latin1', array.start, array.end - 1)}\n${element}]`;
}

/** A name whose unusual bytes are written as `#xx` (7.3.5). */
function writeName(name: string): string {
  return name.replace(
    /[^!-~]|[#()<>[\]{}/%]/g,
    (character) => `#${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Gathers chunks and knows the offset of the next one. */
class Output {
  readonly #chunks: Chunk[] = [];
  readonly #start: number;
  offset: number;

  constructor(start: number) {
    this.#start = start;
    this.offset = start;
  }

  add(...chunks: Chunk[]): void {
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.offset += chunk.length;
    }
  }

  concat(): Buffer {
    const bytes = Buffer.allocUnsafe(this.offset - this.#start);
    let at = 0;
    for (const chunk of this.#chunks) {
      if (typeof chunk === 'string') bytes.write(chunk, at, 'latin1');
      else bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }
}

/** Runs of neighbouring object numbers, in order. */
function runsOf(
  offsets: ReadonlyMap<Ref, number>,
): { readonly first: number; readonly entries: [Ref, number][] }[] {
  const runs: { first: number; entries: [Ref, number][] }[] = [];
  for (const entry of [...offsets].toSorted(([a], [b]) => a.number - b.number)) {
    const run = runs.at(-1);
    if (run !== undefined && run.first + run.entries.length === entry[0].number) run.entries.push(entry);
    else runs.push({ first: entry[0].number, entries: [entry] });
  }
  return runs;
}

function tableEntries(offsets: ReadonlyMap<Ref, number>): string[] {
  const digits = (value: number, count: number) => String(value).padStart(count, '0');
  return runsOf(offsets).flatMap(({ first, entries }) => [
    `${first} ${entries.length}\n`,
    ...entries.map(([ref, offset]) => `${digits(offset, 10)} ${digits(ref.generation, 5)} n\r\n`),
  ]);
}

function streamEntries(offsets: ReadonlyMap<Ref, number>): { readonly index: string; readonly rows: Buffer } {
  const runs = runsOf(offsets);
  const rows = Buffer.alloc(offsets.size * 8);
  let at = 0;
  for (const [ref, offset] of runs.flatMap(({ entries }) => entries)) {
    rows[at] = 1;
    rows.writeUIntBE(offset, at + 1, 5);
    rows.writeUIntBE(ref.generation, at + 6, 2);
    at += 8;
  }
  return { index: runs.map(({ first, entries }) => `${first} ${entries.length}`).join(' '), rows };
}
