/** Reads PDF syntax (ISO 32000-2, 7.2 and 7.3) out of bytes: strictly, within bounds, and only as far as it is asked. */
import { type Budget, LIMITS, beyondLimits, damaged } from './refusals.ts';
import { Dict, type IndirectObject, PdfString, Ref, type Span, type Value } from './values.ts';

const REGULAR = 0;
const SPACE = 1;
const DELIMITER = 2;

const CLASS_OF = new Uint8Array(256);
for (const byte of [0, 9, 10, 12, 13, 32]) CLASS_OF[byte] = SPACE;
for (const character of '()<>[]{}/%') CLASS_OF[character.charCodeAt(0)] = DELIMITER;

const LF = 10;
const CR = 13;
const ESCAPES: Readonly<Record<string, number>> = { n: LF, r: CR, t: 9, b: 8, f: 12 };

const code = (character: string): number => character.charCodeAt(0);
const [OPEN_PAREN, CLOSE_PAREN, BACKSLASH] = [code('('), code(')'), code('\\')];
const [OPEN_ANGLE, CLOSE_ANGLE, OPEN_SQUARE, CLOSE_SQUARE] = [code('<'), code('>'), code('['), code(']')];
const [SLASH, PERCENT, HASH, PLUS, MINUS, DOT, ZERO, NINE] = Array.from('/%#+-.09', code) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];
/** Digits, sign and point; the longest that producers write has some twenty. */
const LONGEST_NUMBER = 64;
const UPPER_R = code('R');

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** What may follow a token: anything that cannot continue it, or the end. */
function endsToken(byte: number | undefined): boolean {
  return byte === undefined || CLASS_OF[byte] !== REGULAR;
}

/** A reading position in `bytes`. Every fault is a `FormatError` PDF_DAMAGED or PDF_BEYOND_LIMITS. */
export class Lexer {
  readonly bytes: Buffer;
  readonly #budget: Budget;
  position: number;

  constructor(bytes: Buffer, position: number, budget: Budget) {
    this.bytes = bytes;
    this.position = position;
    this.#budget = budget;
  }

  /** Skips white space and comments. */
  skipSpace(): void {
    const { bytes } = this;
    let at = this.position;
    for (; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (byte === PERCENT) {
        while (at < bytes.length && bytes[at] !== LF && bytes[at] !== CR) at++;
      } else if (CLASS_OF[byte] !== SPACE) break;
    }
    this.position = at;
  }

  /** Takes `word` if it is the next token. */
  takeKeyword(word: string): boolean {
    this.skipSpace();
    const end = this.position + word.length;
    if (!endsToken(this.bytes[end]) || this.bytes.toString('latin1', this.position, end) !== word)
      return false;
    this.position = end;
    return true;
  }

  expectKeyword(word: string): void {
    if (!this.takeKeyword(word)) throw this.#fault(`'${word}' expected`);
  }

  /** Takes the next token if it is an integer without a sign. */
  takeCount(): number | undefined {
    this.skipSpace();
    const { bytes, position } = this;
    let at = position;
    while (isDigit(bytes[at])) at++;
    if (at === position || at - position > 15 || !endsToken(bytes[at])) return undefined;
    this.position = at;
    return Number(bytes.toString('latin1', position, at));
  }

  expectCount(): number {
    const count = this.takeCount();
    if (count === undefined) throw this.#fault('an integer expected');
    return count;
  }

  /** Reads one value of any type. */
  value(depth = 0): Value {
    this.#budget.spendValue();
    this.skipSpace();
    const { bytes, position } = this;
    const first = bytes[position];
    switch (first) {
      case SLASH:
        return this.#name();
      case OPEN_PAREN:
        return this.#literalString();
      case OPEN_SQUARE:
        return this.#array(depth);
      case OPEN_ANGLE:
        return bytes[position + 1] === OPEN_ANGLE ? this.#dictionary(depth) : this.#hexString();
    }
    if (isDigit(first)) return this.#reference() ?? this.#number();
    if (first === PLUS || first === MINUS || first === DOT) return this.#number();
    if (this.takeKeyword('null')) return null;
    if (this.takeKeyword('true')) return true;
    if (this.takeKeyword('false')) return false;
    throw this.#fault('a value expected');
  }

  /** Reads `12 0 obj ... endobj`, or up to the data of a stream (7.3.10, 7.3.8). */
  indirectObject(expected: { number: number; generation: number } | undefined): IndirectObject {
    const begin = this.position;
    const number = this.expectCount();
    const generation = this.expectCount();
    this.expectKeyword('obj');
    if (expected !== undefined && (number !== expected.number || generation !== expected.generation)) {
      throw damaged(`object ${expected.number} ${expected.generation} is not at offset ${begin}`);
    }
    const { value, start, end } = this.spannedValue();
    if (value instanceof Dict && this.takeKeyword('stream')) {
      if (this.bytes[this.position] === CR) this.position++;
      if (this.bytes[this.position] !== LF) throw this.#fault("a line feed after 'stream' expected");
      return { value, generation, bytes: this.bytes, start, end, dataStart: this.position + 1 };
    }
    this.expectKeyword('endobj');
    return { value, generation, bytes: this.bytes, start, end };
  }

  /** Reads a value without `obj` and `endobj`, as objects stand inside an object stream; their generation is 0. */
  spannedValue(): IndirectObject {
    const begin = this.position;
    this.skipSpace();
    const start = this.position;
    const value = this.value();
    this.#budget.spendSyntax(this.position - begin);
    return { value, generation: 0, bytes: this.bytes, start, end: this.position };
  }

  /** Reads a dictionary and says where the value of each entry was written. */
  entrySpans(): Map<string, Span> {
    const spans = new Map<string, Span>();
    this.#entries(0, (key, _value, start) => {
      spans.set(key, { bytes: this.bytes, start, end: this.position });
    });
    return spans;
  }

  #array(depth: number): Value[] {
    if (depth >= LIMITS.depth) throw beyondLimits('depth');
    this.position++;
    const items: Value[] = [];
    for (;;) {
      this.skipSpace();
      if (this.bytes[this.position] === CLOSE_SQUARE) {
        this.position++;
        return items;
      }
      items.push(this.value(depth + 1));
    }
  }

  #dictionary(depth: number): Dict {
    const start = this.position;
    const entries = new Map<string, Value>();
    this.#entries(depth, (key, value) => {
      entries.set(key, value);
    });
    return new Dict(entries, this.bytes, start, this.position);
  }

  /** A key that stands twice is a fault: of two readers, one takes the first and the other the last. */
  #entries(depth: number, take: (key: string, value: Value, valueStart: number) => void): void {
    if (depth >= LIMITS.depth) throw beyondLimits('depth');
    this.position += 2;
    const seen = new Set<string>();
    for (;;) {
      this.skipSpace();
      const byte = this.bytes[this.position];
      if (byte === CLOSE_ANGLE && this.bytes[this.position + 1] === CLOSE_ANGLE) {
        this.position += 2;
        return;
      }
      if (byte !== SLASH) throw this.#fault('a key expected');
      const key = this.#name();
      if (seen.has(key)) throw this.#fault('the same key twice');
      seen.add(key);
      this.skipSpace();
      const start = this.position;
      take(key, this.value(depth + 1), start);
    }
  }

  #name(): string {
    const { bytes } = this;
    const start = ++this.position;
    let at = start;
    let escaped = false;
    for (; !endsToken(bytes[at]); at++) escaped ||= bytes[at] === HASH;
    if (at - start > LIMITS.stringBytes) throw beyondLimits('stringBytes');
    this.position = at;
    const written = bytes.toString('latin1', start, at);
    if (!escaped) return written;
    return written.replace(/#([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  }

  #number(): number {
    const { bytes, position } = this;
    let at = position;
    while (at - position <= LONGEST_NUMBER && !endsToken(bytes[at])) at++;
    const written = bytes.toString('latin1', position, at);
    if (at - position > LONGEST_NUMBER || !/^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(written))
      throw this.#fault('a number expected');
    this.position = at;
    return Number(written);
  }

  /** `12 0 R`, or nothing taken. */
  #reference(): Ref | undefined {
    const { position } = this;
    const number = this.takeCount();
    const generation = number === undefined ? undefined : this.takeCount();
    if (number !== undefined && generation !== undefined) {
      this.skipSpace();
      if (this.bytes[this.position] === UPPER_R && endsToken(this.bytes[this.position + 1])) {
        this.position++;
        return new Ref(number, generation);
      }
    }
    this.position = position;
    return undefined;
  }

  #hexString(): PdfString {
    const end = this.bytes.indexOf(CLOSE_ANGLE, this.position);
    if (end < 0) throw this.#fault('a string without an end');
    if (end - this.position > 2 * LIMITS.stringBytes) throw beyondLimits('stringBytes');
    const written = this.bytes.toString('latin1', this.position + 1, end);
    this.position = end + 1;
    const bytes = Buffer.from(written, 'hex');
    // Decoding ends at the first character that is no digit: mostly there is none.
    return new PdfString(bytes.length * 2 === written.length ? bytes : this.#spacedHex(written));
  }

  /** White space between digits counts for nothing, and a missing last one is 0 (7.3.4.3). */
  #spacedHex(written: string): Buffer {
    const digits = written.replace(/[\0\t\n\f\r ]+/g, '');
    if (!/^[0-9A-Fa-f]*$/.test(digits)) throw this.#fault('a hexadecimal digit expected');
    return Buffer.from(digits.length % 2 === 0 ? digits : `${digits}0`, 'hex');
  }

  #literalString(): PdfString {
    const { bytes } = this;
    const out: number[] = [];
    let open = 1;
    let at = this.position + 1;
    for (;;) {
      if (at >= bytes.length) throw this.#fault('a string without an end');
      if (out.length > LIMITS.stringBytes) throw beyondLimits('stringBytes');
      let byte = bytes[at++] as number;
      if (byte === CLOSE_PAREN && --open === 0) break;
      if (byte === OPEN_PAREN) open++;
      if (byte === BACKSLASH) {
        const octal = /^[0-7]{1,3}/.exec(bytes.toString('latin1', at, at + 3))?.[0];
        if (octal !== undefined) {
          at += octal.length;
          byte = parseInt(octal, 8) & 0xff;
        } else {
          byte = bytes[at++] ?? LF;
          // A line end after a backslash joins two lines.
          if (byte === CR && bytes[at] === LF) at++;
          if (byte === CR || byte === LF) continue;
          byte = ESCAPES[String.fromCharCode(byte)] ?? byte;
        }
      } else if (byte === CR) {
        // Every line end inside a string means one line feed (7.3.4.2).
        if (bytes[at] === LF) at++;
        byte = LF;
      }
      out.push(byte);
    }
    this.position = at;
    return new PdfString(Buffer.from(out));
  }

  #fault(detail: string): Error {
    return damaged(`${detail} at offset ${this.position}`);
  }
}
