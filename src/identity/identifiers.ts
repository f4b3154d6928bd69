/** What a person types to say who they are: a mainland mobile number or a user name. Pure. */

export type IdentifierKind = 'phone' | 'username';

export interface Identifier {
  readonly kind: IdentifierKind;
  /** `phone`: E.164 (`+8613800138000`). `username`: lower case. */
  readonly value: string;
}

const PHONE = /^(?:\+?86)?(1[3-9]\d{9})$/;
const USERNAME = /^[a-z][a-z0-9._-]{3,31}$/;

/** @returns the identifier in its one form, or undefined when the text is neither. Spaces and hyphens inside a number do not count. */
export function parseIdentifier(text: string): Identifier | undefined {
  // NFKC turns the full-width digits and letters of Chinese keyboards into plain ones.
  const plain = text.normalize('NFKC').trim();
  const number = PHONE.exec(plain.replace(/[\s-]/g, ''))?.[1];
  if (number !== undefined) return { kind: 'phone', value: `+86${number}` };
  const name = plain.toLowerCase();
  return USERNAME.test(name) ? { kind: 'username', value: name } : undefined;
}
