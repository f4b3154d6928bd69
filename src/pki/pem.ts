/** PEM, the textual encoding of DER (RFC 7468). */
import { X509Error } from './errors.ts';

/** What the text holds, as its label says it (RFC 7468 section 4 and on). */
export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'X509 CRL';

/** @returns Text with lines of 64 characters, ending in a line feed. */
export function derToPem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

/**
 * All values with this label, in the order of the text. Words around them are allowed (RFC 7468 section 2), values with other labels
 * are passed over.
 * @returns DER of each; it has not been read yet.
 * @throws {X509Error} PEM_MALFORMED when there is none, one does not end, or its base64 is not canonical.
 */
export function pemToDer(label: PemLabel, text: string): Buffer[] {
  const found: Buffer[] = [];
  let body: string[] | undefined;
  // Line by line: one expression over the whole text would take quadratic time on many beginnings without an end.
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line.trimEnd() === `-----BEGIN ${label}-----`) {
      if (body) throw malformed();
      body = [];
    } else if (line.trimEnd() === `-----END ${label}-----`) {
      if (!body) throw malformed();
      found.push(fromBase64(body.join('')));
      body = undefined;
    } else {
      body?.push(line.trim());
    }
  }
  if (body || found.length === 0) throw malformed();
  return found;
}

function fromBase64(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  // Buffer passes over what is not base64; only canonical text comes back as it was written.
  if (bytes.length === 0 || bytes.toString('base64') !== base64) throw malformed();
  return bytes;
}

function malformed(): X509Error {
  return new X509Error('PEM_MALFORMED', 'RFC 7468 section 2', 'Not a PEM text of the kind expected');
}
