/**
 * Certificates of clients (RFC 8705) behind a proxy that ends TLS: read from `Client-Cert` and `Client-Cert-Chain` (RFC 9440) of proxies that
 * are believed, and judged here. That the client holds the key is what the handshake with the proxy has shown. Pure, but for reading requests.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import Provider, { errors, type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import {
  buildPath,
  derToPem,
  matchesName,
  parseCertificate,
  parseName,
  pemToDer,
  type Certificate,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import { toBlockList, type MutualTls } from '../platform/config.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import { speakFor } from '../platform/http/origin.ts';
import type { Portal } from '../portals/index.ts';
import { ROUTES } from './configuration.ts';

/** Longest header value that is read, in signs; the certificate in it has at most three quarters of that. */
const MAX_HEADER = 8192;
/** Most certificates of a chain that are read. */
const MAX_CHAIN = 6;
/** id-kp-clientAuth (RFC 5280, section 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_PURPOSE = '2.5.29.37.0';

/** Ways in which a portal authenticates by its certificate (RFC 8705, sections 2.1 and 2.2). */
const METHODS: ReadonlySet<string> = new Set(['tls_client_auth', 'self_signed_tls_client_auth']);

/** What a client showed in its handshake. */
export interface Presented {
  readonly certificate: Certificate;
  /** What came with it, as in the handshake; not trusted. */
  readonly chain: readonly Certificate[];
}

type Feature = NonNullable<NonNullable<Configuration['features']>['mTLS']>;

export interface ClientCertificates {
  /** What the library is told. */
  readonly feature: Feature;
  /** `mtls_endpoint_aliases` of the metadata, if another host than the issuer's asks for certificates. */
  readonly aliases: Readonly<Record<string, string>> | undefined;
  /** Thumbprint (RFC 8705, section 3.1) of the certificate of a request, if its portal authenticates, or has its tokens bound, by one. */
  senderOf(ctx: Context): string | undefined;
  /** @throws {errors.InvalidClientMetadata} the portal is described in terms of mutual TLS that this provider does not offer. */
  check(portal: Portal): void;
  /** Binds refresh tokens that nothing else would bind to a certificate. */
  attach(provider: Provider): void;
  /** Lets requests to the host that asks for certificates be spoken to under its name (DPoP's `htu`, RFC 9449, section 4.3). */
  readonly atOrigin: Middleware;
}

/** @param settings `undefined`: mutual TLS is off, and no request has a certificate. */
export function createClientCertificates(settings: MutualTls | undefined, clock: Clock): ClientCertificates {
  const proxies = toBlockList(settings?.proxies ?? []);
  const roots =
    settings?.authorities === undefined
      ? []
      : pemToDer('CERTIFICATE', settings.authorities).map((der) => parseCertificate(der));
  const read = new WeakMap<Context['req'], Presented | undefined>();

  function isBelieved({ socket }: Context['req']): boolean {
    // The socket's own address: what headers say of where a request came from, anybody can write.
    const address = socket.remoteAddress?.replace(/%.*$/, '') ?? '';
    const family = isIP(address);
    return family !== 0 && proxies.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  function presentedIn({ req }: Pick<Context, 'req'>): Presented | undefined {
    if (!settings || !isBelieved(req)) return undefined;
    if (!read.has(req)) read.set(req, readPresented(req.headersDistinct, settings.format));
    const presented = read.get(req);
    return presented && isWithinValidity(presented.certificate, clock.now()) ? presented : undefined;
  }

  function thumbprintOf(ctx: Pick<Context, 'req'>): string | undefined {
    const presented = presentedIn(ctx);
    return presented && createHash('sha256').update(presented.certificate.der).digest('base64url');
  }

  return {
    feature: {
      enabled: settings !== undefined,
      certificateBoundAccessTokens: settings !== undefined,
      selfSignedTlsClientAuth: settings !== undefined,
      tlsClientAuth: roots.length > 0,
      getCertificate(ctx) {
        const presented = presentedIn(ctx);
        return presented && derToPem('CERTIFICATE', presented.certificate.der);
      },
      certificateAuthorized(ctx) {
        const presented = presentedIn(ctx);
        return presented !== undefined && isAuthorized(presented, roots, clock.now());
      },
      certificateSubjectMatches(ctx, property, expected) {
        const presented = presentedIn(ctx);
        return presented !== undefined && subjectMatches(presented.certificate, property, expected);
      },
    },

    aliases: settings?.origin === undefined ? undefined : aliasesAt(settings.origin),
    senderOf(ctx) {
      const { client } = (ctx as unknown as Partial<KoaContextWithOIDC>).oidc ?? {};
      return client && (isBound(client) || authenticatesByCertificate(client))
        ? thumbprintOf(ctx)
        : undefined;
    },

    check({ metadata }) {
      const method = metadata.token_endpoint_auth_method ?? '';
      const refuse = (description: string): never => {
        throw new errors.InvalidClientMetadata(description);
      };
      if (!settings && METHODS.has(method))
        refuse(`token_endpoint_auth_method ${method} needs mutual TLS, which is not offered here`);
      if (!settings && metadata.tls_client_certificate_bound_access_tokens)
        refuse('tls_client_certificate_bound_access_tokens needs mutual TLS, which is not offered here');
      if (method === 'tls_client_auth' && roots.length === 0)
        refuse('token_endpoint_auth_method tls_client_auth is not offered here: no authority is trusted');
      const subject = metadata.tls_client_auth_subject_dn;
      if (subject !== undefined && parseName(subject) === undefined)
        refuse('tls_client_auth_subject_dn is not a distinguished name as RFC 4514 writes it');
      const { jwks } = metadata;
      if (method === 'self_signed_tls_client_auth' && jwks && !jwks.keys.some((key) => 'x5c' in key))
        refuse('jwks has no key with a certificate (x5c)');
    },

    attach(provider) {
      const prototype = provider.RefreshToken.prototype as unknown as BoundToken;
      const { save } = prototype;
      // RFC 8705, section 7.1: the token of who authenticates by certificate is bound by that, and outlives the certificate's renewal.
      // Of anybody else whose tokens are bound, the library would let a thief bind them to another certificate.
      prototype.save = async function saveBound(ttl) {
        const ctx = Provider.ctx;
        const client = ctx?.oidc.client;
        if (ctx && client && isBound(client) && !authenticatesByCertificate(client))
          this['x5t#S256'] ??= thumbprintOf(ctx);
        return save.call(this, ttl);
      };
    },

    atOrigin(ctx, next) {
      const { origin } = settings ?? {};
      if (origin !== undefined && PROVEN_PATHS.has(ctx.path) && ctx.headers.host === new URL(origin).host)
        speakFor(origin, ctx);
      return next();
    },
  };
}

const isBound = (client: Client) => client.tlsClientCertificateBoundAccessTokens === true;
const authenticatesByCertificate = (client: Client) => METHODS.has(client.clientAuthMethod ?? '');

interface BoundToken {
  'x5t#S256': string | undefined;
  save(ttl?: number): Promise<string>;
}

/** Endpoints that clients reach with their certificate, at the host that asks for it (RFC 8705, section 5). */
function aliasesAt(origin: string): Readonly<Record<string, string>> {
  return {
    token_endpoint: origin + ROUTES.token,
    userinfo_endpoint: origin + ROUTES.userinfo,
    introspection_endpoint: origin + ROUTES.introspection,
    revocation_endpoint: origin + ROUTES.revocation,
    pushed_authorization_request_endpoint: origin + ROUTES.pushed_authorization_request,
    device_authorization_endpoint: origin + ROUTES.device_authorization,
    backchannel_authentication_endpoint: origin + ROUTES.backchannel_authentication,
  };
}

/** Where DPoP proofs are checked, and no address is given out. */
const PROVEN_PATHS: ReadonlySet<string> = new Set([
  ROUTES.token,
  ROUTES.userinfo,
  ROUTES.pushed_authorization_request,
]);

/**
 * What the two headers say. A header that comes twice, is too long, or holds anything but what it should, is no certificate.
 * @param headers Each value apart: joined ones would hide that a header came twice.
 */
export function readPresented(
  headers: NodeJS.Dict<string[]>,
  format: MutualTls['format'],
): Presented | undefined {
  const [value = '', ...others] = headers['client-cert'] ?? [];
  if (value === '' || value.length > MAX_HEADER || others.length > 0) return undefined;
  try {
    if (format === 'urlencoded-pem') {
      const [der, ...more] = pemToDer('CERTIFICATE', decodeURIComponent(value));
      return der && more.length === 0 ? { certificate: parseCertificate(der), chain: [] } : undefined;
    }
    // RFC 9440, section 2.3: a List, which may come in several lines.
    const items = (headers['client-cert-chain'] ?? []).join(',');
    const chain = items.trim() === '' ? [] : items.split(',').map((item) => byteSequence(item));
    if (items.length > 2 * MAX_HEADER || chain.length > MAX_CHAIN) return undefined;
    return {
      certificate: parseCertificate(byteSequence(value)),
      chain: chain.map((der) => parseCertificate(der)),
    };
  } catch {
    return undefined;
  }
}

/** Byte Sequence of RFC 8941, section 3.3.5, without parameters. @throws {TypeError} it is none. */
function byteSequence(item: string): Buffer {
  const [, base64 = ''] = /^[ \t]*:([A-Za-z0-9+/]+={0,2}):[ \t]*$/.exec(item) ?? [];
  const bytes = Buffer.from(base64, 'base64');
  // Only what comes back as it was written was base64; padding may be left out (section 4.2.7).
  const unpadded = (text: string) => text.replace(/=+$/, '');
  if (bytes.length === 0 || unpadded(bytes.toString('base64')) !== unpadded(base64))
    throw new TypeError('not a byte sequence');
  return bytes;
}

/** RFC 5280, section 6.1.3 (a)(2). An expired certificate is none, whoever has signed it. */
function isWithinValidity({ notBefore, notAfter }: Certificate, at: Date): boolean {
  return at >= notBefore && at.getTime() < notAfter.getTime() + 1000;
}

/**
 * Whether an authority that is trusted stands behind the certificate, and made it for this (RFC 8705, section 2.1; RFC 5280, section 6).
 * Revocation is not looked at.
 */
export function isAuthorized(
  { certificate, chain }: Presented,
  roots: readonly Certificate[],
  at: Date,
): boolean {
  const { keyUsage } = certificate.extensions;
  // RFC 8446, section 4.4.2.3: the handshake is signed.
  if (keyUsage && !keyUsage.includes('digitalSignature')) return false;
  const result = buildPath(certificate, chain, roots, at);
  if (!result.ok) return false;
  const [leaf, ...authorities] = result.path;
  const purposesOf = ({ extensions }: Certificate) => extensions.extKeyUsage?.keyPurposeIds;
  return (
    (leaf ? purposesOf(leaf) : undefined)?.includes(CLIENT_AUTH) !== false &&
    // RFC 5280 does not say so, but what an authority may not do itself it cannot give to others, in every program that looks at it.
    authorities.every(
      (authority) =>
        purposesOf(authority)?.some((purpose) => purpose === CLIENT_AUTH || purpose === ANY_PURPOSE) !==
        false,
    )
  );
}

/** Whether the certificate has the one name that is registered (RFC 8705, section 2.1.2). Wildcards have no meaning here. */
export function subjectMatches(certificate: Certificate, property: string, expected: string): boolean {
  const names = certificate.extensions.subjectAltName;
  switch (property) {
    case 'tls_client_auth_subject_dn':
      return matchesName(certificate.subject, expected);
    case 'tls_client_auth_san_dns':
      return names?.dNSName.some((name) => name.toLowerCase() === expected.toLowerCase()) ?? false;
    case 'tls_client_auth_san_uri':
      return names?.uniformResourceIdentifier.includes(expected) ?? false;
    case 'tls_client_auth_san_ip': {
      const address = canonicalAddress(expected);
      return (
        address !== undefined && (names?.iPAddress.some((octets) => addressOf(octets) === address) ?? false)
      );
    }
    case 'tls_client_auth_san_email':
      return names?.rfc822Name.includes(expected) ?? false;
    default:
      return false;
  }
}

function addressOf(octets: Uint8Array): string | undefined {
  const groups = Buffer.from(octets).toString('hex').match(/.{4}/g) ?? [];
  return canonicalAddress(octets.length === 4 ? octets.join('.') : groups.join(':'));
}

/** One spelling of each address. */
function canonicalAddress(text: string): string | undefined {
  return isIP(text) === 6 ? URL.parse(`http://[${text}]`)?.hostname : isIP(text) === 4 ? text : undefined;
}
