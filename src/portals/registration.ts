/** The form of a registration: what a portal says of itself, checked as a whole. Pure. */
import { z } from 'zod';
import { PROFILES } from './profiles.ts';
import { isRegion } from '../platform/regions.ts';

/** Names end up on pages and in certificates, which have room for 64 letters (RFC 5280, appendix A.1). */
const name = z.string().trim().min(1).max(64);
const byLanguage = (text: z.ZodString) => z.record(z.string().max(16), text);
export const CLIENT_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/;
const identifier = z.string().regex(CLIENT_ID);

/** Addresses are https; plain http is for loopback alone. No fragment, no user. */
const address = z
  .string()
  .max(2000)
  .refine((uri) => {
    const url = URL.parse(uri);
    const loopback = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
    return (
      url !== null &&
      (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) &&
      !uri.includes('#') &&
      url.username === '' &&
      url.password === ''
    );
  }, 'is not https (or http on loopback), or has a fragment or a user');

const algorithm = z.string().max(32);

/** Client metadata beyond what the registry has fields of its own for. What the values mean together is checked by the provider. */
const metadata = z
  .object({
    token_endpoint_auth_method: z.string(),
    token_endpoint_auth_signing_alg: algorithm,
    jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(20) }),
    jwks_uri: address,
    grant_types: z.array(z.string()).min(1),
    response_types: z.array(z.string()),
    response_modes: z.array(z.string()),
    id_token_signed_response_alg: algorithm,
    id_token_encrypted_response_alg: algorithm,
    id_token_encrypted_response_enc: algorithm,
    userinfo_signed_response_alg: algorithm,
    userinfo_encrypted_response_alg: algorithm,
    userinfo_encrypted_response_enc: algorithm,
    introspection_signed_response_alg: algorithm,
    introspection_encrypted_response_alg: algorithm,
    introspection_encrypted_response_enc: algorithm,
    authorization_signed_response_alg: algorithm,
    authorization_encrypted_response_alg: algorithm,
    authorization_encrypted_response_enc: algorithm,
    request_object_signing_alg: algorithm,
    require_signed_request_object: z.boolean(),
    require_pushed_authorization_requests: z.boolean(),
    dpop_bound_access_tokens: z.boolean(),
    tls_client_certificate_bound_access_tokens: z.boolean(),
    tls_client_auth_subject_dn: z.string().max(1000),
    tls_client_auth_san_dns: z.string().max(253),
    tls_client_auth_san_uri: z.string().max(2000),
    tls_client_auth_san_ip: z.union([z.ipv4(), z.ipv6()]),
    tls_client_auth_san_email: z.string().max(320),
    use_mtls_endpoint_aliases: z.boolean(),
    backchannel_logout_session_required: z.boolean(),
    backchannel_token_delivery_mode: z.enum(['poll', 'ping']),
    backchannel_client_notification_endpoint: address,
    backchannel_authentication_request_signing_alg: algorithm,
    default_max_age: z.number().int().nonnegative(),
    default_acr_values: z.array(z.string()).max(10),
    require_auth_time: z.boolean(),
    initiate_login_uri: address,
    policy_uri: address,
    tos_uri: address,
    authorization_details_types: z.array(z.string()).max(20),
    sector_identifier_uri: address,
    client_id_issued_at: z.number().int(),
  })
  .partial()
  .strict();
export type ClientMetadata = z.output<typeof metadata>;

export const portalRegistration = z
  .object({
    clientId: identifier,
    name: byLanguage(name).refine((names) => 'zh-CN' in names, 'needs a name in zh-CN'),
    sector: identifier,
    /** GB/T 2260, for a portal of a region. */
    region: z.string().refine(isRegion, 'is no code of GB/T 2260').optional(),
    /** For a portal of a department of the central government. */
    department: name.optional(),
    profile: z.enum(['baseline', 'fapi2']).default('baseline'),
    /**
     * Whether every request must carry PKCE (RFC 7636). `optional` is for confidential software that cannot send it, such as the conformance
     * suite of the OpenID Foundation; a challenge that is sent is always checked.
     */
    codeChallenge: z.enum(['required', 'optional']).default('required'),
    /** No one reaches the portal below this level, whatever a request says. */
    minimumAcr: z.string().max(64).optional(),
    homeUri: address,
    redirectUris: z.array(address).max(50),
    postLogoutRedirectUris: z.array(address).max(50).default([]),
    backchannelLogoutUri: address.optional(),
    /** Scopes that the portal may ask for. */
    scopes: z.array(z.string()).min(1).max(50),
    /** Scopes of resource servers that it may ask for, by resource indicator (RFC 8707). */
    resources: z.record(z.string().max(500), z.array(z.string()).max(50)).default({}),
    /** Claims that it may ask for one by one (OpenID Connect Core 1.0, section 5.5), besides those of its scopes. */
    claims: z.array(z.string()).max(100).default([]),
    /** Claims that it can do without: a person may refuse them and go on. */
    optionalClaims: z.array(z.string()).max(100).default([]),
    /**
     * What an operator allows the portal beyond its scopes: ID numbers themselves, verified claims (OpenID Connect for Identity Assurance
     * 1.0). Portals that register themselves cannot have any.
     */
    entitlements: z
      .array(z.enum(['id-number', 'verified-claims']))
      .max(2)
      .default([]),
    /** Why it asks, by scope or claim and language: shown to the person before they agree. */
    purposes: z.record(z.string(), byLanguage(z.string().trim().min(1).max(200))).default({}),
    contacts: z.array(z.email()).max(20).default([]),
    logoUri: address.optional(),
    metadata: metadata.default({}),
  })
  .strict()
  .check(({ value, issues }) => {
    const { metadata: given, profile: profileName } = value;
    const profile = PROFILES[profileName];
    const refuse = (path: string, message: string) =>
      issues.push({ code: 'custom', path: ['metadata', path], message, input: given });
    if (profileName === 'fapi2' && value.codeChallenge !== 'required')
      issues.push({
        code: 'custom',
        path: ['codeChallenge'],
        message: 'is required in the profile fapi2',
        input: value,
      });
    if (!storable(value))
      issues.push({
        code: 'custom',
        path: [],
        message: 'has text or nesting that cannot be kept',
        input: value,
      });
    const method = given.token_endpoint_auth_method ?? 'client_secret_basic';
    if (!profile.authMethods.includes(method))
      refuse('token_endpoint_auth_method', `is not allowed in the profile ${profileName}`);
    for (const grant of given.grant_types ?? [])
      if (!profile.grantTypes.includes(grant))
        refuse('grant_types', `${grant} is not allowed in the profile ${profileName}`);
    for (const member of SIGNED_BY_PORTAL)
      if (given[member] !== undefined && !profile.signingAlgs.includes(given[member]))
        refuse(member, `${given[member]} is not allowed in the profile ${profileName}`);
    for (const member of SIGNED_FOR_PORTAL)
      if (given[member] !== undefined && !profile.answerAlgs.includes(given[member]))
        refuse(member, `${given[member]} is not allowed in the profile ${profileName}`);
    const usesCode = (given.grant_types ?? ['authorization_code']).includes('authorization_code');
    if (usesCode && value.redirectUris.length === 0)
      issues.push({ code: 'custom', path: ['redirectUris'], message: 'are missing', input: value });
  });

/** Whether the database can keep it as JSON: no NUL and no half of a pair of code units, which it refuses, and no depth that ends a stack. */
function storable(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value !== 'object' || value === null) return true;
  return (
    depth < 16 &&
    Object.entries(value)
      .flat()
      .every((each) => storable(each, depth + 1))
  );
}

/** What is given to register a portal. */
export type PortalRegistration = z.input<typeof portalRegistration>;

const SIGNED_BY_PORTAL = [
  'token_endpoint_auth_signing_alg',
  'request_object_signing_alg',
  'backchannel_authentication_request_signing_alg',
] as const;
const SIGNED_FOR_PORTAL = [
  'id_token_signed_response_alg',
  'userinfo_signed_response_alg',
  'introspection_signed_response_alg',
  'authorization_signed_response_alg',
] as const;
