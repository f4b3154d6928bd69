/** Where the seal stands: asked of Poppler's rendering, in millimetres as the reader sees the page. */
import { describe, expect, test } from 'vitest';
import { FormatError, type Place } from '../../../src/seals/formats/format.ts';
import { pdf } from '../../../src/seals/formats/pdf/index.ts';
import { CORNER, PLAIN, buildPdf, findRed, sealBlindly, sealing } from './support.ts';

const MM = 72 / 25.4;
const WIDTH = 120;
const HEIGHT = 180;
const rotations = [0, 90, 180, 270, -90, 450];
const corners = ['top-left', 'top-right', 'bottom-left', 'bottom-right'] as const;

/** A file whose second page has these entries; its visible part is 120 by 180 mm before it is turned. */
const file = (entries: string) =>
  buildPdf({ ...PLAIN, 4: `<</Type/Page/Parent 2 0 R/Resources<<>>${entries}>>` });
const box = (left: number, bottom: number, unit = 1) =>
  `[${left} ${bottom} ${left + (WIDTH * MM) / unit} ${bottom + (HEIGHT * MM) / unit}]`;

function expectAt(document: Buffer, page: number, [left, top]: readonly [number, number], place?: Place) {
  const red = findRed(sealBlindly(document, { visible: { drawing: CORNER, ...(place && { place }) } }), page);
  expect(red?.filled).toEqual([true, true, true, false]);
  expect(Math.abs((red?.left ?? 0) - left)).toBeLessThan(0.4);
  expect(Math.abs((red?.top ?? 0) - top)).toBeLessThan(0.4);
  expect(Math.abs((red?.right ?? 0) - left - 20)).toBeLessThan(0.4);
  expect(Math.abs((red?.bottom ?? 0) - top - 20)).toBeLessThan(0.4);
}

describe.each(rotations)('on a page turned by %i degrees', (rotate) => {
  const sideways = Math.abs(rotate / 90) % 2 === 1;
  const [width, height] = sideways ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT];
  const document = file(`/MediaBox${box(0, 0)}/Rotate ${rotate}`);

  test.each(corners)('it is measured from the %s corner, and upright', (corner) => {
    const left = corner.endsWith('left') ? 7 : width - 20 - 7;
    const top = corner.startsWith('top') ? 11 : height - 20 - 11;
    expectAt(document, 2, [left, top], { page: 2, corner, x: 7, y: 11 });
  });

  test('it is measured from what the crop box leaves to be seen', () => {
    const cropped = file(`/MediaBox[-100 -100 2000 2000]/CropBox${box(33, -20)}/Rotate ${rotate}`);
    expectAt(cropped, 2, [width - 20 - 7, height - 20 - 11], {
      page: 2,
      corner: 'bottom-right',
      x: 7,
      y: 11,
    });
  });

  test('a larger unit of the page does not change its size', () => {
    const scaled = file(`/MediaBox${box(5, 6, 2.5)}/Rotate ${rotate}/UserUnit 2.5`);
    const { signatures } = pdf.parse(
      sealBlindly(scaled, {
        visible: { drawing: CORNER, place: { page: 2, corner: 'top-left', x: 0, y: 0 } },
      }),
    );
    const rect = signatures[0]?.rect;
    expect(((rect?.right ?? 0) - (rect?.left ?? 0)) * 2.5).toBeCloseTo(20 * MM, 2);
  });
});

test('by default it stands on the last page, 20 mm from the right and 25 mm from the lower edge', () => {
  expectAt(file(`/MediaBox${box(0, 0)}`), 2, [WIDTH - 40, HEIGHT - 45]);
});

test('by default it moves to the middle of a page too small for the margins', () => {
  const side = 24 * MM;
  expectAt(file(`/MediaBox[0 0 ${side} ${side}]`), 2, [2, 2]);
});

test('boxes and turns are inherited from the nodes above, the nearest one first', () => {
  const inherited = buildPdf({
    1: '<</Type/Catalog/Pages 2 0 R>>',
    2: `<</Type/Pages/Kids[5 0 R 3 0 R]/Count 3/MediaBox[0 0 900 900]/Rotate 180/Resources<<>>>>`,
    3: `<</Type/Pages/Parent 2 0 R/Kids[4 0 R]/Count 1/MediaBox${box(10, 10)}/Rotate 90>>`,
    4: '<</Type/Page/Parent 3 0 R>>',
    5: '<</Type/Pages/Parent 2 0 R/Kids[6 0 R 7 0 R]/Count 2>>',
    6: '<</Type/Page/Parent 5 0 R>>',
    7: `<</Type/Page/Parent 5 0 R/MediaBox${box(0, 0)}/Rotate 0>>`,
  });
  expectAt(inherited, 3, [HEIGHT - 40, WIDTH - 45]);
  expectAt(inherited, 2, [1, 2], { page: 2, corner: 'top-left', x: 1, y: 2 });
  expectAt(inherited, 1, [3, 4], { page: 1, corner: 'top-left', x: 3, y: 4 });
});

test('a rectangle may name any two opposite corners', () => {
  const [right, top] = [WIDTH * MM, HEIGHT * MM];
  expectAt(file(`/MediaBox[${right} 0 0 ${top}]`), 2, [WIDTH - 40, HEIGHT - 45]);
});

test.each([0, 3, -1, 1.5, Number.NaN, 1e9])('there is no page %d of two', (page) => {
  const place: Place = { page, corner: 'top-left', x: 0, y: 0 };
  expect(() => pdf.prepare(buildPdf(), sealing({ visible: { drawing: CORNER, place } }))).toThrow(
    expect.objectContaining({ code: 'PAGE_NOT_FOUND' }),
  );
});

test.each([
  [101, 0],
  [0, 161],
  [-1, 0],
  [0, -1],
  [Number.NaN, 0],
  [Number.POSITIVE_INFINITY, 0],
])('a seal that would not be seen whole is refused: %d, %d', (x, y) => {
  const document = file(`/MediaBox${box(0, 0)}`);
  for (const corner of corners) {
    const place: Place = { page: 2, corner, x, y };
    expect(() => pdf.prepare(document, sealing({ visible: { drawing: CORNER, place } }))).toThrow(
      expect.objectContaining({ code: 'PLACE_OUTSIDE_PAGE' }),
    );
  }
});

test('a seal larger than the page is refused', () => {
  expect(() => pdf.prepare(file('/MediaBox[0 0 50 50]'), sealing())).toThrow(FormatError);
});

test('a seal that is not to be seen leaves the page as it looks', () => {
  const { visible: _, ...invisible } = sealing();
  const sealed = pdf.prepare(buildPdf(), invisible).assemble(Buffer.of(5, 0));
  expect(findRed(sealed, 2)).toBeUndefined();
  expect(pdf.parse(sealed).signatures[0]).not.toHaveProperty('page');
});

test('text under the seal stays readable: where both are, the page is darker than the seal', () => {
  const content = '0 g 0 0 1000 1000 re f';
  const black = buildPdf({
    ...PLAIN,
    4: '<</Type/Page/Parent 2 0 R/Resources<<>>/Contents 5 0 R>>',
    5: `<</Length ${content.length}>>\nstream\n${content}\nendstream`,
  });
  expect(findRed(sealBlindly(black), 2)).toBeUndefined();
});
