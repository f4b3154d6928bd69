/**
 * The way back from an interaction that is over: expired, finished in another tab, reached by the back button or a bookmark. The same
 * request begins again, and ends at the portal if nothing more is needed.
 */
import { UnsecuredJWT } from 'jose';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Clock } from '../../platform/clock.ts';
import type { Context } from '../../platform/http/context.ts';
import { ROUTES } from '../configuration.ts';
import type { Records } from '../records.ts';

/** How long a request can begin again after it was first made. Seconds. */
const REMEMBERED = 24 * 3600;
const MODEL = 'Restart';

interface Remembered {
  readonly clientId: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly trusted: boolean;
}

export interface Restarts {
  /** Remembers the request that has just led to an interaction, if it did. */
  remember(ctx: KoaContextWithOIDC): Promise<void>;
  /** Begins the request of an interaction again. @returns false, having answered nothing, if it is not known. */
  restart(ctx: Context, provider: Provider, uid: string | undefined): Promise<boolean>;
}

export function createRestarts(parts: { records: Records; clock: Clock; issuer: string }): Restarts {
  const { records, clock, issuer } = parts;
  return {
    async remember({ oidc, status }) {
      const { Interaction: interaction, Client: client } = oidc.entities;
      if (status !== 303 || !interaction || !client || interaction.deviceCode !== undefined) return;
      const remembered: Remembered = {
        clientId: client.clientId,
        params: interaction.params,
        trusted: (interaction.trusted?.length ?? 0) > 0,
      };
      await records.put(MODEL, interaction.uid, remembered, REMEMBERED);
    },

    async restart(ctx, provider, uid) {
      // A browser that keeps no cookies would go round for ever; it gets a page instead.
      if (uid === undefined || ctx.get('cookie') === '') return false;
      const found = await records.find(MODEL, uid);
      if (!found) return false;
      const { clientId, params, trusted } = found.payload as unknown as Remembered;
      if (!(await provider.Client.find(clientId))) return false;
      // As a pushed request (RFC 9126): it has passed every check once, and portals that must push their requests have done so.
      const now = Math.floor(clock.now().getTime() / 1000);
      const request = new UnsecuredJWT(readable(params))
        .setIssuer(clientId)
        .setAudience(issuer)
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + 60)
        .encode();
      const pushed = new provider.PushedAuthorizationRequest({ request, trusted } as never);
      const id = await pushed.save(60);
      const query = new URLSearchParams({
        client_id: clientId,
        request_uri: `urn:ietf:params:oauth:request_uri:${id}`,
      });
      ctx.status = 303;
      ctx.redirect(`${ROUTES.authorization}?${query.toString()}`);
      return true;
    },
  };
}

/** Request objects carry these two as JSON, parameters as its text. */
function readable(params: Remembered['params']): Record<string, unknown> {
  const payload: Record<string, unknown> = { ...params };
  for (const name of ['claims', 'authorization_details'])
    if (typeof payload[name] === 'string') payload[name] = JSON.parse(payload[name]) as unknown;
  return payload;
}
