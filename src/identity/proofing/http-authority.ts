/** An authority that is reached over HTTP, by the contract in `docs/proofing-authority.md`. */
import { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import type { OutboundFetch } from '../../platform/http/outbound.ts';
import { createPartner } from '../../platform/http/partner.ts';
import type { Logger } from '../../platform/logger.ts';
import type { HttpAuthoritySource } from '../../platform/sources.ts';
import { COMPARED, LIVE_CHECKED, type Answer, type Comparison, type ProofingAuthority } from './authority.ts';
import type { DocumentKind } from './documents.ts';

const reference = z.string().regex(/^[\x21-\x7e]{1,200}$/);
const confirmed = z.object({
  result: z.literal('confirmed'),
  level: z.union([z.literal(COMPARED), z.literal(LIVE_CHECKED)]),
  reference,
});
const refused = z.object({ result: z.literal('refused'), reference: reference.optional() });
const compared = z.discriminatedUnion('result', [
  confirmed,
  refused,
  z.object({ result: z.literal('continue'), uri: z.string().max(2000), reference }),
]);
const checked = z.discriminatedUnion('result', [
  confirmed,
  refused,
  z.object({ result: z.literal('pending') }),
]);

export function createHttpAuthority(
  source: HttpAuthoritySource,
  parts: {
    readonly fetch: OutboundFetch;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly kinds: readonly DocumentKind[];
  },
): ProofingAuthority {
  const { logger } = parts;
  const origins = new Set([new URL(source.url).origin, ...source.liveCheckOrigins]);
  const partner = createPartner(source, { ...parts, what: 'a proofing authority' });

  return {
    id: source.id,
    name: source.name,
    trustFramework: source.trustFramework,
    fictional: false,
    kinds: parts.kinds,
    attainable: source.attainable,

    async compare(comparison) {
      const { requestId, wanted } = comparison;
      const body = toRequest(comparison);
      const answer = await partner.ask(compared, {
        method: 'POST',
        path: '/comparisons',
        requestId,
        body,
      });
      if (answer?.result !== 'continue') return toAnswer(answer, wanted);
      const uri = URL.parse(answer.uri);
      if (uri && origins.has(uri.origin))
        return { kind: 'continue', uri: uri.href, reference: answer.reference };
      logger.error(
        { authority: source.id },
        'a proofing authority sends people to an origin that is not registered',
      );
      return { kind: 'unavailable' };
    },

    async result(reference) {
      const path = `/comparisons/${encodeURIComponent(reference)}`;
      const answer = await partner.ask(checked, { method: 'GET', path });
      return answer?.result === 'pending' ? { kind: 'pending' } : toAnswer(answer, LIVE_CHECKED);
    },
  };
}

function toRequest({ requestId, claim, wanted, returnUri }: Comparison): object {
  const { document, name, third } = claim;
  const members = {
    phone: 'phone',
    validUntil: 'valid_until',
    birthdate: 'birthdate',
    reference: 'reference',
  };
  return {
    request_id: requestId,
    wanted_level: wanted,
    return_uri: returnUri,
    document: {
      kind: document.kind,
      number: document.number,
      ...(document.issuingCountry === undefined ? {} : { issuing_country: document.issuingCountry }),
    },
    name,
    [members[third.item]]: third.value,
  };
}

function toAnswer(
  answer: z.output<typeof confirmed> | z.output<typeof refused> | undefined,
  wanted: number,
): Answer {
  if (answer === undefined) return { kind: 'unavailable' };
  if (answer.result === 'refused') return { kind: 'refused', reference: answer.reference };
  // More than was asked for is not taken: nobody has asked the person for it.
  const level = answer.level > wanted ? COMPARED : answer.level;
  return { kind: 'confirmed', level, reference: answer.reference };
}
