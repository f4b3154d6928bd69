/** Where a person is signed in, and the devices that their account knows: a list, and a page for each. */
import type { KnownDevice } from '../../identity/index.ts';
import type { OwnSessionView } from '../../oidc/index.ts';
import { OWN_PORTAL, portalName } from '../../portals/index.ts';
import type { Context } from '../../platform/http/context.ts';
import { HttpError } from '../../platform/http/errors.ts';
import type { Notice, Person } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/sessions';
const DEVICES = '/account/devices';

export function sessionPages({ router, door, identity, own, portals }: Subject): void {
  function shownSession(ctx: Context, { handle, beginning, lastSeenAt, current }: OwnSessionView) {
    return {
      current,
      device: { browser: beginning?.browser, system: beginning?.system },
      begun: beginning && door.when(ctx, new Date(beginning.at * 1000)),
      seen: door.when(ctx, lastSeenAt),
      href: `${PATH}/${handle}`,
    };
  }

  function shownDevice(ctx: Context, { id, browser, system, firstSeenAt, lastSeenAt, current }: KnownDevice) {
    return {
      current,
      device: { browser, system },
      begun: door.when(ctx, firstSeenAt),
      seen: door.when(ctx, lastSeenAt),
      href: `${DEVICES}/${id}`,
    };
  }

  async function render(ctx: Context, { account, binding }: Person, notice?: Notice): Promise<void> {
    const [sessions, devices] = await Promise.all([
      own.sessions.list(account.id, binding),
      own.guard.devices(ctx, account.id),
    ]);
    door.render(ctx, 'account-sessions', PATH, {
      notice,
      sessions: sessions.map((session) => shownSession(ctx, session)),
      endOthersHref: sessions.length > 1 ? `${PATH}/end-others` : undefined,
      endAllHref: `${PATH}/end-all`,
      devices: devices.map((device) => shownDevice(ctx, device)),
    });
  }

  router.get(
    '/sessions',
    door.personal({}, (ctx, person) => render(ctx, person)),
  );

  for (const [act, words] of [
    ['end-others', 'sessions.endOthers'],
    ['end-all', 'sessions.endAll'],
  ] as const)
    router.get(
      `/sessions/${act}`,
      door.personal({}, (ctx) =>
        door.render(ctx, 'account-question', `${PATH}/${act}`, {
          titleKey: words,
          textKeys: ['sessions.endText'],
          action: `${PATH}/${act}`,
          submitKey: words,
          backHref: PATH,
          backKey: 'sessions.back',
        }),
      ),
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

  router.get(
    '/sessions/:handle',
    door.personal({}, async (ctx, { account, binding }) => {
      const { handle } = ctx.params as { handle: string };
      const session = (await own.sessions.list(account.id, binding)).find((each) => each.handle === handle);
      if (!session) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
      const names = await Promise.all(
        session.clientIds
          .filter((clientId) => clientId !== OWN_PORTAL)
          .map(async (clientId) => {
            const portal = await portals.find(clientId);
            return portal && portalName(portal, ctx.state.language.code);
          }),
      );
      const [entry] = session.beginning?.entries ?? [];
      door.render(ctx, 'account-session', `${PATH}/${handle}`, {
        ...shownSession(ctx, session),
        begunKey: 'sessions.begun',
        network: session.beginning?.network,
        portals: names.filter((name) => name !== undefined),
        action: session.current ? undefined : `${PATH}/${handle}/end`,
        submitKey: 'sessions.end',
        reportHref:
          entry === undefined || session.current ? undefined : `/account/report?kind=sign-in&about=${entry}`,
        backHref: PATH,
        backKey: 'sessions.back',
      });
    }),
  );
  router.post(
    '/sessions/:handle/end',
    door.personal({ page: PATH }, async (ctx, person) => {
      const { handle } = ctx.params as { handle: string };
      const ended = await own.endSessions(person.account.id, { handle }, 'ended-by-person');
      await render(ctx, person, { key: ended > 0 ? 'sessions.ended' : 'sessions.gone' });
    }),
  );

  router.get(
    '/devices/:device',
    door.personal({}, async (ctx, { account }) => {
      const { device: id } = ctx.params as { device: string };
      const device = (await own.guard.devices(ctx, account.id)).find((each) => each.id === id);
      if (!device) throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
      door.render(ctx, 'account-session', `${DEVICES}/${id}`, {
        ...shownDevice(ctx, device),
        begunKey: 'sessions.firstSeen',
        portals: [],
        textKey: 'sessions.knownText',
        action: `${DEVICES}/${id}/forget`,
        submitKey: 'sessions.forget',
        reportHref: device.current ? undefined : `/account/report?kind=device&about=${id}`,
        backHref: PATH,
        backKey: 'sessions.back',
      });
    }),
  );
  router.post(
    '/devices/:device/forget',
    door.personal({ page: PATH }, async (ctx, person) => {
      const { device } = ctx.params as { device: string };
      const forgotten = await identity.devices.forget(person.account.id, device);
      await render(ctx, person, forgotten ? { key: 'sessions.forgotten' } : undefined);
    }),
  );
}
