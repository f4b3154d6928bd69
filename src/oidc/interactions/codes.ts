/** Codes by text message and e-mail: to sign in with, and as a further factor; and recovery codes. */
import type Router from '@koa/router';
import { IdentityError, masked, type Account, type Channel } from '../../identity/index.ts';
import type { RequestState } from '../../platform/http/context.ts';
import { codeForms, holderOf } from './code-forms.ts';
import { codeProblem, type CodePage, type SentCodes } from './sent-codes.ts';
import type { Steps, Way } from './steps.ts';
import type { InteractionParts, Visits } from './visits.ts';

/** Signing in by a code: an address, then the code that went there. Whether it has an account is nowhere to be seen. */
export function codeSignInPages(
  router: Router<RequestState>,
  parts: InteractionParts,
  visits: Visits,
  steps: Steps,
  sentCodes: SentCodes,
): void {
  const { identity, metrics } = parts;
  codeForms(router, parts, visits, sentCodes, {
    code: { purpose: 'sign-in', path: '/code/enter', titleKey: 'code.signIn.title', backPath: '/code' },
    address: {
      view: 'code-address',
      data: ({ base }) => ({
        titleKey: 'code.signIn.title',
        leadKey: 'code.signIn.lead',
        backHref: `${base}?other=yes`,
      }),
    },
    recipientOf: (to) => holderOf(identity, to),
    take: (attempt) => identity.oneTimeCodes.check(attempt),
    goOn: (ctx, visit, showing) => steps.proceed(ctx, visit, showing),
    refused: () => metrics.signIns.inc({ outcome: 'refused' }),
  });
}

const TITLE_KEYS = { sms: 'code.sms.title', email: 'code.email.title' } as const;

/** A code to an address of the account that is signing in. It is sent when the person asks for it: a page that is only looked at sends nothing. */
export function codeFactorPages(
  router: Router<RequestState>,
  parts: InteractionParts,
  visits: Visits,
  steps: Steps,
  sentCodes: SentCodes,
): void {
  for (const channel of ['sms', 'email'] as const)
    factorPage(router, parts, visits, steps, sentCodes, channel);
}

function factorPage(
  router: Router<RequestState>,
  { identity, forms, guard }: InteractionParts,
  { over, render }: Visits,
  steps: Steps,
  sentCodes: SentCodes,
  channel: Channel,
): void {
  const page: CodePage = { purpose: 'second-factor', path: `/${channel}`, titleKey: TITLE_KEYS[channel] };
  const addressIn = (account: Account) =>
    identity.contacts.known(account).find((address) => address.channel === channel);

  const way: Way = {
    name: channel,
    methods: [channel],
    async ask(ctx, visit, { account, errors, others }) {
      const to = addressIn(account);
      if (!to) return over(ctx);
      const sentTo = await sentCodes.sentTo(visit, 'second-factor');
      if (sentTo?.channel === channel) return sentCodes.render(ctx, visit, page, { errors, others });
      render(ctx, 'send-code', visit, {
        titleKey: page.titleKey,
        action: `${visit.base}/${channel}/resend`,
        to: masked(to),
        others,
        errors,
      });
    },
  };
  steps.ways.push(way);

  router.get(
    page.path,
    steps.knowing((ctx, visit) => steps.ask(ctx, visit, way)),
  );

  router.post(
    `${page.path}/resend`,
    steps.knowing(async (ctx, visit, account) => {
      await forms.read(ctx);
      const to = addressIn(account);
      if (!to) return over(ctx);
      const problem = await sentCodes.send(ctx, visit, 'second-factor', {
        to,
        accountId: account.id,
        message: 'code',
      });
      await steps.ask(ctx, visit, way, problem ? [problem] : []);
    }),
  );

  router.post(
    page.path,
    steps.knowing(async (ctx, visit, account) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      try {
        const showing = await guard.attempt(ctx, 'one-time-code', { accountId: account.id }, () =>
          identity.oneTimeCodes.check({ purpose: 'second-factor', binding: visit.interaction.uid, code }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        await steps.ask(ctx, visit, way, [codeProblem(error, code)]);
      }
    }),
  );
}

/** A recovery code in place of a second factor that is not at hand. */
export function recoveryCodePage(
  router: Router<RequestState>,
  { identity, forms, guard }: InteractionParts,
  { render }: Visits,
  steps: Steps,
): void {
  const way: Way = {
    name: 'recovery',
    methods: ['recovery'],
    ask(ctx, visit, { errors, others }) {
      render(ctx, 'recovery-code', visit, { action: `${visit.base}/recovery-code`, others, errors });
    },
  };
  steps.ways.push(way);

  router.post(
    '/recovery-code',
    steps.knowing(async (ctx, visit, account) => {
      const code = (await forms.read(ctx)).get('code') ?? '';
      try {
        const showing = await guard.attempt(ctx, 'one-time-code', { accountId: account.id }, () =>
          identity.recoveryCodes.check({ accountId: account.id, code }),
        );
        await steps.proceed(ctx, visit, showing);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const key = code === '' ? 'error.recoveryCodeMissing' : 'error.recoveryCodeWrong';
        await steps.ask(ctx, visit, way, [{ field: 'code', key }]);
      }
    }),
  );
}
