/** What a sign-in asks for next. Pure: the pages only carry out what is decided here. */
import {
  decide,
  FIRST_FACTORS,
  fullyShown,
  LADDER,
  mayAddFactor,
  methodsOf,
  secondFactors,
  showsTwo,
  type Account,
  type Factors,
  type Means,
  type Method,
  type Wanted,
} from '../../identity/index.ts';

export type Step =
  /** Nobody is known yet. */
  | { readonly kind: 'sign-in' }
  /** One of these methods, whichever the person likes. */
  | { readonly kind: 'factor'; readonly methods: readonly Method[] }
  /** A further factor is set up. `optional`: the person may go on without. */
  | { readonly kind: 'enrolment'; readonly optional: boolean }
  /** The person proves who they are, up to this level. */
  | { readonly kind: 'proofing'; readonly level: number; readonly optional: boolean }
  /** A new password is chosen: the present one is older than is allowed, or too short to be all that is asked for. */
  | { readonly kind: 'new-password'; readonly reason: 'aged' | 'short' }
  | { readonly kind: 'done' }
  | { readonly kind: 'unreachable' };

interface Context {
  readonly now: number;
  readonly means: Means;
  readonly passwordSeconds?: number | undefined;
}

export interface Standing {
  readonly account: Account | undefined;
  /** Shown in this interaction. */
  readonly shownNow: Factors;
  /** Shown in this interaction, and earlier in the session if it is of the same account. */
  readonly factors: Factors;
  /** The level of proofing that was reached in this interaction. */
  readonly proofed: number | undefined;
  readonly declined: boolean;
  /** The sign-in comes from where it never did before, or after many guesses. */
  readonly unusual: boolean;
}

export interface Demands {
  readonly wanted: Wanted;
  /** Whether something must be shown anew even if a session stands: `prompt=login`, `max_age`, another person's hint. */
  readonly anew: boolean;
  /** Two kinds of factors, if the account has them, shown within this time; undefined: the level alone decides. */
  readonly fullWithinSeconds: number | undefined;
}

/**
 * @param context.now Seconds since 1970.
 * @param context.passwordSeconds Age at which a password is changed, in seconds; undefined: never.
 */
export function nextStep(standing: Standing, demands: Demands, context: Context): Step {
  const { account, shownNow, factors } = standing;
  if (!account) return { kind: 'sign-in' };
  if (demands.anew && methodsOf(shownNow).length === 0)
    return { kind: 'factor', methods: account.methods.filter((method) => FIRST_FACTORS.has(method)) };
  // Whatever level is wanted: what was guessed or found is not enough from where nobody expects the person, and a short password nowhere.
  const further =
    standing.unusual || reliesOnShortPassword(standing) ? secondFactors(account, methodsOf(shownNow)) : [];
  if (further.length > 0) return { kind: 'factor', methods: further };
  const { fullWithinSeconds } = demands;
  if (
    fullWithinSeconds !== undefined &&
    !fullyShown(account, factors, { now: context.now, maxAgeSeconds: fullWithinSeconds })
  ) {
    const recent = methodsOf(factors).filter(
      (method) => context.now - (factors[method] ?? 0) <= fullWithinSeconds,
    );
    const methods = secondFactors(account, recent);
    if (methods.length > 0) return { kind: 'factor', methods };
  }

  const wanted = { ...demands.wanted, declined: standing.declined };
  const decision = decide(wanted, account, factors, { ...context, interactive: true });
  if (decision.kind === 'reached') return settle(standing, context);
  if (decision.kind === 'unreachable') return decision;
  const { lacking } = decision;
  if (lacking.methods.length > 0) return { kind: 'factor', methods: lacking.methods };
  const without = decide({ ...wanted, declined: true }, account, factors, { ...context, interactive: true });
  const optional = without.kind === 'reached';
  const target = LADDER.find(({ acr }) => acr === lacking.acr)?.proofing ?? 0;
  const again = lacking.enrolment && !mayAddFactor(account) && (standing.proofed ?? 0) < target;
  const level = lacking.proofing ?? (again ? target : undefined);
  if (again && context.means.proofing < target)
    return optional ? settle(standing, context) : { kind: 'unreachable' };
  // First the person, then the factor that is tied to them.
  if (level !== undefined) return { kind: 'proofing', level, optional };
  return { kind: 'enrolment', optional };
}

/** The end, unless the password that was typed may not go on as it is. Whoever changes it shows first all that the account can show. */
function settle(standing: Standing, { now, passwordSeconds }: Context): Step {
  const { account, shownNow } = standing;
  if (!account?.password || shownNow.pwd === undefined) return { kind: 'done' };
  if (reliesOnShortPassword(standing)) return { kind: 'new-password', reason: 'short' };
  const age = now - Math.floor(account.password.since.getTime() / 1000);
  if (passwordSeconds === undefined || age <= passwordSeconds) return { kind: 'done' };
  const methods = secondFactors(account, methodsOf(shownNow));
  return methods.length > 0 ? { kind: 'factor', methods } : { kind: 'new-password', reason: 'aged' };
}

/** Whether all that was shown is a password that is too short to be all (NIST SP 800-63B-4, section 3.1.1.2). */
function reliesOnShortPassword({ account, shownNow }: Standing): boolean {
  const methods = methodsOf(shownNow);
  return methods.includes('pwd') && account?.password?.standsAlone === false && !showsTwo(methods);
}
