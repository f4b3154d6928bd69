/** What in an organisation takes two persons: a new administrator, and a new legal representative. Asked for and approved by `dual-control`. */
import { z } from 'zod';
import { defineAct, type Act, type Part } from '../dual-control/index.ts';
import type { Queryable } from '../platform/db/db.ts';
import { isId, type AccountId, type OrganisationId, type UnitId } from '../platform/ids.ts';
import { notHere, type Changes, type Scene } from './changes.ts';
import type { Founding } from './founding.ts';
import type { Memberships } from './memberships.ts';

export const APPOINT_ADMINISTRATOR = 'organisation.appoint-administrator';
export const CHANGE_REPRESENTATIVE = 'organisation.change-representative';

const account = z.custom<AccountId>((text) => isId('acc', text));
const administrator = z.object({
  accountId: account,
  /** Null: of the whole organisation. */
  unitId: z.custom<UnitId>((text) => isId('unit', text)).nullable(),
});
const representative = z.object({
  accountId: account,
  /** A register's word that the person represents the organisation. */
  proofId: z.string(),
});

/** The scope of each of these acts is the organisation's id. */
export function organisationActs(parts: {
  changes: Changes;
  memberships: Memberships;
  founding: Pick<Founding, 'isProven'>;
}): Readonly<Record<string, Act>> {
  const { changes, memberships, founding } = parts;

  /** Whoever manages the members of a place, or an operator. */
  async function manages(
    tx: Queryable,
    { person, scope }: Part,
    unitId: UnitId | undefined,
  ): Promise<boolean> {
    if (!isId('org', scope)) return false;
    // Operators are no accounts: they are known by their command line, not by a role.
    return (
      !isId('acc', person) || changes.may(tx, person, 'manage-members', { organisationId: scope, unitId })
    );
  }

  async function lock(tx: Queryable, scope: string): Promise<Scene> {
    const scene = isId('org', scope) ? await changes.lock(tx, scope) : undefined;
    if (scene?.organisation.state !== 'active') throw notHere();
    return scene;
  }

  return {
    [APPOINT_ADMINISTRATOR]: defineAct({
      parse: (parameters) => administrator.parse(parameters),
      mayRequest: (tx, part, { unitId }) => manages(tx, part, unitId ?? undefined),
      // Whoever is to have the rights is not the second person who gives them.
      mayApprove: async (tx, part, { accountId, unitId }) =>
        part.person !== accountId && manages(tx, part, unitId ?? undefined),
      async run(tx, { accountId, unitId }, { scope, executedBy }) {
        const scene = await lock(tx, scope);
        if (unitId !== null && !scene.tree.has(unitId)) throw notHere();
        const place = { organisationId: scene.organisation.id };
        return memberships.appoint(
          tx,
          scene,
          { accountId, role: 'administrator', ...(unitId === null ? place : { unitId }) },
          executedBy,
        );
      },
    }),

    [CHANGE_REPRESENTATIVE]: defineAct({
      parse: (parameters) => representative.parse(parameters),
      mayRequest: (tx, { person, scope }, { accountId, proofId }) =>
        person === accountId &&
        isId('org', scope) &&
        founding.isProven(tx, { id: proofId, accountId, organisationId: scope }),
      mayApprove: async (tx, part, { accountId }) =>
        part.person !== accountId && manages(tx, part, undefined),
      async run(tx, { accountId }, { scope, executedBy }) {
        const scene = await lock(tx, scope);
        const organisationId: OrganisationId = scene.organisation.id;
        await memberships.endRepresentative(tx, organisationId, executedBy);
        return memberships.appoint(
          tx,
          scene,
          { accountId, organisationId, role: 'legal-representative' },
          executedBy,
        );
      },
    }),
  };
}
