import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { TrustedProxies } from '../../../src/platform/config.ts';
import { createClientAddress } from '../../../src/platform/http/client-address.ts';

const PROXIES = ['10.0.0.0/8', '2001:db8:ffff::/48'];

function addressOf(
  header: TrustedProxies['header'],
  peer: string | undefined,
  lines: string | string[] | undefined,
  networks = PROXIES,
): string {
  const request = {
    socket: { remoteAddress: peer },
    headersDistinct: lines === undefined ? {} : { [header]: [lines].flat() },
  } as unknown as IncomingMessage;
  return createClientAddress({ networks, header })(request);
}

describe('X-Forwarded-For', () => {
  const from = (peer: string | undefined, lines?: string | string[], networks?: string[]) =>
    addressOf('x-forwarded-for', peer, lines, networks);

  test('counts from a believed proxy', () => {
    expect(from('10.0.0.1', '192.0.2.7')).toBe('192.0.2.7');
    expect(from('::ffff:10.0.0.1', '192.0.2.7')).toBe('192.0.2.7');
    expect(from('2001:db8:ffff::1', '2001:db8::7')).toBe('2001:db8::7');
  });

  test('is nothing from a stranger', () => {
    expect(from('203.0.113.9', '192.0.2.7')).toBe('203.0.113.9');
    expect(from('203.0.113.9', '10.0.0.1')).toBe('203.0.113.9');
    expect(from('::ffff:203.0.113.9', '192.0.2.7')).toBe('203.0.113.9');
    expect(from('10.0.0.1', '192.0.2.7', [])).toBe('10.0.0.1');
  });

  test('what a client wrote to the left of what the proxy added counts for nothing', () => {
    expect(from('10.0.0.1', '127.0.0.1, 192.0.2.7')).toBe('192.0.2.7');
    expect(from('10.0.0.1', '10.0.0.9, 192.0.2.7')).toBe('192.0.2.7');
    expect(from('10.0.0.1', 'nonsense, 192.0.2.7')).toBe('192.0.2.7');
    expect(from('10.0.0.1', `${'198.51.100.1,'.repeat(900)}192.0.2.7`)).toBe('192.0.2.7');
  });

  test('a chain of believed proxies is walked to its end', () => {
    expect(from('10.0.0.1', '198.51.100.66, 192.0.2.7, 10.2.0.1,10.1.0.1')).toBe('192.0.2.7');
    expect(from('10.0.0.1', '10.3.0.1, 10.2.0.1')).toBe('10.3.0.1');
  });

  test('several headers are one list, in their order', () => {
    expect(from('10.0.0.1', ['198.51.100.66', '192.0.2.7'])).toBe('192.0.2.7');
    expect(from('10.0.0.1', ['198.51.100.66, 192.0.2.7', '10.1.0.1'])).toBe('192.0.2.7');
  });

  test('ports, brackets and IPv4 written as IPv6 are read', () => {
    expect(from('10.0.0.1', '192.0.2.7:50123')).toBe('192.0.2.7');
    expect(from('10.0.0.1', '[2001:db8::7]:50123')).toBe('2001:db8::7');
    expect(from('10.0.0.1', '[2001:DB8:0::7]')).toBe('2001:db8::7');
    expect(from('10.0.0.1', '::ffff:192.0.2.7')).toBe('192.0.2.7');
  });

  test('a malformed entry where a proxy must have written leaves the address of the socket', () => {
    for (const line of [
      'unknown',
      '',
      ',',
      '192.0.2.7,',
      '192.0.2.7, x',
      '192.0.2.7, 10.1.0.1:99999999',
      '192.0.2.7 10.0.0.1',
    ])
      expect(from('10.0.0.1', line)).toBe('10.0.0.1');
    expect(from('10.0.0.1')).toBe('10.0.0.1');
  });

  test("a connection that is gone has an address that is nobody's", () => {
    expect(from(undefined, '192.0.2.7')).toBe('0.0.0.0');
  });
});

describe('Forwarded', () => {
  const from = (peer: string, lines: string | string[]) => addressOf('forwarded', peer, lines);

  test('counts from a believed proxy', () => {
    expect(from('10.0.0.1', 'for=192.0.2.7')).toBe('192.0.2.7');
    expect(from('10.0.0.1', 'For="192.0.2.7:4711"; proto=https;by=10.0.0.1')).toBe('192.0.2.7');
    expect(from('10.0.0.1', 'proto=https;for="[2001:db8::7]:4711"')).toBe('2001:db8::7');
    expect(from('10.0.0.1', ['for=198.51.100.66', 'for=192.0.2.7, for=10.1.0.1'])).toBe('192.0.2.7');
  });

  test('is nothing from a stranger, and nothing to the left of what a proxy added', () => {
    expect(from('203.0.113.9', 'for=192.0.2.7')).toBe('203.0.113.9');
    expect(from('10.0.0.1', 'for=198.51.100.66, for=192.0.2.7')).toBe('192.0.2.7');
  });

  test('a quote left open by a client does not swallow what a proxy added', () => {
    for (const forged of ['for="198.51.100.66', 'for="\\', '"', 'for="x;,', ';;;', 'for=a\\"'])
      expect(from('10.0.0.1', `${forged}, for=192.0.2.7`)).toBe('192.0.2.7');
    expect(from('10.0.0.1', ['for="198.51.100.66', 'for=192.0.2.7'])).toBe('192.0.2.7');
  });

  test('a comma inside quotes divides nothing', () => {
    expect(from('10.0.0.1', 'for=192.0.2.7;host="a, for=198.51.100.66"')).toBe('192.0.2.7');
  });

  test('an element that names no address leaves the address of the socket', () => {
    for (const line of [
      'for=unknown',
      'for=_hidden',
      'proto=https',
      'for=2001:db8::7',
      'for=192.0.2.7;for=192.0.2.8',
      'for=192.0.2.7 junk',
      'for="192.0.2.7',
      '192.0.2.7',
    ])
      expect(from('10.0.0.1', line)).toBe('10.0.0.1');
  });

  test('the header that the proxies do not write is not read', () => {
    expect(addressOf('x-forwarded-for', '10.0.0.1', 'for=192.0.2.7')).toBe('10.0.0.1');
    const request = {
      socket: { remoteAddress: '10.0.0.1' },
      headersDistinct: { forwarded: ['for=198.51.100.66'], 'x-forwarded-for': ['192.0.2.7'] },
    } as unknown as IncomingMessage;
    expect(createClientAddress({ networks: PROXIES, header: 'x-forwarded-for' })(request)).toBe('192.0.2.7');
  });
});
