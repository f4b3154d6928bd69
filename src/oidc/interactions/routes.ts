/** The pages between a portal's request and its answer: sign in, register, agree, or go back. */
import Router from '@koa/router';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import {
  IdentityError,
  PASSWORD_MIN_LENGTH,
  type Authentication,
  type Identity,
} from '../../identity/index.ts';
import type { Context, Middleware, RequestState } from '../../platform/http/context.ts';
import type { Forms } from '../../platform/http/forms.ts';
import type { Pages } from '../../platform/http/pages.ts';
import { portalName, type Portal, type Portals, type Resources } from '../../portals/index.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { Consents } from '../consents.ts';
import type { OwnPages } from '../own-pages.ts';
import { PERSONAL_CLAIMS } from '../scopes.ts';
import { askedFor, grantAgreement, missingIn, toAgreement, toReleases, type Interaction } from './consent.ts';
import type { Restarts } from './restart.ts';

interface InteractionParts {
  readonly provider: Provider;
  readonly identity: Identity;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly restarts: Restarts;
  readonly consents: Consents;
  readonly forms: Forms;
  readonly pages: Pages;
  readonly ownPages: OwnPages;
  readonly metrics: Metrics;
}

interface FieldError {
  readonly field: 'identifier' | 'password' | 'passwordAgain' | 'form';
  readonly key: string;
  readonly params?: Readonly<Record<string, string | number>>;
}

/** An interaction in hand: what the portal asked, and which portal it is. */
interface Visit {
  readonly interaction: Interaction;
  readonly portal: Portal;
}

export function interactionRoutes(parts: InteractionParts): Middleware {
  const { provider, identity, portals, resources, restarts, consents, forms, pages, ownPages, metrics } =
    parts;
  const router = new Router<RequestState>({ prefix: '/interaction/:uid' });

  /** Runs `handle` for the interaction that address and cookie agree on; otherwise begins the request again, or shows that it is over. */
  function visiting(handle: (ctx: Context, visit: Visit) => Promise<void> | void): Middleware {
    return async (ctx) => {
      const interaction = await find(ctx);
      const clientId = interaction?.params['client_id'];
      const portal = typeof clientId === 'string' ? await portals.find(clientId) : undefined;
      if (!interaction || !portal) return over(ctx);
      await handle(ctx, { interaction, portal });
    };
  }

  async function over(ctx: Context): Promise<void> {
    const { uid } = (ctx as { params?: { uid?: string } }).params ?? {};
    if (!(await restarts.restart(ctx, provider, uid))) await ownPages.renderExpired(ctx);
  }

  async function find(ctx: Context): Promise<Interaction | undefined> {
    try {
      const interaction = await provider.interactionDetails(ctx.req, ctx.res);
      return interaction.uid === (ctx as { params?: { uid?: string } }).params?.uid ? interaction : undefined;
    } catch (error) {
      if (error instanceof errors.SessionNotFound) return undefined;
      throw error;
    }
  }

  /** Answers the portal's request and sends the browser on. */
  async function finish(ctx: Context, result: Parameters<Provider['interactionResult']>[2]): Promise<void> {
    const returnTo = await provider.interactionResult(ctx.req, ctx.res, result, {
      mergeWithLastSubmission: true,
    });
    ctx.status = 303;
    ctx.redirect(returnTo);
  }

  function finishSignIn(ctx: Context, { accountId, amr, authTime, factors }: Authentication): Promise<void> {
    const ts = Math.floor(authTime.getTime() / 1000);
    // `remember: false` makes the cookie end with the browser: many people share a device.
    return finish(ctx, {
      login: { accountId, amr: [...amr], ts, factors, remember: false },
      // Whoever types their name has chosen.
      select_account: {},
    });
  }

  function render(
    ctx: Context,
    view: string,
    { interaction, portal }: Visit,
    data: object,
    status = 200,
  ): void {
    const base = `/interaction/${interaction.uid}`;
    // A device has no address to go back to.
    const redirectUri = interaction.params['redirect_uri'];
    const common = {
      portal: {
        name: portalName(portal, ctx.state.language.code),
        host: new URL(portal.homeUri).host,
        sandbox: portal.state === 'sandbox',
        // OpenID Connect Dynamic Client Registration 1.0, section 2.
        policyUri: portal.metadata.policy_uri,
        termsUri: portal.metadata.tos_uri,
      },
      cancelAction: `${base}/cancel`,
    };
    pages.render(
      ctx,
      view,
      { ...common, ...data },
      {
        status,
        formTargets: typeof redirectUri === 'string' ? [new URL(redirectUri).origin] : [],
        path: view === 'register' ? `${base}/register` : base,
      },
    );
  }

  function renderSignIn(ctx: Context, visit: Visit, identifier: string, errors: readonly FieldError[]): void {
    const base = `/interaction/${visit.interaction.uid}`;
    const data = {
      action: `${base}/sign-in`,
      registerHref: `${base}/register`,
      values: { identifier },
      errors,
    };
    render(ctx, 'sign-in', visit, data, errors.length > 0 ? 422 : 200);
  }

  /** For a person who is signed in: shows once more that it is them, or says that this account is the one. @returns false if nobody is. */
  async function renderConfirm(ctx: Context, visit: Visit, errors: readonly FieldError[]): Promise<boolean> {
    const accountId = visit.interaction.session?.accountId;
    const account = accountId === undefined ? undefined : await identity.account(accountId);
    if (!account) return false;
    const base = `/interaction/${visit.interaction.uid}`;
    const select = visit.interaction.prompt.name === 'select_account';
    const data = {
      action: select ? `${base}/select-account` : `${base}/confirm`,
      otherHref: `${base}?other=yes`,
      account: account.username ?? PERSONAL_CLAIMS['phone_number']?.shown(account),
      errors,
    };
    render(ctx, select ? 'select-account' : 'confirm', visit, data, errors.length > 0 ? 422 : 200);
    return true;
  }

  function renderRegister(
    ctx: Context,
    visit: Visit,
    identifier: string,
    errors: readonly FieldError[],
  ): void {
    const base = `/interaction/${visit.interaction.uid}`;
    const data = {
      action: `${base}/register`,
      signInHref: base,
      values: { identifier },
      errors,
      passwordMinimum: PASSWORD_MIN_LENGTH,
    };
    render(ctx, 'register', visit, data, errors.length > 0 ? 422 : 200);
  }

  async function renderConsent(ctx: Context, visit: Visit): Promise<void> {
    const { interaction } = visit;
    const account = interaction.session ? await identity.account(interaction.session.accountId) : undefined;
    if (!account) return over(ctx);
    const { language } = ctx.state;
    const releases = toReleases(askedFor(missingIn(interaction), visit.portal), {
      portal: visit.portal,
      portalName: portalName(visit.portal, language.code),
      account,
      resources,
      language: language.code,
      t: language.t,
    });
    render(ctx, 'consent', visit, { action: `/interaction/${interaction.uid}/consent`, releases });
  }

  router.get(
    '/',
    visiting(async (ctx, visit) => {
      if (visit.interaction.prompt.name === 'consent') return renderConsent(ctx, visit);
      if (ctx.query['other'] === undefined && (await renderConfirm(ctx, visit, []))) return;
      // `login_hint` (OpenID Connect Core 1.0, section 3.1.2.1) fills the field; the person may change it.
      const hint = visit.interaction.params['login_hint'];
      return renderSignIn(ctx, visit, typeof hint === 'string' ? hint.slice(0, 64) : '', []);
    }),
  );

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
        const authentication = await identity.authenticate({
          identifier,
          password,
          clientId: visit.portal.clientId,
        });
        metrics.signIns.inc({ outcome: 'accepted' });
        await finishSignIn(ctx, authentication);
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        metrics.signIns.inc({ outcome: 'refused' });
        renderSignIn(ctx, visit, identifier, [{ field: 'form', key: 'error.credentials' }]);
      }
    }),
  );

  router.post(
    '/confirm',
    visiting(async (ctx, visit) => {
      const form = await forms.read(ctx);
      const password = form.get('password') ?? '';
      const { accountId } = visit.interaction.session ?? {};
      if (accountId === undefined) return over(ctx);
      try {
        const { clientId } = visit.portal;
        await finishSignIn(ctx, await identity.confirm({ accountId, password, clientId }));
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        const key = password === '' ? 'error.passwordMissing' : 'error.passwordWrong';
        await renderConfirm(ctx, visit, [{ field: 'password', key }]);
      }
    }),
  );

  router.post(
    '/select-account',
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      if (visit.interaction.prompt.name !== 'select_account') return over(ctx);
      await finish(ctx, { select_account: {} });
    }),
  );

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
      try {
        await finishSignIn(ctx, await identity.register(registration));
      } catch (error) {
        if (!(error instanceof IdentityError)) throw error;
        renderRegister(ctx, visit, registration.identifier, [toFieldError(error.code)]);
      }
    }),
  );

  router.post(
    '/consent',
    visiting(async (ctx, { interaction, portal }) => {
      const form = await forms.read(ctx);
      const accountId = interaction.session?.accountId;
      if (interaction.prompt.name !== 'consent' || accountId === undefined) return over(ctx);
      if (form.get('decision') !== 'allow')
        return finish(ctx, {
          error: 'access_denied',
          error_description: 'the person did not agree to share the information',
        });
      const asked = askedFor(missingIn(interaction), portal);
      const agreement = toAgreement(asked, form);
      await consents.remember(accountId, portal.clientId, agreement);
      const to = { grantId: interaction.grantId, accountId, clientId: portal.clientId };
      const grant = await grantAgreement(provider, to, agreement, asked.acts);
      await finish(ctx, { consent: { grantId: await grant.save() } });
    }),
  );

  router.post(
    '/cancel',
    visiting(async (ctx) => {
      await forms.read(ctx);
      await finish(ctx, {
        error: 'access_denied',
        error_description: 'the person went back without signing in',
      });
    }),
  );

  return router.routes() as unknown as Middleware;
}

function toFieldError(code: IdentityError['code']): FieldError {
  switch (code) {
    case 'IDENTIFIER_FORM':
      return { field: 'identifier', key: 'error.identifierForm' };
    case 'IDENTIFIER_TAKEN':
      return { field: 'identifier', key: 'error.identifierTaken' };
    case 'PASSWORD_SHORT':
      return { field: 'password', key: 'error.passwordShort', params: { minimum: PASSWORD_MIN_LENGTH } };
    case 'PASSWORD_LONG':
      return { field: 'password', key: 'error.passwordLong' };
    case 'CREDENTIALS_WRONG':
      return { field: 'form', key: 'error.credentials' };
  }
}
