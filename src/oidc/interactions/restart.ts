/**
 * The way back from an interaction that is over: expired, finished in another tab, reached by the back button or a bookmark. The same
 * request begins again, and ends at the portal if nothing more is needed.
 */
import { UnsecuredJWT } from 'jose';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Cipher } from '../../platform/cipher.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Context } from '../../platform/http/context.ts';
import { keyOf } from '../adapter.ts';
import { ROUTES } from '../configuration.ts';
import type { OidcStore } from '../store/store.ts';

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

export function createRestarts(parts: {
  store: OidcStore;
  cipher: Cipher;
  clock: Clock;
  issuer: string;
}): Restarts {
  const { store, cipher, clock, issuer } = parts;
  const context = (key: string) => `${MODEL}:${key}`;
  return {
    async remember({ oidc, status }) {
      const { Interaction: interaction, Client: client } = oidc.entities;
      if (status !== 303 || !interaction || !client || interaction.deviceCode !== undefined) return;
      const key = keyOf(interaction.uid);
      const remembered: Remembered = {
        clientId: client.clientId,
        params: interaction.params,
        trusted: (interaction.trusted?.length ?? 0) > 0,
      };
      const value = cipher.encrypt(Buffer.from(JSON.stringify(remembered)), context(key));
      await store.put(MODEL, key, Buffer.from(value).toString('base64'), { ttlSeconds: REMEMBERED });
    },

    async restart(ctx, provider, uid) {
      // A browser that keeps no cookies would go round for ever; it gets a page instead.
      if (uid === undefined || ctx.get('cookie') === '') return false;
      const key = keyOf(uid);
      const record = await store.get(MODEL, key);
      if (!record) return false;
      const text = Buffer.from(cipher.decrypt(Buffer.from(record.value, 'base64'), context(key)));
      const { clientId, params, trusted } = JSON.parse(text.toString('utf8')) as Remembered;
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
