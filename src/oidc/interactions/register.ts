/**
 * Opening an account on the way to a portal, in three short pages: an address, the code that went there, a password. An address that has an
 * account already takes the same way: its holder is told so by a message in place of the code, and nobody else learns it.
 */
import type Router from '@koa/router';
import { IdentityError, identifierOf, type Address, type PasswordPolicy } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { TTL } from '../configuration.ts';
import { askToWait, passwordError } from './password-errors.ts';
import { addressProblem, codeProblem, type CodePage, type SentCodes } from './sent-codes.ts';
import type { Steps } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

const MODEL = 'Registration';
const CODE: CodePage = {
  purpose: 'verify',
  path: '/register/code',
  titleKey: 'code.verify.title',
  backPath: '/register',
};
const PASSWORD_PATH = '/register/password';

export function registrationPages(
  router: Router<RequestState>,
  { identity, forms, guard, records }: InteractionParts,
  { visiting, over, render }: Visits,
  steps: Steps,
  sentCodes: SentCodes,
): void {
  const { policy } = identity.passwords;

  function renderAddress(ctx: Context, visit: Visit, text: string, errors: readonly FieldError[]): void {
    const path = `${visit.base}/register`;
    const data = {
      action: path,
      signInHref: `${visit.base}?other=yes`,
      values: { identifier: text },
      errors,
    };
    render(ctx, 'register', visit, data, path);
  }

  async function send(ctx: Context, visit: Visit, to: Address): Promise<FieldError | undefined> {
    const taken = await identity.isTaken(to);
    const message = taken ? 'registrationTaken' : 'code';
    return sentCodes.send(ctx, visit, 'verify', { to, accountId: undefined, message });
  }

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

  router.get(
    '/register',
    visiting((ctx, visit) => renderAddress(ctx, visit, '', [])),
  );

  router.post(
    '/register',
    visiting(async (ctx, visit) => {
      const text = (await forms.read(ctx)).get('identifier') ?? '';
      await guard.count(ctx, 'registration');
      try {
        const problem = await send(ctx, visit, identity.contacts.read(text));
        if (problem) return renderAddress(ctx, visit, text, [problem]);
        ctx.status = 303;
        ctx.redirect(`${visit.base}${CODE.path}`);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        renderAddress(ctx, visit, text, [addressProblem(error, text)]);
      }
    }),
  );

  router.get(
    CODE.path,
    visiting((ctx, visit) => sentCodes.render(ctx, visit, CODE)),
  );

  router.post(
    CODE.path,
    visiting(async (ctx, visit) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      const sentTo = await sentCodes.sentTo(visit, 'verify');
      if (!sentTo) return sentCodes.render(ctx, visit, CODE);
      try {
        const to = await guard.attempt(ctx, 'one-time-code', { typed: sentTo.value }, () =>
          identity.oneTimeCodes.verify({ purpose: 'verify', binding: visit.interaction.uid, code }),
        );
        await records.put(MODEL, visit.interaction.uid, { to }, TTL.Interaction);
        ctx.status = 303;
        ctx.redirect(`${visit.base}${PASSWORD_PATH}`);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await sentCodes.render(ctx, visit, CODE, { errors: [codeProblem(error, code)] });
      }
    }),
  );

  router.post(
    `${CODE.path}/resend`,
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      const to = await sentCodes.sentTo(visit, 'verify');
      const problem = to && (await send(ctx, visit, to));
      await sentCodes.render(ctx, visit, CODE, { errors: problem ? [problem] : [] });
    }),
  );

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
