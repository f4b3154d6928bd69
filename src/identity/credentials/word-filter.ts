/**
 * A list of words as a Bloom filter (Bloom 1970): a few bits for each word. It has every word that it was made from, and of other words
 * about one in a hundred thousand by mistake. Pure.
 */

/** The file: `YXCP`, the number of bits and of probes (32 bits each, big-endian), then the bits. */
const MAGIC = 'YXCP';
const HEADER_BYTES = 12;
/** Two running hashes of a text, read sign by sign: FNV-1a with two primes, mixed at the end as MurmurHash3 does. */
export class TextHash {
  #one = 0x811c9dc5;
  #two = 0x9747b28c;

  add(sign: number): void {
    this.#one = Math.imul(this.#one ^ sign, 0x01000193);
    this.#two = Math.imul(this.#two ^ sign, 0x5bd1e995);
  }

  /** Positions of the text among `bits`, one after another (enhanced double hashing, Dillinger and Manolios 2004). */
  *positions(bits: number, probes: number): Generator<number> {
    let position = mix(this.#one) % bits;
    let step = mix(this.#two) % bits;
    for (let probe = 0; probe < probes; probe++) {
      yield position;
      position = (position + step) % bits;
      step = (step + probe + 1) % bits;
    }
  }
}

function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

export interface WordFilter {
  has(hash: TextHash): boolean;
}

/** @throws {TypeError} the file is not a filter, or cut short. */
export function readWordFilter(file: Buffer): WordFilter {
  const bits = file.length < HEADER_BYTES ? 0 : file.readUInt32BE(4);
  const probes = bits === 0 ? 0 : file.readUInt32BE(8);
  if (
    file.toString('latin1', 0, MAGIC.length) !== MAGIC ||
    bits === 0 ||
    file.length !== HEADER_BYTES + Math.ceil(bits / 8)
  )
    throw new TypeError('the word filter is damaged');
  return {
    has(hash) {
      for (const position of hash.positions(bits, probes))
        if (((file[HEADER_BYTES + (position >>> 3)] ?? 0) & (1 << (position & 7))) === 0) return false;
      return true;
    },
  };
}

/** The file of a filter with these words. With 24 bits and 17 probes for each word, one in 100 000 of other words is in it. */
export function writeWordFilter(words: readonly string[]): Buffer {
  const bits = words.length * 24;
  const probes = 17;
  const file = Buffer.alloc(HEADER_BYTES + Math.ceil(bits / 8));
  file.write(MAGIC, 'latin1');
  file.writeUInt32BE(bits, 4);
  file.writeUInt32BE(probes, 8);
  for (const word of words)
    for (const position of hashOf(word).positions(bits, probes))
      file[HEADER_BYTES + (position >>> 3)] =
        (file[HEADER_BYTES + (position >>> 3)] ?? 0) | (1 << (position & 7));
  return file;
}

export function hashOf(text: string): TextHash {
  const hash = new TextHash();
  for (const sign of text) hash.add(sign.codePointAt(0) ?? 0);
  return hash;
}
