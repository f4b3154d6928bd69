/** Passkeys on the way: signing in with one, confirming with one of an account that is known, and setting one up. */
import type Router from '@koa/router';
import {
  IdentityError,
  labelOf,
  PASSKEY_NAME_MAX_LENGTH,
  PASSKEYS_MAX,
  type Account,
} from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import type { SignInPage } from './password.ts';
import type { Steps, Way } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export function passkeyPages(
  router: Router<RequestState>,
  { identity, forms, metrics, guard }: InteractionParts,
  { visiting, over, render }: Visits,
  steps: Steps,
  signInPage: SignInPage,
): void {
  const { passkeys } = identity;

  // Any passkey of any account, also among the browser's suggestions for the field of the user name.
  signInPage.further.push(async ({ interaction, base }) => {
    const options = await passkeys.authenticationOptions({ binding: interaction.uid });
    return { passkey: { action: `${base}/passkey`, options: JSON.stringify(options), offer: true } };
  });

  router.post(
    '/passkey',
    visiting(async (ctx, visit) => {
      const response = (await forms.read(ctx)).get('credential') ?? '';
      try {
        const showing = await guard.attempt(ctx, 'passkey', undefined, () =>
          passkeys.authenticate({ binding: visit.interaction.uid, response }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        metrics.signIns.inc({ outcome: 'refused' });
        await signInPage.render(ctx, visit, '', [{ field: 'form', key: 'error.passkeyRefused' }]);
      }
    }),
  );

  const way: Way = {
    name: 'passkey',
    methods: ['hwk', 'swk'],
    async ask(ctx, visit, { account, errors, others }) {
      const options = await passkeys.authenticationOptions({
        binding: visit.interaction.uid,
        accountId: account.id,
      });
      const passkey = {
        action: `${visit.base}/confirm-passkey`,
        options: JSON.stringify(options),
        offer: false,
      };
      render(ctx, 'passkey', visit, {
        passkey,
        account: labelOf(account),
        otherHref: `${visit.base}?other=yes`,
        others,
        errors,
      });
    },
  };
  // Before the others: nothing that a page can ask for is stronger.
  steps.ways.unshift(way);

  router.post(
    '/confirm-passkey',
    steps.knowing(async (ctx, visit, { id: accountId }) => {
      const response = (await forms.read(ctx)).get('credential') ?? '';
      try {
        const { uid } = visit.interaction;
        const showing = await guard.attempt(ctx, 'passkey', { accountId }, () =>
          passkeys.authenticate({ binding: uid, response, accountId }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await steps.ask(ctx, visit, way, [{ field: 'form', key: 'error.passkeyRefused' }]);
      }
    }),
  );

  steps.enrolments.push({ name: 'passkey', offered: () => true });

  async function renderSetUp(
    ctx: Context,
    visit: Visit,
    account: Account,
    { name, errors = [] }: { name: string; errors?: readonly FieldError[] },
  ): Promise<void> {
    const options = await passkeys.registrationOptions({
      accountId: account.id,
      binding: visit.interaction.uid,
      userName: labelOf(account),
    });
    const action = `${visit.base}/set-up/passkey`;
    render(
      ctx,
      'set-up-passkey',
      visit,
      {
        action,
        options: JSON.stringify(options),
        backHref: visit.base,
        values: { name },
        nameMaximum: PASSKEY_NAME_MAX_LENGTH,
        errors,
      },
      action,
    );
  }

  router.get(
    '/set-up/passkey',
    steps.knowing(async (ctx, visit, account) => {
      const { step } = await steps.stepOf(ctx, visit);
      if (step.kind !== 'enrolment') return over(ctx);
      await renderSetUp(ctx, visit, account, { name: ctx.state.language.t('passkey.namePreset') });
    }),
  );

  router.post(
    '/set-up/passkey',
    steps.knowing(async (ctx, visit, account) => {
      const form = await forms.read(ctx);
      const { step } = await steps.stepOf(ctx, visit);
      if (step.kind !== 'enrolment') return over(ctx);
      const [name, response] = [form.get('name') ?? '', form.get('credential') ?? ''];
      try {
        const { showing } = await passkeys.register({
          accountId: account.id,
          binding: visit.interaction.uid,
          response,
          name,
        });
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await renderSetUp(ctx, visit, account, { name, errors: [passkeyProblem(error)] });
      }
    }),
  );
}

/** What a person is told of a passkey that was not kept, renamed or removed. */
export function passkeyProblem(error: IdentityError): FieldError {
  switch (error.code) {
    case 'PASSKEY_NAME':
      return { field: 'name', key: 'error.passkeyName', params: { maximum: PASSKEY_NAME_MAX_LENGTH } };
    case 'PASSKEY_LIMIT':
      return { field: 'form', key: 'error.passkeyLimit', params: { maximum: PASSKEYS_MAX } };
    case 'PASSKEY_NOT_FOUND':
      return { field: 'form', key: 'error.passkeyNotFound' };
    case 'LAST_WAY_IN':
      return { field: 'form', key: 'error.lastWayIn' };
    default:
      return { field: 'form', key: 'error.passkeyRefused' };
  }
}
