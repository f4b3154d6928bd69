/** The oidc shell's door. */
export { createOidc, type BearerToken, type Oidc } from './provider.ts';
export { apiResource, SELF_CONTAINED_SECONDS } from './configuration.ts';
export { eraseConsents, type PortalAgreement } from './consents.ts';
export type { OwnAccount } from './own-account.ts';
export { UPSTREAM_RETURN_PATH } from './interactions/upstream.ts';
export type { SessionView as OwnSessionView } from './sessions.ts';
export { OIDC_TABLES } from './tables.ts';
export { PERSONAL_CLAIMS, personalClaimOf, SCOPES } from './scopes.ts';
export { moveReleases } from './releases.ts';
export { moveSubjects } from './subjects.ts';
export { passkeyProblem } from './interactions/passkey.ts';
export { askToWait, passwordError } from './interactions/password-errors.ts';
export { createLogoutOutbox, type LogoutOutbox } from './logout-outbox.ts';
export { storeHolding } from './records.ts';
export { createMemoryStore } from './store/memory.ts';
export { createRedisStore } from './store/redis.ts';
export type { OidcStore } from './store/store.ts';
export { createTokenKeys, type RotationPlan, type TokenKeys } from './token-keys.ts';
