/** What is read out of a sealed document, and how strictly (ISO 32000-2, 12.8.1). */
import { describe, expect, test } from 'vitest';
import { pdf, type PdfSignature } from '../../../src/seals/formats/pdf/index.ts';
import { readDate, readText, writeDate, writeText } from '../../../src/seals/formats/pdf/text.ts';
import { PdfString } from '../../../src/seals/formats/pdf/values.ts';
import { type Objects, PLAIN, SEALABLE, buildPdf, sealBlindly, stream, update, vector } from './support.ts';

const only = (document: Uint8Array): PdfSignature => {
  const { signatures } = pdf.parse(document);
  expect(signatures).toHaveLength(1);
  return signatures[0] as PdfSignature;
};

test('a document without a signature has none', () => {
  for (const name of Object.keys(SEALABLE).filter((name) => name !== 'signed-by-poppler')) {
    expect(pdf.parse(vector(name)).signatures).toEqual([]);
  }
});

test('a signature by other software is read as well', () => {
  const found = only(vector('signed-by-poppler'));
  expect(found).toMatchObject({
    fieldName: 'Approval',
    type: 'Sig',
    subFilter: 'adbe.pkcs7.detached',
    reason: 'Signed before',
    page: 1,
    coversWholeRevision: true,
    coversWholeDocument: true,
  });
  expect(found.claimedAt).toBeInstanceOf(Date);
});

test('the covered bytes are those of the file without the hexadecimal string and its brackets', () => {
  const document = sealBlindly(vector('pdftex'));
  const found = only(document);
  if (found.problem) throw new Error(found.problem.code);
  const [before, after] = found.covered as [Uint8Array, Uint8Array];
  expect(
    Buffer.concat([before, Buffer.from(`<${Buffer.from(found.contents).toString('hex')}>`), after]),
  ).toEqual(Buffer.from(document));
  expect(found.byteRange).toEqual([0, before.length, document.length - after.length, after.length]);
  expect(found.contents.subarray(0, 6)).toEqual(Buffer.from('300302010000', 'hex'));
});

test('what follows is counted', () => {
  const sealed = sealBlindly(buildPdf());
  const longer = update(Buffer.from(sealed), { 30: '(a later revision)' });
  expect(only(longer)).toMatchObject({
    coversWholeRevision: true,
    coversWholeDocument: false,
    bytesAfter: longer.length - sealed.length,
  });
  const junk = Buffer.concat([sealed, Buffer.from('junk')]);
  expect(only(junk)).toMatchObject({ coversWholeRevision: true, coversWholeDocument: false, bytesAfter: 4 });
});

test('seals come in the order in which they were made', () => {
  const twice = sealBlindly(sealBlindly(vector('chromium')));
  const reordered = Buffer.from(twice)
    .toString('latin1')
    .replace(/\/Fields ?\[(\d+ 0 R)\n(\d+ 0 R)\]/, '/Fields [$2\n$1]');
  expect(reordered).not.toBe(Buffer.from(twice).toString('latin1'));
  expect(pdf.parse(Buffer.from(reordered, 'latin1')).signatures.map(({ fieldName }) => fieldName)).toEqual([
    'Seal1',
    'Seal2',
  ]);
});

/** A file with one signature, whose dictionary has these entries; `@gap` stands for the right byte range. */
function signed(entries: string, more: Objects = {}, head = ''): Buffer {
  const build = (range: string) =>
    Buffer.concat([
      Buffer.from(head),
      buildPdf({
        ...PLAIN,
        1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>',
        5: `<</Type/Sig/SubFilter/ETSI.CAdES.detached${entries.replace('@gap', range)}>>`,
        6: '<</FT/Sig/T(One)/V 5 0 R>>',
        ...more,
      }),
    ]);
  const draft = build(`[0 ${'9'.repeat(29)}]`);
  const start = draft.indexOf('/Contents<') + '/Contents'.length;
  const end = draft.indexOf('>', start) + 1;
  const numbers = `0 ${start} ${end} ${draft.length - end}`.padEnd(31);
  return build(`[${numbers}]`);
}

test('the file that the following tests spoil is sound itself', () => {
  expect(only(signed('/ByteRange@gap/Contents<3000>'))).toMatchObject({ coversWholeDocument: true });
  expect(only(signed('/Contents<3000>/ByteRange @gap', {}, 'before\n'))).toMatchObject({
    coversWholeDocument: true,
  });
});

describe('a problem of the signature, never a silent pass', () => {
  const document = signed('/ByteRange@gap/Contents<30003000>');
  const numbers = /ByteRange\[0 (\d+) (\d+) (\d+) *\]/
    .exec(document.toString('latin1'))
    ?.slice(1)
    .map(Number);
  const [before, after, rest] = numbers as [number, number, number];
  const withRange = (range: string) =>
    Buffer.from(
      document
        .toString('latin1')
        .replace(/ByteRange\[[^\]]*\]/, (old) => `ByteRange${range}`.padEnd(old.length)),
      'latin1',
    );

  test.each([
    ['none', ' null'],
    ['no array', '(0 1 2 3)'],
    ['three numbers', `[0 ${before} ${after}]`],
    ['six numbers', `[0 ${before} ${after} 1 ${after} 1]`],
    ['not from the first byte', `[1 ${before - 1} ${after} ${rest}]`],
    ['negative', `[0 ${before} ${after} -1]`],
    ['negative zero', `[0 ${before} ${after} -${rest}]`],
    ['no integers', `[0 ${before}.5 ${after} ${rest}]`],
    ['a reference', `[0 ${before} 4 0 R ${rest}]`],
    ['beyond what integers hold', `[0 ${before} ${after} 9007199254740993]`],
  ])('BYTE_RANGE_MALFORMED: %s', (_, range) => {
    expect(only(withRange(range)).problem?.code).toBe('BYTE_RANGE_MALFORMED');
  });

  test.each([
    ['one byte beyond the end', `[0 ${before} ${after} ${rest + 1}]`],
    ['the second stretch begins before the first ends', `[0 ${before} ${before - 1} ${rest}]`],
    ['all of it twice', `[0 ${document.length} 0 ${document.length}]`],
  ])('BYTE_RANGE_OUTSIDE_FILE: %s', (_, range) => {
    expect(only(withRange(range)).problem?.code).toBe('BYTE_RANGE_OUTSIDE_FILE');
  });

  test.each([
    ['the brackets are covered', `[0 ${before + 1} ${after - 1} ${rest + 1}]`],
    ['one byte before is left out', `[0 ${before - 1} ${after} ${rest}]`],
    ['one byte after is left out', `[0 ${before} ${after + 1} ${rest - 1}]`],
    ['nothing is left out', `[0 ${before} ${before} ${document.length - before}]`],
    ['everything is left out', `[0 0 ${document.length} 0]`],
  ])('BYTE_RANGE_GAP_MISMATCH: %s', (_, range) => {
    expect(only(withRange(range)).problem?.code).toBe('BYTE_RANGE_GAP_MISMATCH');
  });

  test.each([
    ['it ends with the gap', `[0 ${before} ${after} 0]`],
    ['it ends inside the dictionary', `[0 ${before} ${after} 1]`],
  ])('BYTE_RANGE_INCOMPLETE: %s', (_, range) => {
    expect(only(withRange(range)).problem?.code).toBe('BYTE_RANGE_INCOMPLETE');
  });

  test.each([
    '/Contents(30)',
    '/Contents<3>',
    '/Contents<>',
    '/Contents<30 00>',
    '/Contents<30 0>',
    '/Contents 7 0 R',
    '/Contents null',
    '',
  ])('CONTENTS_MALFORMED: %j', (contents) => {
    const spoilt = signed(`/ByteRange[0 1 2 3]${contents}`, { 7: '<3000>' });
    expect(only(spoilt).problem?.code).toBe('CONTENTS_MALFORMED');
  });

  test.each(['(text)', '[1 2]', '12', '/Name'])('SIGNATURE_MALFORMED: the value is %s', (value) => {
    expect(only(signed('', { 5: value })).problem?.code).toBe('SIGNATURE_MALFORMED');
  });

  test('SIGNATURE_SHARED: another field shows the same signature elsewhere', () => {
    const forged = update(signed('/ByteRange@gap/Contents<3000>'), {
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R 20 0 R]>>>>',
      20: '<</FT/Sig/T(Two)/V 5 0 R>>',
    });
    expect(pdf.parse(forged).signatures.map(({ problem }) => problem?.code)).toEqual([
      'SIGNATURE_SHARED',
      'SIGNATURE_SHARED',
    ]);
  });

  test('SIGNATURE_MALFORMED: the dictionary is compressed', () => {
    const body = '<</Type/Sig/ByteRange[0 1 2 3]/Contents<3000>>>';
    const objects = {
      ...PLAIN,
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[<</FT/Sig/T(One)/V 5 0 R>>]>>>>',
    };
    const plain = buildPdf({ ...objects, 9: stream(`/Type/ObjStm/N 1/First 4`, Buffer.from(`5 0 ${body}`)) });
    const rows = stream('/Type/XRef/W[1 1 1]/Index[5 1]/Size 11/Root 1 0 R', Buffer.of(2, 9, 0));
    const at = plain.length;
    const previous = /startxref\s+(\d+)/.exec(plain.toString('latin1'))?.[1];
    const tail = `10 0 obj\n${rows.replace('/Root', `/Prev ${previous}/Root`)}\nendobj\nstartxref\n${at}\n%%EOF\n`;
    const packed = Buffer.concat([plain, Buffer.from(tail, 'latin1')]);
    expect(only(packed).problem?.code).toBe('SIGNATURE_MALFORMED');
  });

  test('the others in the document are read all the same', () => {
    const sealed = sealBlindly(withRange('[0 1 2 3]'));
    expect(pdf.parse(sealed).signatures.map(({ fieldName, problem }) => [fieldName, problem?.code])).toEqual([
      ['Seal1', undefined],
      ['One', 'BYTE_RANGE_GAP_MISMATCH'],
    ]);
  });
});

describe('what is covered is no whole revision', () => {
  /** The signed file with a later object, the range stretched to the end of `part` in it. */
  const stretchedTo = (part: string, object: string) => {
    const document = update(signed('/ByteRange@gap/Contents<3000>'), { 30: object }).toString('latin1');
    const end = document.lastIndexOf(part) + part.length;
    const stretched = document.replace(
      /(\/ByteRange\[0 \d+ )(\d+) \d+ *\]/,
      (old, head: string, restart: string) =>
        `${head}${restart} ${end - Number(restart)}`.padEnd(old.length - 1).concat(']'),
    );
    return Buffer.from(stretched, 'latin1');
  };

  test('when it ends inside one', () => {
    expect(only(stretchedTo('(later)', '(later)'))).toMatchObject({ coversWholeRevision: false });
  });

  test('when it ends with an end of file marker that this document never had', () => {
    for (const offset of [12345, 9]) {
      const marker = `startxref\n${offset}\n%%EOF\n`;
      expect(only(stretchedTo(marker, `(${marker})`))).toMatchObject({ coversWholeRevision: false });
    }
  });
});

describe('fields', () => {
  const withFields = (form: string, objects: Objects) =>
    buildPdf({ ...PLAIN, 1: `<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[${form}]>>>>`, ...objects });
  const names = (document: Buffer) => pdf.parse(document).signatures.map(({ fieldName }) => fieldName);

  test('have the names of their ancestors, and inherit their type', () => {
    const document = withFields('5 0 R', {
      5: '<</T(form)/FT/Sig/Kids[6 0 R 7 0 R]>>',
      6: '<</T(a)/Parent 5 0 R/V 9 0 R>>',
      7: '<</Parent 5 0 R/T(b)/Kids[8 0 R]>>',
      8: '<</Parent 7 0 R/T<FEFF7AE0>/V 9 0 R>>',
      9: '<</Type/Sig>>',
    });
    expect(names(document)).toEqual(['form.a', 'form.b.章']);
  });

  test('without a value are not signatures, nor are fields of another type', () => {
    expect(names(withFields('5 0 R 6 0 R', { 5: '<</T(a)/FT/Sig>>', 6: '<</T(b)/FT/Tx/V(x)>>' }))).toEqual(
      [],
    );
  });

  test('are shown by the page that shows them, whatever they say of it', () => {
    const document = buildPdf({
      ...PLAIN,
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>>',
      4: '<</Type/Page/Parent 2 0 R/Annots[6 0 R]>>',
      5: '<</T(a)/FT/Sig/V<<>>/Kids[6 0 R]>>',
      6: '<</Subtype/Widget/P 3 0 R/Parent 5 0 R/Rect[30 40 10 20]>>',
    });
    expect(only(document)).toMatchObject({ page: 2, rect: { left: 10, bottom: 20, right: 30, top: 40 } });
  });

  test('may be time-stamps', () => {
    expect(only(signed('/ByteRange@gap/Contents<30>').subarray(0)).type).toBe('Sig');
    const document = withFields('5 0 R', {
      5: '<</T(a)/FT/Sig/V<</Type/DocTimeStamp/SubFilter/ETSI.RFC3161>>>>',
    });
    expect(only(document)).toMatchObject({ type: 'DocTimeStamp', subFilter: 'ETSI.RFC3161' });
  });
});

describe('text strings and dates', () => {
  const raw = (...bytes: number[]) => new PdfString(Buffer.from(bytes));

  test('are read in PDFDocEncoding, UTF-16BE and UTF-8', () => {
    expect(readText(raw(0x41, 0x80, 0x92, 0xa0, 0xe9, 0x1f))).toBe('A•™€é˜');
    expect(readText(raw(0xfe, 0xff, 0x53, 0x70, 0x7a, 0xe0))).toBe('印章');
    expect(readText(raw(0xef, 0xbb, 0xbf, 0xe5, 0x8d, 0xb0))).toBe('印');
  });

  test('are written as they can be read', () => {
    expect(writeText('a(b)\\c')).toBe('(a\\(b\\)\\\\c)');
    expect(writeText('印')).toBe('<feff5370>');
    expect(writeText('a\nb')).toBe('<feff0061000a0062>');
  });

  test.each([
    ["D:20260131080910+08'00'", '2026-01-31T00:09:10.000Z'],
    ["D:20260131080910-05'30", '2026-01-31T13:39:10.000Z'],
    ['D:20260131080910Z', '2026-01-31T08:09:10.000Z'],
    ["D:20260131080910Z00'00'", '2026-01-31T08:09:10.000Z'],
    ['D:202601', '2026-01-01T00:00:00.000Z'],
  ])('the date %s is %s', (written, iso) => {
    expect(readDate(written)?.toISOString()).toBe(iso);
  });

  test.each(['', 'D:', '2026', 'D:2026-01-31', 'D:20260231', 'D:20261301', 'D:20260131080910+8'])(
    '%j is no date',
    (written) => {
      expect(readDate(written)).toBeUndefined();
    },
  );

  test('a date is written in UTC', () => {
    expect(writeDate(new Date('2026-12-31T23:59:59.999Z'))).toBe("(D:20261231235959+00'00')");
  });
});
