import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { exportJWK, generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { CIBA } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { selfSigned } from '../support/tls.ts';
import {
  newPerson,
  registerRelyingParty,
  signIn,
  type Person,
  type RelyingParty,
} from '../support/relying-party.ts';

let t: TestApp;
let polling: RelyingParty;
let pinged: RelyingParty;
let person: Person;
let receiver: Server;
const pings: { authorization: string | undefined; body: unknown }[] = [];

beforeAll(async () => {
  const { key, certificate } = selfSigned('127.0.0.1');
  t = await startApp({ env: { OUTBOUND_AUTHORITIES: certificate } });
  receiver = createServer({ key, cert: certificate }, (request, response) => {
    void text(request).then((body) => {
      pings.push({ authorization: request.headers.authorization, body: JSON.parse(body) });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const { port } = receiver.address() as AddressInfo;
  const portal = async (clientId: string, metadata: Record<string, string>) => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: clientId, use: 'sig', alg: 'ES256' };
    return registerRelyingParty(t, {
      clientId,
      registration: {
        minimumAcr: 'urn:yinxin:loa:1',
        metadata: {
          grant_types: ['authorization_code', CIBA],
          token_endpoint_auth_method: 'private_key_jwt',
          jwks: { keys: [jwk] },
          ...metadata,
        },
      },
      authentication: oidc.PrivateKeyJwt({ key: privateKey, kid: clientId }),
    });
  };
  polling = await portal('polling', { backchannel_token_delivery_mode: 'poll' });
  pinged = await portal('pinged', {
    backchannel_token_delivery_mode: 'ping',
    backchannel_client_notification_endpoint: `https://127.0.0.1:${port}/ping`,
  });
});
beforeEach(async () => {
  person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'system');
  pings.length = 0;
});
afterAll(async () => {
  receiver.close();
  await Promise.all([polling.stop(), pinged.stop()]);
  await t.stop();
});

const begin = (rp: RelyingParty, parameters: Record<string, string> = {}) =>
  oidc.initiateBackchannelAuthentication(rp.client, {
    scope: 'openid profile',
    login_hint: person.identifier,
    binding_message: '窗口 3',
    ...parameters,
  });
const redeem = (rp: RelyingParty, id: string) =>
  oidc.genericGrantRequest(rp.client, CIBA, { auth_req_id: id });

async function approvals(browser = new UserAgent()) {
  let page = await browser.get(`${t.origin}/approvals`);
  if (page.forms.some(({ action }) => action.pathname.endsWith('/sign-in')))
    page = await browser.submit(page, { ...person }, '/sign-in');
  return { browser, page };
}
const formOf = (page: { forms: readonly { action: URL }[] }) => page.forms[0]?.action.pathname ?? 'none';

test('a portal asks, the person approves on a page of this service, and the portal gets its tokens once', async () => {
  const { auth_req_id: id } = await begin(polling);
  await expect(redeem(polling, id)).rejects.toMatchObject({ error: 'authorization_pending' });
  const { browser, page } = await approvals();
  expect(page.text).toContain('测试门户 polling');
  expect(page.text).toContain('窗口 3');
  const done = await browser.submit(page, { decision: 'allow' }, formOf(page));
  expect(done.text).toContain('已确认');
  const answer = await redeem(polling, id);
  expect(answer.claims()).toMatchObject({ acr: 'urn:yinxin:loa:1', amr: ['pwd'] });
  await expect(redeem(polling, id)).rejects.toMatchObject({ error: 'invalid_grant' });
});

test('a portal that wants a ping gets it, with its own token', async () => {
  const { auth_req_id: id } = await begin(pinged, {
    client_notification_token: 'a-token-of-the-portal-1234567890',
  });
  const { browser, page } = await approvals();
  await browser.submit(page, { decision: 'allow' }, formOf(page));
  await expect
    .poll(() => pings)
    .toEqual([{ authorization: 'Bearer a-token-of-the-portal-1234567890', body: { auth_req_id: id } }]);
  expect((await redeem(pinged, id)).access_token).toBeTypeOf('string');
});

test('a refusal reaches the portal', async () => {
  const { auth_req_id: id } = await begin(polling);
  const { browser, page } = await approvals();
  await browser.submit(page, { decision: 'deny' }, formOf(page));
  await expect(redeem(polling, id)).rejects.toMatchObject({ error: 'access_denied' });
});

test('a request is decided once, whichever button is pressed twice', async () => {
  const { auth_req_id: id } = await begin(polling);
  const { browser, page } = await approvals();
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      browser.submit(page, { decision: i % 2 === 0 ? 'allow' : 'deny' }, formOf(page)),
    ),
  );
  expect(answers.filter(({ text: html }) => /已确认|已拒绝/.test(html))).toHaveLength(1);
  const outcome = await redeem(polling, id).then(
    () => 'tokens',
    (error: { error?: string }) => error.error,
  );
  expect(['tokens', 'access_denied']).toContain(outcome);
});

test('the portal may name the person by an ID token of theirs', async () => {
  const attempt = await signIn(polling, new UserAgent(), person);
  const { id_token: hint = '' } = await polling.redeem(attempt.callback, attempt);
  const { auth_req_id: id } = await oidc.initiateBackchannelAuthentication(polling.client, {
    scope: 'openid',
    id_token_hint: hint,
  });
  const { browser, page } = await approvals();
  await browser.submit(page, { decision: 'allow' }, formOf(page));
  expect((await redeem(polling, id)).claims()?.sub).toBeTypeOf('string');
});

test("nobody sees or decides another's request", async () => {
  await begin(polling);
  const { page } = await approvals();
  const stranger = newPerson();
  await t.app.identity.register(stranger);
  const browser = new UserAgent();
  const theirs = await browser.submit(
    await browser.get(`${t.origin}/approvals`),
    { ...stranger },
    '/sign-in',
  );
  expect(theirs.text).toContain('没有等待您处理的请求');
  const { csrf = '' } = (await browser.get(`${t.origin}/approvals`)).forms[0]?.fields ?? {};
  const forged = await fetch(page.forms[0]?.action ?? '', {
    method: 'POST',
    headers: { Cookie: await browser.jar.getCookieString(t.origin), Origin: t.origin },
    body: new URLSearchParams({ csrf, decision: 'allow' }),
  });
  expect(await forged.text()).not.toContain('已确认');
});

test.each([
  ['an unknown person', { login_hint: 'nobody-here' }, 'unknown_user_id'],
  ['a message with markup', { binding_message: '<b>' }, 'invalid_binding_message'],
  ['no hint', { login_hint: '' }, 'invalid_request'],
  ['a hint token', { login_hint: '', login_hint_token: 'x' }, 'invalid_request'],
])('a request with %s is refused', async (_what, parameters, error) => {
  await expect(begin(polling, parameters)).rejects.toMatchObject({ error });
});
