/** Hostile octets: encodings that BER allows and DER does not, lies about lengths, and bombs. */
import { describe, expect, test } from 'vitest';
import { der, DerError, parseCertificate, parseSignedData, withoutZeroPadding } from '../../src/pki/index.ts';
import { expectCode, folder, issueSeal, openssl } from './support.ts';
import { changed, toTree } from './tree.ts';

const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

type Read = (reader: der.DerReader) => unknown;
const any: Read = (reader) => reader.any();
const integer: Read = (reader) => reader.integer();
const bitString: Read = (reader) => reader.bitString();
const namedBits: Read = (reader) => reader.namedBits();
const oid: Read = (reader) => reader.objectIdentifier();
const time: Read = (reader) => reader.time();

describe.each<[string, [string, Buffer, Read, string][]]>([
  [
    'lengths (X.690 8.1.3, 10.1)',
    [
      ['the indefinite form', bytes('3080 020100 0000'), any, 'DER_LENGTH'],
      ['the indefinite form inside', bytes('3005 3080 0200 00'), any, 'DER_LENGTH'],
      ['the long form of a short length', bytes('04810100'), any, 'DER_LENGTH'],
      ['a length with a leading zero', bytes('0482 0080 00'), any, 'DER_LENGTH'],
      ['a length of 2^32 - 1', bytes('0484 ffffffff'), any, 'DER_TRUNCATED'],
      ['a length of five octets', bytes('0485 0100000000'), any, 'DER_LENGTH'],
      ['a length of 127 octets', bytes('04ff 01'), any, 'DER_LENGTH'],
      ['a length cut off', bytes('0482 01'), any, 'DER_TRUNCATED'],
      ['contents cut off', bytes('0403 0000'), any, 'DER_TRUNCATED'],
      ['an element longer than its parent', bytes('3003 0402 00 00'), any, 'DER_TRUNCATED'],
      [
        'an element longer than its parent, read by type',
        bytes('3003 0402 00 00'),
        (r) => r.sequence((inner) => inner.octetString()),
        'DER_TRUNCATED',
      ],
      ['nothing at all', bytes(''), any, 'DER_TRUNCATED'],
      ['a tag alone', bytes('30'), any, 'DER_TRUNCATED'],
    ],
  ],
  [
    'tags (X.690 8.1.2, 10.2)',
    [
      ['a high tag number', bytes('1f81 0100'), any, 'DER_TAG'],
      ['end-of-contents', bytes('3002 0000'), any, 'DER_TAG'],
      ['an OCTET STRING in pieces', bytes('2403 040100'), any, 'DER_TAG'],
      [
        'an OCTET STRING in pieces where one is expected',
        bytes('2403 040100'),
        (r) => r.octetString(),
        'DER_TAG',
      ],
      ['a primitive SEQUENCE', bytes('1000'), any, 'DER_TAG'],
      ['a SET for a SEQUENCE', bytes('3100'), (r) => r.sequence(() => 0), 'DER_TAG'],
      ['a context tag for a universal one', bytes('800100'), integer, 'DER_TAG'],
    ],
  ],
  [
    'ends (X.690 8.1.1)',
    [
      ['octets after the value', bytes('020100 00'), any, 'DER_TRAILING'],
      [
        'an element too many in a SEQUENCE',
        bytes('3006 020100 020100'),
        (r) => r.sequence(integer),
        'DER_TRAILING',
      ],
      [
        'two values in an EXPLICIT tag',
        bytes('a006 020100 020100'),
        (r) => r.constructed(0xa0, integer),
        'DER_TRAILING',
      ],
    ],
  ],
  [
    'BOOLEAN, INTEGER, NULL (X.690 8.3.2, 11.1, 8.8.2)',
    [
      ['TRUE as 01', bytes('010101'), (r) => r.boolean(), 'DER_VALUE'],
      ['a BOOLEAN of no octets', bytes('0100'), (r) => r.boolean(), 'DER_VALUE'],
      ['a BOOLEAN of two octets', bytes('0102ffff'), (r) => r.boolean(), 'DER_VALUE'],
      ['FALSE written where it is the default', bytes('010100'), (r) => r.booleanDefaultFalse(), 'DER_VALUE'],
      ['an INTEGER of no octets', bytes('0200'), integer, 'DER_VALUE'],
      ['an INTEGER with a needless 00', bytes('0202007f'), integer, 'DER_VALUE'],
      ['an INTEGER with a needless FF', bytes('0202ff80'), integer, 'DER_VALUE'],
      ['a negative INTEGER where a count is due', bytes('0201ff'), (r) => r.smallInteger(), 'DER_VALUE'],
      ['a count of 2^32', bytes('02050100000000'), (r) => r.smallInteger(), 'DER_VALUE'],
      ['NULL with contents', bytes('050100'), (r) => r.null(), 'DER_VALUE'],
    ],
  ],
  [
    'BIT STRING (X.690 8.6.2, 11.2)',
    [
      ['no octet for the unused bits', bytes('0300'), bitString, 'DER_VALUE'],
      ['eight unused bits', bytes('03020800'), namedBits, 'DER_VALUE'],
      ['unused bits of nothing', bytes('030107'), namedBits, 'DER_VALUE'],
      ['unused bits that are one', bytes('030204f8'), namedBits, 'DER_VALUE'],
      ['a named bit list that ends with a zero', bytes('030205c0'), namedBits, 'DER_VALUE'],
      ['a named bit list with an empty last octet', bytes('030300c000'), namedBits, 'DER_VALUE'],
      ['part of an octet where whole ones are due', bytes('030204f0'), bitString, 'DER_VALUE'],
      ['a BIT STRING in pieces', bytes('2305 03030000 00'), bitString, 'DER_TAG'],
    ],
  ],
  [
    'OBJECT IDENTIFIER (X.690 8.19)',
    [
      ['no octets', bytes('0600'), oid, 'DER_VALUE'],
      ['an arc with a leading zero', bytes('0603 5580 04'), oid, 'DER_VALUE'],
      ['an arc without an end', bytes('0602 5584'), oid, 'DER_VALUE'],
      ['a first arc with a leading zero', bytes('0602 8055'), oid, 'DER_VALUE'],
      ['65 octets', Buffer.concat([bytes('0641'), Buffer.alloc(65, 1)]), oid, 'DER_VALUE'],
    ],
  ],
  [
    'strings',
    [
      ['UTF-8 of half a surrogate pair', bytes('0c03eda080'), (r) => r.utf8String(), 'DER_VALUE'],
      ['UTF-8 longer than needed', bytes('0c02c0af'), (r) => r.utf8String(), 'DER_VALUE'],
      ['UTF-8 cut off', bytes('0c02e58d'), (r) => r.utf8String(), 'DER_VALUE'],
      ['a PrintableString with @', bytes('130140'), (r) => r.printableString(), 'DER_VALUE'],
      [
        'a PrintableString with a line feed at its end',
        bytes('1302410a'),
        (r) => r.printableString(),
        'DER_VALUE',
      ],
      ['a PrintableString with NUL', bytes('13024100'), (r) => r.printableString(), 'DER_VALUE'],
      ['an IA5String of Latin-1', bytes('1601e9'), (r) => r.ia5String(), 'DER_VALUE'],
    ],
  ],
  [
    'times (RFC 5280 4.1.2.5)',
    [
      ['UTCTime without seconds', der.element(0x17, latin1('2601010000Z')), time, 'DER_VALUE'],
      ['UTCTime with an offset', der.element(0x17, latin1('260101000000+0800')), time, 'DER_VALUE'],
      ['UTCTime without Z', der.element(0x17, latin1('260101000000')), time, 'DER_VALUE'],
      ['a thirteenth month', der.element(0x17, latin1('261301000000Z')), time, 'DER_VALUE'],
      ['30 February', der.element(0x17, latin1('260230000000Z')), time, 'DER_VALUE'],
      ['29 February of a common year', der.element(0x17, latin1('270229000000Z')), time, 'DER_VALUE'],
      ['24 hours', der.element(0x17, latin1('260101240000Z')), time, 'DER_VALUE'],
      ['a leap second', der.element(0x17, latin1('161231235960Z')), time, 'DER_VALUE'],
      ['digits that are none', der.element(0x17, latin1('26010100000 Z')), time, 'DER_VALUE'],
      ['GeneralizedTime before 2050', der.element(0x18, latin1('20490101000000Z')), time, 'DER_VALUE'],
      [
        'GeneralizedTime with parts of a second',
        der.element(0x18, latin1('20500101000000.5Z')),
        time,
        'DER_VALUE',
      ],
      ['a line feed after Z', der.element(0x17, latin1('260101000000Z\n')), time, 'DER_VALUE'],
      ['another type', der.integer(0), time, 'DER_TAG'],
    ],
  ],
])('refuses, in %s:', (_, cases) => {
  test.each(cases)('%s', (_name, octets, read, code) => {
    expectCode(() => der.decode(octets, read), code);
  });
});

describe('refuses', () => {
  test('a SET OF out of order', () => {
    expectCode(() => der.decode(bytes('3106 020102 020101'), (reader) => reader.setOf(integer)), 'DER_ORDER');
  });

  test('a depth bomb, quickly', () => {
    let bomb: Uint8Array = Buffer.alloc(0);
    for (let depth = 0; depth < 200; depth++) bomb = der.sequence(bomb);
    expectCode(() => der.decode(bomb, any), 'DER_DEPTH');
    const flat = Buffer.alloc(1_000_000, 0x30);
    expect(() => der.decode(flat, any)).toThrow(DerError);
  });

  test('more octets than the limit, before it reads one', () => {
    expectCode(() => der.decode(new Uint8Array(1_048_577), any), 'DER_SIZE');
    expectCode(() => parseCertificate(new Uint8Array(65_537)), 'DER_SIZE');
    expectCode(() => parseSignedData(new Uint8Array(64 * 1024 * 1024 + 1)), 'DER_SIZE');
  });

  test('zero padding that is not zeros, and padding that nobody asked for', () => {
    const value = der.sequence(der.integer(256));
    const padded = Buffer.concat([value, Buffer.alloc(20)]);
    expect(withoutZeroPadding(padded)).toEqual(value);
    expect(withoutZeroPadding(value)).toEqual(value);
    expectCode(() => der.decode(padded, any), 'DER_TRAILING');
    padded[padded.length - 1] = 1;
    expect(() => withoutZeroPadding(padded)).toThrow(
      expect.objectContaining({ code: 'DER_TRAILING', offset: padded.length - 1 }),
    );
    expectCode(() => withoutZeroPadding(Buffer.alloc(20)), 'DER_TAG');
  });

  test('a value that ends in zeros is not cut short', () => {
    const value = der.octetString(Buffer.alloc(4));
    expect(withoutZeroPadding(Buffer.concat([value, Buffer.alloc(3)]))).toEqual(value);
  });
});

describe('refuses a certificate', async () => {
  const { certificate } = await issueSeal('公章', {
    extensions: { basicConstraints: { cA: false }, certificatePolicies: ['1.2.3'] },
  });
  // Where things stand: tbsCertificate is 0; in it version 0, serial number 1, subject 5, key 6, extensions 7.
  test.each<[string, readonly number[], Parameters<typeof changed>[2], string]>([
    ['of version 2', [0, 0, 0], (node) => (node.contents = Buffer.of(1)), 'X509_VERSION'],
    [
      'that writes version 1, the default',
      [0, 0, 0],
      (node) => (node.contents = Buffer.of(0)),
      'DER_TRAILING',
    ],
    [
      'with a serial number of 22 octets',
      [0, 1],
      (node) => (node.contents = Buffer.alloc(22, 1)),
      'X509_SERIAL_NUMBER',
    ],
    [
      'with another algorithm outside than inside',
      [1, 0],
      (node) => (node.contents = der.objectIdentifier('1.2.840.10045.4.3.3').subarray(2)),
      'X509_ALGORITHM',
    ],
    [
      'with an extension that comes twice',
      [0, 7, 0],
      (node) => node.children?.push(...node.children.slice(0, 1)),
      'X509_EXTENSION',
    ],
    [
      'with an extension that says it is not critical',
      [0, 7, 0, 0],
      (node) => node.children?.splice(1, 0, { tag: 1, contents: Buffer.of(0) }),
      'DER_VALUE',
    ],
    [
      'with its key off the curve',
      [0, 6, 1],
      (node) => (node.contents = Buffer.concat([bytes('0004'), Buffer.alloc(64, 7)])),
      'X509_KEY',
    ],
    ['with its key at infinity', [0, 6, 1], (node) => (node.contents = bytes('0000')), 'X509_KEY'],
    [
      'with its key in hybrid form',
      [0, 6, 1],
      (node) => ((node.contents ??= Buffer.alloc(0))[1] = 6),
      'X509_KEY',
    ],
    [
      'with the parameters of its curve spelled out',
      [0, 6, 0, 1],
      (node) => Object.assign(node, { tag: 0x30, contents: undefined, children: [] }),
      'X509_KEY',
    ],
    [
      'whose signature is not whole octets',
      [2],
      (node) => ((node.contents ??= Buffer.alloc(0))[0] = 1),
      'DER_VALUE',
    ],
    [
      'with a fourth part',
      [],
      (node) => node.children?.push({ tag: 5, contents: Buffer.alloc(0) }),
      'DER_TRAILING',
    ],
    [
      'whose name has an RDN with one type of attribute twice',
      [0, 5, 0],
      (node) => {
        const texts = [der.utf8String('甲'), der.utf8String('乙')];
        const rdn = der.setOf(texts.map((text) => der.sequence(der.objectIdentifier('2.5.4.3'), text)));
        Object.assign(node, toTree(rdn));
      },
      'X509_NAME',
    ],
    ['whose name has an empty RDN', [0, 5, 0], (node) => (node.children = []), 'X509_NAME'],
  ])('%s', (_, path, change, code) => {
    expectCode(() => parseCertificate(changed(certificate.der, path, change)), code);
  });

  test('with the parameters of the very curve P-256 spelled out, although OpenSSL takes them (CVE-2020-0601)', () => {
    const files = folder();
    const key = files.path('key.pem');
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-param_enc', 'explicit', '-out', key);
    openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      key,
      '-subj',
      '/CN=x',
      '-outform',
      'DER',
      '-out',
      files.path('c'),
    );
    expect(() => parseCertificate(files.read('c'))).toThrow(
      expect.objectContaining({ code: 'X509_KEY', clause: 'RFC 5480 2.1.1' }),
    );
  });

  test('with an RSA key whose parameters are not NULL, or whose numbers are padded', async () => {
    const { certificate } = await issueSeal('公章', { algorithm: 'sha256WithRSAEncryption' });
    const withoutNull = changed(certificate.der, [0, 6, 0], (node) => node.children?.pop());
    expectCode(() => parseCertificate(withoutNull), 'X509_KEY');
    const padded = changed(certificate.der, [0, 6, 1], (node) => {
      const key = changed(node.contents?.subarray(1) ?? Buffer.alloc(0), [1], (exponent) => {
        exponent.contents = Buffer.from('00010001', 'hex');
      });
      node.contents = Buffer.concat([Buffer.of(0), key]);
    });
    expectCode(() => parseCertificate(padded), 'DER_VALUE');
  });

  test('a certificate in PEM where DER is due', () => {
    expectCode(() => parseCertificate(Buffer.from('-----BEGIN CERTIFICATE-----')), 'DER_TAG');
  });
});
