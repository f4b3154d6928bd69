/** Requests that this program makes to addresses which portals registered. They reach the public internet and registered networks, nothing else. */
import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import { Agent, fetch as undiciFetch, type RequestInit } from 'undici';
import { toBlockList } from '../config.ts';

/** IANA special-purpose address registries (RFC 6890): loopback, private, link-local, shared, documentation, multicast, reserved. */
const SPECIAL_PURPOSE = toBlockList([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/127',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
]);

/** A host is refused because of where it leads. The address stays in the log. */
export class OutboundRefused extends Error {
  constructor(address: string) {
    super(`${address} is a special-purpose address outside the registered networks`);
    this.name = 'OutboundRefused';
  }
}

export type OutboundFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/**
 * A `fetch` that checks the address it really connects to, so that a name which resolves to a private address is refused as well.
 * @param networks Registered private networks, in CIDR form.
 * @param authorities Certificate authorities (PEM) that are trusted besides the public ones.
 * @param identity Certificate and key (PEM) that are shown to servers which ask for one.
 */
export function createOutboundFetch(
  networks: readonly string[],
  authorities: readonly string[] = [],
  identity?: { readonly certificate: string; readonly key: string },
): OutboundFetch {
  const registered = toBlockList(networks);
  const allowed = (address: string) => {
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    return !SPECIAL_PURPOSE.check(address, family) || registered.check(address, family);
  };
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const reachable = addresses.filter(({ address }) => allowed(address));
      const [first] = reachable;
      if (error) callback(error, '', 0);
      else if (!first) callback(new OutboundRefused(addresses[0]?.address ?? hostname), '', 0);
      else if (options.all) callback(null, reachable);
      else callback(null, first.address, first.family);
    });
  };
  const ca = authorities.length > 0 ? [...rootCertificates, ...authorities] : undefined;
  const dispatcher = new Agent({
    connect: {
      lookup,
      ...(ca ? { ca } : {}),
      ...(identity ? { cert: identity.certificate, key: identity.key } : {}),
    },
  });
  return async (url, init) => {
    // The resolver is not asked about a literal address.
    const literal = new URL(url).hostname.replace(/^\[|\]$/g, '');
    if (isIP(literal) !== 0 && !allowed(literal)) throw new OutboundRefused(literal);
    return undiciFetch(url, { ...init, dispatcher });
  };
}
