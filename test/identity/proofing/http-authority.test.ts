import { createHash, createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuthorities } from '../../../src/identity/proofing/authorities.ts';
import { createHttpAuthority } from '../../../src/identity/proofing/http-authority.ts';
import { DOCUMENT_KINDS } from '../../../src/identity/proofing/documents.ts';
import { createOutboundFetch } from '../../../src/platform/http/outbound.ts';
import { toSources, type HttpAuthoritySource } from '../../../src/platform/sources.ts';
import { derToPem } from '../../../src/pki/index.ts';
import { issue, issueCa, privateKeyPem, type Holder } from '../../pki/support.ts';
import { TestClock } from '../../support/clock.ts';
import { silentLogger } from '../../support/logger.ts';
import { selfSigned } from '../../support/tls.ts';
import { json, startToldServer, type ToldServer } from '../../support/told-server.ts';

let told: ToldServer;
const clock = new TestClock();

beforeAll(async () => {
  told = await startToldServer();
});
afterAll(() => told.stop());
beforeEach(() => told.reset());

const SECRET = randomBytes(32).toString('base64');
function authority(change: object = {}) {
  const sources = toSources(
    JSON.stringify({
      authorities: [
        {
          driver: 'http',
          id: 'mps',
          name: { 'zh-CN': '测试人口库' },
          url: `${told.origin}/v1/`,
          authentication: { method: 'hmac', keyId: 'yinxin-1', secret: SECRET },
          timeoutMs: 10_000,
          trustFramework: 'urn:example:register',
          ...change,
        },
      ],
    }),
    'server',
  );
  if ('problem' in sources) throw new Error(sources.problem);
  const [source] = sources.value.authorities as HttpAuthoritySource[];
  if (!source) throw new Error('no source');
  return createHttpAuthority(source, {
    fetch: createOutboundFetch(['127.0.0.0/8']),
    clock,
    logger: silentLogger,
    kinds: DOCUMENT_KINDS,
  });
}
const comparison = {
  requestId: 'e0f5b0a6-6ad5-4b0c-bc0b-0c8f0a9b8f5d',
  claim: {
    document: { kind: 'resident-id' as const, number: '33999919900307001X' },
    name: '李华',
    third: { item: 'phone' as const, value: '+8619900000001' },
  },
  wanted: 3 as const,
  returnUri: 'https://id.example/back',
};

test('a comparison is sent as the contract says, and each answer is understood', async () => {
  const mps = authority();
  told.answers = [
    json({ result: 'confirmed', level: 2, reference: 'r-1' }),
    json({ result: 'refused', reference: 'r-2', wrong: 'name' }),
    json({ result: 'continue', uri: `${told.origin}/live/abc`, reference: 'r-3' }),
  ];
  expect(await mps.compare(comparison)).toEqual({ kind: 'confirmed', level: 2, reference: 'r-1' });
  // Even an authority that says too much is not repeated.
  expect(await mps.compare(comparison)).toEqual({ kind: 'refused', reference: 'r-2' });
  expect(await mps.compare(comparison)).toEqual({
    kind: 'continue',
    uri: `${told.origin}/live/abc`,
    reference: 'r-3',
  });
  const [first] = told.seen;
  expect(first?.request.method).toBe('POST');
  expect(first?.request.url).toBe('/v1/comparisons');
  expect(JSON.parse(first?.body ?? '')).toEqual({
    request_id: comparison.requestId,
    wanted_level: 3,
    return_uri: 'https://id.example/back',
    document: { kind: 'resident-id', number: '33999919900307001X' },
    name: '李华',
    phone: '+8619900000001',
  });
});

test('the result of a live check is asked for by its reference', async () => {
  const mps = authority();
  told.answers = [json({ result: 'pending' }), json({ result: 'confirmed', level: 3, reference: 'r/3' })];
  expect(await mps.result('r/3')).toEqual({ kind: 'pending' });
  expect(await mps.result('r/3')).toEqual({ kind: 'confirmed', level: 3, reference: 'r/3' });
  expect(told.seen[0]?.request.url).toBe('/v1/comparisons/r%2F3');
});

test('a request carries a signature (RFC 9421) that covers method, address, key and body', async () => {
  told.answers = [json({ result: 'pending' }), json({ result: 'refused' })];
  await authority().result('r-1');
  await authority().compare(comparison);
  for (const { request, body } of told.seen) {
    const input = String(request.headers['signature-input']).replace(/^yinxin=/, '');
    const covered = [...(/^\(([^)]*)\)/.exec(input)?.[1] ?? '').matchAll(/"([^"]+)"/g)].map(
      ([, name = '']) => name,
    );
    expect(covered).toEqual(expect.arrayContaining(['@method', '@target-uri']));
    if (request.method === 'POST')
      expect(covered).toEqual(expect.arrayContaining(['content-digest', 'idempotency-key']));
    expect(input).toContain(`;created=${Math.floor(clock.now().getTime() / 1000)}`);
    const valueOf = (name: string) =>
      name === '@method'
        ? request.method
        : name === '@target-uri'
          ? `${told.origin}${request.url}`
          : String(request.headers[name]);
    const base = [
      ...covered.map((name) => `"${name}": ${valueOf(name)}`),
      `"@signature-params": ${input}`,
    ].join('\n');
    const expected = createHmac('sha256', createSecretKey(Buffer.from(SECRET, 'base64')))
      .update(base)
      .digest();
    const given = Buffer.from(
      /^yinxin=:(.*):$/.exec(String(request.headers['signature']))?.[1] ?? '',
      'base64',
    );
    expect(given.length === expected.length && timingSafeEqual(given, expected)).toBe(true);
    if (body !== '')
      expect(request.headers['content-digest']).toBe(
        `sha-256=:${createHash('sha256').update(body).digest('base64')}:`,
      );
  }
});

test('a bearer token is sent where one was agreed', async () => {
  told.answers = [json({ result: 'pending' })];
  await authority({ authentication: { method: 'bearer', token: 'abcdefghijklmnop' } }).result('r-1');
  expect(told.seen[0]?.request.headers.authorization).toBe('Bearer abcdefghijklmnop');
});

test('what a second try may mend is tried once more, with the same idempotency key', async () => {
  told.answers = [json({}, 503), json({ result: 'confirmed', level: 3, reference: 'r-1' })];
  expect(await authority().compare(comparison)).toMatchObject({ kind: 'confirmed' });
  told.answers = [(response) => void response.destroy(), json({ result: 'refused' })];
  expect(await authority().compare(comparison)).toMatchObject({ kind: 'refused' });
  expect(new Set(told.seen.map(({ request }) => request.headers['idempotency-key']))).toEqual(
    new Set([`"${comparison.requestId}"`]),
  );
  expect(told.seen).toHaveLength(4);
});

test('anything that the contract does not know is unavailability, and is not tried again', async () => {
  for (const answer of [
    json({ result: 'maybe' }),
    json({ result: 'confirmed', level: 4, reference: 'r' }),
    json({ result: 'confirmed', level: 2 }),
    json({ result: 'confirmed', level: 2, reference: 'with\nline' }),
    json({ result: 'refused' }, 201),
    json({ error: 'unknown_client' }, 401),
    json([]),
    (response: ServerResponse) => void response.writeHead(200).end('not json'),
    (response: ServerResponse) => void response.writeHead(200).end('x'.repeat(20_000)),
  ]) {
    told.seen = [];
    told.answers = [answer];
    expect(await authority().compare(comparison)).toEqual({ kind: 'unavailable' });
    expect(told.seen).toHaveLength(1);
  }
});

test('a redirect is not followed: people would be told to someone else', async () => {
  told.answers = [
    (response) => void response.writeHead(307, { location: `${told.origin}/elsewhere` }).end(),
    (response) => void response.writeHead(307, { location: `${told.origin}/elsewhere` }).end(),
  ];
  expect(await authority().compare(comparison)).toEqual({ kind: 'unavailable' });
  expect(told.seen.map(({ request }) => request.url)).not.toContain('/elsewhere');
});

test('people are sent to registered origins alone', async () => {
  told.answers = [json({ result: 'continue', uri: 'https://evil.example/live', reference: 'r' })];
  expect(await authority().compare(comparison)).toEqual({ kind: 'unavailable' });
  told.answers = [json({ result: 'continue', uri: 'https://live.example/check?id=1', reference: 'r' })];
  const other = authority({ liveCheckOrigins: ['https://live.example'] });
  expect(await other.compare(comparison)).toMatchObject({ kind: 'continue' });
});

test('more than was wanted is not taken', async () => {
  told.answers = [json({ result: 'confirmed', level: 3, reference: 'r' })];
  expect(await authority().compare({ ...comparison, wanted: 2 })).toMatchObject({ level: 2 });
});

test('an answer that does not come in time is unavailability', async () => {
  told.answers = [() => undefined, () => undefined];
  expect(await authority({ timeoutMs: 100 }).compare(comparison)).toEqual({ kind: 'unavailable' });
});

test('after failures in a row it is left alone for a while, then tried by one', async () => {
  const mps = authority();
  for (let i = 0; i < 5; i++) expect(await mps.result('r')).toEqual({ kind: 'unavailable' });
  const before = told.seen.length;
  expect(await mps.result('r')).toEqual({ kind: 'unavailable' });
  expect(told.seen).toHaveLength(before);
  clock.advance(31);
  told.answers = [json({}, 500)];
  expect(await mps.result('r')).toEqual({ kind: 'unavailable' });
  expect(told.seen).toHaveLength(before + 1);
  clock.advance(31);
  told.answers = [json({ result: 'pending' }), json({ result: 'pending' })];
  expect(await Promise.all([mps.result('r'), mps.result('r')])).toEqual(
    expect.arrayContaining([{ kind: 'pending' }, { kind: 'unavailable' }]),
  );
  expect(await mps.result('r')).toEqual({ kind: 'pending' });
});

test('an authority on a private address outside the registered networks is never reached', async () => {
  const sources = toSources(
    JSON.stringify({
      authorities: [
        {
          driver: 'http',
          id: 'mps',
          name: { 'zh-CN': '测试人口库' },
          url: told.origin,
          authentication: { method: 'bearer', token: 'abcdefghijklmnop' },
          trustFramework: 'urn:example:register',
        },
      ],
    }),
    'server',
  );
  if ('problem' in sources) throw new Error(sources.problem);
  const [source] = sources.value.authorities as HttpAuthoritySource[];
  if (!source) throw new Error('no source');
  const guarded = createHttpAuthority(source, {
    fetch: createOutboundFetch([]),
    clock,
    logger: silentLogger,
    kinds: DOCUMENT_KINDS,
  });
  expect(await guarded.compare(comparison)).toEqual({ kind: 'unavailable' });
  expect(told.seen).toHaveLength(0);
});

describe('over mutual TLS', () => {
  const shown: string[] = [];
  let root: Holder;
  let register: HttpsServer;
  let address: { key: string; certificate: string };

  /** Asks for a certificate of its own authority, and answers nobody else. */
  beforeAll(async () => {
    root = await issueCa('核验服务的客户端根');
    address = selfSigned('127.0.0.1');
    register = createHttpsServer(
      {
        key: address.key,
        cert: address.certificate,
        ca: [pem(root)],
        requestCert: true,
        rejectUnauthorized: true,
      },
      (request, response) => {
        shown.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
        json({ result: 'confirmed', level: 2, reference: 'r-9' })(response);
      },
    );
    await new Promise<void>((resolve) => register.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    register.closeAllConnections();
    register.close();
  });

  const pem = ({ certificate }: Holder) => derToPem('CERTIFICATE', certificate.der);
  const client = (issuer: Holder) =>
    issue('印信', {
      issuer,
      extensions: { extKeyUsage: { keyPurposeIds: ['1.3.6.1.5.5.7.3.2'], critical: false } },
    });

  /** As an installation is configured, certificate and key among its sources. */
  function configured(authentication: object, trusted: readonly string[]) {
    const sources = toSources(
      JSON.stringify({
        authorities: [
          {
            driver: 'http',
            id: 'mps',
            name: { 'zh-CN': '测试人口库' },
            url: `https://127.0.0.1:${(register.address() as AddressInfo).port}/v1`,
            authentication,
            trustFramework: 'urn:example:register',
          },
        ],
      }),
      'server',
    );
    if ('problem' in sources) throw new Error(sources.problem);
    const [mps] = createAuthorities(sources.value.authorities, {
      db: undefined as never,
      clock,
      logger: silentLogger,
      issuer: 'https://id.example',
      outboundNetworks: ['127.0.0.0/8'],
      outboundAuthorities: trusted,
    }).all;
    if (!mps) throw new Error('no authority');
    return mps;
  }
  const mtls = (holder: Holder) => ({ method: 'mtls', certificate: pem(holder), key: privateKeyPem(holder) });

  test('our certificate says who we are', async () => {
    const mps = configured(mtls(await client(root)), [address.certificate]);
    expect(await mps.compare(comparison)).toMatchObject({ kind: 'confirmed', level: 2 });
    expect(shown).toEqual(['印信']);
  });

  test('without it, or with one of another authority, nothing is learnt from the register', async () => {
    shown.length = 0;
    const bearer = { method: 'bearer', token: randomBytes(24).toString('base64url') };
    const strange = mtls(await client(await issueCa('别人的根')));
    for (const authentication of [bearer, strange])
      expect(await configured(authentication, [address.certificate]).compare(comparison)).toEqual({
        kind: 'unavailable',
      });
    expect(shown).toEqual([]);
  });

  test('a register whose own certificate nobody vouches for is told nothing of anybody', async () => {
    shown.length = 0;
    expect(await configured(mtls(await client(root)), []).compare(comparison)).toEqual({
      kind: 'unavailable',
    });
    expect(shown).toEqual([]);
  });

  test('a certificate and a key that do not belong together are a mistake of whoever configures them', async () => {
    const [one, two] = [await client(root), await client(root)];
    const mixed = { ...mtls(one), key: privateKeyPem(two) };
    const mps = configured(mixed, [address.certificate]);
    expect(await mps.compare(comparison)).toEqual({ kind: 'unavailable' });
  });
});
