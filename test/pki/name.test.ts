import { describe, expect, test } from 'vitest';
import { der, distinguishedName, parseCertificate } from '../../src/pki/index.ts';
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
