/** Extensions of a certificate (RFC 5280 4.2): one table that writes and reads each. */
import * as der from './der.ts';
import { X509Error } from './errors.ts';

/** Names of the bits of KeyUsage, by number (RFC 5280 4.2.1.3). */
const keyUsages = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

export type KeyUsage = (typeof keyUsages)[number];

/** The extensions that this program knows; written and read in this shape. Object identifiers are dotted decimal. */
export interface Extensions {
  readonly subjectKeyIdentifier?: Uint8Array | undefined;
  /** The issuer's subjectKeyIdentifier (the keyIdentifier field; the other two are passed over). */
  readonly authorityKeyIdentifier?: Uint8Array | undefined;
  readonly basicConstraints?: BasicConstraints | undefined;
  readonly keyUsage?: readonly KeyUsage[] | undefined;
  readonly extKeyUsage?: ExtKeyUsage | undefined;
  readonly subjectAltName?: SubjectAltName | undefined;
  /** Policy identifiers. Qualifiers are not written, and are passed over on reading. */
  readonly certificatePolicies?: readonly string[] | undefined;
  /** URIs of fullName. */
  readonly cRLDistributionPoints?: readonly string[] | undefined;
  readonly authorityInfoAccess?: AuthorityInfoAccess | undefined;
  /** Of an OCSP responder's certificate: its own revocation need not be asked for (RFC 6960 4.2.2.2.1). */
  readonly ocspNoCheck?: true | undefined;
}

export interface BasicConstraints {
  readonly cA: boolean;
  /** How many CA certificates, self-issued ones aside, may follow this one towards the end of a path. */
  readonly pathLenConstraint?: number | undefined;
}

export interface ExtKeyUsage {
  readonly keyPurposeIds: readonly string[];
  /** RFC 5280 4.2.1.12 leaves it to the issuer; RFC 3161 2.3 demands it of a time-stamping certificate. */
  readonly critical: boolean;
}

/** Names of four kinds; those of other kinds are passed over. Values that are not ASCII, which IA5String is, are passed over too. */
export interface SubjectAltName {
  readonly rfc822Name: readonly string[];
  readonly dNSName: readonly string[];
  readonly uniformResourceIdentifier: readonly string[];
  /** 4 octets, or 16. */
  readonly iPAddress: readonly Uint8Array[];
  /** RFC 5280 4.2.1.6: critical when the subject is empty. */
  readonly critical: boolean;
}

/** What a key is for (RFC 5280 4.2.1.12). */
export const keyPurposes = {
  timeStamping: '1.3.6.1.5.5.7.3.8',
  OCSPSigning: '1.3.6.1.5.5.7.3.9',
} as const;

export interface AuthorityInfoAccess {
  /** URIs of OCSP responders. */
  readonly ocsp: readonly string[];
  /** URIs of the issuer's certificates. */
  readonly caIssuers: readonly string[];
}

interface Codec<T> {
  readonly oid: string;
  readonly critical: (value: T) => boolean;
  /** @returns DER that goes into extnValue. */
  readonly write: (value: T) => Buffer;
  /** Reads what extnValue holds. @returns `undefined` when nothing of it is used here. */
  readonly read: (reader: der.DerReader, critical: boolean) => T | undefined;
}

const always = (): boolean => true;
const never = (): boolean => false;

/** GeneralName rfc822Name [1] and dNSName [2], IA5String. */
const emailTag = der.contextTag(1, 'primitive');
const dnsTag = der.contextTag(2, 'primitive');
/** GeneralName uniformResourceIdentifier [6] IA5String. */
const uriTag = der.contextTag(6, 'primitive');
/** GeneralName iPAddress [7] OCTET STRING. */
const ipTag = der.contextTag(7, 'primitive');
export const idAuthorityKeyIdentifier = '2.5.29.35';
const idAdOcsp = '1.3.6.1.5.5.7.48.1';
const idAdCaIssuers = '1.3.6.1.5.5.7.48.2';

type ExtensionName = keyof Extensions;

const codecs: { readonly [N in ExtensionName]: Codec<NonNullable<Extensions[N]>> } = {
  // 4.2.1.2
  subjectKeyIdentifier: {
    oid: '2.5.29.14',
    critical: never,
    write: der.octetString,
    read: (reader) => reader.octetString(),
  },
  // 4.2.1.1
  authorityKeyIdentifier: {
    oid: idAuthorityKeyIdentifier,
    critical: never,
    write: writeAuthorityKeyIdentifier,
    read: readAuthorityKeyIdentifier,
  },
  // 4.2.1.9
  basicConstraints: {
    oid: '2.5.29.19',
    critical: always,
    write: ({ cA, pathLenConstraint }) =>
      der.sequence(
        ...(cA ? [der.boolean(true)] : []),
        ...(pathLenConstraint === undefined ? [] : [der.integer(pathLenConstraint)]),
      ),
    read: (reader) =>
      reader.sequence((inner) => ({
        cA: inner.booleanDefaultFalse(),
        pathLenConstraint: inner.optional(der.tags.integer, () => inner.smallInteger()),
      })),
  },
  // 4.2.1.3
  keyUsage: {
    oid: '2.5.29.15',
    critical: always,
    write: (usages) => der.namedBits(some(usages).map((usage) => keyUsages.indexOf(usage))),
    read: (reader) => {
      const { offset } = reader;
      const bits = reader.namedBits();
      return some(
        keyUsages.filter((_, bit) => bits.includes(bit)),
        offset,
      );
    },
  },
  // 4.2.1.12
  extKeyUsage: {
    oid: '2.5.29.37',
    critical: ({ critical }) => critical,
    write: ({ keyPurposeIds }) => der.sequence(...some(keyPurposeIds).map(der.objectIdentifier)),
    read: (reader, critical) => ({
      keyPurposeIds: someOf(reader, (item) => item.objectIdentifier()),
      critical,
    }),
  },
  // 4.2.1.6
  subjectAltName: {
    oid: '2.5.29.17',
    critical: ({ critical }) => critical,
    write: ({ rfc822Name, dNSName, uniformResourceIdentifier, iPAddress }) =>
      der.sequence(
        ...some([
          ...rfc822Name.map((name) => der.ia5String(name, emailTag)),
          ...dNSName.map((name) => der.ia5String(name, dnsTag)),
          ...uniformResourceIdentifier.map((uri) => der.ia5String(uri, uriTag)),
          ...iPAddress.map((octets) => der.element(ipTag, octets)),
        ]),
      ),
    read: (reader, critical) => {
      const names = someOf(reader, readGeneralName);
      const textsOf = (tag: number) =>
        names.flatMap(({ tag: its, contents }) =>
          its === tag && contents?.every((octet) => octet < 0x80) ? [contents.toString('latin1')] : [],
        );
      return {
        rfc822Name: textsOf(emailTag),
        dNSName: textsOf(dnsTag),
        uniformResourceIdentifier: textsOf(uriTag),
        iPAddress: names.flatMap(({ tag, contents }) => (tag === ipTag && contents ? [contents] : [])),
        critical,
      };
    },
  },
  // 4.2.1.4
  certificatePolicies: {
    oid: '2.5.29.32',
    critical: never,
    write: (policies) =>
      der.sequence(...some(policies).map((policy) => der.sequence(der.objectIdentifier(policy)))),
    read: (reader) => someOf(reader, readPolicyInformation),
  },
  // 4.2.1.13. Each point is written as fullName [0] in distributionPoint [0].
  cRLDistributionPoints: {
    oid: '2.5.29.31',
    critical: never,
    write: (uris) => der.sequence(...some(uris).map((uri) => der.sequence(writeDistributionPointName(uri)))),
    read: (reader) => someOf(reader, readDistributionPoint).flat(),
  },
  // 4.2.2.1
  authorityInfoAccess: {
    oid: '1.3.6.1.5.5.7.1.1',
    critical: never,
    write: ({ ocsp, caIssuers }) => {
      const access = (method: string) => (uri: string) =>
        der.sequence(der.objectIdentifier(method), der.ia5String(uri, uriTag));
      return der.sequence(...some([...ocsp.map(access(idAdOcsp)), ...caIssuers.map(access(idAdCaIssuers))]));
    },
    read: (reader) => {
      const accesses = someOf(reader, (item) =>
        item.sequence((inner) => ({ method: inner.objectIdentifier(), uris: readUri(inner) })),
      );
      const urisOf = (method: string) =>
        accesses.filter((each) => each.method === method).flatMap(({ uris }) => uris);
      return { ocsp: urisOf(idAdOcsp), caIssuers: urisOf(idAdCaIssuers) };
    },
  },
  // RFC 6960 4.2.2.2.1: NULL.
  ocspNoCheck: {
    oid: '1.3.6.1.5.5.7.48.1.5',
    critical: never,
    write: () => der.nullValue(),
    read: (reader) => {
      reader.null();
      return true;
    },
  },
};

/** SIZE (1..MAX): these lists are left out, never empty. */
function some<T>(items: readonly T[], offset?: number): readonly T[] {
  if (items.length > 0) return items;
  throw new X509Error('X509_EXTENSION', 'RFC 5280 4.2.1', 'An extension that says nothing', { offset });
}

function someOf<T>(reader: der.DerReader, read: (item: der.DerReader) => T): readonly T[] {
  const { offset } = reader;
  return some(reader.listOf(read), offset);
}

function readPolicyInformation(reader: der.DerReader): string {
  return reader.sequence((policy) => {
    const identifier = policy.objectIdentifier();
    policy.optional(der.tags.sequence, () => policy.any()); // qualifiers
    return identifier;
  });
}

export function writeAuthorityKeyIdentifier(keyIdentifier: Uint8Array): Buffer {
  return der.sequence(der.element(der.contextTag(0, 'primitive'), keyIdentifier));
}

/** @returns The keyIdentifier field; the other two are passed over. */
export function readAuthorityKeyIdentifier(reader: der.DerReader): Buffer | undefined {
  return reader.sequence((inner) => {
    const tag = der.contextTag(0, 'primitive');
    const keyIdentifier = inner.optional(tag, () => inner.octetString(tag));
    inner.optional(der.contextTag(1, 'constructed'), () => inner.any());
    inner.optional(der.contextTag(2, 'primitive'), () => inner.integer(der.contextTag(2, 'primitive')));
    return keyIdentifier;
  });
}

const nameTag = der.contextTag(0, 'constructed');

/** distributionPoint [0] with one URI as its fullName [0] (RFC 5280 4.2.1.13, 5.2.5). */
export function writeDistributionPointName(uri: string): Buffer {
  return der.element(nameTag, der.element(nameTag, der.ia5String(uri, uriTag)));
}

/** @returns The URIs of a distributionPoint [0] that comes next; `undefined` when there is none. */
export function readDistributionPointName(reader: der.DerReader): string[] | undefined {
  return reader.optional(nameTag, () =>
    reader.constructed(
      nameTag,
      (name) => name.optional(nameTag, () => name.listOf(readUri, nameTag).flat()) ?? readUri(name),
    ),
  );
}

function readDistributionPoint(reader: der.DerReader): string[] {
  const reasonsTag = der.contextTag(1, 'primitive');
  return reader.sequence((point) => {
    const uris = readDistributionPointName(point);
    point.optional(reasonsTag, () => point.namedBits(reasonsTag));
    point.optional(der.contextTag(2, 'constructed'), () => point.any());
    return uris ?? [];
  });
}

/** A GeneralName; its contents where it is of a kind that is used here. */
function readGeneralName(reader: der.DerReader): { tag?: number; contents?: Buffer } {
  for (const tag of [emailTag, dnsTag, uriTag, ipTag])
    if (reader.next(tag)) return { tag, contents: reader.octetString(tag) };
  reader.any();
  return {};
}

/** The URI of a GeneralName; none when it is a name of another kind. */
function readUri(reader: der.DerReader): string[] {
  if (reader.next(uriTag)) return [reader.ia5String(uriTag)];
  reader.any();
  return [];
}

// eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
const names = Object.keys(codecs) as ExtensionName[];

/** @returns DER of Extensions (RFC 5280 4.1), in the order of the table. */
export function writeExtensions(extensions: Extensions): Buffer {
  return der.sequence(...names.flatMap((name) => writeExtension(name, extensions[name])));
}

function writeExtension<N extends ExtensionName>(name: N, value: Extensions[N]): Buffer[] {
  if (value === undefined || value === null) return [];
  const codec: Codec<NonNullable<Extensions[N]>> = codecs[name];
  return [extension(codec.oid, codec.critical(value), codec.write(value))];
}

/** @returns The extensions known here, and the object identifiers of critical ones that are not: such a certificate may not be relied on. */
export function readExtensions(reader: der.DerReader): {
  readonly extensions: Extensions;
  readonly unrecognizedCriticalExtensions: readonly string[];
} {
  const extensions: Partial<Record<ExtensionName, unknown>> = {};
  const unrecognizedCriticalExtensions = readExtensionList(reader, (oid) => {
    const name = names.find((each) => codecs[each].oid === oid);
    if (name === undefined) return undefined;
    return (value, critical) => {
      extensions[name] = codecs[name].read(value, critical);
    };
  });
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- each value was read by the codec of its name
  return { extensions: extensions as Extensions, unrecognizedCriticalExtensions };
}

/**
 * Extensions of anything that has them: certificates, CRLs and their entries, OCSP, time-stamps.
 * @param readerOf Gives what reads the value of an extension; nothing for one that is not known.
 * @param tag The tag of the list, where it is IMPLICIT.
 * @returns Object identifiers of the critical ones that are not known.
 */
export function readExtensionList(
  reader: der.DerReader,
  readerOf: (oid: string) => ((value: der.DerReader, critical: boolean) => void) | undefined,
  tag: number = der.tags.sequence,
): string[] {
  const seen = new Set<string>();
  const unrecognizedCritical: string[] = [];
  reader.listOf(
    (item) =>
      item.sequence((inner) => {
        const { offset } = inner;
        const oid = inner.objectIdentifier();
        const critical = inner.booleanDefaultFalse();
        if (seen.has(oid))
          throw new X509Error('X509_EXTENSION', 'RFC 5280 4.2', `${oid} comes twice`, { offset });
        seen.add(oid);
        const read = readerOf(oid);
        if (read) {
          // extnValue is an OCTET STRING around DER: read in place, so that offsets stay true.
          inner.constructed(der.tags.octetString, (value) => read(value, critical));
          return;
        }
        inner.octetString();
        if (critical) unrecognizedCritical.push(oid);
      }),
    tag,
  );
  return unrecognizedCritical;
}

/** One Extension (RFC 5280 4.1). @param value DER that goes into extnValue. */
export function extension(oid: string, critical: boolean, value: Uint8Array): Buffer {
  return der.sequence(
    der.objectIdentifier(oid),
    ...(critical ? [der.boolean(true)] : []),
    der.octetString(value),
  );
}
