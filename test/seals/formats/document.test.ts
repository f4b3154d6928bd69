/** What sealing keeps of a document, what it adds, and which documents it refuses. */
import { describe, expect, test } from 'vitest';
import type { FormatErrorCode } from '../../../src/seals/formats/format.ts';
import { pdf } from '../../../src/seals/formats/pdf/index.ts';
import { pdfsig, qpdfCheck } from '../../support/validators.ts';
import {
  CORNER,
  type Objects,
  PLAIN,
  buildPdf,
  createAuthority,
  findRed,
  seal,
  sealBlindly,
  sealing,
  stream,
  update,
  vector,
} from './support.ts';

const authority = createAuthority();
const signer = authority.signer('Signer');

const added = (original: Uint8Array, sealed: Uint8Array) =>
  Buffer.from(sealed.subarray(original.length)).toString('latin1');
const withCode = (code: FormatErrorCode): unknown => expect.objectContaining({ name: 'FormatError', code });

/** Seals, and has Poppler and qpdf agree. */
function sealSoundly(document: Buffer): string {
  const sealed = seal(document, signer);
  expect(qpdfCheck(sealed)).not.toContain('WARNING');
  const said = pdfsig(sealed, authority.rootPem);
  expect(said).toContain('Total document signed');
  expect(said.split('Signature is Valid.')).toHaveLength(2);
  return added(document, sealed);
}

describe('the form', () => {
  const text = '<</FT/Tx/T(Applicant)/V(Someone)>>';

  test('is made where there is none, and the catalog keeps its other entries', () => {
    const increment = sealSoundly(
      buildPdf({ ...PLAIN, 1: '<< /Type /Catalog /Lang (zh-CN) /Pages 2 0 R % the end\n>>' }),
    );
    expect(increment).toMatch(/\/Lang \(zh-CN\) \/Pages 2 0 R % the end\n\s*\/AcroForm \d+ 0 R>>/);
  });

  const forms: Record<string, Objects> = {
    'in the catalog': { 1: '<</AcroForm<</DA(/F 0 Tf)/Fields[5 0 R]>>/Type/Catalog/Pages 2 0 R>>' },
    'behind a reference': {
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R>>',
      6: '<</DA(/F 0 Tf)/Fields [ 5 0 R ] >>',
    },
    'whose fields are behind a reference': {
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</DA(/F 0 Tf)/Fields 6 0 R/SigFlags 4>>>>',
      6: '[5 0 R %comment\n]',
    },
  };
  test.each(Object.entries(forms))('%s keeps its fields and gains one', (_, objects) => {
    const document = buildPdf({ ...PLAIN, ...objects, 5: text });
    const increment = sealSoundly(document);
    expect(increment).toMatch(/5 0 R[^\]]*\n\d+ 0 R\]/);
    expect(increment).toMatch(/\/SigFlags +[37]\b/);
    if (!('6' in objects)) expect(increment).toContain('/DA(/F 0 Tf)');
  });

  test('an object is written anew only where something in it changes', () => {
    const document = buildPdf({
      ...PLAIN,
      1: forms['behind a reference']?.[1] ?? '',
      5: text,
      6: '<</Fields[5 0 R]>>',
    });
    expect(sealSoundly(document)).not.toMatch(/\n[125] 0 obj/);
  });

  test.each([
    ['(Seal1)', 'Seal2'],
    ['<5365616C31>', 'Seal2'],
    ['<FEFF005300650061006C0031>', 'Seal2'],
    ['(\\123eal\\061)', 'Seal2'],
    ['(Seal2)', 'Seal1'],
  ])('with a field called %s, the new one is called %s', (taken, name) => {
    const document = buildPdf({
      ...PLAIN,
      1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>>',
      5: `<</FT/Tx/T${taken}>>`,
    });
    expect(pdf.parse(sealBlindly(document)).signatures[0]?.fieldName).toBe(name);
  });
});

describe('annotations', () => {
  const note = '<</Type/Annot/Subtype/Text/Rect[9 9 30 30]/Contents(kept)>>';
  const pages: Record<string, Objects> = {
    'in the page': { 4: '<</Type/Page/Parent 2 0 R/Annots[ 5 0 R ]/Resources<<>>>>' },
    'behind a reference': { 4: '<</Type/Page/Parent 2 0 R/Annots 6 0 R/Resources<<>>>>', 6: '[5 0 R]' },
    'as null': { 4: '<</Type/Page/Parent 2 0 R/Annots null/Resources<<>>>>' },
    'written into the array': { 4: `<</Type/Page/Parent 2 0 R/Annots[${note}]/Resources<<>>>>` },
  };
  test.each(Object.entries(pages))('%s are kept', (name, objects) => {
    const increment = sealSoundly(buildPdf({ ...PLAIN, ...objects, 5: note }));
    if (name !== 'as null') expect(increment).toMatch(/(?:5 0 R|kept\)>>)\s*\d+ 0 R\]/);
    expect(increment.split('/Annots').length - 1).toBe(name === 'behind a reference' ? 0 : 1);
  });
});

describe('the increment', () => {
  test('says what the seal is, printable and locked', () => {
    const document = buildPdf();
    const increment = added(document, sealBlindly(document));
    expect(increment).toContain('/Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached');
    expect(increment).toContain("/M(D:20260131080910+00'00')");
    expect(increment).toContain('/Name<feff4e916816793a4f8b79d16280670996508d2c53f8>'.slice(0, 20));
    expect(increment).toContain('/Reason(Contract \\(2026\\) \\\\ 1)');
    expect(increment).toContain('/F 132');
  });

  test.each(['table', 'stream'] as const)('is of the same kind as the file: %s', (kind) => {
    const document = buildPdf(PLAIN, { kind, trailer: '/Info 9 0 R/ID[<aabb><ccdd>]/X#20Y(kept)' });
    const increment = sealSoundly(document);
    expect(increment.includes('\nxref\n')).toBe(kind === 'table');
    expect(increment.includes('/Type/XRef')).toBe(kind === 'stream');
    expect(increment).toContain('/Info 9 0 R');
    expect(increment).toContain('/X#20Y (kept)');
    expect(increment).toContain(`/ID[<aabb><${'07'.repeat(16)}>]`);
    expect(increment.endsWith('%%EOF\n')).toBe(true);
  });

  test('a file without an identifier gets one', () => {
    expect(sealSoundly(buildPdf())).toContain(`/ID[<${'07'.repeat(16)}><${'07'.repeat(16)}>]`);
  });

  test('never takes a number that an older revision uses, whatever Size says', () => {
    const document = update(buildPdf({ ...PLAIN, 40: '(forty)' }), { 5: '(five)' }, { size: 6 });
    expect(added(document, sealBlindly(document))).not.toMatch(/\n(?:[6-9]|[123]\d|40) 0 obj/);
  });

  test('is appended after a file that does not end with a line end', () => {
    const document = buildPdf().subarray(0, -1);
    expect(sealSoundly(document)).toMatch(/^\n\d+ 0 obj/);
  });

  test('goes after what a server appended', () => {
    sealSoundly(
      Buffer.concat([vector('ghostscript'), Buffer.from('\0\0\r\n<!-- delivered by example -->\n')]),
    );
  });

  test.each(['ghostscript', 'pdftex'])(
    'counts from the header where a mail gateway put lines before it: %s',
    (name) => {
      sealSoundly(Buffer.concat([Buffer.from('X-Gateway: example\r\n\r\n'), vector(name)]));
    },
  );

  test('a signature that fits to the byte is taken, one byte more is not', () => {
    const prepared = pdf.prepare(buildPdf(), sealing({ signatureBytes: 100 }));
    const { signatures } = pdf.parse(prepared.assemble(Buffer.alloc(100, 0xab)));
    expect(signatures[0]?.problem ?? signatures[0]?.contents).toEqual(Buffer.alloc(100, 0xab));
    expect(() => prepared.assemble(Buffer.alloc(101))).toThrow(withCode('SIGNATURE_TOO_LARGE'));
  });

  test('a nonce of another size is a mistake of the programmer', () => {
    expect(() => pdf.prepare(buildPdf(), sealing({ nonce: Buffer.alloc(8) }))).toThrow(TypeError);
    expect(() => pdf.prepare(buildPdf(), sealing({ signatureBytes: 0 }))).toThrow(TypeError);
  });

  test('what sealers write into their texts stays text', () => {
    const evil = ')/Contents<00>/ByteRange[0 0 0 0]>>\nendobj\r\0(\u{1f409}\\';
    const sealed = seal(buildPdf(), signer, { name: evil, reason: evil, location: `${evil}章` });
    const { signatures } = pdf.parse(sealed);
    expect(signatures).toHaveLength(1);
    expect(signatures[0]).toMatchObject({
      name: evil,
      reason: evil,
      location: `${evil}章`,
      coversWholeDocument: true,
    });
    expect(pdfsig(sealed, authority.rootPem)).toContain('Signature is Valid.');
  });
});

describe('seals of several units', () => {
  test('stand on different pages, and every one stays valid', () => {
    let document: Uint8Array = vector('pdftex');
    for (const page of [1, 2, 3]) {
      const place = { page, corner: 'top-left', x: 10 * page, y: 10 } as const;
      document = seal(document, authority.signer(`Unit ${page}`), {
        visible: { drawing: CORNER, place },
        nonce: Buffer.alloc(16, page),
      });
    }
    expect(pdfsig(document, authority.rootPem).split('Signature is Valid.')).toHaveLength(4);
    for (const page of [1, 2, 3]) expect(findRed(document, page)?.left).toBeCloseTo(10 * page, 0);
    expect(pdf.parse(document).signatures.map(({ page }) => page)).toEqual([1, 2, 3]);
  });
});

describe('refused, and nothing is signed', () => {
  const certified = (parameters: string) => ({
    ...PLAIN,
    1: '<</Type/Catalog/Pages 2 0 R/Perms<</DocMDP 5 0 R>>/AcroForm<</Fields[6 0 R]>>>>',
    5: `<</Type/Sig/Reference[<</Type/SigRef/TransformMethod/DocMDP${parameters}>>]>>`,
    6: '<</FT/Sig/T(Author)/V 5 0 R>>',
  });

  test('a document certified against every change', () => {
    const document = buildPdf(certified('/TransformParams<</P 1/V/1.2>>'));
    expect(() => pdf.prepare(document, sealing())).toThrow(withCode('CHANGES_FORBIDDEN'));
  });

  test.each(['/TransformParams<</P 2>>', '/TransformParams<</P 3>>', '/TransformParams<<>>', ''])(
    'not so one certified with %j',
    (parameters) => {
      expect(() => pdf.prepare(buildPdf(certified(parameters)), sealing())).not.toThrow();
    },
  );

  test('a document that a signer locked, but not one whose lock nobody signed', () => {
    const locked = (value: string) =>
      buildPdf({
        ...PLAIN,
        1: '<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]>>>>',
        5: '<</Type/Sig>>',
        6: `<</FT/Sig/T(Signer)/Lock<</Type/SigFieldLock/Action/All/P 1>>${value}>>`,
      });
    expect(() => pdf.prepare(locked('/V 5 0 R'), sealing())).toThrow(withCode('CHANGES_FORBIDDEN'));
    expect(() => pdf.prepare(locked(''), sealing())).not.toThrow();
  });

  test('an encrypted document, even when its password is empty', () => {
    for (const act of [
      () => pdf.prepare(vector('encrypted'), sealing()),
      () => pdf.parse(vector('encrypted')),
    ])
      expect(act).toThrow(withCode('PDF_ENCRYPTED'));
  });

  test.each(['', '%PDF-', 'hello', '%FDF-1.2\n', '<html>', 'PK\u0003\u0004', `${' '.repeat(2000)}%PDF-1.7`])(
    'what is no PDF: %j',
    (text) => {
      expect(() => pdf.prepare(Buffer.from(text), sealing())).toThrow(withCode('NOT_A_PDF'));
      expect(() => pdf.parse(Buffer.from(text))).toThrow(withCode('NOT_A_PDF'));
    },
  );

  test.each(['chromium', 'libreoffice-form', 'pdftex', 'qpdf-linearized', 'hybrid'])(
    'a file cut off anywhere: %s',
    (name) => {
      const whole = vector(name);
      const end = whole.lastIndexOf('%%EOF');
      for (let i = 1; i <= 60; i++) {
        const cut = whole.subarray(0, Math.floor((end * i) / 60));
        // What remains of an incremental file can be one of its earlier revisions, whole.
        if (name === 'hybrid' && cut.includes('%%EOF')) continue;
        expect(() => pdf.prepare(cut, sealing())).toThrow(
          withCode(i * end < 60 * 10 ? 'NOT_A_PDF' : 'PDF_DAMAGED'),
        );
      }
    },
  );

  test('a file whose structure is compressed in a way that no producer uses', () => {
    const lzw = stream('/Type/XRef/W[1 1 1]/Size 2/Root 1 0 R', Buffer.alloc(6)).replace(
      'FlateDecode',
      'LZWDecode',
    );
    const document = Buffer.from(`%PDF-1.5\n1 0 obj\n${lzw}\nendobj\nstartxref\n9\n%%EOF\n`, 'latin1');
    expect(() => pdf.prepare(document, sealing())).toThrow(withCode('PDF_UNSUPPORTED'));
  });
});
