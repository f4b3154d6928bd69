/** The course of a sign-in: what was shown is put to what was shown before, and leads to the next page or to the end. */
import {
  amrOf,
  fullyShown,
  LADDER,
  methodsOf,
  ProofingError,
  type Account,
  type Method,
  type Showing,
} from '../../identity/index.ts';
import type { Context, Middleware } from '../../platform/http/context.ts';
import { OWN_PORTAL } from '../../portals/index.ts';
import { ownSession } from '../own-session.ts';
import { beginningOf, type Beginning } from '../sessions.ts';
import { wantedAssurance, type LoginResult } from '../policy.ts';
import { nextStep, type Standing, type Step } from './next-step.ts';
import { createProgressStore, withShowings, type Linking, type Progress } from './progress.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

/** One way to show that it is the same person, as a page for somebody who is known already. */
export interface Way {
  /** A word for addresses (`?way=otp`) and for the catalogue (`way.otp`). */
  readonly name: string;
  readonly methods: readonly Method[];
  ask(ctx: Context, visit: Visit, question: Question): Promise<void> | void;
}

export interface Question {
  readonly account: Account;
  readonly errors: readonly FieldError[];
  /** Further ways that would do as well. */
  readonly others: readonly { readonly href: string; readonly key: string }[];
}

/** A further factor that a person can set up on the way. */
export interface Enrolment {
  /** A word for addresses (`set-up/otp`) and for the catalogue (`setUp.otp.name`, `setUp.otp.text`). */
  readonly name: string;
  /** Whether this account could use it. */
  offered(account: Account): boolean;
}

export interface Steps {
  readonly ways: Way[];
  readonly enrolments: Enrolment[];
  /** What the interaction asks for next, and of whom. */
  stepOf(
    ctx: Context,
    visit: Visit,
  ): Promise<{ step: Step; account: Account | undefined; progress: Progress | undefined }>;
  /** Goes on after something was shown: to the next page, or back to the portal. Nothing else finishes a sign-in. */
  proceed(ctx: Context, visit: Visit, ...showings: readonly Showing[]): Promise<void>;
  /** Keeps something beside what was shown, under the account that is signing in. */
  note(visit: Visit, account: Account, more: Partial<Omit<Progress, 'accountId' | 'factors'>>): Promise<void>;
  /** Keeps what was shown for as long again, with the interaction that it was shown in. */
  prolong(uid: string, ttlSeconds: number): Promise<void>;
  /** Shows the page of a way, with the other ways that would do. */
  ask(ctx: Context, visit: Visit, way: Way, errors?: readonly FieldError[]): Promise<void>;
  /** Runs `handle` where the account is known that is signing in; otherwise the interaction is over. */
  knowing(handle: (ctx: Context, visit: Visit, account: Account) => Promise<void>): Middleware;
}

/** Both accounts of a person were shown within this time when they become one. */
const LINKING_SECONDS = 900;

/** Reasons of the login prompt for which a session that stands is enough, once it shows what is missing. */
const STANDING_WILL_DO: ReadonlySet<string> = new Set(['assurance', 'full_authentication', 'no_session']);

export function createSteps(parts: InteractionParts, visits: Visits): Steps {
  const { provider, clock, identity, means, metrics, guard } = parts;
  const progressStore = createProgressStore(parts.records);
  const ways: Way[] = [];
  const enrolments: Enrolment[] = [];
  const now = () => Math.floor(clock.now().getTime() / 1000);

  async function standingWith(
    ctx: Context,
    { interaction }: Visit,
    progress: Progress | undefined,
    account: Account | undefined,
  ): Promise<Standing> {
    const own = !progress || progress.accountId === interaction.session?.accountId;
    const sessionFactors =
      own && interaction.session ? ((await ownSession(provider, ctx)).factors ?? {}) : {};
    const shownNow = progress?.factors ?? {};
    return {
      account,
      shownNow,
      factors: { ...sessionFactors, ...shownNow },
      proofed: progress?.proofed,
      declined: progress?.declined === true,
      unusual: progress?.unusual === true,
    };
  }

  async function standingOf(
    ctx: Context,
    visit: Visit,
  ): Promise<{ standing: Standing; progress: Progress | undefined }> {
    const progress = await progressStore.of(visit.interaction.uid);
    const accountId = progress?.accountId ?? visit.interaction.session?.accountId;
    const account = accountId === undefined ? undefined : await identity.account(accountId);
    return { progress, standing: await standingWith(ctx, visit, progress, account) };
  }

  function stepFrom(standing: Standing, { interaction, portal }: Visit, linking?: Linking): Step {
    const maxAge = interaction.params['max_age'];
    return nextStep(
      standing,
      {
        wanted: wantedAssurance(interaction.params, portal.minimumAcr),
        anew:
          interaction.session !== undefined &&
          interaction.prompt.reasons.some((reason) => !STANDING_WILL_DO.has(reason)),
        // Whoever changes an account shows all that the account can show.
        fullWithinSeconds:
          linking && linking.from !== standing.account?.id
            ? LINKING_SECONDS
            : portal.clientId === OWN_PORTAL && maxAge !== undefined
              ? Math.max(Number(maxAge), 60)
              : undefined,
      },
      { now: now(), means, passwordSeconds: identity.passwords.policy.maximumAgeSeconds },
    );
  }

  async function stepOf(ctx: Context, visit: Visit) {
    const { standing, progress } = await standingOf(ctx, visit);
    return { step: stepFrom(standing, visit, progress?.linking), account: standing.account, progress };
  }

  async function save(visit: Visit, progress: Progress): Promise<void> {
    await progressStore.save(visit.interaction.uid, progress);
  }

  async function finish(ctx: Context, visit: Visit, standing: Standing): Promise<void> {
    const { account, shownNow } = standing;
    if (!account) return visits.over(ctx);
    const seconds = now();
    const longest = LADDER[0]?.maxAgeSeconds ?? 0;
    const recent = methodsOf(standing.factors).filter(
      (method) => seconds - (standing.factors[method] ?? 0) <= longest,
    );
    const newest = Math.max(0, ...methodsOf(shownNow).map((method) => shownNow[method] ?? 0));
    let beginning: Beginning | undefined;
    if (newest > 0) {
      const { clientId } = visit.portal;
      const { entry, device } = await guard.signedIn(ctx, { account, factors: shownNow, clientId });
      beginning = beginningOf(ctx, { at: newest, entry, device });
      metrics.signIns.inc({ outcome: 'accepted' });
    }
    const { loginTs } = newest > 0 ? { loginTs: newest } : await ownSession(provider, ctx);
    const login: LoginResult & { accountId: string } = {
      accountId: account.id,
      factors: shownNow,
      ...(beginning ? { beginning } : {}),
      ...(standing.declined ? { declined: true } : {}),
    };
    await visits.finish(ctx, visit, {
      // `remember: false` makes the cookie end with the browser: many people share a device.
      login: { ...login, amr: amrOf(recent), ts: loginTs ?? seconds, remember: false },
      // Whoever types their name has chosen.
      select_account: {},
    });
  }

  /** Makes two accounts one if the other has been shown in full by now. @returns false, having answered, if it was not the right one. */
  async function settleLinking(
    ctx: Context,
    visit: Visit,
    { account, shownNow }: Standing,
    { link, from, factors }: Linking,
  ): Promise<boolean> {
    const within = { now: now(), maxAgeSeconds: LINKING_SECONDS };
    if (!account || account.id === from || !fullyShown(account, shownNow, within)) return true;
    try {
      const { level } = await identity.persons.link(link, from, account.id);
      await save(visit, { accountId: account.id, factors: shownNow, proofed: level });
      // The session that stands here goes over to the account that stays: the library ends what belongs to the other.
      await parts.signOutEverywhere(from, 'account-merged', account.id, visit.interaction.session?.uid);
      return true;
    } catch (error) {
      if (!(error instanceof ProofingError)) throw error;
      await save(visit, { accountId: from, factors });
      ctx.status = 303;
      ctx.redirect(`${visit.base}/proofing/taken?link=${link}&wrong=yes`);
      return false;
    }
  }

  async function proceed(ctx: Context, visit: Visit, ...showings: readonly Showing[]): Promise<void> {
    const { uid, session } = visit.interaction;
    const shownBy = showings[0]?.accountId;
    // None of these needs the others.
    const [before, signs, shownAccount] = await Promise.all([
      progressStore.of(uid),
      shownBy === undefined ? [] : guard.signsOf(ctx, shownBy),
      shownBy === undefined ? undefined : identity.account(shownBy),
    ]);
    const progress = withShowings(before, showings, signs.length > 0);
    if (progress?.linking) {
      await save(visit, progress);
      const { standing } = await standingOf(ctx, visit);
      if (!(await settleLinking(ctx, visit, standing, progress.linking))) return;
      return goOn(ctx, visit, await standingOf(ctx, visit));
    }
    const accountId = progress?.accountId ?? session?.accountId;
    const account = shownAccount ?? (accountId === undefined ? undefined : await identity.account(accountId));
    const standing = await standingWith(ctx, visit, progress, account);
    await goOn(ctx, visit, { standing, progress }, progress !== before);
  }

  /** @param unsaved Whether `progress` is not in the store yet: what is finished need not be. */
  async function goOn(
    ctx: Context,
    visit: Visit,
    { standing, progress }: { standing: Standing; progress: Progress | undefined },
    unsaved = false,
  ): Promise<void> {
    const step = stepFrom(standing, visit, progress?.linking);
    // What cannot be reached is for the library to say to the portal.
    if (step.kind === 'done' || step.kind === 'unreachable') return finish(ctx, visit, standing);
    if (progress && unsaved) await save(visit, progress);
    ctx.status = 303;
    ctx.redirect(visit.base);
  }

  return {
    ways,
    enrolments,
    stepOf,
    proceed,

    async note(visit, account, more) {
      const before = await progressStore.of(visit.interaction.uid);
      const same = before?.accountId === account.id ? before : undefined;
      await save(visit, { ...same, accountId: account.id, factors: same?.factors ?? {}, ...more });
    },

    async prolong(uid, ttlSeconds) {
      const progress = await progressStore.of(uid);
      if (progress) await progressStore.save(uid, progress, ttlSeconds);
    },

    async ask(ctx, visit, way, errors = []) {
      const { step, account } = await stepOf(ctx, visit);
      if (!account) return visits.over(ctx);
      const methods = step.kind === 'factor' ? step.methods : [];
      const others = ways
        .filter((other) => other !== way && other.methods.some((method) => methods.includes(method)))
        .map(({ name }) => ({ href: `${visit.base}?way=${name}`, key: `way.${name}` }));
      await way.ask(ctx, visit, { account, errors, others });
    },

    knowing: (handle) =>
      visits.visiting(async (ctx, visit) => {
        const { standing } = await standingOf(ctx, visit);
        if (!standing.account) return visits.over(ctx);
        await handle(ctx, visit, standing.account);
      }),
  };
}
