/** Distinguished names: RFC 5280 4.1.2.4 as DER, RFC 4514 as text. */
import * as der from './der.ts';
import { X509Error } from './errors.ts';

/** `short`: RFC 4514 section 3, or the descriptor in use. `max`: upper bound in characters (RFC 5280 appendix A.1), for writing only. */
export const attributeTypes = {
  countryName: { oid: '2.5.4.6', short: 'C', max: 2, encode: der.printableString },
  stateOrProvinceName: { oid: '2.5.4.8', short: 'ST', max: 128, encode: der.utf8String },
  localityName: { oid: '2.5.4.7', short: 'L', max: 128, encode: der.utf8String },
  organizationName: { oid: '2.5.4.10', short: 'O', max: 64, encode: der.utf8String },
  organizationalUnitName: { oid: '2.5.4.11', short: 'OU', max: 64, encode: der.utf8String },
  // X.520 6.4.4 leaves it unbounded; the bound is that of `name`.
  organizationIdentifier: {
    oid: '2.5.4.97',
    short: 'organizationIdentifier',
    max: 32_768,
    encode: der.utf8String,
  },
  commonName: { oid: '2.5.4.3', short: 'CN', max: 64, encode: der.utf8String },
  serialNumber: { oid: '2.5.4.5', short: 'serialNumber', max: 64, encode: der.printableString },
} as const;

export type AttributeType = keyof typeof attributeTypes;

/** One level of a name, usually a single attribute: `{ organizationName: '…' }`. */
export type RelativeDistinguishedName = Readonly<Partial<Record<AttributeType, string>>>;

/** A distinguished name. Two names are the same when their `der` is. */
export interface Name {
  /** DER of the RDNSequence, exactly as read. */
  readonly der: Buffer;
  /** From the top (country) down, in the order of the DER. Attributes of other types, or not of text, are only in `der` and `rfc4514`. */
  readonly rdns: readonly RelativeDistinguishedName[];
  /** Text of RFC 4514: from the bottom up, `CN=…,O=…,C=…`. Control characters are escaped. */
  readonly rfc4514: string;
}

/**
 * A name for a new certificate.
 * @param rdns From the top (country) down. An empty list is the empty name.
 * @throws {X509Error} X509_NAME when a value is empty, too long, or has characters that its type does not allow.
 */
export function distinguishedName(rdns: readonly RelativeDistinguishedName[]): Name {
  const encoded = der.sequence(
    ...rdns.map((rdn) => der.setOf(typesIn(rdn).map((type) => attribute(type, rdn[type])))),
  );
  return der.decode(encoded, readName);
}

function typesIn(rdn: RelativeDistinguishedName): AttributeType[] {
  const types = allTypes.filter((type) => rdn[type] !== undefined);
  if (types.length === 0) throw new X509Error('X509_NAME', 'RFC 5280 4.1.2.4', 'An RDN has an attribute');
  return types;
}

function attribute(type: AttributeType, value = ''): Buffer {
  const { oid, max, encode } = attributeTypes[type];
  const length = Array.from(value).length;
  const isAllowed = type !== 'countryName' || /^[A-Z]{2}$/.test(value);
  if (length === 0 || length > max || !isAllowed) {
    throw new X509Error(
      'X509_NAME',
      'RFC 5280 appendix A.1',
      `${type} has 1 to ${max} characters of its kind`,
    );
  }
  try {
    return der.sequence(der.objectIdentifier(oid), encode(value));
  } catch (cause) {
    throw new X509Error('X509_NAME', 'RFC 5280 4.1.2.4', `${type} has a character that it cannot hold`, {
      cause,
    });
  }
}

export function readName(reader: der.DerReader): Name {
  const { value, der: encoded } = reader.withBytes((outer) =>
    outer.listOf((inner): Rdn => ({
      offset: inner.offset,
      attributes: inner.setOf(readAttribute, der.tags.set),
    })),
  );
  return {
    der: Buffer.from(encoded),
    rdns: value.map(toRdn),
    rfc4514: value.map(toText).toReversed().join(','),
  };
}

interface Rdn {
  readonly offset: number;
  readonly attributes: readonly Attribute[];
}

interface Attribute {
  readonly oid: string;
  readonly type: AttributeType | undefined;
  /** `undefined` when the value is not of a string type that is read here. */
  readonly text: string | undefined;
  readonly der: Buffer;
}

function readAttribute(reader: der.DerReader): Attribute {
  return reader.sequence((inner) => {
    const oid = inner.objectIdentifier();
    const { value: text, der: encoded } = inner.withBytes(readText);
    return { oid, type: allTypes.find((type) => attributeTypes[type].oid === oid), text, der: encoded };
  });
}

function readText(reader: der.DerReader): string | undefined {
  if (reader.next(der.tags.utf8String)) return reader.utf8String();
  if (reader.next(der.tags.printableString)) return reader.printableString();
  if (reader.next(der.tags.ia5String)) return reader.ia5String();
  reader.any();
  return undefined;
}

function toRdn({ offset, attributes }: Rdn): RelativeDistinguishedName {
  if (attributes.length === 0 || new Set(attributes.map(({ oid }) => oid)).size < attributes.length) {
    throw new X509Error('X509_NAME', 'X.501 9.3', 'An RDN has attributes, each of another type', {
      offset,
    });
  }
  return Object.fromEntries(
    attributes.flatMap(({ type, text }) => (type && text !== undefined ? [[type, text]] : [])),
  );
}

function toText({ attributes }: Rdn): string {
  return attributes
    .map(({ oid, type, text, der: encoded }) => {
      const label = type ? attributeTypes[type].short : oid;
      // RFC 4514 2.4: a value under a dotted OID, or without text, is # and its encoding in hex.
      return `${label}=${type && text !== undefined ? escaped(text) : `#${encoded.toString('hex')}`}`;
    })
    .join('+');
}

/** RFC 4514 2.4. Control and format characters (line feeds, changes of writing direction) are escaped too, so that no text can pose as another. */
function escaped(text: string): string {
  return text
    .replace(/["+,;<>\\]|^[ #]| $/g, '\\$&')
    .replace(/[\p{Cc}\p{Cf}]/gu, (hidden) => Buffer.from(hidden).toString('hex').replace(/../g, '\\$&'));
}

// eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
const allTypes = Object.keys(attributeTypes) as AttributeType[];
