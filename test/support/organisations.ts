/** The organisations room alone, with fictional organisations and accounts that are nothing but numbers. */
import { createAuditLog } from '../../src/audit/index.ts';
import { createDualControl, type DualControl } from '../../src/dual-control/index.ts';
import {
  createOrganisations,
  type MandateFacts,
  type NaturalPerson,
  type OrganisationRegister,
  type Organisation,
  type Organisations,
  type Unit,
} from '../../src/organisations/index.ts';
import type { Clock } from '../../src/platform/clock.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { newId, type AccountId, type SealId } from '../../src/platform/ids.ts';

export const CODES = ['91330106MADEMYXKJ3', '91350100M000100Y43', '91350100ARUJWX97A0'] as const;

export interface World {
  readonly organisations: Organisations;
  readonly organisation: Organisation;
  /** office > desk; workshop. */
  readonly units: { readonly office: Unit; readonly desk: Unit; readonly workshop: Unit };
  readonly representative: AccountId;
  /** Of the whole organisation. */
  readonly administrator: AccountId;
  /** A new account. */
  account(): Promise<AccountId>;
  /** A new seal of a unit. */
  seal(unit: Unit): SealId;
  /** Types of what the log says of a subject, the newest first. */
  log(subject: string): Promise<string[]>;
}

/** What the room is told of seals and services. */
export interface Told extends MandateFacts {
  readonly seals: Map<SealId, Unit>;
}
export function tellFacts(): Told {
  const seals = new Map<SealId, Unit>();
  return {
    seals,
    serviceExists: async (name) => ['portal', 'other-portal', 'https://api.example/'].includes(name),
    unitOfSeal: async (_q, id) => seals.get(id)?.id,
  };
}

export function openRoom(db: Db, clock: Clock, facts: MandateFacts): Organisations {
  return openRooms({ db, clock, facts }).organisations;
}

/** The room with acts of two persons beside it. */
export function openRooms(parts: {
  readonly db: Db;
  readonly clock: Clock;
  readonly facts?: MandateFacts;
  readonly register?: OrganisationRegister;
  readonly person?: (accountId: AccountId) => Promise<NaturalPerson | undefined>;
}): { organisations: Organisations; dualControl: DualControl } {
  const { db, clock, facts = tellFacts(), register, person = async () => undefined } = parts;
  const audit = auditOf(db, clock);
  const organisations = createOrganisations({
    db,
    clock,
    audit,
    facts,
    register,
    person,
    request: (tx, request) => dualControl.request(tx, request),
  });
  const dualControl: DualControl = createDualControl({ db, clock, audit, acts: organisations.acts });
  return { organisations, dualControl };
}
function auditOf(db: Db, clock: Clock) {
  return createAuditLog({ db, clock, signer: () => Promise.reject(new Error('nothing is signed here')) });
}

export async function newAccount(db: Db, clock: Clock): Promise<AccountId> {
  const id = newId('acc', clock.now());
  await db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [id, clock.now()]);
  return id;
}

/** An organisation with its tree, its representative and an administrator. */
export async function foundWorld(
  parts: { readonly db: Db; readonly clock: Clock },
  code: string = CODES[0],
  facts: Told = tellFacts(),
): Promise<World> {
  const { db, clock } = parts;
  const organisations = openRoom(db, clock, facts);
  const account = () => newAccount(db, clock);
  const organisation = await organisations.found(
    { unifiedSocialCreditCode: code, name: '虚构示例有限公司' },
    'system',
  );
  const office = await organisations.createUnit(organisation, '办公室', 'system');
  const desk = await organisations.createUnit(organisation, '前台', 'system', office.id);
  const workshop = await organisations.createUnit(organisation, '车间', 'system');
  const [representative, administrator] = [await account(), await account()];
  const organisationId = organisation.id;
  await organisations.grant(
    { accountId: representative, organisationId, role: 'legal-representative' },
    'system',
  );
  await organisations.grant({ accountId: administrator, organisationId, role: 'administrator' }, 'system');
  return {
    organisations,
    organisation,
    units: { office, desk, workshop },
    representative,
    administrator,
    account,
    seal(unit) {
      const id = newId('seal', clock.now());
      facts.seals.set(id, unit);
      return id;
    },
    async log(subject) {
      const entries = await auditOf(db, clock).about(subject, { limit: 100 });
      return entries.map(({ entry }) => entry.type);
    },
  };
}
