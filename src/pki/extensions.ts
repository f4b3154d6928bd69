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
    oid: '2.5.29.35',
    critical: never,
    write: (keyIdentifier) => der.sequence(der.element(der.contextTag(0, 'primitive'), keyIdentifier)),
    read: (reader) =>
      reader.sequence((inner) => {
        const tag = der.contextTag(0, 'primitive');
        const keyIdentifier = inner.optional(tag, () => inner.octetString(tag));
        inner.optional(der.contextTag(1, 'constructed'), () => inner.any());
        inner.optional(der.contextTag(2, 'primitive'), () => inner.integer(der.contextTag(2, 'primitive')));
        return keyIdentifier;
      }),
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
      const bits = reader.namedBits();
      return some(keyUsages.filter((_, bit) => bits.includes(bit)));
    },
  },
  // 4.2.1.12
  extKeyUsage: {
    oid: '2.5.29.37',
    critical: ({ critical }) => critical,
    write: ({ keyPurposeIds }) => der.sequence(...some(keyPurposeIds).map(der.objectIdentifier)),
    read: (reader, critical) => ({
      keyPurposeIds: some(reader.listOf((item) => item.objectIdentifier())),
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
      const names = some(reader.listOf(readGeneralName));
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
    read: (reader) => some(reader.listOf(readPolicyInformation)),
  },
  // 4.2.1.13. Each point is written as fullName [0] in distributionPoint [0].
  cRLDistributionPoints: {
    oid: '2.5.29.31',
    critical: never,
    write: (uris) =>
      der.sequence(
        ...some(uris).map((uri) => {
          const fullName = der.element(der.contextTag(0, 'constructed'), der.ia5String(uri, uriTag));
          return der.sequence(der.element(der.contextTag(0, 'constructed'), fullName));
        }),
      ),
    read: (reader) => some(reader.listOf(readDistributionPoint)).flat(),
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
      const accesses = some(
        reader.listOf((item) =>
          item.sequence((inner) => ({ method: inner.objectIdentifier(), uris: readUri(inner) })),
        ),
      );
      const urisOf = (method: string) =>
        accesses.filter((each) => each.method === method).flatMap(({ uris }) => uris);
      return { ocsp: urisOf(idAdOcsp), caIssuers: urisOf(idAdCaIssuers) };
    },
  },
};

/** SIZE (1..MAX): these lists are left out, never empty. */
function some<T>(items: readonly T[]): readonly T[] {
  if (items.length > 0) return items;
  throw new X509Error('X509_EXTENSION', 'RFC 5280 4.2.1', 'An extension that says nothing');
}

function readPolicyInformation(reader: der.DerReader): string {
  return reader.sequence((policy) => {
    const identifier = policy.objectIdentifier();
    policy.optional(der.tags.sequence, () => policy.any()); // qualifiers
    return identifier;
  });
}

function readDistributionPoint(reader: der.DerReader): string[] {
  const nameTag = der.contextTag(0, 'constructed');
  const reasonsTag = der.contextTag(1, 'primitive');
  return reader.sequence((point) => {
    const uris = point.optional(nameTag, () =>
      point.constructed(
        nameTag,
        (name) => name.optional(nameTag, () => name.listOf(readUri, nameTag).flat()) ?? readUri(name),
      ),
    );
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
  const critical = codec.critical(value) ? [der.boolean(true)] : [];
  return [der.sequence(der.objectIdentifier(codec.oid), ...critical, der.octetString(codec.write(value)))];
}

/** @returns The extensions known here, and the object identifiers of critical ones that are not: such a certificate may not be relied on. */
export function readExtensions(reader: der.DerReader): {
  readonly extensions: Extensions;
  readonly unrecognizedCriticalExtensions: readonly string[];
} {
  const seen = new Set<string>();
  const extensions: Partial<Record<ExtensionName, unknown>> = {};
  const unrecognizedCriticalExtensions: string[] = [];
  reader.listOf((item) =>
    item.sequence((inner) => {
      const oid = inner.objectIdentifier();
      const critical = inner.booleanDefaultFalse();
      if (seen.has(oid)) throw new X509Error('X509_EXTENSION', 'RFC 5280 4.2', `${oid} comes twice`);
      seen.add(oid);
      const name = names.find((each) => codecs[each].oid === oid);
      if (name === undefined) {
        inner.octetString();
        if (critical) unrecognizedCriticalExtensions.push(oid);
        return;
      }
      // extnValue is an OCTET STRING around DER: read in place, so that offsets stay true.
      const { read } = codecs[name];
      extensions[name] = inner.constructed(der.tags.octetString, (value) => read(value, critical));
    }),
  );
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- each value was read by the codec of its name
  return { extensions: extensions as Extensions, unrecognizedCriticalExtensions };
}
