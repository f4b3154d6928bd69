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

/** Ways to show that it is the same person (RFC 8176), by what they rest on. A user-verified passkey rests on two things. */
const METHODS = {
  pwd: { kinds: ['knowledge'], hardware: false },
  otp: { kinds: ['possession'], hardware: false },
  sms: { kinds: ['possession'], hardware: false },
  swk: { kinds: ['possession', 'inherence'], hardware: false },
  hwk: { kinds: ['possession', 'inherence'], hardware: true },
} as const;
export type Method = keyof typeof METHODS;

/** When each method was last shown, in seconds since 1970. */
export type Factors = Readonly<Partial<Record<Method, number>>>;

/** What is known of an account: the most that it can reach. */
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
}

export type Decision =
  | { readonly kind: 'reached'; readonly acr: string | undefined }
  /** More is needed than was shown, or was shown too long ago: these methods would do. */
  | { readonly kind: 'step-up'; readonly methods: readonly Method[] }
  | { readonly kind: 'unreachable' };

/** The highest level that the factors reach, if any. */
export function reachedLevel(account: Assurable, factors: Factors, now: number): Level | undefined {
  return LADDER.findLast((level) => reaches(level, account.proofing, fresh(factors, level, now)));
}

/**
 * Decides what a request gets: a level to assert, a step-up first, or an end. The first level by preference that the account can reach is
 * aimed at; wishes that are not essential and that it cannot reach give way to the portal's own least level.
 * @param interactive Whether the person can be asked. If not, a level further down the list that stands already will do.
 */
export function decide(
  wanted: Wanted,
  account: Assurable,
  factors: Factors,
  { now, interactive }: { now: number; interactive: boolean },
): Decision {
  const least = rankOf(wanted.minimum);
  // A minimum that the ladder does not know is one that nothing reaches.
  if (wanted.minimum !== undefined && least < 0) return { kind: 'unreachable' };
  const liked = wanted.levels.map(rankOf).filter((rank) => rank >= 0);
  const candidates = liked.map((rank) => Math.max(rank, least));
  if (!wanted.essential && least >= 0) candidates.push(least);

  const within = candidates.filter((rank) => possible(rank, account));
  const stands = (rank: number) => {
    const level = LADDER[rank];
    return level !== undefined && reaches(level, account.proofing, fresh(factors, level, now));
  };
  const [aim] = within;
  if (aim === undefined)
    return wanted.essential || least >= 0
      ? { kind: 'unreachable' }
      : { kind: 'reached', acr: reachedLevel(account, factors, now)?.acr };
  const standing = interactive ? (stands(aim) ? aim : undefined) : within.find(stands);
  return standing === undefined
    ? { kind: 'step-up', methods: missing(aim, account, factors, now) }
    : { kind: 'reached', acr: LADDER[standing]?.acr };
}

function rankOf(acr: string | undefined): number {
  return LADDER.findIndex((level) => level.acr === acr);
}

function fresh(factors: Factors, level: Level, now: number): Method[] {
  return methodsOf(factors).filter((method) => now - (factors[method] ?? 0) <= level.maxAgeSeconds);
}

function reaches(level: Level, proofing: number, methods: readonly Method[]): boolean {
  const kinds = new Set(methods.flatMap((method) => METHODS[method].kinds));
  return (
    proofing >= level.proofing &&
    kinds.size >= level.factors &&
    (!level.hardware || methods.some((method) => METHODS[method].hardware))
  );
}

function possible(rank: number, account: Assurable): boolean {
  const level = LADDER[rank];
  return level !== undefined && reaches(level, account.proofing, account.methods);
}

/** The methods that the person has and that are not fresh enough for the level. */
function missing(rank: number, account: Assurable, factors: Factors, now: number): Method[] {
  const level = LADDER[rank];
  if (!level) return [];
  const shown = fresh(factors, level, now);
  return account.methods.filter((method) => !shown.includes(method));
}

function methodsOf(factors: Factors): Method[] {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- keys of Factors are methods
  return (Object.keys(factors) as Method[]).filter((method) => method in METHODS);
}
