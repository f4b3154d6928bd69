/**
 * Identity documents: what the number of each kind looks like, in one canonical form per kind, and what the number itself says. GB 11643
 * (citizen number, which residence permits and the permanent resident card of 2023 follow), ICAO Doc 9303 (passports). Pure: time is an
 * argument.
 */
import regions from '../../../config/regions.json' with { type: 'json' };

/** From the most usual to the rarest, as a page offers them. */
export const DOCUMENT_KINDS = [
  /** 居民身份证. */
  'resident-id',
  /** 港澳居民来往内地通行证. */
  'hk-macao-travel-permit',
  /** 港澳居民居住证. */
  'hk-macao-residence-permit',
  /** 台湾居民来往大陆通行证. */
  'taiwan-travel-permit',
  /** 台湾居民居住证. */
  'taiwan-residence-permit',
  /** 外国人永久居留身份证, the form of 15 signs and the one of 18. */
  'foreign-permanent-resident-card',
  /** Of any country: its number means something only together with who issued it. */
  'passport',
] as const;
export type DocumentKind = (typeof DOCUMENT_KINDS)[number];

export interface Document {
  readonly kind: DocumentKind;
  /** Canonical: half-width, upper case, no spaces, no count of re-issues. */
  readonly number: string;
  /** Of a passport: ICAO Doc 9303-3, section 5 (ISO 3166-1 alpha-3, or a code of fewer letters such as `D`). */
  readonly issuingCountry?: string | undefined;
}

/** What a number says of its holder. */
export interface DocumentFacts {
  /** ISO 8601 date. */
  readonly birthdate?: string;
  readonly gender?: 'male' | 'female';
}

/** What is wrong with the form of a number. It says nothing of whether such a document was ever issued. */
export type DocumentProblem =
  /** The kind has numbers of another length. */
  | 'NUMBER_LENGTH'
  | 'NUMBER_FORM'
  /** The old form of 15 digits: the one of 18 digits is needed, which stands on every valid card. */
  | 'NUMBER_FIFTEEN'
  /** It begins with no division of GB/T 2260. */
  | 'NUMBER_REGION'
  /** Its date of birth does not exist, or has yet to come. */
  | 'NUMBER_DATE'
  /** The check character does not fit the rest: something was mistyped. */
  | 'NUMBER_CHECK'
  /** It is a number of another kind of document. */
  | 'NUMBER_OTHER_KIND'
  | 'COUNTRY_FORM';

export type DocumentReading =
  { readonly document: Document; readonly facts: DocumentFacts } | { readonly problem: DocumentProblem };

/** Items that can be compared besides name and number. */
export const THIRD_ITEMS = ['phone', 'validUntil', 'birthdate'] as const;
export type ThirdItem = (typeof THIRD_ITEMS)[number];

/** Numbers of these kinds contain the date of birth, so that giving it proves nothing more. */
const TELLS_BIRTHDATE: ReadonlySet<DocumentKind> = new Set([
  'resident-id',
  'hk-macao-residence-permit',
  'taiwan-residence-permit',
  'foreign-permanent-resident-card',
]);

/** Which items can be the third one for a kind. */
export function thirdItemsOf(kind: DocumentKind): readonly ThirdItem[] {
  return TELLS_BIRTHDATE.has(kind) ? ['phone', 'validUntil'] : THIRD_ITEMS;
}

export function isDocumentKind(text: unknown): text is DocumentKind {
  return (DOCUMENT_KINDS as readonly unknown[]).includes(text);
}

/**
 * Reads a number as a person typed it: full-width signs, spaces and hyphens do not count, nor does the case of letters.
 * @param typed.issuingCountry Of a passport, and of nothing else.
 * @param now A date of birth after it is none.
 */
export function readDocument(
  typed: { kind: DocumentKind; number: string; issuingCountry?: string | undefined },
  now: Date,
): DocumentReading {
  const number = plain(typed.number);
  const { kind } = typed;
  switch (kind) {
    case 'resident-id':
    case 'hk-macao-residence-permit':
    case 'taiwan-residence-permit':
      return readCitizenNumber(kind, number, now);
    case 'hk-macao-travel-permit':
      // H or M, eight digits for life; the form before 2013 adds a count of re-issues.
      return readSimple(kind, number, /^[HM]\d{8}(?:\d{2})?$/, [9, 11], (text) => text.slice(0, 9));
    case 'taiwan-travel-permit':
      // Eight digits for life; the booklets added a count of re-issues and a letter.
      return readSimple(kind, number, /^\d{8}(?:\d{2}(?:\(?[A-Z]\)?)?)?$/, [8, 10, 11, 13], (text) =>
        text.slice(0, 8),
      );
    case 'foreign-permanent-resident-card':
      return number.length === 15
        ? readSimple(kind, number, /^[A-Z]{3}\d{12}$/, [15], (text) => text)
        : readCitizenNumber(kind, number, now);
    case 'passport':
      return readPassport(number, plain(typed.issuingCountry ?? ''));
  }
}

/** @returns the text by which a document is known: the same for every spelling, different for any other document. */
export function documentKey({ kind, number, issuingCountry = '' }: Document): string {
  return `${kind}:${issuingCountry}:${number}`;
}

/**
 * A name as it is compared: NFKC, letters in upper case, one space between words, and one kind of middle dot, which names of many peoples
 * have and keyboards write in several ways.
 */
export function canonicalName(name: string): string {
  return name
    .normalize('NFKC')
    .replaceAll(/[\u2022\u2027\u30fb\uff65\u22c5\u2219.]/g, '·')
    .replaceAll(/\s*·\s*/g, '·')
    .trim()
    .replaceAll(/\s+/g, ' ')
    .toUpperCase();
}

/** Whether a text can be somebody's name: letters of any script, 1 to 100 of them. */
export function isName(name: string): boolean {
  const text = canonicalName(name);
  return [...text].length <= 100 && /^[\p{L}\p{M}][\p{L}\p{M} ·'’-]*$/u.test(text);
}

/** NFKC turns the full-width digits and letters of Chinese keyboards into plain ones. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .replaceAll(/[\s\u200b-\u200d\u2010-\u2015\ufeff-]/g, '')
    .toUpperCase();
}

function readSimple(
  kind: DocumentKind,
  text: string,
  form: RegExp,
  lengths: readonly number[],
  canonical: (text: string) => string,
): DocumentReading {
  if (!form.test(text)) return { problem: lengths.includes(text.length) ? 'NUMBER_FORM' : 'NUMBER_LENGTH' };
  return { document: { kind, number: canonical(text) }, facts: {} };
}

/** ICAO Doc 9303-3, section 4.3 and 9303-4, section 4.2: up to nine letters and digits. The check digit stands in the machine-readable zone alone. */
function readPassport(number: string, issuingCountry: string): DocumentReading {
  if (number.length < 5 || number.length > 9) return { problem: 'NUMBER_LENGTH' };
  if (!/^[A-Z0-9]+$/.test(number) || !/\d/.test(number)) return { problem: 'NUMBER_FORM' };
  if (!/^[A-Z]{1,3}$/.test(issuingCountry)) return { problem: 'COUNTRY_FORM' };
  return { document: { kind: 'passport', number, issuingCountry }, facts: {} };
}

/** GB 11643, section 4: place (6), date of birth (8), sequence (3, odd for men), check character by ISO 7064 MOD 11-2. */
function readCitizenNumber(kind: DocumentKind, text: string, now: Date): DocumentReading {
  if (kind === 'resident-id' && /^\d{15}$/.test(text)) return { problem: 'NUMBER_FIFTEEN' };
  if (text.length !== 18) return { problem: 'NUMBER_LENGTH' };
  if (!/^\d{17}[\dX]$/.test(text)) return { problem: 'NUMBER_FORM' };
  if (checkCharacter(text) !== text[17]) return { problem: 'NUMBER_CHECK' };
  const place = placeProblem(kind, text);
  if (place !== undefined) return { problem: place };
  const birthdate = `${text.slice(6, 10)}-${text.slice(10, 12)}-${text.slice(12, 14)}`;
  if (!isPastDate(birthdate, now)) return { problem: 'NUMBER_DATE' };
  const gender = Number(text[16]) % 2 === 1 ? 'male' : 'female';
  return { document: { kind, number: text }, facts: { birthdate, gender } };
}

/** The kind whose numbers begin like this one. */
function kindByPlace(text: string): DocumentKind {
  if (/^8[12]0000/.test(text)) return 'hk-macao-residence-permit';
  if (text.startsWith('830000')) return 'taiwan-residence-permit';
  // 9, two digits of the province, three of the nationality (ISO 3166-1 numeric).
  return text.startsWith('9') ? 'foreign-permanent-resident-card' : 'resident-id';
}

function placeProblem(kind: DocumentKind, text: string): DocumentProblem | undefined {
  const meant = kindByPlace(text);
  const province =
    meant === 'resident-id'
      ? text.slice(0, 2)
      : meant === 'foreign-permanent-resident-card'
        ? text.slice(1, 3)
        : undefined;
  if (province !== undefined && !isProvince(province)) return 'NUMBER_REGION';
  return meant === kind ? undefined : 'NUMBER_OTHER_KIND';
}

/** Prefectures and counties change yearly, and a number keeps the one of its day: only the province can be checked. */
function isProvince(digits: string): boolean {
  return `${digits}0000` in regions;
}

const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

/** The check character of the first 17 digits (ISO 7064 MOD 11-2). */
export function checkCharacter(digits: string): string {
  const sum = WEIGHTS.reduce((total, weight, i) => total + weight * Number(digits[i]), 0);
  return '10X98765432'.charAt(sum % 11);
}

/** Whether an ISO 8601 date exists and is not after today, where today is China's (UTC+8). */
export function isPastDate(date: string, now: Date): boolean {
  const today = new Date(now.getTime() + 8 * 3600 * 1000).toISOString().slice(0, 10);
  return isDate(date) && date >= '1800-01-01' && date <= today;
}

/** Whether a text is an ISO 8601 date that exists. */
export function isDate(date: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) return false;
  const parsed = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(date);
}
