/**
 * Where tries are counted: Redis, or this process in embedded mode. Both keep the same contract, held to it by one suite. Keys are keyed
 * hashes: the store never sees an address or what somebody typed.
 */

/** So many tries in so many seconds. It begins with the first try, and not again before it has ended. */
export interface Window {
  readonly tries: number;
  readonly seconds: number;
}

export interface Counted {
  /** Seconds until there is room again; 0 if the try was counted and may be made. */
  readonly waitSeconds: number;
  /** Tries in the longest window, this one included if it was counted. */
  readonly used: number;
}

export interface LimitStore {
  /**
   * Counts a try in all of the windows, or, if one of them is full, in none. Atomic: of any number of callers no more get through than every
   * window holds.
   */
  take(key: string, windows: readonly Window[]): Promise<Counted>;
  /** Takes one try back in every window; never below none. */
  giveBack(key: string): Promise<void>;
  /** Forgets every try. */
  clear(key: string): Promise<void>;
}
