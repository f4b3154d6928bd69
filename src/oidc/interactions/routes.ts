/** The pages between a portal's request and its answer: sign in, register, step up, agree, or go back. */
import Router from '@koa/router';
import { labelOf } from '../../identity/index.ts';
import type { Context, Middleware, RequestState } from '../../platform/http/context.ts';
import { under } from '../../platform/http/under.ts';
import { portalName } from '../../portals/index.ts';
import { SELECT_ORGANISATION, type ActingFor } from '../acting.ts';
import { askedFor, grantAgreement, missingIn, toAgreement, toReleases } from './consent.ts';
import { codeFactorPages, codeSignInPages, recoveryCodePage } from './codes.ts';
import { crossDevicePages } from './cross-device.ts';
import { lifetimePages } from './lifetime.ts';
import { passkeyPages } from './passkey.ts';
import { newPasswordPage } from './new-password.ts';
import { organisationPages } from './organisations.ts';
import { passwordPages } from './password.ts';
import { proofingPages } from './proofing.ts';
import { recoveryPages } from './recover.ts';
import { registrationPages } from './register.ts';
import { createSentCodes } from './sent-codes.ts';
import { createSteps } from './steps.ts';
import { totpPages } from './totp.ts';
import { upstreamPages } from './upstream.ts';
import { createVisits, type InteractionParts, type Visit } from './visits.ts';

export function interactionRoutes(parts: InteractionParts & { readonly acting: ActingFor }): Middleware {
  const { provider, identity, resources, consents, claims, forms } = parts;
  const router = new Router<RequestState>({ prefix: '/interaction/:uid' });
  const visits = createVisits(parts);
  const { visiting, over, finish, render } = visits;
  const steps = createSteps(parts, visits);
  // In the order in which they are offered.
  const signInPage = passwordPages(router, parts, visits, steps);
  passkeyPages(router, parts, visits, steps, signInPage);
  crossDevicePages(router, parts, visits, steps, signInPage);
  totpPages(router, parts, visits, steps);
  const sentCodes = createSentCodes(parts, visits);
  codeSignInPages(router, parts, visits, steps, sentCodes);
  codeFactorPages(router, parts, visits, steps, sentCodes);
  recoveryCodePage(router, parts, visits, steps);
  upstreamPages(router, parts, visits, steps, signInPage);
  registrationPages(router, parts, visits, steps, sentCodes);
  recoveryPages(router, parts, visits, steps, sentCodes);
  proofingPages(router, parts, visits, steps);
  lifetimePages(router, parts, visits, steps);
  const renderChoices = organisationPages(router, parts, visits, parts.acting);
  const renderNewPassword = newPasswordPage(router, parts, visits, steps);

  router.get(
    '/',
    visiting(async (ctx, visit) => {
      const { interaction } = visit;
      const other = ctx.query['other'] !== undefined;
      if (interaction.prompt.name === 'consent') return renderConsent(ctx, visit);
      if (interaction.prompt.name === SELECT_ORGANISATION && !other) return renderChoices(ctx, visit);
      if (interaction.prompt.name === 'select_account' && !other) return renderSelectAccount(ctx, visit);
      const { step, account } = await steps.stepOf(ctx, visit);
      if (other || step.kind === 'sign-in' || !account) {
        // `login_hint` (OpenID Connect Core 1.0, section 3.1.2.1) fills the field; the person may change it.
        const hint = interaction.params['login_hint'];
        return signInPage.render(ctx, visit, typeof hint === 'string' ? hint.slice(0, 64) : '');
      }
      switch (step.kind) {
        case 'factor': {
          const fitting = steps.ways.filter((way) =>
            way.methods.some((method) => step.methods.includes(method)),
          );
          const way = fitting.find(({ name }) => name === ctx.query['way']) ?? fitting[0];
          // An account without any way in that a page offers: someone else may sign in.
          return way ? steps.ask(ctx, visit, way) : signInPage.render(ctx, visit, '');
        }
        case 'enrolment':
          return render(ctx, 'set-up', visit, {
            choices: steps.enrolments
              .filter((enrolment) => enrolment.offered(account))
              .map(({ name }) => ({ name, href: `${visit.base}/set-up/${name}` })),
            declineAction: step.optional ? `${visit.base}/decline` : undefined,
          });
        case 'new-password':
          return renderNewPassword(ctx, visit, account, step.reason);
        case 'proofing':
          ctx.status = 303;
          return ctx.redirect(`${visit.base}/proofing`);
        default:
          return steps.proceed(ctx, visit);
      }
    }),
  );

  router.post(
    '/decline',
    steps.knowing(async (ctx, visit, account) => {
      await forms.read(ctx);
      const { step } = await steps.stepOf(ctx, visit);
      const optional = (step.kind === 'enrolment' || step.kind === 'proofing') && step.optional;
      if (!optional) return over(ctx);
      await steps.note(visit, account, { declined: true });
      await steps.proceed(ctx, visit);
    }),
  );

  async function renderSelectAccount(ctx: Context, visit: Visit): Promise<void> {
    const { account } = await steps.stepOf(ctx, visit);
    if (!account) return signInPage.render(ctx, visit, '');
    render(ctx, 'select-account', visit, {
      action: `${visit.base}/select-account`,
      otherHref: `${visit.base}?other=yes`,
      account: labelOf(account),
    });
  }

  router.post(
    '/select-account',
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      if (visit.interaction.prompt.name !== 'select_account') return over(ctx);
      await finish(ctx, visit, { select_account: {} });
    }),
  );

  async function renderConsent(ctx: Context, visit: Visit): Promise<void> {
    const { interaction } = visit;
    const account = interaction.session ? await identity.account(interaction.session.accountId) : undefined;
    if (!account) return over(ctx);
    const { language } = ctx.state;
    const asked = askedFor(missingIn(interaction), visit.portal);
    const releases = toReleases(asked, {
      portal: visit.portal,
      portalName: portalName(visit.portal, language.code),
      about: await claims.about(
        account,
        asked.claims.map(({ claim }) => claim),
        interaction.grantId === undefined ? undefined : await provider.Grant.find(interaction.grantId),
      ),
      resources,
      language: language.code,
      t: language.t,
    });
    render(ctx, 'consent', visit, { action: `${visit.base}/consent`, releases });
  }

  router.post(
    '/consent',
    visiting(async (ctx, visit) => {
      const { interaction, portal } = visit;
      const form = await forms.read(ctx);
      const accountId = interaction.session?.accountId;
      if (interaction.prompt.name !== 'consent' || accountId === undefined) return over(ctx);
      if (form.get('decision') !== 'allow')
        return finish(ctx, visit, {
          error: 'access_denied',
          error_description: 'the person did not agree to share the information',
        });
      const asked = askedFor(missingIn(interaction), portal);
      const agreement = toAgreement(asked, form);
      await consents.remember(accountId, portal.clientId, agreement);
      const to = { grantId: interaction.grantId, accountId, clientId: portal.clientId };
      const grant = await grantAgreement(provider, to, agreement, asked.acts);
      await finish(ctx, visit, { consent: { grantId: await consents.save(grant) } });
    }),
  );

  router.post(
    '/cancel',
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      await finish(ctx, visit, {
        error: 'access_denied',
        error_description: 'the person went back without signing in',
      });
    }),
  );

  return under('/interaction', router.routes() as unknown as Middleware);
}
