import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { der } from '../../src/pki/index.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const asn1parse = (value: Uint8Array): string =>
  execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: value, encoding: 'utf8' });

describe('writing', () => {
  test.each([
    ['0', 0, '020100'],
    ['127', 127, '02017f'],
    ['128 with an octet for the sign', 128, '02020080'],
    ['256', 256, '02020100'],
    ['2^31 - 1', 2 ** 31 - 1, '02047fffffff'],
    ['octets with leading zeros, without them', bytes('0000 01'), '020101'],
    ['octets with the top bit set, as a positive number', bytes('ff'), '020200ff'],
    ['no octets as zero', bytes(''), '020100'],
  ])('writes the INTEGER %s', (_, value, expected) => {
    expect(hex(der.integer(value))).toBe(expected);
  });

  test('refuses an INTEGER that is negative, broken, or beyond 2^31 - 1', () => {
    for (const value of [-1, 0.5, Number.NaN, 2 ** 31]) expect(() => der.integer(value)).toThrow(RangeError);
  });

  test.each([
    [0x7f, '047f'],
    [0x80, '048180'],
    [0xff, '0481ff'],
    [0x100, '04820100'],
    [0x10000, '0483010000'],
  ])('writes the length %i in as few octets as can be', (length, start) => {
    expect(hex(der.octetString(new Uint8Array(length))).startsWith(start)).toBe(true);
  });

  test('sorts a SET OF by its encodings', () => {
    const items = [der.integer(2), der.octetString(bytes('00')), der.integer(1), der.integer(300)];
    expect(hex(der.setOf(items))).toBe('310d 020101 020102 0202012c 040100'.replaceAll(' ', ''));
  });

  test('writes a named bit list without trailing zero bits', () => {
    expect(hex(der.namedBits([0, 1]))).toBe('030206c0');
    expect(hex(der.namedBits([5, 6]))).toBe('03020106');
    expect(hex(der.namedBits([8]))).toBe('0303070080');
    expect(hex(der.namedBits([]))).toBe('030100');
  });

  test.each([
    ['1950-01-01T00:00:00Z', '170d3530303130313030303030305a'],
    ['2049-12-31T23:59:59.999Z', '170d3439313233313233353935395a'],
    ['2050-01-01T00:00:00Z', '180f32303530303130313030303030305a'],
    ['1949-12-31T23:59:59Z', '180f31393439313233313233353935395a'],
    ['9999-12-31T23:59:59Z', '180f39393939313233313233353935395a'],
  ])('writes %s as RFC 5280 4.1.2.5 says', (iso, expected) => {
    const encoded = der.time(new Date(iso));
    expect(hex(encoded)).toBe(expected);
    expect(der.decode(encoded, (reader) => reader.time()).getTime()).toBe(
      Math.floor(Date.parse(iso) / 1000) * 1000,
    );
  });

  test('refuses a time that is none or has a year of five digits', () => {
    expect(() => der.time(new Date(Number.NaN))).toThrow(RangeError);
    expect(() => der.time(new Date('+010000-01-01T00:00:00Z'))).toThrow(RangeError);
  });

  test('refuses text that its string type cannot hold', () => {
    expect(() => der.printableString('a_b')).toThrow(TypeError);
    expect(() => der.ia5String('é')).toThrow(TypeError);
    expect(() => der.utf8String('\ud800')).toThrow(TypeError);
  });

  test.each(['0.0', '1.39', '2.5.4.97', '2.999.1', '1.2.156.10197.1.501', `2.25.${2n ** 127n}`])(
    'writes the object identifier %s as OpenSSL reads it, and reads it back',
    (oid) => {
      const encoded = der.objectIdentifier(oid);
      expect(der.decode(encoded, (reader) => reader.objectIdentifier())).toBe(oid);
      expect(asn1parse(encoded)).toContain('OBJECT');
    },
  );

  test.each(['', '1', '3.1', '1.40', '01.2', '1.02', '1.2.', '1.2.x', '-1.2'])(
    'refuses the object identifier "%s"',
    (oid) => {
      expect(() => der.objectIdentifier(oid)).toThrow(TypeError);
    },
  );

  test('writes what OpenSSL reads', () => {
    const value = der.sequence(
      der.boolean(true),
      der.integer(42),
      der.bitString(bytes('beef')),
      der.octetString(bytes('00ff')),
      der.nullValue(),
      der.objectIdentifier('2.5.4.3'),
      der.utf8String('印信'),
      der.printableString('CN'),
      der.ia5String('http://example.cn'),
      der.time(new Date('2026-01-02T03:04:05Z')),
      der.element(der.contextTag(0, 'constructed'), der.setOf([der.integer(1)])),
    );
    const text = asn1parse(value);
    for (const part of [
      'BOOLEAN           :255',
      ':2A',
      'commonName',
      'UTF8STRING        :印信',
      ':260102030405Z',
      'cont [ 0 ]',
    ]) {
      expect(text).toContain(part);
    }
  });
});

describe('reading', () => {
  test('reads every type back', () => {
    const value = der.sequence(
      der.boolean(false),
      der.integer(bytes('8000')),
      der.bitString(bytes('beef')),
      der.namedBits([1, 6]),
      der.nullValue(),
      der.utf8String('\ufeff印信'),
      der.printableString('a b'),
      der.ia5String('a@b'),
    );
    const read = der.decode(value, (reader) =>
      reader.sequence((inner) => [
        inner.boolean(),
        hex(inner.integer()),
        hex(inner.bitString()),
        inner.namedBits(),
        inner.null(),
        inner.utf8String(),
        inner.printableString(),
        inner.ia5String(),
      ]),
    );
    expect(read).toEqual([false, '008000', 'beef', [1, 6], undefined, '\ufeff印信', 'a b', 'a@b']);
  });

  test('gives the exact octets of what it read', () => {
    const inside = der.sequence(der.integer(7));
    const read = der.decode(der.sequence(inside, der.integer(8)), (reader) =>
      reader.sequence((inner) => [
        inner.withBytes((item) => item.sequence((one) => one.smallInteger())),
        inner.smallInteger(),
      ]),
    );
    expect(read).toEqual([{ value: 7, der: inside }, 8]);
  });

  test('says clause and offset, counted from the start of the outermost octets', () => {
    const value = der.sequence(der.integer(1), der.sequence(bytes('0101 01')));
    const read = () =>
      der.decode(value, (reader) =>
        reader.sequence((inner) => [inner.integer(), inner.sequence((one) => one.boolean())]),
      );
    expect(read).toThrow(
      expect.objectContaining({
        name: 'DerError',
        code: 'DER_VALUE',
        clause: 'X.690 11.1',
        offset: 7,
        message: 'A BOOLEAN is one octet, 00 or FF, at octet 7 (X.690 11.1)',
      }),
    );
  });
});
