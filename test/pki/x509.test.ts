import { createPublicKey, X509Certificate } from 'node:crypto';
import * as pkijs from 'pkijs';
import { describe, expect, test } from 'vitest';
import {
  buildCertificate,
  derToPem,
  distinguishedName,
  keyIdentifier,
  parseCertificate,
  pemToDer,
  verifySignature,
  type CertificateTemplate,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import { folder, generateKey, issue, issueCa, issueSeal, openssl, softwareSigner } from './support.ts';

const everything = {
  keyUsage: ['digitalSignature', 'nonRepudiation'],
  extKeyUsage: { keyPurposeIds: ['1.3.6.1.5.5.7.3.36', '1.3.6.1.5.5.7.3.4'], critical: false },
  certificatePolicies: ['1.2.156.1.1', '2.23.140.1.5.1.1'],
  cRLDistributionPoints: ['http://pki.example.cn/1.crl', 'http://pki.example.cn/2.crl'],
  authorityInfoAccess: { ocsp: ['http://ocsp.example.cn'], caIssuers: ['http://pki.example.cn/ca.cer'] },
  subjectAltName: {
    rfc822Name: ['a@example.cn'],
    dNSName: ['a.example.cn'],
    uniformResourceIdentifier: ['urn:uuid:1'],
    iPAddress: [Buffer.from([192, 0, 2, 7])],
    critical: false,
  },
} as const;

describe('a certificate that we issue', () => {
  test.each<[SignatureAlgorithm, string]>([
    ['ecdsa-with-SHA256', 'P-256'],
    ['ecdsa-with-SHA384', 'P-384'],
    ['ecdsa-with-SHA512', 'P-521'],
    ['sha256WithRSAEncryption', ''],
    ['sha384WithRSAEncryption', ''],
  ])('is accepted by openssl verify and -text, by Node and by pkijs: %s', async (algorithm, namedCurve) => {
    const files = folder();
    const root = await issueCa('示例根', { algorithm, namedCurve });
    const ca = await issueCa('示例签发', { algorithm, namedCurve, issuer: root, pathLen: 0 });
    const seal = await issueSeal('示例公章', { algorithm, namedCurve, issuer: ca, extensions: everything });
    const [rootPem, caPem, sealPem] = [root, ca, seal].map(({ certificate }, index) =>
      files.write(`${index}.pem`, derToPem('CERTIFICATE', certificate.der)),
    ) as [string, string, string];
    const time = String(Date.parse('2026-06-01') / 1000);
    const verdict = openssl(
      'verify',
      '-x509_strict',
      '-attime',
      time,
      '-CAfile',
      rootPem,
      '-untrusted',
      caPem,
      sealPem,
    );
    expect(verdict).toContain('OK');

    const text = openssl('x509', '-in', sealPem, '-noout', '-text', '-nameopt', 'RFC2253,utf8,-esc_msb');
    for (const part of [
      'Version: 3 (0x2)',
      `Signature Algorithm: ${algorithm}`,
      'Issuer: CN=示例签发,O=示例市,C=CN',
      'Subject: CN=示例公章,O=示例市,C=CN',
      'Not Before: Jan  1 00:00:00 2026 GMT',
      'Not After : Dec 31 23:59:59 2049 GMT',
      'X509v3 Key Usage: critical\n                Digital Signature, Non Repudiation',
      'Policy: 1.2.156.1.1',
      'URI:http://pki.example.cn/2.crl',
      'OCSP - URI:http://ocsp.example.cn',
      'CA Issuers - URI:http://pki.example.cn/ca.cer',
      'E-mail Protection',
    ]) {
      expect(text).toContain(part);
    }
    expect(openssl('x509', '-in', caPem, '-noout', '-text')).toContain(
      'X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0',
    );

    const node = new X509Certificate(seal.certificate.der);
    expect(node.checkIssued(new X509Certificate(ca.certificate.der))).toBe(true);
    expect(node.verify(ca.signer.publicKey)).toBe(true);
    const oracle = pkijs.Certificate.fromBER(seal.certificate.der);
    expect(await oracle.verify(pkijs.Certificate.fromBER(ca.certificate.der))).toBe(true);
  });

  test('reads back as it was asked for', async () => {
    const root = await issueCa('根', { pathLen: 3 });
    const { certificate, signer } = await issueSeal('章', { issuer: root, extensions: everything });
    expect(certificate.extensions).toEqual({
      subjectKeyIdentifier: keyIdentifier(signer.publicKey),
      authorityKeyIdentifier: root.certificate.extensions.subjectKeyIdentifier,
      ...everything,
    });
    expect(certificate.unrecognizedCriticalExtensions).toEqual([]);
    expect(certificate.issuer).toEqual(root.certificate.subject);
    expect(certificate.publicKey.equals(signer.publicKey)).toBe(true);
    expect(root.certificate.extensions.basicConstraints).toEqual({ cA: true, pathLenConstraint: 3 });
    expect(
      verifySignature(
        'ecdsa-with-SHA256',
        root.signer.publicKey,
        certificate.tbsCertificate,
        certificate.signature,
      ),
    ).toBe(true);
  });

  test('names keys by RFC 7093 method 1, 20 octets', () => {
    const publicKey = createPublicKey(generateKey('ecdsa-with-SHA256'));
    const identifier = keyIdentifier(publicKey);
    const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-65);
    const files = folder();
    const digest = openssl('dgst', '-sha256', files.write('point', point)).trim().split(' ').at(-1);
    expect(identifier.toString('hex')).toBe(digest?.slice(0, 40));
  });

  test('says that its extKeyUsage is critical when it is to be (RFC 3161 2.3)', async () => {
    const extKeyUsage = { keyPurposeIds: ['1.3.6.1.5.5.7.3.8'], critical: true };
    const { certificate } = await issue('时间戳', { extensions: { extKeyUsage } });
    expect(certificate.extensions.extKeyUsage).toEqual(extKeyUsage);
    const files = folder();
    const text = openssl(
      'x509',
      '-inform',
      'DER',
      '-in',
      files.write('c', certificate.der),
      '-noout',
      '-text',
    );
    expect(text).toContain('X509v3 Extended Key Usage: critical\n                Time Stamping');
  });

  test('turns to GeneralizedTime after 2049', async () => {
    const template = {
      notBefore: new Date('2049-12-31T23:59:59Z'),
      notAfter: new Date('2050-01-01T00:00:00Z'),
    };
    const { certificate } = await issue('长久', { template });
    expect(new X509Certificate(certificate.der).validTo).toBe('Jan  1 00:00:00 2050 GMT');
    expect(certificate).toMatchObject(template);
  });

  test.each<[string, Partial<CertificateTemplate>]>([
    ['notAfter before notBefore', { notAfter: new Date('2025-01-01') }],
    ['no valid time', { notAfter: new Date(Number.NaN) }],
    ['keyCertSign without cA', { extensions: { keyUsage: ['keyCertSign'] } }],
    [
      'pathLenConstraint without cA',
      { extensions: { basicConstraints: { cA: false, pathLenConstraint: 0 } } },
    ],
  ])('is not issued with %s', async (_, wrong) => {
    const signer = softwareSigner('ecdsa-with-SHA256');
    await expect(buildCertificate({ ...template(signer.publicKey), ...wrong }, signer)).rejects.toThrow(
      TypeError,
    );
  });

  test.each([
    ['zero', Buffer.alloc(8)],
    ['of no octets', Buffer.alloc(0)],
    ['of 21 octets', Buffer.alloc(21, 1)],
    ['that takes 21 octets with its sign', Buffer.alloc(20, 0x80)],
  ])('is not issued with a serial number %s', async (_, serialNumber) => {
    const signer = softwareSigner('ecdsa-with-SHA256');
    await expect(buildCertificate({ ...template(signer.publicKey), serialNumber }, signer)).rejects.toThrow(
      expect.objectContaining({ code: 'X509_SERIAL_NUMBER' }),
    );
  });

  test('is not issued under a JOSE algorithm, nor with a list that is empty', async () => {
    const signer = softwareSigner('ES256');
    await expect(buildCertificate(template(signer.publicKey), signer)).rejects.toThrow(TypeError);
    const x509Signer = softwareSigner('ecdsa-with-SHA256');
    const empty = { ...template(signer.publicKey), extensions: { keyUsage: [] } };
    await expect(buildCertificate(empty, x509Signer)).rejects.toThrow(
      expect.objectContaining({ code: 'X509_EXTENSION' }),
    );
  });

  function template(subjectPublicKey: CertificateTemplate['subjectPublicKey']): CertificateTemplate {
    const name = distinguishedName([{ commonName: '甲' }]);
    return {
      serialNumber: Buffer.of(1),
      issuer: name,
      subject: name,
      notBefore: new Date('2026-01-01'),
      notAfter: new Date('2027-01-01'),
      subjectPublicKey,
      extensions: {},
    };
  }
});

describe('a certificate that OpenSSL issued', () => {
  const dn = '/C=CN/ST=Zhejiang/L=Hangzhou/O=Example, Ltd./OU=a+OU2=b/serialNumber=42/CN=#seal';

  test.each([
    ['ec', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'sha256', 'ecdsa-with-SHA256'],
    ['ec', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'sha384', 'ecdsa-with-SHA384'],
    ['rsa', ['rsa:2048'], 'sha256', 'sha256WithRSAEncryption'],
  ])('is read: %s %s %s', (keyType, key, digest, algorithm) => {
    const files = folder();
    const command = ['req', '-x509', '-newkey', ...key, '-nodes', '-keyout', files.path('key.pem')];
    const extensions = [
      'keyUsage=critical,keyCertSign,cRLSign',
      'basicConstraints=critical,CA:TRUE,pathlen:1',
      'extendedKeyUsage=critical,timeStamping',
      'certificatePolicies=1.2.3.4,1.2.3.5',
      'crlDistributionPoints=URI:http://example.cn/a.crl',
      'authorityInfoAccess=OCSP;URI:http://example.cn/ocsp,caIssuers;URI:http://example.cn/ca',
    ].flatMap((each) => ['-addext', each]);
    openssl(
      ...command,
      `-${digest}`,
      '-days',
      '30',
      '-subj',
      dn.replace('+OU2=b', ''),
      '-set_serial',
      '0x80ff01',
      ...extensions,
      '-out',
      files.path('c.pem'),
    );
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
    const certificate = parseCertificate(bytes);
    expect(certificate).toMatchObject({
      signatureAlgorithm: algorithm,
      serialNumber: Buffer.from('0080ff01', 'hex'),
      unrecognizedCriticalExtensions: [],
      extensions: {
        keyUsage: ['keyCertSign', 'cRLSign'],
        basicConstraints: { cA: true, pathLenConstraint: 1 },
        extKeyUsage: { keyPurposeIds: ['1.3.6.1.5.5.7.3.8'], critical: true },
        certificatePolicies: ['1.2.3.4', '1.2.3.5'],
        cRLDistributionPoints: ['http://example.cn/a.crl'],
        authorityInfoAccess: { ocsp: ['http://example.cn/ocsp'], caIssuers: ['http://example.cn/ca'] },
      },
    });
    expect(certificate.subject.rdns).toEqual([
      { countryName: 'CN' },
      { stateOrProvinceName: 'Zhejiang' },
      { localityName: 'Hangzhou' },
      { organizationName: 'Example, Ltd.' },
      { organizationalUnitName: 'a' },
      { serialNumber: '42' },
      { commonName: '#seal' },
    ]);
    expect(certificate.publicKey.asymmetricKeyType).toBe(keyType);
    const node = new X509Certificate(bytes);
    expect(certificate.notAfter).toEqual(new Date(node.validTo));
    expect(certificate.extensions.subjectKeyIdentifier).toEqual(
      certificate.extensions.authorityKeyIdentifier,
    );
    const oracle = openssl('x509', '-in', files.path('c.pem'), '-noout', '-subject', '-nameopt', 'RFC2253');
    expect(`subject=${certificate.subject.rfc4514}\n`).toBe(oracle);
  });

  test('has its unknown critical extensions listed, and its unknown others passed over', () => {
    const files = folder();
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      files.path('key.pem'),
      '-subj',
      '/CN=x',
      '-addext',
      '1.2.3.4=critical,ASN1:NULL',
      '-addext',
      '1.2.3.5=ASN1:NULL',
      '-addext',
      'nameConstraints=critical,permitted;DNS:example.cn',
      '-addext',
      'subjectAltName=DNS:example.cn',
      '-out',
      files.path('c.pem'),
    );
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
    expect(parseCertificate(bytes).unrecognizedCriticalExtensions).toEqual(['1.2.3.4', '2.5.29.30']);
  });

  test('has alternative names of every kind, and those used here are read (RFC 5280 4.2.1.6)', () => {
    const files = folder();
    const config = files.write(
      'openssl.cnf',
      `[req]\ndistinguished_name = dn\n[dn]\n[ext]\nsubjectAltName = critical, @names\n[names]
DNS.1 = a.example.cn\nDNS.2 = *.b.example.cn\nURI.1 = urn:uuid:1\nIP.1 = 192.0.2.7\nIP.2 = 2001:db8::7
email.1 = a@example.cn\nRID.1 = 1.2.3\notherName.1 = 1.2.3;UTF8:门户\ndirName.1 = dn2\n[dn2]\nCN = x\n`,
    );
    const key = files.path('key.pem');
    const made = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -extensions ext -keyout ${key}`;
    openssl(...made.split(' '), '-config', config, '-out', files.path('c.pem'));
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
    const certificate = parseCertificate(bytes);
    expect(certificate.unrecognizedCriticalExtensions).toEqual([]);
    expect(certificate.extensions.subjectAltName).toEqual({
      dNSName: ['a.example.cn', '*.b.example.cn'],
      uniformResourceIdentifier: ['urn:uuid:1'],
      rfc822Name: ['a@example.cn'],
      iPAddress: [Buffer.from([192, 0, 2, 7]), Buffer.from('20010db8000000000000000000000007', 'hex')],
      critical: true,
    });
  });

  test('may be of version 1 and signed under SHA-1: it is read, but its signature is not verified', () => {
    const files = folder();
    openssl(
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      files.path('key.pem'),
      '-subj',
      '/CN=old',
      '-out',
      files.path('r.pem'),
    );
    openssl(
      'x509',
      '-req',
      '-in',
      files.path('r.pem'),
      '-signkey',
      files.path('key.pem'),
      '-sha1',
      '-out',
      files.path('c.pem'),
    );
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
    expect(parseCertificate(bytes)).toMatchObject({ signatureAlgorithm: undefined, extensions: {} });
  });

  test.each([
    ['verifies under the signer ID of the standard', ['-sigopt', 'distid:1234567812345678'], true],
    ['does not verify under another', [], false],
  ])('may have an SM2 key: its signature %s', (_, options, valid) => {
    const files = folder();
    const key = files.path('key.pem');
    openssl('ecparam', '-name', 'SM2', '-genkey', '-noout', '-out', key);
    const pem = openssl('req', '-x509', '-new', '-key', key, '-sm3', '-subj', '/CN=sm2', ...options);
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', pem);
    const { signatureAlgorithm, publicKey, tbsCertificate, signature } = parseCertificate(bytes);
    expect(signatureAlgorithm).toBe('sm2-with-SM3');
    expect(verifySignature('sm2-with-SM3', publicKey, tbsCertificate, signature)).toBe(valid);
  });
});
