/** What portals are told of people: scopes, single claims, verified claims; nothing that they are not entitled to, nothing unasked. */
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import { newPerson, registerRelyingParty, type Person, type RelyingParty } from '../support/relying-party.ts';

const SCOPES = ['openid', 'profile', 'phone', 'email', 'address', 'realname', 'organisation'];
let t: TestApp;
let plain: RelyingParty;
let neighbour: RelyingParty;
let entitled: RelyingParty;
let person: Person;
let accountId: string;

beforeAll(async () => {
  t = await startApp({ env: { IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' } });
  plain = await registerRelyingParty(t, { clientId: 'plain', scopes: SCOPES });
  neighbour = await registerRelyingParty(t, { clientId: 'neighbour', scopes: SCOPES });
  entitled = await registerRelyingParty(t, {
    clientId: 'entitled',
    scopes: SCOPES,
    registration: { entitlements: ['id-number', 'verified-claims'], claims: ['birthdate'] },
  });
  person = newPerson();
  ({ accountId } = await t.app.identity.register(person));
  await t.app.identity.proofing.compare(accountId, statementOf(fictional('李华')), {
    wanted: 2,
    returnUri: 'x',
  });
});
afterAll(async () => {
  await Promise.all([plain.stop(), neighbour.stop(), entitled.stop()]);
  await t.stop();
});

/** Signs in, agreeing to all that is asked. @returns the consent page, if there was one, and what userinfo and the ID token say. */
async function visit(rp: RelyingParty, parameters: Record<string, string>, who: Person = person) {
  const browser = new UserAgent();
  const attempt = await rp.begin(parameters);
  let page = await browser.get(attempt.url, rp.redirectUri);
  if (page.forms.some(({ action }) => action.pathname.endsWith('/sign-in')))
    page = await browser.submit(page, { ...who }, '/sign-in', rp.redirectUri);
  let consent: Page | undefined;
  if (page.forms.some(({ action }) => action.pathname.endsWith('/consent'))) {
    consent = page;
    const ticked = [...page.text.matchAll(/type="checkbox" name="([^"]+)"/g)].map(([, name = '']) => [
      name,
      'yes',
    ]);
    page = await browser.submit(
      page,
      { ...Object.fromEntries(ticked), decision: 'allow' },
      '/consent',
      rp.redirectUri,
    );
  }
  if (page.url.searchParams.get('error')) return { page, consent, userinfo: {}, idToken: {} };
  const tokens = await rp.redeem(page.url, attempt);
  const idToken = tokens.claims() ?? {};
  const userinfo: Record<string, unknown> = await oidc.fetchUserInfo(
    rp.client,
    tokens.access_token,
    tokens.claims()?.sub ?? '',
  );
  return { page, consent, userinfo, idToken: idToken as Record<string, unknown> };
}
const claims = (userinfo: object, idToken?: object) =>
  JSON.stringify({ userinfo, ...(idToken ? { id_token: idToken } : {}) });

describe('realname', () => {
  test('releases the name and a number that means something in one sector alone, masked before', async () => {
    const { consent, userinfo } = await visit(plain, { scope: 'openid realname' });
    expect(consent?.text).toContain('李*');
    expect(consent?.text).not.toContain('李华');
    expect(userinfo).toEqual({ sub: expect.any(String), name: '李华', id_number_hash: expect.any(String) });
    const other = await visit(neighbour, { scope: 'openid realname' });
    expect(other.userinfo['id_number_hash']).not.toBe(userinfo['id_number_hash']);
    const again = await visit(plain, { scope: 'openid realname' });
    expect(again.consent).toBeUndefined();
    expect(again.userinfo).toEqual(userinfo);
  });

  test('releases nothing of somebody who was not proofed', async () => {
    const nobody = newPerson();
    await t.app.identity.register(nobody);
    const { consent, userinfo } = await visit(plain, { scope: 'openid realname' }, nobody);
    expect(consent?.text).toContain('暂无');
    expect(userinfo).toEqual({ sub: expect.any(String) });
  });
});

test('who has recovered an account by an address alone passes for nobody, whatever was agreed to before', async () => {
  const owner = newPerson();
  const { accountId: id } = await t.app.identity.register(owner);
  await t.app.identity.proofing.compare(id, statementOf(fictional('王小示')), { wanted: 2, returnUri: 'x' });
  const everything = {
    scope: 'openid realname',
    claims: claims({
      id_number: null,
      birthdate: null,
      verified_claims: { verification: { trust_framework: null }, claims: { name: null } },
    }),
  };
  expect((await visit(entitled, everything, owner)).userinfo).toHaveProperty('verified_claims');

  const password = 'another lamp in the harbour';
  await t.app.identity.recovery.complete({ accountId: id, password, shown: ['sms'] });
  const { userinfo } = await visit(entitled, everything, { ...owner, password });
  expect(userinfo).toEqual({ sub: expect.any(String) });
  expect(await t.app.identity.persons.person(id)).toBeUndefined();
  // The document stays taken: nobody else is proofed with it.
  const other = await t.app.identity.register(newPerson());
  expect(
    await t.app.identity.proofing.compare(other.accountId, statementOf(fictional('王小示')), {
      wanted: 2,
      returnUri: 'x',
    }),
  ).toMatchObject({ kind: 'taken' });
});

describe('the ID number', () => {
  test('is for entitled portals, asked for by name, masked before', async () => {
    const parameters = {
      scope: 'openid',
      claims: claims({ id_number: { essential: true }, id_number_type: null }),
    };
    const { consent, userinfo } = await visit(entitled, parameters);
    expect(consent?.text).toContain('339*************1X');
    expect(consent?.text).not.toContain('33999919900307001X');
    expect(userinfo).toMatchObject({ id_number: '33999919900307001X', id_number_type: 'resident-id' });
  });

  test('is given to no other portal, whatever it asks', async () => {
    const asked = {
      id_number: { essential: true },
      birthdate: null,
      verified_claims: { verification: { trust_framework: null }, claims: { id_number: null, name: null } },
    };
    const { consent, userinfo, idToken } = await visit(plain, {
      scope: 'openid realname',
      claims: claims(asked, asked),
    });
    expect(consent?.text ?? '').not.toContain('339');
    for (const told of [userinfo, idToken]) {
      expect(JSON.stringify(told)).not.toContain('33999919900307001X');
      expect(told).not.toHaveProperty('birthdate');
      expect(told).not.toHaveProperty('verified_claims');
    }
  });
});

describe('verified_claims', () => {
  const request = (inside: object) => ({
    verified_claims: {
      verification: {
        trust_framework: null,
        assurance_level: null,
        evidence: [{ type: null, record: { source: { name: null } } }],
      },
      claims: inside,
    },
  });

  test('say how it was found out, and that the register is an invented one', async () => {
    const { consent, userinfo, idToken } = await visit(entitled, {
      scope: 'openid',
      claims: claims(request({ name: null, birthdate: null }), request({ name: null })),
    });
    // Each claim inside is put to the person as what it is.
    for (const text of ['真实姓名', '李*', '出生日期', '1990-**-**']) expect(consent?.text).toContain(text);
    expect(userinfo['verified_claims']).toEqual({
      verification: {
        trust_framework: 'urn:yinxin:trust-framework:fiction',
        assurance_level: 'urn:yinxin:proofing:2',
        evidence: [
          {
            type: 'electronic_record',
            record: { type: 'population_register', source: { name: '虚构人口登记册' } },
          },
        ],
      },
      claims: { name: '李华', birthdate: '1990-03-07' },
    });
    expect(idToken['verified_claims']).toMatchObject({ claims: { name: '李华' } });
    // They are given inside and not beside.
    expect(userinfo).not.toHaveProperty('name');
  });

  test('with another claim inside ask the person again', async () => {
    const first = { scope: 'openid', claims: claims(request({ name: null })) };
    await visit(entitled, first);
    expect((await visit(entitled, first)).consent).toBeUndefined();
    const { consent, userinfo } = await visit(entitled, {
      scope: 'openid',
      claims: claims(request({ name: null, id_number_hash: null })),
    });
    expect(consent?.text).toContain('专用编号');
    expect(userinfo['verified_claims']).toMatchObject({ claims: { id_number_hash: expect.any(String) } });
  });

  test('that a person refuses are not given', async () => {
    const who = newPerson();
    const { accountId: id } = await t.app.identity.register(who);
    await t.app.identity.proofing.compare(id, statementOf(fictional('张三')), { wanted: 2, returnUri: 'x' });
    const browser = new UserAgent();
    const attempt = await entitled.begin({
      scope: 'openid',
      claims: claims(request({ name: null, birthdate: null })),
    });
    const signInPage = await browser.get(attempt.url, entitled.redirectUri);
    const consent = await browser.submit(signInPage, { ...who }, '/sign-in', entitled.redirectUri);
    // Without `essential` a claim is voluntary, and nothing is ticked.
    const done = await browser.submit(
      consent,
      { decision: 'allow', 'claim-birthdate': 'yes' },
      '/consent',
      entitled.redirectUri,
    );
    const tokens = await entitled.redeem(done.url, attempt);
    const userinfo = await oidc.fetchUserInfo(
      entitled.client,
      tokens.access_token,
      tokens.claims()?.sub ?? '',
    );
    expect(userinfo['verified_claims']).toMatchObject({ claims: { birthdate: '1978-01-01' } });
    expect(JSON.stringify(userinfo)).not.toContain('张三');
  });

  test('as a list are answered by the first that can be met; malformed ones are refused', async () => {
    const [one] = Object.values(request({ name: null }));
    const list = [{ ...one, verification: { trust_framework: { value: 'eidas' } } }, one];
    const { userinfo } = await visit(entitled, {
      scope: 'openid',
      claims: claims({ verified_claims: list }),
    });
    expect(userinfo['verified_claims']).toMatchObject({ claims: { name: '李华' } });
    const { page } = await visit(entitled, {
      scope: 'openid',
      claims: claims({ verified_claims: { claims: {} } }),
    });
    expect(page.url.searchParams.get('error')).toBe('invalid_request');
  });

  test('are announced in the metadata', async () => {
    const metadata = entitled.client.serverMetadata();
    expect(metadata).toMatchObject({
      verified_claims_supported: true,
      trust_frameworks_supported: ['urn:yinxin:trust-framework:fiction'],
      evidence_supported: ['electronic_record'],
      electronic_records_supported: ['population_register'],
    });
    expect(metadata['claims_in_verified_claims_supported']).toContain('name');
    expect(metadata.scopes_supported).toEqual(expect.arrayContaining(SCOPES));
    expect(metadata['claims_supported']).toEqual(
      expect.arrayContaining(['id_number', 'verified_claims', 'address']),
    );
  });
});

test('address, e-mail, and the organisation that the person acts for, are released as the account has them', async () => {
  await t.app.identity.addresses.set(accountId, {
    region: '浙江省',
    locality: '杭州市',
    street_address: '示例路1号',
  });
  const organisation = await t.app.organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '示例科技有限公司' },
    'system',
  );
  const unit = await t.app.organisations.createUnit(organisation, '行政部', 'system');
  await t.app.organisations.grant(
    {
      accountId: accountId as Parameters<typeof t.app.organisations.grant>[0]['accountId'],
      unitId: unit.id,
      role: 'seal-officer',
    },
    'system',
  );
  const { consent, userinfo } = await visit(plain, { scope: 'openid email address organisation profile' });
  expect(consent?.text).toContain('示例科技有限公司');
  expect(consent?.text).not.toContain('示例路');
  expect(userinfo).toEqual({
    sub: expect.any(String),
    preferred_username: person.identifier,
    address: {
      formatted: '示例路1号\n杭州市\n浙江省',
      region: '浙江省',
      locality: '杭州市',
      street_address: '示例路1号',
    },
    organisation: {
      unified_social_credit_code: '91330106MADEMYXKJ3',
      name: '示例科技有限公司',
      unit: '行政部',
    },
    act: { sub: userinfo.sub },
    organisation_authority: { kind: 'role', roles: ['seal-officer'] },
  });
});

test('a portal that registers itself has no entitlement', async () => {
  const token = await t.app.oidc.issueInitialAccessToken({ seconds: 60 });
  const answer = await fetch(`${t.origin}/register`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ redirect_uris: ['https://portal.example/callback'], entitlements: ['id-number'] }),
  });
  expect(answer.status).toBe(201);
  const metadata = (await answer.json()) as { client_id: string };
  const portal = await t.app.portals.find(metadata.client_id);
  expect(portal?.entitlements).toEqual([]);
});
