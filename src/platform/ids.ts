/** Identifiers: a type prefix, then 48 bits of time and 80 random bits in Crockford's base 32, so that they sort by age and cannot be guessed. */
import { randomBytes } from 'node:crypto';

export type IdPrefix =
  | 'acc'
  | 'org'
  | 'unit'
  | 'mbr'
  | 'mdt'
  | 'use'
  | 'prv'
  | 'key'
  | 'cert'
  | 'seal'
  | 'slg'
  | 'out'
  | 'bcr'
  | 'xdr'
  | 'msg'
  | 'rep'
  | 'dev'
  | 'prf'
  | 'pra'
  | 'lnk'
  | 'upl'
  | 'proc'
  | 'rcv'
  | 'act';
export type Id<P extends IdPrefix> = `${P}_${string}`;
export type AccountId = Id<'acc'>;
export type OrganisationId = Id<'org'>;
export type UnitId = Id<'unit'>;
export type MembershipId = Id<'mbr'>;
export type MandateId = Id<'mdt'>;
export type KeyId = Id<'key'>;
export type CertificateId = Id<'cert'>;
export type SealId = Id<'seal'>;
export type SealingId = Id<'slg'>;
export type DeviceId = Id<'dev'>;
/** A report of misuse. */
export type ReportId = Id<'rep'>;
/** An act that needs two persons. */
export type ActId = Id<'act'>;
/** Evidence of one proofing. */
export type EvidenceId = Id<'prf'>;

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Makes an identifier such as `acc_01k9...` (prefix, underscore, 26 signs).
 * @param at The instant it is made; 48 bits of milliseconds.
 * @param random Source of 10 random bytes.
 */
export function newId<P extends IdPrefix>(
  prefix: P,
  at: Date,
  random: (size: number) => Uint8Array = randomBytes,
): Id<P> {
  let bits = BigInt(at.getTime());
  for (const byte of random(10)) bits = (bits << 8n) | BigInt(byte);
  let text = '';
  for (let i = 0; i < 26; i++, bits >>= 5n) text = ALPHABET[Number(bits & 31n)] + text;
  return `${prefix}_${text}`;
}

/** Whether a stranger's text has the form of an identifier of this type. */
export function isId<P extends IdPrefix>(prefix: P, text: unknown): text is Id<P> {
  return (
    typeof text === 'string' &&
    text.startsWith(`${prefix}_`) &&
    /^[0-9a-hjkmnp-tv-z]{26}$/.test(text.slice(prefix.length + 1))
  );
}
