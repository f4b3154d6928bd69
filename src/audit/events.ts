/** The catalogue of what is recorded. A detail holds ids, digests and closed words: never a name, a number of a person, or a secret. */
export interface AuditEvents {
  'account.registered': { identifierKind: 'phone' | 'email' | 'username' | 'upstream' };
  'account.signed-in': { amr: readonly string[]; clientId: string };
  'account.password-changed': { devicesForgotten: number };
  /** A way to sign in was added or taken away. */
  'account.factor-added': { method: string };
  'account.factor-removed': { method: string };
  'account.recovery-codes-made': { codes: number };
  'account.recovery-code-used': { left: number };
  'account.recovery-started': { readyAt: string };
  'account.recovery-stopped': { by: 'word' | 'sign-in' };
  /** What was shown for it, and what it took away. */
  'account.recovered': {
    shown: readonly string[];
    secondFactorsRemoved: boolean;
    proofingLowered: boolean;
    devicesForgotten: number;
  };
  'account.identifier-set': { kind: string; replaced: boolean };
  'account.identifier-removed': { kind: string };
  'account.state-changed': { state: string };
  'account.misuse-reported': { reportId: string; kind: string; about: string };
  'account.misuse-settled': { reportId: string };
  /** Its person was given everything that is held of them. */
  'account.exported': Record<string, never>;
  'account.closed': Record<string, never>;
  'account.sessions-ended': { reason: string; sessions: number };
  'account.proofed': { level: number; method: string };
  'passkey.registered': { passkey: string; deviceBound: boolean; attested: boolean };
  'passkey.renamed': { passkey: string };
  'passkey.removed': { passkey: string };
  'passkey.suspended': { passkey: string; reason: 'counter' };
  'cross-device.approved': { clientId: string };
  'cross-device.refused': { clientId: string };
  'cross-device.mismatched': { clientId: string };
  'account.signed-out': { clientIds: readonly string[] };
  'account.device-added': { deviceId: string };
  'account.device-forgotten': { deviceId: string };
  'account.merged': { into: string; evidenceId: string };
  'proofing.recorded': {
    evidenceId: string;
    authority: string;
    method: string;
    level: number;
    result: string;
    documentKind: string | null;
  };
  'register-event.applied': { issuer: string; type: string; jtiDigest: string };
  'upstream.linked': { issuer: string };
  'consent.given': {
    clientId: string;
    scopes: readonly string[];
    claims: readonly string[];
    refused: readonly string[];
  };
  'consent.withdrawn': { clientId: string; scopes: readonly string[]; claims: readonly string[] };
  'portal.registered': { sector: string; profile: string; state: string };
  'portal.changed': { sector: string; profile: string; state: string };
  'portal.state-changed': { state: string };
  'portal.secret-issued': { othersExpireAfter: number | null };
  'resource.registered': { tokenFormat: string; tokenSeconds: number };
  'organisation.founded': { unifiedSocialCreditCode: string };
  /** A register confirmed that the actor is its legal representative. */
  'organisation.representative-proven': { proofId: string; register: string; fictional: boolean };
  'organisation.state-changed': { state: string };
  /** Somebody asked for what they have no right to. `member`: they hold some role in the organisation. */
  'organisation.refused': { right: string; unitId: string | null; member: boolean };
  'unit.created': { organisationId: string; parentId: string | null };
  'unit.renamed': { organisationId: string };
  'unit.moved': { organisationId: string; parentId: string | null };
  'unit.closed': { organisationId: string };
  'membership.granted': { membershipId: string; organisationId: string; accountId: string; role: string };
  'membership.ended': {
    membershipId: string;
    organisationId: string;
    accountId: string;
    role: string;
    reason: 'ended' | 'given-up' | 'replaced' | 'unit-closed' | 'dissolved' | 'merged' | 'separate-duties';
  };
  'mandate.granted': {
    organisationId: string;
    unitId: string | null;
    agentId: string;
    services: readonly string[];
    seals: readonly string[];
    validFrom: string;
    validTo: string;
  };
  'mandate.revoked': {
    organisationId: string;
    reason: 'revoked' | 'given-up' | 'unit-closed' | 'dissolved' | 'account-closed' | 'separate-duties';
  };
  'mandate.used': { organisationId: string; service: string | null; sealId: string | null };
  'key.generated': {
    owner: string;
    purpose: string;
    version: number;
    keyType: string;
    state: string;
    driver: string;
    predecessor?: string;
    publicKeyDigest: string;
  };
  /** The reason is a closed word. */
  'key.state-changed': { owner: string; from: string; to: string; reason?: string };
  /** Proof that a key is no more: the digests of its public half and of the ciphertext that was erased. */
  'key.destroyed': {
    owner: string;
    purpose: string;
    version: number;
    from: string;
    driver: string;
    publicKeyDigest: string;
    erasedDigest?: string;
  };
  'key.backup-exported': { owner: string; publicKeyDigest: string; wrappingKey: string };
  'key.restored': { owner: string; publicKeyDigest: string; state: string };
  'wrapping-key.replaced': { dataKeys: number };
  /** An act that needs two persons. The digest is that of its canonical JSON. */
  'act.requested': { act: string; scope: string; digest: string; approvals: number; expiresAt: string };
  'act.approved': { act: string; scope: string; digest: string };
  'act.refused': { act: string; scope: string; digest: string };
  'act.withdrawn': { act: string; scope: string; digest: string };
  'act.denied': { scope: string; code: string };
  'act.executed': {
    act: string;
    scope: string;
    digest: string;
    requestedBy: string;
    approvers: readonly string[];
  };
  'data-key.introduced': Record<string, never>;
  'data-key.emptied': Record<string, never>;
  'token-key.changed': { alg: string; state: string };
  'certificate.issued': { profile: string; keyId: string; fingerprint: string; notAfter: string };
  'certificate.accepted': { keyId: string; fingerprint: string; notAfter: string };
  'certificate.revoked': { profile: string; reason: string };
  'revocation-list.issued': { crlNumber: number; entries: number };
  'seal.registered': { unitId: string; code: string; certificateId: string; drawingDigest: string };
  'sealing.intended': { sealId: string; documentDigest: string; clientId: string };
  'sealing.completed': {
    sealId: string;
    documentDigest: string;
    sealedDigest: string;
    certificateId: string;
  };
  'sealing.failed': { sealId: string; reason: string };
}

export type AuditEventType = keyof AuditEvents;

export interface AuditEvent<T extends AuditEventType = AuditEventType> {
  readonly type: T;
  /** Who did it: an account id, or `system`. */
  readonly actor: string;
  /** What it was done to: an id. */
  readonly subject: string;
  readonly detail: AuditEvents[T];
}
