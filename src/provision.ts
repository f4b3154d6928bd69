/** Brings an installation to what a file describes: resource servers, portals, organisations, units, roles, seals and mandates. Safe to repeat. */
import { z } from 'zod';
import type { App } from './app.ts';
import { ORGANISATION_KINDS, ROLES, type Organisation, type Unit } from './organisations/index.ts';
import type { AccountId, SealId } from './platform/ids.ts';
import { systemClock, type Clock } from './platform/clock.ts';
import { portalRegistration, resourceRegistration } from './portals/index.ts';

/** Names end up in certificates, which have room for 64 letters (RFC 5280, appendix A.1). */
const text = z.string().trim().min(1).max(64);
const DAY_MS = 86_400_000;

const member = z.object({ identifier: z.string(), role: z.enum(ROLES) }).strict();
const mandate = z
  .object({
    /** Who acts. */
    agent: z.string(),
    services: z.array(z.string()).default([]),
    /** Names of seals of the unit. */
    seals: z.array(text).default([]),
    purpose: z.string().trim().min(1).max(200),
    /** How long it is good, from when it is granted. */
    days: z.int().min(1),
  })
  .strict();
const unit = z
  .object({
    name: text,
    officers: z.array(z.string()).default([]),
    members: z.array(member).default([]),
    seals: z.array(text).default([]),
    mandates: z.array(mandate).default([]),
    /** The units below it. */
    get units() {
      return z.array(unit).default([]);
    },
  })
  .strict();

/** Whether every mandate names seals of its own unit. */
function namesOwnSeals({ seals, mandates, units }: z.output<typeof unit>): boolean {
  return (
    mandates.every((each) => each.seals.every((name) => seals.includes(name))) && units.every(namesOwnSeals)
  );
}

export const provisioning = z
  .object({
    resources: z.array(resourceRegistration).default([]),
    portals: z.array(portalRegistration).default([]),
    organisations: z
      .array(
        z
          .object({
            unifiedSocialCreditCode: z.string(),
            name: text,
            /** Default: what the code says. */
            kind: z.enum(ORGANISATION_KINDS).optional(),
            region: z.string().optional(),
            members: z.array(member).default([]),
            mandates: z.array(mandate.omit({ seals: true })).default([]),
            units: z.array(
              unit.refine(namesOwnSeals, 'has a mandate for a seal that its unit does not have'),
            ),
          })
          .strict(),
      )
      .default([]),
  })
  .strict();
export type Provisioning = z.input<typeof provisioning>;

export interface Provisioned {
  /** Client secrets made now, for portals that had none. They are shown nowhere else. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Officers, members and agents that have no account yet: they register first, then this is run again. */
  readonly missingOfficers: readonly string[];
}

/** @throws {z.ZodError} the description has another form; {AppError} a room refuses a part of it. */
export async function provision(
  app: Pick<App, 'portals' | 'resources' | 'organisations' | 'identity' | 'seals'>,
  description: unknown,
  clock: Clock = systemClock,
): Promise<Provisioned> {
  const wanted = provisioning.parse(description);
  const secrets = new Map<string, string>();
  const missing = new Set<string>();

  for (const resource of wanted.resources) await app.resources.register(resource, 'system');
  for (const portal of wanted.portals) {
    const isNew = (await app.portals.find(portal.clientId)) === undefined;
    await app.portals.register(portal, 'system');
    if (isNew) secrets.set(portal.clientId, await app.portals.issueSecret(portal.clientId));
  }

  /** What is to be done with the account of an identifier, once there is one. */
  async function forAccount(
    identifier: string,
    act: (accountId: AccountId) => Promise<unknown>,
  ): Promise<void> {
    const accountId = await app.identity.find(identifier);
    if (accountId === undefined) missing.add(identifier);
    else await act(accountId);
  }

  async function grantMandate(
    organisation: Organisation,
    of: Unit | undefined,
    { agent, services, purpose, days }: Omit<z.output<typeof mandate>, 'seals'>,
    seals: readonly SealId[],
  ): Promise<void> {
    await forAccount(agent, async (agentId) => {
      const acting = await app.organisations.actingFor(agentId);
      const isThere = acting.some(
        (each) =>
          each.mandate?.purpose === purpose &&
          each.organisation.id === organisation.id &&
          each.unit?.id === of?.id,
      );
      if (isThere) return;
      await app.organisations.mandates.grant(
        {
          organisationId: organisation.id,
          unitId: of?.id,
          agentId,
          services,
          seals,
          purpose,
          validTo: new Date(clock.now().getTime() + days * DAY_MS),
        },
        'system',
      );
    });
  }

  async function bringUnits(
    organisation: Organisation,
    units: readonly z.output<typeof unit>[],
    parentId?: Unit['id'],
  ): Promise<void> {
    const existing = await app.organisations.units(organisation);
    for (const wantedUnit of units) {
      const found =
        existing.find((each) => each.name === wantedUnit.name && each.parentId === parentId) ??
        (await app.organisations.createUnit(organisation, wantedUnit.name, 'system', parentId));
      const officers = wantedUnit.officers.map((identifier) => ({
        identifier,
        role: 'seal-officer' as const,
      }));
      for (const { identifier, role } of [...officers, ...wantedUnit.members])
        await forAccount(identifier, (accountId) =>
          app.organisations.grant({ accountId, unitId: found.id, role }, 'system'),
        );
      const seals = new Map<string, SealId>();
      for (const sealName of wantedUnit.seals)
        seals.set(
          sealName,
          (await app.seals.registry.register({ unit: found, name: sealName }, 'system')).id,
        );
      for (const granted of wantedUnit.mandates)
        await grantMandate(
          organisation,
          found,
          granted,
          granted.seals.flatMap((sealName) => seals.get(sealName) ?? []),
        );
      await bringUnits(organisation, wantedUnit.units, found.id);
    }
  }

  for (const {
    unifiedSocialCreditCode,
    name,
    kind,
    region,
    units,
    members,
    mandates,
  } of wanted.organisations) {
    const organisation =
      (await app.organisations.findByCode(unifiedSocialCreditCode)) ??
      (await app.organisations.found({ unifiedSocialCreditCode, name, kind, region }, 'system'));
    for (const { identifier, role } of members)
      await forAccount(identifier, (accountId) =>
        app.organisations.grant({ accountId, organisationId: organisation.id, role }, 'system'),
      );
    await bringUnits(organisation, units);
    for (const granted of mandates) await grantMandate(organisation, undefined, granted, []);
  }
  return { secrets, missingOfficers: [...missing] };
}
