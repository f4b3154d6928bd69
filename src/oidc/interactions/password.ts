/** Signing in by identifier and password, and confirming by the password of an account that is known. */
import type Router from '@koa/router';
import { IdentityError, labelOf } from '../../identity/index.ts';
import { departure, type Context, type RequestState } from '../../platform/http/context.ts';
import { askToWait } from './password-errors.ts';
import type { Steps, Way } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export interface SignInPage {
  /** What further ways in bring to the page: data of its template. */
  readonly further: ((visit: Visit) => Promise<object> | object)[];
  /** The first page, for a person who is not known yet. */
  render(ctx: Context, visit: Visit, identifier: string, errors?: readonly FieldError[]): Promise<void>;
}

export function passwordPages(
  router: Router<RequestState>,
  { identity, forms, metrics, guard }: InteractionParts,
  { visiting, render }: Visits,
  steps: Steps,
): SignInPage {
  const further: SignInPage['further'] = [];

  async function renderSignIn(
    ctx: Context,
    visit: Visit,
    identifier: string,
    errors: readonly FieldError[] = [],
    asks: 'identifier' | 'password' = 'identifier',
  ): Promise<void> {
    const brought = await Promise.all(further.map(async (bring) => bring(visit)));
    render(ctx, 'sign-in', visit, {
      action: `${visit.base}/sign-in`,
      registerHref: `${visit.base}/register`,
      codeHref: `${visit.base}/code`,
      recoverHref: `${visit.base}/recover`,
      // Elder mode has one thing a page: the identifier, then the password.
      asks: ctx.state.elder ? asks : 'both',
      startHref: `${visit.base}?other=yes`,
      values: { identifier },
      ...Object.assign({}, ...brought),
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
        account: labelOf(account),
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
      // Whatever the identifier, known or not, the password is asked for: the page tells nobody which.
      if (ctx.state.elder && !form.has('password') && identifier !== '')
        return renderSignIn(ctx, visit, identifier, [], 'password');
      const asks = identifier === '' ? 'identifier' : 'password';
      const missing: FieldError[] = [];
      if (identifier === '') missing.push({ field: 'identifier', key: 'error.identifierMissing' });
      if (password === '' && !(ctx.state.elder && asks === 'identifier'))
        missing.push({ field: 'password', key: 'error.passwordMissing' });
      if (missing.length > 0) return renderSignIn(ctx, visit, identifier, missing, asks);
      try {
        const showing = await guard.attempt(ctx, 'password', { typed: identifier }, () =>
          identity.passwords.authenticate({ identifier, password, signal: departure(ctx) }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) => renderSignIn(ctx, visit, identifier, errors, asks));
        metrics.signIns.inc({ outcome: 'refused' });
        const wrong: FieldError = { field: 'form', key: 'error.credentials' };
        await renderSignIn(ctx, visit, identifier, [wrong], asks);
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
          identity.passwords.confirm({ accountId: account.id, password, signal: departure(ctx) }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) => steps.ask(ctx, visit, way, errors));
        const key = password === '' ? 'error.passwordMissing' : 'error.passwordWrong';
        await steps.ask(ctx, visit, way, [{ field: 'password', key }]);
      }
    }),
  );

  return { further, render: renderSignIn };
}
