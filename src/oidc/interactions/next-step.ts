/** What a sign-in asks for next. Pure: the pages only carry out what is decided here. */
import {
  decide,
  fullyShown,
  LADDER,
  mayAddFactor,
  methodsOf,
  secondFactors,
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
  | { readonly kind: 'done' }
  | { readonly kind: 'unreachable' };

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

/** @param context.now Seconds since 1970. */
export function nextStep(
  standing: Standing,
  demands: Demands,
  context: { readonly now: number; readonly means: Means },
): Step {
  const { account, shownNow, factors } = standing;
  if (!account) return { kind: 'sign-in' };
  if (demands.anew && methodsOf(shownNow).length === 0)
    return { kind: 'factor', methods: account.methods.filter((method) => FIRST_FACTORS.has(method)) };
  // Whatever level is wanted: what was guessed or found is not enough from where nobody expects the person.
  const further = standing.unusual ? secondFactors(account, methodsOf(shownNow)) : [];
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
  if (decision.kind === 'reached') return { kind: 'done' };
  if (decision.kind === 'unreachable') return decision;
  const { lacking } = decision;
  if (lacking.methods.length > 0) return { kind: 'factor', methods: lacking.methods };
  const without = decide({ ...wanted, declined: true }, account, factors, { ...context, interactive: true });
  const optional = without.kind === 'reached';
  const target = LADDER.find(({ acr }) => acr === lacking.acr)?.proofing ?? 0;
  const again = lacking.enrolment && !mayAddFactor(account) && (standing.proofed ?? 0) < target;
  const level = lacking.proofing ?? (again ? target : undefined);
  if (again && context.means.proofing < target) return optional ? { kind: 'done' } : { kind: 'unreachable' };
  // First the person, then the factor that is tied to them.
  if (level !== undefined) return { kind: 'proofing', level, optional };
  return { kind: 'enrolment', optional };
}

/** Methods that a person whose session stands can begin with. */
const FIRST_FACTORS: ReadonlySet<Method> = new Set([
  'hwk',
  'swk',
  'pwd',
  'sms',
  'email',
  'mca',
  'fed',
  'fedmfa',
]);
