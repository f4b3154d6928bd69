/** The door to the drawing of seals. */
export { createGlyphSource, type Glyph, type GlyphSource } from './glyphs.ts';
export { drawRoundSeal, type RoundSeal } from './round-seal.ts';
export { toSvg } from './svg.ts';
export { DrawingError } from './errors.ts';
