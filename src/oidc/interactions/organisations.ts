/** For whom somebody acts at a portal: a page where there is more than one to choose from, or the portal lets people choose again. */
import type Router from '@koa/router';
import type { Authority } from '../../organisations/index.ts';
import type { Context, RequestState } from '../../platform/http/context.ts';
import { portalName } from '../../portals/index.ts';
import { actingOf, SELECT_ORGANISATION, wordOf, type ActingFor, type SelectionResult } from '../acting.ts';
import { placeOf } from '../scopes.ts';
import type { InteractionParts, Visit, Visits } from './visits.ts';

/** How an authority is put to its person: where it is, and why they have it. */
export function shownAuthority(
  authority: Authority,
  { t, date }: Pick<Context['state']['language'], 't' | 'date'>,
): { readonly word: string; readonly name: string; readonly why: string } {
  const { roles, mandate } = authority;
  return {
    word: wordOf(actingOf(authority)),
    name: placeOf(authority),
    why: mandate
      ? t('acting.byMandate', { purpose: mandate.purpose, until: date(mandate.validTo) })
      : t('acting.byRoles', { roles: roles.map((role) => t(`role.${role}`)).join(t('page.listSeparator')) }),
  };
}

/** @returns what shows the page. */
export function organisationPages(
  router: Router<RequestState>,
  { identity, forms, clock }: InteractionParts,
  { visiting, over, finish, render }: Visits,
  acting: ActingFor,
): (ctx: Context, visit: Visit) => Promise<void> {
  const isAsked = ({ interaction }: Visit) => interaction.prompt.name === SELECT_ORGANISATION;

  router.post(
    '/organisation',
    visiting(async (ctx, visit) => {
      const word = (await forms.read(ctx)).get('as');
      const accountId = visit.interaction.session?.accountId;
      if (!isAsked(visit) || accountId === undefined) return over(ctx);
      const possible = await acting.choices(accountId, visit.portal.clientId);
      const chosen = possible.find((authority) => wordOf(actingOf(authority)) === word);
      // What was on the page may have ended since.
      if (!chosen && word !== wordOf(null)) return show(ctx, visit);
      const result: SelectionResult = {
        acting: { as: chosen ? actingOf(chosen) : null, at: clock.now().getTime() / 1000 },
      };
      await finish(ctx, visit, { [SELECT_ORGANISATION]: result });
    }),
  );

  async function show(ctx: Context, visit: Visit): Promise<void> {
    const { session } = visit.interaction;
    const account = session ? await identity.account(session.accountId) : undefined;
    if (!account) return over(ctx);
    const { language } = ctx.state;
    const possible = await acting.choices(account.id, visit.portal.clientId);
    render(ctx, 'select-organisation', visit, {
      action: `${visit.base}/organisation`,
      leadParams: { portal: portalName(visit.portal, language.code) },
      self: wordOf(null),
      choices: possible.map((authority) => shownAuthority(authority, language)),
      otherHref: `${visit.base}?other=yes`,
    });
  }

  return show;
}
