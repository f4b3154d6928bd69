/** Whether a name is the one that a text of RFC 4514 tells: distinguishedNameMatch (RFC 4517 4.2.15). */
import * as der from './der.ts';
import { attributeTypes, type Name } from './name.ts';

/** Descriptors, in lower case: RFC 4514 section 3, those of `name.ts`, and the one that old certificates have their mailbox in (RFC 2985 5.2.1). */
const oids: ReadonlyMap<string, string> = new Map(
  [
    ...Object.entries(attributeTypes).flatMap(([type, { oid, short }]) => [
      [type, oid] as const,
      [short, oid] as const,
    ]),
    ['STREET', '2.5.4.9'] as const,
    ['DC', '0.9.2342.19200300.100.1.25'] as const,
    ['UID', '0.9.2342.19200300.100.1.1'] as const,
    ['emailAddress', '1.2.840.113549.1.9.1'] as const,
  ].map(([descriptor, oid]) => [descriptor.toLowerCase(), oid]),
);

/** One attribute up to its separator. Spaces around signs, which RFC 4514 has no place for, are what many programs write. */
const attribute =
  /\s*([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)\s*=((?:[^"+,;<>\\\0]|\\(?:[0-9A-Fa-f]{2}|[ "#+,;<=>\\]))*)([+,]|$)/y;

/**
 * The RDNs of a text of RFC 4514 in a form in which equal names are equal texts: types as object identifiers, values as
 * caseIgnoreMatch compares them (RFC 4518: compatibility composition, small letters, single spaces), attributes of one RDN sorted.
 * @returns `undefined` when it is not such a text, is empty, or has a descriptor that is not known here.
 */
export function parseName(text: string): string | undefined {
  const rdns: string[][] = [[]];
  attribute.lastIndex = 0;
  for (let separator = ','; separator !== '';) {
    const found = attribute.exec(text);
    if (!found) return undefined;
    const [, type = '', raw = '', end = ''] = found;
    const oid = /^\d/.test(type) ? type : oids.get(type.toLowerCase());
    const value = valueOf(raw);
    if (oid === undefined || value === undefined) return undefined;
    rdns.at(-1)?.push(`${oid}=${value}`);
    separator = end;
    if (separator === ',') rdns.push([]);
  }
  return JSON.stringify(rdns.map((attributes) => attributes.toSorted()));
}

/** Whether the name, as a certificate has it, is the one that `text` (RFC 4514) tells. */
export function matchesName(name: Name, text: string): boolean {
  const expected = parseName(text);
  return expected !== undefined && parseName(name.rfc4514) === expected;
}

function valueOf(raw: string): string | undefined {
  const hex = raw.trim();
  if (!hex.startsWith('#')) {
    const text = unescaped(raw);
    return text === undefined ? undefined : `=${prepared(text)}`;
  }
  if (!/^#(?:[0-9A-Fa-f]{2})+$/.test(hex)) return undefined;
  const text = textOf(Buffer.from(hex.slice(1), 'hex'));
  // What is no text is compared octet for octet.
  return text === undefined ? hex.toLowerCase() : `=${prepared(text)}`;
}

/** RFC 4514 2.4: an octet in hex, or a sign after a backslash. */
function unescaped(raw: string): string | undefined {
  const octets = raw
    .split(/(\\[0-9A-Fa-f]{2}|\\.)/)
    .map((part) =>
      /^\\[0-9A-Fa-f]{2}$/.test(part)
        ? Buffer.from(part.slice(1), 'hex')
        : Buffer.from(part.startsWith('\\') ? part.slice(1) : part),
    );
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(octets));
  } catch {
    return undefined;
  }
}

function textOf(encoded: Buffer): string | undefined {
  try {
    return der.decode(encoded, (reader) => {
      if (reader.next(der.tags.utf8String)) return reader.utf8String();
      return reader.next(der.tags.printableString) ? reader.printableString() : reader.ia5String();
    });
  } catch {
    return undefined;
  }
}

/** RFC 4518 section 2, without what it maps to nothing: invisible characters make another name here. */
function prepared(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}
