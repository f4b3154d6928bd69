/** The door of acts that need two persons: ask, approve, have it done once. */
export { defineAct, type Act, type ActDefinition, type Execution, type Json, type Part } from './act.ts';
export {
  canonicalAct,
  createDualControl,
  type ActRecord,
  type ActRequest,
  type ActState,
  type DualControl,
} from './dual-control.ts';
export { DualControlError } from './errors.ts';
