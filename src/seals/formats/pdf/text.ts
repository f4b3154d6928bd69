/** Text strings and dates (ISO 32000-2, 7.9.2 and 7.9.4). */
import type { PdfString } from './values.ts';

/** PDFDocEncoding where it differs from ISO 8859-1 (annex D.3): 0x18 to 0x1f, then 0x80 to 0xa0. */
const DOC_ENCODING_LOW = '\u02d8\u02c7\u02c6\u02d9\u02dd\u02db\u02da\u02dc';
const DOC_ENCODING_HIGH =
  '\u2022\u2020\u2021\u2026\u2014\u2013\u0192\u2044\u2039\u203a\u2212\u2030\u201e\u201c\u201d\u2018' +
  '\u2019\u201a\u2122\ufb01\ufb02\u0141\u0152\u0160\u0178\u017d\u0131\u0142\u0153\u0161\u017e\ufffd\u20ac';

/** Writes a text string: as it is when it is plain ASCII, otherwise in UTF-16BE. */
export function writeText(text: string): string {
  if (/^[ -~]*$/.test(text)) return `(${text.replace(/[\\()]/g, '\\$&')})`;
  return `<feff${Buffer.from(text, 'utf16le').swap16().toString('hex')}>`;
}

/** Reads a text string in any of its three encodings. */
export function readText({ bytes }: PdfString): string {
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    return Buffer.from(bytes.subarray(2, bytes.length & ~1))
      .swap16()
      .toString('utf16le');
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return bytes.toString('utf8', 3);
  return bytes
    .toString('latin1')
    .replace(/[\x18-\x1f]/g, (character) => DOC_ENCODING_LOW.charAt(character.charCodeAt(0) - 0x18))
    .replace(/[\x80-\xa0]/g, (character) => DOC_ENCODING_HIGH.charAt(character.charCodeAt(0) - 0x80));
}

/** `(D:20260131235959+00'00')`, always in UTC. */
export function writeDate(date: Date): string {
  const digits = date.toISOString().replace(/\D/g, '').slice(0, 14);
  return `(D:${digits}+00'00')`;
}

const DATE =
  /^D:(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\d\d)?)?)?)?)?(?:Z.*|([+-])(\d\d)(?:'(\d\d)?)?'?)?$/;

/** Reads a date; what is left out counts from the beginning, a missing zone is UTC. `undefined` when it is none. */
export function readDate(text: string): Date | undefined {
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, sign, zoneHours, zoneMinutes] = match;
  const field = (digits: string | undefined, least: number) =>
    digits === undefined ? least : Number(digits);
  const zone = (field(zoneHours, 0) * 60 + field(zoneMinutes, 0)) * (sign === '-' ? -1 : 1);
  const [monthNumber, dayNumber] = [field(month, 1), field(day, 1)];
  const local = Date.UTC(
    Number(year),
    monthNumber - 1,
    dayNumber,
    field(hour, 0),
    field(minute, 0),
    field(second, 0),
  );
  const asRead = new Date(local);
  // 31 February is no date, though `Date` makes one of it.
  if (asRead.getUTCMonth() !== monthNumber - 1 || asRead.getUTCDate() !== dayNumber) return undefined;
  return new Date(local - zone * 60_000);
}
