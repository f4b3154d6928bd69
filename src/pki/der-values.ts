/** Contents octets of the two ASN.1 types that need a codec of their own: OBJECT IDENTIFIER and the times (ITU-T X.690 8.19, 11.7, 11.8). */

const dotted = /^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9]\d*))(?:\.(?:0|[1-9]\d*))*$/;

/** Longer object identifiers exist nowhere; the bound keeps the arithmetic small. */
const maxObjectIdentifierOctets = 64;

/**
 * Contents octets of an object identifier (X.690 8.19).
 * @param oid Dotted decimal, for example `2.5.4.3`.
 * @throws {TypeError} when it is not one.
 */
export function encodeObjectIdentifier(oid: string): Uint8Array {
  if (!dotted.test(oid)) throw new TypeError(`Not an object identifier: ${oid}`);
  const [first = 0n, second = 0n, ...rest] = oid.split('.').map(BigInt);
  const octets = [first * 40n + second, ...rest].flatMap((arc) => {
    const septets = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) septets.unshift(Number(left & 0x7fn) | 0x80);
    return septets;
  });
  return Uint8Array.from(octets);
}

/** @returns Dotted decimal, or `undefined` when the octets are no object identifier in its shortest form. */
export function decodeObjectIdentifier(contents: Uint8Array): string | undefined {
  if (contents.length === 0 || contents.length > maxObjectIdentifierOctets) return undefined;
  const arcs: bigint[] = [];
  let arc = 0n;
  let starting = true;
  for (const octet of contents) {
    if (starting && octet === 0x80) return undefined; // a leading zero septet: a second spelling of the same arc
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    starting = octet < 0x80;
    if (!starting) continue;
    if (arcs.length === 0) {
      const first = arc < 80n ? arc / 40n : 2n;
      arcs.push(first, arc - first * 40n);
    } else {
      arcs.push(arc);
    }
    arc = 0n;
  }
  return starting ? arcs.join('.') : undefined;
}

/**
 * The one spelling of a time that RFC 5280 4.1.2.5 allows: UTCTime for 1950 to 2049, GeneralizedTime for other years, whole seconds, `Z`.
 * @param date Parts of a second are dropped.
 * @throws {RangeError} when the date is invalid or its year does not have four digits.
 */
export function encodeTime(date: Date): {
  readonly type: 'utcTime' | 'generalizedTime';
  readonly text: string;
} {
  const digits = date.toISOString().replace(/[-T:]|\.\d+Z$/g, '');
  if (digits.length !== 14) throw new RangeError('The year of a time has four digits');
  return isUtcTimeYear(date.getUTCFullYear())
    ? { type: 'utcTime', text: `${digits.slice(2)}Z` }
    : { type: 'generalizedTime', text: `${digits}Z` };
}

/** @returns The instant, or `undefined` when `text` is not the one spelling of a real date and time (see {@link encodeTime}). */
export function decodeTime(type: 'utcTime' | 'generalizedTime', text: string): Date | undefined {
  if (!(type === 'utcTime' ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) return undefined;
  const century = type === 'utcTime' ? (text < '5' ? '20' : '19') : '';
  const digits = century + text.slice(0, -1);
  if (type === 'generalizedTime' && isUtcTimeYear(Number(digits.slice(0, 4)))) return undefined;
  return realDate(digits.replace(/^(.{4})(..)(..)(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6.000Z'));
}

/** GeneralizedTime in UTC (X.690 11.7): a fraction only where it is not zero, and without trailing zeros. */
export function encodeGeneralizedTime(date: Date, precision: 'seconds' | 'milliseconds'): string {
  const [digits = '', fraction = ''] = date
    .toISOString()
    .replace(/[-T:Z]/g, '')
    .split('.');
  if (digits.length !== 14) throw new RangeError('The year of a time has four digits');
  const significant = precision === 'seconds' ? '' : fraction.replace(/0+$/, '');
  return significant === '' ? `${digits}Z` : `${digits}.${significant}Z`;
}

/**
 * @param precision `seconds`: a fraction is not allowed (RFC 5280 4.1.2.5.2). `fraction`: it is, of up to nine digits; what is below a
 * millisecond is dropped.
 * @returns The instant, or `undefined` when `text` is not the one spelling of a real date and time in UTC.
 */
export function decodeGeneralizedTime(text: string, precision: 'seconds' | 'fraction'): Date | undefined {
  const found = /^(\d{14})(?:\.(\d{0,8}[1-9]))?Z$/.exec(text);
  if (!found?.[1] || (found[2] !== undefined && precision === 'seconds')) return undefined;
  const milliseconds = (found[2] ?? '').padEnd(3, '0').slice(0, 3);
  const iso = found[1].replace(/^(.{4})(..)(..)(..)(..)(..)$/, `$1-$2-$3T$4:$5:$6.${milliseconds}Z`);
  return realDate(iso);
}

/** `Date` accepts 30 February and 24:00 and moves them on; only a real date comes back as it was written. */
function realDate(iso: string): Date | undefined {
  const date = new Date(iso);
  return !Number.isNaN(date.getTime()) && date.toISOString() === iso ? date : undefined;
}

function isUtcTimeYear(year: number): boolean {
  return year >= 1950 && year <= 2049;
}
