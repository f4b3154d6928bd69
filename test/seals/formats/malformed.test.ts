/** Hostile files: whoever wrote them wants the reader to loop, to run out of memory, or to see what is not there. */
import { describe, expect, test } from 'vitest';
import type { FormatErrorCode } from '../../../src/seals/formats/format.ts';
import { pdf } from '../../../src/seals/formats/pdf/index.ts';
import {
  CORNER,
  type Objects,
  PLAIN,
  be32,
  buildPdf,
  sealBlindly,
  sealing,
  stream,
  update,
} from './support.ts';

/** Milliseconds of work since then; how busy the machine is otherwise does not count. */
const workSince = (start: NodeJS.CpuUsage) => process.cpuUsage(start).user / 1000;

/** Both ways in refuse, with that code, before long. */
function expectRefused(document: Buffer, code: FormatErrorCode): void {
  for (const act of [() => pdf.prepare(document, sealing()), () => pdf.parse(document)]) {
    const start = process.cpuUsage();
    expect(act).toThrow(expect.objectContaining({ name: 'FormatError', code }));
    expect(workSince(start)).toBeLessThan(3000);
  }
}

/** It is not sealed; what is signed in it is read all the same, before long, without a page. */
function expectUnsealable(document: Buffer, code: FormatErrorCode, visible = sealing().visible): void {
  const start = process.cpuUsage();
  expect(() => pdf.prepare(document, sealing({ ...(visible && { visible }) }))).toThrow(
    expect.objectContaining({ name: 'FormatError', code }),
  );
  expect(pdf.parse(document).signatures.map(({ page }) => page)).toEqual([undefined]);
  expect(workSince(start)).toBeLessThan(6000);
}

/** A document whose form has one signed field seen on a page, so that parsing walks the page tree. */
const SIGNED: Objects = {
  ...PLAIN,
  1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[9 0 R]>>>>',
  9: '<</FT/Sig/T(One)/V<<>>/Rect[0 0 9 9]>>',
};

const text = (document: Buffer) => document.toString('latin1');
const replaced = (document: Buffer, from: RegExp | string, to: string) => {
  const changed = text(document).replace(from, to);
  expect(changed).not.toBe(text(document));
  return Buffer.from(changed, 'latin1');
};

describe('cross-reference sections', () => {
  test('in a circle', () => {
    const document = update(buildPdf(), { 5: '(a)' });
    const last = /startxref\n(\d+)\n%%EOF\n$/.exec(text(document))?.[1];
    expectRefused(replaced(document, /\/Prev \d+/, `/Prev ${last}`), 'PDF_DAMAGED');
  });

  test('outside the file, inside something else, negative', () => {
    for (const prev of ['999999', '15', '-1', '1.5', '1 0 R', '(x)'])
      expectRefused(replaced(update(buildPdf(), { 5: '(a)' }), /\/Prev \d+/, `/Prev ${prev}`), 'PDF_DAMAGED');
    for (const start of ['999999', '15', '0', '99999999999999999999'])
      expectRefused(replaced(buildPdf(), /startxref\n\d+/, `startxref\n${start}`), 'PDF_DAMAGED');
  });

  test('more than anyone saves a file', () => {
    let document = buildPdf();
    for (let i = 0; i < 512; i++) document = update(document, { 5: '(a)' });
    expectRefused(document, 'PDF_BEYOND_LIMITS');
  });

  test('that speak of objects beyond all numbers', () => {
    expectRefused(replaced(buildPdf(), /0 1\n0000/, '8388608 1\n0000'), 'PDF_BEYOND_LIMITS');
    expectRefused(replaced(buildPdf(), /0 1\n0000/, '0 99999999999\n0000'), 'PDF_DAMAGED');
    const huge = stream('/Type/XRef/W[1 1 1]/Index[0 2147483647]/Size 5/Root 1 0 R', Buffer.alloc(30));
    expectRefused(
      Buffer.from(`%PDF-1.5\n1 0 obj\n${huge}\nendobj\nstartxref\n9\n%%EOF\n`, 'latin1'),
      'PDF_BEYOND_LIMITS',
    );
  });

  test('whose Size leaves no number for what sealing adds', () => {
    const document = replaced(buildPdf(), /\/Size \d+/, '/Size 2147483647');
    expect(() => pdf.prepare(document, sealing())).toThrow(
      expect.objectContaining({ code: 'PDF_BEYOND_LIMITS' }),
    );
  });

  test('that have an object twice', () => {
    expectRefused(replaced(buildPdf(), /\n2 1\n/, '\n1 1\n'), 'PDF_DAMAGED');
  });

  test('whose entries point at other objects, outside the file, or are no entries', () => {
    expectRefused(replaced(buildPdf(), /(\n1 1\n)\d{10}/, '$10000000040'), 'PDF_DAMAGED');
    expectRefused(replaced(buildPdf(), /(\n1 1\n)\d{10}/, '$19999999999'), 'PDF_DAMAGED');
    expectRefused(replaced(buildPdf(), /(\n1 1\n\d{10}) /, '$1x'), 'PDF_DAMAGED');
    expectRefused(replaced(buildPdf(), /(\n1 1\n\d{10} \d{5}) n/, '$1 q'), 'PDF_DAMAGED');
  });

  test.each(['[1 1]', '[1 9 1]', '[0 0 0]', '[1 -1 1]', '(x)', '[1 1 1 1]'])(
    'with field widths %s',
    (widths) => {
      expectRefused(replaced(buildPdf(PLAIN, { kind: 'stream' }), '[1 4 1]', widths), 'PDF_DAMAGED');
    },
  );

  test('that break off before the entry', () => {
    expectRefused(
      replaced(buildPdf(PLAIN, { kind: 'stream' }), /\/Index\[[^\]]*\]/, '/Index[10 20 1 1]'),
      'PDF_DAMAGED',
    );
  });
});

describe('the page tree', () => {
  test('in a circle, near or far', () => {
    expectUnsealable(buildPdf({ ...SIGNED, 2: '<</Type/Pages/Kids[2 0 R]>>' }), 'PDF_DAMAGED');
    expectUnsealable(
      buildPdf({ ...SIGNED, 2: '<</Kids[3 0 R]>>', 3: '<</Kids[4 0 R]>>', 4: '<</Kids[3 0 R]>>' }),
      'PDF_DAMAGED',
    );
  });

  test('that doubles at every level', () => {
    const levels: Record<number, string> = { ...SIGNED };
    for (let i = 20; i < 80; i++) levels[i] = `<</Kids[${i + 1} 0 R ${i + 1} 0 R]>>`;
    expectUnsealable(buildPdf({ ...levels, 2: '<</Kids[20 0 R]>>', 80: '<</Kids[]>>' }), 'PDF_DAMAGED');
  });

  test('with one huge array shared by many nodes', () => {
    const many = 1000;
    const nodes: Record<number, string> = { ...SIGNED };
    for (let i = 20; i < 20 + many; i++) nodes[i] = '<</Kids 10 0 R>>';
    nodes[2] = `<</Kids[${Array.from({ length: many }, (_, i) => `${i + 20} 0 R`).join(' ')}]/MediaBox[0 0 9 9]>>`;
    nodes[10] = `[${'11 0 R '.repeat(100_000)}]`;
    nodes[11] = '<<>>';
    const place = { page: 1_000_000_000, corner: 'top-left', x: 0, y: 0 } as const;
    expectUnsealable(buildPdf(nodes), 'PDF_BEYOND_LIMITS', { drawing: CORNER, place });
  });

  test('with missing, foreign or no pages', () => {
    expectUnsealable(buildPdf({ ...SIGNED, 2: '<</Kids[77 0 R]>>' }), 'PDF_DAMAGED');
    expectUnsealable(buildPdf({ ...SIGNED, 2: '<</Kids[(x)]>>' }), 'PDF_DAMAGED');
    expectUnsealable(buildPdf({ ...SIGNED, 2: '<</Kids[<<>>]>>' }), 'PDF_DAMAGED');
    expect(() => pdf.prepare(buildPdf({ ...SIGNED, 2: '<</Kids[]>>' }), sealing())).toThrow(
      expect.objectContaining({ code: 'PAGE_NOT_FOUND' }),
    );
  });

  test.each(['[0 0 0 0]', '[0 0 1]', '[0 0 (a) 1]', '[0 0 1e9 1]', '[0 0 99999999999 1]', 'null'])(
    'with the media box %s',
    (box) => {
      const document = buildPdf({ ...PLAIN, 4: `<</MediaBox ${box}>>`, 2: '<</Kids[4 0 R]>>' });
      expect(() => pdf.prepare(document, sealing())).toThrow(
        expect.objectContaining({ code: 'PDF_DAMAGED' }),
      );
    },
  );
});

describe('fields', () => {
  const withFields = (fields: string, objects: Objects) =>
    buildPdf({ ...PLAIN, 1: `<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields${fields}>>>>`, ...objects });

  test('in a circle are read once', () => {
    const document = withFields('[5 0 R]', { 5: '<</T(a)/Kids[6 0 R]>>', 6: '<</T(b)/Kids[5 0 R]>>' });
    expect(pdf.parse(document).signatures).toEqual([]);
    expect(pdf.parse(sealBlindly(document)).signatures).toHaveLength(1);
  });

  test('nested deeper than anyone names them', () => {
    const nested: Record<number, string> = {};
    for (let i = 10; i < 300; i++) nested[i] = `<</T(a)/Kids[${i + 1} 0 R]>>`;
    expectRefused(withFields('[10 0 R]', { ...nested, 300: '<</T(a)>>' }), 'PDF_BEYOND_LIMITS');
  });

  test('whose long name is shared by many', () => {
    const many: Record<number, string> = {};
    for (let i = 10; i < 1010; i++) many[i] = '<</T 5 0 R/FT/Sig/V<<>>>>';
    const fields = `[${Object.keys(many)
      .map((number) => `${number} 0 R`)
      .join(' ')}]`;
    expectRefused(withFields(fields, { ...many, 5: `(${'a'.repeat(1_000_000)})` }), 'PDF_BEYOND_LIMITS');
  });

  test('a hundred thousand of them are no trouble', () => {
    const document = withFields(`[${'5 0 R '.repeat(100_000)}]`, { 5: '<</T(a)/FT/Tx>>' });
    expect(pdf.parse(sealBlindly(document)).signatures).toHaveLength(1);
  });
});

describe('syntax', () => {
  test.each(['[', '<</A', '('])('%s nested a hundred thousand deep', (open) => {
    const deep = open.repeat(100_000);
    expectRefused(buildPdf({ ...PLAIN, 1: deep }), open === '(' ? 'PDF_DAMAGED' : 'PDF_BEYOND_LIMITS');
  });

  test('references in a circle, and objects needed to read themselves', () => {
    expectRefused(buildPdf({ ...PLAIN, 1: '5 0 R', 5: '1 0 R' }), 'PDF_DAMAGED');
    const self = Buffer.concat([Buffer.from('%PDF-1.5\n')]);
    const objstm = `<</Type/ObjStm/N 1/First 4/Length 6 0 R>>\nstream\n1 0 <<>>\nendstream`;
    const first = self.length;
    const body = `5 0 obj\n${objstm}\nendobj\n`;
    const rows = Buffer.concat([
      Buffer.from([2, ...be32(5), 0]),
      Buffer.from([1, ...be32(first), 0]),
      Buffer.from([2, ...be32(5), 0]),
    ]);
    const xref = stream('/Type/XRef/W[1 4 1]/Index[1 1 5 2]/Size 8/Root 1 0 R', rows);
    const text = `%PDF-1.5\n${body}7 0 obj\n${xref}\nendobj\nstartxref\n${first + body.length}\n%%EOF\n`;
    expectRefused(Buffer.from(text, 'latin1'), 'PDF_DAMAGED');
  });

  test('more values than any document has', () => {
    expectRefused(buildPdf({ ...PLAIN, 1: `<</A[${'0 '.repeat(1_100_000)}]>>` }), 'PDF_BEYOND_LIMITS');
  });

  test('strings and names without an end', () => {
    for (const body of ['<</A(', '<</A<00', `<</A/${'n'.repeat(100)}`, '<</A', '<</A 1', '<</A[1 2'])
      expectRefused(buildPdf({ ...PLAIN, 1: body }), 'PDF_DAMAGED');
    expectRefused(buildPdf({ ...PLAIN, 1: `<</A(${'s'.repeat(5_000_000)})>>` }), 'PDF_BEYOND_LIMITS');
    expectRefused(buildPdf({ ...PLAIN, 1: `<</A<${'0'.repeat(9_000_000)}>>>` }), 'PDF_BEYOND_LIMITS');
  });

  test.each(['<</A 1/A 2/Pages 2 0 R>>', '<</A 1/#41 2/Pages 2 0 R>>'])('a key twice: %s', (body) => {
    expectRefused(buildPdf({ ...PLAIN, 1: body }), 'PDF_DAMAGED');
  });

  test.each(['--1', '1-1', '0x10', '1e5', '.', '+', '1.2.3', `1${'0'.repeat(100)}`])(
    'no number: %s',
    (number) => {
      expectRefused(buildPdf({ ...PLAIN, 1: `<</A ${number}/Pages 2 0 R>>` }), 'PDF_DAMAGED');
    },
  );
});

describe('streams', () => {
  const bomb = (bytes: number) => Buffer.alloc(bytes);
  const withXrefData = (entries: string, data: Buffer) => {
    const xref = stream(`/Type/XRef/W[1 4 1]/Index[1 1]/Size 9/Root 1 0 R${entries}`, data);
    return Buffer.from(`%PDF-1.5\n7 0 obj\n${xref}\nendobj\nstartxref\n9\n%%EOF\n`, 'latin1');
  };

  test('that inflate without end', () => {
    expectRefused(withXrefData('', bomb(100 * 1024 * 1024)), 'PDF_BEYOND_LIMITS');
  });

  test('each of which inflates to much', () => {
    const packed = stream('/Type/ObjStm/N 1/First 9', bomb(30 * 1024 * 1024));
    const plain = buildPdf({ 20: packed, 21: packed, 22: packed });
    const start = /startxref\n(\d+)/.exec(text(plain))?.[1];
    const rows = Buffer.concat([20, 21, 22].map((number) => Buffer.from([2, ...be32(number), 0])));
    const xref = stream(`/Type/XRef/W[1 4 1]/Index[1 3]/Size 9/Root 1 0 R/Prev ${start}`, rows);
    const tail = `7 0 obj\n${xref}\nendobj\nstartxref\n${plain.length}\n%%EOF\n`;
    expectRefused(Buffer.concat([plain, Buffer.from(tail, 'latin1')]), 'PDF_DAMAGED');
  });

  test.each([
    '/DecodeParms<</Predictor 12/Columns 999999999>>',
    '/DecodeParms<</Predictor 12/Columns 0>>',
    '/DecodeParms<</Predictor 12/Columns -5>>',
    '/DecodeParms<</Predictor 12/Columns (x)>>',
  ])('predicted senselessly: %s', (entries) => {
    expectRefused(withXrefData(entries, bomb(60)), 'PDF_DAMAGED');
  });

  test('of a wrong length, or that do not decompress', () => {
    const document = buildPdf(PLAIN, { kind: 'stream' });
    expectRefused(replaced(document, /\/Length \d+/, '/Length 3'), 'PDF_DAMAGED');
    expectRefused(replaced(document, /\/Length \d+/, '/Length 999999'), 'PDF_DAMAGED');
    expectRefused(replaced(document, /\/Length \d+/, '/Length -1'), 'PDF_DAMAGED');
    expectRefused(replaced(document, /stream\nx./s, 'stream\nyy'), 'PDF_DAMAGED');
  });
});

describe('one object in two roles', () => {
  test.each([
    ['page and form', { 1: '<</Type/Catalog/Pages 2 0 R/AcroForm 4 0 R>>' }],
    ['page and catalog', { 2: '<</Kids[1 0 R]/MediaBox[0 0 595 842]>>' }],
    [
      'annotations and fields',
      { 1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields 6 0 R>>>>', 4: '<</Annots 6 0 R>>', 6: '[]' },
    ],
  ])('%s: refused, since each would be written over the other', (_, objects) => {
    expect(() => pdf.prepare(buildPdf({ ...PLAIN, ...objects }), sealing())).toThrow(
      expect.objectContaining({ code: 'PDF_DAMAGED' }),
    );
  });
});
