/** A PDF file as a set of indirect objects, each read when first asked for (ISO 32000-2, 7.5). */
import { FormatError } from '../format.ts';
import { Lexer } from './lexer.ts';
import { Budget, LIMITS, beyondLimits, damaged } from './refusals.ts';
import { readStream } from './streams.ts';
import { readText } from './text.ts';
import { Dict, type IndirectObject, PdfString, Ref, type Span, type Value, isCount } from './values.ts';
import { type Entry, type Section, readSections } from './xref.ts';

/** Where the header is looked for, as other readers do: mail gateways put lines before it. */
const HEADER_WINDOW = 1024;
/** Where the last `startxref` is looked for: some servers append to what they deliver. */
const TAIL_WINDOW = 2048;
/** References that lead to references. */
const MAX_HOPS = 16;

/** An object stream: its data, and which object lies where in them. */
interface ObjectStream {
  readonly data: Buffer;
  readonly numbers: readonly number[];
  readonly offsets: readonly number[];
}

export class PdfFile {
  /** The file from its header on: what all its offsets count from. */
  readonly bytes: Buffer;
  /** Bytes before the header. */
  readonly headerOffset: number;
  /** Newest first, at least one. */
  readonly sections: readonly Section[];
  readonly trailer: Dict;
  readonly catalogRef: Ref;
  readonly catalog: Dict;

  readonly #budget = new Budget();
  readonly #objects = new Map<number, IndirectObject | undefined>();
  readonly #objectStreams = new Map<number, ObjectStream>();
  readonly #opening = new Set<number>();

  /**
   * @throws {FormatError} NOT_A_PDF, PDF_ENCRYPTED, PDF_DAMAGED when the file's own cross-reference does not hold (nothing is ever
   * repaired by guessing), PDF_BEYOND_LIMITS.
   */
  constructor(document: Uint8Array) {
    if (document.length > LIMITS.documentBytes) throw beyondLimits('documentBytes');
    const whole = Buffer.from(document.buffer, document.byteOffset, document.byteLength);
    this.headerOffset = findHeader(whole);
    this.bytes = whole.subarray(this.headerOffset);
    this.sections = readSections(this.bytes, findStartXref(this.bytes).offset, this.#budget);
    this.trailer = (this.sections[0] as Section).trailer;
    if (this.sections.some(({ trailer }) => trailer.get('Encrypt') !== undefined)) {
      throw new FormatError('PDF_ENCRYPTED', 'The PDF is encrypted; remove its protection first.');
    }
    const root = this.trailer.get('Root');
    if (!(root instanceof Ref)) throw damaged('a trailer without Root');
    this.catalogRef = root;
    const catalog = this.resolve(root);
    if (!(catalog instanceof Dict)) throw damaged('no catalog');
    this.catalog = catalog;
  }

  /** One more than the highest object number that any section speaks of. */
  get size(): number {
    const declared = this.trailer.get('Size');
    if (!isCount(declared)) throw damaged('a trailer without Size');
    return Math.max(declared, ...this.sections.map(({ size }) => size));
  }

  /** The object of that number and generation; `undefined` stands for null (7.3.10). */
  load(ref: Ref): IndirectObject | undefined {
    const object = this.#object(ref.number);
    return object?.generation === ref.generation ? object : undefined;
  }

  /** Follows references to a value; for a stream, to its dictionary. */
  resolve(value: Value | undefined): Value {
    let found = value ?? null;
    for (let hops = 0; found instanceof Ref; hops++) {
      if (hops === MAX_HOPS) throw damaged('references in a circle');
      found = this.load(found)?.value ?? null;
    }
    return found;
  }

  /** An entry, its reference followed; `null` when there is none. */
  get(dict: Dict, key: string): Value {
    return this.resolve(dict.get(key));
  }

  /** An entry that is a dictionary, if it is one. */
  dict(dict: Dict, key: string): Dict | undefined {
    const value = this.get(dict, key);
    return value instanceof Dict ? value : undefined;
  }

  /** An entry that is an array; empty when it is not. */
  array(dict: Dict, key: string): readonly Value[] {
    const value = this.get(dict, key);
    if (!Array.isArray(value)) return [];
    this.#budget.spendSteps(value.length);
    return value;
  }

  /** An entry that is a text string, decoded. */
  text(dict: Dict, key: string): string | undefined {
    const value = this.get(dict, key);
    if (!(value instanceof PdfString)) return undefined;
    this.#budget.spendSteps(value.bytes.length);
    return readText(value);
  }

  /** Counts work that a walk does beyond reading. */
  spendSteps(steps: number): void {
    this.#budget.spendSteps(steps);
  }

  /** Where each entry of a dictionary of this file was written. */
  entrySpans(dict: Dict): Map<string, Span> {
    return new Lexer(dict.bytes, dict.start, this.#budget).entrySpans();
  }

  #object(number: number): IndirectObject | undefined {
    if (this.#objects.has(number)) return this.#objects.get(number);
    if (this.#opening.has(number)) throw damaged('an object that is needed to read itself');
    this.#opening.add(number);
    const object = this.#read(number);
    this.#opening.delete(number);
    this.#objects.set(number, object);
    return object;
  }

  #read(number: number): IndirectObject | undefined {
    const entry = this.#find(number);
    switch (entry?.kind) {
      case 'plain': {
        const { offset, generation } = entry;
        if (offset >= this.bytes.length) throw damaged(`object ${number} is outside the file`);
        return new Lexer(this.bytes, offset, this.#budget).indirectObject({ number, generation });
      }
      case 'packed':
        return this.#unpack(number, entry.stream, entry.index);
      default:
        return undefined;
    }
  }

  #find(number: number): Entry | undefined {
    for (const section of this.sections) {
      const entry = section.find(number);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  #unpack(number: number, stream: number, index: number): IndirectObject {
    const { data, numbers, offsets } = this.#objectStream(stream);
    const offset = offsets[index];
    if (numbers[index] !== number || offset === undefined) {
      throw damaged(`object ${number} is not in object stream ${stream}`);
    }
    return new Lexer(data, offset, this.#budget).spannedValue();
  }

  /** (7.5.7) */
  #objectStream(number: number): ObjectStream {
    const known = this.#objectStreams.get(number);
    if (known !== undefined) return known;
    const object = this.#object(number);
    if (!(object?.value instanceof Dict)) throw damaged(`object stream ${number} is nowhere`);
    const dict = object.value;
    const count = this.get(dict, 'N');
    const first = this.get(dict, 'First');
    if (typeof count !== 'number' || typeof first !== 'number') throw damaged(`object stream ${number}`);
    const data = readStream(object, (key) => this.get(dict, key), this.#budget);
    const header = new Lexer(data, 0, this.#budget);
    const numbers: number[] = [];
    const offsets: number[] = [];
    for (let i = 0; i < count; i++) {
      numbers.push(header.expectCount());
      offsets.push(first + header.expectCount());
    }
    const opened = { data, numbers, offsets };
    this.#objectStreams.set(number, opened);
    return opened;
  }
}

/** `%PDF-1.7` (7.5.2). */
function findHeader(bytes: Buffer): number {
  const offset = bytes.toString('latin1', 0, HEADER_WINDOW).search(/%PDF-\d\.\d/);
  if (offset < 0) throw new FormatError('NOT_A_PDF', 'The file is not a PDF.');
  return offset;
}

/** The last `startxref` and the `%%EOF` that has to follow it (7.5.5): what it says, and where the marker ends. */
export function findStartXref(bytes: Buffer): { readonly offset: number; readonly end: number } {
  const from = Math.max(0, bytes.length - TAIL_WINDOW);
  const tail = bytes.toString('latin1', from);
  const at = tail.lastIndexOf('startxref');
  const marker = at < 0 ? null : /^startxref\s+(\d{1,15})\s+%%EOF/.exec(tail.slice(at));
  if (marker === null) throw damaged('no end of file marker');
  return { offset: Number(marker[1]), end: from + at + marker[0].length };
}
