/** What a register tells about a person, as it is pushed over HTTP (RFC 8935). */
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

const ISSUER = 'https://register.example';
let t: TestApp;
let rp: RelyingParty;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let count = 0;

beforeAll(async () => {
  keys = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256' };
  const sources = {
    authorities: [{ driver: 'fictional' }],
    registers: [{ issuer: ISSUER, jwks: { keys: [jwk] } }],
  };
  t = await startApp({ env: { IDENTITY_SOURCES: JSON.stringify(sources) } });
  rp = await registerRelyingParty(t, { clientId: 'open' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

const push = (body: string, type = 'application/secevent+jwt') =>
  fetch(`${t.origin}/register-events`, { method: 'POST', headers: { 'Content-Type': type }, body });

function token(type: string, number: string): Promise<string> {
  count += 1;
  return new SignJWT({
    jti: `event-${count}`,
    sub_id: { format: 'urn:yinxin:subject:document', kind: 'resident-id', number },
    events: { [`urn:yinxin:register-event:${type}`]: {} },
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: 'one' })
    .setIssuer(ISSUER)
    .setAudience(t.origin)
    .setIssuedAt()
    .sign(keys.privateKey);
}

test('a death ends every session, tells the portals, and nobody signs in again', async () => {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  const statement = statementOf(fictional('李华'));
  await t.app.identity.proofing.compare(accountId, statement, { wanted: 2, returnUri: 'https://x.example/' });
  const browser = new UserAgent();
  const attempt = await signIn(rp, browser, person);
  const tokens = await rp.redeem(attempt.callback, attempt);
  const { sub } = tokens.claims() ?? {};

  const event = await token('death', statement.number);
  const answer = await push(event);
  expect([answer.status, await answer.text()]).toEqual([202, '']);
  expect((await push(event)).status).toBe(202);

  await expect.poll(() => rp.logouts.length).toBe(1);
  const [, body = ''] = String(rp.logouts[0]?.get('logout_token')).split('.');
  expect(JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))).toMatchObject({ sub });
  const userinfo = await fetch(`${t.origin}/userinfo`, {
    headers: { Authorization: `Bearer ${tokens.access_token}` },
  });
  expect(userinfo.status).toBe(401);
  expect((await signIn(rp, new UserAgent(), person)).page.status).toBe(422);
});

test('nobody learns from the answer whether somebody has an account', async () => {
  const answer = await push(await token('death', '11010519491231002X'));
  expect([answer.status, await answer.text()]).toEqual([202, '']);
});

test('what cannot be believed is refused in the words of RFC 8935', async () => {
  const forged = `${(await token('death', '11010519491231002X')).slice(0, -8)}AAAAAAAA`;
  const answer = await push(forged);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ err: 'authentication_failed' });
  expect(await (await push('no token')).json()).toMatchObject({ err: 'invalid_request' });
  expect(await (await push('x'.repeat(20_000))).json()).toMatchObject({ err: 'invalid_request' });
  expect((await push(forged, 'application/json')).status).toBe(415);
  expect((await fetch(`${t.origin}/register-events`)).status).toBe(405);
});
