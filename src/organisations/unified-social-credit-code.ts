/** GB 32100-2015, the unified social credit code of an organisation: 18 signs, the last of them a check. Pure. */

const ALPHABET = '0123456789ABCDEFGHJKLMNPQRTUWXY';
/** 3^(i-1) mod 31, section 4.6. */
const WEIGHTS = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/** Whether `code` is well formed and its check sign is right. Upper case only, as it is issued. */
export function isUnifiedSocialCreditCode(code: string): boolean {
  if (!/^[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}$/.test(code)) return false;
  return ALPHABET[checkValue(code.slice(0, 17))] === code[17];
}

/** A remainder of zero gives the check 0: the outer modulus makes 31 - 0 fit the alphabet. */
function checkValue(first17: string): number {
  const sum = WEIGHTS.reduce((total, weight, i) => total + weight * ALPHABET.indexOf(first17.charAt(i)), 0);
  return (31 - (sum % 31)) % 31;
}

export const ORGANISATION_KINDS = [
  'government',
  'institution',
  'mass-organisation',
  'social-organisation',
  'enterprise',
  'individual-business',
  'cooperative',
  'other',
] as const;
export type OrganisationKind = (typeof ORGANISATION_KINDS)[number];

/** Section 4.2 and 4.3: the department that registers, and the kind within it. */
const KINDS: Readonly<Record<string, OrganisationKind>> = {
  '11': 'government',
  '12': 'institution',
  '13': 'mass-organisation',
  '51': 'social-organisation',
  '52': 'social-organisation',
  '53': 'social-organisation',
  '91': 'enterprise',
  '92': 'individual-business',
  '93': 'cooperative',
};

/** What kind of organisation a code is issued to. */
export function kindOf(code: string): OrganisationKind {
  return KINDS[code.slice(0, 2)] ?? 'other';
}

/** The division (GB/T 2260) whose authority registered the organisation: places 3 to 8. */
export function divisionOf(code: string): string {
  return code.slice(2, 8);
}
