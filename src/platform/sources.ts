/**
 * Where an installation gets to know people from: authorities that compare what people say, upstream identity providers, and registers
 * that report events. One JSON document (`IDENTITY_SOURCES`), which holds secrets, and so stands apart from the configuration.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { z } from 'zod';

const id = z.string().regex(/^[a-z][a-z0-9-]{1,31}$/, 'is not 2 to 32 of a-z, 0-9 and -');
const byLanguage = z
  .record(z.string().max(16), z.string().trim().min(1).max(64))
  .refine((names) => 'zh-CN' in names, 'needs a name in zh-CN');
const address = z
  .string()
  .max(2000)
  .refine((text) => {
    const url = URL.parse(text);
    const loopback = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
    return (
      url !== null &&
      (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) &&
      url.username === '' &&
      url.hash === ''
    );
  }, 'is not https (or http on loopback)');
const secret = z
  .string()
  .refine((text) => Buffer.from(text, 'base64').length >= 32, 'is not 32 bytes or more in base64');
const certificate = z
  .string()
  .refine((pem) => parses(() => new X509Certificate(pem)), 'is no certificate in PEM form');
const privateKey = z.string().refine((pem) => parses(() => createPrivateKey(pem)), 'is no key in PEM form');
const trustFramework = z.string().regex(/^[\x21-\x7e]{1,200}$/);

/** How a service elsewhere is reached, and how it knows us. */
const partner = {
  id,
  authentication: z.discriminatedUnion('method', [
    z.object({ method: z.literal('bearer'), token: z.string().regex(/^[\w.~+/-]{16,4096}=*$/) }).strict(),
    z.object({ method: z.literal('hmac'), keyId: z.string().regex(/^[\w.-]{1,64}$/), secret }).strict(),
    z.object({ method: z.literal('mtls'), certificate, key: privateKey }).strict(),
  ]),
  /** Milliseconds until it counts as unavailable. Default 5000. */
  timeoutMs: z.number().int().min(100).max(30_000).default(5000),
};
export type PartnerSource = z.output<z.ZodObject<typeof partner>> & { readonly url: string };

const httpAuthority = z
  .object({
    driver: z.literal('http'),
    ...partner,
    name: byLanguage,
    /** Under which `/comparisons` lies (`docs/proofing-authority.md`). */
    url: address,
    /** Kinds of document that it knows; absent: all. */
    kinds: z.array(z.string()).min(1).optional(),
    /** The highest level that it gives: 2 compares, 3 checks live. */
    attainable: z.union([z.literal(2), z.literal(3)]).default(3),
    /** Origins besides its own that a live check may send people to. */
    liveCheckOrigins: z.array(address.transform((text) => new URL(text).origin)).default([]),
    trustFramework,
  })
  .strict();
export type HttpAuthoritySource = z.output<typeof httpAuthority>;

/** The register of invented people, for trying things. */
const fictionalAuthority = z.object({ driver: z.literal('fictional') }).strict();

/** Who says whom an organisation is represented by. */
const httpOrganisationRegister = z
  .object({
    driver: z.literal('http'),
    ...partner,
    name: byLanguage,
    /** Under which `/representatives` lies (`docs/organisation-register.md`). */
    url: address,
  })
  .strict();
export type HttpOrganisationRegisterSource = z.output<typeof httpOrganisationRegister>;

const upstream = z
  .object({
    id,
    name: byLanguage,
    /** Issuer Identifier (OpenID Connect Discovery 1.0). */
    issuer: address,
    clientId: z.string().min(1).max(200),
    clientSecret: z.string().min(8).max(500),
    scope: z.string().default('openid'),
    /** The `claims` parameter (OpenID Connect Core 1.0, section 5.5) to send. */
    claimsRequest: z.record(z.string(), z.unknown()).optional(),
    /** What its levels mean here, the ones that are liked best first. A level that is not listed is no sign-in. */
    acr: z.record(
      z.string(),
      z
        .object({
          /** Level of identity proofing that it stands for: 0 if it says nothing of who someone is. */
          proofing: z.number().int().min(0).max(4),
          method: z.enum(['fed', 'fedmfa']),
        })
        .strict(),
    ),
    /** Which of its claims say who the person is. Paths of members, separated by dots. */
    claims: z
      .object({
        name: z.string(),
        number: z.string(),
        /** A claim with the kind of document, or one kind that is always meant, written `=resident-id`. */
        documentKind: z.string(),
        issuingCountry: z.string().optional(),
      })
      .strict()
      .optional(),
    trustFramework: trustFramework.default('urn:yinxin:trust-framework:upstream'),
    timeoutMs: z.number().int().min(100).max(30_000).default(8000),
  })
  .strict();
export type UpstreamSource = z.output<typeof upstream>;

const register = z
  .object({
    /** `iss` of its Security Event Tokens (RFC 8417). */
    issuer: z.string().min(1).max(200),
    /** By which its signatures are checked: the set itself, or where it lies. */
    jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(20) }).optional(),
    jwksUri: address.optional(),
  })
  .strict()
  .refine(
    (source) => (source.jwks === undefined) !== (source.jwksUri === undefined),
    'needs jwks or jwksUri, not both',
  );
export type RegisterSource = z.output<typeof register>;

const sources = z
  .object({
    authorities: z
      .array(z.discriminatedUnion('driver', [httpAuthority, fictionalAuthority]))
      .max(20)
      .default([]),
    upstreams: z.array(upstream).max(20).default([]),
    registers: z.array(register).max(20).default([]),
    /** Absent: nobody founds an organisation by themselves. */
    organisationRegister: z
      .discriminatedUnion('driver', [
        httpOrganisationRegister,
        z.object({ driver: z.literal('fictional') }).strict(),
      ])
      .optional(),
  })
  .strict()
  .check(({ value, issues }) => {
    const unique = (list: readonly string[], path: string) => {
      if (new Set(list).size < list.length)
        issues.push({ code: 'custom', path: [path], message: 'names one twice', input: value });
    };
    unique(
      value.authorities.map((each) => ('id' in each ? each.id : each.driver)),
      'authorities',
    );
    unique(
      value.upstreams.map((each) => each.id),
      'upstreams',
    );
    unique(
      value.registers.map((each) => each.issuer),
      'registers',
    );
  });
export type IdentitySources = z.output<typeof sources>;

/**
 * Reads `IDENTITY_SOURCES`.
 * @param text Absent: the registers of invented people and organisations in embedded mode, nothing in server mode.
 * @returns the sources, or what is wrong; a problem shows no value.
 */
export function toSources(
  text: string | undefined,
  mode: 'server' | 'embedded',
): { value: IdentitySources } | { problem: string } {
  const preset =
    mode === 'embedded'
      ? { authorities: [{ driver: 'fictional' }], organisationRegister: { driver: 'fictional' } }
      : {};
  let given: unknown = preset;
  try {
    if (text !== undefined) given = JSON.parse(text);
  } catch {
    return { problem: 'is not JSON' };
  }
  const parsed = sources.safeParse(given);
  if (parsed.success) return { value: parsed.data };
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'} ${message}`);
  return { problem: problems.join('; ') };
}

function parses(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}
