/** What a service of an authority signs with, looked up again from time to time: certificates are renewed, keys may have been taken away. */
import { PROVIDER, type Custody } from '../custody/index.ts';
import type { Certificate, Signer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { CertificateId } from '../platform/ids.ts';
import type { Authority, Certificates, ServiceProfile } from './certificates.ts';
import { HIERARCHIES } from './hierarchies.ts';

export interface ServiceSigner {
  readonly signer: Signer;
  readonly certificate: Certificate;
  /** From the issuer up to, but without, the root. */
  readonly chain: readonly Certificate[];
}

/** Seconds that pass until a process notices that a key was taken away. */
const REMEMBER_MS = 30_000;

export function createServiceSigners(
  profile: ServiceProfile,
  parts: { clock: Clock; custody: Custody; certificates: Certificates },
): {
  /** @throws {CustodyError} and `TypeError` while the service has no key that may sign. */
  of(issuer: Authority): Promise<ServiceSigner>;
} {
  const { clock, custody, certificates } = parts;
  const known = new Map<CertificateId, { made: Promise<ServiceSigner>; until: number }>();

  async function make(issuer: Authority): Promise<ServiceSigner> {
    const stored = await certificates.serviceCertificate(profile, issuer.id);
    if (!stored) throw new TypeError(`there is no certificate for ${profile}`);
    const signer = await custody.signer(PROVIDER, stored.keyId, HIERARCHIES[issuer.hierarchy].algorithm);
    return { signer, certificate: stored.certificate, chain: [issuer.certificate] };
  }

  return {
    of(issuer) {
      const now = clock.now().getTime();
      const found = known.get(issuer.id);
      if (found && found.until > now) return found.made;
      const made = make(issuer);
      known.set(issuer.id, { made, until: now + REMEMBER_MS });
      made.catch(() => known.delete(issuer.id));
      return made;
    },
  };
}
