import type Koa from 'koa';

/**
 * Lets an application speak for its issuer: scheme and host of every request are the issuer's, whatever the `Host` header or a proxy says.
 * Cookies are then Secure exactly when the issuer is https, and no address that is built from a request can lead elsewhere.
 */
export function speakFor(issuer: string, application: { readonly request: Koa.BaseRequest }): void {
  const { protocol, host } = new URL(issuer);
  Object.defineProperties(application.request, {
    protocol: { get: () => protocol.slice(0, -1) },
    host: { get: () => host },
  });
}
