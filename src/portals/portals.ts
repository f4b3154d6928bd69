/** The registry of relying parties. Secrets are kept as digests; records are cached in every process and dropped when one changes. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import { only, type Db } from '../platform/db/db.ts';
import { AppError } from '../platform/errors.ts';
import type { PortalProfile } from './profiles.ts';
import {
  CLIENT_ID,
  portalRegistration,
  type ClientMetadata,
  type PortalRegistration,
} from './registration.ts';

export class PortalError extends AppError<'PORTAL_INVALID' | 'PORTAL_SCOPE_UNKNOWN' | 'PORTAL_NOT_FOUND'> {}

/** Only `sandbox` and `approved` portals can be used; people are told when they meet one in its sandbox. */
export type PortalState = 'draft' | 'sandbox' | 'approved' | 'suspended';

/** Text by language tag; `zh-CN` is always there. */
export type ByLanguage = Readonly<Record<string, string>>;

export interface Portal {
  /** `client_id` (RFC 6749, section 2.2). Chosen at registration, such as `zhejiang`. */
  readonly clientId: string;
  readonly name: ByLanguage;
  /** Portals of one sector see the same `sub` of a person (OpenID Connect Core 1.0, section 8.1). */
  readonly sector: string;
  readonly state: PortalState;
  /** GB/T 2260, of a regional portal. */
  readonly region: string | undefined;
  /** Of a departmental portal. */
  readonly department: string | undefined;
  readonly profile: PortalProfile;
  /** Whether every request must carry PKCE. */
  readonly codeChallenge: 'required' | 'optional';
  /** No one reaches the portal below this level of assurance. */
  readonly minimumAcr: string | undefined;
  /** Where a person goes to begin again. */
  readonly homeUri: string;
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  readonly backchannelLogoutUri: string | undefined;
  /** Scopes that the portal may ask for. */
  readonly scopes: readonly string[];
  /** Scopes of resource servers that it may ask for, by resource indicator. */
  readonly resources: Readonly<Record<string, readonly string[]>>;
  /** Claims that it may ask for one by one, besides those of its scopes. */
  readonly claims: readonly string[];
  /** Claims that a person may refuse. */
  readonly optionalClaims: readonly string[];
  /** What an operator allows it beyond its scopes. */
  readonly entitlements: readonly ('id-number' | 'verified-claims')[];
  /** Why it asks, by scope or claim. */
  readonly purposes: Readonly<Record<string, ByLanguage>>;
  readonly contacts: readonly string[];
  readonly logoUri: string | undefined;
  /** Further client metadata. */
  readonly metadata: ClientMetadata;
  /** What was issued to the portal before this is void. */
  readonly validFrom: Date | undefined;
}

export interface Portals {
  /**
   * Registers a portal, or brings a registered one to this description.
   * @param options.state State of a portal that is new; default `approved`.
   * @throws {PortalError} PORTAL_INVALID with what is wrong; PORTAL_SCOPE_UNKNOWN
   */
  register(
    registration: PortalRegistration,
    actor: string,
    options?: { readonly state?: PortalState },
  ): Promise<Portal>;
  /**
   * Changes the state. Suspending ends what the portal holds: no token that it was given before works again, even after it returns.
   * @throws {PortalError} PORTAL_NOT_FOUND
   */
  setState(clientId: string, state: PortalState, actor: string): Promise<void>;
  /**
   * Adds a secret to a portal: 256 random bits, base64url, shown only here.
   * @param options.othersExpireAfter Seconds after which the secrets it has now stop working; by default they keep working.
   */
  issueSecret(clientId: string, options?: { readonly othersExpireAfter?: number }): Promise<string>;
  /** Stores a secret that was made elsewhere, as dynamic registration does. */
  addSecret(clientId: string, secret: string): Promise<void>;
  /** The portal if it may be used. The same object until it changes, so that what is derived from it can be kept with it. */
  find(clientId: string): Promise<Portal | undefined>;
  /** Whether `secret` is one of the portal's that has not expired. */
  checkSecret(clientId: string, secret: string): Promise<boolean>;
  /** Every approved portal, for the public list. */
  approved(): Promise<Portal[]>;
  /** Every portal in any state, for operators. */
  all(): Promise<Portal[]>;
}

interface PortalRow {
  client_id: string;
  name: Record<string, string>;
  sector: string;
  state: PortalState;
  region: string | null;
  department: string | null;
  profile: PortalProfile;
  code_challenge: 'required' | 'optional';
  minimum_acr: string | null;
  home_uri: string;
  redirect_uris: string[];
  post_logout_redirect_uris: string[];
  backchannel_logout_uri: string | null;
  scopes: string[];
  resources: Record<string, string[]>;
  claims: string[];
  optional_claims: string[];
  entitlements: Portal['entitlements'];
  purposes: Record<string, Record<string, string>>;
  contacts: string[];
  logo_uri: string | null;
  metadata: ClientMetadata;
  valid_from: Date | null;
}

interface Cached {
  readonly portal: Portal | undefined;
  readonly secrets: readonly { hash: Uint8Array; expiresAt: Date | null }[];
}

/** Columns that a registration writes, in the order of its parameters. */
const WRITTEN = [
  'client_id',
  'name',
  'sector',
  'region',
  'department',
  'profile',
  'code_challenge',
  'minimum_acr',
  'home_uri',
  'redirect_uris',
  'post_logout_redirect_uris',
  'backchannel_logout_uri',
  'scopes',
  'resources',
  'claims',
  'optional_claims',
  'entitlements',
  'purposes',
  'contacts',
  'logo_uri',
  'metadata',
  'updated_at',
];
const COLUMNS = [...WRITTEN.slice(0, -1), 'state', 'valid_from'].join(', ');
const UPSERT = `
  INSERT INTO portals (${WRITTEN.join(', ')}, state, created_at)
    VALUES (${WRITTEN.map((_, i) => `$${i + 1}`).join(', ')}, $${WRITTEN.length + 1}, $${WRITTEN.length})
    ON CONFLICT (client_id) DO UPDATE SET ${WRITTEN.slice(1)
      .map((column) => `${column} = EXCLUDED.${column}`)
      .join(', ')}
    RETURNING ${COLUMNS}, (xmax = 0) AS added`;
const CHANNEL = 'portals_changed';
/** Unknown client ids are cached too, so that made-up ones cannot fill the database's day; the bound keeps them from filling memory. */
const CACHE_ENTRIES = 5000;

/** @param scopes Every scope that the provider knows. */
export async function createPortals(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  scopes: readonly string[];
  /** Portals that are part of the service and in no table; nobody else can register under their ids. */
  builtIn?: readonly Portal[];
  /** Throws if the provider cannot serve a portal so described. */
  check?: (portal: Portal) => void;
}): Promise<Portals & { stop(): Promise<void> }> {
  const { db, clock, audit } = parts;
  const builtIn = new Map(parts.builtIn?.map((portal) => [portal.clientId, portal]));
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

  function parse(registration: PortalRegistration): z.output<typeof portalRegistration> {
    const result = portalRegistration.safeParse(registration);
    if (!result.success) {
      const problems = result.error.issues.map(
        (issue) => `${issue.path.join('.') || 'it'}: ${issue.message}`,
      );
      throw new PortalError('PORTAL_INVALID', `The portal cannot be registered. ${problems.join('; ')}`);
    }
    if (builtIn.has(result.data.clientId))
      throw new PortalError('PORTAL_INVALID', 'The portal cannot be registered. clientId: is reserved');
    if (result.data.scopes.some((scope) => !parts.scopes.includes(scope)))
      throw new PortalError('PORTAL_SCOPE_UNKNOWN', 'The portal asks for a scope that does not exist.');
    return result.data;
  }

  function checkWithProvider(portal: Portal): void {
    try {
      parts.check?.(portal);
    } catch (error) {
      // OpenID Connect Dynamic Client Registration 1.0, section 3.3: what is wrong with client metadata is said in these two members.
      const { error: code, error_description: description } = error as {
        error?: unknown;
        error_description?: unknown;
      };
      if (typeof code !== 'string' || typeof description !== 'string') throw error;
      throw new PortalError('PORTAL_INVALID', `The portal cannot be registered. ${description}`, {
        cause: error,
      });
    }
  }

  async function addSecret(clientId: string, secret: string, othersExpireAfter?: number): Promise<void> {
    const now = clock.now();
    await db.transaction(async (tx) => {
      if (othersExpireAfter !== undefined)
        await tx.query('UPDATE portal_secrets SET expires_at = LEAST(expires_at, $2) WHERE client_id = $1', [
          clientId,
          new Date(now.getTime() + othersExpireAfter * 1000),
        ]);
      await tx.query('INSERT INTO portal_secrets (client_id, hash, created_at) VALUES ($1, $2, $3)', [
        clientId,
        digestOf(secret),
        now,
      ]);
      await audit.record(tx, {
        type: 'portal.secret-issued',
        actor: 'system',
        subject: clientId,
        detail: { othersExpireAfter: othersExpireAfter ?? null },
      });
      await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, clientId]);
    });
    cache.delete(clientId);
  }

  return {
    async register(registration, actor, { state = 'approved' } = {}) {
      const r = parse(registration);
      const values = [
        r.clientId,
        JSON.stringify(r.name),
        r.sector,
        r.region ?? null,
        r.department ?? null,
        r.profile,
        r.codeChallenge,
        r.minimumAcr ?? null,
        r.homeUri,
        JSON.stringify(r.redirectUris),
        JSON.stringify(r.postLogoutRedirectUris),
        r.backchannelLogoutUri ?? null,
        JSON.stringify(r.scopes),
        JSON.stringify(r.resources),
        JSON.stringify(r.claims),
        JSON.stringify(r.optionalClaims),
        JSON.stringify(r.entitlements),
        JSON.stringify(r.purposes),
        JSON.stringify(r.contacts),
        r.logoUri ?? null,
        JSON.stringify(r.metadata),
        clock.now(),
        state,
      ];
      const row = await db.transaction(async (tx) => {
        const [before] = await tx.query<PortalRow>(`SELECT ${COLUMNS} FROM portals WHERE client_id = $1`, [
          r.clientId,
        ]);
        const written = only(await tx.query<PortalRow & { added: boolean }>(UPSERT, values));
        if (before && isDeepStrictEqual(toPortal(before), toPortal(written))) return written;
        checkWithProvider(toPortal(written));
        await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, r.clientId]);
        await audit.record(tx, {
          type: written.added ? 'portal.registered' : 'portal.changed',
          actor,
          subject: r.clientId,
          detail: { sector: r.sector, profile: r.profile, state: written.state },
        });
        return written;
      });
      cache.delete(r.clientId);
      return toPortal(row);
    },

    async setState(clientId, state, actor) {
      await db.transaction(async (tx) => {
        const [row] = await tx.query(
          `UPDATE portals SET state = $2, updated_at = $3,
             valid_from = CASE WHEN $2 = 'suspended' THEN $3 ELSE valid_from END
           WHERE client_id = $1 RETURNING client_id`,
          [clientId, state, clock.now()],
        );
        if (!row) throw new PortalError('PORTAL_NOT_FOUND', 'There is no such portal.');
        await audit.record(tx, {
          type: 'portal.state-changed',
          actor,
          subject: clientId,
          detail: { state },
        });
        await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, clientId]);
      });
      cache.delete(clientId);
    },

    async issueSecret(clientId, { othersExpireAfter } = {}) {
      const secret = randomBytes(32).toString('base64url');
      await addSecret(clientId, secret, othersExpireAfter);
      return secret;
    },
    addSecret: (clientId, secret) => addSecret(clientId, secret),

    async find(clientId) {
      const own = builtIn.get(clientId);
      if (own) return own;
      // Other texts are nobody's id; they are not worth a place in the cache, and some the database would not take.
      return CLIENT_ID.test(clientId) ? (await cached(clientId)).portal : undefined;
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

    async all() {
      return (await db.query<PortalRow>(`SELECT ${COLUMNS} FROM portals ORDER BY client_id`)).map(toPortal);
    },

    stop,
  };
}

/** A secret has 256 random bits, so a plain digest is as good as a slow one. */
function digestOf(secret: string): Uint8Array {
  return createHash('sha256').update(secret).digest();
}

function toPortal(row: PortalRow): Portal {
  return {
    clientId: row.client_id,
    name: row.name,
    sector: row.sector,
    state: row.state,
    region: row.region ?? undefined,
    department: row.department ?? undefined,
    profile: row.profile,
    codeChallenge: row.code_challenge,
    minimumAcr: row.minimum_acr ?? undefined,
    homeUri: row.home_uri,
    redirectUris: row.redirect_uris,
    postLogoutRedirectUris: row.post_logout_redirect_uris,
    backchannelLogoutUri: row.backchannel_logout_uri ?? undefined,
    scopes: row.scopes,
    resources: row.resources,
    claims: row.claims,
    optionalClaims: row.optional_claims,
    entitlements: row.entitlements,
    purposes: row.purposes,
    contacts: row.contacts,
    logoUri: row.logo_uri ?? undefined,
    metadata: row.metadata,
    validFrom: row.valid_from ?? undefined,
  };
}

/** The portal's name in a language, or in Chinese where it has none. */
export function portalName(portal: Portal, language: string): string {
  return portal.name[language] ?? portal.name['zh-CN'] ?? portal.clientId;
}
