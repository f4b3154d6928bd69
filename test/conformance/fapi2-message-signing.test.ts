/**
 * fapi2-message-signing-final-test-plan: the modules about signed request objects, which every request goes by; then JARM and signed
 * introspection (FAPI 2.0 Message Signing, sections 5.4 and 5.5), for which the plan has no modules of their own.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as s from './support.ts';

const PREFIX = 'fapi2-security-profile-final';

let suite: s.Suite;
let client: s.KeyedClient;
let other: s.KeyedClient;
let rsa: s.KeyedClient;
const RESOURCE = 'https://api.example.cn/records';

beforeAll(async () => {
  suite = await s.startSuite();
  await suite.t.app.resources.register(
    {
      identifier: RESOURCE,
      name: { 'zh-CN': '档案' },
      scopes: { 'records:read': { 'zh-CN': '读取档案' } },
      introspectedBy: ['signed-two'],
    },
    'system',
  );
  const register = (clientId: string, key?: s.Key) =>
    s.registerKeyedClient(
      suite,
      {
        clientId,
        profile: 'fapi2',
        resources: { [RESOURCE]: ['records:read'] },
        metadata: {
          require_signed_request_object: true,
          introspection_signed_response_alg: 'ES256',
          ...(key ? { jwks: { keys: [{ ...key.jwk, alg: undefined }] } } : {}),
        },
      },
      key,
    );
  client = await register('signed-one');
  other = await register('signed-two');
  rsa = await register('signed-rsa', await s.newKey('PS256'));
});
afterAll(() => suite.t.stop());

const MINUTE = 60;

/** Pushes a request object with changed claims, or whatever is made of it. */
async function push(
  changes: s.Claims,
  make = (attempt: s.Attempt) => s.requestObject(suite, client, attempt.parameters, changes),
  by = client,
) {
  const attempt = await s.newAttempt(by, { response_mode: 'jwt' });
  return { attempt, pushed: await s.push(suite, by, { request: await make(attempt) }) };
}

async function expectRefused(...parameters: Parameters<typeof push>): Promise<void> {
  const { pushed } = await push(...parameters);
  s.expectError(pushed, 400, 'invalid_request_object');
}

async function expectAccepted(...parameters: Parameters<typeof push>): Promise<void> {
  const { attempt, pushed } = await push(...parameters);
  expect(pushed.status, pushed.text).toBe(201);
  const [, , by = client] = parameters;
  s.expectCode(suite, { ...attempt, ...(await s.follow(suite, by, pushed)) });
}

describe('request objects', () => {
  test.each<[string, () => s.Claims]>([
    [
      `${PREFIX}-ensure-request-object-with-multiple-aud-succeeds`,
      () => ({ aud: ['https://elsewhere.example.cn', suite.issuer] }),
    ],
    [
      `${PREFIX}-ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted`,
      () => ({ nbf: s.seconds() + 8 }),
    ],
  ])('%s', async (_module, changes) => {
    await expectAccepted(changes());
  });

  test.each<[string, () => s.Claims]>([
    [`${PREFIX}-ensure-request-object-without-exp-fails`, () => ({ exp: undefined })],
    [`${PREFIX}-ensure-request-object-without-nbf-fails`, () => ({ nbf: undefined })],
    [
      `${PREFIX}-ensure-expired-request-object-fails`,
      () => ({ nbf: s.seconds() - 10 * MINUTE, exp: s.seconds() - 5 * MINUTE }),
    ],
    [`${PREFIX}-ensure-request-object-with-bad-aud-fails`, () => ({ aud: 'https://elsewhere.example.cn' })],
    [`${PREFIX}-ensure-request-object-with-exp-over-60-fails`, () => ({ exp: s.seconds() + 70 * MINUTE })],
    [`${PREFIX}-ensure-request-object-with-nbf-over-60-fails`, () => ({ nbf: s.seconds() - 70 * MINUTE })],
    [
      `${PREFIX}-par-authorization-request-containing-request_uri`,
      () => ({ request_uri: 'urn:ietf:params:oauth:request_uri:1' }),
    ],
  ])('%s', async (_module, changes) => {
    await expectRefused(changes());
  });

  test(`${PREFIX}-ensure-signed-request-object-with-RS256-fails`, async () => {
    const signedBy = (key: s.Key) => (attempt: s.Attempt) =>
      s.requestObject(suite, { ...rsa, key }, attempt.parameters);
    await expectRefused({}, signedBy(await s.withAlg(rsa.key, 'RS256')), rsa);
    await expectAccepted({}, signedBy(rsa.key), rsa);
  });

  test(`${PREFIX}-ensure-request-object-signature-algorithm-is-not-none`, async () => {
    await expectRefused({}, ({ parameters }) =>
      Promise.resolve(s.unsigned(s.requestClaims(suite, client.clientId, parameters))),
    );
  });

  test(`${PREFIX}-ensure-request-object-with-invalid-signature-fails`, async () => {
    await expectRefused({}, async ({ parameters }) =>
      s.spoilt(await s.requestObject(suite, client, parameters)),
    );
  });

  test(`${PREFIX}-ensure-matching-key-in-authorization-request`, async () => {
    const { clientId } = client;
    await expectRefused({}, ({ parameters }) =>
      s.requestObject(suite, { ...client, key: other.key }, parameters, { iss: clientId }),
    );
  });

  test(`${PREFIX}-ensure-unsigned-request-at-par-endpoint-fails`, async () => {
    const { parameters } = await s.newAttempt(client);
    s.expectError(await s.push(suite, client, parameters), 400, 'invalid_request');
  });
});

describe('JARM', () => {
  test.each([
    ['jwt', false],
    ['query.jwt', false],
    ['form_post.jwt', true],
  ])('response mode %s', async (mode, byForm) => {
    const attempt = await s.newAttempt(client, { response_mode: mode });
    const form = { request: await s.requestObject(suite, client, attempt.parameters) };
    const arrival = await s.follow(suite, client, await s.push(suite, client, form));
    s.expectCode(suite, { ...attempt, ...arrival });
    expect(arrival.page.url.origin === suite.issuer).toBe(byForm);
  });

  test('errors are signed, too', async () => {
    const attempt = await s.newAttempt(client, { response_mode: 'jwt', prompt: 'none' });
    const form = { request: await s.requestObject(suite, client, attempt.parameters) };
    const { answer, page } = await s.follow(suite, client, await s.push(suite, client, form));
    expect([...page.url.searchParams.keys()]).toEqual(['response']);
    expect(answer.get('error')).toBe('login_required');
    expect(answer.get('state')).toBe(attempt.parameters['state']);
  });
});

describe('signed introspection (RFC 9701)', () => {
  const TYPE = 'application/token-introspection+jwt';

  async function introspect(by: s.KeyedClient, token: string) {
    const { form } = await by.authenticate();
    return s.post(suite.endpoint('introspection'), { ...form, token }, { Accept: TYPE });
  }

  test('a resource is told in a JWT whom a token of its own stands for; a token of nobody is not active', async () => {
    const attempt = await s.newAttempt(client, { scope: 'openid records:read', resource: RESOURCE });
    const form = { request: await s.requestObject(suite, client, attempt.parameters) };
    const arrival = await s.follow(suite, client, await s.push(suite, client, form));
    const holder = await s.newKey();
    const headers = { DPoP: await s.proof(holder, { url: suite.endpoint('token') }) };
    const grant = { ...s.codeGrant(client, { ...attempt, ...arrival }), resource: RESOURCE };
    const tokens = await s.askForTokens(suite, client, grant, { headers });
    expect(tokens.status, tokens.text).toBe(200);

    const read = async (token: string) => {
      const answer = await introspect(other, token);
      expect(answer.status, answer.text).toBe(200);
      expect(answer.headers.get('content-type')).toMatch(TYPE);
      const { clientId } = other;
      return (await s.verified(suite, answer.text, { clientId }))['token_introspection'];
    };
    expect(await read(String(tokens.body['access_token']))).toMatchObject({
      active: true,
      aud: RESOURCE,
      client_id: client.clientId,
      scope: 'records:read',
      cnf: { jkt: holder.jwk.kid },
    });
    expect(await read('a-token-of-nobody')).toEqual({ active: false });
  });
});
