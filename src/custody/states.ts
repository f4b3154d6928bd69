/** The life of a key (NIST SP 800-57 part 1, revision 5, section 7). The transitions are data; nothing else decides what may follow. */
export const KEY_STATES = [
  'pre-active',
  'active',
  'suspended',
  'deactivated',
  'compromised',
  'destroyed',
] as const;

export type KeyState = (typeof KEY_STATES)[number];

/**
 * What may follow. A key signs in `active` alone; verifying what it signed needs no state, and its public half is kept for ever. A private
 * signature key may go straight from `active` to `destroyed` (section 7.2). Nothing leads back from `deactivated`, `compromised` or `destroyed`.
 */
export const TRANSITIONS: Readonly<Record<KeyState, readonly KeyState[]>> = {
  'pre-active': ['active', 'compromised', 'destroyed'],
  active: ['suspended', 'deactivated', 'compromised', 'destroyed'],
  suspended: ['active', 'deactivated', 'compromised', 'destroyed'],
  deactivated: ['compromised', 'destroyed'],
  compromised: ['destroyed'],
  destroyed: [],
};
