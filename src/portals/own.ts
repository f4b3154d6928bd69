/** The service's own pages as a portal: people sign in to them, and step up, as they do anywhere else. It is in no table. */
import type { Portal } from './portals.ts';

export const OWN_PORTAL = 'yinxin-account';
/** Where a sign-in to our own pages comes back to. */
export const OWN_RETURN_PATH = '/signed-in';

export function ownPortal(issuer: string): Portal {
  return {
    clientId: OWN_PORTAL,
    name: { 'zh-CN': '我的账号', en: 'Your account' },
    sector: OWN_PORTAL,
    state: 'approved',
    region: undefined,
    department: undefined,
    profile: 'baseline',
    // The code that it is sent is redeemed by nobody: the session is what it came for.
    codeChallenge: 'optional',
    minimumAcr: undefined,
    homeUri: `${issuer}/account`,
    redirectUris: [`${issuer}${OWN_RETURN_PATH}`],
    postLogoutRedirectUris: [],
    backchannelLogoutUri: undefined,
    scopes: ['openid'],
    resources: {},
    claims: [],
    optionalClaims: [],
    entitlements: [],
    purposes: {},
    contacts: [],
    logoUri: undefined,
    metadata: {},
    validFrom: undefined,
  };
}
