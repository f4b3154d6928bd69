/**
 * The ways of a citizen through the pages, as a browser walks them. Each way stops at every page that it meets and lets a test look at it;
 * a new page is added here once, and every test of pages then visits it in every language, mode and size.
 */
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import type { BrowserContext, Page } from 'playwright-core';
import { readCode, readMessage } from '../../src/demo/outbox.ts';
import { APPOINT_ADMINISTRATOR } from '../../src/organisations/index.ts';
import { CIBA, DEVICE_CODE } from '../../src/portals/index.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import type { RawEnv } from '../../src/platform/config.ts';
import { lenientLimits, type TestApp } from './app.ts';
import { Authenticator } from './authenticator.ts';
import { CODES } from './organisations.ts';
import { fictional, statementOf } from './proofing.ts';
import { newPerson, registerRelyingParty, signIn, type Person, type RelyingParty } from './relying-party.ts';

/** Pages that the templates can make: `views/<name>.eta`. */
export const VIEWS: readonly string[] = globSync('views/*.eta')
  .map((file) => basename(file, '.eta'))
  .filter((name) => name !== 'layout');

/** Where people are known from: the register of invented ones, and a provider that never answers. */
export const SOURCES = {
  authorities: [{ driver: 'fictional' }],
  upstreams: [
    {
      id: 'national',
      name: { 'zh-CN': '国家网络身份认证公共服务（示例）', en: 'National identity (example)' },
      issuer: 'http://127.0.0.1:9',
      clientId: 'yinxin',
      clientSecret: 'never used by anybody',
      acr: { high: { proofing: 3, method: 'fedmfa' } },
      claims: { name: 'name', number: 'id_number', documentKind: '=resident-id' },
    },
  ],
};

/** What people are sent from and to, on one installation. */
export interface Surroundings {
  readonly t: TestApp;
  readonly rp: RelyingParty;
  /** A portal in its sandbox that asks for everything there is. */
  readonly kiosk: RelyingParty;
  stop(): Promise<void>;
}

/** What an installation needs for every walk: people who are invented, and limits that are soon met by whoever guesses passwords. */
export function walkEnv(): RawEnv {
  return {
    IDENTITY_SOURCES: JSON.stringify(SOURCES),
    LIMITS: JSON.stringify({ ...lenientLimits(), password: { pair: [{ tries: 4, seconds: 600 }] } }),
  };
}

export async function surround(t: TestApp): Promise<Surroundings> {
  const rp = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone profile' });
  const kiosk = await registerRelyingParty(t, {
    clientId: 'kiosk',
    scopes: ['openid', 'profile', 'phone', 'organisation', 'seals:use'],
    registration: {
      optionalClaims: ['phone_number'],
      metadata: {
        grant_types: ['authorization_code', DEVICE_CODE, CIBA],
        backchannel_token_delivery_mode: 'poll',
        authorization_details_types: ['urn:yinxin:seal-act'],
        policy_uri: 'https://kiosk.example/privacy',
        tos_uri: 'https://kiosk.example/terms',
      },
    },
  });
  await t.app.portals.setState('kiosk', 'sandbox', 'system');
  return {
    t,
    rp,
    kiosk,
    async stop() {
      await Promise.all([rp.stop(), kiosk.stop()]);
    },
  };
}

/** Lets a browser meet portals that answer with a page of their own: what matters is that it was allowed to go there. */
export async function meetPortals(browser: BrowserContext, { rp, kiosk }: Surroundings): Promise<void> {
  for (const { redirectUri } of [rp, kiosk])
    await browser.route(`${new URL(redirectUri).origin}/**`, (route) =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>portal</title>' }),
    );
}

/** One browser on its way. */
export interface Visitor extends Surroundings {
  readonly page: Page;
  /** Called at every page that the way meets. @param name Says where on the way, for messages and pictures. */
  look(name: string): Promise<void>;
  /** A message of the catalogue that the pages are in. */
  words(key: string): string;
}

export type Walk = (visitor: Visitor) => Promise<void>;

const press = (page: Page, action: string) =>
  page.click(`form[action$="${action}"] button[type="submit"]:not([name])`);

/** From the page of sign-in to what follows it. */
async function enter({ page, look }: Visitor, person: Person): Promise<void> {
  await page.fill('#identifier', person.identifier);
  if (!(await page.locator('#password').isVisible())) {
    await press(page, '/sign-in');
    await look('sign-in-password');
  }
  await page.fill('#password', person.password);
  await press(page, '/sign-in');
}

/** Sends a new password. Where scripts run it can be looked at in place of being typed twice. */
async function choose(page: Page, password: string, action: string): Promise<void> {
  await page.fill('#password', password);
  const again = page.locator('#passwordAgain');
  if (await again.isVisible()) await again.fill(password);
  await press(page, action);
}

async function newAccount({ t }: Surroundings, identifier?: string) {
  const person = { ...newPerson(), ...(identifier === undefined ? {} : { identifier }) };
  return { person, ...(await t.app.identity.register(person)) };
}

let phones = 0;
/** A mobile number in a block that no operator has given out. */
const newPhone = () => `1990000${String((phones += 1)).padStart(4, '0')}`;

export const WALKS: Readonly<Record<string, Walk>> = {
  async 'from home through registration to a portal, and out again'(visitor) {
    const { t, rp, page, look } = visitor;
    await page.goto(`${t.origin}/`);
    await look('home');
    await page.goto((await rp.begin()).url.href);
    await look('sign-in');
    await enter(visitor, { ...newPerson(), password: 'not the password' });
    await look('sign-in-refused');
    // Elder mode has left the first page behind.
    const another = page.locator('a[href$="other=yes"]');
    if (await another.isVisible()) await another.click();
    await page.click('a[href$="/register"]');
    await look('register');
    await press(page, '/register');
    await look('register-problems');
    const person = { ...newPerson(), identifier: newPhone() };
    await page.fill('#identifier', person.identifier);
    await press(page, '/register');
    await look('register-code');
    await page.fill('#code', '12');
    await press(page, '/register/code');
    await look('register-code-wrong');
    await page.fill('#code', await readCode(t.origin, `+86${person.identifier}`));
    await press(page, '/register/code');
    await look('register-password');
    await choose(page, 'short', '/register/password');
    await look('register-password-short');
    await choose(page, person.password, '/register/password');
    await look('consent');
    await page.click('button[value="allow"]');
    // Chromium holds `form-action` against the redirect after the POST: arriving proves that the policy allows the portal.
    await page.waitForURL(`${rp.redirectUri}**`);
    const home = new URL('/', rp.redirectUri).href;
    await page.goto(
      `${t.origin}/end-session?client_id=zhejiang&post_logout_redirect_uri=${encodeURIComponent(home)}`,
    );
    await look('sign-out');
    await page.click('button[name="logout"]');
    await page.waitForURL(home);
    await page.goto(`${t.origin}/end-session/success`);
    await look('signed-out');
  },

  async 'a new password where the present one is too short to be all'(visitor) {
    const { t, rp, page, look } = visitor;
    const { person, accountId } = await newAccount(visitor);
    await t.app.db.query('UPDATE password_credentials SET stands_alone = false WHERE account_id = $1', [
      accountId,
    ]);
    await page.goto((await rp.begin()).url.href);
    await enter(visitor, person);
    await look('new-password');
    await choose(page, 'k8j2p9qx', '/new-password');
    await look('new-password-problems');
  },

  async 'signing in by a code, codes as second factors, and recovery'(visitor) {
    const { t, rp, page, look } = visitor;
    const person = { ...newPerson(), identifier: newPhone() };
    const { accountId } = await t.app.identity.register({ ...person, verified: true });
    await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
    await page.goto((await rp.begin({ acr_values: 'urn:yinxin:loa:3' })).url.href);
    await page.click('a[href$="/code"]');
    await look('code-address');
    await press(page, '/code');
    await look('code-address-problem');
    await page.fill('#identifier', person.identifier);
    await press(page, '/code');
    await look('code');
    await page.fill('#code', await readCode(t.origin, `+86${person.identifier}`));
    await press(page, '/code/enter');
    await look('confirm-after-code');

    await t.app.identity.recoveryCodes.generate(accountId);
    await page.goto((await rp.begin({ acr_values: 'urn:yinxin:loa:3', prompt: 'login' })).url.href);
    await enter(visitor, person);
    await look('send-code');
    await press(page, '/sms/resend');
    await look('code-as-second-factor');
    await page.click('a[href*="way=recovery"]');
    await look('recovery-code');
    await press(page, '/recovery-code');
    await look('recovery-code-problem');

    await page.goto((await rp.begin()).url.href);
    await page.click('a[href$="/recover"]');
    await look('recover-address');
    const email = `c${newPhone()}@example.cn`;
    const other = await t.app.identity.register({ ...newPerson(), identifier: email, verified: true });
    await t.app.identity.recoveryCodes.generate(other.accountId);
    await page.fill('#identifier', email);
    await press(page, '/recover');
    await page.fill('#code', await readCode(t.origin, email));
    await press(page, '/recover/code');
    await look('recover-factor');
    await press(page, '/recover/factor');
    await look('recover-factor-problem');
    await press(page, '/recover/lost');
    await look('recover-wait');
    await page.goto(`${t.origin}/recovery/stop`);
    await look('recovery-stop');
    await press(page, '/recovery/stop');
    await look('recovery-stop-problem');
    const notice = await readMessage(t.origin, email, /recovery\/stop/);
    await page.fill('#word', /(?:[0-9a-z]{4}-){3}[0-9a-z]{4}/.exec(notice)?.[0] ?? '');
    await press(page, '/recovery/stop');
    await look('recovery-stopped');
    await page.goto(`${t.origin}/outbox`);
    await look('outbox');
  },

  async 'optional information and a single act, another account, confirming'(visitor) {
    const { t, kiosk, page, look } = visitor;
    const { person } = await newAccount(visitor, newPhone());
    const act = {
      type: 'urn:yinxin:seal-act',
      identifier: 'seal_01',
      document_digest: 'ab'.repeat(32),
      document_name: '房屋租赁合同（二〇二六年第十二号）.pdf',
      purpose: '签订合同',
    };
    const everything = await kiosk.begin({
      scope: 'openid profile phone seals:use',
      resource: `${t.origin}/api/v1`,
      authorization_details: JSON.stringify([act]),
    });
    await page.goto(everything.url.href);
    await enter(visitor, person);
    await look('consent-optional-and-act');
    await page.click('button[value="allow"]');
    await page.waitForURL(`${kiosk.redirectUri}**`);
    await page.goto((await kiosk.begin({ prompt: 'login' })).url.href);
    await look('confirm');
    await press(page, '/confirm');
    await look('confirm-problem');
    await page.goto((await kiosk.begin({ prompt: 'select_account' })).url.href);
    await look('select-account');
  },

  async 'acting for an organisation'(visitor) {
    const { t, kiosk, page, look } = visitor;
    const { person, accountId } = await newAccount(visitor);
    const { organisations } = t.app;
    const [code] = CODES;
    const company =
      (await organisations.findByCode(code)) ??
      (await organisations.found(
        { unifiedSocialCreditCode: code, name: '虚构市测绘与档案数字化服务有限责任公司' },
        'system',
      ));
    const unit =
      (await organisations.units(company))[0] ??
      (await organisations.createUnit(company, '行政许可与公共服务办公室', 'system'));
    await organisations.grant({ accountId, unitId: unit.id, role: 'seal-officer' }, 'system');
    await organisations.mandates.grant(
      {
        organisationId: company.id,
        agentId: accountId,
        services: ['kiosk'],
        seals: [],
        purpose: '年度报告',
        validTo: new Date(Date.now() + 30 * 86_400_000),
      },
      'system',
    );
    await page.goto((await kiosk.begin({ scope: 'openid organisation' })).url.href);
    await enter(visitor, person);
    await look('select-organisation');
    await page.click('button[name="as"]');
    await look('consent-organisation');
  },

  async 'an organisation, its people and mandates'(visitor) {
    const { t, page, look } = visitor;
    const { person, accountId } = await newAccount(visitor);
    const [officer, second] = [await newAccount(visitor), await newAccount(visitor)];
    const { organisations } = t.app;
    const company = await organisations.found(
      { unifiedSocialCreditCode: CODES[1], name: '虚构省公共资源交易与招标投标服务中心（示例）' },
      'system',
    );
    const organisationId = company.id;
    await organisations.grant({ accountId, organisationId, role: 'legal-representative' }, 'system');
    await organisations.createUnit(company, '合同管理室', 'system');
    const start = `${t.origin}/account/organisations`;
    await page.goto(start);
    await enter({ ...visitor, look: async () => undefined }, person);
    await look('account-organisations');
    await page.click('button[name="as"]');
    await look('account-organisations-switched');
    await page.goto(`${start}/found`);
    await look('account-found');
    await page.goto(`${start}/${organisationId}`);
    await look('organisation');
    await press(page, '/create-unit');
    await look('organisation-problem');
    await page.click(`a[href*="/units/"]`);
    await page.fill('#identifier', officer.person.identifier);
    await page.click('button[value="seal-officer"]');
    await look('organisation-unit');
    await page.goto(`${start}/${organisationId}/mandates`);
    await press(page, '/mandates');
    await look('organisation-mandates-problem');
    await page.fill('#identifier', officer.person.identifier);
    await page.fill('#purpose', '年度报告与社会保险登记');
    await page.fill('#days', '30');
    await page.click('label.choice');
    await press(page, '/mandates');
    await look('organisation-mandates');
    await page.click('a[href*="/mandates/"]');
    await look('organisation-mandate');
    await t.app.db.transaction((tx) =>
      t.app.dualControl.request(tx, {
        act: APPOINT_ADMINISTRATOR,
        parameters: { accountId: second.accountId, unitId: null },
        requestedBy: accountId,
        scope: organisationId,
      }),
    );
    await page.goto(`${start}/${organisationId}/acts`);
    await look('organisation-acts');
  },

  async 'a device, and approvals'(visitor) {
    const { t, kiosk, page, look } = visitor;
    const { person } = await newAccount(visitor);
    const ask = async (path: string, body: Record<string, string>) => {
      const headers = { Authorization: `Basic ${btoa(`${kiosk.clientId}:${kiosk.secret}`)}` };
      const answer = await fetch(t.origin + path, {
        method: 'POST',
        headers,
        body: new URLSearchParams(body),
      });
      return (await answer.json()) as Record<string, string>;
    };
    await page.goto(`${t.origin}/approvals`);
    await look('sign-in-to-own-page');
    await enter(visitor, person);
    await look('approvals-none');
    const device = await ask('/device/authorization', { scope: 'openid' });
    await page.goto(`${t.origin}/device`);
    await look('device');
    await page.fill('#user_code', 'BBBB-BBBB');
    await press(page, '/device');
    await look('device-wrong');
    await page.fill('#user_code', device['user_code'] ?? '');
    await press(page, '/device');
    await look('device-confirm');
    await page.click('button[name="confirm"]');
    await look('device-done');
    await ask('/backchannel-authentication', {
      scope: 'openid profile phone',
      login_hint: person.identifier,
      binding_message: 'A-17 窗口',
    });
    await page.goto(`${t.origin}/approvals`);
    await look('approvals');
    await page.click('button[value="allow"]');
    await look('approvals-done');
  },

  async 'a code of an authenticator app'(visitor) {
    const { t, rp, page, look } = visitor;
    const { person, accountId } = await newAccount(visitor);
    await t.app.identity.recordProofing(accountId, { level: 3, method: 'counter' }, 'system');
    const { secret } = t.app.identity.totp.propose('');
    const code = TOTP.generate({ secret: Secret.fromBase32(secret) });
    await t.app.identity.totp.enrol({ accountId, secret, code });
    const essential = { id_token: { acr: { essential: true, value: 'urn:yinxin:loa:3' } } };
    await page.goto((await rp.begin({ scope: 'openid', claims: JSON.stringify(essential) })).url.href);
    await enter(visitor, person);
    await look('otp');
    // Used already when the app was set up.
    await page.fill('#code', code);
    await press(page, '/otp');
    await look('otp-refused');
  },

  async 'proving who one is'(visitor) {
    const { t, rp, page, look } = visitor;
    // Those who walked here before held the same documents.
    await t.app.db.query('DELETE FROM verified_documents');
    const need = (level: number) => ({
      scope: 'openid',
      claims: JSON.stringify({
        id_token: { acr: { essential: true, value: `urn:yinxin:loa:${level}` } },
      }),
    });
    const { name, number, third } = statementOf(fictional('李华'));
    const fill = async () => {
      await page.fill('#name', name);
      await page.fill('#number', number);
      await page.fill('#value', third.value);
      await press(page, '/proofing');
    };
    const first = await newAccount(visitor);
    await page.goto((await rp.begin(need(3))).url.href);
    await enter({ ...visitor, look: async () => undefined }, first.person);
    await look('proofing');
    await press(page, '/proofing');
    await look('proofing-problems');
    await page.click('a[href$="kind=other"]');
    await look('proofing-kinds');
    await page.click('a[href$="kind=passport"]');
    await look('proofing-passport');
    await page.goBack();
    await page.click('a[href$="kind=resident-id"]');
    await fill();
    await look('live-check-next');
    await page.click('main a.button');
    await look('live-check');
    await page.click('button[value="refused"]');
    await look('live-check-done');
    await page.click('main a.button');
    await look('live-check-outcome');

    const options = { wanted: 2, returnUri: `${t.origin}/` } as const;
    await t.app.identity.proofing.compare(first.accountId, statementOf(fictional('李华')), options);
    await page.goto((await rp.begin(need(3))).url.href);
    await enter({ ...visitor, look: async () => undefined }, first.person);
    await look('proofing-live');
    await press(page, '/live');
    await page.click('main a.button');
    await page.click('button[value="confirmed"]');
    await page.click('main a.button');
    await look('set-up');
    const choices = page.url();
    await page.click('a[href$="/set-up/otp"]');
    await look('set-up-otp');
    await press(page, '/otp');
    await look('set-up-otp-problem');
    await page.goto(choices);
    await page.click('a[href$="/set-up/passkey"]');
    await look('set-up-passkey');

    const second = await newAccount(visitor);
    await page.goto((await rp.begin(need(2))).url.href);
    await enter({ ...visitor, look: async () => undefined }, second.person);
    await fill();
    await look('proofing-taken');

    const known = await newAccount(visitor);
    await t.app.identity.federation.prove(known.accountId, {
      upstream: 'national',
      issuer: 'http://127.0.0.1:9',
      trustFramework: 'urn:example:national',
      subject: known.accountId,
      method: 'fed',
      level: 2,
      person: { document: { kind: 'resident-id', number: fictional('张三').number }, name: '张三' },
      at: new Date(),
    });
    await page.goto((await rp.begin()).url.href);
    await enter({ ...visitor, look: async () => undefined }, known.person);
    await page.click('button[value="allow"]');
    await page.waitForURL(`${rp.redirectUri}**`);
    await page.goto((await rp.begin({ prompt: 'login' })).url.href);
    await page.goto(`${page.url().split('?')[0]}?way=upstream`);
    await look('upstream');
  },

  async 'a sign-in by phone, on the screen and on the phone'(visitor) {
    const { rp, page, look } = visitor;
    const { person } = await newAccount(visitor, newPhone());
    await page.goto((await rp.begin()).url.href);
    await press(page, '/phone');
    const screen = page.url();
    // As it does not change by itself.
    await page.goto(`${screen}?wait=no`);
    await look('cross-device-waiting');
    await page.click('a[href*="/phone/xdr_"]');
    await look('cross-device-open');
    await press(page, '/phone/open');
    await enter(visitor, person);
    await look('cross-device');
    const question = page.url();
    await page.fill('#number', '7');
    await page.click('button[value="allow"]');
    await look('cross-device-problem');
    await page.goto(`${screen}?wait=no`);
    await look('cross-device-opened');
    await page.goto(question);
    await page.click('button[value="deny"]');
    await look('cross-device-done');
    await page.goto(screen);
    await look('cross-device-refused');
  },

  async 'passkeys of an account'(visitor) {
    const { t, page, look } = visitor;
    const { person, accountId } = await newAccount(visitor);
    await page.goto(`${t.origin}/account/passkeys`);
    await enter(visitor, person);
    await look('account-passkeys-none');
    const { passkeys } = t.app.identity;
    const options = await passkeys.registrationOptions({ accountId, binding: 'walk', userName: 'walk' });
    const response = new Authenticator({ origin: t.origin }).create(options);
    await passkeys.register({ accountId, binding: 'walk', response, name: '办公室的旧安全密钥' });
    // As after a copy of it was used: it signs nobody in, so the session need not show it.
    await t.app.db.query('UPDATE passkeys SET suspended_at = now() WHERE account_id = $1', [accountId]);
    await page.goto(`${t.origin}/account/passkeys`);
    await look('account-passkeys');
    await page.click('.held a');
    await look('account-passkey');
    await page.fill('#name', '');
    await press(page, '/name');
    await look('account-passkey-problem');
    await t.app.db.query('UPDATE passkeys SET suspended_at = NULL WHERE account_id = $1', [accountId]);
    await page.goto(`${t.origin}/account/passkeys`);
    await look('passkey');
  },

  async 'an answer that a form carries to the portal'(visitor) {
    const { rp, page, look } = visitor;
    const { person } = await newAccount(visitor);
    await page.goto((await rp.begin({ response_mode: 'form_post', scope: 'openid' })).url.href);
    // With a script the form sends itself; the portal's empty answer leaves the page as it is.
    await page.route(rp.redirectUri, (route) => route.fulfill({ status: 204 }));
    await enter(visitor, person);
    await look('redirect');
    await page.unroute(rp.redirectUri);
    await page.click('#onward button');
    await page.waitForURL(rp.redirectUri);
  },

  async 'messages of an installation that sends none'(visitor) {
    const { t, page, look } = visitor;
    await page.goto(`${t.origin}/outbox`);
    await look('outbox');
  },

  async "one's own account"(visitor) {
    const { t, rp, page, look, words } = visitor;
    const { person, accountId } = await newAccount(visitor, newPhone());
    const attempt = await rp.begin();
    await page.goto(attempt.url.href);
    await enter({ ...visitor, look: async () => undefined }, person);
    await page.click('button[value="allow"]');
    await page.waitForURL(`${rp.redirectUri}**`);
    const tokens = await rp.redeem(new URL(page.url()), attempt);
    await fetch(`${t.origin}/userinfo`, { headers: { Authorization: `Bearer ${tokens.access_token}` } });
    // Somewhere else they are signed in as well.
    await signIn(rp, new UserAgent({ 'User-Agent': 'Mozilla/5.0 (Windows NT 10.0) Firefox/140.0' }), person);

    for (const name of [
      '',
      '/identity',
      '/address',
      '/methods',
      '/sessions',
      '/portals',
      '/portals/zhejiang',
      '/releases',
      '/history',
      '/password',
      '/app',
      '/app/remove',
      '/recovery-codes',
    ]) {
      await page.goto(`${t.origin}/account${name}`);
      await look(`account${name.replaceAll('/', '-')}`);
    }
    await press(page, '/recovery-codes');
    await look('account-recovery-codes-made');
    await t.app.identity.recoveryCodes.remove(accountId);
    await page.goto(`${t.origin}/account/password`);
    await press(page, '/password');
    await look('account-password-problems');
    await page.goto(`${t.origin}/account/portals/zhejiang`);
    await press(page, '/withdraw');
    await look('account-portals-withdrawn');
    await page.goto(`${t.origin}/account/sessions`);
    // The one elsewhere, and the device that it was begun on.
    const elsewhere = `li:not(:has(.tag))`;
    await page.click(`${elsewhere} a[href^="/account/devices/"]`);
    await look('account-device');
    await page.goto(`${t.origin}/account/sessions`);
    await page.click(`${elsewhere} a[href^="/account/sessions/"]`);
    await look('account-session');
    await page.click('a[href^="/account/report"]');
    await look('account-report');
    await press(page, '/report');
    await look('account-reported');
    await page.goto(`${t.origin}/account/username`);
    await press(page, '/username');
    await look('account-username-problem');
    await page.goto(`${t.origin}/account/email`);
    await look('account-email');
    await page.fill('#identifier', `a${(phones += 1)}@b.example`);
    await press(page, '/new');
    await look('account-email-code');
    await page.goto(`${t.origin}/account/sessions/end-all`);
    await look('account-end-all');
    await page.goto(`${t.origin}/account/data`);
    await look('account-data');
    await page.goto(`${t.origin}/account/close`);
    await look('account-close');
    await press(page, '/close');
    await look('account-close-problem');
    await page.fill('#word', words('close.word'));
    await press(page, '/close');
    await look('account-closed');
  },

  async 'too many tries'(visitor) {
    const { rp, page, look } = visitor;
    const { person } = await newAccount(visitor);
    const browser = new UserAgent();
    for (let tries = 0; tries < 4; tries += 1)
      await browser.submit(
        await browser.get((await rp.begin()).url),
        { ...person, password: 'a guess' },
        '/sign-in',
      );
    await page.goto((await rp.begin()).url.href);
    await enter(visitor, person);
    await look('limited');
  },

  async 'what can go wrong'(visitor) {
    const { t, rp, page, look } = visitor;
    // A request that nobody remembers any more: one that is remembered begins again.
    await page.goto((await rp.begin()).url.href);
    await page.goto(`${t.origin}/interaction/${'x'.repeat(43)}`);
    await look('expired');
    await page.goto(`${t.origin}/nowhere`);
    await look('not-found');
    await page.goto(`${t.origin}/authorize?client_id=nobody`);
    await look('unknown-portal');
  },
};
