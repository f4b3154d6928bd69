/** The authorities of an installation, as its sources describe them. */
import type { Clock } from '../../platform/clock.ts';
import { ConfigError } from '../../platform/config.ts';
import type { Db } from '../../platform/db/db.ts';
import { createOutboundFetch } from '../../platform/http/outbound.ts';
import type { Logger } from '../../platform/logger.ts';
import type { HttpAuthoritySource, IdentitySources } from '../../platform/sources.ts';
import type { ProofingAuthority } from './authority.ts';
import { DOCUMENT_KINDS, isDocumentKind, type DocumentKind } from './documents.ts';
import { createFictionalRegister, type FictionalRegister } from './fictional-register.ts';
import { createHttpAuthority } from './http-authority.ts';

/** Path of the page on which invented people are checked live. */
export const FICTIONAL_LIVE_CHECK_PATH = '/fictional-register/live-check';

export interface Authorities {
  /** In the order in which they are asked. */
  readonly all: readonly ProofingAuthority[];
  /** The one with invented people, if it is among them. */
  readonly fictional: FictionalRegister | undefined;
}

/** @throws {ConfigError} a source names a kind of document that does not exist. */
export function createAuthorities(
  sources: IdentitySources['authorities'],
  parts: {
    readonly db: Db;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly issuer: string;
    readonly outboundNetworks: readonly string[];
    readonly outboundAuthorities: readonly string[];
  },
): Authorities {
  let fictional: FictionalRegister | undefined;
  const all = sources.map((source) => {
    if (source.driver === 'fictional') {
      const liveCheckUri = `${parts.issuer}${FICTIONAL_LIVE_CHECK_PATH}`;
      fictional = createFictionalRegister({ ...parts, liveCheckUri });
      return fictional;
    }
    const { authentication } = source;
    const identity = authentication.method === 'mtls' ? authentication : undefined;
    const fetch = createOutboundFetch(parts.outboundNetworks, parts.outboundAuthorities, identity);
    return createHttpAuthority(source, { ...parts, fetch, kinds: kindsOf(source) });
  });
  return { all, fictional };
}

function kindsOf({ id, kinds }: HttpAuthoritySource): readonly DocumentKind[] {
  if (kinds === undefined) return DOCUMENT_KINDS;
  const unknown = kinds.find((kind) => !isDocumentKind(kind));
  if (unknown !== undefined)
    throw new ConfigError([
      { variable: 'IDENTITY_SOURCES', problem: `${id} names a kind of document that does not exist` },
    ]);
  return kinds.filter(isDocumentKind);
}
