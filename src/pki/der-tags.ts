/** Identifier octets of the universal types that are used, with their constructed bit (ITU-T X.680 8.4, X.690 8.1.2). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/**
 * Identifier octet of a context-specific tag `[number]`, 0 to 30.
 * @param form `constructed` for EXPLICIT tags and for IMPLICIT tags on SEQUENCE and SET; `primitive` for IMPLICIT tags on the rest.
 */
export function contextTag(number: number, form: 'primitive' | 'constructed'): number {
  return (form === 'constructed' ? 0xa0 : 0x80) | number;
}
