/** The portals that were given something: what, why, since when, and taking it back. */
import type { Portal } from '../../portals/index.ts';
import { portalName } from '../../portals/index.ts';
import { OWN_PORTAL } from '../../portals/index.ts';
import { personalClaimOf, SCOPES, SELF_CONTAINED_SECONDS, type PortalAgreement } from '../../oidc/index.ts';
import type { Context } from '../../platform/http/context.ts';
import { HttpError } from '../../platform/http/errors.ts';
import { namesOf } from './claims.ts';
import type { Notice } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/portals';

/** What is known of one portal and one person. */
interface Relation {
  readonly clientId: string;
  readonly portal: Portal | undefined;
  readonly agreement: PortalAgreement | undefined;
  /** What it really got, and when. */
  readonly got: { readonly claims: readonly string[]; readonly first: Date; readonly last: Date } | undefined;
  readonly sub: string | undefined;
}

export function portalPages(subject: Subject): void {
  const { router, door, own, portals, resources } = subject;

  /** Every portal that knows the person: by agreement, by what it got, by a session, or by a number of its own. */
  async function relationsOf(accountId: string, binding: string): Promise<Relation[]> {
    const [agreements, got, sessions, subjects, all] = await Promise.all([
      own.agreements(accountId),
      own.releases.byPortal(accountId),
      own.sessions.list(accountId, binding),
      own.subjects(accountId),
      portals.all(),
    ]);
    const known = new Set([
      ...agreements.map(({ clientId }) => clientId),
      ...got.map(({ clientId }) => clientId),
      ...sessions.flatMap(({ clientIds }) => clientIds),
      ...all
        .filter(({ sector }) => subjects.some((each) => each.sector === sector))
        .map((each) => each.clientId),
    ]);
    known.delete(OWN_PORTAL);
    return [...known].map((clientId) => {
      const portal = all.find((each) => each.clientId === clientId);
      return {
        clientId,
        portal,
        agreement: agreements.find((each) => each.clientId === clientId),
        got: got.find((each) => each.clientId === clientId),
        sub: subjects.find(({ sector }) => sector === portal?.sector)?.sub,
      };
    });
  }

  const nameOf = (ctx: Context, { portal }: Relation) =>
    portal ? portalName(portal, ctx.state.language.code) : ctx.state.language.t('portals.gone');

  /** What was agreed to, in words, each with the portal's own reason for it. */
  function given(ctx: Context, relation: Relation): { name: string; purpose: string }[] {
    const { agreement, portal } = relation;
    if (!agreement) return [];
    const { t, code } = ctx.state.language;
    const name = nameOf(ctx, relation);
    const own = (key: string) => portal?.purposes[key]?.[code] ?? portal?.purposes[key]?.['zh-CN'];
    const refused = new Set(agreement.refused);
    const claims = new Map<string, string | undefined>();
    for (const scope of agreement.scopes[''] ?? [])
      for (const claim of SCOPES[scope]?.claims ?? []) {
        const personal = personalClaimOf(claim);
        if (personal !== undefined && !refused.has(personal)) claims.set(personal, scope);
      }
    for (const claim of agreement.claims) {
      const personal = personalClaimOf(claim);
      if (personal !== undefined && !claims.has(personal)) claims.set(personal, undefined);
    }
    const ofClaims = [...claims].map(([claim, scope]) => ({
      name: t(`claim.${claim}.name`),
      purpose:
        own(claim) ??
        (scope === undefined ? undefined : own(scope)) ??
        t(`claim.${claim}.purpose`, { portal: name }),
    }));
    const ofScopes = Object.entries(agreement.scopes).flatMap(([indicator, scopes]) =>
      scopes
        .filter((scope) => !SCOPES[scope]?.claims.some((claim) => personalClaimOf(claim) !== undefined))
        .map((scope) => {
          const resource = resources.find(indicator);
          if (resource)
            return {
              name: resource.name[code] ?? resource.name['zh-CN'] ?? indicator,
              purpose: resource.scopes[scope]?.[code] ?? resource.scopes[scope]?.['zh-CN'] ?? scope,
            };
          return scope in SCOPES
            ? {
                name: t(`scope.${scope}.name`),
                purpose: own(scope) ?? t(`scope.${scope}.purpose`, { portal: name }),
              }
            : { name: scope, purpose: indicator };
        }),
    );
    return [...ofClaims, ...ofScopes];
  }

  async function renderList(
    ctx: Context,
    accountId: string,
    binding: string,
    notice?: Notice,
  ): Promise<void> {
    const relations = await relationsOf(accountId, binding);
    const lastOf = ({ agreement, got }: Relation) => got?.last ?? agreement?.last;
    const list = relations
      .toSorted((a, b) => (lastOf(b)?.getTime() ?? 0) - (lastOf(a)?.getTime() ?? 0))
      .map((relation) => ({
        name: nameOf(ctx, relation),
        href: `${PATH}/${encodeURIComponent(relation.clientId)}`,
        given: given(ctx, relation).map(({ name }) => name),
        last: relation.got && door.when(ctx, relation.got.last),
      }));
    door.render(ctx, 'account-portals', PATH, { notice, portals: list });
  }

  /** How late what a portal holds may still work elsewhere: where an API reads tokens by itself. */
  function lateMinutes({ agreement }: Relation): number | undefined {
    const selfContained = Object.keys(agreement?.scopes ?? {}).some(
      (indicator) => resources.find(indicator)?.tokenFormat === 'jwt',
    );
    return selfContained ? Math.ceil(SELF_CONTAINED_SECONDS / 60) : undefined;
  }

  router.get(
    '/portals',
    door.personal({}, (ctx, { account, binding }) => renderList(ctx, account.id, binding)),
  );

  router.get(
    '/portals/:clientId',
    door.personal({}, async (ctx, { account, binding }) => {
      const { clientId } = ctx.params as { clientId: string };
      const relation = (await relationsOf(account.id, binding)).find((each) => each.clientId === clientId);
      if (!relation) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
      const { portal, agreement, got } = relation;
      const { t } = ctx.state.language;
      const path = `${PATH}/${encodeURIComponent(clientId)}`;
      door.render(ctx, 'account-portal', path, {
        portal: { name: nameOf(ctx, relation), host: portal && new URL(portal.homeUri).host },
        given: given(ctx, relation),
        since: agreement && door.when(ctx, agreement.since),
        refused: namesOf(agreement?.refused ?? [], t),
        got: namesOf(got?.claims ?? [], t),
        first: got && door.when(ctx, got.first),
        last: got && door.when(ctx, got.last),
        sub: relation.sub,
        lateMinutes: lateMinutes(relation),
        withdrawAction: `${path}/withdraw`,
        reportHref: `/account/report?${new URLSearchParams({ kind: 'portal', about: clientId }).toString()}`,
      });
    }),
  );

  router.post(
    '/portals/:clientId/withdraw',
    door.personal({ page: PATH }, async (ctx, { account, binding }) => {
      const { clientId } = ctx.params as { clientId: string };
      const relation = (await relationsOf(account.id, binding)).find((each) => each.clientId === clientId);
      if (!relation) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
      await own.withdraw(account.id, clientId);
      await renderList(ctx, account.id, binding, {
        key: 'portals.withdrawn',
        params: { portal: nameOf(ctx, relation) },
      });
    }),
  );
}
