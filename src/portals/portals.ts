/** The registry of relying parties. Secrets are kept as digests; records are cached in every process and dropped when one changes. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';

export class PortalError extends AppError<'PORTAL_URI_INVALID' | 'PORTAL_SCOPE_UNKNOWN'> {}

export type PortalState = 'draft' | 'sandbox' | 'approved' | 'suspended';

export interface Portal {
  /** `client_id` (RFC 6749, section 2.2). Chosen at registration, such as `zhejiang`. */
  readonly clientId: string;
  /** By language tag; `zh-CN` is always there. */
  readonly name: Readonly<Record<string, string>>;
  /** Portals of one sector see the same `sub` of a person (OpenID Connect Core 1.0, section 8.1). */
  readonly sector: string;
  readonly state: PortalState;
  /** Where a person goes to begin again. */
  readonly homeUri: string;
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  readonly backchannelLogoutUri: string | undefined;
  /** Scopes that the portal may ask for. */
  readonly scopes: readonly string[];
}

export type PortalRegistration = Omit<Portal, 'state'>;

export interface Portals {
  /**
   * Registers a portal, or brings a registered one to this description.
   * @throws {PortalError} PORTAL_URI_INVALID, PORTAL_SCOPE_UNKNOWN
   */
  register(registration: PortalRegistration, actor: string): Promise<Portal>;
  /** Adds a secret to a portal: 256 random bits, base64url, shown only here. */
  issueSecret(clientId: string): Promise<string>;
  /** The portal if it may be used: approved, or in its sandbox. */
  find(clientId: string): Promise<Portal | undefined>;
  /** Whether `secret` is one of the portal's that has not expired. */
  checkSecret(clientId: string, secret: string): Promise<boolean>;
  /** Every approved portal, for the public list. */
  approved(): Promise<Portal[]>;
}

interface PortalRow {
  client_id: string;
  name: Record<string, string>;
  sector: string;
  state: PortalState;
  home_uri: string;
  redirect_uris: string[];
  post_logout_redirect_uris: string[];
  backchannel_logout_uri: string | null;
  scopes: string[];
}

interface Cached {
  readonly portal: Portal | undefined;
  readonly secrets: readonly { hash: Uint8Array; expiresAt: Date | null }[];
}

const COLUMNS =
  'client_id, name, sector, state, home_uri, redirect_uris, post_logout_redirect_uris, backchannel_logout_uri, scopes';
const CHANNEL = 'portals_changed';
/** Unknown client ids are cached too, so that made-up ones cannot fill the database's day; the bound keeps them from filling memory. */
const CACHE_ENTRIES = 5000;

/** @param scopes Every scope that the provider knows. */
export async function createPortals(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  scopes: readonly string[];
}): Promise<Portals & { stop(): Promise<void> }> {
  const { db, clock, audit } = parts;
  const cache = new Map<string, Promise<Cached>>();
  const stop = await db.listen(CHANNEL, (clientId) => {
    if (clientId === '') cache.clear();
    else cache.delete(clientId);
  });

  function cached(clientId: string): Promise<Cached> {
    const known = cache.get(clientId);
    if (known) return known;
    const loading = load(clientId);
    cache.set(clientId, loading);
    loading.catch(() => cache.delete(clientId));
    const [oldest] = cache.keys();
    if (cache.size > CACHE_ENTRIES && oldest !== undefined) cache.delete(oldest);
    return loading;
  }

  async function load(clientId: string): Promise<Cached> {
    const [row] = await db.query<PortalRow>(
      `SELECT ${COLUMNS} FROM portals WHERE client_id = $1 AND state IN ('approved', 'sandbox')`,
      [clientId],
    );
    const secrets = await db.query<{ hash: Uint8Array; expires_at: Date | null }>(
      'SELECT hash, expires_at FROM portal_secrets WHERE client_id = $1',
      [clientId],
    );
    return {
      portal: row && toPortal(row),
      secrets: secrets.map(({ hash, expires_at }) => ({ hash, expiresAt: expires_at })),
    };
  }

  return {
    async register(registration, actor) {
      validate(registration, parts.scopes);
      const at = clock.now();
      const row = await db.transaction(async (tx) => {
        const [written] = await tx.query<PortalRow & { added: boolean }>(
          `INSERT INTO portals (${COLUMNS}, created_at, updated_at) VALUES ($1, $2, $3, 'approved', $4, $5, $6, $7, $8, $9, $9)
             ON CONFLICT (client_id) DO UPDATE SET name = $2, sector = $3, home_uri = $4, redirect_uris = $5,
               post_logout_redirect_uris = $6, backchannel_logout_uri = $7, scopes = $8, updated_at = $9
             RETURNING ${COLUMNS}, (xmax = 0) AS added`,
          [
            registration.clientId,
            JSON.stringify(registration.name),
            registration.sector,
            registration.homeUri,
            JSON.stringify(registration.redirectUris),
            JSON.stringify(registration.postLogoutRedirectUris),
            registration.backchannelLogoutUri ?? null,
            JSON.stringify(registration.scopes),
            at,
          ],
        );
        if (!written) throw new TypeError('the portal was not written');
        await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, registration.clientId]);
        if (written.added)
          await audit.record(tx, {
            type: 'portal.registered',
            actor,
            subject: registration.clientId,
            detail: { sector: registration.sector },
          });
        return written;
      });
      cache.delete(registration.clientId);
      return toPortal(row);
    },

    async issueSecret(clientId) {
      const secret = randomBytes(32).toString('base64url');
      await db.transaction(async (tx) => {
        await tx.query('INSERT INTO portal_secrets (client_id, hash, created_at) VALUES ($1, $2, $3)', [
          clientId,
          digestOf(secret),
          clock.now(),
        ]);
        await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, clientId]);
      });
      cache.delete(clientId);
      return secret;
    },

    async find(clientId) {
      // Longer texts are nobody's id; they are not worth a place in the cache.
      return clientId.length <= 64 ? (await cached(clientId)).portal : undefined;
    },

    async checkSecret(clientId, secret) {
      const { secrets } = await cached(clientId);
      const given = digestOf(secret);
      const now = clock.now();
      let matches = false;
      for (const { hash, expiresAt } of secrets)
        if (timingSafeEqual(hash, given) && (expiresAt === null || expiresAt > now)) matches = true;
      return matches;
    },

    async approved() {
      const rows = await db.query<PortalRow>(
        `SELECT ${COLUMNS} FROM portals WHERE state = 'approved' ORDER BY client_id`,
      );
      return rows.map(toPortal);
    },

    stop,
  };
}

/** A secret has 256 random bits, so a plain digest is as good as a slow one. */
function digestOf(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

function validate(registration: PortalRegistration, knownScopes: readonly string[]): void {
  const uris = [
    registration.homeUri,
    ...registration.redirectUris,
    ...registration.postLogoutRedirectUris,
    ...(registration.backchannelLogoutUri === undefined ? [] : [registration.backchannelLogoutUri]),
  ];
  for (const uri of uris) {
    const url = URL.parse(uri);
    const loopback = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
    const fits =
      url !== null &&
      (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) &&
      url.hash === '' &&
      url.username === '';
    if (!fits)
      throw new PortalError(
        'PORTAL_URI_INVALID',
        'An address of the portal is not https (or http on loopback), or has a fragment or a user.',
      );
  }
  if (registration.redirectUris.length === 0)
    throw new PortalError('PORTAL_URI_INVALID', 'The portal has no redirect URI.');
  const unknown = registration.scopes.find((scope) => !knownScopes.includes(scope));
  if (unknown !== undefined)
    throw new PortalError('PORTAL_SCOPE_UNKNOWN', 'The portal asks for a scope that does not exist.');
}

function toPortal(row: PortalRow): Portal {
  return {
    clientId: row.client_id,
    name: row.name,
    sector: row.sector,
    state: row.state,
    homeUri: row.home_uri,
    redirectUris: row.redirect_uris,
    postLogoutRedirectUris: row.post_logout_redirect_uris,
    backchannelLogoutUri: row.backchannel_logout_uri ?? undefined,
    scopes: row.scopes,
  };
}

/** The portal's name in a language, or in Chinese where it has none. */
export function portalName(portal: Portal, language: string): string {
  return portal.name[language] ?? portal.name['zh-CN'] ?? portal.clientId;
}
