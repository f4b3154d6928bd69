/** The organisations room's door. */
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import { createAuthorities, type Authorities } from './authority.ts';
import { createChanges, type Changes } from './changes.ts';
import { createMandates, type MandateFacts, type Mandates } from './mandates.ts';
import { createMemberships, type Memberships } from './memberships.ts';
import { createRegistry, type Registry } from './organisations.ts';
import { createUnits, type Units } from './units.ts';

export interface Organisations
  extends
    Omit<Registry, 'foundIn'>,
    Units,
    Omit<Memberships, 'appoint' | 'endOne' | 'endAll' | 'requireSeparation'>,
    Authorities,
    Pick<Changes, 'require'> {
  readonly mandates: Omit<Mandates, 'revokeAll'>;
}

export function createOrganisations(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  facts: MandateFacts;
}): Organisations {
  const changes = createChanges(parts);
  const memberships = createMemberships({ ...parts, changes });
  const mandates = createMandates({ ...parts, changes, memberships });
  const rest = { ...parts, changes, memberships, mandates };
  return {
    ...createRegistry(rest),
    ...createUnits(rest),
    ...memberships,
    ...createAuthorities(rest),
    require: changes.require,
    mandates,
  };
}

export type { Acting, Authority, Ended, Purpose } from './authority.ts';
export type { Place } from './changes.ts';
export { DUTIES, ROLES, type Right, type Role } from './duties.ts';
export { OrganisationError } from './errors.ts';
export type { Mandate, MandateFacts, MandateUse, NewMandate } from './mandates.ts';
export type { Appointment, Membership } from './memberships.ts';
export type { NewOrganisation } from './organisations.ts';
export type { Organisation, OrganisationState, Unit } from './rows.ts';
export {
  isUnifiedSocialCreditCode,
  ORGANISATION_KINDS,
  type OrganisationKind,
} from './unified-social-credit-code.ts';
