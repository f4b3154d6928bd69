/** Internet addresses as bytes, and the networks that they lie in. Pure. */
import { isIP } from 'node:net';

/** 4 bytes of IPv4, or 16 of IPv6. */
export type Address = Uint8Array;

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/**
 * Reads an address. One of IPv4 that is written as IPv6 (`::ffff:192.0.2.1`, RFC 4291, section 2.5.5.2) is of IPv4; a zone is left out.
 * @returns undefined if the text is no address.
 */
export function parseAddress(text: string): Address | undefined {
  const plain = text.replace(/%.*$/s, '');
  switch (isIP(plain)) {
    case 4:
      return Uint8Array.from(plain.split('.'), Number);
    case 6: {
      const bytes = bytesOfIpv6(plain);
      return MAPPED.equals(bytes.subarray(0, 12)) ? bytes.subarray(12) : bytes;
    }
    default:
      return undefined;
  }
}

/** The one spelling of an address (IPv6: RFC 5952). */
export function formatAddress(address: Address): string {
  if (address.length === 4) return address.join('.');
  return URL.parse(`http://[${groupsOf(address).join(':')}]`)?.hostname.slice(1, -1) ?? '';
}

/** How much of an address names a network: bits from the left. */
export interface PrefixLengths {
  readonly ipv4: number;
  readonly ipv6: number;
}

/** The network that an address lies in, in CIDR form. */
export function networkOf(address: Address, lengths: PrefixLengths): string {
  const bits = address.length === 4 ? lengths.ipv4 : lengths.ipv6;
  const network = address.map((byte, i) => byte & (0xff << Math.max(0, 8 - Math.max(0, bits - 8 * i))));
  return `${formatAddress(network)}/${bits}`;
}

/** @param text What `isIP` has found to be IPv6. */
function bytesOfIpv6(text: string): Uint8Array {
  // The last 32 bits may be written as IPv4.
  const hex = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [left = '', right] = hex.split('::');
  const head = left.split(':').filter(Boolean);
  const tail = right?.split(':').filter(Boolean) ?? [];
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function groupsOf(address: Address): string[] {
  return Buffer.from(address).toString('hex').match(/.{4}/g) ?? [];
}
