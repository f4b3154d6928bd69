/** The certificate profile of this room's README, as data. Pure. */
import type { Unit } from '../organisations/index.ts';
import { distinguishedName, keyPurposes, type Extensions, type Name } from '../pki/index.ts';

export type Profile = 'root' | 'issuing' | 'seal' | 'ocsp-responder' | 'time-stamping';

const DAY_MS = 86_400_000;
const VALID_DAYS: Readonly<Record<Profile, number>> = {
  root: 7300,
  issuing: 3650,
  seal: 365,
  // Its certificate says that nobody need ask for its revocation (RFC 6960 4.2.2.2.1): it has to end soon by itself.
  'ocsp-responder': 7,
  'time-stamping': 1095,
};
/** Clocks of verifiers that run late must not find a new certificate in the future. */
const BACKDATE_MS = 300_000;

/** How long before its end a certificate that a service signs with is replaced. */
export const RENEW_MS: Readonly<Record<'ocsp-responder' | 'time-stamping', number>> = {
  'ocsp-responder': 3 * DAY_MS,
  'time-stamping': 365 * DAY_MS,
};

/** Certificates tell time in whole seconds. None outlives its issuer's. */
export function validityOf(
  profile: Profile,
  now: Date,
  issuerNotAfter?: Date,
): { readonly notBefore: Date; readonly notAfter: Date } {
  const start = Math.floor((now.getTime() - BACKDATE_MS) / 1000) * 1000;
  const end = start + VALID_DAYS[profile] * DAY_MS;
  return {
    notBefore: new Date(start),
    notAfter: new Date(Math.min(end, issuerNotAfter?.getTime() ?? Infinity)),
  };
}

export function serviceName(organization: string, commonName: string): Name {
  return distinguishedName([{ organizationName: organization }, { commonName }]);
}

export function sealName({ organisation, name }: Unit, seal: string): Name {
  return distinguishedName([
    { countryName: 'CN' },
    { organizationName: organisation.name },
    // ETSI EN 319 412-1, section 5.1.4: NTR (national trade register), country, hyphen, number in it.
    { organizationIdentifier: `NTRCN-${organisation.unifiedSocialCreditCode}` },
    { organizationalUnitName: name },
    { commonName: seal },
  ]);
}

/** Where the issuer's certificate, list and answers are found. */
export interface Addresses {
  readonly certificate: string;
  readonly crl: string;
  /** `undefined` for what the root issues, whose list is all there is, and where no responder is named. */
  readonly ocsp: string | undefined;
}

/**
 * What a certificate of this profile says besides its name, key and time.
 * @param addresses Of the issuer; `undefined` for a root, which nobody issued.
 * @param sealPolicy Dotted decimal: the policy that seal certificates are issued under.
 */
export function extensionsOf(
  profile: Profile,
  addresses: Addresses | undefined,
  sealPolicy: string,
): Extensions {
  const whereabouts: Extensions = addresses
    ? {
        cRLDistributionPoints: [addresses.crl],
        authorityInfoAccess: {
          ocsp: addresses.ocsp === undefined ? [] : [addresses.ocsp],
          caIssuers: [addresses.certificate],
        },
      }
    : {};
  switch (profile) {
    case 'root':
      return { basicConstraints: { cA: true }, keyUsage: ['keyCertSign', 'cRLSign'] };
    case 'issuing':
      return {
        basicConstraints: { cA: true, pathLenConstraint: 0 },
        keyUsage: ['keyCertSign', 'cRLSign'],
        ...whereabouts,
      };
    case 'seal':
      return {
        basicConstraints: { cA: false },
        keyUsage: ['digitalSignature', 'nonRepudiation'],
        certificatePolicies: [sealPolicy],
        ...whereabouts,
      };
    case 'ocsp-responder':
      return {
        basicConstraints: { cA: false },
        keyUsage: ['digitalSignature'],
        extKeyUsage: { keyPurposeIds: [keyPurposes.OCSPSigning], critical: true },
        ocspNoCheck: true,
        ...(whereabouts.authorityInfoAccess
          ? { authorityInfoAccess: { ...whereabouts.authorityInfoAccess, ocsp: [] } }
          : {}),
      };
    case 'time-stamping':
      return {
        basicConstraints: { cA: false },
        keyUsage: ['digitalSignature', 'nonRepudiation'],
        extKeyUsage: { keyPurposeIds: [keyPurposes.timeStamping], critical: true },
        ...whereabouts,
      };
  }
}
