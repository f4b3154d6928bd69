/** Where a person is signed in, and the devices that their account knows. */
import { OWN_PORTAL, portalName } from '../../portals/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { Notice, Person } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/sessions';

export function sessionPages({ router, door, identity, own, portals }: Subject): void {
  async function render(ctx: Context, { account, binding }: Person, notice?: Notice): Promise<void> {
    const { code } = ctx.state.language;
    const nameOf = async (clientId: string) => {
      const portal = await portals.find(clientId);
      return portal && portalName(portal, code);
    };
    const [sessions, devices] = await Promise.all([
      own.sessions.list(account.id, binding),
      own.guard.devices(ctx, account.id),
    ]);
    door.render(ctx, 'account-sessions', PATH, {
      notice,
      sessions: await Promise.all(
        sessions.map(async ({ handle, beginning, lastSeenAt, clientIds, current }) => ({
          current,
          device: { browser: beginning?.browser, system: beginning?.system },
          network: beginning?.network,
          begun: beginning && door.when(ctx, new Date(beginning.at * 1000)),
          seen: door.when(ctx, lastSeenAt),
          portals: (
            await Promise.all(clientIds.filter((clientId) => clientId !== OWN_PORTAL).map(nameOf))
          ).filter((name) => name !== undefined),
          endAction: `${PATH}/${handle}/end`,
        })),
      ),
      endOthersAction: `${PATH}/end-others`,
      endAllAction: `${PATH}/end-all`,
      devices: devices.map(({ id, browser, system, lastSeenAt, current }) => ({
        browser,
        system,
        current,
        seen: door.when(ctx, lastSeenAt),
        forgetAction: `${PATH}/devices/${id}/forget`,
      })),
    });
  }

  router.get(
    '/sessions',
    door.personal({}, (ctx, person) => render(ctx, person)),
  );
  router.post(
    '/sessions/end-others',
    door.personal({ page: PATH }, async (ctx, person) => {
      await own.endOtherSessions(ctx, 'ended-by-person');
      await render(ctx, person, { key: 'sessions.othersEnded' });
    }),
  );
  router.post(
    '/sessions/end-all',
    door.personal({ page: PATH }, async (ctx, { account }) => {
      await own.endAllSessions(account.id, 'ended-by-person');
      ctx.status = 303;
      ctx.redirect('/end-session/success');
    }),
  );
  router.post(
    '/sessions/:handle/end',
    door.personal({ page: PATH }, async (ctx, person) => {
      const { handle } = ctx.params as { handle: string };
      const ended = await own.endSession(person.account.id, { handle }, 'ended-by-person');
      await render(ctx, person, { key: ended ? 'sessions.ended' : 'sessions.gone' });
    }),
  );
  router.post(
    '/sessions/devices/:device/forget',
    door.personal({ page: PATH }, async (ctx, person) => {
      const { device } = ctx.params as { device: string };
      const forgotten = await identity.devices.forget(person.account.id, device);
      await render(ctx, person, forgotten ? { key: 'sessions.forgotten' } : undefined);
    }),
  );
}
