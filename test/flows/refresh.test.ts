import { generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { TestClock } from '../support/clock.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let rp: RelyingParty;
let other: RelyingParty;
const clock = new TestClock(new Date());
const grants = {
  scopes: ['openid', 'offline_access'],
  metadata: { grant_types: ['authorization_code', 'refresh_token'] },
};

beforeAll(async () => {
  t = await startApp({ clock });
  rp = await registerRelyingParty(t, { clientId: 'refreshing', registration: grants });
  other = await registerRelyingParty(t, { clientId: 'other', registration: grants });
});
afterAll(async () => {
  await Promise.all([rp.stop(), other.stop()]);
  await t.stop();
});

async function tokens(parameters: Record<string, string> = {}, dpop?: oidc.DPoPHandle) {
  const person = newPerson();
  await t.app.identity.register(person);
  const browser = new UserAgent();
  const attempt = await signIn(rp, browser, person, parameters);
  const answer = await oidc.authorizationCodeGrant(
    rp.client,
    attempt.callback,
    { pkceCodeVerifier: attempt.verifier, expectedState: attempt.state },
    undefined,
    dpop ? { DPoP: dpop } : {},
  );
  return { browser, answer, refreshToken: answer.refresh_token ?? '' };
}
const refresh = async (refreshToken: string, from: RelyingParty = rp) => {
  const response = await fetch(`${t.origin}/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${btoa(`${from.clientId}:${from.secret}`)}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
};

test('a refresh token rotates at every use', async () => {
  const { refreshToken } = await tokens();
  const first = await refresh(refreshToken);
  expect(first.status).toBe(200);
  expect(first.body['refresh_token']).not.toBe(refreshToken);
  expect((await refresh(first.body['refresh_token'] ?? '')).status).toBe(200);
});

test('within three seconds the same client gets the same answer again: two tabs are not signed out', async () => {
  const { refreshToken } = await tokens();
  const answers = await Promise.all([refresh(refreshToken), refresh(refreshToken), refresh(refreshToken)]);
  clock.advance(2);
  answers.push(await refresh(refreshToken));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  // The family lives on.
  expect((await refresh(answers[0]?.body['refresh_token'] ?? '')).status).toBe(200);
});

test('later the whole family dies', async () => {
  const { refreshToken } = await tokens();
  const { body } = await refresh(refreshToken);
  clock.advance(4);
  expect(await refresh(refreshToken)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  expect(await refresh(body['refresh_token'] ?? '')).toMatchObject({
    status: 400,
    body: { error: 'invalid_grant' },
  });
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${body['access_token']}` },
  });
  expect(userinfo.status).toBe(401);
});

test('another client gets nothing, within the three seconds either, and does no harm', async () => {
  const { refreshToken } = await tokens();
  const { body } = await refresh(refreshToken);
  expect(await refresh(refreshToken, other)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  expect((await refresh(body['refresh_token'] ?? '')).status).toBe(200);
});

test('another key gets nothing, within the three seconds either', async () => {
  const handle = async () =>
    oidc.getDPoPHandle(rp.client, await generateKeyPair('ES256', { extractable: true }));
  const [mine, theirs] = [await handle(), await handle()];
  const { refreshToken } = await tokens({}, mine);
  const first = await oidc.refreshTokenGrant(rp.client, refreshToken, {}, { DPoP: mine });
  const again = await oidc.refreshTokenGrant(rp.client, refreshToken, {}, { DPoP: mine });
  expect(again.access_token).toBe(first.access_token);
  await expect(oidc.refreshTokenGrant(rp.client, refreshToken, {}, { DPoP: theirs })).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  await expect(oidc.refreshTokenGrant(rp.client, refreshToken)).rejects.toMatchObject({
    error: 'invalid_grant',
  });
});

test('without offline access the refresh token ends with the session; with it, it goes on', async () => {
  const bound = await tokens();
  const offline = await tokens({ scope: 'openid offline_access', prompt: 'consent' });
  for (const { browser } of [bound, offline])
    await browser.submit(await browser.get(`${t.origin}/end-session`), { logout: 'yes' }, '/confirm');
  expect((await refresh(bound.refreshToken)).status).toBe(400);
  expect((await refresh(offline.refreshToken)).status).toBe(200);
});
