/** Where a seal lies on a page: from millimetres as the reader sees them to the page's own coordinates. */
import { type Drawing, FormatError, type Place } from '../format.ts';
import type { Box, Page } from './pages.ts';

const POINTS_PER_MM = 72 / 25.4;

/** Where a Chinese document carries its seal: over the date and the name at the end, clear of the margin. */
export const DEFAULT_PLACE: Place = { page: 'last', corner: 'bottom-right', x: 20, y: 25 };

export interface Placement {
  /** The seal's rectangle in the page's coordinates. */
  readonly rect: Box;
  /** Turns the seal against the page's own turn, so that the reader sees it upright: a, b, c, d of a matrix. */
  readonly matrix: readonly [number, number, number, number];
}

/**
 * Places a drawing at its real size.
 * @throws {FormatError} PLACE_OUTSIDE_PAGE when any of it would lie outside what the reader sees of the page. Only the default place
 * moves towards the middle of a page that is too small for its margins.
 */
export function placeOn(page: Page, drawing: Drawing, wanted: Place | undefined): Placement {
  const { box, quarterTurns } = page;
  const unit = POINTS_PER_MM / page.userUnit;
  const [across, up] = [box.right - box.left, box.top - box.bottom];
  const [pageWidth, pageHeight] = quarterTurns % 2 === 0 ? [across, up] : [up, across];
  const [width, height] = [drawing.widthMm * unit, drawing.heightMm * unit];
  const place = wanted ?? {
    ...DEFAULT_PLACE,
    x: Math.min(DEFAULT_PLACE.x, (pageWidth - width) / 2 / unit),
    y: Math.min(DEFAULT_PLACE.y, (pageHeight - height) / 2 / unit),
  };
  // The rectangle as the reader sees it: from the lower left corner of the upright page.
  const left = place.corner.endsWith('left') ? place.x * unit : pageWidth - width - place.x * unit;
  const bottom = place.corner.startsWith('bottom') ? place.y * unit : pageHeight - height - place.y * unit;
  const tolerance = 0.001;
  const inside =
    left >= -tolerance &&
    bottom >= -tolerance &&
    left + width <= pageWidth + tolerance &&
    bottom + height <= pageHeight + tolerance;
  if (!inside) throw new FormatError('PLACE_OUTSIDE_PAGE', 'The seal would lie outside the page.');
  const right = left + width;
  const top = bottom + height;
  switch (quarterTurns) {
    case 0:
      return {
        rect: shift(box, left, bottom, right, top),
        matrix: [1, 0, 0, 1],
      };
    case 1:
      return {
        rect: shift(box, across - top, left, across - bottom, right),
        matrix: [0, 1, -1, 0],
      };
    case 2:
      return {
        rect: shift(box, across - right, up - top, across - left, up - bottom),
        matrix: [-1, 0, 0, -1],
      };
    case 3:
      return {
        rect: shift(box, bottom, up - right, top, up - left),
        matrix: [0, -1, 1, 0],
      };
  }
}

/** A rectangle counted from the lower left corner of the page's box. */
function shift(box: Box, left: number, bottom: number, right: number, top: number): Box {
  return {
    left: box.left + left,
    bottom: box.bottom + bottom,
    right: box.left + right,
    top: box.bottom + top,
  };
}
