/**
 * Outlines of Noto Serif SC (SIL OFL 1.1), a type of the Song kind that official seals are cut in. The font comes from npm in a hundred
 * slices by code point; only those that a name needs are read.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import opentype, { type Font } from 'opentype.js';
import { decompress } from 'woff2-encoder';
import type { PathCommand } from '../formats/format.ts';
import { DrawingError } from './errors.ts';

/** One letter, in a square of side 1 for a Chinese one; y downward from the top of the square. */
export interface Glyph {
  /** How wide the letter is set: 1 for Chinese, less for digits and Latin letters. */
  readonly advance: number;
  readonly path: readonly PathCommand[];
}

export interface GlyphSource {
  /**
   * The letters of `text`.
   * @throws {DrawingError} LETTER_MISSING: the font has no outline for one of them.
   */
  load(text: string): Promise<ReadonlyMap<string, Glyph>>;
}

const WEIGHT = 600;
/** The square of Chinese letters reaches 0.88 em above the baseline and 0.12 em below it. */
const SQUARE_TOP = 0.88;
/** An opened slice takes some 2 MB; names share few of them. */
const OPEN_SLICES = 8;

export function createGlyphSource(): GlyphSource {
  const folder = dirname(
    createRequire(import.meta.url).resolve('@fontsource-variable/noto-serif-sc/package.json'),
  );
  const slices = readSlices(
    JSON.parse(readFileSync(join(folder, 'unicode.json'), 'utf8')) as Record<string, string>,
  );
  const open = new Map<string, Promise<Font>>();

  function fontFor(slice: string): Promise<Font> {
    const font =
      open.get(slice) ?? openFont(join(folder, 'files', `noto-serif-sc-${slice}-wght-normal.woff2`));
    open.delete(slice);
    open.set(slice, font);
    font.catch(() => open.delete(slice));
    const [oldest] = open.keys();
    if (open.size > OPEN_SLICES && oldest !== undefined) open.delete(oldest);
    return font;
  }

  return {
    async load(text) {
      const glyphs = new Map<string, Glyph>();
      for (const letter of new Set(text)) {
        const codePoint = letter.codePointAt(0) ?? 0;
        const slice = slices.find(({ ranges }) =>
          ranges.some(([first, last]) => codePoint >= first && codePoint <= last),
        );
        const glyph = slice && toGlyph(await fontFor(slice.name), letter);
        if (!glyph)
          throw new DrawingError('LETTER_MISSING', `The seal's font has no outline for "${letter}".`);
        glyphs.set(letter, glyph);
      }
      return glyphs;
    },
  };
}

interface Slice {
  readonly name: string;
  readonly ranges: readonly (readonly [first: number, last: number])[];
}

/** `unicode.json` of the package: `"[113]": "U+6d59,U+4e00-4e03"`, as in the `unicode-range` of CSS. */
function readSlices(table: Record<string, string>): Slice[] {
  return Object.entries(table).map(([name, ranges]) => ({
    name: name.replace(/[[\]]/g, ''),
    ranges: ranges.split(',').map((range) => {
      const [first = '', last = first] = range.replace('U+', '').split('-');
      return [Number.parseInt(first, 16), Number.parseInt(last, 16)] as const;
    }),
  }));
}

async function openFont(file: string): Promise<Font> {
  const sfnt = await decompress(await readFile(file));
  return opentype.parse(sfnt.buffer.slice(sfnt.byteOffset, sfnt.byteOffset + sfnt.byteLength) as ArrayBuffer);
}

function toGlyph(font: Font, letter: string): Glyph | undefined {
  const glyph = font.charToGlyph(letter);
  if (glyph.index === 0) return undefined;
  const { commands } = glyph.getPath(0, SQUARE_TOP, 1, { variation: { wght: WEIGHT } }, font);
  const path = commands.map((command): PathCommand => {
    switch (command.type) {
      case 'M':
      case 'L':
        return [command.type, command.x, command.y];
      case 'Q':
        return ['Q', command.x1, command.y1, command.x, command.y];
      case 'C':
        return ['C', command.x1, command.y1, command.x2, command.y2, command.x, command.y];
      case 'Z':
        return ['Z'];
    }
  });
  return { advance: (glyph.advanceWidth ?? font.unitsPerEm) / font.unitsPerEm, path };
}
