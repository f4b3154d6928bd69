/** The register of organisations of an installation, as its sources describe it. */
import type { Clock } from '../../platform/clock.ts';
import { createOutboundFetch } from '../../platform/http/outbound.ts';
import type { Logger } from '../../platform/logger.ts';
import type { IdentitySources } from '../../platform/sources.ts';
import { createFictionalOrganisationRegister } from './fictional-register.ts';
import { createHttpRegister } from './http-register.ts';
import type { OrganisationRegister } from './register.ts';

/** @returns undefined where an installation has none. */
export function createOrganisationRegister(
  source: IdentitySources['organisationRegister'],
  parts: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly outboundNetworks: readonly string[];
    readonly outboundAuthorities: readonly string[];
  },
): OrganisationRegister | undefined {
  if (source === undefined) return undefined;
  if (source.driver === 'fictional') return createFictionalOrganisationRegister();
  const { authentication } = source;
  const identity = authentication.method === 'mtls' ? authentication : undefined;
  const fetch = createOutboundFetch(parts.outboundNetworks, parts.outboundAuthorities, identity);
  return createHttpRegister(source, { ...parts, fetch });
}
