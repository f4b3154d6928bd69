/** The first page: what the account is known by, and where everything else is. */
import { maskedIdentifiers } from './identifiers.ts';
import type { Subject } from './routes.ts';

const MENU = [
  { href: '/account/identity', key: 'account.identity' },
  { href: '/account/methods', key: 'account.methods' },
  { href: '/account/sessions', key: 'account.sessions' },
  { href: '/account/portals', key: 'account.portals' },
  { href: '/account/organisations', key: 'account.organisations' },
  { href: '/account/history', key: 'account.history' },
  { href: '/account/releases', key: 'account.releases' },
  { href: '/approvals', key: 'account.approvals' },
  { href: '/account/data', key: 'account.data' },
  { href: '/account/close', key: 'account.close' },
];

export function overviewPage({ router, door }: Subject): void {
  router.get(
    '/',
    door.personal({}, (ctx, { account }) => {
      const { t } = ctx.state.language;
      door.render(ctx, 'account', '/account', {
        facts: [
          ...maskedIdentifiers(account).map(({ key, value, verified }) => ({
            key,
            value: value ?? t('account.none'),
            noteKey: value !== undefined && verified === false ? 'account.unverified' : undefined,
          })),
          { key: 'account.proofing', value: t(`account.proofing${account.proofing}`) },
        ],
        since: door.when(ctx, account.createdAt),
        menu: MENU,
        signOutHref: '/end-session',
      });
    }),
  );
}
