/**
 * The round official seal: a ring, a five-pointed star, the name along the upper arc read from left to right with its feet towards the
 * centre, and the seal's code along the lower arc. Pure: glyphs in, shapes out.
 */
import type { Drawing, PathCommand } from '../formats/format.ts';
import { DrawingError } from './errors.ts';
import type { Glyph } from './glyphs.ts';

export interface RoundSeal {
  /** What stands on the seal, 4 to 36 letters. */
  readonly name: string;
  /** Digits along the lower arc. */
  readonly code?: string;
  /** Outer diameter in millimetres, 30 to 60 (State Council rule 1999 No. 25: 60 for the State Council itself). */
  readonly diameterMm: number;
}

const SEAL_RED = '#d7000f';
/** Proportions of a seal of 40 mm; others are drawn to scale. */
const AT_40_MM = { ring: 1.2, gap: 1.1, starRadius: 7, codeHeight: 1.7, codePitch: 1.55 };
/** Inner to outer radius of a regular five-pointed star: 1 / phi^2. */
const STAR_WAIST = 0.381966;
const DEGREE = Math.PI / 180;

/** @throws {DrawingError} NAME_LENGTH, DIAMETER; LETTER_MISSING when `glyphs` lacks a letter. */
export function drawRoundSeal(seal: RoundSeal, glyphs: ReadonlyMap<string, Glyph>): Drawing {
  const letters = [...seal.name];
  if (letters.length < 4 || letters.length > 36)
    throw new DrawingError('NAME_LENGTH', 'The name on a round seal has 4 to 36 letters.');
  if (!(seal.diameterMm >= 30 && seal.diameterMm <= 60))
    throw new DrawingError('DIAMETER', 'A round seal is 30 to 60 mm across.');
  const scale = seal.diameterMm / 40;
  const radius = seal.diameterMm / 2;
  const ring = AT_40_MM.ring * scale;
  const inside = radius - ring - AT_40_MM.gap * scale;

  /** A letter of that width and height, its middle `middle` millimetres from the centre, `angle` clockwise from the top. */
  const place = (
    letter: string,
    angle: number,
    middle: number,
    width: number,
    height: number,
    feetInward: boolean,
  ): PathCommand[] => {
    const glyph = outlineOf(letter, glyphs);
    const turn = feetInward ? angle : angle + Math.PI;
    const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
    const [x0, y0] = [radius + middle * Math.sin(angle), radius - middle * Math.cos(angle)];
    const middleOfGlyph = roomFor(glyph) === 1 ? glyph.advance / 2 : middleOfInk(glyph);
    return transform(glyph.path, (x, y) => {
      const [dx, dy] = [(x - middleOfGlyph) * width, (y - 0.5) * height];
      return [x0 + dx * cos - dy * sin, y0 + dx * sin + dy * cos];
    });
  };

  const digits = [...(seal.code ?? '')];
  const codeHeight = AT_40_MM.codeHeight * scale;
  const codeMiddle = inside - codeHeight / 2;
  const codeStep = (AT_40_MM.codePitch * scale) / codeMiddle;
  const code = digits.flatMap((digit, i) => {
    const angle = Math.PI - (i - (digits.length - 1) / 2) * codeStep;
    return place(digit, angle, codeMiddle, codeHeight, codeHeight, false);
  });

  const rooms = letters.map((letter) => roomFor(outlineOf(letter, glyphs)));
  const total = rooms.reduce((sum, room) => sum + room, 0);
  const name = nameLayout(total);
  const height = name.height * scale;
  const middle = inside - height / 2;
  // The name ends before the code begins.
  const free = digits.length === 0 ? 2 * Math.PI : 2 * Math.PI - (digits.length - 1) * codeStep - 30 * DEGREE;
  const step = Math.min(name.span * DEGREE, free) / (total - 1);
  // Letters are cut narrower where there are many, never wider than they are high.
  const width = Math.min(height, step * middle * 0.86);
  let before = 0;
  const text = letters.flatMap((letter, i) => {
    const room = rooms[i] as number;
    before += room;
    return place(letter, (before - room / 2 - total / 2) * step, middle, width, height, true);
  });
  const path = [
    ...circle(radius, radius, radius, false),
    ...circle(radius, radius, radius - ring, true),
    ...star(radius, radius, AT_40_MM.starRadius * scale),
    ...code,
    ...text,
  ];
  return { widthMm: seal.diameterMm, heightMm: seal.diameterMm, shapes: [{ colour: SEAL_RED, path }] };
}

function outlineOf(letter: string, glyphs: ReadonlyMap<string, Glyph>): Glyph {
  const glyph = glyphs.get(letter);
  if (!glyph) throw new DrawingError('LETTER_MISSING', `The seal's font has no outline for "${letter}".`);
  return glyph;
}

/** How much of the arc a letter takes: 1 for a Chinese one, less for brackets, digits and Latin letters, whose ink is narrow. */
function roomFor(glyph: Glyph): number {
  const [left, right] = inkOf(glyph);
  const needed = right - left + 0.25;
  return glyph.advance > 0.9 && right - left > 0.45 ? 1 : Math.min(1, Math.max(0.5, needed));
}

function middleOfInk(glyph: Glyph): number {
  const [left, right] = inkOf(glyph);
  return (left + right) / 2;
}

/** From where to where a letter has ink. */
function inkOf({ path, advance }: Glyph): readonly [left: number, right: number] {
  const across = path.flatMap(([, ...numbers]) => numbers.filter((_, i) => i % 2 === 0));
  return across.length === 0 ? [0, advance] : [Math.min(...across), Math.max(...across)];
}

/** Degrees that the name spans and height of its letters on a seal of 40 mm: a short name is large and keeps to the top, a long one runs around. */
function nameLayout(letters: number): { span: number; height: number } {
  return {
    span: 285 * (1 - Math.exp(-letters / 7.5)),
    height: Math.max(3.6, 6.4 - Math.max(0, letters - 8) * 0.1),
  };
}

/** Four cubic arcs; `reversed` runs the other way round, which cuts a hole under the nonzero rule. */
function circle(cx: number, cy: number, r: number, reversed: boolean): PathCommand[] {
  const k = 0.5522847498 * r;
  const d = reversed ? -1 : 1;
  return transform(
    [
      ['M', r, 0],
      ['C', r, k, k, r, 0, r],
      ['C', -k, r, -r, k, -r, 0],
      ['C', -r, -k, -k, -r, 0, -r],
      ['C', k, -r, r, -k, r, 0],
      ['Z'],
    ],
    (x, y) => [cx + x, cy + d * y],
  );
}

function star(cx: number, cy: number, r: number): PathCommand[] {
  const corners = Array.from({ length: 10 }, (_, i): PathCommand => {
    const length = i % 2 === 0 ? r : r * STAR_WAIST;
    return [
      i === 0 ? 'M' : 'L',
      cx + length * Math.sin(i * 36 * DEGREE),
      cy - length * Math.cos(i * 36 * DEGREE),
    ];
  });
  return transform([...corners, ['Z']], (x, y) => [x, y]);
}

/** Moves every point of a path, and rounds it to a thousandth of a millimetre. */
function transform(
  path: readonly PathCommand[],
  move: (x: number, y: number) => readonly [number, number],
): PathCommand[] {
  const at = (x: number, y: number) =>
    move(x, y).map((value) => Math.round(value * 1000) / 1000) as [number, number];
  return path.map((command): PathCommand => {
    switch (command[0]) {
      case 'M':
      case 'L':
        return [command[0], ...at(command[1], command[2])];
      case 'Q':
        return ['Q', ...at(command[1], command[2]), ...at(command[3], command[4])];
      case 'C':
        return [
          'C',
          ...at(command[1], command[2]),
          ...at(command[3], command[4]),
          ...at(command[5], command[6]),
        ];
      case 'Z':
        return command;
    }
  });
}
