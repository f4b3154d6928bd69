/**
 * The address of whoever sent a request, behind proxies that are believed. Each proxy adds on the right whom it got the request from; what
 * stands further left than the first address that is no believed proxy's, anybody can have written.
 */
import type { IncomingMessage } from 'node:http';
import type { BlockList } from 'node:net';
import { formatAddress, parseAddress, type Address } from '../address.ts';
import { toBlockList, type TrustedProxies } from '../config.ts';

/** @returns the address in its one spelling; IPv4 is never written as IPv6. */
export type ClientAddress = (request: IncomingMessage) => string;

/** A request whose connection is gone already has an address of its own class. */
const NOWHERE = parseAddress('0.0.0.0') ?? new Uint8Array(4);

export function createClientAddress(settings: TrustedProxies): ClientAddress {
  const proxies = toBlockList(settings.networks);
  const known = new WeakMap<IncomingMessage, string>();
  return (request) => {
    const found = known.get(request) ?? formatAddress(addressOf(request, settings.header, proxies));
    known.set(request, found);
    return found;
  };
}

function addressOf(request: IncomingMessage, header: TrustedProxies['header'], proxies: BlockList): Address {
  const isProxy = (address: Address) =>
    proxies.check(formatAddress(address), address.length === 4 ? 'ipv4' : 'ipv6');
  const peer = parseAddress(request.socket.remoteAddress ?? '') ?? NOWHERE;
  let client = peer;
  if (!isProxy(peer)) return peer;
  const lines = request.headersDistinct[header] ?? [];
  for (const hop of header === 'forwarded' ? forwardedFor(lines) : plainList(lines)) {
    const address = hop === undefined ? undefined : parseNode(hop);
    // A believed proxy writes none such: what it says is not understood, so only the socket is left.
    if (!address) return peer;
    client = address;
    if (!isProxy(address)) break;
  }
  return client;
}

/** The entries of `X-Forwarded-For`, the nearest first. */
function* plainList(lines: readonly string[]): Generator<string> {
  for (const line of lines.toReversed()) for (const entry of line.split(',').toReversed()) yield entry.trim();
}

/** The `for` of each element of `Forwarded` (RFC 7239, section 4), the nearest first; undefined for an element that has none. */
function* forwardedFor(lines: readonly string[]): Generator<string | undefined> {
  for (const line of lines.toReversed())
    for (const element of elementsFromRight(line)) {
      const pairs = [...element.matchAll(PAIR)];
      const whole = pairs.map(([pair]) => pair).join(';') === element.replace(/[ \t]*;[ \t]*/g, ';');
      const given = whole ? pairs.filter(([, name]) => name?.toLowerCase() === 'for') : [];
      const [, , token, quoted] = given[0] ?? [];
      yield given.length === 1 ? (token ?? quoted?.replace(/\\(.)/g, '$1')) : undefined;
    }
}

/** `name=token` or `name="quoted string"` (RFC 7230, section 3.2.6). */
const PAIR = /([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)")/g;

/**
 * Takes a list apart at the commas outside quotes, from the right: a quote that was left open further left cannot swallow what a proxy
 * has added.
 */
function* elementsFromRight(line: string): Generator<string> {
  let end = line.length;
  let quoted = false;
  for (let i = line.length - 1; i >= 0; i--) {
    if (line[i] === '"' && !isEscaped(line, i)) quoted = !quoted;
    if (line[i] !== ',' || quoted) continue;
    yield line.slice(i + 1, end).trim();
    end = i;
  }
  yield line.slice(0, end).trim();
}

function isEscaped(line: string, at: number): boolean {
  let before = at;
  while (line[before - 1] === '\\') before -= 1;
  return (at - before) % 2 === 1;
}

/** An address as proxies write it: alone, with a port, in brackets. Names and `unknown` are none. */
function parseNode(text: string): Address | undefined {
  const [, bracketed, plain] =
    /^(?:\[([^\]]*)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+)(?::\d{1,5})?)$/.exec(text) ?? [];
  return parseAddress(bracketed ?? plain ?? text);
}
