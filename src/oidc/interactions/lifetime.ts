/** How long an interaction lives, and extending it on the person's wish: ten times, as WCAG 2.2 asks (2.2.1), and no more. */
import type Router from '@koa/router';
import type { RequestState } from '../../platform/http/context.ts';
import type { Lifetime } from '../../platform/http/lifetime.ts';
import { ownPath } from '../../platform/http/preferences.ts';
import { TTL } from '../configuration.ts';
import type { Interaction } from './consent.ts';
import type { Steps } from './steps.ts';
import type { InteractionParts, Visits } from './visits.ts';

const EXTENSIONS = 10;
/** Less than this is not worth a question. Seconds. */
const LEAST = 60;

/** @param interaction `iat` and `exp` in seconds since 1970. @returns the end that an extension now would bring; never an earlier one. Pure. */
export function extendedEnd(
  { iat, exp }: { readonly iat: number; readonly exp: number },
  now: number,
): number {
  return Math.max(exp, Math.min(now + TTL.Interaction, iat + (1 + EXTENSIONS) * TTL.Interaction));
}

export async function lifetimeOf(
  interaction: Interaction,
  { provider }: Pick<InteractionParts, 'provider'>,
): Promise<Lifetime> {
  const { iat, exp, uid, deviceCode } = interaction;
  if (deviceCode === undefined) {
    const more = extendedEnd({ iat, exp }, exp) - exp >= LEAST;
    return {
      endsAt: new Date(exp * 1000),
      extendAction: more ? `/interaction/${uid}/extend` : undefined,
      of: 'request',
    };
  }
  // What a device waits for ends with the device's code, whatever is done here (RFC 8628, section 3.2).
  const code = await provider.DeviceCode.find(deviceCode);
  return { endsAt: new Date(Math.min(exp, code?.exp ?? 0) * 1000), extendAction: undefined, of: 'request' };
}

export function lifetimePages(
  router: Router<RequestState>,
  { provider, clock, records, forms, pages, issuer }: InteractionParts,
  { visiting }: Visits,
  steps: Steps,
): void {
  const secure = issuer.startsWith('https:');

  router.post(
    '/extend',
    visiting(async (ctx, { interaction, base }) => {
      const back = ownPath((await forms.read(ctx)).get('back'), issuer);
      const { uid } = interaction;
      const now = Math.floor(clock.now().getTime() / 1000);
      const found = await records.find('Interaction', uid);
      if (found && interaction.deviceCode === undefined) {
        interaction.exp = extendedEnd(interaction, now);
        const ttlSeconds = interaction.exp - now;
        await records.put('Interaction', uid, { ...found.payload, exp: interaction.exp }, ttlSeconds);
        await steps.prolong(uid, ttlSeconds);
        const paths = [
          ['interaction', base],
          ['resume', new URL(interaction.returnTo).pathname],
        ] as const;
        for (const [name, path] of paths)
          ctx.cookies.set(provider.cookieName(name), uid, {
            path,
            maxAge: ttlSeconds * 1000,
            httpOnly: true,
            sameSite: 'lax',
            signed: true,
            secure,
            overwrite: true,
          });
      }
      const lifetime = await lifetimeOf(interaction, { provider });
      pages.answerExtension(ctx, lifetime, back.startsWith(base) ? back : base);
    }),
  );
}
