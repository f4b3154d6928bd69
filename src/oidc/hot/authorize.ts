/** GET /authorize of a person who is signed in and has agreed before, by the plain request: a code, without a page. */
import { decide } from '../../identity/index.ts';
import type { CookieKeys } from '../../platform/http/cookie-keys.ts';
import type { Answer } from '../../platform/http/direct.ts';
import { TTL } from '../configuration.ts';
import type { SessionFactors } from '../policy.ts';
import { keyOf } from '../records.ts';
import { grantedScope } from './plain.ts';
import { newValue, type Room } from './room.ts';

const PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'response_type',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'prompt',
]);
const CHALLENGE = /^[\w-]{43}$/;
/** A session that was saved longer ago than this is saved again, so that it goes on: by the library. Seconds. */
const SAVED_WITHIN = 600;

export interface CookieReader {
  /** The value of a signed cookie, if its signature is one of ours. */
  read(header: string, name: string): string | undefined;
}

/** Cookies as Koa's `cookies` signs them: over `name=value`, in `<name>.sig`. */
export function createCookieReader(keys: CookieKeys): CookieReader {
  const valueOf = (header: string, name: string): string | undefined => {
    for (const part of header.split(';')) {
      const equals = part.indexOf('=');
      if (equals > 0 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim();
    }
    return undefined;
  };
  return {
    read(header, name) {
      const value = valueOf(header, name);
      if (value === undefined) return undefined;
      return keys.verify(`${name}=${value}`, valueOf(header, `${name}.sig`) ?? '') ? value : undefined;
    },
  };
}

export async function authorize(
  room: Room,
  query: URLSearchParams,
  sessionId: string | undefined,
): Promise<Answer | undefined> {
  const request = readRequest(query);
  if (!request || sessionId === undefined) return undefined;
  const now = room.now();
  const sessionKey = keyOf(sessionId);
  // Where this session's grant lay last time is asked for at the same time; the session says whether it is still the one.
  const hint = `${sessionKey} ${request.clientId}`;
  const expected = room.grantOf.get(hint);
  const [plain, session, prefetched] = await Promise.all([
    room.plain(request.clientId),
    room.records.session(sessionKey, request.clientId),
    expected === undefined ? undefined : room.records.find('Grant', expected),
  ]);
  if (!plain || !session?.entry) return undefined;
  const { portal } = plain;
  const { body, entry } = session;
  const { accountId, uid, loginTs, exp = 0, amr } = body;
  const { grantId, sid } = entry;
  if (
    !plain.grantTypes.has('authorization_code') ||
    !plain.redirectUris.has(request.redirectUri) ||
    [...request.scopes].some((scope) => !plain.scopes.has(scope)) ||
    accountId === undefined ||
    uid === undefined ||
    grantId === undefined ||
    sid === undefined ||
    exp - now < TTL.Session - SAVED_WITHIN
  )
    return undefined;

  const [account, grant] = await Promise.all([
    room.accounts.account(accountId),
    room.grant(grantId, portal.clientId, accountId, expected === grantId ? prefetched : undefined),
  ]);
  if (!account || !grant || grant.rar) return undefined;
  room.grantOf.set(hint, grantId);
  const scope = grantedScope(grant, request.scopes);
  const factors = (body as SessionFactors).factors ?? {};
  const decision = decide({ levels: [], essential: false, minimum: portal.minimumAcr }, account, factors, {
    now,
    interactive: false,
  });
  if (scope === undefined || decision.kind !== 'reached') return undefined;

  const code = newValue();
  await room.records.put(
    'AuthorizationCode',
    code,
    {
      iat: now,
      exp: now + TTL.AuthorizationCode,
      kind: 'AuthorizationCode',
      clientId: portal.clientId,
      accountId,
      grantId,
      scope,
      sessionUid: uid,
      sessionKey,
      expiresWithSession: true,
      acr: decision.acr,
      amr,
      authTime: loginTs,
      nonce: request.nonce,
      redirectUri: request.redirectUri,
      codeChallenge: request.codeChallenge,
      codeChallengeMethod: 'S256',
      ...(plain.sid ? { sid } : {}),
    },
    TTL.AuthorizationCode,
  );
  const location = new URL(request.redirectUri);
  location.searchParams.set('code', code);
  if (request.state !== undefined) location.searchParams.set('state', request.state);
  // RFC 9207.
  location.searchParams.set('iss', room.issuer);
  return { status: 303, headers: { Location: location.href } };
}

interface PlainRequest {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly scopes: ReadonlySet<string>;
  readonly state: string | undefined;
  readonly nonce: string | undefined;
  readonly codeChallenge: string;
}

/** @returns undefined for a request with anything beyond the plain case, which the library then judges. */
function readRequest(query: URLSearchParams): PlainRequest | undefined {
  const seen = new Set<string>();
  for (const [name, value] of query) {
    if (!PARAMETERS.has(name) || seen.has(name) || value === '') return undefined;
    seen.add(name);
  }
  const clientId = query.get('client_id');
  const redirectUri = query.get('redirect_uri');
  const codeChallenge = query.get('code_challenge');
  const scopes = new Set(query.get('scope')?.split(' '));
  const prompt = query.get('prompt');
  if (
    clientId === null ||
    redirectUri === null ||
    codeChallenge === null ||
    !CHALLENGE.test(codeChallenge) ||
    query.get('code_challenge_method') !== 'S256' ||
    query.get('response_type') !== 'code' ||
    (prompt !== null && prompt !== 'none') ||
    !scopes.has('openid') ||
    scopes.has('offline_access')
  )
    return undefined;
  return {
    clientId,
    redirectUri,
    scopes,
    state: query.get('state') ?? undefined,
    nonce: query.get('nonce') ?? undefined,
    codeChallenge,
  };
}
