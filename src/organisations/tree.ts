/** The tree of an organisation's units. Pure. */
import type { UnitId } from '../platform/ids.ts';

export interface Branch {
  readonly id: UnitId;
  readonly parentId: UnitId | undefined;
}

/** Where the units of one organisation stand. A unit without parent stands right under the organisation. */
export class Tree {
  readonly #parents: ReadonlyMap<UnitId, UnitId | undefined>;

  constructor(branches: Iterable<Branch>) {
    this.#parents = new Map([...branches].map(({ id, parentId }) => [id, parentId]));
  }

  get size(): number {
    return this.#parents.size;
  }

  has(id: UnitId): boolean {
    return this.#parents.has(id);
  }

  /** The unit itself and those above it, from below. Ends also where a parent is missing or comes again. */
  pathOf(id: UnitId): UnitId[] {
    const path: UnitId[] = [];
    const seen = new Set<UnitId>();
    for (let at: UnitId | undefined = id; at !== undefined && !seen.has(at); at = this.#parents.get(at)) {
      seen.add(at);
      path.push(at);
    }
    return path;
  }

  /** Whether `id` is `above` or stands somewhere below it. */
  isWithin(id: UnitId, above: UnitId): boolean {
    return this.pathOf(id).includes(above);
  }

  /** The unit itself and everything below it. */
  below(id: UnitId): UnitId[] {
    return [...this.#parents.keys()].filter((each) => this.isWithin(each, id));
  }

  /** Units from the top to the one that stands deepest: 1 for a tree without sub-units. */
  depth(): number {
    return Math.max(0, ...[...this.#parents.keys()].map((id) => this.pathOf(id).length));
  }

  /** The same tree with one unit, and all that stands below it, under another parent. */
  withParent(id: UnitId, parentId: UnitId | undefined): Tree {
    return new Tree([
      ...[...this.#parents]
        .filter(([each]) => each !== id)
        .map(([each, parent]) => ({ id: each, parentId: parent })),
      { id, parentId },
    ]);
  }
}
