/** Opening an account on the way to a portal. */
import type Router from '@koa/router';
import { IdentityError, type PasswordPolicy } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { askToWait, passwordError } from './password-errors.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export function registrationPages(
  router: Router<RequestState>,
  { identity, forms, guard }: InteractionParts,
  { visiting, render }: Visits,
  steps: Steps,
): void {
  const { policy } = identity.passwords;
  const toFieldError = (code: IdentityError['code']) => registrationError(code, policy);

  function renderRegister(
    ctx: Context,
    visit: Visit,
    identifier: string,
    errors: readonly FieldError[],
  ): void {
    const path = `${visit.base}/register`;
    const data = {
      action: path,
      signInHref: visit.base,
      values: { identifier },
      errors,
      passwordMinimum: policy.minimumLength(true),
    };
    render(ctx, 'register', visit, data, path);
  }

  router.get(
    '/register',
    visiting((ctx, visit) => renderRegister(ctx, visit, '', [])),
  );

  router.post(
    '/register',
    visiting(async (ctx, visit) => {
      const form = await forms.read(ctx);
      const registration = { identifier: form.get('identifier') ?? '', password: form.get('password') ?? '' };
      const problems: FieldError[] = identity.check(registration).map(toFieldError);
      if (form.get('passwordAgain') !== registration.password)
        problems.push({ field: 'passwordAgain', key: 'error.passwordMismatch' });
      if (problems.length > 0) return renderRegister(ctx, visit, registration.identifier, problems);
      await guard.count(ctx, 'registration');
      try {
        await steps.proceed(ctx, visit, await identity.register(registration));
      } catch (error) {
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) =>
            renderRegister(ctx, visit, registration.identifier, errors),
          );
        renderRegister(ctx, visit, registration.identifier, [toFieldError(error.code)]);
      }
    }),
  );
}

function registrationError(code: IdentityError['code'], policy: PasswordPolicy): FieldError {
  switch (code) {
    case 'IDENTIFIER_FORM':
      return { field: 'identifier', key: 'error.identifierForm' };
    case 'IDENTIFIER_TAKEN':
      return { field: 'identifier', key: 'error.identifierTaken' };
    default: {
      const error = passwordError(code, policy, policy.minimumLength(true));
      if (!error) throw new TypeError(`a registration does not end in ${code}`);
      return error;
    }
  }
}
