/** A drawing as an SVG document, in millimetres. Pure. */
import type { Drawing } from '../formats/format.ts';

export function toSvg({ widthMm, heightMm, shapes }: Drawing): string {
  const paths = shapes.map(
    ({ colour, path }) => `<path fill="${colour}" d="${path.map((command) => command.join(' ')).join('')}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${widthMm}mm" height="${heightMm}mm" viewBox="0 0 ${widthMm} ${heightMm}">${paths.join('')}</svg>`;
}
