/** Userinfo and introspection of plain access tokens. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Answer } from '../../platform/http/direct.ts';
import type { Portal } from '../../portals/index.ts';
import { ORGANISATION_SCOPE } from '../acting.ts';
import { claimsOf, isOfAccount } from '../scopes.ts';
import { releasedClaims, type GrantPayload } from './plain.ts';
import { isCurrent, type Bound, type Room } from './room.ts';
import { authenticated, json } from './token.ts';

const BEARER = /^bearer ([\w-]{43})$/i;
const INTROSPECTION: ReadonlySet<string> = new Set([
  'token',
  'token_type_hint',
  'client_id',
  'client_secret',
]);

interface PlainToken {
  readonly clientId: string;
  readonly accountId: string;
  readonly portal: Portal;
  readonly grant: GrantPayload;
  readonly scope: string;
  readonly exp: number;
  readonly iat: number;
  readonly sid?: string | undefined;
}

/** An opaque access token for userinfo, with all that it rests on; nothing for any other, good or bad. */
async function plainToken(room: Room, value: string): Promise<PlainToken | undefined> {
  const found = await room.records.find('AccessToken', value);
  if (!found) return undefined;
  const { payload } = found;
  const { clientId, accountId, grantId, scope, exp, iat } = payload;
  const { sid } = payload as { sid?: string };
  const unusual = ['claims', 'aud', 'rar', 'jkt', 'x5t#S256'].some(
    (member) => (payload as Record<string, unknown>)[member] !== undefined,
  );
  if (
    unusual ||
    clientId === undefined ||
    accountId === undefined ||
    grantId === undefined ||
    scope === undefined ||
    scope.split(' ').includes(ORGANISATION_SCOPE) ||
    exp === undefined ||
    iat === undefined
  )
    return undefined;
  const portal = (await room.plain(clientId))?.portal;
  if (!portal || !isCurrent(found, portal, room.now())) return undefined;
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- its members have just been looked at
  const bound = payload as unknown as Bound;
  const [grant, holds] = await Promise.all([room.grant(grantId, clientId, accountId), room.holds(bound)]);
  return grant && holds ? { clientId, accountId, portal, grant, scope, exp, iat, sid } : undefined;
}

/** OpenID Connect Core 1.0, section 5.3. */
export async function userinfo(room: Room, headers: IncomingHttpHeaders): Promise<Answer | undefined> {
  const value = headers['dpop'] === undefined ? BEARER.exec(headers.authorization ?? '')?.[1] : undefined;
  const token = value === undefined ? undefined : await plainToken(room, value);
  const account = token && (await room.accounts.account(token.accountId));
  if (!token || !account || !token.scope.split(' ').includes('openid')) return undefined;
  const released = releasedClaims(token.scope, token.grant);
  // What has to be read besides is the library's to ask for.
  if (![...released].every(isOfAccount)) return undefined;
  const claims: Record<string, unknown> = {};
  for (const [name, claim] of Object.entries(claimsOf(account))) if (released.has(name)) claims[name] = claim;
  [claims['sub']] = await Promise.all([
    room.subjects.subjectOf(account.id, token.portal.sector),
    room.releases.record({
      accountId: account.id,
      clientId: token.clientId,
      way: 'userinfo',
      claims: Object.keys(claims),
    }),
  ]);
  return json(claims);
}

/** RFC 7662: a portal's own access token, or anything else that the library knows better. */
export async function introspect(
  room: Room,
  headers: IncomingHttpHeaders,
  form: ReadonlyMap<string, string>,
): Promise<Answer | undefined> {
  const value = form.get('token');
  const signed = headers.accept?.includes('token-introspection+jwt') === true;
  if (value === undefined || signed || [...form.keys()].some((name) => !INTROSPECTION.has(name)))
    return undefined;
  const plain = await authenticated(room, headers, form);
  const token = plain && (await plainToken(room, value));
  if (!token || token.clientId !== plain.portal.clientId) return undefined;
  const account = await room.accounts.account(token.accountId);
  if (!account) return undefined;
  return json({
    active: true,
    sub: await room.subjects.subjectOf(account.id, token.portal.sector),
    client_id: token.clientId,
    exp: token.exp,
    iat: token.iat,
    sid: token.sid,
    iss: room.issuer,
    scope: token.scope,
    token_type: 'Bearer',
  });
}
