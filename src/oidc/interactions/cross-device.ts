/** The screen of a sign-in that is approved on a phone: it shows a code, then a number, and goes on by itself. No script is needed. */
import type Router from '@koa/router';
import { toString as toQrCode } from 'qrcode';
import { IdentityError } from '../../identity/index.ts';
import type { RequestState } from '../../platform/http/context.ts';
import { CROSS_DEVICE_PATH } from '../cross-device.ts';
import type { SignInPage } from './password.ts';
import type { Steps } from './steps.ts';
import type { InteractionParts, Visit, Visits } from './visits.ts';

/** How often the page looks whether something has happened. */
const REFRESH_SECONDS = 3;

export function crossDevicePages(
  router: Router<RequestState>,
  { provider, identity, forms, guard }: InteractionParts,
  { visiting, render }: Visits,
  steps: Steps,
  signInPage: SignInPage,
): void {
  const { crossDevice } = identity;
  const addressOf = (visit: Visit) => `${visit.base}/phone`;
  signInPage.further.push((visit) => ({ crossDeviceAction: addressOf(visit) }));

  router.post(
    '/phone',
    visiting(async (ctx, visit) => {
      await forms.read(ctx);
      await guard.count(ctx, 'cross-device');
      await crossDevice.begin({
        binding: visit.interaction.uid,
        clientId: visit.portal.clientId,
        place: { address: ctx.state.address, userAgent: ctx.get('user-agent').slice(0, 512) },
      });
      ctx.status = 303;
      ctx.redirect(addressOf(visit));
    }),
  );

  router.get(
    '/phone',
    visiting(async (ctx, visit) => {
      const { uid } = visit.interaction;
      let standing = await crossDevice.standing(uid);
      if (!standing) {
        ctx.status = 303;
        return ctx.redirect(visit.base);
      }
      if (standing.state === 'approved') {
        // The router lets HEAD in as well, which must change nothing.
        if (ctx.method !== 'GET') {
          ctx.status = 200;
          return undefined;
        }
        try {
          return await steps.proceed(ctx, visit, ...(await crossDevice.finish(uid)));
        } catch (error) {
          if (!(error instanceof IdentityError)) throw error;
          standing = { state: 'over' };
        }
      }

      const refreshing = ctx.query['wait'] !== 'no';
      const going = standing.state === 'waiting' || standing.state === 'opened';
      // A header, so that the page need not change under somebody who has stopped it (WCAG 2.2, success criterion 2.2.2).
      if (going && refreshing) ctx.set('Refresh', String(REFRESH_SECONDS));
      const address =
        standing.state === 'waiting' ? `${provider.issuer}${CROSS_DEVICE_PATH}/${standing.token}` : '';
      render(
        ctx,
        'cross-device-code',
        visit,
        {
          state: standing.state,
          address,
          qrCode: address === '' ? '' : await toQrCode(address, { type: 'svg', margin: 2 }),
          number: standing.state === 'opened' ? standing.number : undefined,
          refreshSeconds: refreshing ? REFRESH_SECONDS : undefined,
          action: addressOf(visit),
          stopHref: `${addressOf(visit)}?wait=no`,
          resumeHref: addressOf(visit),
          backHref: visit.base,
        },
        addressOf(visit),
      );
    }),
  );
}
