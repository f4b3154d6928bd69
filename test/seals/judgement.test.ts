/** One signature, read and judged: what no honest sealer writes. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  buildCertificate,
  distinguishedName,
  parseCertificate,
  signedAttributes,
  signedData,
  type Certificate,
  type Signer,
} from '../../src/pki/index.ts';
import type { ParsedSignature } from '../../src/seals/formats/format.ts';
import { judge, readSignature } from '../../src/seals/judgement.ts';

const at = new Date('2026-11-23T08:00:00Z');
const document = Buffer.from('the whole document');
const { signer, certificate } = await selfSigned(['digitalSignature']);

async function selfSigned(
  keyUsage: ('digitalSignature' | 'keyEncipherment')[],
): Promise<{ signer: Signer; certificate: Certificate }> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own: Signer = {
    algorithm: 'ecdsa-with-SHA256',
    publicKey,
    sign: async (data) => sign('sha256', data, privateKey),
  };
  const name = distinguishedName([
    { organizationName: '示例' },
    { commonName: randomBytes(4).toString('hex') },
  ]);
  const der = await buildCertificate(
    {
      serialNumber: randomBytes(8),
      issuer: name,
      subject: name,
      notBefore: at,
      notAfter: new Date(at.getTime() + 1e9),
      subjectPublicKey: publicKey,
      extensions: { keyUsage },
    },
    own,
  );
  return { signer: own, certificate: parseCertificate(der) };
}

async function cms(
  more: { encapsulatedContent?: Buffer; by?: Signer; named?: Certificate } = {},
): Promise<Buffer> {
  const attributes = signedAttributes({
    messageDigest: createHash('sha256').update(document).digest(),
    signerCertificate: more.named ?? certificate,
  });
  return signedData({
    signedAttributes: attributes,
    signature: await (more.by ?? signer).sign(attributes),
    algorithm: signer.algorithm,
    signerCertificate: certificate,
    certificates: [],
    ...(more.encapsulatedContent ? { encapsulatedContent: more.encapsulatedContent } : {}),
  });
}

function verdictOf(contents: Uint8Array, more: Partial<ParsedSignature> = {}, trusted = certificate) {
  const signature = {
    fieldName: 'Seal1',
    contents: Buffer.concat([contents, Buffer.alloc(100)]),
    covered: [document],
    coversWholeRevision: true,
    coversWholeDocument: true,
    bytesAfter: 0,
    ...more,
  } as ParsedSignature;
  return judge({
    signature,
    read: readSignature(signature),
    registered: undefined,
    accountedFor: false,
    revoked: new Set(),
    roots: [trusted],
    intermediates: [],
    at,
  });
}
const outcomes = (verdict: ReturnType<typeof judge>) =>
  Object.fromEntries(verdict.checks.map((check) => [check.name, check.code]));

describe('a signature', () => {
  test('that is sound in itself leaves open only whose seal it is', async () => {
    const verdict = verdictOf(await cms());
    expect(verdict).toMatchObject({
      indication: 'INDETERMINATE',
      intact: true,
      valid: true,
      trusted: true,
      sealStatus: 'unknown',
    });
    expect(outcomes(verdict)).toEqual({
      structure: 'STRUCTURE_SOUND',
      digest: 'DIGEST_EQUAL',
      'signing-certificate': 'CERTIFICATE_NAMED',
      signature: 'SIGNATURE_VERIFIES',
      chain: 'CHAIN_TRUSTED',
      registry: 'SEAL_NOT_REGISTERED',
      coverage: 'WHOLE_DOCUMENT',
    });
  });

  test('that brings a content of its own is refused, also when that content is the document', async () => {
    for (const encapsulatedContent of [document, Buffer.from('another document')])
      expect(verdictOf(await cms({ encapsulatedContent }))).toMatchObject({
        indication: 'TOTAL-FAILED',
        subIndication: 'FORMAT_FAILURE',
        valid: false,
      });
  });

  test('made with another key, or naming another certificate, is found', async () => {
    const other = await selfSigned(['digitalSignature']);
    expect(verdictOf(await cms({ by: other.signer }))).toMatchObject({
      indication: 'TOTAL-FAILED',
      subIndication: 'SIG_CRYPTO_FAILURE',
      intact: true,
      valid: false,
    });
    expect(verdictOf(await cms({ named: other.certificate }))).toMatchObject({
      indication: 'TOTAL-FAILED',
      subIndication: 'SIG_CONSTRAINTS_FAILURE',
    });
  });

  test('under a certificate that is not for signatures is not trusted', async () => {
    const wrong = await selfSigned(['keyEncipherment']);
    const attributes = signedAttributes({
      messageDigest: createHash('sha256').update(document).digest(),
      signerCertificate: wrong.certificate,
    });
    const contents = signedData({
      signedAttributes: attributes,
      signature: await wrong.signer.sign(attributes),
      algorithm: wrong.signer.algorithm,
      signerCertificate: wrong.certificate,
      certificates: [],
    });
    expect(verdictOf(contents, {}, wrong.certificate)).toMatchObject({
      indication: 'INDETERMINATE',
      valid: true,
      trusted: false,
    });
  });

  test('that is followed by bytes which nobody sealed is not passed', async () => {
    const verdict = verdictOf(await cms(), {
      coversWholeDocument: false,
      bytesAfter: 12,
    });
    expect(outcomes(verdict)).toMatchObject({ coverage: 'CHANGED_AFTER_SEALING' });
  });

  test.each([Buffer.alloc(0), Buffer.from('00', 'hex'), Buffer.from('3080', 'hex'), randomBytes(2000)])(
    'that cannot be read fails with a reason',
    (contents) => {
      const verdict = verdictOf(contents);
      expect(verdict).toMatchObject({
        indication: 'TOTAL-FAILED',
        subIndication: 'FORMAT_FAILURE',
        intact: false,
        valid: false,
        trusted: false,
      });
      expect(verdict.checks).toHaveLength(1);
    },
  );
});
