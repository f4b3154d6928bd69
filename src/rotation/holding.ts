/** Whatever holds records that are encrypted under data keys, seen as the work of replacing a key sees it. */
import type { Queryable } from '../platform/db/db.ts';

export interface Holding {
  /** A closed word: the name of a table, or of a store. */
  readonly name: string;
  /** How many records lie under each data key, by its id; those that name none under ''. */
  count(tx: Queryable): Promise<ReadonlyMap<string, number>>;
  /**
   * Brings some records under the current data key, none that was changed meanwhile. Every record that lies here from the first step to
   * the last is met.
   * @param tx Commits with the position: a step that is interrupted has not been.
   * @param position Where the step before ended; undefined: at the beginning.
   */
  renew(tx: Queryable, position: string | undefined): Promise<Step>;
}

export interface Step {
  /** Where the next step begins; undefined: this was the last. */
  readonly position: string | undefined;
  readonly renewed: number;
  /** Records that could not be opened or written; they stay as they are. */
  readonly failed: number;
}
