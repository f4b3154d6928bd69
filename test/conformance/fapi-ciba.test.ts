/**
 * fapi-ciba-id1-test-plan (plain_fapi, private_key_jwt, poll and ping): a portal asks without a browser, the person approves elsewhere.
 * The plan binds tokens to certificates; here, with mutual TLS off, they are bound to DPoP keys.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { CIBA } from '../../src/portals/index.ts';
import { newPerson, type Person } from '../support/relying-party.ts';
import * as s from './support.ts';

let receiver: s.Receiver;
let suite: s.Suite;
/** A new one for each test, with nothing else to approve. */
let person: Person;

beforeAll(async () => {
  receiver = await s.startReceiver();
  suite = await s.startSuite(receiver);
});
beforeEach(async () => {
  person = newPerson();
  const { accountId } = await suite.t.app.identity.register(person);
  await suite.t.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'system');
  receiver.calls.length = 0;
  receiver.answers.clear();
});
afterAll(async () => {
  await suite.t.stop();
  await receiver.stop();
});

const ID1 = 'fapi-ciba-id1';
const NOTIFICATION = `${ID1}-ping-backchannel-notification-endpoint`;
const PING_ANSWERS = [
  [`${NOTIFICATION}-response-has-body`, { status: 200, body: { something: 'else' } }],
  [`${NOTIFICATION}-response-401`, { status: 401 }],
  [`${NOTIFICATION}-response-403`, { status: 403 }],
  [`${NOTIFICATION}-return-redirect-request`, { status: 301, headers: { Location: '/elsewhere' } }],
  [
    `${ID1}-ping-with-mtls-ciba-notification-endpoint-response-401-and-require-server-does-not-retry`,
    { status: 401 },
  ],
] as const;

describe.each(['poll', 'ping'] as const)('FAPI-CIBA, %s', (mode) => {
  const pinged = mode === 'ping';
  const path = '/ping';
  let client: s.KeyedClient;
  let other: s.KeyedClient;
  let rsa: s.KeyedClient;
  let holder: s.Key;

  beforeAll(async () => {
    const register = (name: string, key?: s.Key, alg = 'ES256') =>
      s.registerKeyedClient(
        suite,
        {
          clientId: `${mode}-${name}`,
          profile: 'fapi2',
          redirectUris: [],
          metadata: {
            grant_types: [CIBA, 'refresh_token'],
            backchannel_token_delivery_mode: mode,
            ...(pinged ? { backchannel_client_notification_endpoint: receiver.origin + path } : {}),
            backchannel_authentication_request_signing_alg: alg,
            ...(key ? { jwks: { keys: [{ ...key.jwk, alg: undefined }] } } : {}),
          },
        },
        key,
      );
    client = await register('one');
    other = await register('two');
    rsa = await register('rsa', await s.newKey('PS256'), 'PS256');
    holder = await s.newKey();
  });

  const newToken = () => randomUUID() + randomUUID();

  /** The claims of an authentication request (CIBA Core 1.0, section 7.1.1). */
  function claimsOf(by: s.Client, changes: s.Claims = {}): s.Claims {
    const asked = {
      scope: 'openid',
      login_hint: person.identifier,
      ...(pinged ? { client_notification_token: newToken() } : {}),
    };
    return { ...s.requestClaims(suite, by.clientId, asked), jti: randomUUID(), ...changes };
  }

  interface Asking {
    readonly by?: s.KeyedClient;
    /** What signs; the client's key if not said. */
    readonly key?: s.Key;
    readonly credentials?: s.Credentials;
  }

  const post = async (by: s.Client, form: s.Parameters, credentials?: s.Credentials) =>
    s.post(suite.endpoint('backchannel_authentication'), {
      ...form,
      ...(credentials ?? (await by.authenticate())).form,
    });

  async function ask(changes: s.Claims = {}, { by = client, key = by.key, credentials }: Asking = {}) {
    return post(by, { request: await s.sign(key, claimsOf(by, changes)) }, credentials);
  }

  /** Asks, and expects the request to stand. @returns its `auth_req_id`. */
  async function begin(changes: s.Claims = {}, asking: Asking = {}): Promise<string> {
    const answer = await ask(changes, asking);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body).toMatchObject({
      auth_req_id: expect.stringMatching(/^[\w.-]{20,}$/) as string,
      expires_in: expect.any(Number) as number,
    });
    expect(answer.headers.get('cache-control')).toContain('no-store');
    return String(answer.body['auth_req_id']);
  }

  const fails = (answer: s.Answer, error: string | RegExp = 'invalid_request') =>
    s.expectError(answer, 400, error);

  async function redeem(
    id: string,
    {
      by = client,
      key = holder,
      credentials,
    }: { by?: s.KeyedClient; key?: s.Key; credentials?: s.Credentials } = {},
  ) {
    const headers = { DPoP: await s.proof(key, { url: suite.endpoint('token') }) };
    const grant = { grant_type: CIBA, auth_req_id: id };
    return s.askForTokens(suite, by, grant, { headers, ...(credentials ? { credentials } : {}) });
  }

  /** The page where the person decides. */
  async function approvals(): Promise<{ browser: UserAgent; page: Page }> {
    const browser = new UserAgent();
    const page = await browser.get(`${suite.issuer}/approvals`);
    return { browser, page: await browser.submit(page, { ...person }, '/sign-in') };
  }

  async function decide(decision: 'allow' | 'deny'): Promise<Page> {
    const { browser, page } = await approvals();
    return browser.submit(page, { decision }, page.forms[0]?.action.pathname ?? 'nothing to decide');
  }

  const pings = () => receiver.calls.filter((call) => call.path === path);

  /** In ping mode the client is told once (CIBA Core 1.0, section 10.2). */
  async function expectPing(id: string): Promise<void> {
    if (!pinged) return;
    await expect.poll(() => pings()).toHaveLength(1);
    const [ping] = pings();
    expect(ping?.headers['content-type']).toMatch(/^application\/json/);
    expect(ping?.headers.authorization).toMatch(/^Bearer [\w-]{70,}$/);
    expect(JSON.parse(ping?.body ?? '')).toEqual({ auth_req_id: id });
  }

  async function complete(id: string, by = client) {
    await decide('allow');
    await expectPing(id);
    const tokens = await redeem(id, { by });
    return { tokens, claims: await s.expectTokens(suite, by, tokens, { tokenType: 'DPoP' }) };
  }

  async function use(token: string, key = holder) {
    const DPoP = await s.proof(key, { method: 'GET', url: suite.endpoint('userinfo'), token });
    return s.send(suite.endpoint('userinfo'), { headers: { Authorization: `DPoP ${token}`, DPoP } });
  }

  test(`${ID1}-discovery-end-point-verification`, () => {
    expect(suite.metadata).toMatchObject({
      backchannel_authentication_endpoint: `${suite.issuer}/backchannel-authentication`,
      backchannel_token_delivery_modes_supported: expect.arrayContaining([mode]) as string[],
      backchannel_authentication_request_signing_alg_values_supported: expect.arrayContaining([
        'ES256',
        'PS256',
      ]) as string[],
      backchannel_user_code_parameter_supported: false,
      grant_types_supported: expect.arrayContaining([CIBA]) as string[],
      token_endpoint_auth_methods_supported: expect.arrayContaining(['private_key_jwt']) as string[],
    });
  });

  test('fapi-ciba-id1', async () => {
    const first = await complete(await begin());
    const token = String(first.tokens.body['access_token']);
    expect((await use(token)).body).toEqual({ sub: first.claims.sub });
    expect((await use(token, await s.newKey())).status).toBe(401);

    receiver.calls.length = 0;
    const longToken = pinged ? { client_notification_token: 'a'.repeat(1024) } : {};
    const id = await begin({ acr_values: 'urn:yinxin:loa:1', ...longToken }, { by: other });
    const second = await complete(id, other);
    expect(second.claims['acr']).toBe('urn:yinxin:loa:1');
    expect(second.claims.sub).not.toBe(first.claims.sub);
    fails(await redeem(id, { by: other }), 'invalid_grant');
  });

  test('the same by a stock client', async () => {
    const library = await client.library();
    const keys = { publicKey: holder.publicKey, privateKey: holder.privateKey };
    const DPoP = oidc.getDPoPHandle(library, keys);
    const request = await s.sign(client.key, claimsOf(client));
    const started = await oidc.initiateBackchannelAuthentication(library, { request });
    await decide('allow');
    await expectPing(started.auth_req_id);
    const tokens = await oidc.pollBackchannelAuthenticationGrant(
      library,
      { ...started, interval: 1 },
      {},
      { DPoP },
    );
    expect(tokens.claims()).toMatchObject({ iss: suite.issuer, aud: client.clientId });
  });

  test(`${ID1}-user-rejects-authentication`, async () => {
    const id = await begin();
    await decide('deny');
    await expectPing(id);
    fails(await redeem(id), 'access_denied');
  });

  test(`${ID1}-multiple-call-to-token-endpoint`, async () => {
    const id = await begin();
    for (let i = 0; i < 3; i++) fails(await redeem(id), /^(authorization_pending|slow_down)$/);
    await complete(id);
  });

  test(`${ID1}-auth-req-id-expired`, async () => {
    const id = await begin({ requested_expiry: 10 });
    await s.later(11, async () => {
      const { page } = await approvals();
      expect(page.forms.filter(({ action }) => action.pathname.startsWith('/approvals/'))).toHaveLength(0);
      fails(await redeem(id), 'expired_token');
    });
    expect(pings()).toHaveLength(0);
  });

  test(`${ID1}-ensure-authorization-request-with-binding-message-succeeds`, async () => {
    const id = await begin({ binding_message: '1234' });
    expect((await approvals()).page.text).toContain('<code dir="auto">1234</code>');
    await complete(id);
  });

  test(`${ID1}-ensure-other-scope-order-succeeds`, async () => {
    const { tokens } = await complete(await begin({ scope: 'profile openid' }));
    const { body } = await use(String(tokens.body['access_token']));
    expect(body['preferred_username']).toBe(person.identifier);
  });

  test(`${ID1}-ensure-requested-expiry-as-string-succeeds`, async () => {
    const answer = await ask({ requested_expiry: '30' });
    expect(answer.body['expires_in']).toBe(30);
    await complete(String(answer.body['auth_req_id']));
  });

  test(`${ID1}-ensure-authorization-request-with-potentially-bad-binding-message`, async () => {
    for (const message of ['1234 👍🏿 品川', `1234 ${'long '.repeat(80)}`])
      fails(await ask({ binding_message: message }), 'invalid_binding_message');
  });

  describe('request objects', () => {
    const MINUTE = 60;

    test.each<[string, (now: number) => s.Claims]>([
      ['missing-aud', () => ({ aud: undefined })],
      ['bad-aud', () => ({ aud: 'https://elsewhere.example.cn' })],
      ['missing-iss', () => ({ iss: undefined })],
      ['bad-iss', () => ({ iss: other.clientId })],
      ['missing-exp', () => ({ exp: undefined })],
      ['expired-exp', (now) => ({ exp: now - 5 * MINUTE, nbf: now - 10 * MINUTE })],
      ['exp-is-70-minutes-in-future', (now) => ({ exp: now + 70 * MINUTE })],
      ['missing-iat', () => ({ iat: undefined })],
      ['missing-nbf', () => ({ nbf: undefined })],
      ['nbf-is-10-minutes-in-future', (now) => ({ nbf: now + 10 * MINUTE, exp: now + 15 * MINUTE })],
      ['nbf-is-70-minutes-in-past', (now) => ({ nbf: now - 70 * MINUTE })],
      ['missing-jti', () => ({ jti: undefined })],
    ])(`${ID1}-ensure-request-object-%s-fails`, async (_what, changes) => {
      fails(await ask(changes(s.seconds())));
    });

    test(`${ID1}-ensure-request-object-signature-algorithm-is-none-fails`, async () => {
      fails(await post(client, { request: s.unsigned(claimsOf(client)) }));
    });

    test(`${ID1}-ensure-request-object-signature-algorithm-is-bad-fails`, async () => {
      fails(await post(client, { request: s.spoilt(await s.sign(client.key, claimsOf(client))) }));
    });

    test(`${ID1}-ensure-request-object-signature-algorithm-is-RS256-fails`, async () => {
      fails(await ask({}, { by: rsa, key: await s.withAlg(rsa.key, 'RS256') }));
      await begin({}, { by: rsa });
    });

    test(`${ID1}-ensure-request-object-signed-by-other-client-fails`, async () => {
      fails(await ask({}, { key: other.key }));
    });

    test(`${ID1}-ensure-unsigned-backchannel-authorization-request-fails`, async () => {
      const { scope, login_hint, client_notification_token } = claimsOf(client) as s.Parameters;
      fails(await post(client, { scope, login_hint, client_notification_token }));
    });

    test(`${ID1}-ensure-authorization-request-with-multiple-hints-fails`, async () => {
      fails(await ask({ login_hint_token: 'x'.repeat(20) }));
    });
  });

  describe('whose request it is', () => {
    const anonymous = () => ({ form: { client_id: client.clientId } });
    const byRs256 = async () =>
      s.keyedClient(suite, rsa.clientId, await s.withAlg(rsa.key, 'RS256')).authenticate();
    /** One client's name with another's assertion. */
    const mixed = async () => ({
      form: { ...(await client.authenticate()).form, client_id: other.clientId },
    });
    const refused = (answer: s.Answer) => s.expectError(answer, [400, 401], /^invalid_(client|request)$/);

    test(`${ID1}-ensure-wrong-auth-req-id-in-token-endpoint-request`, async () => {
      const id = await begin();
      await decide('allow');
      fails(await redeem(id, { by: other }), 'invalid_grant');
    });

    test(`${ID1}-ensure-different-client-id-and-issuer-in-backchannel-authorization-request`, async () => {
      refused(await ask({}, { credentials: { form: { client_id: other.clientId } } }));
      fails(await ask({}, { by: other, key: client.key, credentials: await client.authenticate() }));
    });

    test(`${ID1}-ensure-wrong-client-id-in-token-endpoint-request`, async () => {
      refused(await redeem(await begin(), { credentials: await mixed() }));
    });

    test(`${ID1}-ensure-wrong-client-id-in-backchannel-authorization-request`, async () => {
      refused(await ask({}, { credentials: await mixed() }));
      const impostor = s.keyedClient(suite, other.clientId, client.key);
      s.expectError(await ask({}, { by: impostor }), 401, 'invalid_client');
    });

    test(`${ID1}-ensure-without-client-assertion-in-token-endpoint-request`, async () => {
      refused(await redeem(await begin(), { credentials: anonymous() }));
    });

    test(`${ID1}-ensure-without-client-assertion-in-backchannel-authorization-request`, async () => {
      refused(await ask({}, { credentials: anonymous() }));
    });

    test(`${ID1}-ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails`, async () => {
      s.expectError(await ask({}, { by: rsa, credentials: await byRs256() }), 401, 'invalid_client');
    });

    test(`${ID1}-ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails`, async () => {
      const id = await begin({}, { by: rsa });
      const answer = await redeem(id, { by: rsa, credentials: await byRs256() });
      s.expectError(answer, 401, 'invalid_client');
      fails(await redeem(id, { by: rsa }), 'authorization_pending');
    });

    test(`${ID1}-ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds`, async () => {
      const id = await begin();
      await decide('allow');
      const answer = await redeem(id, { credentials: await client.authenticate({ aud: suite.issuer }) });
      await s.expectTokens(suite, client, answer, { tokenType: 'DPoP' });
    });

    test('tokens need a proof of the key that they are bound to', async () => {
      const id = await begin();
      await decide('allow');
      const answer = await s.askForTokens(suite, client, { grant_type: CIBA, auth_req_id: id });
      fails(answer, /^invalid_(request|grant|dpop_proof)$/);
    });
  });

  test(`${ID1}-refresh-token`, async () => {
    const { tokens, claims } = await complete(await begin({ scope: 'openid offline_access' }));
    const grant = s.refreshGrant(tokens.body['refresh_token']);
    const headers = async () => ({ DPoP: await s.proof(holder, { url: suite.endpoint('token') }) });
    const refreshed = await s.askForTokens(suite, client, grant, { headers: await headers() });
    expect(refreshed.status, refreshed.text).toBe(200);
    expect((await use(String(refreshed.body['access_token']))).body).toEqual({ sub: claims.sub });
    const stolen = await s.askForTokens(suite, other, grant, { headers: await headers() });
    fails(stolen, 'invalid_grant');
  });

  // Pings alone are answered.
  test.each(pinged ? PING_ANSWERS : [])('%s', async (_module, answer) => {
    receiver.answers.set(path, answer);
    await complete(await begin());
    await setTimeout(1500);
    expect(receiver.calls.map((call) => call.path)).toEqual([path]);
  });
});
