/**
 * The chain, pure: what is hashed and how. An entry's leaf is SHA-256(0x00 || entry), its link SHA-256(0x01 || previous || leaf), with the
 * domain separation of RFC 9162, section 2.1, over the entry as canonical JSON (RFC 8785).
 */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** One recorded event, as it is hashed and as receipts show it. */
export interface AuditEntry {
  readonly seq: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly at: string;
  readonly type: string;
  readonly actor: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** `previous` of the first entry: 32 zero bytes. */
export const GENESIS = new Uint8Array(32);

/** The link of `entry` after the link `previous`; 32 bytes each. */
export function linkOf(previous: Uint8Array, entry: AuditEntry): Uint8Array {
  const leaf = createHash('sha256').update(Uint8Array.of(0)).update(canonicalJson(entry)).digest();
  return createHash('sha256').update(Uint8Array.of(1)).update(previous).update(leaf).digest();
}

/** RFC 8785, UTF-8. */
export function canonicalJson(value: object): Uint8Array {
  return Buffer.from(canonicalize(value) ?? '', 'utf8');
}
