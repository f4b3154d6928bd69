/** What a person types to say who they are: a mainland mobile number, an address of e-mail, or a user name. Pure. */

export type IdentifierKind = 'phone' | 'email' | 'username';

export interface Identifier {
  readonly kind: IdentifierKind;
  /** `phone`: E.164 (`+8613800138000`). `email`, `username`: lower case. */
  readonly value: string;
}

/** One spelling of what was typed to name an account, whether or not it can be an identifier at all. */
export function spelled(text: string): string {
  const identifier = parseIdentifier(text);
  return identifier
    ? `${identifier.kind}:${identifier.value}`
    : `none:${text.normalize('NFKC').trim().toLowerCase()}`;
}

const PHONE = /^(?:\+?86)?(1[3-9]\d{9})$/;
const USERNAME = /^[a-z][a-z0-9._-]{3,31}$/;
/** The dot-atom of RFC 5322, section 3.2.3, at a host name with a dot; other forms are legal, and nobody has them. */
const EMAIL =
  /^(?=.{6,254}$)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?=.{3,190}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/;
const EMAIL_LOCAL_MAX = 64;

/**
 * @returns the identifier in its one form, or undefined when the text is none. Spaces and hyphens inside a number do not count. Addresses
 * that differ in case alone are one: no provider in use tells them apart, and people do not either.
 */
export function parseIdentifier(text: string): Identifier | undefined {
  // NFKC turns the full-width digits and letters of Chinese keyboards into plain ones.
  const plain = text.normalize('NFKC').trim();
  const number = PHONE.exec(plain.replace(/[\s-]/g, ''))?.[1];
  if (number !== undefined) return { kind: 'phone', value: `+86${number}` };
  const lower = plain.toLowerCase();
  if (lower.includes('@'))
    return EMAIL.test(lower) && lower.indexOf('@') <= EMAIL_LOCAL_MAX
      ? { kind: 'email', value: lower }
      : undefined;
  return USERNAME.test(lower) ? { kind: 'username', value: lower } : undefined;
}
