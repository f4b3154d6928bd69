/** The page tree: which page is meant, and how the reader sees it (ISO 32000-2, 7.7.3 and 14.11.2). */
import { FormatError } from '../format.ts';
import type { PdfFile } from './file.ts';
import { damaged } from './refusals.ts';
import { Dict, Ref, type Value } from './values.ts';

/** A page and what it inherits from the nodes above it. */
export interface Page {
  readonly ref: Ref;
  readonly dict: Dict;
  /** The visible part in its own coordinates: the crop box as far as it lies on the media box. */
  readonly box: Box;
  /** Quarter turns clockwise that the reader sees it in. */
  readonly quarterTurns: 0 | 1 | 2 | 3;
  /** Points in one unit of its coordinates. */
  readonly userUnit: number;
}

export interface Box {
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
  readonly top: number;
}

type Inherited = Readonly<Record<'MediaBox' | 'CropBox' | 'Rotate', Value>>;

interface Node {
  readonly ref: Ref;
  readonly dict: Dict;
  readonly inherited: Inherited;
}

/** @throws {FormatError} PAGE_NOT_FOUND. */
export function findPage(file: PdfFile, wanted: number | 'last'): Page {
  let number = 0;
  for (const node of leaves(file, wanted === 'last')) {
    if (wanted === 'last' || ++number === wanted) return toPage(file, node);
  }
  throw new FormatError('PAGE_NOT_FOUND', 'The document has no such page.');
}

/** Every page, first to last. */
export function* pages(file: PdfFile): Generator<{ readonly ref: Ref; readonly dict: Dict }> {
  yield* leaves(file, false);
}

/** The pages in reading order or from the last one backward, each read when it is its turn. */
function* leaves(file: PdfFile, backward: boolean): Generator<Node> {
  const nothing: Inherited = { MediaBox: null, CropBox: null, Rotate: null };
  const pending: { ref: Value; inherited: Inherited }[] = [
    { ref: file.catalog.get('Pages') ?? null, inherited: nothing },
  ];
  const entered = new Set<number>();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { ref } = next;
    const dict = file.resolve(ref);
    if (!(ref instanceof Ref) || !(dict instanceof Dict)) throw damaged('a page tree node is missing');
    const inherited = inherit(file, dict, next.inherited);
    if (file.get(dict, 'Kids') === null) {
      yield { ref, dict, inherited };
      continue;
    }
    // Entering a node twice would go round for ever, or for exponentially long.
    if (entered.has(ref.number)) throw damaged('a page tree in a circle');
    entered.add(ref.number);
    const kids = file.array(dict, 'Kids').map((kid) => ({ ref: kid, inherited }));
    for (const kid of backward ? kids : kids.toReversed()) pending.push(kid);
  }
}

function inherit(file: PdfFile, dict: Dict, above: Inherited): Inherited {
  return {
    MediaBox: file.get(dict, 'MediaBox') ?? above.MediaBox,
    CropBox: file.get(dict, 'CropBox') ?? above.CropBox,
    Rotate: file.get(dict, 'Rotate') ?? above.Rotate,
  };
}

function toPage(file: PdfFile, { ref, dict, inherited }: Node): Page {
  const media = toBox(file, inherited.MediaBox);
  if (media === undefined) throw damaged('a page without a media box');
  const box = intersection(media, toBox(file, inherited.CropBox) ?? media);
  const turns = typeof inherited.Rotate === 'number' ? inherited.Rotate / 90 : 0;
  const userUnit = file.get(dict, 'UserUnit') ?? 1;
  if (typeof userUnit !== 'number' || !(userUnit > 0 && userUnit <= 75_000))
    throw damaged('a senseless UserUnit');
  return {
    ref,
    dict,
    box,
    quarterTurns: (Number.isInteger(turns) ? ((turns % 4) + 4) % 4 : 0) as Page['quarterTurns'],
    userUnit,
  };
}

/** A rectangle may name any two opposite corners (7.9.5). */
export function toBox(file: PdfFile, value: Value): Box | undefined {
  if (!Array.isArray(value) || value.length !== 4) return undefined;
  const [x1, y1, x2, y2] = value.map((item: Value) => file.resolve(item));
  if (![x1, y1, x2, y2].every((item) => typeof item === 'number' && Math.abs(item) < 1e7)) return undefined;
  const [ax, ay, bx, by] = [x1, y1, x2, y2] as number[] as [number, number, number, number];
  return {
    left: Math.min(ax, bx),
    bottom: Math.min(ay, by),
    right: Math.max(ax, bx),
    top: Math.max(ay, by),
  };
}

function intersection(a: Box, b: Box): Box {
  const box = {
    left: Math.max(a.left, b.left),
    bottom: Math.max(a.bottom, b.bottom),
    right: Math.min(a.right, b.right),
    top: Math.min(a.top, b.top),
  };
  if (box.left >= box.right || box.bottom >= box.top) throw damaged('a page of no size');
  return box;
}
