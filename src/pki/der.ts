/** DER, the one encoding of an ASN.1 value (ITU-T X.690, 2021): a writer of elements here, the reader in `der-reader.ts`. */
import { encodeGeneralizedTime, encodeObjectIdentifier, encodeTime } from './der-values.ts';
import { tags } from './der-tags.ts';

export { tags, contextTag } from './der-tags.ts';
export { decode } from './der-reader.ts';
export type { DerReader } from './der-reader.ts';

/** One element: identifier octet, minimal definite length, contents (X.690 8.1). All functions below return such an element. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([header(tag, length), ...contents]);
}

function header(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length);
  const octets: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256);
  return Uint8Array.of(tag, 0x80 | octets.length, ...octets);
}

/** The same element under another tag: IMPLICIT tagging (X.690 8.14). */
export function retagged(tag: number, der: Uint8Array): Buffer {
  const copy = Buffer.from(der);
  copy[0] = tag;
  return copy;
}

/** SEQUENCE and SEQUENCE OF: the elements in the order given. */
export function sequence(...elements: readonly Uint8Array[]): Buffer {
  return element(tags.sequence, ...elements);
}

/** SET OF: the elements sorted by their encodings (X.690 11.6). */
export function setOf(elements: readonly Uint8Array[], tag: number = tags.set): Buffer {
  return element(tag, ...elements.toSorted((a, b) => Buffer.compare(a, b)));
}

export function boolean(value: boolean): Buffer {
  return element(tags.boolean, Uint8Array.of(value ? 0xff : 0x00));
}

/** @param value A whole number from 0 to 2^31 - 1, or the octets of an unsigned number of any size, most significant first. */
export function integer(value: number | Uint8Array): Buffer {
  let octets: Buffer;
  if (typeof value === 'number') {
    octets = Buffer.alloc(4);
    octets.writeInt32BE(value);
    if (!Number.isInteger(value) || value < 0) throw new RangeError(`Not a whole number from 0 on: ${value}`);
  } else {
    octets = Buffer.from(value);
  }
  const first = octets.findIndex((octet) => octet !== 0);
  const significant = first < 0 ? Buffer.alloc(1) : octets.subarray(first);
  const sign = (significant[0] ?? 0) < 0x80 ? Buffer.alloc(0) : Buffer.alloc(1);
  return element(tags.integer, sign, significant);
}

/** @param bytes All bits of all octets. */
export function bitString(bytes: Uint8Array): Buffer {
  return element(tags.bitString, Uint8Array.of(0), bytes);
}

/** A named bit list: numbers of the bits that are one, without trailing zero bits (X.690 11.2.2). */
export function namedBits(bits: readonly number[]): Buffer {
  const last = Math.max(-1, ...bits);
  const octets = new Uint8Array(Math.ceil((last + 1) / 8));
  for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return element(tags.bitString, Uint8Array.of(octets.length * 8 - (last + 1)), octets);
}

export function octetString(bytes: Uint8Array): Buffer {
  return element(tags.octetString, bytes);
}

export function nullValue(): Buffer {
  return element(tags.null);
}

/** @param oid Dotted decimal. */
export function objectIdentifier(oid: string): Buffer {
  return element(tags.objectIdentifier, encodeObjectIdentifier(oid));
}

/** @throws {TypeError} when a half of a surrogate pair stands alone. */
export function utf8String(text: string): Buffer {
  if (!text.isWellFormed()) throw new TypeError('Text with half a surrogate pair has no UTF-8');
  return element(tags.utf8String, Buffer.from(text, 'utf8'));
}

/** @throws {TypeError} when a character is not one of X.680 41.4: letters, digits, space and `'()+,-./:=?`. */
export function printableString(text: string): Buffer {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) throw new TypeError('Not a PrintableString');
  return element(tags.printableString, Buffer.from(text, 'latin1'));
}

/** @throws {TypeError} when a character is not ASCII. */
export function ia5String(text: string, tag: number = tags.ia5String): Buffer {
  if (/[^\0-\x7f]/.test(text)) throw new TypeError('Not an IA5String');
  return element(tag, Buffer.from(text, 'latin1'));
}

/** ENUMERATED (X.690 8.4). @param value From 0 to 127: no enumeration here has more. */
export function enumerated(value: number): Buffer {
  if (!Number.isInteger(value) || value < 0 || value > 0x7f)
    throw new RangeError(`Not in an enumeration: ${value}`);
  return element(tags.enumerated, Uint8Array.of(value));
}

/**
 * GeneralizedTime in UTC (X.690 11.7), where the standard has no choice of two types: in OCSP and in time-stamps.
 * @param precision Parts of a second are dropped, or written down to the millisecond without trailing zeros.
 */
export function generalizedTime(date: Date, precision: 'seconds' | 'milliseconds' = 'seconds'): Buffer {
  return element(tags.generalizedTime, Buffer.from(encodeGeneralizedTime(date, precision), 'latin1'));
}

/** Time of RFC 5280 4.1.2.5: UTCTime from 1950 to 2049, otherwise GeneralizedTime. Parts of a second are dropped. */
export function time(date: Date): Buffer {
  const { type, text } = encodeTime(date);
  return element(tags[type], Buffer.from(text, 'latin1'));
}
