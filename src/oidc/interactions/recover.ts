/**
 * "I cannot sign in": an address, the code that went there, the second factor if there is one, a new password. What must be shown, and what is
 * lost with what cannot be shown, is decided by `identity/recovery.ts`; these are its pages.
 */
import type Router from '@koa/router';
import {
  IdentityError,
  recoveryStep,
  type Account,
  type Factors,
  type Method,
  type RecoveryStep,
  type Showing,
} from '../../identity/index.ts';
import type { Context, Middleware, RequestState } from '../../platform/http/context.ts';
import type { AccountId } from '../../platform/ids.ts';
import { TTL } from '../configuration.ts';
import { currentDevice } from '../current-device.ts';
import { codeForms, holderOf } from './code-forms.ts';
import { askToWait } from './password-errors.ts';
import { MISMATCH, newPasswordProblem } from './register.ts';
import type { SentCodes } from './sent-codes.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

const MODEL = 'Recovering';
const NEXT_PATH = '/recover/next';

/** What was shown in an interaction's recovery. Good for one new password. */
interface Recovering {
  readonly accountId: AccountId;
  readonly shown: Factors;
}

export function recoveryPages(
  router: Router<RequestState>,
  parts: InteractionParts,
  visits: Visits,
  steps: Steps,
  sentCodes: SentCodes,
): void {
  const { identity, forms, guard, records, clock } = parts;
  const { visiting, over, render } = visits;
  const seconds = (at: Date) => Math.floor(at.getTime() / 1000);

  async function keep(
    { interaction }: Visit,
    before: Recovering | undefined,
    showing: Showing,
  ): Promise<void> {
    const same = before?.accountId === showing.accountId ? before.shown : {};
    const recovering: Recovering = {
      accountId: showing.accountId,
      shown: { ...same, [showing.method]: seconds(showing.at) },
    };
    await records.put(MODEL, interaction.uid, recovering, TTL.Interaction);
  }

  /** Runs `handle` where a code has shown whose account is recovered; elsewhere the recovery is over. */
  function recovering(
    handle: (
      ctx: Context,
      visit: Visit,
      now: Recovering & { account: Account; step: RecoveryStep },
    ) => Promise<void>,
  ): Middleware {
    return visiting(async (ctx, visit) => {
      const found = await records.find(MODEL, visit.interaction.uid);
      if (!found || found.consumedAt !== undefined) return over(ctx);
      const { accountId, shown } = found.payload as unknown as Recovering;
      const account = await identity.account(accountId);
      if (!account) return over(ctx);
      const waiting = await identity.recovery.waiting(accountId);
      const step = recoveryStep(account, methodsIn(shown), waiting, clock.now());
      await handle(ctx, visit, { accountId, shown, account, step });
    });
  }

  function renderStep(
    ctx: Context,
    visit: Visit,
    { account, step }: { account: Account; step: RecoveryStep },
    errors: readonly FieldError[] = [],
  ): void {
    const path = `${visit.base}${NEXT_PATH}`;
    switch (step.kind) {
      case 'second-factor':
        return render(
          ctx,
          'recover-factor',
          visit,
          {
            action: `${visit.base}/recover/factor`,
            lostAction: `${visit.base}/recover/lost`,
            // Whoever has a passkey signs in by it, and needs no recovery.
            passkeyHref: step.methods.some((method) => method === 'swk' || method === 'hwk')
              ? `${visit.base}?other=yes`
              : undefined,
            byCode: step.methods.some((method) => method === 'otp' || method === 'recovery'),
            errors,
          },
          path,
        );
      case 'wait':
        return render(ctx, 'recover-wait', visit, { until: ctx.state.language.date(step.until) }, path);
      case 'new-password':
        return render(
          ctx,
          'choose-password',
          visit,
          {
            titleKey: 'recover.password',
            leadKey: 'recover.passwordLead',
            submitKey: 'recover.submit',
            action: `${visit.base}/recover/password`,
            account: account.username ?? account.phone ?? account.email,
            passwordMinimum: identity.passwords.policy.minimumLength(true),
            errors,
          },
          path,
        );
    }
  }

  function goOn(ctx: Context, visit: Visit): void {
    ctx.status = 303;
    ctx.redirect(`${visit.base}${NEXT_PATH}`);
  }

  codeForms(router, parts, visits, sentCodes, {
    code: {
      purpose: 'recovery',
      path: '/recover/code',
      titleKey: 'code.recovery.title',
      backPath: '/recover',
    },
    address: {
      view: 'code-address',
      data: ({ base }) => ({
        titleKey: 'recover.title',
        leadKey: 'recover.lead',
        backHref: `${base}?other=yes`,
      }),
    },
    act: 'recovery',
    recipientOf: (to) => holderOf(identity, to),
    take: (attempt) => identity.oneTimeCodes.check(attempt),
    async goOn(ctx, visit, showing) {
      await keep(visit, undefined, showing);
      goOn(ctx, visit);
    },
  });

  router.get(
    NEXT_PATH,
    recovering(async (ctx, visit, now) => renderStep(ctx, visit, now)),
  );

  router.post(
    '/recover/factor',
    recovering(async (ctx, visit, now) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      if (now.step.kind !== 'second-factor') return goOn(ctx, visit);
      const { accountId } = now;
      // Six digits are an app's; a recovery code is longer.
      const check = /^\s*(?:\d\s*){6}$/.test(code.normalize('NFKC')) ? identity.totp : identity.recoveryCodes;
      try {
        const showing = await guard.attempt(ctx, 'one-time-code', { accountId }, () =>
          check.check({ accountId, code }),
        );
        await keep(visit, now, showing);
        goOn(ctx, visit);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const key = code.trim() === '' ? 'error.recoverCodeMissing' : 'error.recoverCodeWrong';
        renderStep(ctx, visit, now, [{ field: 'code', key }]);
      }
    }),
  );

  router.post(
    '/recover/lost',
    recovering(async (ctx, visit, { accountId, step }) => {
      await forms.read(ctx);
      if (step.kind === 'second-factor') await identity.recovery.begin(accountId);
      goOn(ctx, visit);
    }),
  );

  router.post(
    '/recover/password',
    recovering(async (ctx, visit, now) => {
      const form = await forms.read(ctx);
      const password = form.get('password') ?? '';
      if (now.step.kind !== 'new-password') return goOn(ctx, visit);
      if (form.get('passwordAgain') !== password) return renderStep(ctx, visit, now, [MISMATCH]);
      const { accountId, shown } = now;
      const { uid } = visit.interaction;
      // What was shown is good for one new password: of two who send this form at once one goes on.
      if (!(await records.consume(MODEL, uid, seconds(clock.now())))) return over(ctx);
      try {
        const device = await currentDevice(guard, ctx, accountId);
        await identity.recovery.complete({ accountId, password, shown: methodsIn(shown), device });
      } catch (error) {
        await records.put(MODEL, uid, { accountId, shown }, TTL.Interaction);
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) => renderStep(ctx, visit, now, errors));
        // A recovery that was stopped meanwhile begins again with the second factor.
        if (error.code === 'RECOVERY_NOT_READY') return goOn(ctx, visit);
        return renderStep(ctx, visit, now, [newPasswordProblem(error, identity.passwords.policy)]);
      }
      await parts.signOutEverywhere(accountId, 'account-recovered', accountId);
      // The session of this browser has ended with the others: the request begins again, and asks for the new password.
      if (visit.interaction.session?.accountId === accountId) return over(ctx);
      await steps.proceed(ctx, visit, ...showingsOf(now));
    }),
  );
}

function methodsIn(shown: Factors): Method[] {
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- keys of Factors are methods
  return Object.keys(shown) as Method[];
}

function showingsOf({ accountId, shown }: Recovering): Showing[] {
  return methodsIn(shown).map((method) => ({ accountId, method, at: new Date((shown[method] ?? 0) * 1000) }));
}
