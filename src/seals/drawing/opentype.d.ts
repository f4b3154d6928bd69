/** What is used of opentype.js 2, which ships no types. */
declare module 'opentype.js' {
  export type Command =
    | { type: 'M' | 'L'; x: number; y: number }
    | { type: 'Q'; x1: number; y1: number; x: number; y: number }
    | { type: 'C'; x1: number; y1: number; x2: number; y2: number; x: number; y: number }
    | { type: 'Z' };

  export interface Glyph {
    readonly index: number;
    readonly advanceWidth?: number;
    /** Outline with its baseline at `(x, y)`, y downward. `variation`: coordinates of a variable font's axes. */
    getPath(
      x: number,
      y: number,
      size: number,
      options: { variation: Record<string, number> },
      font: Font,
    ): { commands: Command[] };
  }

  export interface Font {
    readonly unitsPerEm: number;
    charToGlyph(letter: string): Glyph;
  }

  const opentype: { parse(buffer: ArrayBuffer): Font };
  export default opentype;
}
