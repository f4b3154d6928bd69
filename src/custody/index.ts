/** The custody room's door: make a key, find it, sign with it, end it. */
export { custodyActs, type MayActOnKeys } from './acts.ts';
export type { KeyBackup } from './backup.ts';
export {
  createCustody,
  PROVIDER,
  type Custody,
  type KeyPurpose,
  type KeyRecord,
  type NewKey,
} from './custody.ts';
export type { DriverName, TokenDriver } from './driver.ts';
export { CustodyError } from './errors.ts';
export { KEY_TYPES, type KeyType } from './key-types.ts';
export {
  connectToken,
  makeTokenWrappingKey,
  keysInToken,
  tokenWrappingKey,
  type TokenConnection,
  type TokenSettings,
} from './pkcs11/index.ts';
export type { Rewrapping, WrappingKeyUse } from './rewrapping.ts';
export { KEY_STATES, TRANSITIONS, type KeyState } from './states.ts';
export { combineWrappingKey, splitWrappingKey } from './shares.ts';
export { softwareWrappingKey, wrappingKeyId, type WrappingKey } from './wrapping.ts';
