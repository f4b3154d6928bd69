/** The organisations room's door. */
import type { AuditLog } from '../audit/index.ts';
import type { Act, DualControl } from '../dual-control/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import type { AccountId } from '../platform/ids.ts';
import { organisationActs } from './acts.ts';
import { createAuthorities, type Authorities } from './authority.ts';
import { createChanges, type Changes } from './changes.ts';
import { createFounding, type Founding } from './founding.ts';
import { createMandates, type MandateFacts, type Mandates } from './mandates.ts';
import { createMemberships, type Memberships } from './memberships.ts';
import { createRegistry, type Registry } from './organisations.ts';
import type { NaturalPerson, OrganisationRegister } from './register/register.ts';
import { createUnits, type Units } from './units.ts';

export interface Organisations
  extends
    Omit<Registry, 'foundIn'>,
    Units,
    Omit<Memberships, 'appoint' | 'endOne' | 'endAll' | 'requireSeparation'>,
    Authorities,
    Pick<Changes, 'require' | 'sight' | 'mayInUnit'> {
  readonly mandates: Omit<Mandates, 'revokeAll'>;
  readonly founding: Founding;
  /** What takes two persons, for `dual-control`. */
  readonly acts: Readonly<Record<string, Act>>;
}

export function createOrganisations(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  facts: MandateFacts;
  register?: OrganisationRegister | undefined;
  /** Asks for what takes two persons. */
  request: DualControl['request'];
  /** Who a person is, as an authority confirmed it at level 3 or above. */
  person: (accountId: AccountId) => Promise<NaturalPerson | undefined>;
}): Organisations {
  const changes = createChanges(parts);
  const memberships = createMemberships({ ...parts, changes });
  const mandates = createMandates({ ...parts, changes, memberships });
  const rest = { ...parts, changes, memberships, mandates };
  const registry = createRegistry(rest);
  const founding = createFounding({ ...rest, registry, register: parts.register });
  return {
    ...registry,
    ...createUnits(rest),
    ...memberships,
    ...createAuthorities(rest),
    require: changes.require,
    sight: changes.sight,
    mayInUnit: changes.mayInUnit,
    founding,
    acts: organisationActs({ ...rest, founding }),
    mandates,
  };
}

export { APPOINT_ADMINISTRATOR, CHANGE_REPRESENTATIVE } from './acts.ts';
export type { Acting, Authority, Ended, Purpose } from './authority.ts';
export type { Place } from './changes.ts';
export { DUTIES, ROLES, type Right, type Role } from './duties.ts';
export { OrganisationError } from './errors.ts';
export { FOUNDING_LEVEL, type Founded, type Founding } from './founding.ts';
export { createOrganisationRegister } from './register/index.ts';
export { FICTIONAL_ORGANISATIONS } from './register/fictional-register.ts';
export type { NaturalPerson, OrganisationRegister } from './register/register.ts';
export type { Mandate, MandateFacts, MandateUse, NewMandate } from './mandates.ts';
export type { Appointment, Membership } from './memberships.ts';
export type { NewOrganisation } from './organisations.ts';
export type { Organisation, OrganisationState, Unit } from './rows.ts';
export {
  isUnifiedSocialCreditCode,
  ORGANISATION_KINDS,
  type OrganisationKind,
} from './unified-social-credit-code.ts';
