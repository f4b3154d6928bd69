/** "This was not me": what is reported ends at once, its owner is told, and operators look into it. */
import type { Misuse } from '../../identity/index.ts';
import { portalName } from '../../portals/index.ts';
import type { Context } from '../../platform/http/context.ts';
import { HttpError } from '../../platform/http/errors.ts';
import type { Person, When } from './door.ts';
import type { Subject } from './routes.ts';

const PATH = '/account/report';

/** What is reported, in words. */
interface Reported {
  readonly misuse: Misuse;
  readonly about: string;
  readonly at: When | undefined;
  readonly backHref: string;
}

export function reportPages({ router, door, identity, own, audit, portals, metrics, logger }: Subject): void {
  /** What the two parameters name, if it belongs to the person. @throws {HttpError} NOT_FOUND */
  async function find(ctx: Context, { account }: Person, kind: unknown, about: unknown): Promise<Reported> {
    const { t, code } = ctx.state.language;
    if (typeof about === 'string')
      switch (kind) {
        case 'sign-in': {
          const entry = /^[1-9]\d{0,15}$/.test(about) ? (await audit.find(Number(about)))?.entry : undefined;
          if (entry?.type !== 'account.signed-in' || entry.subject !== account.id) break;
          const clientId = entry.detail['clientId'];
          const portal = typeof clientId === 'string' ? await portals.find(clientId) : undefined;
          return {
            misuse: { kind, about },
            about: portal
              ? t('report.signInAt', { portal: portalName(portal, code) })
              : t('event.account.signed-in'),
            at: door.when(ctx, new Date(entry.at)),
            backHref: '/account/history',
          };
        }
        case 'device': {
          const device = (await own.guard.devices(ctx, account.id)).find(({ id }) => id === about);
          if (!device) break;
          const { browser, system } = device;
          return {
            misuse: { kind, about },
            about:
              browser === undefined || system === undefined
                ? t('sessions.unknown')
                : t('sessions.device', { browser, system }),
            at: door.when(ctx, device.lastSeenAt),
            backHref: '/account/sessions',
          };
        }
        case 'portal': {
          if (!(await own.knows(account.id, about))) break;
          const portal = await portals.find(about);
          return {
            misuse: { kind, about },
            about: portal ? portalName(portal, code) : t('portals.gone'),
            at: undefined,
            backHref: `/account/portals/${encodeURIComponent(about)}`,
          };
        }
      }
    throw new HttpError('NOT_FOUND', 'There is nothing at this address.');
  }

  /** Ends what is reported. */
  async function end({ account }: Person, { kind, about }: Misuse): Promise<void> {
    if (kind === 'portal') return own.withdraw(account.id, about);
    const which = kind === 'sign-in' ? { entry: Number(about) } : { device: about };
    await own.endSessions(account.id, which, 'misuse-reported');
    if (kind === 'device') await identity.devices.forget(account.id, about);
  }

  router.get(
    '/report',
    door.personal({}, async (ctx, person) => {
      const { misuse, about, at, backHref } = await find(ctx, person, ctx.query['kind'], ctx.query['about']);
      door.render(ctx, 'account-report', `${PATH}${ctx.search}`, {
        leadKey: misuse.kind === 'portal' ? 'report.portalLead' : 'report.lead',
        about,
        at,
        action: PATH,
        kind: misuse.kind,
        subject: misuse.about,
        backHref,
      });
    }),
  );

  router.post(
    '/report',
    door.personal({ page: '/account' }, async (ctx, person, form) => {
      const { misuse } = await find(ctx, person, form.get('kind'), form.get('about'));
      // First what protects the person: a report that is not taken down can be made again.
      await end(person, misuse);
      const { id, isNew } = await identity.misuseReports.report(person.account.id, misuse);
      if (isNew) {
        metrics.misuseReports.inc({ kind: misuse.kind });
        logger.warn({ reportId: id, kind: misuse.kind }, 'misuse was reported');
      }
      door.render(ctx, 'account-reported', '/account', { id });
    }),
  );
}
