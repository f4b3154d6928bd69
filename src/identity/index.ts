/** The identity room's door. */
export { createIdentity, RECOVERY_STOP_PATH, type Identity } from './identity.ts';
export type { Changer, Contacts } from './contacts.ts';
export { createNotices } from './notices.ts';
export { recoveryStep, type RecoveryStep, type Waiting } from './recovery.ts';
export { labelOf, type Account } from './accounts.ts';
export { IdentityError } from './errors.ts';
export type { Misuse, MisuseReport, MisuseReports } from './misuse-reports.ts';
export type { HeldData, PersonalData } from './personal-data.ts';
export { deviceNameOf } from './protection/device-name.ts';
export type { Arrival, Devices, KnownDevice } from './protection/devices.ts';
export {
  createLimits,
  LimitError,
  toLimitPlan,
  type Act,
  type Attempt,
  type Limits,
} from './protection/limits.ts';
export { judge, type Sign } from './protection/risk.ts';
export { spelled } from './identifiers.ts';
export { createMemoryLimitStore } from './protection/store/memory.ts';
export { createRedisLimitStore } from './protection/store/redis.ts';
export type { LimitStore } from './protection/store/store.ts';
export { createAccountCache, type AccountCache } from './account-cache.ts';
export { createPasswordHasher, type PasswordHasher } from './credentials/password-hasher.ts';
export {
  createPasswordPolicy,
  toPasswordRules,
  type PasswordPolicy,
  type PasswordProblem,
  type PasswordRules,
} from './credentials/password-policy.ts';
export { PasswordQueueError } from './credentials/password-queue.ts';
export type { NewPassword } from './credentials/passwords.ts';
export type { Showing } from './credentials/showing.ts';
export type { CodeAttempt, CodePurpose } from './credentials/one-time-codes.ts';
export { RECOVERY_CODES } from './credentials/recovery-codes.ts';
export type { TotpSetup } from './credentials/totp.ts';
export {
  amrOf,
  decide,
  FIRST_FACTORS,
  fullyShown,
  LADDER,
  mayAddFactor,
  methodsOf,
  reachedLevel,
  secondFactors,
  showsTwo,
  type Assurable,
  type Decision,
  type Factors,
  type Lacking,
  type Means,
  type Method,
  type Wanted,
} from './assurance.ts';
export {
  createPasskeys,
  PASSKEY_NAME_MAX_LENGTH,
  PASSKEYS_MAX,
  type Passkey,
  type Passkeys,
} from './credentials/passkeys.ts';
export { carriedFactors, type CrossDevice, type Place } from './credentials/cross-device.ts';
export type { TakeOnce } from './credentials/passkey-challenges.ts';
export type { Federation } from './federation/federation.ts';
export {
  createUpstream,
  UpstreamError,
  type PendingUpstream,
  type Upstream,
  type UpstreamIdentity,
} from './federation/upstream.ts';
export { formatted, type Addresses, type PostalAddress } from './addresses.ts';
export { createAuthorities, FICTIONAL_LIVE_CHECK_PATH, type Authorities } from './proofing/authorities.ts';
export type { ByLanguage, ProofingAuthority } from './proofing/authority.ts';
export {
  DOCUMENT_KINDS,
  isDocumentKind,
  thirdItemsOf,
  type Document,
  type DocumentKind,
  type ThirdItem,
} from './proofing/documents.ts';
export { ProofingError } from './proofing/errors.ts';
export { FICTIONAL_PEOPLE, type FictionalRegister } from './proofing/fictional-register.ts';
export type { LinkId } from './proofing/account-links.ts';
export type { Evidence } from './proofing/evidence.ts';
export type { Person, Persons } from './proofing/persons.ts';
export type { Outcome, Proofing, Statement } from './proofing/proofing.ts';
export { createRegisterEvents, RegisterEventError, type RegisterEvents } from './proofing/register-events.ts';
export { createCarriers, type Carriers } from './messages/carriers.ts';
export type { DevelopmentOutbox } from './messages/development.ts';
export { createMessages, type MessageSender, type Messages } from './messages/messages.ts';
export { addressOf, identifierOf, masked, type Address, type Channel } from './messages/address.ts';
export { IDENTITY_TABLES } from './tables.ts';
