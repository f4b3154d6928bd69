/** An organisation's own pages: units, people, mandates and what takes two persons, each for whoever may, and for nobody else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { Organisation } from '../../src/organisations/index.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { CODES } from '../support/organisations.ts';
import { newPerson, registerRelyingParty, type Person, type RelyingParty } from '../support/relying-party.ts';

let t: TestApp;
let portal: RelyingParty;
let organisation: Organisation;
let other: Organisation;

interface Member {
  readonly person: Person;
  readonly accountId: AccountId;
  readonly browser: UserAgent;
}
/** The legal representative of the organisation, an administrator, and one of another organisation. */
let representative: Member;
let administrator: Member;
let stranger: Member;

beforeAll(async () => {
  t = await startApp();
  portal = await registerRelyingParty(t, {
    clientId: 'portal',
    scopes: ['openid', 'organisation'],
    scope: 'openid organisation',
  });
  const { organisations } = t.app;
  organisation = await organisations.found(
    { unifiedSocialCreditCode: CODES[0], name: '虚构示例有限公司' },
    'system',
  );
  other = await organisations.found({ unifiedSocialCreditCode: CODES[1], name: '别家虚构公司' }, 'system');
  [representative, administrator, stranger] = [await member(), await member(), await member()];
  for (const [{ id: organisationId }, { accountId }] of [
    [organisation, representative],
    [other, stranger],
  ] as const)
    await organisations.grant({ accountId, organisationId, role: 'legal-representative' }, 'system');
});
afterAll(async () => {
  await portal.stop();
  await t.stop();
});

async function member(): Promise<Member> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  return { person, accountId, browser: new UserAgent({ 'Accept-Language': 'zh-CN' }) };
}
const has = (page: Page, action: string) => page.forms.some((form) => form.action.pathname.endsWith(action));
const base = (of = organisation) => `/account/organisations/${of.id}`;

async function open({ browser, person }: Member, path: string): Promise<Page> {
  let page = await browser.get(`${t.origin}${path}`);
  if (has(page, '/sign-in')) page = await browser.submit(page, { ...person }, '/sign-in');
  if (has(page, '/confirm')) page = await browser.submit(page, { password: person.password }, '/confirm');
  return page;
}
/** Opens a page and sends the form on it. */
async function send(
  who: Member,
  path: string,
  action: string,
  fields: Record<string, string>,
): Promise<Page> {
  return who.browser.submit(await open(who, path), fields, action);
}

test('whoever manages adds units, renames, and closes them', async () => {
  const made = await send(representative, base(), '/create-unit', { unitName: '财务处' });
  expect(made.text).toContain('部门已添加');
  expect((await send(representative, base(), '/create-unit', { unitName: '财务处' })).status).toBe(422);
  expect((await send(representative, base(), '/create-unit', { unitName: ' ' })).status).toBe(422);
  const [unit] = await t.app.organisations.units(organisation);
  const path = `${base()}/units/${unit?.id}`;
  const renamed = await send(representative, path, '/rename', { name: '财务与审计处' });
  expect(renamed.text).toContain('<h1><bdi>财务与审计处');
  const below = await send(representative, path, '/create-unit', { unitName: '出纳室' });
  expect(below.text).toContain('出纳室');
  const inUse = await send(representative, path, '/close', {});
  expect(inUse.status).toBe(422);
  expect(inUse.text).toContain('还有下级部门');
  const desk = (await t.app.organisations.units(organisation)).find(({ name }) => name === '出纳室');
  const closed = await send(representative, `${base()}/units/${desk?.id}`, '/close', {});
  expect(closed.text).toContain('部门已撤销');
  expect(closed.url.pathname).toContain('/close');
  expect((await t.app.organisations.units(organisation)).map(({ name }) => name)).toEqual(['财务与审计处']);
});

test('roles are given by name and ended; duties stay apart; who is named wrongly is told so', async () => {
  const officer = await member();
  const unit = await t.app.organisations.createUnit(organisation, '印章室', 'system');
  const path = `${base()}/units/${unit.id}`;
  const { identifier } = officer.person;
  const given = await send(representative, path, '/appoint', { identifier, role: 'seal-officer' });
  expect(given.text).toContain('职责已分配');
  expect(given.text).toContain(identifier);
  const apart = await send(representative, path, '/appoint', { identifier, role: 'seal-keeper' });
  expect(apart.status).toBe(422);
  expect(apart.text).toContain('不能由同一个人担任');
  for (const wrong of ['', 'nobody-of-this-name']) {
    const refused = await send(representative, path, '/appoint', { identifier: wrong, role: 'seal-keeper' });
    expect(refused.status, wrong).toBe(422);
  }
  // Nobody makes a legal representative by a form.
  const sneaked = await send(representative, base(), '/appoint', {
    identifier,
    role: 'legal-representative',
  });
  expect(sneaked.status).toBe(422);
  expect(await t.app.organisations.rolesOf(officer.accountId, unit.id)).toEqual(['seal-officer']);
  const page = await open(representative, path);
  const membership = /name="membership" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
  const ended = await representative.browser.submit(page, { membership }, '/end-role');
  expect(ended.text).toContain('职责已解除');
  expect(await t.app.organisations.rolesOf(officer.accountId, unit.id)).toEqual([]);
});

test('an administrator is asked for by one and approved by another, once, and done once', async () => {
  const { identifier } = administrator.person;
  // There is nobody beside the representative who could approve: the operator has appointed one.
  const second = await member();
  await t.app.db.transaction(async (tx) => {
    const act = await t.app.dualControl.request(tx, {
      act: 'organisation.appoint-administrator',
      parameters: { accountId: second.accountId, unitId: null },
      requestedBy: representative.accountId,
      scope: organisation.id,
    });
    return act;
  });
  const [bootstrap] = await t.app.dualControl.list(organisation.id);
  await t.app.dualControl.approve({
    scope: organisation.id,
    id: bootstrap?.id ?? '',
    by: 'operator',
    digest: bootstrap?.digest ?? '',
  });
  await t.app.dualControl.execute({
    scope: organisation.id,
    id: bootstrap?.id ?? '',
    by: representative.accountId,
  });

  const asked = await send(representative, base(), '/appoint', { identifier, role: 'administrator' });
  expect(asked.text).toContain('需要另一位管理人员批准');
  const acts = `${base()}/acts`;
  const own = await open(representative, acts);
  expect(own.text).toContain('任命管理员');
  expect(own.text).not.toContain('value="approve"');
  // Whoever asked approves nothing, whatever they send.
  const forged = await representative.browser.submit(own, { step: 'approve' }, '/acts');
  expect(forged.status).toBe(422);
  const approved = await send(second, acts, '/acts', { step: 'approve' });
  expect(approved.text).toContain('已批准');
  expect((await t.app.organisations.membershipsOf(administrator.accountId)).length).toBe(0);
  const done = await send(second, acts, '/acts', { step: 'execute' });
  expect(done.text).toContain('已执行');
  expect(await t.app.organisations.membershipsOf(administrator.accountId)).toMatchObject([
    { role: 'administrator' },
  ]);
  const { forms } = await open(second, acts);
  expect(forms.filter(({ action }) => action.pathname.endsWith('/acts'))).toEqual([]);
});

test('a mandate is granted, used, seen with every use, and revoked; its agent chooses it at once', async () => {
  const agent = await member();
  const path = `${base()}/mandates`;
  const fields = { identifier: agent.person.identifier, purpose: '年度报告', days: '30' };
  const empty = await send(representative, path, '/mandates', fields);
  expect(empty.status).toBe(422);
  expect(empty.text).toContain('请至少选择一个门户');
  const long = await send(representative, path, '/mandates', {
    ...fields,
    days: '4000',
    'service-portal': 'yes',
  });
  expect(long.status).toBe(422);
  const granted = await send(representative, path, '/mandates', { ...fields, 'service-portal': 'yes' });
  expect(granted.text).toContain('已授权');

  // The agent says on a page of their own for whom they act, and goes to the portal: nothing more is asked.
  const choices = await open(agent, '/account/organisations');
  const word = /name="as" value="(mdt_[^"]+)"/.exec(choices.text)?.[1] ?? '';
  const switched = await agent.browser.submit(choices, { as: word }, '/acting');
  expect(switched.text).toContain('当前选择');
  const attempt = await portal.begin();
  const consent = await agent.browser.get(attempt.url, portal.redirectUri);
  const arrived = await agent.browser.submit(consent, { decision: 'allow' }, '/consent', portal.redirectUri);
  expect((await portal.redeem(arrived.url, attempt)).claims()).toMatchObject({
    organisation: { name: '虚构示例有限公司' },
    organisation_authority: { kind: 'mandate', purpose: '年度报告' },
  });
  const listed = await open(representative, path);
  const href = /href="(\/account\/organisations\/[^"]+\/mandates\/mdt_[^"]+)"/.exec(listed.text)?.[1] ?? '';
  expect((await open(representative, href)).text).toContain('测试门户 portal');

  // For themselves from now on, also where they have been.
  const back = await agent.browser.submit(
    await open(agent, '/account/organisations'),
    { as: 'self' },
    '/acting',
  );
  expect(back.text).toContain('当前选择');
  const again = await portal.begin();
  const plain = await agent.browser.get(again.url, portal.redirectUri);
  expect((await portal.redeem(plain.url, again)).claims()).not.toHaveProperty('organisation');

  const revoked = await send(representative, href, '/revoke', {});
  expect(revoked.text).toContain('授权已撤销');
  expect((await open(agent, '/account/organisations')).text).toContain('不能代表任何单位');
  // What nobody may act for is chosen by no form.
  const forged = await agent.browser.submit(choices, { as: word }, '/acting');
  expect(forged.text).not.toContain('已切换');
});

test('nobody sees or changes anything of an organisation that they hold nothing in, and it looks as if it were not there', async () => {
  const unit = await t.app.organisations.createUnit(organisation, '机密室', 'system');
  const paths = [
    base(),
    `${base()}/units/${unit.id}`,
    `${base()}/mandates`,
    `${base()}/units/${unit.id}/mandates`,
    `${base()}/acts`,
    `${base(other)}/units/${unit.id}`,
    '/account/organisations/org_01jzzzzzzzzzzzzzzzzzzzzzzz',
    '/account/organisations/nonsense',
  ];
  for (const path of paths) {
    const page = await open(stranger, path);
    expect(page.status, path).toBe(404);
    expect(page.text, path).not.toContain('机密室');
  }
  // With a form of their own organisation's page, sent elsewhere.
  const own = await open(stranger, base(other));
  const form = own.forms.find(({ action }) => action.pathname.endsWith('/create-unit'));
  for (const path of [
    `${base()}/create-unit`,
    `${base()}/units/${unit.id}/rename`,
    `${base()}/units/${unit.id}/close`,
    `${base()}/mandates`,
    `${base()}/acts`,
  ]) {
    const answer = await fetch(t.origin + path, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        Origin: t.origin,
        Cookie: await stranger.browser.jar.getCookieString(t.origin),
      },
      body: new URLSearchParams({ ...form?.fields, unitName: 'x', name: 'x' }),
    });
    expect(answer.status, path).toBe(404);
  }
  expect((await t.app.organisations.unit(unit.id))?.name).toBe('机密室');
});

test('an auditor sees members and mandates, and no form', async () => {
  const auditor = await member();
  await t.app.organisations.grant(
    { accountId: auditor.accountId, organisationId: organisation.id, role: 'auditor' },
    'system',
  );
  const page = await open(auditor, base());
  expect(page.text).toContain('人员和职责');
  expect(page.forms.filter(({ action }) => action.pathname.startsWith('/account/organisations'))).toEqual([]);
  const mandates = await open(auditor, `${base()}/mandates`);
  expect(mandates.text).toContain('年度报告');
  expect(has(mandates, '/mandates')).toBe(false);
  expect((await open(auditor, `${base()}/acts`)).status).toBe(403);
});
