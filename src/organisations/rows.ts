/** Organisations and units as other rooms see them, and how they lie in the tables. */
import type { OrganisationId, UnitId } from '../platform/ids.ts';
import type { OrganisationKind } from './unified-social-credit-code.ts';

/** A suspended organisation is active again one day; a dissolved one never. */
export type OrganisationState = 'active' | 'suspended' | 'dissolved';

export interface Organisation {
  readonly id: OrganisationId;
  readonly unifiedSocialCreditCode: string;
  readonly name: string;
  readonly kind: OrganisationKind;
  /** GB/T 2260: where it is registered, or said to be at home. */
  readonly region: string;
  readonly state: OrganisationState;
}

export interface Unit {
  readonly id: UnitId;
  readonly organisation: Organisation;
  readonly name: string;
  /** The unit that it belongs to; without one it stands right under the organisation. */
  readonly parentId: UnitId | undefined;
  readonly state: 'active' | 'closed';
}

export interface OrganisationRow {
  id: OrganisationId;
  unified_social_credit_code: string;
  name: string;
  kind: OrganisationKind;
  region: string;
  state: OrganisationState;
}

/** Columns of `organisations o`, apart from the names that `units u` has too. */
export const ORGANISATION_COLUMNS =
  'o.id AS organisation_id, o.unified_social_credit_code, o.name AS organisation_name, o.kind, o.region, o.state AS organisation_state';

export interface PlacedRow {
  organisation_id: OrganisationId;
  unified_social_credit_code: string;
  organisation_name: string;
  kind: OrganisationKind;
  region: string;
  organisation_state: OrganisationState;
}

/** Columns of `units u`, which may be missing in a LEFT JOIN. */
export const UNIT_COLUMNS =
  'u.id AS unit_id, u.name AS unit_name, u.parent_id AS unit_parent_id, u.state AS unit_state';

export interface UnitColumns {
  unit_id: UnitId | null;
  unit_name: string | null;
  unit_parent_id: UnitId | null;
  unit_state: 'active' | 'closed' | null;
}

export function toOrganisation(row: OrganisationRow): Organisation {
  return {
    id: row.id,
    unifiedSocialCreditCode: row.unified_social_credit_code,
    name: row.name,
    kind: row.kind,
    region: row.region,
    state: row.state,
  };
}

export function placedOrganisation(row: PlacedRow): Organisation {
  return toOrganisation({
    ...row,
    id: row.organisation_id,
    name: row.organisation_name,
    state: row.organisation_state,
  });
}

export function placedUnit(row: PlacedRow & UnitColumns): Unit | undefined {
  if (row.unit_id === null || row.unit_name === null || row.unit_state === null) return undefined;
  return {
    id: row.unit_id,
    organisation: placedOrganisation(row),
    name: row.unit_name,
    parentId: row.unit_parent_id ?? undefined,
    state: row.unit_state,
  };
}
