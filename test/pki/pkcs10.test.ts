import { describe, expect, test } from 'vitest';
import {
  buildCertificationRequest,
  derToPem,
  distinguishedName,
  parseCertificationRequest,
  pemToDer,
  verifyPossession,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import { expectCode, folder, generateKey, openssl, opensslSays, softwareSigner } from './support.ts';
import { at, changed, toDer, toTree } from './tree.ts';

const subject = distinguishedName([
  { countryName: 'CN' },
  { organizationName: '示例市数据局' },
  { organizationIdentifier: 'NTRCN-91310000EXAMPLE001' },
  { commonName: '示例公章' },
]);
const extensions = {
  keyUsage: ['digitalSignature', 'nonRepudiation'],
  certificatePolicies: ['1.2.156.1.1'],
} as const;

describe('a request that we make', () => {
  test.each<[SignatureAlgorithm, string]>([
    ['ecdsa-with-SHA256', 'P-256'],
    ['ecdsa-with-SHA384', 'P-384'],
    ['sha256WithRSAEncryption', ''],
  ])('is verified by openssl req, and says what was asked for: %s', async (algorithm, namedCurve) => {
    const signer = softwareSigner(algorithm, generateKey(algorithm, namedCurve));
    const request = await buildCertificationRequest({ subject, extensions }, signer);
    const files = folder();
    const pem = files.write('r.pem', derToPem('CERTIFICATE REQUEST', request));
    const said = opensslSays('req', '-in', pem, '-noout', '-verify', '-text', '-nameopt', 'utf8,-esc_msb');
    expect(said).toContain('verify OK');
    expect(said).toContain('示例市数据局');
    expect(said).toContain('Digital Signature, Non Repudiation');
    const read = parseCertificationRequest(request);
    expect(read.subject.der).toEqual(subject.der);
    expect(read.extensions).toEqual(extensions);
    expect(read.publicKey.equals(signer.publicKey)).toBe(true);
    expect(verifyPossession(read)).toBe(true);
  });

  test('may wish for nothing', async () => {
    const request = await buildCertificationRequest({ subject }, softwareSigner('ecdsa-with-SHA256'));
    expect(parseCertificationRequest(request).extensions).toEqual({});
    const files = folder();
    const said = opensslSays('req', '-inform', 'DER', '-in', files.write('r', request), '-noout', '-verify');
    expect(said).toContain('verify OK');
  });
});

describe('a request that OpenSSL makes', () => {
  test.each([
    ['ec', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['rsa', ['rsa:2048']],
  ])('is read, and its key is found to be possessed: %s', (keyType, key) => {
    const files = folder();
    const args = ['-newkey', ...key, '-nodes', '-keyout', files.path('k'), '-out', files.path('r.pem')];
    const more = ['-subj', '/C=CN/CN=seal', '-addext', 'keyUsage=critical,digitalSignature'];
    openssl('req', '-new', ...args, ...more);
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE REQUEST', files.read('r.pem').toString());
    const request = parseCertificationRequest(bytes);
    expect(request.subject.rfc4514).toBe('CN=seal,C=CN');
    expect(request.extensions.keyUsage).toEqual(['digitalSignature']);
    expect(request.publicKey.asymmetricKeyType).toBe(keyType);
    expect(verifyPossession(request)).toBe(true);
  });
});

describe('a request is refused', () => {
  const made = buildCertificationRequest({ subject, extensions }, softwareSigner('ecdsa-with-SHA256'));

  test('by openssl and here when its subject or its key was changed after signing', async () => {
    const request = await made;
    const other = await buildCertificationRequest({ subject }, softwareSigner('ecdsa-with-SHA256'));
    const files = folder();
    const forged = [
      changed(request, [0, 1, -1, 0, 1], (name) => {
        name.contents = Buffer.from('别的公章');
      }),
      changed(request, [0, 2], (key) => Object.assign(key, at(toTree(other), 0, 2))),
    ];
    for (const bytes of forged) {
      expect(verifyPossession(parseCertificationRequest(bytes))).toBe(false);
      expect(
        opensslSays('req', '-inform', 'DER', '-in', files.write('r', bytes), '-noout', '-verify'),
      ).toMatch(/failure/i);
    }
  });

  test('with the clause and the octet that are wrong', async () => {
    const request = await made;
    const wrongVersion = changed(request, [0, 0], (version) => (version.contents = Buffer.of(1)));
    expect(() => parseCertificationRequest(wrongVersion)).toThrow(
      expect.objectContaining({ code: 'PKCS10_VERSION', clause: 'RFC 2986 4.1', offset: 7 }),
    );
    const twice = changed(request, [0, 3], (attributes) => {
      const [one] = attributes.children ?? [];
      if (one) attributes.children = [one, one];
    });
    expectCode(() => parseCertificationRequest(twice), 'PKCS10_ATTRIBUTES');
    expectCode(() => parseCertificationRequest(Buffer.concat([request, Buffer.of(0)])), 'DER_TRAILING');
    expectCode(() => parseCertificationRequest(Buffer.alloc(65_537)), 'DER_SIZE');
    const noAttributes = changed(request, [0], (info) => info.children?.pop());
    expectCode(() => parseCertificationRequest(noAttributes), 'DER_TRUNCATED');
    expect(toDer(toTree(request))).toEqual(request);
  });
});
