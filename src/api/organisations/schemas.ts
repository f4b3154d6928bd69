/** What the API reads and answers about organisations, as schemas: they check requests, and they are the description. */
import { z } from 'zod';
import { DUTIES, ORGANISATION_KINDS, ROLES } from '../../organisations/index.ts';

const id = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`));
/** Text without signs that do not show, and without blanks around it. */
const isPlain = (text: string) => !/\p{C}/u.test(text) && text.trim() === text;
/** Names end up in certificates, which have room for 64 letters (RFC 5280, appendix A.1). */
const name = z.string().min(1).max(64).refine(isPlain);
const moment = z.iso.datetime({ offset: true });
/** By which the portal that asks knows a person (OpenID Connect Core 1.0, section 8.1). */
const sub = z.string().regex(/^[\w-]{1,64}$/);

/** Somebody, as the portal or as people know them: exactly one of the two. */
const person = {
  sub: sub.optional(),
  /** Phone, e-mail address or user name. */
  identifier: z.string().min(1).max(200).refine(isPlain).optional(),
};
const place = { unitId: id('unit').optional() };
const page = {
  cursor: z.string().min(1).max(64).optional(),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/)
    .optional(),
};

export const PAGE = z.strictObject(page);
export const PAGE_OF_PLACE = z.strictObject({ ...page, ...place });

export const NEW_UNIT = z.strictObject({ name, parentId: id('unit').optional() });
export const UNIT_CHANGE = z.strictObject({
  name: name.optional(),
  parentId: id('unit').nullable().optional(),
});
export const NEW_MEMBERSHIP = z.strictObject({ ...person, ...place, role: z.enum(ROLES) });
export const NEW_MANDATE = z.strictObject({
  ...person,
  ...place,
  services: z
    .array(z.string().regex(/^[\x21-\x7e]{1,500}$/))
    .max(DUTIES.mandates.services)
    .default([]),
  seals: z.array(id('seal')).max(DUTIES.mandates.seals).default([]),
  purpose: z.string().min(1).max(200).refine(isPlain),
  validFrom: moment.optional(),
  validTo: moment,
});
export const NEW_ADMINISTRATOR = z.strictObject({ ...person, ...place });
export const APPROVAL = z.strictObject({ digest: z.string().regex(/^[0-9a-f]{64}$/) });

const organisation = z.strictObject({
  id: id('org'),
  unifiedSocialCreditCode: z.string().regex(/^[0-9A-Z]{18}$/),
  name: z.string(),
  kind: z.enum(ORGANISATION_KINDS),
  region: z.string().regex(/^\d{6}$/),
  state: z.enum(['active', 'suspended', 'dissolved']),
});
const unit = z.strictObject({
  id: id('unit'),
  organisationId: id('org'),
  parentId: id('unit').nullable(),
  name: z.string(),
  state: z.enum(['active', 'closed']),
});
const membership = z.strictObject({
  id: id('mbr'),
  organisationId: id('org'),
  unitId: id('unit').nullable(),
  role: z.enum(ROLES),
  sub,
  since: moment,
});
const mandate = z.strictObject({
  id: id('mdt'),
  organisationId: id('org'),
  unitId: id('unit').nullable(),
  /** The agent. */
  sub,
  services: z.array(z.string()),
  seals: z.array(id('seal')),
  purpose: z.string(),
  validFrom: moment,
  validTo: moment,
  grantedAt: moment,
  revokedAt: moment.nullable(),
});
const use = z.strictObject({
  id: id('use'),
  at: moment,
  service: z.string().nullable(),
  sealId: id('seal').nullable(),
});
const act = z.strictObject({
  id: id('act'),
  act: z.string(),
  organisationId: id('org'),
  unitId: id('unit').nullable(),
  /** Whom it is about. */
  sub,
  state: z.enum(['requested', 'executed', 'refused', 'withdrawn', 'expired']),
  /** Of the act's canonical JSON (RFC 8785), SHA-256: what an approval names. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  requestedAt: moment,
  expiresAt: moment,
  approvals: z.int().min(0),
  approvalsNeeded: z.int().min(1),
});
const listOf = (item: z.ZodType) =>
  z.strictObject({
    items: z.array(item),
    /** The cursor of the next page; null where there is none. */
    next: z.string().nullable(),
  });

/** By the names that the description gives them. */
export const ANSWERS = {
  Organisation: organisation,
  Organisations: z.strictObject({
    items: z.array(
      z.strictObject({
        organisation,
        unitId: id('unit').nullable(),
        roles: z.array(z.enum(ROLES)),
        mandateId: id('mdt').nullable(),
      }),
    ),
  }),
  Unit: unit,
  Units: listOf(unit),
  Membership: membership,
  Memberships: listOf(membership),
  Mandate: mandate,
  Mandates: listOf(mandate),
  MandateUses: listOf(use),
  Act: act,
  Acts: z.strictObject({ items: z.array(act) }),
} satisfies Record<string, z.ZodType>;

export const PREFIXES = {
  organisationId: 'org',
  unitId: 'unit',
  membershipId: 'mbr',
  mandateId: 'mdt',
  actId: 'act',
} as const;
