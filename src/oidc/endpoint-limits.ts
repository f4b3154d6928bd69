/**
 * Limits at the endpoints that programs call and at the device page: guesses at user codes, polling, and client authentication that fails.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { LimitError, type Limits } from '../identity/index.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import { ROUTES } from './configuration.ts';

/** Where portals authenticate. */
const AUTHENTICATED: ReadonlySet<string> = new Set([
  ROUTES.backchannel_authentication,
  ROUTES.device_authorization,
  ROUTES.introspection,
  ROUTES.pushed_authorization_request,
  ROUTES.revocation,
  ROUTES.token,
]);

export function limitEndpoints({ limits }: { limits: Limits }): Middleware {
  return async function limitEndpoint(ctx, next) {
    if (ctx.method !== 'POST') return next();
    if (ctx.path === ROUTES.code_verification) return limitUserCodes(ctx, next);
    await next();
    if (!AUTHENTICATED.has(ctx.path)) return;
    const { error } = (ctx.body ?? {}) as { error?: unknown };
    if (error === 'authorization_pending') await limitPolling(ctx);
    if (error === 'invalid_client') await limitAuthentication(ctx);
  };

  /** A user code has 34 bits and is good for anybody who types it first (RFC 8628, section 5.1): a guess is counted before it is looked up. */
  async function limitUserCodes(ctx: Context, next: () => Promise<unknown>): Promise<void> {
    const attempt = await limits.take('user-code', { address: ctx.state.address });
    await next();
    if (oidcOf(ctx).entities?.['DeviceCode'] !== undefined) await attempt.succeeded();
  }

  /** RFC 8628, section 3.5; CIBA Core 1.0, section 11: only who need not have asked yet is slowed down, so that no answer comes later for it. */
  async function limitPolling(ctx: Context): Promise<void> {
    const { device_code: deviceCode, auth_req_id: authReqId } = oidcOf(ctx).params ?? {};
    const waitsFor = [deviceCode, authReqId].find((value) => typeof value === 'string');
    if (waitsFor === undefined) return;
    try {
      await limits.take('polling', { address: ctx.state.address, account: waitsFor });
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      ctx.body = {
        error: 'slow_down',
        error_description: 'polled sooner than the interval allows; wait 5 seconds longer between requests',
      };
    }
  }

  /**
   * Only failures are counted and refused. A secret has 256 bits, so that nobody guesses one; and a portal's right secret works however
   * often somebody who shares its address, or an old process of its own, shows a wrong one.
   */
  async function limitAuthentication(ctx: Context): Promise<void> {
    const { params, client } = oidcOf(ctx);
    const named = client?.clientId ?? params?.['client_id'];
    try {
      await limits.take('client-authentication', {
        address: ctx.state.address,
        account: typeof named === 'string' ? named : '',
      });
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      ctx.status = 429;
      ctx.set('Retry-After', String(error.retryAfterSeconds));
      ctx.body = { error: 'invalid_client', error_description: 'too many requests failed to authenticate' };
    }
  }
}

/** What the library keeps of a request that it served; nothing of any other. */
function oidcOf(ctx: Context): Partial<Pick<KoaContextWithOIDC['oidc'], 'client' | 'params'>> & {
  readonly entities?: Readonly<Record<string, unknown>>;
} {
  return (ctx as unknown as Partial<KoaContextWithOIDC>).oidc ?? {};
}
