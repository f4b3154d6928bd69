import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  buildPath,
  buildTimeStampRequest,
  buildTimeStampToken,
  derToPem,
  imprintFits,
  judgeTimeStamp,
  keyPurposes,
  parseTimeStampRequest,
  parseTimeStampResponse,
  parseTimeStampToken,
  timeStampRejection,
  timeStampResponse,
  type DigestAlgorithm,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import {
  during,
  expectCode,
  folder,
  issue,
  issueCa,
  openssl,
  opensslSays,
  privateKeyPem,
  type Holder,
} from './support.ts';
import { changed } from './tree.ts';

const policy = '1.2.156.1.2.3';
const tsaExtensions = {
  keyUsage: ['digitalSignature'],
  extKeyUsage: { keyPurposeIds: [keyPurposes.timeStamping], critical: true },
} as const;
const root = await issueCa('根');
const ca = await issueCa('签发', { issuer: root });
const tsa = await issue('时间戳', { issuer: ca, extensions: tsaExtensions });
const data = Buffer.from('文件');
const digestOf = (algorithm: DigestAlgorithm) => createHash(algorithm).update(data).digest();

interface Stamp {
  readonly signer?: Holder;
  readonly chain?: readonly Holder[] | undefined;
  readonly hashAlgorithm?: DigestAlgorithm;
  readonly nonce?: Buffer | undefined;
  readonly genTime?: Date;
}

function stamp(wishes: Stamp = {}): Promise<Buffer> {
  const { signer = tsa, hashAlgorithm = 'sha256', nonce, genTime = during } = wishes;
  const chain = 'chain' in wishes ? wishes.chain : [ca];
  return buildTimeStampToken(
    {
      policy,
      messageImprint: { hashAlgorithm, hashedMessage: digestOf(hashAlgorithm) },
      serialNumber: Buffer.concat([Buffer.of(1), randomBytes(15)]),
      genTime,
      accuracy: { seconds: 1, millis: 500, micros: 0 },
      nonce,
      signerCertificate: signer.certificate,
      certificates: chain?.map(({ certificate }) => certificate),
    },
    signer.signer,
  );
}

/** What `openssl ts -verify` says of a response to a query, or over data. */
function opensslTs(response: Buffer, by: string[], untrusted: readonly Holder[] = [], anchor = root): string {
  const files = folder();
  const pem = (name: string, holders: readonly Holder[]) =>
    files.write(name, holders.map(({ certificate }) => derToPem('CERTIFICATE', certificate.der)).join(''));
  const more = untrusted.length > 0 ? ['-untrusted', pem('u.pem', untrusted)] : [];
  const trust = ['-CAfile', pem('root.pem', [anchor]), '-attime', String(during.getTime() / 1000), ...more];
  return opensslSays('ts', '-verify', '-in', files.write('r', response), ...by, ...trust);
}

const expected = { messageImprint: { hashAlgorithm: 'sha256', hashedMessage: digestOf('sha256') } } as const;

describe('a token that we make', () => {
  test.each<[SignatureAlgorithm, string, DigestAlgorithm]>([
    ['ecdsa-with-SHA256', 'P-256', 'sha256'],
    ['ecdsa-with-SHA384', 'P-384', 'sha384'],
    ['sha256WithRSAEncryption', '', 'sha512'],
  ])('is taken by openssl ts: %s', async (algorithm, namedCurve, hashAlgorithm) => {
    const anchor = await issueCa('根', { algorithm, namedCurve });
    const signer = await issue('时间戳', {
      algorithm,
      namedCurve,
      issuer: anchor,
      extensions: tsaExtensions,
    });
    const files = folder();
    const file = files.write('data', data);
    openssl('ts', '-query', '-data', file, `-${hashAlgorithm}`, '-cert', '-out', files.path('q'));
    const query = parseTimeStampRequest(files.read('q'));
    expect(query).toMatchObject({ certReq: true, messageImprint: { hashAlgorithm }, extensions: [] });
    expect(imprintFits(query.messageImprint)).toBe(true);
    const response = timeStampResponse(await stamp({ signer, chain: [], hashAlgorithm, nonce: query.nonce }));
    expect(opensslTs(response, ['-queryfile', files.path('q')], [], anchor)).toContain('Verification: OK');
    expect(opensslTs(response, ['-data', file], [], anchor)).toContain('Verification: OK');
    const other = files.write('other', 'x');
    expect(opensslTs(response, ['-data', other], [], anchor)).toContain('Verification: FAILED');
  });

  test('says policy, serial number, time to the millisecond and accuracy, as openssl reads them', async () => {
    const files = folder();
    const genTime = new Date('2026-06-01T12:00:00.120Z');
    const response = timeStampResponse(await stamp({ genTime }));
    const text = openssl('ts', '-reply', '-in', files.write('r', response), '-text');
    for (const part of [
      'Status: Granted.',
      `Policy OID: ${policy}`,
      'Time stamp: Jun  1 12:00:00.12 2026 GMT',
      'Accuracy: 0x01 seconds, 0x01F4 millis, unspecified micros',
      'Ordering: no',
    ])
      expect(text).toContain(part);
    expect(parseTimeStampResponse(response).token?.tstInfo).toMatchObject({
      policy,
      genTime,
      accuracy: { seconds: 1, millis: 500, micros: 0 },
      ordering: false,
    });
  });

  test('carries no certificate when none was asked for (RFC 3161 2.4.1)', async () => {
    const bytes = await stamp({ chain: undefined });
    const token = parseTimeStampToken(bytes);
    expect(token.signed.certificates).toEqual([]);
    expect(judgeTimeStamp(token, expected).tsaCertificate).toBeUndefined();
    const given = judgeTimeStamp(token, { ...expected, certificates: [tsa.certificate] });
    expect(given.valid).toBe(true);
    const files = folder();
    const by = ['-data', files.write('data', data)];
    expect(opensslTs(timeStampResponse(bytes), by, [tsa, ca])).toContain('Verification: OK');
    expect(opensslTs(timeStampResponse(bytes), by)).toContain('Verification: FAILED');
  });

  test('leads to the root at the time that it says', async () => {
    const token = parseTimeStampToken(await stamp());
    const verdict = judgeTimeStamp(token, expected);
    expect(verdict.valid).toBe(true);
    const path = verdict.tsaCertificate
      ? buildPath(
          verdict.tsaCertificate,
          token.signed.certificates,
          [root.certificate],
          token.tstInfo.genTime,
        )
      : undefined;
    expect(path?.ok).toBe(true);
  });
});

describe('a token proves nothing', () => {
  test('when its certificate is not for time-stamping alone, or not critically so; openssl refuses it too', async () => {
    const purposes = [
      { keyPurposeIds: [keyPurposes.timeStamping], critical: false },
      { keyPurposeIds: [keyPurposes.timeStamping, keyPurposes.OCSPSigning], critical: true },
      { keyPurposeIds: [keyPurposes.OCSPSigning], critical: true },
      undefined,
    ];
    const files = folder();
    const file = files.write('data', data);
    for (const extKeyUsage of purposes) {
      const signer = await issue('时间戳', { issuer: ca, extensions: { ...tsaExtensions, extKeyUsage } });
      const bytes = await stamp({ signer });
      expect(judgeTimeStamp(parseTimeStampToken(bytes), expected)).toMatchObject({
        extKeyUsage: false,
        signature: true,
        valid: false,
      });
      expect(opensslTs(timeStampResponse(bytes), ['-data', file])).toContain('Verification: FAILED');
    }
  });

  test('for another digest or another nonce', async () => {
    const token = parseTimeStampToken(await stamp({ nonce: Buffer.of(5) }));
    const other = { hashAlgorithm: 'sha256', hashedMessage: Buffer.alloc(32) } as const;
    expect(judgeTimeStamp(token, { messageImprint: other })).toMatchObject({
      messageImprint: false,
      valid: false,
    });
    expect(judgeTimeStamp(token, { ...expected, nonce: Buffer.of(5) }).valid).toBe(true);
    expect(judgeTimeStamp(token, { ...expected, nonce: Buffer.of(6) })).toMatchObject({
      nonce: false,
      valid: false,
    });
    const without = parseTimeStampToken(await stamp());
    expect(judgeTimeStamp(without, { ...expected, nonce: Buffer.of(5) }).valid).toBe(false);
  });

  test('when its time was changed; openssl refuses it too', async () => {
    const bytes = changed(await stamp(), [1, 0, 2, 1, 0], (content) => {
      content.contents = changed(content.contents ?? Buffer.alloc(0), [4], (time) => {
        time.contents = Buffer.from('20260531120000Z');
      });
    });
    const token = parseTimeStampToken(bytes);
    expect(token.tstInfo.genTime).toEqual(new Date('2026-05-31T12:00:00Z'));
    expect(judgeTimeStamp(token, expected)).toMatchObject({ signature: false, valid: false });
    const files = folder();
    const said = opensslTs(timeStampResponse(bytes), ['-data', files.write('data', data)]);
    expect(said).toContain('Verification: FAILED');
  });
});

test('a token that OpenSSL makes for a request of ours is read and judged', () => {
  const files = folder();
  const nonce = Buffer.of(0x12, 0x34);
  const request = buildTimeStampRequest({
    hashAlgorithm: 'sha256',
    hashedMessage: digestOf('sha256'),
    nonce,
    certReq: true,
  });
  expect(openssl('ts', '-query', '-in', files.write('q', request), '-text')).toContain('Nonce: 0x1234');
  const config = `[tsa]\ndefault_tsa=t\n[t]\nserial=${files.path('serial')}\ncrypto_device=builtin\nsigner_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\naccuracy=secs:1\nordering=yes\ness_cert_id_chain=no\ness_cert_id_alg=sha256\n`;
  openssl(
    'ts',
    '-reply',
    '-queryfile',
    files.path('q'),
    '-config',
    files.write('cnf', config),
    '-out',
    files.path('r'),
    '-signer',
    files.write('tsa.pem', derToPem('CERTIFICATE', tsa.certificate.der)),
    '-inkey',
    files.write('key', privateKeyPem(tsa)),
    '-chain',
    files.write('ca.pem', derToPem('CERTIFICATE', ca.certificate.der)),
  );
  const { status, token } = parseTimeStampResponse(files.read('r'));
  expect(status).toBe('granted');
  expect(token?.tstInfo).toMatchObject({ policy: '1.2.3.4', ordering: true });
  if (!token) throw new Error('no token');
  expect(judgeTimeStamp(token, { ...expected, nonce }).valid).toBe(true);
});

describe('a request or a response is refused', () => {
  const request = buildTimeStampRequest({
    hashAlgorithm: 'sha256',
    hashedMessage: digestOf('sha256'),
    reqPolicy: policy,
    certReq: false,
  });

  test('with the clause and the octet that are wrong', () => {
    expect(parseTimeStampRequest(request)).toMatchObject({
      reqPolicy: policy,
      certReq: false,
      nonce: undefined,
    });
    const version = changed(request, [0], (node) => (node.contents = Buffer.of(2)));
    expect(() => parseTimeStampRequest(version)).toThrow(
      expect.objectContaining({ code: 'TSP_VERSION', clause: 'RFC 3161 2.4', offset: 2 }),
    );
    const withDefault = changed(request, [], (root) =>
      root.children?.push({ tag: 1, contents: Buffer.of(0) }),
    );
    expectCode(() => parseTimeStampRequest(withDefault), 'DER_VALUE');
    const longNonce = changed(request, [], (root) =>
      root.children?.push({ tag: 2, contents: Buffer.alloc(65, 1) }),
    );
    expectCode(() => parseTimeStampRequest(longNonce), 'TSP_CONTENT');
    expectCode(() => parseTimeStampRequest(Buffer.alloc(16_385)), 'DER_SIZE');
  });

  test('by the authority with a failure that openssl can name', async () => {
    const files = folder();
    const refusal = timeStampRejection('unacceptedPolicy', 'No such policy');
    const text = openssl('ts', '-reply', '-in', files.write('r', refusal), '-text');
    expect(text).toContain('Status: Rejected.');
    expect(text).toContain('No such policy');
    expect(text).toMatch(/requested TSA policy is not supported/);
    expect(parseTimeStampResponse(refusal)).toMatchObject({
      status: 'rejection',
      failInfo: ['unacceptedPolicy'],
    });
    const granted = timeStampResponse(await stamp());
    expectCode(
      () => parseTimeStampResponse(changed(granted, [], (node) => node.children?.pop())),
      'TSP_STATUS',
    );
  });
});
