/** What happened to the account, and what left it for whom. */
import type { AuditEventType } from '../../audit/index.ts';
import { portalName } from '../../portals/index.ts';
import type { Context } from '../../platform/http/context.ts';
import { namesOf } from './claims.ts';
import type { Subject } from './routes.ts';

/** Entries of one page. */
const PAGE = 30;

/** What is said of each kind of entry; of kinds that are not here, that something changed. */
const WORDS: Readonly<Partial<Record<AuditEventType, string>>> = {
  'account.registered': 'event.account.registered',
  'account.signed-in': 'event.account.signed-in',
  'account.signed-out': 'event.account.signed-out',
  'account.sessions-ended': 'event.account.sessions-ended',
  'account.password-changed': 'event.account.password-changed',
  'account.factor-added': 'event.account.factor-added',
  'account.factor-removed': 'event.account.factor-removed',
  'account.recovery-codes-made': 'event.account.recovery',
  'account.recovery-code-used': 'event.account.recovery',
  'account.recovery-started': 'event.account.recovery',
  'account.recovery-stopped': 'event.account.recovery',
  'account.recovered': 'event.account.recovery',
  'account.identifier-set': 'event.account.identifier',
  'account.identifier-removed': 'event.account.identifier',
  'account.device-added': 'event.account.device',
  'account.device-forgotten': 'event.account.device',
  'account.misuse-reported': 'event.account.reported',
  'account.exported': 'event.account.exported',
  'account.state-changed': 'event.account.state-changed',
  'account.proofed': 'event.account.proofed',
  'passkey.registered': 'event.passkey',
  'passkey.renamed': 'event.passkey',
  'passkey.removed': 'event.passkey',
  'passkey.suspended': 'event.passkey',
  'consent.given': 'event.consent.given',
  'consent.withdrawn': 'event.consent.withdrawn',
};

/** Where the page begins; what is no number begins at the newest. */
function cursorIn(ctx: Context): number | undefined {
  const before = Number(ctx.query['before']);
  return Number.isSafeInteger(before) && before > 0 ? before : undefined;
}

export function historyPages({ router, door, own, audit, portals }: Subject): void {
  async function nameOf(ctx: Context, clientId: unknown): Promise<string | undefined> {
    const portal = typeof clientId === 'string' ? await portals.find(clientId) : undefined;
    return portal && portalName(portal, ctx.state.language.code);
  }

  router.get(
    '/history',
    door.personal({}, async (ctx, { account }) => {
      const found = await audit.about(account.id, { limit: PAGE + 1, before: cursorIn(ctx) });
      const shown = found.slice(0, PAGE);
      const last = shown.at(-1);
      door.render(ctx, 'account-history', `/account/history${ctx.search}`, {
        entries: await Promise.all(
          shown.map(async ({ entry }) => ({
            // eslint-disable-next-line typescript/no-unsafe-type-assertion -- a type that is not in the table has no words
            key: WORDS[entry.type as AuditEventType] ?? 'event.other',
            at: door.when(ctx, new Date(entry.at)),
            portal: await nameOf(ctx, entry.detail['clientId']),
            reportHref:
              entry.type === 'account.signed-in'
                ? `/account/report?kind=sign-in&about=${entry.seq}`
                : undefined,
          })),
        ),
        earlierHref: found.length > PAGE && last ? `/account/history?before=${last.entry.seq}` : undefined,
      });
    }),
  );

  router.get(
    '/releases',
    door.personal({}, async (ctx, { account }) => {
      const found = await own.releases.of(account.id, { limit: PAGE + 1, before: cursorIn(ctx) });
      const shown = found.slice(0, PAGE);
      const last = shown.at(-1);
      const { t } = ctx.state.language;
      door.render(ctx, 'account-releases', `/account/releases${ctx.search}`, {
        releases: await Promise.all(
          shown.map(async ({ clientId, way, claims, at }) => ({
            portal: (await nameOf(ctx, clientId)) ?? t('portals.gone'),
            claims: namesOf(claims, t),
            wayKey: `releases.way.${way}`,
            at: door.when(ctx, at),
          })),
        ),
        earlierHref: found.length > PAGE && last ? `/account/releases?before=${last.id}` : undefined,
      });
    }),
  );
}
