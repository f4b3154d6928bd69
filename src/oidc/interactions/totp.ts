/** Codes of an authenticator app: as a further factor, and setting one up on the way. */
import type Router from '@koa/router';
import { toString as toQrCode } from 'qrcode';
import { IdentityError, labelOf, type Account } from '../../identity/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import type { Steps, Way } from './steps.ts';
import type { FieldError, InteractionParts, Visit, Visits } from './visits.ts';

export function totpPages(
  router: Router<RequestState>,
  { identity, forms, guard }: InteractionParts,
  { over, render }: Visits,
  steps: Steps,
): void {
  const way: Way = {
    name: 'otp',
    methods: ['otp'],
    ask(ctx, visit, { errors, others }) {
      render(ctx, 'otp', visit, { action: `${visit.base}/otp`, others, errors });
    },
  };
  steps.ways.push(way);
  steps.enrolments.push({ name: 'otp', offered: (account) => !account.methods.includes('otp') });

  router.post(
    '/otp',
    steps.knowing(async (ctx, visit, account) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      try {
        const showing = await guard.attempt(ctx, 'one-time-code', { accountId: account.id }, () =>
          identity.totp.check({ accountId: account.id, code }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await steps.ask(ctx, visit, way, [{ field: 'code', key: codeProblem(code) }]);
      }
    }),
  );

  async function renderSetUp(
    ctx: Context,
    visit: Visit,
    account: Account,
    { secret, errors }: { secret: string; errors: readonly FieldError[] },
  ): Promise<void> {
    const { uri } = identity.totp.show(secret, labelOf(account));
    render(
      ctx,
      'set-up-otp',
      visit,
      {
        action: `${visit.base}/set-up/otp`,
        backHref: visit.base,
        secret: secret.replaceAll(/(.{4})(?=.)/g, '$1 '),
        uri,
        qrCode: await toQrCode(uri, { type: 'svg', margin: 2 }),
        errors,
      },
      `${visit.base}/set-up/otp`,
    );
  }

  router.get(
    '/set-up/otp',
    steps.knowing(async (ctx, visit, account) => {
      const { step, progress } = await steps.stepOf(ctx, visit);
      if (step.kind !== 'enrolment') return over(ctx);
      // Whoever comes back to the page, to read it in another language say, finds the secret that the app has by then.
      const secret = progress?.totpSecret ?? identity.totp.propose('').secret;
      if (progress?.totpSecret === undefined) await steps.note(visit, account, { totpSecret: secret });
      await renderSetUp(ctx, visit, account, { secret, errors: [] });
    }),
  );

  router.post(
    '/set-up/otp',
    steps.knowing(async (ctx, visit, account) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      const { step, progress } = await steps.stepOf(ctx, visit);
      const secret = progress?.totpSecret;
      if (step.kind !== 'enrolment' || secret === undefined) return over(ctx);
      try {
        const showing = await identity.totp.enrol({ accountId: account.id, secret, code });
        await steps.note(visit, account, { totpSecret: undefined });
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await renderSetUp(ctx, visit, account, {
          secret,
          errors: [{ field: 'code', key: codeProblem(code) }],
        });
      }
    }),
  );
}

function codeProblem(code: string): string {
  return code === '' ? 'error.codeMissing' : 'error.codeWrong';
}
