/** The demonstration's fictional world. Nobody and nothing in it exists. */
import { FICTIONAL_PEOPLE } from '../identity/index.ts';
import type { Provisioning } from '../provision.ts';

/** People who can sign in. Their passwords are printed by the demonstration: never use this data elsewhere. */
export const PEOPLE = {
  citizen: { identifier: 'lihua', password: 'spring rain on the lake' },
  officer: { identifier: 'demo-officer', password: 'the seal stays in the box' },
  administrator: { identifier: 'demo-admin', password: 'a desk with many drawers' },
  keeper: { identifier: 'demo-keeper', password: 'two keys on one ring' },
  auditor: { identifier: 'demo-auditor', password: 'a red pencil and a ledger' },
  /** From outside: acts for the organisation by its mandate. */
  accountant: { identifier: 'demo-accountant', password: 'columns that add up twice' },
} as const;

/** Who the citizen is in the register of invented people, for whoever wants to prove it on `/account/identity`. */
export const REGISTERED = FICTIONAL_PEOPLE.slice(0, 2).map(({ name, number, phone }) => ({
  name,
  number,
  phone,
}));

export const SEAL_NAME = '杭州云栖示例科技有限公司';
export const SEAL_DESK = 'seal-desk';

/** The world, for the addresses that the demonstration runs at. */
export function fictionalWorld(origins: {
  zhejiang: string;
  guangdong: string;
  sealDesk: string;
}): Provisioning {
  const portal = (origin: string) => ({
    homeUri: `${origin}/`,
    redirectUris: [`${origin}/callback`],
    postLogoutRedirectUris: [`${origin}/`],
    backchannelLogoutUri: `${origin}/backchannel-logout`,
  });
  return {
    portals: [
      {
        clientId: 'zhejiang',
        name: { 'zh-CN': '浙江政务服务网', en: 'Zhejiang Government Services' },
        sector: 'zhejiang',
        ...portal(origins.zhejiang),
        scopes: ['openid', 'profile', 'phone', 'email', 'address', 'realname', 'organisation'],
      },
      {
        clientId: 'guangdong',
        name: { 'zh-CN': '广东政务服务网', en: 'Guangdong Government Services' },
        sector: 'guangdong',
        ...portal(origins.guangdong),
        scopes: ['openid', 'profile', 'phone'],
      },
      {
        clientId: SEAL_DESK,
        name: { 'zh-CN': '示例用印工作台', en: 'Demo Seal Desk' },
        sector: SEAL_DESK,
        homeUri: origins.sealDesk,
        redirectUris: [`${origins.sealDesk}/callback`],
        scopes: ['openid', 'seals:use'],
      },
    ],
    organisations: [
      {
        unifiedSocialCreditCode: '91330106MADEMYXKJ3',
        name: '杭州云栖示例科技有限公司',
        members: [
          { identifier: PEOPLE.administrator.identifier, role: 'administrator' },
          { identifier: PEOPLE.auditor.identifier, role: 'auditor' },
        ],
        units: [
          {
            name: '行政部',
            officers: [PEOPLE.officer.identifier],
            members: [{ identifier: PEOPLE.keeper.identifier, role: 'seal-keeper' }],
            seals: [SEAL_NAME],
            units: [{ name: '前台' }],
          },
          { name: '财务部', seals: [`${SEAL_NAME}财务部`] },
        ],
        mandates: [
          {
            agent: PEOPLE.accountant.identifier,
            services: ['zhejiang'],
            purpose: '代理记账和年度申报',
            days: 365,
          },
        ],
      },
    ],
  };
}
