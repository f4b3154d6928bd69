/**
 * The assurance ladder: how sure it is who a person is (proofing), and how sure it is the same person now (factors and their age), make
 * the level of a sign-in (`acr`). Levels are ordered, and what reaches one reaches those below it. Pure: time is an argument.
 */
import { z } from 'zod';
import levels from '../../config/assurance.json' with { type: 'json' };

/** Least that a level asks for. */
export interface Level {
  /** Authentication Context Class Reference (OpenID Connect Core 1.0, section 2). */
  readonly acr: string;
  /** Least level of identity proofing. */
  readonly proofing: number;
  /** Least number of factors of different kinds. */
  readonly factors: number;
  /** Whether one of the factors must be a key in hardware. */
  readonly hardware: boolean;
  /** A factor older than this counts no more. */
  readonly maxAgeSeconds: number;
}

/** From the lowest to the highest. */
export const LADDER: readonly Level[] = z
  .array(
    z
      .object({
        acr: z.string(),
        proofing: z.number().int().min(0).max(4),
        factors: z.number().int().min(1).max(3),
        hardware: z.boolean().default(false),
        maxAgeSeconds: z.number().int().positive(),
      })
      .strict(),
  )
  .min(1)
  .parse(levels);

/**
 * Ways to show that it is the same person: what they rest on, and their words in `amr` (RFC 8176). A user-verified passkey rests on two
 * things. One-time codes by e-mail are no second factor (NIST SP 800-63B-4, section 3.1.3.1): a mailbox is no device.
 */
const METHODS = {
  pwd: { kinds: ['knowledge'], amr: ['pwd'] },
  /** One-time password by time (RFC 6238). */
  otp: { kinds: ['possession'], amr: ['otp'] },
  sms: { kinds: ['possession'], amr: ['sms'], addressOnly: true },
  email: { kinds: ['knowledge'], amr: ['otp'], firstOnly: true, addressOnly: true },
  /** A recovery code (look-up secret). */
  recovery: { kinds: ['possession'], amr: ['otp'] },
  /** Any other passkey. */
  swk: { kinds: ['possession', 'inherence'], amr: ['swk', 'user'] },
  /** Passkey that is kept in hardware, certified by its maker, and stays there. */
  hwk: { kinds: ['possession', 'inherence'], amr: ['hwk', 'user'], hardware: true },
  /** Approved on another device that is signed in: by way of it comes what was shown there, and nothing that would add to it. */
  mca: { kinds: [], amr: ['mca'] },
  /** Another identity provider's word, by one factor and by two. */
  fed: { kinds: ['knowledge'], amr: [] },
  fedmfa: { kinds: ['knowledge', 'possession'], amr: [] },
} as const satisfies Record<string, MethodTraits>;

interface MethodTraits {
  readonly kinds: readonly ('knowledge' | 'possession' | 'inherence')[];
  readonly amr: readonly string[];
  readonly hardware?: boolean;
  readonly firstOnly?: boolean;
  /** Shows that an address is at hand, which is what the first level says of a person: alone it reaches no other. */
  readonly addressOnly?: boolean;
}

export type Method = keyof typeof METHODS;

const traitsOf = (method: Method): MethodTraits => METHODS[method];

/** Methods that a sign-in can begin with: an account with none of them lets nobody in. */
export const FIRST_FACTORS: ReadonlySet<Method> = new Set([
  'hwk',
  'swk',
  'pwd',
  'sms',
  'email',
  'mca',
  'fed',
  'fedmfa',
]);

/** When each method was last shown, in seconds since 1970. */
export type Factors = Readonly<Partial<Record<Method, number>>>;

/** What is known of an account: what it reaches without setting anything up. */
export interface Assurable {
  readonly proofing: number;
  /** Methods that the person has set up. */
  readonly methods: readonly Method[];
}

/** What a request asks for. */
export interface Wanted {
  /** Levels by preference (`acr_values`, or the essential `acr` claim). Unknown ones are levels that nothing reaches. */
  readonly levels: readonly string[];
  /** Whether one of them must be reached. */
  readonly essential: boolean;
  /** The portal's own least level: holds whatever `levels` says. */
  readonly minimum: string | undefined;
  /** Whether the person has said no to setting up what a wish would need. */
  readonly declined?: boolean;
}

/** What the people of this installation can come by while they sign in. */
export interface Means {
  /** The highest level of proofing that an authority can give. 0: none is configured. */
  readonly proofing: number;
}

/** What is still to be done for a level, in this order: show a factor, set one up, prove who one is. */
export interface Lacking {
  readonly acr: string;
  /** Methods of the account that would add to what was shown. While there are any, nothing else is asked. */
  readonly methods: readonly Method[];
  /** Whether a further factor must be set up. */
  readonly enrolment: boolean;
  /** The level of proofing that must be reached, if more is needed than is on record. */
  readonly proofing: number | undefined;
}

export type Decision =
  | { readonly kind: 'reached'; readonly acr: string | undefined }
  /** More is needed than was shown, or was shown too long ago. */
  | { readonly kind: 'step-up'; readonly lacking: Lacking }
  | { readonly kind: 'unreachable' };

/** The highest level that the factors reach, if any. */
export function reachedLevel(account: Assurable, factors: Factors, now: number): Level | undefined {
  return LADDER.findLast((level) => reaches(level, account.proofing, fresh(factors, level, now)));
}

/**
 * Decides what a request gets: a level to assert, a step-up first, or an end. Aimed at is the first wish that the account can reach as it
 * is, then the first that it could by setting something up; wishes that are not essential and out of reach give way to the portal's own
 * least level.
 * @param context.interactive Whether the person can be asked. If not, a level further down the list that stands already will do.
 */
export function decide(
  wanted: Wanted,
  account: Assurable,
  factors: Factors,
  { now, interactive, means = { proofing: 0 } }: { now: number; interactive: boolean; means?: Means },
): Decision {
  const least = rankOf(wanted.minimum);
  // A minimum that the ladder does not know is one that nothing reaches.
  if (wanted.minimum !== undefined && least < 0) return { kind: 'unreachable' };
  const stands = (rank: number) => {
    const level = LADDER[rank];
    return level !== undefined && reaches(level, account.proofing, fresh(factors, level, now));
  };
  const asIs = (rank: number) => possible(rank, account);
  const bySettingUp = (rank: number) => attainable(rank, account, means);
  const liked = wanted.levels
    .map(rankOf)
    .filter((rank) => rank >= 0)
    .map((rank) => Math.max(rank, least));
  const optional = wanted.declined === true && !wanted.essential;

  const likedAim = liked.find(asIs) ?? (optional ? undefined : liked.find(bySettingUp));
  const leastAim = !wanted.essential && least >= 0 && (asIs(least) || bySettingUp(least)) ? least : undefined;
  const aim = likedAim ?? leastAim;
  if (aim === undefined)
    return wanted.essential || least >= 0
      ? { kind: 'unreachable' }
      : { kind: 'reached', acr: reachedLevel(account, factors, now)?.acr };
  const candidates = wanted.essential || least < 0 ? liked : [...liked, least];
  const standing = interactive ? (stands(aim) ? aim : undefined) : candidates.find(stands);
  return standing === undefined
    ? { kind: 'step-up', lacking: lackingFor(aim, account, factors, now) }
    : { kind: 'reached', acr: LADDER[standing]?.acr };
}

/**
 * Whether a person has shown, not longer ago than `maxAgeSeconds`, as much as their account can show: two kinds of factors where it has
 * them. What changes an account itself asks for this.
 */
export function fullyShown(
  account: Assurable,
  factors: Factors,
  { now, maxAgeSeconds }: { now: number; maxAgeSeconds: number },
): boolean {
  const shown = methodsOf(factors).filter((method) => now - (factors[method] ?? 0) <= maxAgeSeconds);
  const able = kindsOf(account.methods, 2).size >= 2 ? 2 : 1;
  return kindsOf(shown, able).size >= able;
}

/**
 * Whether a further factor may be tied to an account by whoever has shown all that it can show. A password alone does not earn the level
 * of whoever was checked once: before a second factor is tied to a proofed account, its holder is proofed again (NIST SP 800-63B-4,
 * section 4.1.2.1).
 */
export function mayAddFactor(account: Assurable): boolean {
  return account.proofing < PROOFED || kindsOf(account.methods, 2).size >= 2;
}

/** From this level of proofing on it is known who the holder is. */
export const PROOFED = 2;

/** The methods of an account that would bring what was shown up to two kinds of factors; none when it stands, or when there are none. */
export function secondFactors(account: Assurable, shown: readonly Method[]): Method[] {
  return kindsOf(shown, 2).size >= 2 ? [] : adding(account.methods, shown, 2);
}

/** Whether factors of two kinds were shown. */
export function showsTwo(methods: readonly Method[]): boolean {
  return kindsOf(methods, 2).size >= 2;
}

/** Authentication Method References (RFC 8176) of what was shown. */
export function amrOf(methods: readonly Method[]): string[] {
  const words = methods.flatMap((method) => traitsOf(method).amr);
  return [...new Set([...words, ...(kindsOf(methods, 2).size >= 2 ? ['mfa'] : [])])];
}

/** The methods that were shown, oldest first. */
export function methodsOf(factors: Factors): Method[] {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- keys of Factors are methods
  const methods = (Object.keys(factors) as Method[]).filter((method) => method in METHODS);
  return methods.sort((a, b) => (factors[a] ?? 0) - (factors[b] ?? 0));
}

function rankOf(acr: string | undefined): number {
  return LADDER.findIndex((level) => level.acr === acr);
}

function fresh(factors: Factors, level: Level, now: number): Method[] {
  return methodsOf(factors).filter((method) => now - (factors[method] ?? 0) <= level.maxAgeSeconds);
}

/** @param wanted How many factors are needed: where it is more than one, some methods do not count. */
function kindsOf(methods: readonly Method[], wanted: number): Set<string> {
  return new Set(
    methods.filter((method) => wanted < 2 || !traitsOf(method).firstOnly).flatMap((m) => traitsOf(m).kinds),
  );
}

function showsEnough(level: Level, methods: readonly Method[]): boolean {
  return (
    kindsOf(methods, level.factors).size >= level.factors &&
    (level.proofing < 2 || methods.some((method) => !traitsOf(method).addressOnly)) &&
    (!level.hardware || methods.some((method) => traitsOf(method).hardware))
  );
}

function reaches(level: Level, proofing: number, methods: readonly Method[]): boolean {
  return proofing >= level.proofing && showsEnough(level, methods);
}

function possible(rank: number, account: Assurable): boolean {
  const level = LADDER[rank];
  return level !== undefined && reaches(level, account.proofing, account.methods);
}

/** A key in hardware is not something that one comes by while signing in. */
function attainable(rank: number, account: Assurable, means: Means): boolean {
  const level = LADDER[rank];
  return (
    level !== undefined &&
    Math.max(account.proofing, means.proofing) >= level.proofing &&
    (!level.hardware || showsEnough(level, account.methods))
  );
}

/** Methods of the account that would add a kind of factor to those shown. */
function adding(methods: readonly Method[], shown: readonly Method[], wanted: number): Method[] {
  const present = kindsOf(shown, wanted);
  return methods.filter(
    (method) => !shown.includes(method) && [...kindsOf([method], wanted)].some((kind) => !present.has(kind)),
  );
}

function lackingFor(rank: number, account: Assurable, factors: Factors, now: number): Lacking {
  const level = LADDER[rank];
  if (!level) throw new TypeError(`the ladder has no level ${rank}`);
  const shown = fresh(factors, level, now);
  // Where a code to an address is not enough by itself, it is not the first thing to ask for.
  const begun = level.proofing < 2 || shown.some((method) => !traitsOf(method).addressOnly);
  const able = account.methods.filter((method) => begun || !traitsOf(method).addressOnly);
  const methods = showsEnough(level, shown)
    ? []
    : level.hardware && !shown.some((method) => traitsOf(method).hardware)
      ? account.methods.filter((method) => traitsOf(method).hardware)
      : adding(able, begun || level.factors > 1 ? shown : [], level.factors);
  return {
    acr: level.acr,
    methods,
    enrolment: !showsEnough(level, [...shown, ...account.methods]),
    proofing: account.proofing < level.proofing ? level.proofing : undefined,
  };
}
