/**
 * PDF objects as TypeScript values (ISO 32000-2, 7.3). A name is a `string`, a string is a `PdfString`, an array an array.
 * Dictionaries remember where they were written: a changed one is its own old bytes with some entries replaced, so that nothing
 * of the producer's is ever re-serialised.
 */

export type Value = null | boolean | number | string | PdfString | Ref | readonly Value[] | Dict;

/** A string: bytes, whose meaning depends on where they stand. */
export class PdfString {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/** An indirect reference. */
export class Ref {
  readonly number: number;
  readonly generation: number;

  constructor(number: number, generation: number) {
    this.number = number;
    this.generation = generation;
  }

  /** As it is written in a file. */
  get syntax(): string {
    return `${this.number} ${this.generation} R`;
  }
}

/** A stretch of `bytes`, from `start` to before `end`. */
export interface Span {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A dictionary and where it was written, angle brackets included. */
export class Dict implements Span {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly #entries: ReadonlyMap<string, Value>;

  constructor(entries: ReadonlyMap<string, Value>, bytes: Buffer, start: number, end: number) {
    this.#entries = entries;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** The entry as written (a reference is not followed); `undefined` when there is none. */
  get(key: string): Value | undefined {
    return this.#entries.get(key);
  }
}

/** An indirect object: its value, where the value was written, and where a stream's data begin. */
export interface IndirectObject extends Span {
  readonly value: Value;
  readonly generation: number;
  /** Offset of the first byte after `stream` and its line end; absent for other objects. */
  readonly dataStart?: number;
}

/** The bytes of a stretch, one character each. */
export function textOf(span: Span): string {
  return span.bytes.toString('latin1', span.start, span.end);
}

export function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** An integer that can count or locate something. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
