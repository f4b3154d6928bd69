/** Registering an organisation that one represents, on one's own pages. */
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { FICTIONAL_ORGANISATIONS } from '../../src/organisations/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import { newPerson, type Person } from '../support/relying-party.ts';

const [INVENTED] = FICTIONAL_ORGANISATIONS;
if (!INVENTED) throw new Error('no invented organisation');
let t: TestApp;
beforeAll(async () => {
  t = await startApp({
    env: {
      IDENTITY_SOURCES:
        '{"authorities":[{"driver":"fictional"}],"organisationRegister":{"driver":"fictional"}}',
    },
  });
});
afterAll(() => t.stop());

const has = (page: Page, action: string) => page.forms.some((form) => form.action.pathname.endsWith(action));

/** @param secret Of the authenticator app, if there is one. */
async function open(browser: UserAgent, person: Person, secret?: string): Promise<Page> {
  let page = await browser.get(`${t.origin}/account/organisations/found`);
  if (has(page, '/sign-in')) page = await browser.submit(page, { ...person }, '/sign-in');
  if (secret !== undefined && has(page, '/otp'))
    page = await browser.submit(page, { code: TOTP.generate({ secret: Secret.fromBase32(secret) }) }, '/otp');
  return page;
}
const prove = (browser: UserAgent, page: Page, code: string) => browser.submit(page, { code }, '/found');

test('whoever has not proven who they are is told to, before the register is asked', async () => {
  const person = newPerson();
  await t.app.identity.register(person);
  const browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
  const page = await open(browser, person);
  expect(page.text).toContain('虚构的单位登记册');
  const answer = await prove(browser, page, INVENTED.unifiedSocialCreditCode);
  expect([answer.status, answer.text]).toEqual([422, expect.stringContaining('请先核实身份')]);
  expect(await t.app.organisations.findByCode(INVENTED.unifiedSocialCreditCode)).toBeUndefined();
});

test('the person whom the register names founds the organisation, and opens its page', async () => {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.proofing.compare(accountId, statementOf(fictional(INVENTED.representative.name)), {
    wanted: 2,
    returnUri: 'x',
  });
  await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
  const { secret } = t.app.identity.totp.propose('');
  await t.app.identity.totp.enrol({
    accountId,
    secret,
    code: TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: Date.now() - 30_000 }),
  });
  const browser = new UserAgent({ 'Accept-Language': 'zh-CN' });
  const page = await open(browser, person, secret);
  expect((await prove(browser, page, '91330106MADEMYXKJ4')).text).toContain('统一社会信用代码不正确');
  expect((await prove(browser, page, '11330000MADEMY001J')).text).toContain(
    '没有确认您是这个单位的法定代表人',
  );
  const founded = await prove(browser, page, ` ${INVENTED.unifiedSocialCreditCode.toLowerCase()} `);
  expect(founded.text).toContain(`您是 ${INVENTED.name} 的法定代表人`);
  const organisation = await t.app.organisations.findByCode(INVENTED.unifiedSocialCreditCode);
  expect(founded.text).toContain(`/account/organisations/${organisation?.id}`);
  expect(await t.app.organisations.membershipsOf(accountId)).toMatchObject([
    { role: 'legal-representative' },
  ]);
});
