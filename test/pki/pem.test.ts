import { describe, expect, test } from 'vitest';
import { derToPem, pemToDer } from '../../src/pki/index.ts';
import { expectCode } from './support.ts';

describe('PEM (RFC 7468)', () => {
  const octets = Buffer.from(Array.from({ length: 100 }, (_, index) => index));

  test('is written in lines of 64 characters, and read back with words and other labels around', () => {
    const pem = derToPem('CERTIFICATE', octets);
    expect(Math.max(...pem.split('\n').map((line) => line.length))).toBe(64);
    const other = '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n';
    const text = `subject=CN=x\n${pem}${other}some words\r\n${pem.replaceAll('\n', '\r\n')}`;
    expect(pemToDer('CERTIFICATE', text)).toEqual([octets, octets]);
    expect(derToPem('CERTIFICATE', octets.subarray(0, 48)).split('\n')).toHaveLength(4);
  });

  test.each([
    ['none', 'nothing'],
    ['one without an end', '-----BEGIN CERTIFICATE-----\nAAAA\n'],
    [
      'one without an end after a good one',
      `${derToPem('CERTIFICATE', octets)}-----BEGIN CERTIFICATE-----\nAAAA\n`,
    ],
    ['one that begins twice', '-----BEGIN CERTIFICATE-----\n'.repeat(2)],
    ['one that ends twice', '-----END CERTIFICATE-----\n'],
    ['an empty one', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'],
    ['base64 with stray characters', '-----BEGIN CERTIFICATE-----\nAA*AA=\n-----END CERTIFICATE-----\n'],
    ['base64 with stray bits', '-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n'],
  ])('is refused with %s', (_, text) => {
    expectCode(() => pemToDer('CERTIFICATE', text), 'PEM_MALFORMED');
  });
});
