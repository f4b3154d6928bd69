/** Where messages go while nothing real is connected: into this process, to be read on the page `/outbox`. */
import type { Clock } from '../../platform/clock.ts';
import type { Channel } from './address.ts';
import type { Carrier, Letter } from './messages.ts';

export interface Posted extends Letter {
  readonly channel: Channel;
  readonly at: Date;
}

export interface DevelopmentOutbox {
  carrier(channel: Channel): Carrier;
  /** The newest first. */
  posted(): readonly Posted[];
}

const KEPT = 100;

export function createDevelopmentOutbox(clock: Clock): DevelopmentOutbox {
  const posted: Posted[] = [];
  return {
    carrier: (channel) => async (letter) => {
      posted.unshift({ ...letter, channel, at: clock.now() });
      posted.splice(KEPT);
    },
    posted: () => posted,
  };
}
