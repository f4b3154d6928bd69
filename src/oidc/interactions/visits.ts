/** A person's visit to the pages of one interaction: which portal sent them, how its pages are shown, how it ends. */
import type Provider from 'oidc-provider';
import { errors, type InteractionResults } from 'oidc-provider';
import { LimitError, type Identity, type Means } from '../../identity/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Context, Middleware } from '../../platform/http/context.ts';
import { waitMessage } from '../../platform/http/edge.ts';
import type { Forms } from '../../platform/http/forms.ts';
import type { Pages } from '../../platform/http/pages.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { portalName, type Portal, type Portals, type Resources } from '../../portals/index.ts';
import type { Claims } from '../claims.ts';
import type { Consents } from '../consents.ts';
import type { Guard } from '../guard.ts';
import type { SignOutEverywhere } from '../generation.ts';
import type { OwnPages } from '../own-pages.ts';
import type { Records } from '../records.ts';
import type { Interaction } from './consent.ts';
import { lifetimeOf } from './lifetime.ts';
import type { Restarts } from './restart.ts';

export interface InteractionParts {
  readonly issuer: string;
  readonly provider: Provider;
  readonly clock: Clock;
  readonly records: Records;
  readonly identity: Identity;
  /** What people can come by while they sign in. */
  readonly means: Means;
  readonly guard: Guard;
  readonly signOutEverywhere: SignOutEverywhere;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly restarts: Restarts;
  readonly consents: Consents;
  readonly claims: Claims;
  readonly forms: Forms;
  readonly pages: Pages;
  readonly ownPages: OwnPages;
  readonly metrics: Metrics;
}

/** Something to put right on a form. `field` is the id of an input, or `form`. */
export interface FieldError {
  readonly field: string;
  readonly key: string;
  readonly params?: Readonly<Record<string, string | number>>;
}

/** An interaction in hand: what the portal asked, and which portal it is. */
export interface Visit {
  readonly interaction: Interaction;
  readonly portal: Portal;
  /** Path of the interaction's pages. */
  readonly base: string;
}

export interface Visits {
  /** Runs `handle` for the interaction that address and cookie agree on; otherwise begins the request again, or shows that it is over. */
  visiting(handle: (ctx: Context, visit: Visit) => Promise<void> | void): Middleware;
  /** What is asked for does not belong to the state of this interaction. */
  over(ctx: Context): Promise<void>;
  /** Answers the portal's request and sends the browser on. */
  finish(ctx: Context, visit: Visit, result: InteractionResults): Promise<void>;
  /**
   * Shows a page of the interaction; with `errors` among the data it is a 422.
   * @param path Where the links for language and mode come back to, if it is not the interaction's first page.
   */
  render(ctx: Context, view: string, visit: Visit, data: object, path?: string): void;
}

export function createVisits(parts: InteractionParts): Visits {
  const { provider, portals, restarts, pages, ownPages } = parts;

  async function over(ctx: Context): Promise<void> {
    const { uid } = (ctx as { params?: { uid?: string } }).params ?? {};
    if (!(await restarts.restart(ctx, provider, uid))) await ownPages.renderExpired(ctx);
  }

  async function find(ctx: Context, uid: string): Promise<Visit | undefined> {
    const interaction = await provider.interactionDetails(ctx.req, ctx.res).catch((error: unknown) => {
      if (error instanceof errors.SessionNotFound) return undefined;
      throw error;
    });
    const clientId = interaction?.params['client_id'];
    if (!interaction || interaction.uid !== uid || typeof clientId !== 'string') return undefined;
    const portal = await portals.find(clientId);
    if (!portal) return undefined;
    ctx.state.lifetime = await lifetimeOf(interaction, parts);
    return { interaction, portal, base: `/interaction/${uid}` };
  }

  return {
    over,

    visiting: (handle) => async (ctx) => {
      const { uid = '' } = (ctx as { params?: { uid?: string } }).params ?? {};
      let visit: Visit | undefined;
      try {
        visit = await find(ctx, uid);
      } finally {
        if (!visit) ctx.state.wayOn = await ownPages.wayOn(ctx, `/interaction/${uid}`);
      }
      if (!visit) return over(ctx);
      const { interaction, portal } = visit;
      ctx.state.wayOn = {
        portal: { name: portalName(portal, ctx.state.language.code), href: portal.homeUri },
        href: visit.base,
        formTargets: formTargetsOf(interaction),
      };
      try {
        await handle(ctx, visit);
      } catch (error) {
        if (!(error instanceof LimitError)) throw error;
        renderLimited(ctx, visit, error);
      }
    },

    async finish(ctx, { interaction }, result) {
      // As the library's `interactionResult` does it, which would read the interaction once more.
      interaction.result = 'error' in result ? result : { ...interaction.lastSubmission, ...result };
      await interaction.persist();
      ctx.status = 303;
      ctx.redirect(interaction.returnTo);
    },

    render,
  };

  /** The way stays open for whoever can sign in by something that cannot be guessed. */
  function renderLimited(ctx: Context, visit: Visit, { retryAfterSeconds = 60 }: LimitError): void {
    render(ctx, 'limited', visit, { ...waitMessage(retryAfterSeconds), otherHref: visit.base });
    ctx.status = 429;
    ctx.set('Retry-After', String(retryAfterSeconds));
  }

  function render(
    ctx: Context,
    view: string,
    { interaction, portal, base }: Visit,
    data: object,
    path = base,
  ): void {
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
      errors: [],
    };
    const { errors: problems } = data as { errors?: readonly FieldError[] };
    pages.render(
      ctx,
      view,
      { ...common, ...data },
      {
        status: problems && problems.length > 0 ? 422 : 200,
        formTargets: formTargetsOf(interaction),
        path,
      },
    );
  }
}

/** Where the answer to a form may lead. A device has no address to go back to. */
function formTargetsOf({ params }: Interaction): string[] {
  const redirectUri = params['redirect_uri'];
  return typeof redirectUri === 'string' ? [new URL(redirectUri).origin] : [];
}
