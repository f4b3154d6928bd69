/** Who may use which seal. Pure: facts in, a decision out. */
export type SealState = 'active' | 'suspended' | 'revoked' | 'expired' | 'destroyed';

export type Decision =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly code: 'SEAL_NOT_FOUND' | 'SEAL_NOT_ACTIVE' | 'CERTIFICATE_NOT_VALID';
    };

/**
 * @param facts `entitled`: whether the actor is an officer of the seal's unit, or has a mandate that names the seal. `certificate`: its validity, and whether it was revoked. `at`: now.
 * @returns whether a seal may be used. For an actor who is neither the seal does not exist, so that nobody can look around.
 */
export function decideSealing(facts: {
  entitled: boolean;
  state: SealState;
  certificate: { notBefore: Date; notAfter: Date; revoked: boolean };
  at: Date;
}): Decision {
  if (!facts.entitled) return { allowed: false, code: 'SEAL_NOT_FOUND' };
  if (facts.state !== 'active') return { allowed: false, code: 'SEAL_NOT_ACTIVE' };
  const { notBefore, notAfter, revoked } = facts.certificate;
  if (revoked || facts.at < notBefore || facts.at > notAfter)
    return { allowed: false, code: 'CERTIFICATE_NOT_VALID' };
  return { allowed: true };
}
