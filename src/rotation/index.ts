/** The door of this room. */
export type { Holding, Step } from './holding.ts';
export { joinProcesses, type Presence } from './presence.ts';
export { createRotation, type HoldingStanding, type KeyStanding, type Rotation } from './rotation.ts';
export type { Pass } from './standing.ts';
export { tableHolding, type EncryptedTable } from './table.ts';
