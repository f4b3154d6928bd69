/**
 * How much of a password nobody could foresee. What everybody tries first counts for little, whatever its length: runs, repeats, listed
 * words, dates, and words that belong to the person or the service. A password is not refused for a word in it, only when little else is
 * left: the whole of it is judged (NIST SP 800-63B-4, section 3.1.1.2). Pure.
 */
import { TextHash, type WordFilter } from './word-filter.ts';

/** What a piece is worth, in signs. Three signs in a row are met by chance. */
const RUN_WORTH = 1;
const SHORT_RUN_WORTH = 2;
const WORD_WORTH = 2;
const CONTEXT_WORTH = 1;
const SHORT_RUN = 3;
/** Fewer signs are no word, and found by chance in any text. Chinese words are shorter. */
const LEAST_WORD = 4;
const LEAST_HANZI = 2;
/** No word of the list has more, and nobody repeats what is longer. */
const MOST_PIECE = 24;

/** Whether this is long enough, and short enough, to be looked up as a word. */
export function isWord(text: string): boolean {
  const { length } = [...text];
  return length >= leastWord(text) && length <= MOST_PIECE;
}

/** Signs that a word in this script has at least. */
function leastWord(text: string): number {
  return /[\u2e80-\uffff]/.test(text) ? LEAST_HANZI : LEAST_WORD;
}

/** Lines along which fingers run: rows, columns, and the zigzag between two neighbouring lines. */
const ROWS = ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'", 'zxcvbnm,./', '!@#$%^&*()_+', '7894561230'];
const COLUMNS = ['1qaz', '2wsx', '3edc', '4rfv', '5tgb', '6yhn', '7ujm', '8ik,', '9ol.', '0p;/'];
const ZIGZAGS = ['1q2w3e4r5t6y7u8i9o0p', 'q1w2e3r4t5y6u7i8o9p0', 'qawsedrftgyhujikolp', 'aqswdefrgthyjukilo'];
const LINES = [...ROWS, ...COLUMNS, ...ZIGZAGS, COLUMNS.join('')].flatMap((line) => [
  line,
  [...line].toReversed().join(''),
]);

const MONTH_AND_DAY = '(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\\d|3[01])';
const DAY_AND_MONTH = '(?:0[1-9]|[12]\\d|3[01])(?:0[1-9]|1[0-2])';
const YEAR = '(?:19|20)\\d\\d';
/** A day of our time written together, in the orders that people use. */
const DATE = new RegExp(`^(?:${YEAR}${MONTH_AND_DAY}|${MONTH_AND_DAY}${YEAR}|${DAY_AND_MONTH}${YEAR})`);
/** The same without the century, or a year alone. In a longer number these are met by chance. */
const SHORT_DATE = new RegExp(`^(?:\\d\\d${MONTH_AND_DAY}|${DAY_AND_MONTH}\\d\\d|${YEAR})(?!\\d)`);

/** What is written for a letter. */
const SUBSTITUTES = { '@': 'a', '4': 'a', '3': 'e', '0': 'o', $: 's', '5': 's', '7': 't' };
/** What is written for either of two letters. */
const EITHER = ['1', '!'];
const READINGS = ['i', 'l'].map(
  (letter) => new Map([...Object.entries(SUBSTITUTES), ...EITHER.map((sign) => [sign, letter] as const)]),
);

/**
 * The least worth among all ways of cutting the password into pieces.
 * @param context Words that whoever tries would know: of the service, and of the person's own identifiers.
 * @param enough Worth from which on it does not matter how much it is.
 * @returns signs that nobody could foresee; not more than `enough`.
 */
export function unforeseen(
  password: string,
  { words, context, enough }: { words: WordFilter; context: readonly string[]; enough: number },
): number {
  const signs = [...password.normalize('NFKC').toLowerCase()];
  const substituted = READINGS.map((letters) => signs.map((sign) => letters.get(sign) ?? sign));
  const readings = signs.some((sign) => READINGS[0]?.has(sign)) ? [signs, ...substituted] : [signs];
  const known = context
    .map((word) => word.normalize('NFKC').toLowerCase())
    .flatMap((word) => [word, word.replace(/[^\p{L}\p{N}]/gu, '')]);
  // worth[i]: the least that the first i signs are worth.
  const worth = Array.from({ length: signs.length + 1 }, (_, i) => i);
  const reach = (end: number, value: number) => {
    worth[end] = Math.min(worth[end] ?? value, value);
  };

  for (let start = 0; start < signs.length; start++) {
    const here = worth[start] ?? start;
    // Every piece that crosses this place begins before it: when nothing ahead is worth less than enough, nothing will be.
    if (worth.slice(start).every((value) => value >= enough)) return enough;
    reach(start + 1, here + 1);
    const same = sameFrom(signs, start);
    for (let length = SHORT_RUN; length <= same; length++) reach(start + length, here + RUN_WORTH);
    const run = Math.max(evenFrom(signs, start), alongFrom(signs, start));
    for (let length = SHORT_RUN; length <= run; length++)
      reach(start + length, here + (length === SHORT_RUN ? SHORT_RUN_WORTH : RUN_WORTH));
    for (let period = 2; period <= Math.min(start, MOST_PIECE); period++)
      for (let length = repeatedFrom(signs, start, period); length >= period; length--)
        reach(start + length, here + RUN_WORTH);
    const date = dateFrom(signs, start);
    if (date !== undefined) reach(start + date, here + WORD_WORTH);
    for (const reading of readings)
      for (const { length, value } of wordsFrom(reading, start, words, known))
        reach(start + length, here + value);
  }
  return Math.min(worth[signs.length] ?? 0, enough);
}

/** How many times the sign at `start` follows itself. */
function sameFrom(signs: readonly string[], start: number): number {
  let end = start;
  while (end < signs.length && signs[end] === signs[start]) end += 1;
  return end - start;
}

/** Signs from `start` that follow each other at one small distance: `abc`, `8642`. */
function evenFrom(signs: readonly string[], start: number): number {
  const code = (i: number) => signs[i]?.codePointAt(0) ?? Number.NaN;
  const step = code(start + 1) - code(start);
  if (step === 0 || !(Math.abs(step) <= 3)) return 0;
  let end = start + 2;
  while (code(end) - code(end - 1) === step) end += 1;
  return end - start;
}

/** Signs from `start` along a line of the keyboard. */
function alongFrom(signs: readonly string[], start: number): number {
  let text = signs.slice(start, start + SHORT_RUN - 1).join('');
  let end = start + SHORT_RUN - 1;
  let lines: readonly string[] = LINES;
  while (end < signs.length) {
    text += signs[end] ?? '';
    lines = lines.filter((line) => line.includes(text));
    if (lines.length === 0) break;
    end += 1;
  }
  return end - start;
}

/** How many signs from `start` are the same as those a period before. */
function repeatedFrom(signs: readonly string[], start: number, period: number): number {
  let end = start;
  while (end < signs.length && signs[end] === signs[end - period]) end += 1;
  return end - start;
}

/** The length of the date that begins at `start`, if there is one. */
function dateFrom(signs: readonly string[], start: number): number | undefined {
  const text = signs.slice(start, start + 8).join('');
  const date = DATE.exec(text) ?? (isDigit(signs[start - 1]) ? undefined : SHORT_DATE.exec(text));
  return date?.[0].length;
}

function isDigit(sign: string | undefined): boolean {
  return sign !== undefined && sign >= '0' && sign <= '9' && sign.length === 1;
}

/** The words that begin at `start`, with their worth: listed ones, and parts of those of the context. */
function* wordsFrom(
  signs: readonly string[],
  start: number,
  words: WordFilter,
  context: readonly string[],
): Generator<{ readonly length: number; readonly value: number }> {
  const hash = new TextHash();
  const most = Math.min(MOST_PIECE, signs.length - start);
  let text = '';
  let least = LEAST_WORD;
  for (let length = 1; length <= most; length++) {
    const sign = signs[start + length - 1] ?? '';
    text += sign;
    hash.add(sign.codePointAt(0) ?? 0);
    least = Math.min(least, leastWord(sign));
    if (length < least) continue;
    if (context.some((word) => word.includes(text))) yield { length, value: CONTEXT_WORTH };
    else if (words.has(hash)) yield { length, value: WORD_WORTH };
  }
}
