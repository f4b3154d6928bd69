/** Finds what must not be somewhere, in whatever way it is written there. */

export interface Needle {
  readonly name: string;
  readonly value: string;
  /** So short that it is only itself where nothing of its kind stands beside it. */
  readonly alone?: boolean;
}

const HEX = /[0-9a-fA-F]{16,}/g;
const BASE64 = /[A-Za-z0-9+/_-]{8,}/g;
const PERCENT = /(?:%[0-9a-fA-F]{2})+/g;
const UNICODE = /(?:\\u[0-9a-fA-F]{4})+/g;
/** A record in base64 holds a document that holds a token: nothing of ours is wrapped more often. */
const DEPTH = 3;

/** Octets as characters, so that text in UTF-8 and bytes that are none can be searched in one way. */
const octets = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

/** A text with all that is written in it as hexadecimal digits, base64, percent-encoding or \u escapes, and what is written in that. */
export function unfold(text: string): string {
  const parts = [octets(text)];
  let layer = parts;
  for (let depth = 0; depth < DEPTH; depth++) {
    layer = layer.flatMap(decodings);
    parts.push(...layer);
  }
  // Digits among hexadecimal ones mean nothing, and by chance anything; what they stand for is here already.
  return parts.map((part) => part.replaceAll(HEX, (run) => (/[a-fA-F]/.test(run) ? ' ' : run))).join('\n');
}

function decodings(text: string): string[] {
  const found: string[] = [];
  const add = (bytes: Buffer) => {
    const part = bytes.toString('latin1');
    // Where there is too little of anything, nothing can be in it.
    if (/[\x20-\x7e]{4}|[\x80-\xff]{6}/.test(part)) found.push(part);
  };
  for (const [run] of text.matchAll(HEX))
    for (const start of [0, 1]) add(Buffer.from(run.slice(start), 'hex'));
  // What stands before may look as if it belonged to it: every alignment is tried.
  for (const [run] of text.matchAll(BASE64))
    for (const start of [0, 1, 2, 3]) add(Buffer.from(run.slice(start), 'base64'));
  // These two stand between other signs: the text is read with them as what they mean.
  const read = text
    .replaceAll(PERCENT, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('latin1'))
    .replaceAll(UNICODE, (run) => octets(JSON.parse(`"${run}"`) as string));
  return read === text ? found : [...found, read];
}

/** The names of the needles that are in a text. Letters in upper or lower case, and in compatibility forms, are the same. */
export function leaksIn(text: string, needles: readonly Needle[]): string[] {
  const haystack = unfold(`${text}\n${text.normalize('NFKC')}`).toLowerCase();
  return needles.filter(({ value, alone }) => holds(haystack, value, alone === true)).map(({ name }) => name);
}

function holds(haystack: string, value: string, alone: boolean): boolean {
  for (const form of new Set([value, value.normalize('NFKC'), value.normalize('NFD')])) {
    const needle = octets(form).toLowerCase();
    if (alone ? new RegExp(`(?<![\\w.+-])${needle}(?![\\w.+-])`).test(haystack) : haystack.includes(needle))
      return true;
  }
  return false;
}
