/** Choosing a new password on the way, where the present one may not go on as it is. */
import type Router from '@koa/router';
import { IdentityError, labelOf, type Account } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { currentDevice } from '../current-device.ts';
import { askToWait, passwordError } from './password-errors.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

type Render = (
  ctx: Context,
  visit: Visit,
  account: Account,
  reason: 'aged' | 'short',
  errors?: readonly FieldError[],
) => void;

export function newPasswordPage(
  router: Router<RequestState>,
  { identity, forms, guard, signOutEverywhere }: InteractionParts,
  { over, render }: Visits,
  steps: Steps,
): Render {
  const { passwords } = identity;

  const renderNewPassword: Render = (ctx, visit, account, reason, errors = []) => {
    render(ctx, 'new-password', visit, {
      action: `${visit.base}/new-password`,
      reason,
      account: labelOf(account),
      passwordMinimum: passwords.minimumLength(account),
      errors,
    });
  };

  router.post(
    '/new-password',
    steps.knowing(async (ctx, visit, account) => {
      const form = await forms.read(ctx);
      const { step } = await steps.stepOf(ctx, visit);
      if (step.kind !== 'new-password') return over(ctx);
      const password = form.get('password') ?? '';
      const show = (errors: readonly FieldError[]) =>
        renderNewPassword(ctx, visit, account, step.reason, errors);
      if (password === '') return show([{ field: 'password', key: 'error.passwordMissing' }]);
      if (form.get('passwordAgain') !== password)
        return show([{ field: 'passwordAgain', key: 'error.passwordMismatch' }]);
      try {
        // The present one was typed on the way here.
        const device = await currentDevice(guard, ctx, account.id);
        await passwords.change({ accountId: account.id, present: undefined, password, device });
      } catch (error) {
        if (!(error instanceof IdentityError)) return askToWait(ctx, error, show);
        const problem = passwordError(error.code, passwords.policy, passwords.minimumLength(account));
        if (!problem) throw error;
        return show([problem]);
      }
      await signOutEverywhere(account.id, 'password-changed', account.id, visit.interaction.session?.uid);
      await steps.proceed(ctx, visit);
    }),
  );

  return renderNewPassword;
}
