/** How threads that do long work give way to the one that answers requests. */
import { setPriority } from 'node:os';

/** As `nice` counts. By less, requests wait out the turn of such a thread at times. */
const NICENESS = 19;

/** Lets the calling thread, and no other of the process, give way to everything else. Does nothing where a system knows no such thing of threads. */
export function giveWay(): void {
  // Elsewhere than on Linux it would be of the whole process.
  if (process.platform === 'linux') setPriority(0, NICENESS);
}
