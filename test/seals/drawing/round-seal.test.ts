import { expect, test } from 'vitest';
import {
  createGlyphSource,
  drawRoundSeal,
  DrawingError,
  toSvg,
  type Glyph,
} from '../../../src/seals/drawing/index.ts';
import type { Drawing } from '../../../src/seals/formats/format.ts';

const source = createGlyphSource();
const digits = '0123456789';

async function draw(name: string, diameterMm = 40): Promise<Drawing> {
  return drawRoundSeal({ name, code: '3301060000123', diameterMm }, await source.load(name + digits));
}

/** Every point of a drawing, control points included. */
function points(drawing: Drawing): [number, number][] {
  return drawing.shapes.flatMap(({ path }) =>
    path.flatMap(([, ...numbers]) => {
      const pairs: [number, number][] = [];
      for (let i = 0; i + 1 < numbers.length; i += 2)
        pairs.push([numbers[i] ?? Number.NaN, numbers[i + 1] ?? Number.NaN]);
      return pairs;
    }),
  );
}

/** Millimetres from the centre. */
const distance =
  (drawing: Drawing) =>
  ([x, y]: [number, number]) =>
    Math.hypot(x - drawing.widthMm / 2, y - drawing.heightMm / 2);

test.each([
  '杭州市数据资源管理局',
  '云栖公司',
  '浙江省人民政府办公厅政务服务管理办公室',
  '中国（浙江）自由贸易试验区杭州片区管理委员会综合协调局',
])('the seal of %s lies within its circle and keeps star and name apart', async (name) => {
  const drawing = await draw(name);
  const distances = points(drawing).map(distance(drawing));
  // Control points of the ring's arcs lie outside the circle that they draw: at most by a factor of 1.1425.
  expect(Math.max(...distances)).toBeLessThan(20 * 1.15);
  expect(distances.filter((d) => d > 7.01 && d < 8.5)).toEqual([]);
});

test('the name is spread symmetrically about the upright', () => {
  const square: Glyph = { advance: 1, path: [['M', 0, 0], ['L', 1, 0], ['L', 1, 1], ['L', 0, 1], ['Z']] };
  for (const letters of [4, 9, 18, 36]) {
    const drawing = drawRoundSeal({ name: '口'.repeat(letters), diameterMm: 40 }, new Map([['口', square]]));
    const corners = points(drawing).slice(-4 * letters);
    expect(corners.reduce((sum, [x]) => sum + x, 0) / corners.length).toBeCloseTo(20, 3);
    expect(Math.max(...corners.map(distance(drawing)))).toBeLessThan(18.8);
  }
});

test('the longest name ends before the code begins', () => {
  const square: Glyph = { advance: 1, path: [['M', 0, 0], ['L', 1, 0], ['L', 1, 1], ['L', 0, 1], ['Z']] };
  const glyphs = new Map([...'口0123456789'].map((letter) => [letter, square]));
  const drawing = drawRoundSeal({ name: '口'.repeat(36), code: '3301060000123', diameterMm: 40 }, glyphs);
  const angles = points(drawing).map(([x, y]) => (Math.atan2(x - 20, 20 - y) * 180) / Math.PI);
  const name = angles.slice(-4 * 36);
  const code = angles.slice(-4 * (36 + 13), -4 * 36).map((angle) => (angle + 360) % 360);
  expect(Math.min(...code) - Math.max(...name)).toBeGreaterThan(3);
  expect(Math.min(...name) + 360 - Math.max(...code)).toBeGreaterThan(3);
});

test('brackets and Latin letters stand closer than Chinese ones', async () => {
  const glyphs = await source.load('云栖（杭州）ABC公司');
  const angleOf = (name: string) => {
    const last = glyphs.get([...name].at(-1) ?? '');
    const drawing = drawRoundSeal({ name, diameterMm: 40 }, glyphs);
    const corners = points(drawing).slice(-(last?.path.filter(([kind]) => kind !== 'Z').length ?? 0));
    return Math.max(...corners.map(([x, y]) => Math.atan2(x - 20, 20 - y)));
  };
  expect(angleOf('云栖（杭州）公司')).toBeLessThan(angleOf('云栖杭州杭州公司'));
  expect(angleOf('云栖ABC公司')).toBeLessThan(angleOf('云栖杭州杭公司'));
});

test('a seal of another size is the same seal to scale', async () => {
  const [small, large] = [await draw('杭州市数据资源管理局', 40), await draw('杭州市数据资源管理局', 60)];
  const pairs = points(small).map((point, i) => [point, points(large)[i]] as const);
  for (const [[x, y], other] of pairs.slice(0, 500)) {
    expect(other?.[0]).toBeCloseTo(x * 1.5, 2);
    expect(other?.[1]).toBeCloseTo(y * 1.5, 2);
  }
});

test('the same name gives the same drawing, number for number', async () => {
  expect(JSON.stringify(await draw('杭州市数据资源管理局'))).toBe(
    JSON.stringify(await draw('杭州市数据资源管理局')),
  );
});

test.each(['鄞州区', '龘', '１', '·'])('rare letters and signs have outlines: %s', async (letters) => {
  expect((await source.load(letters)).size).toBe([...letters].length);
});

test.each(['😀', '\u0000', '\n', 'ꙮ'])(
  'a letter that the font lacks is named, not left out: %j',
  async (letter) => {
    await expect(source.load(`杭州${letter}`)).rejects.toSatisfy(
      (error: DrawingError) => error.code === 'LETTER_MISSING' && error.message.includes(letter),
    );
  },
);

test('names and sizes that no round seal has are refused', async () => {
  const glyphs: ReadonlyMap<string, Glyph> = await source.load('杭州');
  expect(() => drawRoundSeal({ name: '杭州杭', diameterMm: 40 }, glyphs)).toThrow(DrawingError);
  expect(() => drawRoundSeal({ name: '杭'.repeat(37), diameterMm: 40 }, glyphs)).toThrow(DrawingError);
  for (const diameterMm of [29, 61, Number.NaN])
    expect(() => drawRoundSeal({ name: '杭州杭州', diameterMm }, glyphs)).toThrow(DrawingError);
  expect(() => drawRoundSeal({ name: '杭州宁波', diameterMm: 40 }, glyphs)).toThrow(/宁/);
});

test('as SVG it is one red path in millimetres', async () => {
  const svg = toSvg(await draw('云栖公司'));
  expect(svg).toMatch(
    /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="40mm" height="40mm" viewBox="0 0 40 40"><path fill="#d7000f" d="M[^"]+"\/><\/svg>$/,
  );
  expect(svg).not.toContain('NaN');
});
