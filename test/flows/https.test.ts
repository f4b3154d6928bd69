/** In production: an https issuer behind a proxy that ends TLS. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson } from '../support/relying-party.ts';

const issuer = 'https://id.example.cn';
const person = newPerson();
let t: TestApp;
let port: number;

beforeAll(async () => {
  port = await freePort();
  t = await startApp({ env: { ISSUER: issuer, PORT: String(port) } });
  await t.app.portals.register(
    {
      clientId: 'zhejiang',
      name: { 'zh-CN': '浙江' },
      sector: 'zhejiang',
      homeUri: 'https://zj.example.cn/',
      redirectUris: ['https://zj.example.cn/callback'],
      postLogoutRedirectUris: [],
      backchannelLogoutUri: undefined,
      scopes: ['openid'],
    },
    'system',
  );
  await t.app.identity.register(person);
});
afterAll(() => t.stop());

test.each([
  {},
  { 'X-Forwarded-Proto': 'https' },
  { 'X-Forwarded-Proto': 'http', 'X-Forwarded-Host': 'evil.example' },
])('sign-in works and every cookie is Secure, whatever the proxy says: %j', async (forwarded) => {
  const dial = (url: URL) => new URL(url.pathname + url.search, `http://127.0.0.1:${port}`);
  const browser = new UserAgent({ 'Accept-Language': 'zh-CN', ...forwarded }, dial);
  const request = new URLSearchParams({
    client_id: 'zhejiang',
    response_type: 'code',
    scope: 'openid',
    redirect_uri: 'https://zj.example.cn/callback',
    code_challenge: 'a'.repeat(43),
    code_challenge_method: 'S256',
  });
  const page = await browser.get(`${issuer}/authorize?${request.toString()}`);
  expect(page.url.origin).toBe(issuer);
  expect(page.headers.get('strict-transport-security')).toContain('max-age=');
  const callback = await browser.submit(page, { ...person }, '/sign-in', 'https://zj.example.cn/callback');
  expect(callback.url.searchParams.get('code')).toBeTruthy();
  const cookies = await browser.jar.getCookies(issuer);
  expect(cookies.every((cookie) => cookie.secure && cookie.httpOnly)).toBe(true);
  expect(cookies.map((cookie) => cookie.key)).toEqual(
    expect.arrayContaining(['__Host-yx_session', '__Host-yx_csrf']),
  );
});

test('discovery names every endpoint under the issuer', async () => {
  const metadata = (await (
    await fetch(`http://127.0.0.1:${port}/.well-known/openid-configuration`)
  ).json()) as Record<string, unknown>;
  for (const [member, value] of Object.entries(metadata))
    if (/_(endpoint|uri)$/.test(member))
      expect(String(value), member).toMatch(/^https:\/\/id\.example\.cn\//);
});
