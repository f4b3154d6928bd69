/** Codes that people copy from paper or a message: four groups of four, 80 random bits, so that a plain digest of one can be kept. Pure but for randomness. */
import { randomBytes } from 'node:crypto';

const CODE_BYTES = 10;
/** Crockford's base 32: no letter that is taken for a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** A new code in its one form, without hyphens. */
export function newPaperCode(): string {
  let bits = 0n;
  for (const byte of randomBytes(CODE_BYTES)) bits = (bits << 8n) | BigInt(byte);
  let code = '';
  for (let i = 0; i < (CODE_BYTES * 8) / 5; i++, bits >>= 5n) code = ALPHABET[Number(bits & 31n)] + code;
  return code;
}

/** As it is shown: `abcd-efgh-jkmn-pqrs`. */
export function printed(code: string): string {
  return code.replaceAll(/(.{4})(?=.)/g, '$1-');
}

/** The one form of what people type: in any case, with or without hyphens, with the letters that Crockford's alphabet leaves out for their likeness. */
export function readPaperCode(text: string): string {
  return text
    .slice(0, 100)
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s\p{Pd}]/gu, '')
    .replaceAll('o', '0')
    .replaceAll(/[il]/g, '1');
}
