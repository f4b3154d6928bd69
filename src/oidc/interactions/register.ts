/**
 * Opening an account on the way to a portal, in three short pages: an address, the code that went there, a password. An address that has an
 * account already takes the same way: its holder is told so by a message in place of the code, and nobody else learns it.
 */
import type Router from '@koa/router';
import { IdentityError, identifierOf, type Address, type PasswordPolicy } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { TTL } from '../configuration.ts';
import { codeForms } from './code-forms.ts';
import { askToWait, passwordError } from './password-errors.ts';
import type { SentCodes } from './sent-codes.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

const MODEL = 'Registration';
const PASSWORD_PATH = '/register/password';

export function registrationPages(
  router: Router<RequestState>,
  parts: InteractionParts,
  visits: Visits,
  steps: Steps,
  sentCodes: SentCodes,
): void {
  const { identity, forms, records } = parts;
  const { visiting, over, render } = visits;
  const { policy } = identity.passwords;

  /** The address that was checked in this interaction. */
  async function checked({ interaction }: Visit): Promise<Address | undefined> {
    const found = await records.find(MODEL, interaction.uid);
    return (found?.payload as { to: Address } | undefined)?.to;
  }

  function renderPassword(ctx: Context, visit: Visit, to: Address, errors: readonly FieldError[]): void {
    const path = `${visit.base}${PASSWORD_PATH}`;
    const data = {
      titleKey: 'register.password',
      leadKey: 'register.passwordLead',
      submitKey: 'register.submit',
      action: path,
      account: to.value,
      passwordMinimum: policy.minimumLength(true),
      errors,
    };
    render(ctx, 'choose-password', visit, data, path);
  }

  codeForms(router, parts, visits, sentCodes, {
    code: { purpose: 'verify', path: '/register/code', titleKey: 'code.verify.title', backPath: '/register' },
    address: { view: 'register', data: ({ base }) => ({ signInHref: `${base}?other=yes` }) },
    act: 'registration',
    async recipientOf(to) {
      return { accountId: undefined, message: (await identity.isTaken(to)) ? 'registrationTaken' : 'code' };
    },
    take: (attempt) => identity.oneTimeCodes.verify(attempt),
    async goOn(ctx, visit, to) {
      await records.put(MODEL, visit.interaction.uid, { to }, TTL.Interaction);
      ctx.status = 303;
      ctx.redirect(`${visit.base}${PASSWORD_PATH}`);
    },
  });

  router.get(
    PASSWORD_PATH,
    visiting(async (ctx, visit) => {
      const to = await checked(visit);
      if (!to) return over(ctx);
      renderPassword(ctx, visit, to, []);
    }),
  );

  router.post(
    PASSWORD_PATH,
    visiting(async (ctx, visit) => {
      const form = await forms.read(ctx);
      const password = form.get('password') ?? '';
      const to = await checked(visit);
      if (!to) return over(ctx);
      if (form.get('passwordAgain') !== password) return renderPassword(ctx, visit, to, [MISMATCH]);
      try {
        const showing = await identity.register({
          identifier: identifierOf(to).value,
          password,
          verified: true,
          language: ctx.state.language.code,
        });
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError))
          return askToWait(ctx, error, (errors) => renderPassword(ctx, visit, to, errors));
        renderPassword(ctx, visit, to, [newPasswordProblem(error, policy)]);
      }
    }),
  );
}

export const MISMATCH: FieldError = { field: 'passwordAgain', key: 'error.passwordMismatch' };

/** What to say of a password that is not taken. That the address has an account by now is told to whoever has shown to be its holder. */
export function newPasswordProblem({ code }: IdentityError, policy: PasswordPolicy): FieldError {
  switch (code) {
    case 'IDENTIFIER_TAKEN':
      return { field: 'form', key: 'error.identifierTaken' };
    default: {
      const error = passwordError(code, policy, policy.minimumLength(true));
      if (!error) throw new TypeError(`a new password is not refused for ${code}`);
      return error;
    }
  }
}
