import { randomBytes, randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOrganisationRegister } from '../../src/organisations/index.ts';
import { toSources } from '../../src/platform/sources.ts';
import { TestClock } from '../support/clock.ts';
import { silentLogger } from '../support/logger.ts';
import { json, startToldServer, type ToldServer } from '../support/told-server.ts';

let told: ToldServer;
const clock = new TestClock();

beforeAll(async () => {
  told = await startToldServer();
});
afterAll(() => told.stop());
beforeEach(() => told.reset());

function register(change: object = {}) {
  const sources = toSources(
    JSON.stringify({
      organisationRegister: {
        driver: 'http',
        id: 'market-regulation',
        name: { 'zh-CN': '示例市场主体登记库' },
        url: `${told.origin}/v1/`,
        authentication: { method: 'hmac', keyId: 'yinxin-1', secret: randomBytes(32).toString('base64') },
        timeoutMs: 10_000,
        ...change,
      },
    }),
    'server',
  );
  if ('problem' in sources) throw new Error(sources.problem);
  const made = createOrganisationRegister(sources.value.organisationRegister, {
    clock,
    logger: silentLogger,
    outboundNetworks: ['127.0.0.0/8'],
    outboundAuthorities: [],
  });
  if (!made) throw new Error('no register');
  return made;
}
const claim = (requestId: string = randomUUID()) => ({
  requestId,
  unifiedSocialCreditCode: '91330106MADEMYXKJ3',
  person: { name: '李华', document: { kind: 'resident-id', number: '33999919900307001X' } },
});
const CONFIRMED = {
  result: 'confirmed',
  reference: 'r-1',
  organisation: { name: '示例有限公司', kind: 'enterprise', region: '330106' },
};

test('is asked as the contract says, in one signed request', async () => {
  told.answers = [json(CONFIRMED)];
  const asked = claim();
  expect(await register().confirm(asked)).toEqual({
    kind: 'confirmed',
    reference: 'r-1',
    organisation: CONFIRMED.organisation,
  });
  const [{ request, body } = { request: undefined, body: '' }] = told.seen;
  expect([request?.method, request?.url]).toEqual(['POST', '/v1/representatives']);
  expect(request?.headers).toMatchObject({
    'idempotency-key': `"${asked.requestId}"`,
    'signature-input': expect.stringContaining('"@target-uri" "idempotency-key" "content-digest"'),
  });
  expect(JSON.parse(body)).toEqual({
    request_id: asked.requestId,
    unified_social_credit_code: '91330106MADEMYXKJ3',
    representative: { name: '李华', document: { kind: 'resident-id', number: '33999919900307001X' } },
  });
});

test('refuses without saying why, and whatever else it says is thrown away', async () => {
  told.answers = [json({ result: 'refused', because: 'another represents it' })];
  expect(await register().confirm(claim())).toEqual({ kind: 'refused' });
});

test.each([
  ['has no result that the contract knows', json({ result: 'perhaps' })],
  ['confirms without a reference', json({ ...CONFIRMED, reference: undefined })],
  ['names an organisation at length', json({ ...CONFIRMED, organisation: { name: '名'.repeat(65) } })],
  ['is of a kind that there is not', json({ ...CONFIRMED, organisation: { name: '名', kind: 'gang' } })],
  ['is too long', json({ ...CONFIRMED, more: 'x'.repeat(20_000) })],
  [
    'is no JSON',
    (response: ServerResponse): void => {
      response.writeHead(200).end('confirmed');
    },
  ],
  ['is an error of ours', json({ error: 'bad' }, 400)],
] as const)('is unavailable when its answer %s', async (_what, answer) => {
  told.answers = [answer];
  expect(await register().confirm(claim())).toEqual({ kind: 'unavailable' });
});

test('is asked the same once more when it fails, and counts as unavailable when it is silent', async () => {
  told.answers = [json({}, 503), json(CONFIRMED)];
  expect(await register().confirm(claim())).toMatchObject({ kind: 'confirmed' });
  expect(new Set(told.seen.map(({ request }) => request.headers['idempotency-key'])).size).toBe(1);
  told.answers = [() => undefined, () => undefined];
  expect(await register({ timeoutMs: 100 }).confirm(claim())).toEqual({ kind: 'unavailable' });
});

test('is left alone after five failures, and asked again later', async () => {
  const one = register();
  told.answers = Array.from({ length: 5 }, () => json({ error: 'bad' }, 400));
  for (let i = 0; i < 6; i++) expect(await one.confirm(claim())).toEqual({ kind: 'unavailable' });
  expect(told.seen).toHaveLength(5);
  clock.advance(31);
  told.answers = [json(CONFIRMED)];
  expect(await one.confirm(claim())).toMatchObject({ kind: 'confirmed' });
});
