/** What a portal that registers itself may say of itself, and what it is told when it says something else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApp, type TestApp } from '../../support/app.ts';

let t: TestApp;
let token: string;
beforeAll(async () => {
  t = await startApp();
  token = await t.app.oidc.issueInitialAccessToken({ seconds: 600 });
});
afterAll(() => t.stop());

const send = (path: string, method: string, bearer: string, metadata: object) =>
  fetch(t.origin + path, {
    method,
    headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(metadata),
  });
const redirects = { redirect_uris: ['https://portal.example.cn/callback'] };

test('a portal registers itself, changes what it said, and gets no secret shown twice', async () => {
  const created = await send('/register', 'POST', token, redirects);
  expect(created.status).toBe(201);
  const portal = (await created.json()) as Record<string, string>;
  expect(portal['client_secret']).toMatch(/^[\w-]{43}$/);
  const address = `/register/${portal['client_id']}`;
  const changed = await send(address, 'PUT', portal['registration_access_token'] ?? '', {
    ...redirects,
    client_id: portal['client_id'],
    client_secret: portal['client_secret'],
    client_name: '示例',
  });
  const after = (await changed.json()) as Record<string, string>;
  expect(after).toMatchObject({ client_name: '示例' });
  expect(after).not.toHaveProperty('client_secret');
  const wrong = await send(address, 'PUT', after['registration_access_token'] ?? '', {
    ...redirects,
    client_id: portal['client_id'],
    client_secret: 'kept as a digest by the registry',
  });
  expect(await wrong.json()).toMatchObject({ error: 'invalid_request' });
});

test.each([
  ['a redirect URI that is no address', { redirect_uris: ['nowhere'] }, 'invalid_redirect_uri'],
  ['a redirect URI that is no text', { redirect_uris: [null, {}] }, 'invalid_redirect_uri'],
  ['a redirect URI with a user', { redirect_uris: ['https://a@b.example/'] }, 'invalid_client_metadata'],
  ['plain http', { redirect_uris: ['http://portal.example.cn/'] }, 'invalid_client_metadata'],
  ['a name with a NUL', { ...redirects, client_name: 'a\0b' }, 'invalid_client_metadata'],
  ['half a character', { ...redirects, client_name: '\ud800' }, 'invalid_client_metadata'],
  ['a name of spaces', { ...redirects, client_name: '  ' }, 'invalid_client_metadata'],
  ['user codes', { ...redirects, backchannel_user_code_parameter: true }, 'invalid_client_metadata'],
  ['public subjects', { ...redirects, subject_type: 'public' }, 'invalid_client_metadata'],
  ['no authentication', { ...redirects, token_endpoint_auth_method: 'none' }, 'invalid_client_metadata'],
  ['a contact that is no address', { ...redirects, contacts: ['<script>'] }, 'invalid_client_metadata'],
  [
    'deep keys',
    { ...redirects, jwks: JSON.parse(`${'{"a":'.repeat(500)}1${'}'.repeat(500)}`) as object },
    'invalid_client_metadata',
  ],
  ['keys that are none', { ...redirects, jwks: { keys: [null] } }, 'invalid_client_metadata'],
])('a registration with %s is refused in words that a portal understands', async (_what, metadata, error) => {
  const answer = await send('/register', 'POST', token, metadata);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error });
});
