/** The time, as an argument. Every rule that depends on the time receives a `Clock`; nothing else reads the system's. */
export interface Clock {
  /** The present instant. */
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
