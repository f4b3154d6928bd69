/** Addresses that look like a registered one to some reader, and are another's. Registered addresses are compared sign by sign. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openField, type Field } from '../../support/hostile.ts';

const REGISTERED = 'https://portal.example.cn/callback';
let field: Field;
const secret = { client_id: 'gate', client_secret: '' };
beforeAll(async () => {
  field = await openField();
  await field.t.app.portals.register(
    {
      clientId: 'gate',
      name: { 'zh-CN': '门' },
      sector: 'gate',
      homeUri: 'https://portal.example.cn/',
      redirectUris: [REGISTERED, 'https://portal.example.cn/other?a=b'],
      postLogoutRedirectUris: [REGISTERED],
      scopes: ['openid'],
    },
    'system',
  );
  secret.client_secret = await field.t.app.portals.issueSecret('gate');
});
afterAll(() => field.stop());

const TRICKS: Readonly<Record<string, string>> = {
  'a suffix': `${REGISTERED}.evil`,
  'a suffix of the host': 'https://portal.example.cn.evil.example/callback',
  'a prefix of the host': 'https://evilportal.example.cn/callback',
  'a subdomain': 'https://x.portal.example.cn/callback',
  'another port': 'https://portal.example.cn:8443/callback',
  'the default port': 'https://portal.example.cn:443/callback',
  'an empty port': 'https://portal.example.cn:/callback',
  'capitals in the host': 'https://PORTAL.example.cn/callback',
  'capitals in the path': 'https://portal.example.cn/Callback',
  'capitals in the scheme': 'HTTPS://portal.example.cn/callback',
  'plain http': 'http://portal.example.cn/callback',
  'a path that climbs': `${REGISTERED}/../evil`,
  'a path that climbs and returns': 'https://portal.example.cn/x/../callback',
  'a dot': 'https://portal.example.cn/./callback',
  'encoded dots': 'https://portal.example.cn/%2e%2e/callback',
  'encoded dots behind': `${REGISTERED}/%2e%2e/evil`,
  'an encoded letter': 'https://portal.example.cn/c%61llback',
  'an encoded slash': 'https://portal.example.cn%2fcallback',
  'an encoded NUL': `${REGISTERED}%00.evil`,
  'a user': 'https://portal.example.cn@evil.example/callback',
  'a user of the same host': 'https://a:b@portal.example.cn/callback',
  'a backslash for a host': 'https://evil.example\\@portal.example.cn/callback',
  'a backslash in the path': 'https://portal.example.cn\\callback',
  'backslashes for slashes': 'https:\\\\portal.example.cn\\callback',
  'a fragment': `${REGISTERED}#evil`,
  'an empty fragment': `${REGISTERED}#`,
  'a query': `${REGISTERED}?evil=1`,
  'an empty query': `${REGISTERED}?`,
  'a query that is longer': 'https://portal.example.cn/other?a=b&c=d',
  'a query that is shorter': 'https://portal.example.cn/other',
  'a slash behind': `${REGISTERED}/`,
  'a parameter of the path': `${REGISTERED};a=b`,
  'two slashes': 'https://portal.example.cn//callback',
  'no scheme': '//portal.example.cn/callback',
  'nobody’s scheme': '//evil.example/callback',
  'a path alone': '/callback',
  'one slash': 'https:/portal.example.cn/callback',
  'three slashes': 'https:///portal.example.cn/callback',
  'a tab': 'https://portal.example.cn/call\tback',
  'a tab in front': `\t${REGISTERED}`,
  'a line break': `${REGISTERED}\r\nLocation: https://evil.example/`,
  'a line break within': 'https://portal.exa\nmple.cn/callback',
  'a space behind': `${REGISTERED} `,
  'two addresses': `${REGISTERED} https://evil.example/`,
  'a full stop of another script': 'https://portal。example.cn/callback',
  'letters of full width': 'https://ｐortal.example.cn/callback',
  'a slash of full width': 'https://evil.example／portal.example.cn/callback',
  'a letter that looks alike': 'https://pоrtal.example.cn/callback',
  'an invisible letter': 'https://portal.example.cn/call\u200bback',
  'text from right to left': `${REGISTERED}\u202e`,
  'a dot behind the host': 'https://portal.example.cn./callback',
  'the address of a number': 'https://3232235777/callback',
  IPv6: 'https://[::1]/callback',
  'a script': 'javascript:alert(1)//portal.example.cn/callback',
  data: 'data:text/html,<script>alert(1)</script>',
  'an app': 'cn.example.portal:/callback',
};

const query = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString();
const request = (redirect_uri: string) => ({
  client_id: 'gate',
  response_type: 'code',
  scope: 'openid',
  state: 's',
  code_challenge: 'x'.repeat(43),
  code_challenge_method: 'S256',
  redirect_uri,
});
const open = (path: string, accept: string) =>
  fetch(field.t.origin + path, { redirect: 'manual', headers: { Accept: accept } });

test('the address that is registered is taken', async () => {
  const answer = await open(`/authorize?${query(request(REGISTERED))}`, 'text/html');
  expect(answer.headers.get('location')).toMatch(/^\/interaction\//);
});

test('no other address is redirected to by the authorization endpoint', async () => {
  for (const [what, address] of Object.entries(TRICKS))
    for (const more of [
      {},
      { response_mode: 'form_post' },
      { prompt: 'none' },
      { response_type: 'nothing' },
      { request: 'x' },
      { response_mode: 'jwt' },
    ]) {
      const path = `/authorize?${query({ ...request(address), ...more })}`;
      const page = await open(path, 'text/html');
      expect(page.status, what).toBe(400);
      expect(page.headers.get('location'), what).toBeNull();
      expect(await page.text(), what).not.toMatch(/evil|portal\.example|<script>alert/);
      const json = await open(path, 'application/json');
      expect(json.status, what).toBe(400);
      expect(await json.json(), what).toMatchObject({
        error: expect.stringMatching(/^invalid_re/) as string,
      });
    }
});

test('no other address can be pushed', async () => {
  for (const [what, address] of Object.entries(TRICKS)) {
    const answer = await fetch(`${field.t.origin}/par`, {
      method: 'POST',
      body: new URLSearchParams({ ...request(address), ...secret }),
    });
    expect(answer.status, what).toBe(400);
    expect(await answer.json(), what).toMatchObject({ error: 'invalid_request' });
  }
});

test('a code is redeemed with the address that it was sent to, and no other', async () => {
  for (const [what, address] of Object.entries(TRICKS)) {
    const answer = await fetch(`${field.t.origin}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: field.secrets['code'] ?? '',
        code_verifier: field.secrets['verifier'] ?? '',
        redirect_uri: address,
        client_id: field.rp.clientId,
        client_secret: field.rp.secret,
      }),
    });
    expect(answer.status, what).toBe(400);
    expect(((await answer.json()) as { error: string }).error, what).toMatch(/^invalid_(?:grant|request)$/);
  }
});

test('no other address is returned to after signing out', async () => {
  const cookie = await field.browser.jar.getCookieString(field.t.origin);
  for (const [what, address] of Object.entries(TRICKS))
    for (const method of ['GET', 'POST']) {
      const parameters = query({ client_id: 'gate', post_logout_redirect_uri: address });
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
      let answer = await fetch(`${field.t.origin}/end-session${method === 'GET' ? `?${parameters}` : ''}`, {
        method,
        redirect: 'manual',
        headers: { Accept: 'text/html', Cookie: cookie, ...(method === 'POST' ? form : {}) },
        ...(method === 'POST' ? { body: parameters } : {}),
      });
      const location = answer.headers.get('location');
      if (method === 'POST') {
        expect(location, what).toMatch(/^\/end-session\?/);
        answer = await fetch(field.t.origin + location, { headers: { Accept: 'text/html', Cookie: cookie } });
      }
      expect(answer.status, what).toBe(400);
      expect(await answer.text(), what).not.toMatch(/evil|callback|<script>alert/);
    }
  // Without a portal there is nobody to return to.
  const nobody = await open(`/end-session?${query({ post_logout_redirect_uri: REGISTERED })}`, 'text/html');
  expect(nobody.headers.get('location')).toBeNull();
  expect(await nobody.text()).not.toContain('portal.example.cn');
});
