/** What the tests of formats share: real files, files written by hand, and signers from outside this project. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import type { Drawing, Sealing } from '../../../src/seals/formats/format.ts';
import { pdf } from '../../../src/seals/formats/pdf/index.ts';

/** Files of real producers; the README beside them tells how each was made. */
export const vector = (name: string): Buffer =>
  readFileSync(new URL(`../../vectors/pdf/${name}.pdf`, import.meta.url));

/** Those that can be sealed, with their number of pages. */
export const SEALABLE: Readonly<Record<string, number>> = {
  chromium: 1,
  'libreoffice-letter': 1,
  'libreoffice-form': 1,
  ghostscript: 2,
  cairo: 1,
  pdftex: 3,
  'pdftex-field': 1,
  hybrid: 2,
  'qpdf-linearized': 1,
  'qpdf-linearized-object-streams': 1,
  rotated: 2,
  incremental: 2,
  'incremental-streams': 3,
  'signed-by-poppler': 1,
};

/** A red square of 20 mm with its lower right quarter left out, so that a picture tells which way is up. */
export const CORNER: Drawing = {
  widthMm: 20,
  heightMm: 20,
  shapes: [
    {
      colour: '#d7000f',
      path: [['M', 0, 0], ['L', 20, 0], ['L', 20, 10], ['L', 10, 10], ['L', 10, 20], ['L', 0, 20], ['Z']],
    },
  ],
};

export const sealing = (changes: Partial<Sealing> = {}): Sealing => ({
  at: new Date('2026-01-31T08:09:10Z'),
  name: '云栖示例科技有限公司',
  reason: 'Contract (2026) \\ 1',
  location: '杭州',
  visible: { drawing: CORNER },
  nonce: Buffer.alloc(16, 7),
  ...changes,
});

/** Prepares, signs and assembles. */
export function seal(document: Uint8Array, signer: Signer, changes: Partial<Sealing> = {}): Uint8Array {
  const prepared = pdf.prepare(document, sealing(changes));
  return prepared.assemble(signer.sign(prepared.covered));
}

/** Lays out and fills in something that is no signature, for tests that verify none. */
export function sealBlindly(document: Uint8Array, changes: Partial<Sealing> = {}): Uint8Array {
  return pdf.prepare(document, sealing(changes)).assemble(Buffer.from('3003020100', 'hex'));
}

export interface Signer {
  /** DER of a CAdES CMS by OpenSSL, detached, over the concatenation. */
  sign(covered: readonly Uint8Array[]): Buffer;
}

/** A throw-away root, and signers that it vouches for. */
export function createAuthority(): { readonly rootPem: string; signer(name: string): Signer } {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-ca-'));
  const at = (file: string) => join(folder, file);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const days = ['-days', '3650'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    ...days,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-subj',
    '/CN=Test root',
  );
  return {
    rootPem: readFileSync(at('ca.pem'), 'utf8'),
    signer(name) {
      const [key, request, certificate] = [at(`${name}.key`), at(`${name}.csr`), at(`${name}.pem`)];
      openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${name}`);
      writeFileSync(at('extensions'), 'keyUsage=critical,digitalSignature,nonRepudiation\n');
      const by = [
        '-CA',
        at('ca.pem'),
        '-CAkey',
        at('ca.key'),
        '-CAcreateserial',
        '-extfile',
        at('extensions'),
      ];
      openssl('x509', '-req', '-in', request, '-out', certificate, ...days, ...by);
      return {
        sign(covered) {
          writeFileSync(at('covered'), Buffer.concat(covered));
          const by = ['-signer', certificate, '-inkey', key, '-certfile', at('ca.pem')];
          const how = ['-sign', '-binary', '-cades', '-md', 'sha256', '-outform', 'DER'];
          return openssl('cms', ...how, '-in', at('covered'), ...by);
        },
      };
    },
  };
}

/** Bodies of objects by number. */
export type Objects = Readonly<Record<number, string>>;

interface Layout {
  readonly kind?: 'table' | 'stream';
  /** Entries of the trailer beside Size and Root. */
  readonly trailer?: string;
  readonly size?: number;
}

/** Two pages without content; what a test is about replaces or joins these objects. */
export const PLAIN: Objects = {
  1: '<</Type/Catalog/Pages 2 0 R>>',
  2: '<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2/MediaBox[0 0 595 842]>>',
  3: '<</Type/Page/Parent 2 0 R/Resources<<>>>>',
  4: '<</Type/Page/Parent 2 0 R/Resources<<>>>>',
};

/** A file written by hand; object 1 is its catalog. */
export function buildPdf(objects: Objects = PLAIN, layout: Layout = {}): Buffer {
  return update(Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'latin1'), objects, layout);
}

/** The file with a further revision. */
export function update(file: Buffer, objects: Objects, layout: Layout = {}): Buffer {
  const previous = /startxref\s+(\d+)\s+%%EOF\s*$/.exec(file.toString('latin1'))?.[1];
  let text = file.toString('latin1');
  const offsets = new Map<number, number>();
  for (const [number, body] of Object.entries(objects)) {
    offsets.set(Number(number), text.length);
    text += `${number} 0 obj\n${body}\nendobj\n`;
  }
  const start = text.length;
  const highest = Math.max(...offsets.keys());
  const trailer =
    `/Root 1 0 R${previous === undefined ? '' : `/Prev ${previous}`}${layout.trailer ?? ''}` +
    `/Size ${layout.size ?? highest + 2}`;
  if (layout.kind === 'stream') {
    offsets.set(highest + 1, start);
    const rows = Buffer.concat([...offsets.values()].map((offset) => Buffer.from([1, ...be32(offset), 0])));
    const index = [...offsets.keys()].map((number) => `${number} 1`).join(' ');
    text += `${highest + 1} 0 obj\n${stream(`/Type/XRef/W[1 4 1]/Index[${index}]${trailer}`, rows)}\nendobj\n`;
  } else {
    text += `xref\n${previous === undefined ? '0 1\n0000000000 65535 f\r\n' : ''}`;
    for (const [number, offset] of offsets)
      text += `${number} 1\n${String(offset).padStart(10, '0')} 00000 n\r\n`;
    text += `trailer\n<<${trailer}>>\n`;
  }
  return Buffer.from(`${text}startxref\n${start}\n%%EOF\n`, 'latin1');
}

/** The body of a compressed stream object. */
export function stream(entries: string, data: Uint8Array): string {
  const packed = deflateSync(data);
  return `<<${entries}/Filter/FlateDecode/Length ${packed.length}>>\nstream\n${packed.toString('latin1')}\nendstream`;
}

export function be32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** Where red is on a page, in millimetres from its top left corner as the reader sees it. */
export interface RedBox {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Which quarters of the box are filled: top left, top right, bottom left, bottom right. */
  readonly filled: readonly boolean[];
}

const DPI = 127;
const PIXELS_PER_MM = DPI / 25.4;

/** Renders a page with Poppler and looks for red. */
export function findRed(document: Uint8Array, page: number): RedBox | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'yinxin-render-'));
  writeFileSync(join(folder, 'document.pdf'), document);
  const range = ['-f', String(page), '-l', String(page), '-r', String(DPI), '-cropbox', '-singlefile'];
  execFileSync('pdftoppm', [...range, join(folder, 'document.pdf'), join(folder, 'page')]);
  const ppm = readFileSync(join(folder, 'page.ppm'));
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(ppm.toString('latin1', 0, 40));
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const pixels = ppm.subarray(header?.[0].length);
  const red = (x: number, y: number) => {
    const [r = 0, g = 255, b = 255] = pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3);
    return r > 150 && g < 110 && b < 110;
  };
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!red(x, y)) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  if (right < 0) return undefined;
  const at = (across: number, down: number) =>
    red(Math.floor(left + (right - left) * across), Math.floor(top + (bottom - top) * down));
  return {
    left: left / PIXELS_PER_MM,
    top: top / PIXELS_PER_MM,
    right: right / PIXELS_PER_MM,
    bottom: bottom / PIXELS_PER_MM,
    filled: [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)],
  };
}
