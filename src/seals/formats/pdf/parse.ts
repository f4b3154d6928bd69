/** Finds the signatures of a PDF and what each covers (ISO 32000-2, 12.8.1; ETSI EN 319 142-1, 5.3). */
import {
  type Claims,
  type Extent,
  FormatError,
  type ParsedDocument,
  type ParsedSignature,
  type ProblemCode,
  type Unsound,
} from '../format.ts';
import { type SignatureField, signatureFields } from './fields.ts';
import { PdfFile, findStartXref } from './file.ts';
import { type Box, pages, toBox } from './pages.ts';
import { damaged } from './refusals.ts';
import { readDate } from './text.ts';
import { Dict, Ref, type Value, isCount, textOf } from './values.ts';

/** What a signature in a PDF says of itself beside the claims that all formats have. */
export interface PdfDetails {
  /** `DocTimeStamp` where the contents are a time-stamp token. */
  readonly type: 'Sig' | 'DocTimeStamp';
  /** How the contents are to be read: `ETSI.CAdES.detached`, `adbe.pkcs7.detached`, `ETSI.RFC3161` and others. */
  readonly subFilter?: string;
  /** Where the seal stands, in the coordinates of its page. */
  readonly rect?: Box;
  /** Offset and length of two stretches of the file, as checked: absent when there is a problem. */
  readonly byteRange?: ByteRange;
}

export type ByteRange = readonly [start: 0, length: number, restart: number, restLength: number];

export type PdfSignature = ParsedSignature<PdfDetails>;

/** @throws {FormatError} as `Format.parse` says. */
export function parse(document: Uint8Array): ParsedDocument<PdfDetails> {
  const file = new PdfFile(document);
  const signed = [...signatureFields(file)].filter(({ value }) => file.resolve(value) !== null);
  const pageOf = findWidgets(file, signed);
  const shared = repeated(signed.map(({ value }) => file.resolve(value)));
  const signatures = signed.map((field): PdfSignature => {
    const shown = { fieldName: field.name, type: 'Sig', ...shownAt(file, field, pageOf) } as const;
    try {
      const dictionary = file.resolve(field.value);
      if (!(dictionary instanceof Dict)) throw damaged('the value of a signature field is no dictionary');
      const extent = shared.has(dictionary)
        ? problem('SIGNATURE_SHARED', 'The same signature stands in more than one field.')
        : extentOf(document, file, dictionary);
      return { ...shown, ...claimsOf(file, dictionary), ...extent };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return { ...shown, ...problem('SIGNATURE_MALFORMED', 'The signature dictionary cannot be read.') };
    }
  });
  return { signatures: signatures.toSorted((a, b) => endOf(a) - endOf(b)) };
}

/** Whoever adds a field with another's signature shows a seal where none was put. */
function repeated(values: readonly Value[]): Set<Value> {
  const seen = new Set<Value>();
  return new Set(values.filter((value) => seen.size === seen.add(value).size));
}

function endOf({ byteRange }: PdfSignature): number {
  return byteRange === undefined ? Number.MAX_SAFE_INTEGER : byteRange[2] + byteRange[3];
}

function claimsOf(file: PdfFile, dictionary: Dict): Omit<Claims, 'fieldName'> & PdfDetails {
  const subFilter = file.get(dictionary, 'SubFilter');
  const claimedAt = readDate(file.text(dictionary, 'M') ?? '');
  const [name, reason, location] = ['Name', 'Reason', 'Location'].map((key) => file.text(dictionary, key));
  return {
    type: file.get(dictionary, 'Type') === 'DocTimeStamp' ? 'DocTimeStamp' : 'Sig',
    ...(typeof subFilter === 'string' && { subFilter }),
    ...(claimedAt !== undefined && { claimedAt }),
    ...(name !== undefined && { name }),
    ...(reason !== undefined && { reason }),
    ...(location !== undefined && { location }),
  };
}

/**
 * On which page each widget is, going by what the pages show and not by what the widget says. A seal can be judged without it: where a
 * page cannot be read, the search ends.
 */
function findWidgets(file: PdfFile, fields: readonly SignatureField[]): Map<number, number> {
  const wanted = new Set(fields.flatMap(({ widget }) => (widget === undefined ? [] : [widget.ref.number])));
  const found = new Map<number, number>();
  try {
    let pageNumber = 0;
    for (const { dict } of wanted.size === 0 ? [] : pages(file)) {
      pageNumber++;
      for (const annotation of file.array(dict, 'Annots')) {
        if (!(annotation instanceof Ref) || !wanted.delete(annotation.number)) continue;
        found.set(annotation.number, pageNumber);
      }
      if (wanted.size === 0) break;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return found;
}

function shownAt(
  file: PdfFile,
  { widget }: SignatureField,
  pageOf: ReadonlyMap<number, number>,
): { page?: number; rect?: Box } {
  const page = widget && pageOf.get(widget.ref.number);
  const rect = widget && toBox(file, file.get(widget.dict, 'Rect'));
  const visible = rect !== undefined && rect.right > rect.left && rect.top > rect.bottom;
  return page !== undefined && visible ? { page, rect } : {};
}

/**
 * Checks the byte range to the letter: it starts with the file, leaves out exactly the signature's own hexadecimal string, and takes
 * in the rest of the signature dictionary. Whatever else a range may say, readers disagree about it.
 */
function extentOf(
  document: Uint8Array,
  file: PdfFile,
  dictionary: Dict,
): (Extent & Required<Pick<PdfDetails, 'byteRange'>>) | Unsound {
  if (dictionary.bytes !== file.bytes) {
    return problem(
      'SIGNATURE_MALFORMED',
      'The signature dictionary is compressed, so that no range can leave it out.',
    );
  }
  const range = dictionary.get('ByteRange');
  if (!isByteRange(range)) {
    return problem('BYTE_RANGE_MALFORMED', 'The byte range is not four integers of which the first is zero.');
  }
  const [, length, restart, restLength] = range;
  const end = restart + restLength;
  if (length > restart || end > document.length) {
    return problem('BYTE_RANGE_OUTSIDE_FILE', 'The byte range overlaps itself or reaches outside the file.');
  }
  const span = file.entrySpans(dictionary).get('Contents');
  const contents = span && plainHex(textOf(span));
  if (span === undefined || contents === undefined) {
    return problem('CONTENTS_MALFORMED', 'The contents are no hexadecimal string.');
  }
  const { headerOffset } = file;
  if (length !== span.start + headerOffset || restart !== span.end + headerOffset) {
    return problem('BYTE_RANGE_GAP_MISMATCH', 'The byte range leaves out something else than the signature.');
  }
  if (end < dictionary.end + headerOffset) {
    return problem('BYTE_RANGE_INCOMPLETE', 'The byte range ends inside the signature dictionary.');
  }
  return {
    byteRange: range,
    contents,
    covered: [document.subarray(0, length), document.subarray(restart, end)],
    coversWholeRevision: endsRevision(file, end - headerOffset),
    coversWholeDocument: end === document.length,
    bytesAfter: document.length - end,
  };
}

/** The bytes of a hexadecimal string without white space; `undefined` when it is anything else. Decoding ends at the first fault. */
function plainHex(written: string): Buffer | undefined {
  const bytes = Buffer.from(written.slice(1, -1), 'hex');
  return written.startsWith('<') && bytes.length > 0 && bytes.length * 2 + 2 === written.length
    ? bytes
    : undefined;
}

function isByteRange(range: Value | undefined): range is ByteRange & readonly Value[] {
  return Array.isArray(range) && range.length === 4 && range.every(isCount) && range[0] === 0;
}

/** Whether the file up to `end` is one of its own earlier versions: complete, and on the chain that the present one builds on. */
function endsRevision(file: PdfFile, end: number): boolean {
  const upTo = file.bytes.subarray(0, end);
  try {
    const marker = findStartXref(upTo);
    const rest = upTo.toString('latin1', marker.end);
    return /^\r?\n?$/.test(rest) && file.sections.some(({ offset }) => offset === marker.offset);
  } catch {
    return false;
  }
}

function problem(code: ProblemCode, message: string): Unsound {
  return { problem: { code, message } };
}
