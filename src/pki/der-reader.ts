/**
 * A strict reader of DER (ITU-T X.690 section 10 and 11): a cursor over one buffer that reads what it is told to expect. Each method
 * reads one element and moves on; what is left unread in an element is an error, so no octet goes unseen.
 */
import { tags } from './der-tags.ts';
import { decodeGeneralizedTime, decodeObjectIdentifier, decodeTime } from './der-values.ts';
import { DerError } from './errors.ts';

/** Deeper than any message of X.509, CMS and RFC 3161 nested in each other, and far from the end of the stack. */
const maxDepth = 64;

/**
 * Reads one DER value that fills `bytes` exactly.
 * @param read What to expect; its result is returned. Octets it returns are views of `bytes`, which must not change afterwards.
 * @param maxBytes Longest input accepted, in octets.
 * @throws {DerError} at the first octet that is not what the encoding or `read` demands.
 */
export function decode<T>(bytes: Uint8Array, read: (reader: DerReader) => T, maxBytes = 1_048_576): T {
  if (bytes.length > maxBytes) {
    throw new DerError('DER_SIZE', 'limit of this program', maxBytes, `More than ${maxBytes} octets`);
  }
  const reader = new DerReader(view(bytes));
  const value = read(reader);
  reader.end();
  return value;
}

/**
 * The DER element at the start of a zero-filled field, such as `/Contents` of a PDF signature (ISO 32000-2 12.8.3.3.1). It is cut by
 * its own length: DER may itself end in zeros.
 * @throws {DerError} DER_TRAILING when anything but zeros follows.
 */
export function withoutZeroPadding(bytes: Uint8Array): Buffer {
  const all = view(bytes);
  const der = new DerReader(all).any();
  const stray = all.findIndex((octet, index) => index >= der.length && octet !== 0);
  if (stray >= 0) {
    throw new DerError('DER_TRAILING', 'ISO 32000-2 12.8.3.3.1', stray, 'Only zeros may pad the value');
  }
  return der;
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Made by {@link decode}. `tag` arguments are for IMPLICIT tagging; they default to the type's universal tag. */
export class DerReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #depth: number;
  #offset: number;

  constructor(bytes: Buffer, offset = 0, end = bytes.length, depth = 0) {
    if (depth > maxDepth) {
      throw new DerError(
        'DER_DEPTH',
        'limit of this program',
        offset,
        `Nested deeper than ${maxDepth} elements`,
      );
    }
    this.#bytes = bytes;
    this.#end = end;
    this.#depth = depth;
    this.#offset = offset;
  }

  /** Where the next element begins, in octets from the start of what {@link decode} was given. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether nothing is left. */
  get done(): boolean {
    return this.#offset === this.#end;
  }

  /** Whether an element of this tag comes next. */
  next(tag: number): boolean {
    return !this.done && this.#bytes[this.#offset] === tag;
  }

  /** @throws {DerError} DER_TRAILING unless nothing is left. */
  end(): void {
    if (!this.done) this.#fail('DER_TRAILING', 'X.690 8.1.1', this.#offset, 'Nothing may follow here');
  }

  /** SEQUENCE, SET, EXPLICIT tag: `read` must consume all that is inside. */
  constructed<T>(tag: number, read: (inner: DerReader) => T): T {
    const end = this.#enter(tag);
    const inner = new DerReader(this.#bytes, this.#offset, end, this.#depth + 1);
    const value = read(inner);
    inner.end();
    this.#offset = end;
    return value;
  }

  sequence<T>(read: (inner: DerReader) => T): T {
    return this.constructed(tags.sequence, read);
  }

  /** SEQUENCE OF; also SET OF where the standard allows BER, whose order says nothing. */
  listOf<T>(read: (item: DerReader) => T, tag: number = tags.sequence): T[] {
    return this.constructed(tag, (inner) => {
      const items: T[] = [];
      while (!inner.done) items.push(read(inner));
      return items;
    });
  }

  /** SET OF, sorted as DER demands (X.690 11.6). */
  setOf<T>(read: (item: DerReader) => T, tag: number = tags.set): T[] {
    let previous: Buffer | undefined;
    return this.listOf((inner) => {
      const { value, der } = inner.withBytes(read);
      if (previous && Buffer.compare(previous, der) > 0) {
        this.#fail(
          'DER_ORDER',
          'X.690 11.6',
          inner.#offset - der.length,
          'A SET OF is sorted by its encodings',
        );
      }
      previous = der;
      return value;
    }, tag);
  }

  /** What `read` gives when an element of this tag comes next, otherwise `undefined`. */
  optional<T>(tag: number, read: (reader: DerReader) => T): T | undefined {
    return this.next(tag) ? read(this) : undefined;
  }

  /** What `read` gives, and the exact octets that it read. */
  withBytes<T>(read: (reader: DerReader) => T): { readonly value: T; readonly der: Buffer } {
    const start = this.#offset;
    const value = read(this);
    return { value, der: this.#bytes.subarray(start, this.#offset) };
  }

  /** The octets of one element of any kind. Its nesting and lengths are checked to the bottom, its values are not. */
  any(): Buffer {
    const start = this.#offset;
    const end = this.#enter();
    const tag = this.#bytes[start] ?? 0;
    const isConstructed = (tag & 0x20) !== 0;
    if (tag >> 6 === 0) {
      const number = tag & 0x1f;
      // SEQUENCE, SET and the three types made of them are constructed, all others primitive: no strings in pieces.
      const mustBeConstructed = [8, 11, 16, 17, 29].includes(number);
      if (number === 0 || isConstructed !== mustBeConstructed) {
        this.#fail('DER_TAG', 'X.690 10.2', start, 'A universal type in a form that DER does not have');
      }
    }
    if (isConstructed) {
      const inner = new DerReader(this.#bytes, this.#offset, end, this.#depth + 1);
      while (!inner.done) inner.any();
    }
    this.#offset = end;
    return this.#bytes.subarray(start, end);
  }

  boolean(tag: number = tags.boolean): boolean {
    const { contents, start } = this.#primitive(tag);
    const [octet] = contents;
    if (contents.length !== 1 || (octet !== 0x00 && octet !== 0xff)) {
      this.#fail('DER_VALUE', 'X.690 11.1', start, 'A BOOLEAN is one octet, 00 or FF');
    }
    return octet === 0xff;
  }

  /** BOOLEAN DEFAULT FALSE: `false` is left out, never written (X.690 11.5). */
  booleanDefaultFalse(): boolean {
    const start = this.#offset;
    if (!this.next(tags.boolean)) return false;
    if (!this.boolean()) this.#fail('DER_VALUE', 'X.690 11.5', start, 'A default value is left out');
    return true;
  }

  /** INTEGER as its contents octets: two's complement, most significant first, as short as can be. */
  integer(tag: number = tags.integer): Buffer {
    const { contents, start } = this.#primitive(tag);
    const [first, second = 0] = contents;
    const isPadded =
      contents.length > 1 && ((first === 0x00 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (first === undefined || isPadded) {
      this.#fail('DER_VALUE', 'X.690 8.3.2', start, 'An INTEGER has one octet or more, and as few as can be');
    }
    return contents;
  }

  /** INTEGER from 0 to 2^31 - 1. */
  smallInteger(tag: number = tags.integer): number {
    const start = this.#offset;
    const contents = this.integer(tag);
    const value = contents.length <= 4 ? contents.readIntBE(0, contents.length) : -1;
    if (value < 0) this.#fail('DER_VALUE', 'limit of this program', start, 'An INTEGER from 0 to 2147483647');
    return value;
  }

  /** BIT STRING that is whole octets. */
  bitString(tag: number = tags.bitString): Buffer {
    const start = this.#offset;
    const { bytes, unusedBits } = this.#bits(tag);
    if (unusedBits !== 0) this.#fail('DER_VALUE', 'X.690 8.6.2', start, 'A BIT STRING of whole octets');
    return bytes;
  }

  /** Named bit list: the numbers of the bits that are one (X.690 11.2.2: the last bit written is one). */
  namedBits(tag: number = tags.bitString): number[] {
    const start = this.#offset;
    const { bytes, unusedBits } = this.#bits(tag);
    const length = bytes.length * 8 - unusedBits;
    const bits = Array.from({ length }, (_, bit) => bit).filter(
      (bit) => (bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7)),
    );
    if (length > 0 && bits.at(-1) !== length - 1) {
      this.#fail('DER_VALUE', 'X.690 11.2.2', start, 'A named bit list ends with a one');
    }
    return bits;
  }

  octetString(tag: number = tags.octetString): Buffer {
    return this.#primitive(tag).contents;
  }

  null(tag: number = tags.null): void {
    const { contents, start } = this.#primitive(tag);
    if (contents.length > 0) this.#fail('DER_VALUE', 'X.690 8.8.2', start, 'NULL has no contents');
  }

  /** @returns Dotted decimal. */
  objectIdentifier(tag: number = tags.objectIdentifier): string {
    const { contents, start } = this.#primitive(tag);
    return (
      decodeObjectIdentifier(contents) ??
      this.#fail('DER_VALUE', 'X.690 8.19', start, 'Not an object identifier in its shortest form')
    );
  }

  utf8String(tag: number = tags.utf8String): string {
    const { contents, start } = this.#primitive(tag);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(contents);
    } catch {
      return this.#fail('DER_VALUE', 'X.690 8.23.10', start, 'Not UTF-8');
    }
  }

  printableString(tag: number = tags.printableString): string {
    return this.#text(tag, /^[A-Za-z0-9 '()+,\-./:=?]*$/, 'X.680 41.4', 'Not a PrintableString');
  }

  ia5String(tag: number = tags.ia5String): string {
    return this.#text(tag, /^[\0-\x7f]*$/, 'X.680 41.2', 'Not an IA5String');
  }

  /** Time of RFC 5280 4.1.2.5: UTCTime from 1950 to 2049, otherwise GeneralizedTime; whole seconds, Z, a real date. */
  time(): Date {
    const type = this.next(tags.utcTime) ? 'utcTime' : 'generalizedTime';
    const { contents, start } = this.#primitive(tags[type]);
    return (
      decodeTime(type, contents.toString('latin1')) ??
      this.#fail('DER_VALUE', 'RFC 5280 4.1.2.5', start, 'Not a time in the one form allowed')
    );
  }

  /**
   * GeneralizedTime in UTC, of any year.
   * @param precision `seconds`: whole ones (RFC 5280 4.1.2.5.2). `fraction`: X.690 11.7 with parts of a second.
   */
  generalizedTime(precision: 'seconds' | 'fraction' = 'seconds'): Date {
    const { contents, start } = this.#primitive(tags.generalizedTime);
    return (
      decodeGeneralizedTime(contents.toString('latin1'), precision) ??
      this.#fail('DER_VALUE', 'X.690 11.7', start, 'Not a time in the one form allowed')
    );
  }

  /** ENUMERATED from 0 to 127. */
  enumerated(): number {
    const { contents, start } = this.#primitive(tags.enumerated);
    const [value] = contents;
    if (value === undefined || contents.length !== 1 || value > 0x7f)
      this.#fail('DER_VALUE', 'limit of this program', start, 'An ENUMERATED from 0 to 127');
    return value;
  }

  #text(tag: number, allowed: RegExp, clause: string, problem: string): string {
    const { contents, start } = this.#primitive(tag);
    const text = contents.toString('latin1');
    return allowed.test(text) ? text : this.#fail('DER_VALUE', clause, start, problem);
  }

  #bits(tag: number): { bytes: Buffer; unusedBits: number } {
    const { contents, start } = this.#primitive(tag);
    const [unusedBits] = contents;
    const bytes = contents.subarray(1);
    const lastOctet = bytes.at(-1);
    if (
      unusedBits === undefined ||
      unusedBits > 7 ||
      (lastOctet === undefined ? unusedBits !== 0 : (lastOctet & ((1 << unusedBits) - 1)) !== 0)
    ) {
      this.#fail(
        'DER_VALUE',
        'X.690 11.2.1',
        start,
        'A BIT STRING says 0 to 7 unused bits, and they are zero',
      );
    }
    return { bytes, unusedBits };
  }

  #primitive(tag: number): { contents: Buffer; start: number } {
    const start = this.#offset;
    const end = this.#enter(tag);
    const contents = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return { contents, start };
  }

  /** Moves past identifier and length octets (X.690 8.1.2, 8.1.3, 10.1) to the contents. @returns Where the contents end. */
  #enter(expected?: number): number {
    const start = this.#offset;
    const tag = this.#octet();
    if (expected !== undefined && tag !== expected) {
      this.#fail('DER_TAG', 'X.690 8.1.2', start, `Tag ${hex(tag)} where ${hex(expected)} belongs`);
    }
    if ((tag & 0x1f) === 0x1f)
      this.#fail('DER_TAG', 'X.690 8.1.2.4', start, 'No type here has such a high tag number');
    const first = this.#octet();
    let length = first;
    if (first >= 0x80) {
      const count = first & 0x7f;
      if (count === 0) this.#fail('DER_LENGTH', 'X.690 10.1', start, 'The indefinite form of length');
      if (count > 4)
        this.#fail('DER_LENGTH', 'limit of this program', start, 'A length of more than four octets');
      length = 0;
      for (let left = count; left > 0; left--) length = length * 256 + this.#octet();
      if (length < 0x80 || length < 256 ** (count - 1)) {
        this.#fail('DER_LENGTH', 'X.690 10.1', start, 'A length in more octets than it needs');
      }
    }
    const end = this.#offset + length;
    if (end > this.#end)
      this.#fail('DER_TRUNCATED', 'X.690 8.1.3', start, 'An element longer than what holds it');
    return end;
  }

  #octet(): number {
    const octet = this.#offset < this.#end ? this.#bytes[this.#offset] : undefined;
    if (octet === undefined)
      this.#fail('DER_TRUNCATED', 'X.690 8.1.1', this.#offset, 'The octets end too early');
    this.#offset++;
    return octet;
  }

  #fail(code: DerError['code'], clause: string, offset: number, problem: string): never {
    throw new DerError(code, clause, offset, problem);
  }
}

function hex(tag: number): string {
  return tag.toString(16).toUpperCase().padStart(2, '0');
}
