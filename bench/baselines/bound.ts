/**
 * The other end of the scale: the least work that a sign-in through an open session can be, by hand on node:http and Redis. It checks what
 * must be checked, knows one client, takes the first visit for a sign-in, and is no product: it shows where the floor is.
 *
 * Redis: authorize = GET session, SET code; token = GETDEL code, then the token and its index in one go. One ES256 signature.
 */
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { createClient } from 'redis';

const {
  ISSUER: issuer = '',
  PORT = '',
  REDIS_URL = '',
  CLIENT_ID = '',
  CLIENT_SECRET = '',
  REDIRECT_URI = '',
} = process.env;
const redis = createClient({ url: REDIS_URL, commandOptions: { timeout: 0 } });
await redis.connect();

interface Session {
  readonly sub: string;
  readonly at: number;
}
interface Code extends Session {
  readonly redirectUri: string | null;
  readonly challenge: string | null;
  readonly nonce: string | null;
  readonly scope: string | null;
  readonly sid: string;
}

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const cookieKey = randomBytes(32);
const clientSecret = sha256(CLIENT_SECRET);
const jwks = JSON.stringify({
  keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'ES256' }],
});
const jwsHeader = base64url({ alg: 'ES256', typ: 'JWT', kid: 'k1' });
const metadata = JSON.stringify({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/jwks`,
  response_types_supported: ['code'],
  grant_types_supported: ['authorization_code'],
});
const seconds = (value: number) => ({ expiration: { type: 'EX' as const, value } });

async function authorize(request: IncomingMessage, response: ServerResponse, query: URLSearchParams) {
  if (
    query.get('client_id') !== CLIENT_ID ||
    query.get('redirect_uri') !== REDIRECT_URI ||
    query.get('response_type') !== 'code' ||
    query.get('code_challenge_method') !== 'S256' ||
    !query.get('scope')?.includes('openid')
  )
    return answer(response, 400, '{"error":"invalid_request"}');
  const headers: Record<string, string> = { 'cache-control': 'no-store' };
  let sid = /(?:^|; )sid=([^.;]+)\.([^;]+)/.exec(request.headers.cookie ?? '')?.slice(1);
  let json = sid && same(mac(sid[0]), sid[1]) ? await redis.get(`bound:session:${sid[0]}`) : null;
  if (json === null) {
    sid = [id()];
    json = JSON.stringify({ sub: id(), at: now() } satisfies Session);
    await redis.set(`bound:session:${sid[0]}`, json, seconds(86_400));
    headers['set-cookie'] = `sid=${sid[0]}.${mac(sid[0])}; Path=/; HttpOnly; SameSite=Lax`;
  }
  const code = id();
  const kept: Code = {
    ...(JSON.parse(json) as Session),
    redirectUri: query.get('redirect_uri'),
    challenge: query.get('code_challenge'),
    nonce: query.get('nonce'),
    scope: query.get('scope'),
    sid: sid?.[0] ?? '',
  };
  await redis.set(`bound:code:${code}`, JSON.stringify(kept), seconds(60));
  const callback = { code, state: query.get('state') ?? '', iss: issuer };
  headers['location'] = `${REDIRECT_URI}?${new URLSearchParams(callback).toString()}`;
  response.writeHead(303, headers).end();
}

async function token(request: IncomingMessage, response: ServerResponse) {
  const form = new URLSearchParams(await text(request));
  const pair = Buffer.from((request.headers.authorization ?? '').slice(6), 'base64')
    .toString()
    .split(':');
  const [clientId, secret = ''] = pair.map(decodeURIComponent);
  if (clientId !== CLIENT_ID || !timingSafeEqual(sha256(secret), clientSecret))
    return answer(response, 401, '{"error":"invalid_client"}');
  const json = await redis.getDel(`bound:code:${form.get('code')}`);
  const code = json === null ? undefined : (JSON.parse(json) as Code);
  const challenge = sha256(form.get('code_verifier') ?? '').toString('base64url');
  if (code?.redirectUri !== form.get('redirect_uri') || code?.challenge !== challenge)
    return answer(response, 400, '{"error":"invalid_grant"}');
  const accessToken = id();
  const record = `bound:token:${accessToken}`;
  const index = `bound:grant:${code.sid}`;
  const { sub, scope, sid, at, nonce } = code;
  await Promise.all([
    redis.set(record, JSON.stringify({ clientId, sub, scope, sid }), seconds(3600)),
    redis.sAdd(index, record),
    redis.expire(index, 3600),
  ]);
  const claims = base64url({
    iss: issuer,
    sub,
    aud: clientId,
    exp: now() + 3600,
    iat: now(),
    auth_time: at,
    nonce,
    at_hash: sha256(accessToken).subarray(0, 16).toString('base64url'),
  });
  const signed = `${jwsHeader}.${claims}`;
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const tokens = {
    access_token: accessToken,
    token_type: 'Bearer',
    expires_in: 3600,
    scope,
    id_token: `${signed}.${signature.toString('base64url')}`,
  };
  answer(response, 200, JSON.stringify(tokens));
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  switch (path) {
    case '/authorize':
      return authorize(request, response, new URLSearchParams(query));
    case '/token':
      return token(request, response);
    case '/.well-known/openid-configuration':
      return answer(response, 200, metadata);
    case '/jwks':
      return answer(response, 200, jwks);
    default:
      return answer(response, 404, '{}');
  }
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}

function id(): string {
  return randomBytes(32).toString('base64url');
}

function mac(value = ''): string {
  return createHmac('sha256', cookieKey).update(value).digest('base64url');
}

function same(a: string, b = ''): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  handle(request, response).catch(() => answer(response, 500, '{}'));
});
server.listen(Number(PORT), '127.0.0.1');
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  redis.destroy();
});
