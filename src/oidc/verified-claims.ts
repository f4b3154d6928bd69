/**
 * Verified claims (OpenID Connect for Identity Assurance 1.0, OpenID Identity Assurance Schema Definition 1.0): what was found out about a
 * person, together with how, for portals that an operator allowed to have it. Pure.
 */
import { z } from 'zod';
import type { Evidence } from '../identity/index.ts';

/** Claims that can stand in `verified_claims`. */
export const CLAIMS_IN_VERIFIED_CLAIMS = [
  'name',
  'birthdate',
  'gender',
  'id_number',
  'id_number_type',
  'id_number_hash',
] as const;

/** Members of the provider's metadata (OpenID Connect for Identity Assurance 1.0, section 8). */
export function verifiedClaimsMetadata(trustFrameworks: readonly string[]): Record<string, unknown> {
  // Where nobody can be proofed there are none.
  if (trustFrameworks.length === 0) return {};
  return {
    verified_claims_supported: true,
    trust_frameworks_supported: [...new Set(trustFrameworks)],
    claims_in_verified_claims_supported: [...CLAIMS_IN_VERIFIED_CLAIMS],
    evidence_supported: ['electronic_record'],
    electronic_records_supported: ['population_register'],
  };
}

const text = z.string().max(500);
/** How a value is asked for: as it is, or one of these. */
const wantedText = z.union([
  z.null(),
  z.object({ essential: z.boolean(), value: text, values: z.array(text).min(1).max(50) }).partial(),
]);
const wantedTime = z.union([
  z.null(),
  z.object({ essential: z.boolean(), max_age: z.number().nonnegative() }).partial(),
]);
const wantedRecord = z
  .object({
    type: wantedText,
    check_details: z
      .array(z.object({ check_method: wantedText, organization: wantedText, time: wantedTime }).partial())
      .max(10),
    record: z
      .union([
        z.null(),
        z
          .object({
            type: wantedText,
            source: z.union([z.null(), z.object({ name: wantedText }).partial()]),
          })
          .partial(),
      ])
      .optional(),
  })
  .partial();
const one = z.object({
  verification: z.object({
    trust_framework: wantedText,
    assurance_level: wantedText.optional(),
    time: wantedTime.optional(),
    evidence: z.union([z.null(), z.array(wantedRecord).min(1).max(10)]).optional(),
  }),
  claims: z.record(z.string().max(100), wantedText).refine((claims) => Object.keys(claims).length > 0),
});
/** One request, or several of which the first that can be met is answered. The library passes on objects alone, so these lie in one. */
const several = z.object({ any: z.array(one).min(1).max(5) });
const requestSchema = z.union([several, one]);

export type VerifiedClaimsRequest = z.output<typeof one>;

/**
 * Reads the request for `verified_claims` of one place (`userinfo`, `id_token`).
 * @returns undefined where it is malformed.
 */
export function readRequest(value: unknown): readonly VerifiedClaimsRequest[] | undefined {
  const parsed = requestSchema.safeParse(Array.isArray(value) ? { any: value } : value);
  if (!parsed.success) return undefined;
  return 'any' in parsed.data ? parsed.data.any : [parsed.data];
}

/** A `claims` parameter in which a list of requests lies in an object. Everything else is as it was. */
export function withObjects(claims: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(claims).map(([place, members]) => {
      const value = (members as Record<string, unknown> | null)?.['verified_claims'];
      return [
        place,
        Array.isArray(value) ? { ...(members as object), verified_claims: { any: value } } : members,
      ];
    }),
  );
}

/** Names of the claims inside every request for verified claims of a `claims` parameter. */
export function claimsWithin(parameter: unknown): string[] {
  if (typeof parameter !== 'string') return [];
  const request = JSON.parse(parameter) as Record<string, Record<string, unknown> | null | undefined>;
  const names = ['userinfo', 'id_token'].flatMap((place) =>
    (readRequest(request[place]?.['verified_claims']) ?? []).flatMap(({ claims }) => Object.keys(claims)),
  );
  return [...new Set(names)].filter((name) =>
    (CLAIMS_IN_VERIFIED_CLAIMS as readonly string[]).includes(name),
  );
}

/** Level of identity proofing, apart from `acr`, which says how sure it is that it is the same person now. */
export function assuranceLevel(level: number): string {
  return `urn:yinxin:proofing:${level}`;
}

/**
 * Answers with the first request that can be met.
 * @param known What was confirmed, as claims, less what the person did not agree to give.
 * @param now The age of the evidence is judged by it.
 * @returns undefined: none can be met, and the portal is not told why (section 5.3).
 */
export function verifiedClaims(
  requests: readonly VerifiedClaimsRequest[],
  evidence: Evidence & { readonly organization: string },
  known: Readonly<Record<string, unknown>>,
  now: Date,
): object | undefined {
  for (const request of requests) {
    const verification = verificationFor(request.verification, evidence, now);
    const claims = claimsFor(request.claims, known);
    if (verification && claims) return { verification, claims };
  }
  return undefined;
}

type Wanted = z.output<typeof wantedText> | undefined;

/** Whether a value is what was asked for. Without a constraint every value is. */
function fits(wanted: Wanted, value: unknown): boolean {
  if (!wanted) return true;
  const allowed = wanted.values ?? (wanted.value === undefined ? undefined : [wanted.value]);
  return allowed === undefined || (typeof value === 'string' && allowed.includes(value));
}

function claimsFor(
  wanted: VerifiedClaimsRequest['claims'],
  known: Readonly<Record<string, unknown>>,
): object | undefined {
  const given = Object.entries(wanted).filter(([name]) => known[name] !== undefined);
  if (given.length === 0 || given.some(([name, how]) => !fits(how, known[name]))) return undefined;
  return Object.fromEntries(given.map(([name]) => [name, known[name]]));
}

function verificationFor(
  wanted: VerifiedClaimsRequest['verification'],
  evidence: Evidence & { readonly organization: string },
  now: Date,
): object | undefined {
  const level = assuranceLevel(evidence.level);
  const maxAge = wanted.time?.max_age;
  const age = (now.getTime() - evidence.at.getTime()) / 1000;
  if (
    !fits(wanted.trust_framework, evidence.trustFramework) ||
    !fits(wanted.assurance_level, level) ||
    (maxAge !== undefined && age > maxAge)
  )
    return undefined;
  const records = wanted.evidence === undefined ? undefined : recordsFor(wanted.evidence, evidence);
  if (records?.length === 0) return undefined;
  // Only what was asked for is told (section 5.2).
  return {
    trust_framework: evidence.trustFramework,
    ...(wanted.assurance_level === undefined ? {} : { assurance_level: level }),
    ...(wanted.time === undefined ? {} : { time: timeOf(evidence.at) }),
    ...(records === undefined ? {} : { evidence: records }),
  };
}

/** How each method of ours is called there: data was compared; a live check compares the person besides. */
const CHECKS: Readonly<Partial<Record<Evidence['method'], readonly string[]>>> = {
  comparison: ['data'],
  'live-check': ['data', 'bvr'],
  'register-event': ['data'],
};

function recordsFor(
  wanted: NonNullable<VerifiedClaimsRequest['verification']['evidence']> | null,
  evidence: Evidence & { readonly organization: string },
): object[] {
  const checks = CHECKS[evidence.method];
  if (!checks) return [];
  const asked = wanted ?? [{ type: null }];
  return asked
    .filter(
      ({ type, record, check_details: details = [] }) =>
        fits(type, 'electronic_record') &&
        fits(record?.type, 'population_register') &&
        fits(record?.source?.name, evidence.organization) &&
        details.every(({ check_method: method }) => checks.some((check) => fits(method, check))),
    )
    .slice(0, 1)
    .map(({ record, check_details: details }) => ({
      type: 'electronic_record',
      ...(details === undefined
        ? {}
        : {
            check_details: checks.map((check) => ({
              check_method: check,
              ...(details.some(({ organization }) => organization !== undefined)
                ? { organization: evidence.organization }
                : {}),
              ...(details.some(({ time }) => time !== undefined) ? { time: timeOf(evidence.at) } : {}),
            })),
          }),
      ...(record === undefined
        ? {}
        : {
            record: {
              type: 'population_register',
              ...(record?.source === undefined ? {} : { source: { name: evidence.organization } }),
            },
          }),
    }));
}

/** To the minute: it is the same at every portal. */
function timeOf(at: Date): string {
  return `${at.toISOString().slice(0, 16)}Z`;
}
