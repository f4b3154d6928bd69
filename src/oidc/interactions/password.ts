/** Signing in by identifier and password, and confirming by the password of an account that is known. */
import type Router from '@koa/router';
import { IdentityError } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { PERSONAL_CLAIMS } from '../scopes.ts';
import type { Steps, Way } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export interface SignInPage {
  /** The first page, for a person who is not known yet. */
  render(ctx: Context, visit: Visit, identifier: string, errors?: readonly FieldError[]): void;
}

export function passwordPages(
  router: Router<RequestState>,
  { identity, forms, metrics, guard }: InteractionParts,
  { visiting, render }: Visits,
  steps: Steps,
): SignInPage {
  function renderSignIn(
    ctx: Context,
    visit: Visit,
    identifier: string,
    errors: readonly FieldError[] = [],
  ): void {
    render(ctx, 'sign-in', visit, {
      action: `${visit.base}/sign-in`,
      registerHref: `${visit.base}/register`,
      values: { identifier },
      errors,
    });
  }

  const way: Way = {
    name: 'password',
    methods: ['pwd'],
    ask(ctx, visit, { account, errors, others }) {
      render(ctx, 'confirm', visit, {
        action: `${visit.base}/confirm`,
        otherHref: `${visit.base}?other=yes`,
        account: account.username ?? PERSONAL_CLAIMS['phone_number']?.shown(account),
        others,
        errors,
      });
    },
  };
  steps.ways.push(way);

  router.post(
    '/sign-in',
    visiting(async (ctx, visit) => {
      const form = await forms.read(ctx);
      const identifier = form.get('identifier') ?? '';
      const password = form.get('password') ?? '';
      const missing: FieldError[] = [];
      if (identifier === '') missing.push({ field: 'identifier', key: 'error.identifierMissing' });
      if (password === '') missing.push({ field: 'password', key: 'error.passwordMissing' });
      if (missing.length > 0) return renderSignIn(ctx, visit, identifier, missing);
      try {
        const showing = await guard.attempt(ctx, 'password', { typed: identifier }, () =>
          identity.passwords.authenticate({ identifier, password }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        metrics.signIns.inc({ outcome: 'refused' });
        renderSignIn(ctx, visit, identifier, [{ field: 'form', key: 'error.credentials' }]);
      }
    }),
  );

  router.post(
    '/confirm',
    steps.knowing(async (ctx, visit, account) => {
      const form = await forms.read(ctx);
      const password = form.get('password') ?? '';
      try {
        const showing = await guard.attempt(ctx, 'password', { accountId: account.id }, () =>
          identity.passwords.confirm({ accountId: account.id, password }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const key = password === '' ? 'error.passwordMissing' : 'error.passwordWrong';
        await steps.ask(ctx, visit, way, [{ field: 'password', key }]);
      }
    }),
  );

  return { render: renderSignIn };
}
