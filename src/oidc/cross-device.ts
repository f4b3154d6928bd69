/** The phone of a sign-in on another device: opening the code, signing in here if need be, seeing what is asked, and deciding. */
import Router from '@koa/router';
import type Provider from 'oidc-provider';
import {
  carriedFactors,
  deviceNameOf,
  IdentityError,
  labelOf,
  methodsOf,
  type Factors,
  type Identity,
  type Place,
} from '../identity/index.ts';
import { networkOf, parseAddress, type Address } from '../platform/address.ts';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Pages } from '../platform/http/pages.ts';
import { under } from '../platform/http/under.ts';
import { portalName, type Portals } from '../portals/index.ts';
import { ownSession, sendToSignIn } from './own-session.ts';

/** Short: it is drawn as a code that any camera reads. */
export const CROSS_DEVICE_PATH = '/phone';

/** Whoever approves has shown something on this phone not longer ago than this. Seconds. */
const SHOWN_WITHIN = 900;
/** And may take this much longer to read the page. Seconds. */
const READING = 300;

/** Addresses of one household: those of IPv6 differ from device to device. */
const HOUSEHOLD = { ipv4: 32, ipv6: 64 };

interface CrossDeviceParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly provider: Provider;
  readonly identity: Identity;
  readonly portals: Portals;
  readonly forms: Forms;
  readonly pages: Pages;
}

export function crossDeviceRoutes(parts: CrossDeviceParts): Middleware {
  const { config, clock, provider, identity, portals, forms, pages } = parts;
  const { crossDevice } = identity;
  const router = new Router<RequestState>({ prefix: CROSS_DEVICE_PATH });
  const secure = config.issuer.startsWith('https:');
  const cookie = secure ? '__Host-yx_phone' : 'yx_phone';

  function show(ctx: Context, view: string, data: object, status = 200): void {
    pages.render(ctx, view, { errors: [], ...data }, { status, path: CROSS_DEVICE_PATH });
  }

  function renderOver(ctx: Context): void {
    show(ctx, 'cross-device-done', { outcome: 'over' }, 410);
  }

  /** The person who is signed in on this phone; otherwise they are sent to sign in, or to show something once more. */
  async function approver(
    ctx: Context,
    within: number,
  ): Promise<{ accountId: string; account: string; factors: Factors } | undefined> {
    const { accountId, factors = {} } = await ownSession(provider, ctx);
    const account = accountId === undefined ? undefined : await identity.account(accountId);
    if (accountId === undefined || !account) {
      sendToSignIn(ctx, config.issuer, CROSS_DEVICE_PATH);
      return undefined;
    }
    const now = Math.floor(clock.now().getTime() / 1000);
    // An approval from elsewhere is none to build another on.
    const shown = carriedFactors(factors);
    const fresh = methodsOf(shown).some((method) => now - (shown[method] ?? 0) <= within);
    if (fresh) return { accountId, account: labelOf(account), factors };
    sendToSignIn(ctx, config.issuer, CROSS_DEVICE_PATH, { anew: true });
    return undefined;
  }

  async function renderQuestion(
    ctx: Context,
    handle: string,
    who: { accountId: string; account: string },
    errors: readonly object[] = [],
  ): Promise<void> {
    const question = await crossDevice.question(handle, who.accountId);
    const portal = question && (await portals.find(question.clientId));
    if (!question || !portal) return renderOver(ctx);
    const minutes = Math.floor((clock.now().getTime() - question.startedAt.getTime()) / 60_000);
    show(
      ctx,
      'cross-device',
      {
        action: CROSS_DEVICE_PATH,
        request: question.id,
        account: who.account,
        portal: { name: portalName(portal, ctx.state.language.code), host: new URL(portal.homeUri).host },
        ...describe(question.place, ctx.state.address),
        started:
          minutes < 1
            ? { key: 'crossDevice.question.now' }
            : { key: 'crossDevice.question.minutes', params: { n: minutes } },
        errors,
      },
      errors.length > 0 ? 422 : 200,
    );
  }

  // Opening is a click: link previews and scanners that look first do not use the code up.
  router.get('/:token', (ctx) => {
    const { token = '' } = ctx.params as { token?: string };
    pages.render(
      ctx,
      'cross-device-open',
      { action: `${CROSS_DEVICE_PATH}/open`, token: token.slice(0, 100), errors: [] },
      { path: `${CROSS_DEVICE_PATH}/${encodeURIComponent(token.slice(0, 100))}` },
    );
  });

  router.post('/open', async (ctx) => {
    const form = await forms.read(ctx);
    try {
      // From here on the phone holds something that the code does not say.
      ctx.cookies.set(cookie, await crossDevice.open(form.get('token') ?? ''), {
        httpOnly: true,
        sameSite: 'lax',
        secure,
        path: '/',
        signed: false,
        overwrite: true,
      });
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      return renderOver(ctx);
    }
    ctx.status = 303;
    ctx.redirect(CROSS_DEVICE_PATH);
  });

  router.get('/', async (ctx) => {
    const handle = ctx.cookies.get(cookie);
    if (handle === undefined) return renderOver(ctx);
    const who = await approver(ctx, SHOWN_WITHIN);
    if (who) await renderQuestion(ctx, handle, who);
  });

  /** What was decided; the phone holds nothing of it any more. */
  function renderDone(ctx: Context, outcome: 'approved' | 'refused' | 'mismatched'): void {
    ctx.cookies.set(cookie, null, { secure, path: '/', signed: false });
    show(ctx, 'cross-device-done', { outcome });
  }

  router.post('/', async (ctx) => {
    const form = await forms.read(ctx);
    const handle = ctx.cookies.get(cookie);
    if (handle === undefined) return renderOver(ctx);
    const who = await approver(ctx, SHOWN_WITHIN + READING);
    if (!who) return;
    const answer = { handle, id: form.get('request') ?? '', accountId: who.accountId };
    try {
      if (form.get('decision') !== 'allow') {
        await crossDevice.refuse(answer);
        return renderDone(ctx, 'refused');
      }
      // Full-width digits of Chinese keyboards are digits.
      const text = (form.get('number') ?? '').normalize('NFKC').trim();
      if (!/^\d{2}$/.test(text))
        return await renderQuestion(ctx, handle, who, [{ field: 'number', key: 'error.numberForm' }]);
      const right = await crossDevice.approve({ ...answer, number: Number(text), factors: who.factors });
      renderDone(ctx, right ? 'approved' : 'mismatched');
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      renderOver(ctx);
    }
  });

  return under(CROSS_DEVICE_PATH, router.routes() as unknown as Middleware);
}

/** Where the other device is, in words: what it says it is, its network, and whether this phone is in the same one. */
function describe(
  place: Place,
  own: string,
): { device: string | undefined; network: string; networkKey: string | undefined } {
  const { browser, system } = deviceNameOf(place.userAgent);
  const [there, here] = [parseAddress(place.address), parseAddress(own)];
  const comparable = there !== undefined && here?.length === there.length;
  const same = comparable && networkOf(there, HOUSEHOLD) === networkOf(here, HOUSEHOLD);
  return {
    device: [browser, system].filter(Boolean).join(' · ') || undefined,
    network: beginningOf(there),
    // An address of IPv4 and one of IPv6 say nothing of each other.
    networkKey: comparable
      ? same
        ? 'crossDevice.question.sameNetwork'
        : 'crossDevice.question.otherNetwork'
      : undefined,
  };
}

/** As much of an address as tells a person's own network from a foreign one, and too little to find anybody by. */
function beginningOf(address: Address | undefined): string {
  if (address?.length === 4) return `${address[0]}.${address[1]}.*.*`;
  const group = (i: number) => (((address?.[i] ?? 0) << 8) | (address?.[i + 1] ?? 0)).toString(16);
  return address ? `${group(0)}:${group(2)}:*` : '*';
}
