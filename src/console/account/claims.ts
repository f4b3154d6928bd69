/** Claims in a person's words. */
import { personalClaimOf } from '../../oidc/index.ts';

/** What our own API tells of a person (`recordRelease`). */
const SEALS = 'seals';

/** Names of claims, each once; those that go with another are left out, and one without words of its own stands for itself. */
export function namesOf(claims: readonly string[], t: (key: string) => string): string[] {
  const names = claims.map((claim) => {
    const personal = claim === SEALS ? claim : personalClaimOf(claim);
    return personal === undefined ? claim : t(`claim.${personal}.name`);
  });
  return [...new Set(names)];
}
