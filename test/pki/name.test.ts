import { describe, expect, test } from 'vitest';
import {
  der,
  distinguishedName,
  matchesName,
  parseCertificate,
  parseName,
  pemToDer,
} from '../../src/pki/index.ts';
import { expectCode, folder, issue, openssl } from './support.ts';
import { changed, toTree } from './tree.ts';

describe('names', () => {
  test('keep their order, and write each attribute in its own string type', () => {
    const name = distinguishedName([
      { countryName: 'CN' },
      { organizationName: '示例市人民政府', organizationIdentifier: 'NTRCN-11330100002489559X' },
      { serialNumber: 'A-1' },
      { commonName: '公章' },
    ]);
    expect(name.rfc4514).toBe(
      'CN=公章,serialNumber=A-1,O=示例市人民政府+organizationIdentifier=NTRCN-11330100002489559X,C=CN',
    );
    const files = folder();
    const text = openssl('asn1parse', '-inform', 'DER', '-in', files.write('name', name.der));
    expect(text).toMatch(/PRINTABLESTRING *:CN[^]*UTF8STRING *:示例市人民政府[^]*PRINTABLESTRING *:A-1/);
    expect(distinguishedName(name.rdns)).toEqual(name);
  });

  test('are escaped by RFC 4514 2.4', () => {
    const text = (commonName: string) => distinguishedName([{ commonName }]).rfc4514;
    expect(text('James "Jim" Smith, III')).toBe('CN=James \\"Jim\\" Smith\\, III');
    expect(text(' a ')).toBe('CN=\\ a\\ ');
    expect(text('#x')).toBe('CN=\\#x');
    expect(text('a+b;<c>\\')).toBe('CN=a\\+b\\;\\<c\\>\\\\');
    expect(text('a\rb\0c')).toBe('CN=a\\0db\\00c');
    expect(text('Lučić')).toBe('CN=Lučić');
    expect(text('章\u202eexe')).toBe('CN=章\\e2\\80\\aeexe');
  });

  test('show attributes of other types, and values of other string types, as # and hex (RFC 4514 2.4)', async () => {
    const { certificate } = await issue('x');
    const email = der.sequence(der.objectIdentifier('1.2.840.113549.1.9.1'), der.ia5String('a@b'));
    const bmp = der.sequence(der.objectIdentifier('2.5.4.3'), der.element(0x1e, Buffer.from('0041', 'hex')));
    const subject = der.sequence(der.setOf([email]), der.setOf([bmp]), der.setOf([]));
    const forge = (rdns: number) =>
      parseCertificate(
        changed(
          certificate.der,
          [0, 5],
          (node) => (node.children = toTree(subject).children?.slice(0, rdns) ?? []),
        ),
      );
    expect(forge(2).subject.rfc4514).toBe('CN=#1e020041,1.2.840.113549.1.9.1=#1603614062');
    expect(forge(2).subject.rdns).toEqual([{}, {}]);
    expect(forge(0).subject.rfc4514).toBe('');
  });

  test.each([
    ['a country that is not two letters', [{ countryName: 'cn' }]],
    ['an empty value', [{ commonName: '' }]],
    ['65 characters of commonName', [{ commonName: '印'.repeat(65) }]],
    ['half a surrogate pair', [{ commonName: '\ud800' }]],
    ['a serialNumber that is not printable', [{ serialNumber: '印' }]],
    ['an RDN without attributes', [{}]],
  ])('are not written with %s', (_, rdns) => {
    expectCode(() => distinguishedName(rdns), 'X509_NAME');
  });

  test('may have 64 characters beyond the basic plane', () => {
    expect(distinguishedName([{ commonName: '𠀀'.repeat(64) }]).rdns).toHaveLength(1);
  });
});

describe('a name and the text that tells it (RFC 4514, RFC 4517 4.2.15)', () => {
  const name = distinguishedName([
    { countryName: 'CN' },
    { organizationName: 'Ex, "Ample" + Söhne', organizationIdentifier: 'NTRCN-1' },
    { commonName: ' a  Portal\\ ' },
  ]);

  test.each([
    name.rfc4514,
    'CN=A PORTAL\\\\,O=ex\\, \\"ample\\" \\+ s\\C3\\B6hne+organizationIdentifier=ntrcn-1,C=cn',
    'cn = a portal\\5c , organizationidentifier=NTRCN-1 + o=Ex\\2c \\22Ample\\22 \\2B So\u0308hne, c=CN',
    '2.5.4.3=a portal\\\\,2.5.4.10=Ex\\, \\"Ample\\" \\+ Söhne+2.5.4.97=NTRCN-1,2.5.4.6=#1302434e',
  ])('are the same: %s', (text) => {
    expect(matchesName(name, text)).toBe(true);
  });

  test.each([
    'CN=a Portal\\\\,C=CN',
    'CN=a Portal\\\\,O=Ex\\, \\"Ample\\" \\+ Söhne,organizationIdentifier=NTRCN-1,C=CN',
    'C=CN,O=Ex\\, \\"Ample\\" \\+ Söhne+organizationIdentifier=NTRCN-1,CN=a Portal\\\\',
    'CN=aPortal\\\\,O=Ex\\, \\"Ample\\" \\+ Söhne+organizationIdentifier=NTRCN-1,C=CN',
    'CN=a Portal\\\\,O=Ex\\, \\"Ample\\" \\+ Sohne+organizationIdentifier=NTRCN-1,C=CN',
    'CN=a Portal\\\\,O=Ex\\, \\"Ample\\" \\+ Söhne+organizationIdentifier=NTRCN-1+organizationIdentifier=NTRCN-1,C=CN',
  ])('are not the same: %s', (text) => {
    expect(parseName(text)).toBeDefined();
    expect(matchesName(name, text)).toBe(false);
  });

  test.each([
    '',
    ' ',
    'portal',
    'CN=a,',
    ',CN=a',
    'CN=a,,C=CN',
    'XX=a',
    'CN=a;C=CN',
    'CN="a"',
    'CN=a\\',
    'CN=\\zz',
    'CN=\\ff',
    'CN=#1',
    'CN=a\0',
    '/C=CN/CN=a',
  ])('no name is told by %j', (text) => {
    expect(parseName(text)).toBeUndefined();
    expect(matchesName(distinguishedName([]), text)).toBe(false);
  });

  test('what is no separator in the name is none in its text: a value cannot pose as levels', () => {
    const posing = distinguishedName([{ commonName: 'a,O=b' }]);
    expect(matchesName(posing, 'CN=a,O=b')).toBe(false);
    expect(matchesName(distinguishedName([{ commonName: 'a' }]), 'CN=\\#1301 61')).toBe(false);
    expect(matchesName(distinguishedName([{ commonName: '#130161' }]), 'CN=#130161')).toBe(false);
    expect(matchesName(distinguishedName([{ commonName: 'a' }]), 'CN=#130161')).toBe(true);
  });

  test('text that OpenSSL writes tells the name that OpenSSL made', () => {
    const files = folder();
    const [key, pem] = [files.path('key.pem'), files.path('c.pem')];
    const subject = '/DC=cn/DC=example/O=Ex, Ample #1/OU=a+b/UID=p-1/emailAddress=p@example.cn/CN=门户';
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-utf8', '-subj',
      subject.replace('a+b', 'a\\+b'), '-keyout', key, '-out', pem); // prettier-ignore
    const [bytes = Buffer.alloc(0)] = pemToDer('CERTIFICATE', files.read('c.pem').toString());
    for (const options of ['RFC2253', 'RFC2253,utf8,-esc_msb']) {
      const text = openssl('x509', '-in', pem, '-noout', '-subject', '-nameopt', options);
      expect(matchesName(parseCertificate(bytes).subject, text.replace('subject=', '').trim()), text).toBe(
        true,
      );
    }
  });

  test('a long text takes no long time', () => {
    const started = performance.now();
    for (const text of [`CN=${' '.repeat(100_000)}`, `${' '.repeat(100_000)}CN`, 'CN=a+'.repeat(20_000)])
      parseName(text);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
