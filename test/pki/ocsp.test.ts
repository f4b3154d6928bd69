import { describe, expect, test } from 'vitest';
import {
  buildOcspRequest,
  buildOcspResponse,
  certIdOf,
  derToPem,
  judgeOcspResponse,
  keyPurposes,
  ocspErrorResponse,
  parseOcspRequest,
  parseOcspResponse,
  type BasicOcspResponse,
  type CertStatus,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import {
  during,
  expectCode,
  folder,
  issue,
  issueCa,
  issueSeal,
  openssl,
  opensslSays,
  privateKeyPem,
  type Holder,
} from './support.ts';
import { changed } from './tree.ts';

const root = await issueCa('根');
const ca = await issueCa('签发', { issuer: root });
const seal = await issueSeal('公章', { issuer: ca });
const responderExtensions = {
  keyUsage: ['digitalSignature'],
  extKeyUsage: { keyPurposeIds: [keyPurposes.OCSPSigning], critical: true },
  ocspNoCheck: true,
} as const;
const responder = await issue('应答', { issuer: ca, extensions: responderExtensions });
const nonce = Buffer.alloc(32, 7);
const good: CertStatus = { status: 'good' };
const revoked: CertStatus = {
  status: 'revoked',
  revocationTime: new Date('2026-05-30T10:00:00Z'),
  revocationReason: 'cessationOfOperation',
};

interface Answer {
  readonly certStatus?: CertStatus;
  readonly signer?: Holder;
  readonly certificates?: readonly Holder[];
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date;
  readonly nonce?: Buffer;
  readonly of?: Holder;
  readonly issuer?: Holder;
}

function answer({
  certStatus = good,
  signer = responder,
  certificates = [signer],
  thisUpdate = new Date('2026-06-01T11:00:00Z'),
  nextUpdate = new Date('2026-06-02T11:00:00Z'),
  of = seal,
  issuer = ca,
  ...rest
}: Answer = {}): Promise<Buffer> {
  const certId = certIdOf('sha1', issuer.certificate, of.certificate.serialNumber);
  return buildOcspResponse(
    {
      producedAt: new Date('2026-06-01T11:30:00Z'),
      responses: [{ certId, certStatus, thisUpdate, nextUpdate }],
      certificates: certificates.map(({ certificate }) => certificate),
      ...rest,
    },
    signer.signer,
  );
}

/** What `openssl ocsp -respin` says of a response for `leaf`. */
function opensslOcsp(response: Buffer, leaf = seal, issuer = ca, anchor = root): string {
  const files = folder();
  const pem = (name: string, ...holders: Holder[]) =>
    files.write(name, holders.map(({ certificate }) => derToPem('CERTIFICATE', certificate.der)).join(''));
  const args = ['-issuer', pem('ca.pem', issuer), '-cert', pem('leaf.pem', leaf), '-no_nonce'];
  const trust = ['-CAfile', pem('chain.pem', anchor, issuer), '-attime', String(during.getTime() / 1000)];
  return opensslSays(
    'ocsp',
    '-respin',
    files.write('r', response),
    ...args,
    ...trust,
    '-validity_period',
    '999999999',
  );
}

function basicOf(response: Buffer): BasicOcspResponse {
  const read = parseOcspResponse(response);
  if (read.responseStatus !== 'successful') throw new Error(read.responseStatus);
  return read.basic;
}

function judged(response: Buffer, at = during, sent?: Buffer) {
  return judgeOcspResponse(basicOf(response), seal.certificate.serialNumber, {
    issuer: ca.certificate,
    at,
    nonce: sent,
  });
}

describe('a response that we make', () => {
  test.each<[SignatureAlgorithm, string]>([
    ['ecdsa-with-SHA256', 'P-256'],
    ['ecdsa-with-SHA384', 'P-384'],
    ['sha256WithRSAEncryption', ''],
  ])('is taken by openssl ocsp from a delegated responder: %s', async (algorithm, namedCurve) => {
    const anchor = await issueCa('根', { algorithm, namedCurve });
    const issuer = await issueCa('签发', { algorithm, namedCurve, issuer: anchor });
    const leaf = await issueSeal('公章', { algorithm, namedCurve, issuer });
    const signer = await issue('应答', { algorithm, namedCurve, issuer, extensions: responderExtensions });
    const said = opensslOcsp(await answer({ signer, issuer, of: leaf }), leaf, issuer, anchor);
    expect(said).toContain('Response verify OK');
    expect(said).toContain('leaf.pem: good');
  });

  test('says good, revoked with time and reason, or unknown', async () => {
    expect(judged(await answer())).toEqual({ certStatus: good });
    expect(opensslOcsp(await answer({ certStatus: { status: 'unknown' } }))).toContain('leaf.pem: unknown');
    const response = await answer({ certStatus: revoked });
    const said = opensslOcsp(response);
    expect(said).toContain('Response verify OK');
    expect(said).toContain('leaf.pem: revoked');
    expect(said).toContain('Reason: cessationOfOperation');
    expect(said).toContain('Revocation Time: May 30 10:00:00 2026 GMT');
    expect(judged(response)).toEqual({ certStatus: revoked });
  });

  test('may be signed by the issuer itself', async () => {
    const response = await answer({ signer: ca, certificates: [] });
    expect(judged(response)).toEqual({ certStatus: good });
    expect(opensslOcsp(response)).toContain('Response verify OK');
  });

  test('without success says no more than its status', () => {
    const files = folder();
    const refusal = ocspErrorResponse('malformedRequest');
    expect(refusal.toString('hex')).toBe('30030a0101');
    expect(parseOcspResponse(refusal)).toEqual({ responseStatus: 'malformedRequest' });
    expect(opensslSays('ocsp', '-respin', files.write('r', refusal))).toContain('malformedrequest (1)');
  });
});

describe('a response proves nothing', () => {
  test('when no one who may has signed it; openssl refuses it too', async () => {
    const [otherCa, plain, twin] = await Promise.all([
      issueCa('别家', { issuer: root }),
      issue('无权', { issuer: ca, extensions: { keyUsage: ['digitalSignature'] } }),
      issue('应答', {
        issuer: ca,
        extensions: responderExtensions,
        template: { notAfter: new Date('2026-02-01') },
      }),
    ]);
    const foreign = await issue('应答', { issuer: otherCa, extensions: responderExtensions });
    for (const signer of [foreign, plain, twin]) {
      const response = await answer({ signer });
      expect(judged(response)).toEqual({ problem: 'RESPONDER_UNAUTHORIZED' });
      expect(opensslOcsp(response)).toMatch(/Response Verify Failure|verify error/i);
    }
  });

  test('when it was changed; openssl refuses it too', async () => {
    const path = [1, 0, 1];
    const response = changed(await answer({ certStatus: revoked }), path, (octets) => {
      octets.contents = changed(octets.contents ?? Buffer.alloc(0), [0, 2, 0, 1], (status) => {
        status.tag = 0x80;
        delete status.children;
        status.contents = Buffer.alloc(0);
      });
    });
    expect(basicOf(response).responses[0]?.certStatus).toEqual(good);
    expect(judged(response)).toEqual({ problem: 'SIGNATURE_INVALID' });
    expect(opensslOcsp(response)).toContain('Response Verify Failure');
  });

  test('outside of thisUpdate and nextUpdate', async () => {
    const response = await answer();
    expect(judged(response, new Date('2026-06-01T10:59:59Z'))).toEqual({ problem: 'NOT_YET_VALID' });
    expect(judged(response, new Date('2026-06-02T11:00:01Z'))).toEqual({ problem: 'EXPIRED' });
  });

  test('when its nonce is another, or none came back, and one was sent', async () => {
    expect(judged(await answer({ nonce }), during, nonce)).toEqual({ certStatus: good });
    expect(judged(await answer({ nonce }), during, Buffer.alloc(32, 8))).toEqual({
      problem: 'NONCE_DIFFERS',
    });
    expect(judged(await answer(), during, nonce)).toEqual({ problem: 'NONCE_DIFFERS' });
  });

  test('about another certificate, or one of the same number from another issuer', async () => {
    const other = await issueSeal('别章', { issuer: ca });
    expect(judged(await answer({ of: other }))).toEqual({ problem: 'NOT_ANSWERED' });
    expect(judged(await answer({ issuer: root }))).toEqual({ problem: 'NOT_ANSWERED' });
  });
});

describe('a request', () => {
  test('of OpenSSL is read: its digests, its nonce, several at once', () => {
    const files = folder();
    const pem = (name: string, { certificate }: Holder) =>
      files.write(name, derToPem('CERTIFICATE', certificate.der));
    const args = [
      '-issuer',
      pem('ca.pem', ca),
      '-cert',
      pem('leaf.pem', seal),
      '-sha256',
      '-cert',
      pem('r.pem', responder),
    ];
    openssl('ocsp', ...args, '-reqout', files.path('req'));
    const request = parseOcspRequest(files.read('req'));
    expect(request.requests.map(({ hashAlgorithm }) => hashAlgorithm)).toEqual(['sha1', 'sha256']);
    expect(request.requests[0]?.der).toEqual(
      certIdOf('sha1', ca.certificate, seal.certificate.serialNumber).der,
    );
    expect(request.nonce?.length).toBe(16);
  });

  test('of ours is answered by the responder of OpenSSL, and its answer is judged', () => {
    const files = folder();
    const serial = seal.certificate.serialNumber.toString('hex').toUpperCase();
    const pem = (name: string, { certificate }: Holder) =>
      files.write(name, derToPem('CERTIFICATE', certificate.der));
    files.write('index', `R\t491231235959Z\t260530100000Z,superseded\t${serial}\tunknown\t/CN=x\n`);
    const certId = certIdOf('sha256', ca.certificate, seal.certificate.serialNumber);
    openssl(
      'ocsp',
      '-index',
      files.path('index'),
      '-CA',
      pem('ca.pem', ca),
      '-rsigner',
      pem('r.pem', responder),
      '-rkey',
      files.write('key', privateKeyPem(responder)),
      '-reqin',
      files.write('req', buildOcspRequest([certId], nonce)),
      '-respout',
      files.path('resp'),
      '-ndays',
      '1',
      '-resp_key_id',
    );
    const basic = basicOf(files.read('resp'));
    const at = new Date(basic.producedAt.getTime() + 1000);
    const context = { issuer: ca.certificate, at, nonce };
    expect(judgeOcspResponse(basic, seal.certificate.serialNumber, context)).toMatchObject({
      certStatus: { status: 'revoked', revocationReason: 'superseded' },
    });
  });

  test('is refused when its nonce has no octets or more than 128 (RFC 9654 2.1)', () => {
    const certId = certIdOf('sha1', ca.certificate, seal.certificate.serialNumber);
    expect(parseOcspRequest(buildOcspRequest([certId], Buffer.alloc(128, 1))).nonce?.length).toBe(128);
    expect(parseOcspRequest(buildOcspRequest([certId], Buffer.of(1))).nonce?.length).toBe(1);
    for (const wrong of [Buffer.of(4, 0), Buffer.concat([Buffer.of(4, 0x81, 129), Buffer.alloc(129)])]) {
      const bytes = changed(buildOcspRequest([certId], nonce), [0, 1, 0, 0, 1], (value) => {
        value.contents = wrong;
      });
      expect(() => parseOcspRequest(bytes)).toThrow(
        expect.objectContaining({ code: 'OCSP_NONCE', clause: 'RFC 9654 2.1' }),
      );
    }
    expect(() => buildOcspRequest([certId], Buffer.alloc(129))).toThrow(RangeError);
  });

  test('is refused when it is for nothing, for very many, of another version, or very long', () => {
    const certId = certIdOf('sha1', ca.certificate, seal.certificate.serialNumber);
    expectCode(() => parseOcspRequest(buildOcspRequest([])), 'OCSP_LIMIT');
    expectCode(
      () => parseOcspRequest(buildOcspRequest(Array.from({ length: 17 }, () => certId))),
      'OCSP_LIMIT',
    );
    const version = changed(buildOcspRequest([certId]), [0], (tbs) => {
      tbs.children?.unshift({ tag: 0xa0, children: [{ tag: 2, contents: Buffer.of(1) }] });
    });
    expect(() => parseOcspRequest(version)).toThrow(
      expect.objectContaining({ code: 'OCSP_VERSION', offset: 4 }),
    );
    expectCode(() => parseOcspRequest(Buffer.alloc(16_385)), 'DER_SIZE');
  });
});
