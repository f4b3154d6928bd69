/** Brings an installation to what a file describes: resource servers, portals, organisations, units, officers and seals. Safe to repeat. */
import { z } from 'zod';
import type { App } from './app.ts';
import { portalRegistration, resourceRegistration } from './portals/index.ts';

/** Names end up in certificates, which have room for 64 letters (RFC 5280, appendix A.1). */
const text = z.string().trim().min(1).max(64);

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
            units: z.array(
              z
                .object({
                  name: text,
                  officers: z.array(z.string()).default([]),
                  seals: z.array(text).default([]),
                })
                .strict(),
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
  /** Officers that have no account yet: they register first, then this is run again. */
  readonly missingOfficers: readonly string[];
}

/** @throws {z.ZodError} the description has another form; {AppError} a room refuses a part of it. */
export async function provision(
  app: Pick<App, 'portals' | 'resources' | 'organisations' | 'identity' | 'seals'>,
  description: unknown,
): Promise<Provisioned> {
  const wanted = provisioning.parse(description);
  const secrets = new Map<string, string>();
  const missingOfficers: string[] = [];

  for (const resource of wanted.resources) await app.resources.register(resource, 'system');
  for (const portal of wanted.portals) {
    const isNew = (await app.portals.find(portal.clientId)) === undefined;
    await app.portals.register(portal, 'system');
    if (isNew) secrets.set(portal.clientId, await app.portals.issueSecret(portal.clientId));
  }

  for (const { unifiedSocialCreditCode, name, units } of wanted.organisations) {
    const organisation =
      (await app.organisations.findByCode(unifiedSocialCreditCode)) ??
      (await app.organisations.found({ unifiedSocialCreditCode, name }, 'system'));
    const existing = await app.organisations.units(organisation);
    for (const wantedUnit of units) {
      const unit =
        existing.find((candidate) => candidate.name === wantedUnit.name) ??
        (await app.organisations.createUnit(organisation, wantedUnit.name, 'system'));
      for (const identifier of wantedUnit.officers) {
        const accountId = await app.identity.find(identifier);
        if (accountId === undefined) missingOfficers.push(identifier);
        else await app.organisations.grant({ accountId, unitId: unit.id, role: 'seal-officer' }, 'system');
      }
      for (const sealName of wantedUnit.seals)
        await app.seals.registry.register({ unit, name: sealName }, 'system');
    }
  }
  return { secrets, missingOfficers };
}
