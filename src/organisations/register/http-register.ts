/** A register of organisations that is reached over HTTP, by the contract in `docs/organisation-register.md`. */
import { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import type { OutboundFetch } from '../../platform/http/outbound.ts';
import { createPartner } from '../../platform/http/partner.ts';
import type { Logger } from '../../platform/logger.ts';
import type { HttpOrganisationRegisterSource } from '../../platform/sources.ts';
import { ORGANISATION_KINDS } from '../unified-social-credit-code.ts';
import type { OrganisationRegister } from './register.ts';

const answer = z.discriminatedUnion('result', [
  z.object({
    result: z.literal('confirmed'),
    reference: z.string().regex(/^[\x21-\x7e]{1,200}$/),
    organisation: z.object({
      // Names end up in certificates, which have room for 64 letters (RFC 5280, appendix A.1).
      name: z.string().trim().min(1).max(64),
      kind: z.enum(ORGANISATION_KINDS).optional(),
      region: z
        .string()
        .regex(/^\d{6}$/)
        .optional(),
    }),
  }),
  z.object({ result: z.literal('refused') }),
]);

export function createHttpRegister(
  source: HttpOrganisationRegisterSource,
  parts: { readonly fetch: OutboundFetch; readonly clock: Clock; readonly logger: Logger },
): OrganisationRegister {
  const partner = createPartner(source, { ...parts, what: 'a register of organisations' });
  return {
    id: source.id,
    name: source.name,
    fictional: false,
    async confirm({ requestId, unifiedSocialCreditCode, person }) {
      const { kind, number, issuingCountry } = person.document;
      const said = await partner.ask(answer, {
        method: 'POST',
        path: '/representatives',
        requestId,
        body: {
          request_id: requestId,
          unified_social_credit_code: unifiedSocialCreditCode,
          representative: {
            name: person.name,
            document: {
              kind,
              number,
              ...(issuingCountry === undefined ? {} : { issuing_country: issuingCountry }),
            },
          },
        },
      });
      if (said === undefined) return { kind: 'unavailable' };
      if (said.result === 'refused') return { kind: 'refused' };
      return { kind: 'confirmed', reference: said.reference, organisation: said.organisation };
    },
  };
}
