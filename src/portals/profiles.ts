/** What a portal's profile lets it do, as data. Pure. */

/** `baseline`: OpenID Connect with PKCE. `fapi2`: FAPI 2.0 Security Profile, for portals that move money or seal. */
export type PortalProfile = 'baseline' | 'fapi2';

export interface Profile {
  /** Ways in which the portal may authenticate at the token endpoint (OpenID Connect Core 1.0, section 9; RFC 8705). */
  readonly authMethods: readonly string[];
  /** Algorithms with which it may sign client assertions, request objects and DPoP proofs. */
  readonly signingAlgs: readonly string[];
  /** Algorithms with which ID tokens and other answers to it may be signed. */
  readonly answerAlgs: readonly string[];
  readonly grantTypes: readonly string[];
  /** Requests only by RFC 9126. */
  readonly pushedRequests: boolean;
  /** Access tokens only bound to a key (RFC 9449) or a certificate (RFC 8705). */
  readonly senderConstrained: boolean;
  /** Whether each use of a refresh token gives a new one. FAPI 2.0, section 5.3.2.1 (9): sender-constrained ones are not rotated. */
  readonly rotatesRefreshTokens: boolean;
}

export const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
export const CIBA = 'urn:openid:params:grant-type:ciba';

export const PROFILES: Readonly<Record<PortalProfile, Profile>> = {
  baseline: {
    authMethods: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'tls_client_auth',
      'self_signed_tls_client_auth',
    ],
    signingAlgs: ['ES256', 'PS256', 'RS256', 'EdDSA', 'Ed25519'],
    answerAlgs: ['ES256', 'RS256'],
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE, CIBA],
    pushedRequests: false,
    senderConstrained: false,
    rotatesRefreshTokens: true,
  },
  // FAPI 2.0 Security Profile Final, sections 5.3.2.1 and 5.4.1.
  fapi2: {
    authMethods: ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
    signingAlgs: ['ES256', 'PS256', 'EdDSA', 'Ed25519'],
    answerAlgs: ['ES256'],
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials', CIBA],
    pushedRequests: true,
    senderConstrained: true,
    rotatesRefreshTokens: false,
  },
};
