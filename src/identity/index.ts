/** The identity room's door: `register`, `authenticate`, `account`, `find`. */
export {
  createIdentity,
  IdentityError,
  type Account,
  type Authentication,
  type Identity,
} from './accounts.ts';
export { createAccountCache, type AccountCache } from './account-cache.ts';
export { createPasswordHasher, PASSWORD_MIN_LENGTH, type PasswordHasher } from './credentials/password.ts';
export {
  decide,
  LADDER,
  type Assurable,
  type Decision,
  type Factors,
  type Method,
  type Wanted,
} from './assurance.ts';
export {
  createPasskeys,
  PASSKEY_NAME_MAX_LENGTH,
  PasskeyError,
  type Passkey,
  type Passkeys,
} from './credentials/passkeys.ts';
export type { TakeOnce } from './credentials/passkey-challenges.ts';
export { createCarriers, type Carriers } from './messages/carriers.ts';
export type { DevelopmentOutbox } from './messages/development.ts';
export { createMessages, type MessageSender, type Messages } from './messages/messages.ts';
export { masked, type Address, type Channel } from './messages/address.ts';
