/**
 * Who may do what in an organisation, and which duties are never one person's (三员分立: system, security and audit; 保管、用印、审批: keeping,
 * using and approving). The rules are data, `config/duties.json`; this is the only place that applies them. Pure.
 */
import { z } from 'zod';
import data from '../../config/duties.json' with { type: 'json' };
import type { UnitId } from '../platform/ids.ts';
import type { Tree } from './tree.ts';

export const ROLES = [
  'legal-representative',
  'administrator',
  'seal-keeper',
  'seal-officer',
  'approver',
  'auditor',
] as const;
/**
 * `legal-representative` (法定代表人) and `administrator` manage; `seal-keeper` (保管) keeps the seals of a unit, `seal-officer` (用印) uses
 * them, `approver` (审批) allows their use; `auditor` sees everything and does nothing.
 */
export type Role = (typeof ROLES)[number];

export const RIGHTS = [
  'see',
  'see-members',
  'see-mandates',
  'manage-units',
  'manage-members',
  'manage-mandates',
  // Making, exporting, restoring, giving up and destroying keys of a unit: one asks, another approves.
  'request-key-acts',
  'approve-key-acts',
] as const;
export type Right = (typeof RIGHTS)[number];

const role = z.enum(ROLES);
export const DUTIES = z
  .object({
    /** On what a role can be held, and whether it says something of the units below. */
    roles: z.record(
      role,
      z
        .object({
          heldOn: z.array(z.enum(['organisation', 'unit'])).min(1),
          reaches: z.enum(['itself', 'below']),
        })
        .strict(),
    ),
    /** Of each list nobody holds two: anywhere in one organisation, or where their reach meets in a unit. */
    separate: z.array(
      z.object({ roles: z.array(role).min(2), within: z.enum(['organisation', 'unit']) }).strict(),
    ),
    rights: z.record(z.enum(RIGHTS), z.array(role).min(1)),
    /** Granted only by an act of two persons. */
    twoPersons: z.array(role),
    /** Whoever holds one of these may appoint themselves to other roles. */
    appointThemselves: z.array(role),
    mandates: z
      .object({
        longestDays: z.number().int().positive(),
        services: z.number().int().positive(),
        seals: z.number().int().positive(),
      })
      .strict(),
    tree: z.object({ deepest: z.number().int().positive(), units: z.number().int().positive() }).strict(),
  })
  .strict()
  .parse(data);

/** A role and where it is held. Without a unit: on the organisation. */
export interface Held {
  readonly role: Role;
  readonly unitId: UnitId | undefined;
}

/** Whether a role can be held on an organisation, or on a unit. */
export function canBeHeldOn(role: Role, unitId: UnitId | undefined): boolean {
  return DUTIES.roles[role].heldOn.includes(unitId === undefined ? 'organisation' : 'unit');
}

/**
 * Whether a role says something of a place. Roles that manage, approve or audit reach down to every unit below; keeping and using seals is a
 * matter of the very unit, since its keys belong to no other.
 */
export function covers(held: Held, unitId: UnitId | undefined, tree: Tree): boolean {
  if (held.unitId === unitId) return true;
  if (DUTIES.roles[held.role].reaches === 'itself' || unitId === undefined) return false;
  return held.unitId === undefined || tree.isWithin(unitId, held.unitId);
}

/** Whether what somebody holds gives a right in a place. */
export function gives(holds: readonly Held[], right: Right, unitId: UnitId | undefined, tree: Tree): boolean {
  return holds.some((held) => DUTIES.rights[right].includes(held.role) && covers(held, unitId, tree));
}

/** Two duties of one person that must not be one person's. */
export type Conflict = readonly [Held, Held];

/** The first two of one person's duties in one organisation that are to be separate, if there are any. */
export function conflictAmong(holds: readonly Held[], tree: Tree): Conflict | undefined {
  for (const [i, one] of holds.entries())
    for (const other of holds.slice(i + 1)) {
      if (one.role === other.role) continue;
      const separate = DUTIES.separate.some(
        ({ roles, within }) =>
          roles.includes(one.role) &&
          roles.includes(other.role) &&
          (within === 'organisation' || meet(one, other, tree)),
      );
      if (separate) return [one, other];
    }
  return undefined;
}

/** Whether there is a place of which both say something. */
function meet(one: Held, other: Held, tree: Tree): boolean {
  return covers(one, other.unitId, tree) || covers(other, one.unitId, tree);
}
