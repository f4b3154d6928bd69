/** The hot path answers as the library does, on the same records, and leaves alone what it does not cover. */
import { request as httpRequest } from 'node:http';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp, type App } from '../../src/app.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { toConfig } from '../../src/platform/config.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { silentLogger } from '../support/logger.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
/** The same stores, keys and issuer, without the hot path. */
let library: { app: App; origin: string };
let rp: RelyingParty;
let cookie: string;
let browser: UserAgent;
const RESOURCE = 'https://licences.example.cn/api';
const person = { identifier: '13900001111', password: newPerson().password };

beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  const port = await freePort();
  const app = await createApp(toConfig({ ...t.env, PORT: String(port), HOT_PATH: 'off' }), {
    logger: silentLogger,
  });
  await app.start();
  library = { app, origin: `http://localhost:${port}` };
  await t.app.resources.register(
    { identifier: RESOURCE, name: { 'zh-CN': '证照' }, scopes: { 'licences:read': {} }, tokenFormat: 'jwt' },
    'system',
  );
  rp = await registerRelyingParty(t, {
    clientId: 'plain',
    registration: {
      resources: { [RESOURCE]: ['licences:read'] },
      metadata: { grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] },
    },
  });
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'system');
  browser = new UserAgent();
  await signIn(rp, browser, person, { scope: 'openid phone' });
  cookie = await browser.jar.getCookieString(t.origin);
});
afterAll(async () => {
  await rp.stop();
  await library.app.stop();
  await t.stop();
});

const basic = () => ({ Authorization: `Basic ${btoa(`${rp.clientId}:${rp.secret}`)}` });
const origins = () => ({ hot: t.origin, library: library.origin });

async function authorize(origin: string, parameters: Record<string, string> = {}) {
  const attempt = await rp.begin({ scope: 'openid phone', nonce: 'n-1', ...parameters });
  const response = await fetch(attempt.url.href.replace(t.origin, origin), {
    redirect: 'manual',
    headers: { Cookie: cookie },
  });
  return { ...attempt, response, location: new URL(response.headers.get('location') ?? '', origin) };
}
async function post(origin: string, path: string, body: Record<string, string>, headers = basic()) {
  const response = await fetch(`${origin}${path}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams(body),
  });
  return { response, body: (await response.json()) as Record<string, unknown> };
}
const redeem = (origin: string, { location, verifier }: { location: URL; verifier: string }) =>
  post(origin, '/token', {
    grant_type: 'authorization_code',
    code: location.searchParams.get('code') ?? '',
    redirect_uri: rp.redirectUri,
    code_verifier: verifier,
  });
/** Whether the framework took no part: it names itself by a header that only it sets. */
const servedHot = (response: Response) => response.headers.get('vary') === null;

/** A token answer with everything that differs from one answer to the next made alike. */
function shape(body: Record<string, unknown>) {
  const idToken = String(body['id_token']);
  const claims = decodeJwt(idToken);
  const header = decodeProtectedHeader(idToken);
  const { exp = 0, iat = 0, ...rest } = claims;
  return {
    members: Object.keys(body).toSorted((a, b) => a.localeCompare(b)),
    scope: body['scope'],
    expiresIn: body['expires_in'],
    type: body['token_type'],
    header,
    claims: rest,
    lifetime: exp - iat,
    lengths: [String(body['access_token']).length, String(body['refresh_token']).length],
  };
}

describe('the hot path', () => {
  test('gives a code as the library does, and either redeems what the other gave', async () => {
    const { hot, library: slow } = origins();
    const one = await authorize(hot);
    const two = await authorize(slow);
    for (const { location, state } of [one, two]) {
      expect([...location.searchParams.keys()]).toEqual(['code', 'state', 'iss']);
      expect(location.searchParams.get('state')).toBe(state);
      expect(location.searchParams.get('iss')).toBe(t.origin);
      expect(location.searchParams.get('code')).toMatch(/^[\w-]{43}$/);
    }
    expect([one.response.status, two.response.status]).toEqual([303, 303]);
    const answers = await Promise.all([
      redeem(slow, one),
      redeem(hot, two),
      redeem(hot, await authorize(hot)),
      redeem(slow, await authorize(slow)),
    ]);
    const shapes = answers.map(({ body }) => shape(body));
    for (const answer of shapes) expect(answer).toEqual(shapes[0]);
    expect(shapes[0]?.claims).toMatchObject({ acr: 'urn:yinxin:loa:1', amr: ['pwd'], nonce: 'n-1' });
    for (const { response } of answers) {
      expect(response.headers.get('cache-control')).toContain('no-store');
      expect(response.headers.get('x-trace-id')).toMatch(/^[0-9a-f]{32}$/);
    }
  });

  test('userinfo and introspection say of a token what the library says, whoever gave it', async () => {
    const { hot, library: slow } = origins();
    for (const giver of [hot, slow]) {
      const { body } = await redeem(giver, await authorize(giver));
      const token = String(body['access_token']);
      const said = await Promise.all(
        [hot, slow].map(async (origin) => ({
          userinfo: await (
            await fetch(`${origin}/userinfo`, { headers: { Authorization: `Bearer ${token}` } })
          ).json(),
          introspection: (await post(origin, '/introspect', { token })).body,
        })),
      );
      expect(said[0]).toEqual(said[1]);
      expect(said[0]?.userinfo).toMatchObject({
        phone_number: '+8613900001111',
        phone_number_verified: false,
      });
      expect(said[0]?.introspection).toMatchObject({ active: true, scope: 'openid phone' });
    }
  });

  test('refreshes as the library does, and what it rotated the library knows as used', async () => {
    const { hot, library: slow } = origins();
    const { body } = await redeem(hot, await authorize(hot));
    const first = await post(hot, '/token', {
      grant_type: 'refresh_token',
      refresh_token: String(body['refresh_token']),
    });
    const second = await post(slow, '/token', {
      grant_type: 'refresh_token',
      refresh_token: String(first.body['refresh_token']),
    });
    const third = await post(hot, '/token', {
      grant_type: 'refresh_token',
      refresh_token: String(second.body['refresh_token']),
    });
    expect(shape(first.body)).toEqual(shape(second.body));
    expect(shape(third.body)).toEqual(shape(second.body));
    // Within the grace, at the library: the same answer as the hot path gave.
    const again = await post(slow, '/token', {
      grant_type: 'refresh_token',
      refresh_token: String(body['refresh_token']),
    });
    expect(again.body).toEqual(first.body);
  });

  test('gives the same client credentials token', async () => {
    const answers = await Promise.all(
      Object.values(origins()).map((origin) =>
        post(origin, '/token', {
          grant_type: 'client_credentials',
          resource: RESOURCE,
          scope: 'licences:read',
        }),
      ),
    );
    const shapes = answers.map(({ body }) => {
      const { iat = 0, exp = 0, jti, ...claims } = decodeJwt(String(body['access_token']));
      return {
        ...body,
        access_token: '',
        claims,
        jti: jti?.length,
        lifetime: exp - iat,
        header: decodeProtectedHeader(String(body['access_token'])),
      };
    });
    expect(shapes[0]).toEqual(shapes[1]);
    expect(shapes[0]).toMatchObject({ claims: { sub: 'plain', aud: RESOURCE, scope: 'licences:read' } });
  });

  test.each<[string, () => Promise<{ status: number; error?: unknown }>[]]>([
    [
      'another redirect URI',
      () => both((origin) => redeemWith(origin, { redirect_uri: 'https://evil.example/' })),
    ],
    [
      'another verifier',
      () => both((origin) => redeemWith(origin, { code_verifier: oidc.randomPKCECodeVerifier() })),
    ],
    ['no verifier', () => both((origin) => redeemWith(origin, { code_verifier: '' }))],
    [
      'a wrong secret',
      () => both((origin) => redeemWith(origin, {}, { Authorization: `Basic ${btoa('plain:wrong')}` })),
    ],
    ['an unknown code', () => both((origin) => redeemWith(origin, { code: 'x'.repeat(43) }))],
    ['an unknown token', () => both((origin) => userinfoWith(origin, `Bearer ${'x'.repeat(43)}`))],
    ['no token', () => both((origin) => userinfoWith(origin, ''))],
    ['an unknown refresh token', () => both((origin) => refreshWith(origin, 'x'.repeat(43)))],
  ])('%s is refused in the words of the library', async (_what, ask) => {
    const [hot, slow] = await Promise.all(ask());
    expect(hot).toEqual(slow);
    expect(hot?.status).toBeGreaterThanOrEqual(400);
  });

  test('a wrong attempt does not spend the code', async () => {
    const attempt = await authorize(t.origin);
    const wrong = await redeem(t.origin, { ...attempt, verifier: oidc.randomPKCECodeVerifier() });
    expect(wrong.response.status).toBe(400);
    expect((await redeem(t.origin, attempt)).response.status).toBe(200);
  });

  test('a code shown twice takes what it gave with it', async () => {
    const attempt = await authorize(t.origin);
    const { body } = await redeem(t.origin, attempt);
    expect((await redeem(t.origin, attempt)).body).toMatchObject({ error: 'invalid_grant' });
    expect(await userinfoWith(t.origin, `Bearer ${String(body['access_token'])}`)).toMatchObject({
      status: 401,
    });
    await signIn(rp, browser, person, { scope: 'openid phone' });
    cookie = await browser.jar.getCookieString(t.origin);
  });

  test('a forged or altered session cookie is nobody’s session', async () => {
    const attempt = await rp.begin({ prompt: 'none' });
    for (const forged of [
      cookie.replace(/yx_session=[^;]+/, `yx_session=${'A'.repeat(43)}`),
      cookie.replace(/yx_session\.sig=[^;]+/, `yx_session.sig=${'A'.repeat(27)}`),
      cookie.replace(/yx_session\.sig=[^;]+;?/, ''),
    ]) {
      const response = await fetch(attempt.url, { redirect: 'manual', headers: { Cookie: forged } });
      expect(new URL(response.headers.get('location') ?? '').searchParams.get('error')).toBe(
        'login_required',
      );
    }
  });

  test('a request with anything unusual goes to the library, and is answered', async () => {
    for (const parameters of [
      { max_age: '10000' },
      { ui_locales: 'en' },
      { claims: JSON.stringify({ id_token: { auth_time: null } }) },
      { response_mode: 'form_post' },
      { acr_values: 'urn:yinxin:loa:1' },
    ]) {
      const { response } = await authorize(t.origin, parameters);
      expect(response.status, JSON.stringify(parameters)).toBeLessThan(400);
    }
  });

  test('without the scope openid there is no ID token, whoever redeems the code', async () => {
    for (const origin of Object.values(origins())) {
      const attempt = await rp.begin({ scope: 'phone' });
      const response = await fetch(attempt.url.href, { redirect: 'manual', headers: { Cookie: cookie } });
      const location = new URL(response.headers.get('location') ?? '');
      const { body } = await redeem(origin, { location, verifier: attempt.verifier });
      expect(body).toMatchObject({ scope: 'phone', token_type: 'Bearer' });
      expect(body).not.toHaveProperty('id_token');
      expect(body).not.toHaveProperty('refresh_token');
    }
  });

  test('a form that arrives in pieces, or stops half way, is waited for or left alone', async () => {
    const attempt = await authorize(t.origin);
    const body = new URLSearchParams({
      grant_type: 'authorization_code',
      code: attempt.location.searchParams.get('code') ?? '',
      redirect_uri: rp.redirectUri,
      code_verifier: attempt.verifier,
    }).toString();
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const outgoing = httpRequest(
        `${t.origin}/token`,
        {
          method: 'POST',
          headers: {
            ...basic(),
            'Content-Type': 'application/x-www-form-urlencoded',
            'Content-Length': body.length,
          },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      ).on('error', reject);
      outgoing.write(body.slice(0, 20));
      setTimeout(() => outgoing.write(body.slice(20, 50)), 30);
      setTimeout(() => outgoing.end(body.slice(50)), 60);
    });
    expect(status).toBe(200);
    // Cut off: nothing is answered, and the server goes on.
    await new Promise<void>((resolve) => {
      const outgoing = httpRequest(`${t.origin}/token`, {
        method: 'POST',
        headers: {
          ...basic(),
          'Content-Type': 'application/x-www-form-urlencoded',
          'Content-Length': body.length,
        },
      }).on('error', () => resolve());
      outgoing.write(body.slice(0, 20));
      setTimeout(() => outgoing.destroy(), 30);
    });
    expect((await fetch(`${t.origin}/readyz`)).status).toBe(200);
  });

  test('is really taken for the plain requests', async () => {
    const attempt = await authorize(t.origin);
    expect(servedHot(attempt.response)).toBe(true);
    const { response } = await redeem(t.origin, attempt);
    expect(servedHot(response)).toBe(true);
    const other = await redeem(library.origin, await authorize(library.origin));
    expect(servedHot(other.response)).toBe(false);
  });
});

function both<T>(ask: (origin: string) => Promise<T>): Promise<T>[] {
  return [t.origin, library.origin].map(ask);
}
async function redeemWith(origin: string, change: Record<string, string>, headers = basic()) {
  const attempt = await authorize(origin);
  const { response, body } = await post(
    origin,
    '/token',
    {
      grant_type: 'authorization_code',
      code: attempt.location.searchParams.get('code') ?? '',
      redirect_uri: rp.redirectUri,
      code_verifier: attempt.verifier,
      ...change,
    },
    headers,
  );
  return { status: response.status, ...body };
}
async function refreshWith(origin: string, refreshToken: string) {
  const { response, body } = await post(origin, '/token', {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
  });
  return { status: response.status, ...body };
}
async function userinfoWith(origin: string, authorization: string) {
  const response = await fetch(`${origin}/userinfo`, {
    headers: authorization === '' ? {} : { Authorization: authorization },
  });
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    ...((await response.json()) as object),
  };
}
