import { expect, test } from 'vitest';
import { formatAddress, networkOf, parseAddress } from '../../src/platform/address.ts';

const spelled = (text: string) => {
  const address = parseAddress(text);
  return address && formatAddress(address);
};

test('each address has one spelling', () => {
  for (const text of ['2001:db8::1', '2001:0DB8:0:0:0:0:0:1', '2001:db8:0:0::0.0.0.1', '2001:db8::1%eth0'])
    expect(spelled(text)).toBe('2001:db8::1');
  expect(spelled('::')).toBe('::');
  expect(spelled('192.0.2.1')).toBe('192.0.2.1');
});

test('an address of IPv4 that is written as IPv6 is of IPv4', () => {
  for (const text of ['::ffff:192.0.2.1', '::FFFF:c000:0201', '0:0:0:0:0:ffff:192.0.2.1'])
    expect(spelled(text)).toBe('192.0.2.1');
});

test('what is no address is none', () => {
  for (const text of [
    '',
    'unknown',
    '_hidden',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.1:80',
    ':::',
    '[::1]',
    'example.cn',
  ])
    expect(parseAddress(text)).toBeUndefined();
});

test('a network is named by as many bits as are asked for', () => {
  const lengths = { ipv4: 16, ipv6: 48 };
  const named = (text: string, given = lengths) => networkOf(parseAddress(text) ?? new Uint8Array(), given);
  expect(named('192.0.2.1')).toBe('192.0.0.0/16');
  expect(named('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1::/48');
  expect(named('2001:db8:1:2:3:4:5:6', { ipv4: 32, ipv6: 64 })).toBe('2001:db8:1:2::/64');
  expect(named('192.0.2.255', { ipv4: 28, ipv6: 64 })).toBe('192.0.2.240/28');
  expect(named('192.0.2.255', { ipv4: 32, ipv6: 64 })).toBe('192.0.2.255/32');
});
