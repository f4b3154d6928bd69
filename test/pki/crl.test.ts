import { describe, expect, test } from 'vitest';
import {
  buildCrl,
  derToPem,
  judgeCrl,
  parseCrl,
  pemToDer,
  problemOfCrl,
  type CrlTemplate,
  type SignatureAlgorithm,
} from '../../src/pki/index.ts';
import {
  during,
  expectCode,
  folder,
  issueCa,
  issueSeal,
  openssl,
  opensslSays,
  privateKeyPem,
  type Holder,
} from './support.ts';
import { changed } from './tree.ts';

const address = 'http://pki.example.cn/seal.crl';
const point = { cRLDistributionPoints: [address] };
const root = await issueCa('根');
const ca = await issueCa('签发', { issuer: root });
const [good, revoked] = await Promise.all([
  issueSeal('好章', { issuer: ca, extensions: point }),
  issueSeal('废章', { issuer: ca, extensions: point }),
]);

function crlOf(issuer: Holder, template: Partial<CrlTemplate> = {}, signer = issuer.signer): Promise<Buffer> {
  const { subject, extensions } = issuer.certificate;
  return buildCrl(
    {
      issuer: subject,
      thisUpdate: new Date('2026-05-31T00:00:00Z'),
      nextUpdate: new Date('2026-06-07T00:00:00Z'),
      cRLNumber: 7,
      authorityKeyIdentifier: extensions.subjectKeyIdentifier ?? Buffer.alloc(0),
      issuingDistributionPoint: { fullName: address },
      revokedCertificates: [
        {
          serialNumber: revoked.certificate.serialNumber,
          revocationDate: new Date('2026-05-30T10:00:00Z'),
          reason: 'keyCompromise',
          invalidityDate: new Date('2026-05-29T10:00:00Z'),
        },
      ],
      ...template,
    },
    signer,
  );
}

/** What `openssl verify -crl_check` says of a leaf, as of `during`. */
function opensslVerify(leaf: Holder, crl: Buffer, issuer = ca, anchor = root): string {
  const files = folder();
  const pem = (name: string, { certificate }: Holder) =>
    files.write(name, derToPem('CERTIFICATE', certificate.der));
  return opensslSays(
    'verify',
    '-attime',
    String(during.getTime() / 1000),
    '-crl_check',
    '-x509_strict',
    '-CAfile',
    pem('root.pem', anchor),
    '-untrusted',
    pem('ca.pem', issuer),
    '-CRLfile',
    files.write('crl.pem', derToPem('X509 CRL', crl)),
    pem('leaf.pem', leaf),
  );
}

describe('a list that we issue', () => {
  test.each<[SignatureAlgorithm, string]>([
    ['ecdsa-with-SHA256', 'P-256'],
    ['ecdsa-with-SHA384', 'P-384'],
    ['sha256WithRSAEncryption', ''],
  ])('is taken by openssl crl and verify, and by us: %s', async (algorithm, namedCurve) => {
    const anchor = await issueCa('根', { algorithm, namedCurve });
    const issuer = await issueCa('签发', { algorithm, namedCurve, issuer: anchor });
    const leaf = await issueSeal('好章', { issuer, extensions: point });
    const bad = await issueSeal('废章', { issuer, extensions: point });
    const { serialNumber } = bad.certificate;
    const crl = await crlOf(issuer, { revokedCertificates: [{ serialNumber, revocationDate: during }] });
    const files = folder();
    const caPem = files.write('ca.pem', derToPem('CERTIFICATE', issuer.certificate.der));
    const said = opensslSays(
      'crl',
      '-inform',
      'DER',
      '-in',
      files.write('crl', crl),
      '-CAfile',
      caPem,
      '-noout',
    );
    expect(said).toContain('verify OK');
    expect(opensslVerify(leaf, crl, issuer, anchor)).toContain('leaf.pem: OK');
    expect(opensslVerify(bad, crl, issuer, anchor)).toContain('certificate revoked');
    const read = parseCrl(crl);
    expect(judgeCrl(read, leaf.certificate, issuer.certificate, during)).toEqual({ status: 'good' });
    expect(judgeCrl(read, bad.certificate, issuer.certificate, during).status).toBe('revoked');
  });

  test('says number, authority key, scope, reasons and dates, as openssl reads them', async () => {
    const files = folder();
    const crl = await crlOf(ca);
    const text = openssl('crl', '-inform', 'DER', '-in', files.write('crl', crl), '-noout', '-text');
    for (const part of [
      'Version 2 (0x1)',
      'Last Update: May 31 00:00:00 2026 GMT',
      'Next Update: Jun  7 00:00:00 2026 GMT',
      'X509v3 CRL Number: \n                7',
      'X509v3 Issuing Distribution Point: critical',
      `URI:${address}`,
      'X509v3 CRL Reason Code: \n                Key Compromise',
      'Invalidity Date: \n                May 29 10:00:00 2026 GMT',
      `Serial Number: ${revoked.certificate.serialNumber.toString('hex').toUpperCase()}`,
    ])
      expect(text).toContain(part);
    expect(judgeCrl(parseCrl(crl), revoked.certificate, ca.certificate, during)).toEqual({
      status: 'revoked',
      entry: {
        serialNumber: revoked.certificate.serialNumber,
        revocationDate: new Date('2026-05-30T10:00:00Z'),
        reason: 'keyCompromise',
        invalidityDate: new Date('2026-05-29T10:00:00Z'),
      },
    });
  });

  test('leaves the list of entries out when nothing is revoked (RFC 5280 5.1.2.6)', async () => {
    const crl = await crlOf(ca, { revokedCertificates: [] });
    expect(parseCrl(crl).revokedCertificates).toEqual([]);
    expect(opensslVerify(revoked, crl)).toContain('OK');
  });
});

test('a list that OpenSSL issued is read and judged', () => {
  const files = folder();
  const serial = revoked.certificate.serialNumber.toString('hex').toUpperCase();
  files.write('index.txt', `R\t491231235959Z\t260530100000Z,superseded\t${serial}\tunknown\t/CN=x\n`);
  files.write('number', '0A\n');
  const config = `[ca]\ndefault_ca=c\n[c]\ndatabase=${files.path('index.txt')}\ncrlnumber=${files.path('number')}\ndefault_md=sha256\ndefault_crl_days=30\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`;
  openssl(
    'ca',
    '-gencrl',
    '-config',
    files.write('cnf', config),
    '-keyfile',
    files.write('key', privateKeyPem(ca)),
    '-cert',
    files.write('ca.pem', derToPem('CERTIFICATE', ca.certificate.der)),
    '-out',
    files.path('crl.pem'),
  );
  const [bytes = Buffer.alloc(0)] = pemToDer('X509 CRL', files.read('crl.pem').toString());
  const crl = parseCrl(bytes);
  expect(crl.cRLNumber).toEqual(Buffer.of(10));
  const now = new Date(crl.thisUpdate.getTime() + 1000);
  expect(judgeCrl(crl, revoked.certificate, ca.certificate, now)).toMatchObject({
    status: 'revoked',
    entry: { reason: 'superseded' },
  });
  expect(judgeCrl(crl, good.certificate, ca.certificate, now)).toEqual({ status: 'good' });
});

describe('a list proves nothing', () => {
  const judged = (crl: Buffer, at = during) => judgeCrl(parseCrl(crl), good.certificate, ca.certificate, at);

  test('when it is of another issuer, or another key of the name signed it; openssl refuses it too', async () => {
    const impostor = await issueCa('签发', { issuer: root });
    expect(judged(await crlOf(root))).toEqual({ status: 'unknown', problem: 'ISSUER_DIFFERS' });
    const forged = await crlOf(ca, { revokedCertificates: [] }, impostor.signer);
    expect(judged(forged)).toEqual({ status: 'unknown', problem: 'SIGNATURE_INVALID' });
    expect(opensslVerify(revoked, forged)).toContain('CRL signature failure');
    const files = folder();
    const caPem = files.write('ca.pem', derToPem('CERTIFICATE', ca.certificate.der));
    const said = opensslSays(
      'crl',
      '-inform',
      'DER',
      '-in',
      files.write('crl', forged),
      '-CAfile',
      caPem,
      '-noout',
    );
    expect(said).toContain('verify failure');
  });

  test('when an entry was taken out of it; openssl refuses it too', async () => {
    const crl = changed(await crlOf(ca), [0, 5, 0, 1], (date) => {
      date.contents = Buffer.from('260530100001Z');
    });
    expect(judged(crl)).toEqual({ status: 'unknown', problem: 'SIGNATURE_INVALID' });
    expect(opensslVerify(good, crl)).toContain('CRL signature failure');
  });

  test('before thisUpdate and after nextUpdate; openssl refuses it too', async () => {
    const crl = await crlOf(ca, { nextUpdate: new Date('2026-05-31T10:00:00Z') });
    expect(judged(crl)).toEqual({ status: 'unknown', problem: 'EXPIRED' });
    expect(opensslVerify(good, crl)).toContain('CRL has expired');
    const early = new Date('2026-05-30T23:59:59Z');
    expect(judged(await crlOf(ca), early)).toEqual({ status: 'unknown', problem: 'NOT_YET_VALID' });
    // nextUpdate is a whole second, and holds to its end.
    expect(judged(crl, new Date('2026-05-31T10:00:00.999Z')).status).toBe('good');
  });

  test('about certificates of another kind or distribution point; openssl refuses it too', async () => {
    const forCas = await crlOf(ca, {
      issuingDistributionPoint: { fullName: address, only: 'ca-certificates' },
    });
    expect(judged(forCas)).toEqual({ status: 'unknown', problem: 'OUT_OF_SCOPE' });
    expect(opensslVerify(good, forCas)).toContain('different CRL scope');
    const elsewhere = await crlOf(ca, { issuingDistributionPoint: { fullName: 'http://other.example/' } });
    expect(judged(elsewhere)).toEqual({ status: 'unknown', problem: 'OUT_OF_SCOPE' });
    expect(opensslVerify(good, elsewhere)).toContain('different CRL scope');
  });

  test('when its issuer may not sign lists, or it has a critical extension that is not known', async () => {
    const mute = await issueCa('哑', { issuer: root, extensions: { keyUsage: ['keyCertSign'] } });
    expect(problemOfCrl(parseCrl(await crlOf(mute)), mute.certificate, during)).toBe('CRL_SIGN_MISSING');
    const critical = changed(await crlOf(ca), [0, 6, 0, 1], (extension) => {
      extension.children?.splice(1, 0, { tag: 1, contents: Buffer.of(0xff) });
      extension.children?.splice(0, 1, { tag: 6, contents: Buffer.from('551d1b', 'hex') });
    });
    expect(parseCrl(critical).unrecognizedCriticalExtensions).toEqual(['2.5.29.27']);
  });
});

test('what no list may be is refused with clause and octet', async () => {
  const crl = await crlOf(ca);
  expect(() => parseCrl(changed(crl, [0, 0], (version) => (version.contents = Buffer.of(0))))).toThrow(
    expect.objectContaining({ code: 'CRL_VERSION', clause: 'RFC 5280 5.1.2.1', offset: 8 }),
  );
  expectCode(() => parseCrl(changed(crl, [0, 5], (list) => (list.children = []))), 'CRL_ENTRY');
  const reason = (value: number) =>
    changed(crl, [0, 5, 0, 2, 0, 1], (octets) => (octets.contents = Buffer.of(0x0a, 1, value)));
  expect(parseCrl(reason(9)).revokedCertificates[0]?.reason).toBe('privilegeWithdrawn');
  expectCode(() => parseCrl(reason(7)), 'CRL_ENTRY');
  const algorithm = (node: { contents?: Buffer }) => (node.contents = Buffer.from('2a8648ce3d040303', 'hex'));
  expectCode(() => parseCrl(changed(crl, [1, 0], algorithm)), 'CRL_ALGORITHM');
  await expect(crlOf(ca, { nextUpdate: new Date('2026-05-30') })).rejects.toThrow(TypeError);
});
