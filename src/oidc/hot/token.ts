/** POST /token of a portal that authenticates by its secret: redeeming a code, refreshing, and client credentials for a JWT. */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { AdapterPayload } from 'oidc-provider';
import type { Account } from '../../identity/index.ts';
import type { Answer } from '../../platform/http/direct.ts';
import { ORGANISATION_SCOPE } from '../acting.ts';
import { TTL } from '../configuration.ts';
import { grantedScope, type PlainPortal } from './plain.ts';
import { isCurrent, newValue, type Bound, type Room } from './room.ts';

const AUTHENTICATION = ['grant_type', 'client_id', 'client_secret'];
const PARAMETERS: Readonly<Record<string, ReadonlySet<string>>> = {
  authorization_code: new Set([...AUTHENTICATION, 'code', 'redirect_uri', 'code_verifier']),
  refresh_token: new Set([...AUTHENTICATION, 'refresh_token']),
  client_credentials: new Set([...AUTHENTICATION, 'resource', 'scope']),
};
const VERIFIER = /^[\w.~-]{43,128}$/;

type Form = ReadonlyMap<string, string>;

/** The portal whose secret came with the request, if it is a plain one and the secret is right. */
export async function authenticated(
  room: Room,
  headers: IncomingHttpHeaders,
  form: Form,
): Promise<PlainPortal | undefined> {
  if (headers['dpop'] !== undefined || headers['oauth-client-attestation'] !== undefined) return undefined;
  const given = credentials(headers.authorization, form);
  const plain = given && (await room.plain(given.clientId));
  return plain && (await room.portals.checkSecret(given.clientId, given.secret)) ? plain : undefined;
}

/** RFC 6749, section 2.3.1: in one way, not in two. */
function credentials(
  authorization: string | undefined,
  form: Form,
): { clientId: string; secret: string } | undefined {
  const [formId, formSecret] = [form.get('client_id'), form.get('client_secret')];
  if (authorization === undefined)
    return formId === undefined || formSecret === undefined
      ? undefined
      : { clientId: formId, secret: formSecret };
  const encoded = /^basic ([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1 || formSecret !== undefined || /[%+]/.test(text)) return undefined;
  const clientId = text.slice(0, colon);
  return formId === undefined || formId === clientId
    ? { clientId, secret: text.slice(colon + 1) }
    : undefined;
}

export async function token(
  room: Room,
  headers: IncomingHttpHeaders,
  form: Form,
): Promise<Answer | undefined> {
  const grantType = form.get('grant_type') ?? '';
  const allowed = PARAMETERS[grantType];
  if (!allowed || [...form].some(([name, value]) => !allowed.has(name) || value === '')) return undefined;
  const plain = await authenticated(room, headers, form);
  if (!plain?.grantTypes.has(grantType)) return undefined;
  switch (grantType) {
    case 'authorization_code':
      return redeem(room, plain, form);
    case 'refresh_token':
      return refresh(room, plain, form);
    default:
      return clientCredentials(room, plain, form);
  }
}

/** What a code and a refresh token carry on to the tokens that come of them. */
interface Source extends Bound {
  readonly scope: string;
  readonly acr?: string;
  readonly amr?: readonly string[];
  readonly authTime?: number;
  readonly nonce?: string;
  readonly sid?: string;
  readonly iiat?: number;
  readonly rotations?: number;
}

/** @returns the source if there is nothing about it beyond the plain case. */
function plainSource(payload: Readonly<AdapterPayload>): Source | undefined {
  const { claims, resource, rar, dpopJkt, jkt } = payload as Record<string, unknown>;
  const { clientId, accountId, grantId, scope } = payload;
  const plain =
    [claims, resource, rar, dpopJkt, jkt, payload['x5t#S256']].every((value) => value === undefined) &&
    [clientId, accountId, grantId].every((value) => typeof value === 'string') &&
    // Without it there is no ID token to give.
    scope?.split(' ').includes('openid') === true &&
    !scope.split(' ').includes(ORGANISATION_SCOPE);
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- its members have just been looked at
  return plain ? (payload as unknown as Source) : undefined;
}

async function redeem(room: Room, plain: PlainPortal, form: Form): Promise<Answer | undefined> {
  const [code, redirectUri, verifier] = [
    form.get('code'),
    form.get('redirect_uri'),
    form.get('code_verifier'),
  ];
  if (code === undefined || redirectUri === undefined || verifier === undefined) return undefined;
  const found = await room.records.find('AuthorizationCode', code);
  const source = found && plainSource(found.payload);
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  if (
    !found ||
    !source ||
    found.consumedAt !== undefined ||
    source.clientId !== plain.portal.clientId ||
    !isCurrent(found, plain.portal, room.now()) ||
    found.payload['redirectUri'] !== redirectUri ||
    !VERIFIER.test(verifier) ||
    found.payload['codeChallengeMethod'] !== 'S256' ||
    found.payload['codeChallenge'] !== challenge
  )
    return undefined;
  return issue(room, plain, source, {
    gty: 'authorization_code',
    consume: (at) => room.records.consume('AuthorizationCode', code, at),
    rotation: undefined,
  });
}

async function refresh(room: Room, plain: PlainPortal, form: Form): Promise<Answer | undefined> {
  const shown = form.get('refresh_token');
  const found = shown === undefined ? undefined : await room.records.find('RefreshToken', shown);
  const source = found && plainSource(found.payload);
  if (
    shown === undefined ||
    !source ||
    found.consumedAt !== undefined ||
    source.clientId !== plain.portal.clientId ||
    !isCurrent(found, plain.portal, room.now())
  )
    return undefined;
  const { gty = '' } = found.payload as { gty?: string };
  return issue(room, plain, source, {
    gty: gty.endsWith('refresh_token') ? gty : `${gty} refresh_token`,
    consume: (at) => room.records.consume('RefreshToken', shown, at),
    rotation: { shown, number: (source.rotations ?? 0) + 1 },
  });
}

/**
 * Writes the new tokens in the same breath in which the old thing is consumed and what it rests on is read: one way to the store and back.
 * If it was consumed by another, or rests on nothing any more, what was written is taken back before anyone has seen it.
 */
async function issue(
  room: Room,
  plain: PlainPortal,
  source: Source,
  options: {
    readonly gty: string;
    readonly consume: (at: number) => Promise<boolean>;
    readonly rotation: { readonly shown: string; readonly number: number } | undefined;
  },
): Promise<Answer | undefined> {
  const { records } = room;
  const { gty, rotation } = options;
  const account = await room.accounts.account(source.accountId);
  if (!account) return undefined;
  const now = room.now();
  const accessToken = newValue();
  const refreshToken = plain.grantTypes.has('refresh_token') ? newValue() : undefined;
  const refreshSeconds = source.expiresWithSession === true ? TTL.Session : TTL.OfflineRefreshToken;
  const common = {
    iat: now,
    clientId: source.clientId,
    accountId: source.accountId,
    grantId: source.grantId,
    scope: source.scope,
    sessionUid: source.sessionUid,
    sessionKey: source.sessionKey,
    expiresWithSession: source.expiresWithSession,
    gty,
    sid: source.sid,
  };
  const [consumed, grant, holds] = await Promise.all([
    options.consume(room.instant()),
    room.grant(source.grantId, source.clientId, source.accountId),
    room.holds(source),
    records.put(
      'AccessToken',
      accessToken,
      { ...common, kind: 'AccessToken', exp: now + TTL.AccessToken },
      TTL.AccessToken,
    ),
    refreshToken === undefined
      ? undefined
      : records.put(
          'RefreshToken',
          refreshToken,
          {
            ...common,
            kind: 'RefreshToken',
            exp: now + refreshSeconds,
            iiat: source.iiat ?? now,
            rotations: rotation?.number ?? 0,
            acr: source.acr,
            amr: source.amr,
            authTime: source.authTime,
            nonce: source.nonce,
          },
          refreshSeconds,
        ),
  ]);
  const scope = grant && grantedScope(grant, new Set(source.scope.split(' ')));
  if (!consumed || !grant || !holds || scope !== source.scope) {
    await Promise.all([
      records.remove('AccessToken', accessToken),
      refreshToken === undefined ? undefined : records.remove('RefreshToken', refreshToken),
    ]);
    // The library meets what was used twice, or ended meanwhile, and does what is to be done.
    return undefined;
  }
  const body = {
    access_token: accessToken,
    expires_in: TTL.AccessToken,
    id_token: await idToken(room, plain, source, account),
    refresh_token: refreshToken,
    scope,
    token_type: 'Bearer',
  };
  if (rotation) await room.refreshGrace.keep(rotation.shown, { body, sender: undefined });
  return json(body);
}

async function idToken(
  room: Room,
  { portal }: PlainPortal,
  source: Source,
  account: Account,
): Promise<string> {
  const now = room.now();
  const payload = {
    sub: await room.subjects.subjectOf(account.id, portal.sector),
    auth_time: source.authTime,
    acr: source.acr,
    amr: source.amr,
    nonce: source.nonce,
    sid: source.sid,
    aud: portal.clientId,
    exp: now + TTL.IdToken,
    iat: now,
    iss: room.issuer,
  };
  return room.signedJwt({ alg: room.key.alg, kid: room.key.kid }, payload);
}

/** RFC 6749, section 4.4, with a JWT access token (RFC 9068) for one resource (RFC 8707). */
async function clientCredentials(
  room: Room,
  { portal }: PlainPortal,
  form: Form,
): Promise<Answer | undefined> {
  const indicator = form.get('resource');
  const resource = indicator === undefined ? undefined : room.resources.find(indicator);
  const allowed = indicator === undefined ? undefined : portal.resources[indicator];
  if (!resource || !allowed || resource.tokenFormat !== 'jwt') return undefined;
  const asked = form.get('scope')?.split(' ') ?? [];
  const granted = asked.filter((scope) => allowed.includes(scope) && scope in resource.scopes);
  // Scopes of OpenID Connect's own are the library's to judge.
  if (granted.length < asked.length) return undefined;
  const now = room.now();
  const scope = granted.length > 0 ? granted.join(' ') : undefined;
  const accessToken = await room.signedJwt(
    { alg: room.key.alg, typ: 'at+jwt', kid: room.key.kid },
    {
      jti: newValue(),
      sub: portal.clientId,
      iat: now,
      exp: now + resource.tokenSeconds,
      scope,
      client_id: portal.clientId,
      iss: room.issuer,
      aud: indicator,
    },
  );
  return json({ access_token: accessToken, expires_in: resource.tokenSeconds, scope, token_type: 'Bearer' });
}

export function json(body: object): Answer {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: JSON.stringify(body),
  };
}
