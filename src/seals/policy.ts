/** Who may use which seal. Pure: facts in, a decision out. */
import type { Role } from '../organisations/index.ts';

export type SealState = 'active' | 'suspended' | 'revoked' | 'expired' | 'destroyed';

export type Decision =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly code: 'SEAL_NOT_FOUND' | 'SEAL_NOT_ACTIVE' | 'CERTIFICATE_NOT_VALID';
    };

/**
 * @param facts `roles`: what the actor is in the seal's unit now. `certificate`: its validity. `at`: now.
 * @returns whether a seal may be used. For an actor with no role in the unit the seal does not exist, so that nobody can look around.
 */
export function decideSealing(facts: {
  roles: readonly Role[];
  state: SealState;
  certificate: { notBefore: Date; notAfter: Date };
  at: Date;
}): Decision {
  if (!facts.roles.includes('seal-officer')) return { allowed: false, code: 'SEAL_NOT_FOUND' };
  if (facts.state !== 'active') return { allowed: false, code: 'SEAL_NOT_ACTIVE' };
  if (facts.at < facts.certificate.notBefore || facts.at > facts.certificate.notAfter)
    return { allowed: false, code: 'CERTIFICATE_NOT_VALID' };
  return { allowed: true };
}
