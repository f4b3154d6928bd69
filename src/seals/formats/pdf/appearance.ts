/** A drawing as the appearance stream of a widget (ISO 32000-2, 12.5.5 and 8.10). */
import { deflateSync } from 'node:zlib';
import type { Drawing, PathCommand } from '../format.ts';
import type { Chunk } from './increment.ts';
import type { Placement } from './placement.ts';

const POINTS_PER_MM = 72 / 25.4;

/** Painting operators of a drawing do not depend on where it is put; a unit's seal is compressed once. */
const contentOf = new WeakMap<Drawing, Buffer>();

/**
 * A form XObject that paints `drawing` at its real size, upright on a page turned by `matrix`. It multiplies with what lies below, as
 * ink does: text under the seal stays readable.
 */
export function formXObject(drawing: Drawing, matrix: Placement['matrix']): Chunk[] {
  let content = contentOf.get(drawing);
  if (content === undefined) {
    content = deflateSync(Buffer.from(contentStream(drawing), 'latin1'));
    contentOf.set(drawing, content);
  }
  const box = [0, 0, drawing.widthMm * POINTS_PER_MM, drawing.heightMm * POINTS_PER_MM].map(writeNumber);
  return [
    `<</Type/XObject/Subtype/Form/BBox[${box.join(' ')}]/Matrix[${matrix.join(' ')} 0 0]` +
      `/Resources<</ExtGState<</Ink<</Type/ExtGState/BM/Multiply>>>>>>` +
      `/Filter/FlateDecode/Length ${content.length}>>\nstream\n`,
    content,
    '\nendstream',
  ];
}

/** Coordinates stay in millimetres; one matrix turns them into points and y upward. */
function contentStream({ widthMm: _width, heightMm, shapes }: Drawing): string {
  const scale = writeNumber(POINTS_PER_MM);
  const lines = ['q /Ink gs', `${scale} 0 0 -${scale} 0 ${writeNumber(heightMm * POINTS_PER_MM)} cm`];
  for (const { colour, path } of shapes) {
    lines.push(`${rgb(colour)} rg`, ...operators(path), 'f');
  }
  return [...lines, 'Q'].join('\n');
}

/** `#rrggbb` as three numbers from 0 to 1. */
function rgb(colour: string): string {
  return [1, 3, 5].map((at) => writeNumber(parseInt(colour.slice(at, at + 2), 16) / 255)).join(' ');
}

function operators(path: readonly PathCommand[]): string[] {
  let [fromX, fromY] = [0, 0];
  return path.map((command) => {
    switch (command[0]) {
      case 'Z':
        return 'h';
      case 'M':
      case 'L': {
        const [kind, x, y] = command;
        [fromX, fromY] = [x, y];
        return `${points(x, y)} ${kind === 'M' ? 'm' : 'l'}`;
      }
      case 'Q': {
        // PDF knows cubic curves only; this is the same curve with its degree raised.
        const [, x1, y1, x, y] = command;
        const toward = (from: number, control: number) => from + ((control - from) * 2) / 3;
        const curve = points(toward(fromX, x1), toward(fromY, y1), toward(x, x1), toward(y, y1), x, y);
        [fromX, fromY] = [x, y];
        return `${curve} c`;
      }
      case 'C': {
        const [, x1, y1, x2, y2, x, y] = command;
        [fromX, fromY] = [x, y];
        return `${points(x1, y1, x2, y2, x, y)} c`;
      }
    }
  });
}

function points(...coordinates: number[]): string {
  return coordinates.map(writeNumber).join(' ');
}

/** At most four decimals, never an exponent, which PDF does not have. */
export function writeNumber(value: number): string {
  const rounded = Math.round(value * 10_000) / 10_000;
  return Number.isInteger(rounded) ? String(rounded) : rounded.toFixed(4).replace(/0+$/, '');
}
