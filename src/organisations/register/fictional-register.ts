/**
 * A register of invented organisations (`config/fictional-organisations.json`), represented by invented people, so that everything can be
 * tried where no register is. It answers as a real one does, and says everywhere that it is none.
 */
import { z } from 'zod';
import organisations from '../../../config/fictional-organisations.json' with { type: 'json' };
import type { OrganisationRegister } from './register.ts';

/** An organisation that does not exist. */
export interface FictionalOrganisation {
  readonly unifiedSocialCreditCode: string;
  readonly name: string;
  readonly representative: { readonly name: string; readonly kind: string; readonly number: string };
}

export const FICTIONAL_ORGANISATIONS: readonly FictionalOrganisation[] = z
  .array(
    z
      .object({
        unifiedSocialCreditCode: z.string(),
        name: z.string(),
        representative: z.object({ name: z.string(), kind: z.string(), number: z.string() }).strict(),
      })
      .strict(),
  )
  .parse(organisations);

const same = (one: string, other: string) => one.normalize('NFKC') === other.normalize('NFKC');

export function createFictionalOrganisationRegister(
  known: readonly FictionalOrganisation[] = FICTIONAL_ORGANISATIONS,
): OrganisationRegister {
  return {
    id: 'fiction',
    name: { 'zh-CN': '虚构单位登记册', en: 'Register of invented organisations' },
    fictional: true,
    async confirm({ requestId, unifiedSocialCreditCode, person }) {
      const found = known.find((each) => each.unifiedSocialCreditCode === unifiedSocialCreditCode);
      const { name, kind, number } = found?.representative ?? {};
      const agrees =
        found &&
        same(name ?? '', person.name) &&
        kind === person.document.kind &&
        same(number ?? '', person.document.number);
      if (!agrees) return { kind: 'refused' };
      return { kind: 'confirmed', reference: `fiction-${requestId}`, organisation: { name: found.name } };
    },
  };
}
