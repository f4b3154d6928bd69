/** Lays out a PAdES signature in one incremental update (ISO 32000-2, 12.8; ETSI EN 319 142-1, 5.3 and 6.3). */
import { FormatError, type Prepared, type Sealing } from '../format.ts';
import { formXObject, writeNumber } from './appearance.ts';
import { refuseIfLocked } from './changes.ts';
import { acroForm, rootFieldNames } from './fields.ts';
import { PdfFile } from './file.ts';
import { Increment, appendToArray, editDict } from './increment.ts';
import { type Page, findPage } from './pages.ts';
import { damaged } from './refusals.ts';
import { DEFAULT_PLACE, placeOn } from './placement.ts';
import { writeDate, writeText } from './text.ts';
import { type Dict, Ref, type Span, isCount } from './values.ts';

const DEFAULT_SIGNATURE_BYTES = 16_384;
const NONCE_BYTES = 16;
/** Room for `0 a b c` with ten digits each, so that the numbers can be filled in once they are known. */
const BYTE_RANGE_WIDTH = 40;
/** SignaturesExist and AppendOnly (12.7.3, table 225). */
const SIG_FLAGS = 3;
/** Print and Locked (12.5.3, table 167). */
const ANNOTATION_FLAGS = 4 + 128;

/** @throws {FormatError} as `Format.prepare` says. */
export function prepare(document: Uint8Array, sealing: Sealing): Prepared {
  const signatureBytes = sealing.signatureBytes ?? DEFAULT_SIGNATURE_BYTES;
  if (sealing.nonce.length !== NONCE_BYTES) throw new TypeError('A nonce has 16 bytes');
  if (!isCount(signatureBytes) || signatureBytes < 1)
    throw new TypeError('signatureBytes is a positive integer');
  const file = new PdfFile(document);
  refuseIfLocked(file);
  const increment = new Increment(file);
  const signature = increment.allocate();
  const field = increment.allocate();
  const page = findPage(file, sealing.visible?.place?.page ?? DEFAULT_PLACE.page);
  increment.put(signature, signatureDictionary(sealing, signatureBytes));
  increment.put(field, widget(file, increment, sealing, page, signature));
  addToPage(file, increment, page, field);
  addToForm(file, increment, field);
  return layOut(document, increment.write(sealing.nonce), signatureBytes);
}

/** (12.8.1, table 255) */
function signatureDictionary(sealing: Sealing, signatureBytes: number): string {
  const texts = { Name: sealing.name, Reason: sealing.reason, Location: sealing.location };
  return [
    '<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached',
    `/ByteRange[${' '.repeat(BYTE_RANGE_WIDTH)}]`,
    `/Contents<${'0'.repeat(signatureBytes * 2)}>`,
    `/M${writeDate(sealing.at)}`,
    ...Object.entries(texts).map(([key, text]) => (text === undefined ? '' : `/${key}${writeText(text)}`)),
    '>>',
  ].join('');
}

/** The signature field and its only widget, in one dictionary (12.7.5.5). */
function widget(file: PdfFile, increment: Increment, sealing: Sealing, page: Page, signature: Ref): string {
  let shown = '/Rect[0 0 0 0]';
  if (sealing.visible !== undefined) {
    const { drawing, place } = sealing.visible;
    const { rect, matrix } = placeOn(page, drawing, place);
    const appearance = increment.allocate();
    increment.put(appearance, ...formXObject(drawing, matrix));
    const corners = [rect.left, rect.bottom, rect.right, rect.top].map(writeNumber);
    shown = `/Rect[${corners.join(' ')}]/AP<</N ${appearance.syntax}>>`;
  }
  return (
    `<</Type/Annot/Subtype/Widget/FT/Sig/T${writeText(freeFieldName(file))}/V ${signature.syntax}/P ${page.ref.syntax}` +
    `/F ${ANNOTATION_FLAGS}${shown}>>`
  );
}

function freeFieldName(file: PdfFile): string {
  const taken = rootFieldNames(file);
  let number = 1;
  while (taken.has(`Seal${number}`)) number++;
  return `Seal${number}`;
}

function addToPage(file: PdfFile, increment: Increment, page: Page, field: Ref): void {
  const changes = appended(file, increment, page.dict, 'Annots', field);
  if (changes !== undefined) increment.put(page.ref, editDict(file, page.dict, { Annots: changes }));
}

/** The form stands in the catalog itself, or behind a reference, or not at all. */
function addToForm(file: PdfFile, increment: Increment, field: Ref): void {
  const form = acroForm(file);
  if (form === undefined) {
    const created = increment.allocate();
    increment.put(created, `<</Fields[${field.syntax}]/SigFlags ${SIG_FLAGS}>>`);
    increment.put(file.catalogRef, editDict(file, file.catalog, { AcroForm: created.syntax }));
    return;
  }
  const fields = appended(file, increment, form, 'Fields', field);
  const flags = file.get(form, 'SigFlags');
  const edited = editDict(file, form, {
    ...(fields !== undefined && { Fields: fields }),
    SigFlags: String((isCount(flags) ? flags : 0) | SIG_FLAGS),
  });
  const reference = file.catalog.get('AcroForm');
  if (reference instanceof Ref) increment.put(reference, edited);
  else increment.put(file.catalogRef, editDict(file, file.catalog, { AcroForm: edited }));
}

/**
 * Appends `element` to the array in an entry. An array behind a reference is changed there; otherwise the new text of the entry is
 * returned, for whoever writes the dictionary anew.
 */
function appended(
  file: PdfFile,
  increment: Increment,
  dict: Dict,
  key: string,
  element: Ref,
): string | undefined {
  const written = dict.get(key);
  const array = file.resolve(written);
  if (array === null) return `[${element.syntax}]`;
  if (!Array.isArray(array)) throw damaged(`${key} is no array`);
  if (!(written instanceof Ref)) return appendToArray(file.entrySpans(dict).get(key) as Span, element.syntax);
  const object = file.load(written);
  if (object === undefined || !Array.isArray(object.value)) throw damaged(`${key} is behind two references`);
  increment.put(written, appendToArray(object, element.syntax));
  return undefined;
}

/** Fills in the byte range around the hole for the signature, whose dictionary is the first object of the increment. */
function layOut(document: Uint8Array, increment: Buffer, signatureBytes: number): Prepared {
  const contents = increment.indexOf('/Contents<') + '/Contents'.length;
  const contentsEnd = contents + signatureBytes * 2 + 2;
  const gapEnd = document.length + contentsEnd;
  const range = `0 ${document.length + contents} ${gapEnd} ${increment.length - contentsEnd}`;
  increment.write(range, increment.indexOf('/ByteRange[') + '/ByteRange['.length, 'latin1');
  return {
    covered: [document, increment.subarray(0, contents), increment.subarray(contentsEnd)],
    assemble(signature) {
      if (signature.length > signatureBytes) {
        throw new FormatError(
          'SIGNATURE_TOO_LARGE',
          'The signature does not fit into the room kept for it.',
          {
            cause: `${signature.length} bytes, ${signatureBytes} kept`,
          },
        );
      }
      const sealed = Buffer.allocUnsafeSlow(document.length + increment.length);
      sealed.set(document);
      sealed.set(increment, document.length);
      sealed.write(Buffer.from(signature).toString('hex'), document.length + contents + 1, 'latin1');
      return sealed;
    },
  };
}
