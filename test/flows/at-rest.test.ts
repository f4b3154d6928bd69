/**
 * What a thief of a database dump, of a Redis dump or of the logs would hold: no secret, nobody's number, no live session. And what the
 * addresses, the headers and the traces of all requests say: nothing of whoever made them.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import * as oidc from 'openid-client';
import { Secret, TOTP } from 'otpauth';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createApp, type App } from '../../src/app.ts';
import { readCode, readMessage, type Inbox } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { IDENTITY_TABLES } from '../../src/identity/index.ts';
import { OIDC_TABLES } from '../../src/oidc/index.ts';
import { toConfig } from '../../src/platform/config.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { CIBA } from '../../src/portals/index.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { Authenticator } from '../support/authenticator.ts';
import { openRedis } from '../support/databases.ts';
import { leaksIn, type Needle } from '../support/leaks.ts';
import { recordingLogger } from '../support/logger.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import { registerByCode, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

const person = { identifier: '19912344321', password: 'a paper boat on the canal' };
const other = { identifier: 'Reed-Warbler_77', password: 'sixteen herons over the lake' };
const email = 'kingfisher.heron@example.cn';
const passkeyName = '河边的旧手机';
const document = fictional('王小示');
const address = '2001:db8:4b1d:9::78';
const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
/** What callers and proxies add to requests, and what programs that keep traces would pass on. */
const TRACED = {
  traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01`,
  tracestate: `vendor=${person.identifier}`,
  'X-Forwarded-For': address,
  baggage: `userId=${person.identifier},name=${encodeURIComponent(document.name)}`,
};

/** For what is sent in the background. */
const WAIT = { timeout: 10_000, interval: 20 };

const { lines, logger } = recordingLogger('debug');
const needles: Needle[] = [];
let t: TestApp;
let rp: RelyingParty;
let strict: RelyingParty;

/** Every request that was made to the provider, and what its answer had above the body. */
const exchanges: { url: string; headers: [string, string][] }[] = [];
/** What the provider sent to others. */
const outbound: { url: string; headers: IncomingHttpHeaders; body: string }[] = [];
const receiver = createServer((request, response) => {
  void text(request).then((body) => {
    outbound.push({ url: request.url ?? '', headers: request.headers, body });
    response.writeHead(202).end();
  });
});
const mails: string[] = [];
const mailServer = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  logger: false,
  onData(stream, _session, done) {
    let mail = '';
    stream.on('data', (chunk: Buffer) => (mail += chunk.toString('utf8')));
    stream.on('end', () => {
      mails.push(mail);
      done();
    });
  },
});

const hide = (name: string, value: string | undefined, alone = false) => {
  // Something so short would be found in anything, or something empty in everything.
  if (value === undefined || Buffer.byteLength(value) < 6) throw new Error(`there is no ${name}`);
  needles.push({ name, value, alone });
};

beforeAll(async () => {
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  await new Promise<void>((resolve) => mailServer.listen(0, '127.0.0.1', resolve));
  const elsewhere = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const gatewayToken = randomBytes(24).toString('base64url');
  t = await startApp({
    mode: 'server',
    logger,
    env: {
      SMS_GATEWAY_URL: `${elsewhere}/messages`,
      SMS_GATEWAY_TOKEN: gatewayToken,
      SMTP_URL: `smtp://127.0.0.1:${(mailServer.server.address() as AddressInfo).port}`,
      MAIL_FROM: 'no-reply@id.example.cn',
      TRUSTED_PROXIES: '127.0.0.0/8,::1/128',
      TRUSTED_PROXY_HEADER: 'x-forwarded-for',
      IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}',
    },
  });
  hide('gateway token', gatewayToken);
  hide('address of a browser', address);
  for (const name of ['KEY_ENCRYPTION_KEY', 'DATA_KEY', 'PASSWORD_PEPPER', 'COOKIE_KEYS'])
    hide(name, t.env[name]);
  const realFetch = globalThis.fetch;
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const response = await realFetch(input, init);
    const url = new Request(input instanceof URL ? input.href : input).url;
    if (url.startsWith(t.origin)) exchanges.push({ url, headers: [...response.headers] });
    return response;
  });
  const metadata = {
    grant_types: ['authorization_code', 'refresh_token', CIBA],
    backchannel_token_delivery_mode: 'poll' as const,
  };
  rp = await registerRelyingParty(t, {
    clientId: 'zhejiang',
    scope: 'openid phone offline_access',
    scopes: ['openid', 'phone', 'offline_access'],
    registration: { metadata, backchannelLogoutUri: `${elsewhere}/logout` },
  });
  strict = await registerRelyingParty(t, {
    clientId: 'strict',
    registration: { minimumAcr: 'urn:yinxin:loa:2' },
  });
  hide('client secret', rp.secret);

  const accountId = await passwordsAndTokens();
  await factors(accountId);
  await codes(accountId);
  await registrations();
  await recoveries();
  await proofing();
  await domicile(accountId);
  await ownPages();
  await otherDevices(accountId);
  await signOut(accountId);
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await Promise.all([rp.stop(), strict.stop()]);
  await t.stop();
  receiver.close();
});

const newBrowser = () => new UserAgent({ 'Accept-Language': 'zh-CN', ...TRACED });

/** Signs in by password, badly first, and leaves tokens, a used code and one that waits. */
async function passwordsAndTokens(): Promise<AccountId> {
  hide('phone', person.identifier);
  hide('the end of the phone', person.identifier.slice(-8));
  hide('password', person.password);
  hide('user name', other.identifier);
  const { accountId } = await t.app.identity.register(person);
  await t.app.identity.register(other);
  const browser = newBrowser();
  const first = await rp.begin();
  const page = await browser.get(first.url);
  const wrong = 'ａ wrong password of ﬁfteen';
  hide('wrong password', wrong);
  await browser.submit(page, { ...person, password: wrong }, '/sign-in');
  const mistyped = '19912344999';
  hide('mistyped phone', mistyped);
  await browser.submit(page, { ...person, identifier: mistyped }, '/sign-in');
  const attempt = await signIn(rp, browser, person, { prompt: 'consent' });
  const tokens = await rp.redeem(attempt.callback, attempt);
  await signIn(rp, newBrowser(), other);
  const pending = await signIn(rp, browser, person);
  const bearer = { Authorization: `Bearer ${tokens.access_token}`, ...TRACED };
  const userinfo = (await (await fetch(`${t.origin}/userinfo`, { headers: bearer })).json()) as object;
  expect(userinfo).toMatchObject({ phone_number: `+86${person.identifier}` });
  hide('access token', tokens.access_token);
  hide('refresh token', tokens.refresh_token);
  hide('ID token', tokens.id_token);
  hide('used code', attempt.callback.searchParams.get('code') ?? undefined);
  hide('unused code', pending.callback.searchParams.get('code') ?? undefined);
  hide('code verifier', attempt.verifier);
  const cookies = await browser.jar.getCookies(t.origin);
  for (const { key, value } of cookies.filter((cookie) => /session|device/.test(cookie.key)))
    hide(`cookie ${key}`, value);
  expect(needles.map(({ name }) => name)).toContain('cookie yx_session');
  return accountId;
}

/** Sets up an authenticator app, a passkey and recovery codes, and uses them. */
async function factors(accountId: AccountId): Promise<void> {
  const { totp, passkeys, recoveryCodes } = t.app.identity;
  const { secret } = totp.propose('');
  const codeAt = (timestamp: number) => TOTP.generate({ secret: Secret.fromBase32(secret), timestamp });
  await totp.enrol({ accountId, secret, code: codeAt(Date.now()) });
  hide('secret of the app', secret);
  hide('secret of the app as bytes', Buffer.from(Secret.fromBase32(secret).bytes).toString('latin1'));
  const authenticator = new Authenticator({ origin: t.origin });
  const binding = randomBytes(16).toString('base64url');
  const options = await passkeys.registrationOptions({ accountId, binding, userName: '+86 199****4321' });
  await passkeys.register({
    accountId,
    binding,
    name: passkeyName,
    response: authenticator.create(options),
  });
  hide('name of the passkey', passkeyName);
  hide('challenge of the passkey', options.challenge);
  const made = await recoveryCodes.generate(accountId);
  for (const code of made) hide('recovery code', code);
  await recoveryCodes.check({ accountId, code: made[0] ?? '' });
}

/** Has codes sent to a phone and a mailbox; one is used, one is not. */
async function codes(accountId: AccountId): Promise<void> {
  hide('e-mail', email);
  hide('name before the @', email.split('@')[0]);
  const { oneTimeCodes } = t.app.identity;
  const request = {
    binding: randomBytes(32).toString('base64url'),
    accountId,
    message: 'code',
    language: 'zh-CN',
  } as const;
  const phone = `+86${person.identifier}`;
  await oneTimeCodes.send({ ...request, purpose: 'second-factor', to: { channel: 'sms', value: phone } });
  await oneTimeCodes.send({ ...request, purpose: 'verify', to: { channel: 'email', value: email } });
  await vi.waitUntil(() => outbound.some(({ url }) => url === '/messages'), WAIT);
  await vi.waitUntil(() => mails.length > 0, WAIT);
  const sent = outbound.find(({ body }) => body.includes('secondFactorCode'));
  const { parameters } = JSON.parse(sent?.body ?? '{}') as { parameters: { code: string } };
  hide('code by text message', parameters.code, true);
  hide('code by e-mail', /(?<!\d)\d{6}(?!\d)/.exec(decodeMail(mails[0] ?? ''))?.[0], true);
  await oneTimeCodes.check({ ...request, purpose: 'second-factor', code: parameters.code });
}

/** Where all of these people read their messages. */
const inbox: Inbox = {
  messagesTo: (to) =>
    to.includes('@')
      ? mails.filter((mail) => mail.includes(to)).map(decodeMail)
      : outbound
          .filter(({ url }) => url === '/messages')
          .map(({ body }) => JSON.parse(body) as { to: string; text: string })
          .filter((message) => message.to === to)
          .map((message) => message.text),
};

/** Two people register on the way to a portal, by a phone and by a mailbox that are checked. */
async function registrations(): Promise<void> {
  for (const identifier of ['19912361987', 'grey.wagtail@example.cn']) {
    const somebody = { identifier, password: `nobody else counts the gulls of ${identifier.length} piers` };
    hide(`registered ${identifier}`, identifier);
    hide(`password of ${identifier}`, somebody.password);
    const browser = newBrowser();
    const page = await browser.get((await rp.begin()).url);
    const arrived = await registerByCode(inbox, browser, page, somebody, rp.redirectUri);
    expect(arrived.forms.some(({ action }) => action.pathname.endsWith('/consent'))).toBe(true);
    expect(await t.app.identity.find(identifier)).toMatch(/^acc_/);
  }
}

/** Two people cannot sign in any more. One shows a phone and sets a new password; the other has lost an app too, waits, and thinks better of it. */
async function recoveries(): Promise<void> {
  const recover = async (identifier: string) => {
    const { identity } = t.app;
    const somebody = { identifier, password: `${identifier.slice(-3)} kettles among the reeds` };
    const { accountId } = await identity.register({ ...somebody, verified: true, language: 'zh-CN' });
    const browser = newBrowser();
    const page = await browser.get((await rp.begin()).url);
    const address = await browser.get(`${page.url.origin}${page.url.pathname}/recover`);
    const sent = await browser.submit(address, { identifier }, '/recover');
    return {
      accountId,
      browser,
      async showCode() {
        const code = await readCode(inbox, `+86${identifier}`);
        hide(`code of recovery for ${identifier}`, code, true);
        return browser.submit(sent, { code }, '/recover/code');
      },
    };
  };
  const [forgetful, unlucky] = ['19912371466', '19912378255'];
  hide('phone of the forgetful', forgetful);
  hide('phone of the unlucky', unlucky);

  const first = await recover(forgetful);
  const password = 'the ninth lock of the old canal';
  hide('new password', password);
  const arrived = await first.browser.submit(
    await first.showCode(),
    { password, passwordAgain: password },
    '/recover/password',
    rp.redirectUri,
  );
  expect(arrived.forms.some(({ action }) => action.pathname.endsWith('/consent'))).toBe(true);

  const second = await recover(unlucky);
  const { secret } = t.app.identity.totp.propose('');
  const code = TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: Date.now() });
  await t.app.identity.totp.enrol({ accountId: second.accountId, secret, code });
  hide('secret of the lost app', secret);
  const asked = await second.showCode();
  const wrong = await second.browser.submit(asked, { code: 'ABCD-EFGH-JKMN-PQRS' }, '/recover/factor');
  expect(wrong.status).toBe(422);
  hide('wrong recovery code', 'ABCD-EFGH-JKMN-PQRS');
  const waiting = await second.browser.submit(wrong, {}, '/recover/lost');
  expect(waiting.url.pathname).toMatch(/\/recover\/next$/);
  const letter = await readMessage(inbox, `+86${unlucky}`, /\w{4}-\w{4}/);
  const word = /\w{4}(?:-\w{4})+/.exec(letter)?.[0] ?? '';
  hide('word that stops a recovery', word);
  hide('the same without hyphens', word.replaceAll('-', ''));
  const stop = await second.browser.get(`${t.origin}/recovery/stop`);
  const stopped = await second.browser.submit(stop, { word }, '/recovery/stop');
  expect(stopped.status).toBe(200);
  expect(await t.app.identity.recovery.waiting(second.accountId)).toBeUndefined();
}

function decodeMail(mail: string): string {
  const [head = '', body = ''] = mail.split(/\r?\n\r?\n/s);
  return /base64/i.test(head) ? Buffer.from(body, 'base64').toString('utf8') : body;
}

/** Proves who one is on the way to a portal: mistaken first, then right. */
async function proofing(): Promise<void> {
  const { number, name } = statementOf(document);
  hide('real name', name);
  hide('ID number', number);
  hide('ID number without its check digit', number.slice(0, 17));
  hide('end of the ID number', number.slice(-8));
  hide('birthday of the ID number', number.slice(6, 14));
  hide('birthday of the ID number in six digits', number.slice(8, 14), true);
  hide('phone in the register', document.phone);
  const browser = newBrowser();
  const attempt = await strict.begin();
  const first = await browser.get(attempt.url, strict.redirectUri);
  const page = await browser.submit(first, { ...other }, '/sign-in', strict.redirectUri);
  const fields = { name, number, value: document.phone };
  const wrong = await browser.submit(page, { ...fields, name: '王小' }, '/proofing', strict.redirectUri);
  expect(wrong.status).toBe(422);
  const done = await browser.submit(page, fields, '/proofing', strict.redirectUri);
  expect((await strict.redeem(done.url, attempt)).claims()).toMatchObject({ acr: 'urn:yinxin:loa:2' });
}

/** Keeps an address and looks at every page of one's own, wherever they lead. */
async function ownPages(): Promise<void> {
  const street = '虚构路一百二十三号';
  hide('street', street);
  const accountId = await t.app.identity.find(other.identifier);
  await t.app.identity.addresses.set(accountId ?? '', { locality: '杭州', street_address: street });
  const browser = newBrowser();
  const signInPage = await browser.get(`${t.origin}/account`);
  const account = await browser.submit(signInPage, { ...other }, '/sign-in');
  expect(account.url.pathname).toBe('/account');
  const seen = new Set<string>();
  const crawl = async ({ text: html, url }: Page): Promise<void> => {
    for (const [, href = ''] of html.matchAll(/<a\b[^>]*\bhref="([^"#]+)/g)) {
      const next = new URL(href.replaceAll('&amp;', '&'), url);
      if (!next.href.startsWith(`${t.origin}/account`) || seen.has(next.href) || seen.size > 60) continue;
      seen.add(next.href);
      await crawl(await browser.get(next));
    }
  };
  await crawl(account);
  expect(seen.size).toBeGreaterThan(3);
}

/** Says where they live, and is known by an upstream identity provider. */
async function domicile(accountId: AccountId): Promise<void> {
  const street = '示例街道芦苇路七号';
  hide('street', street);
  await t.app.identity.addresses.set(accountId, { locality: '杭州市', street_address: street });
  const subject = 'subject-at-the-national-provider';
  hide('upstream subject', subject);
  await t.app.identity.federation.signIn({
    upstream: 'national',
    issuer: 'https://national.example',
    trustFramework: 'urn:example:national',
    subject,
    method: 'fed',
    level: 0,
    person: undefined,
    at: new Date(),
  });
}

/** Is asked by a portal without a browser, and shows a code to a phone. */
async function otherDevices(accountId: AccountId): Promise<void> {
  const userAgent = 'Mozilla/5.0 (Linux; Android 14; HLK-AL00) AppleWebKit/537.36';
  const bindingMessage = '汾河北路十一号的预约';
  hide('user agent', userAgent);
  hide('binding message', bindingMessage);
  hide('address of a device', '2001:db8:4b1d::77');
  const asked = await oidc.initiateBackchannelAuthentication(rp.client, {
    scope: 'openid',
    login_hint: person.identifier,
    binding_message: bindingMessage,
  });
  hide('auth_req_id', asked.auth_req_id);
  const { crossDevice, persons, proofing: proofings } = t.app.identity;
  await crossDevice.begin({
    binding: randomBytes(32).toString('base64url'),
    clientId: rp.clientId,
    place: { address: '2001:db8:4b1d::77', userAgent },
  });
  // A number for a portal in place of the document's, and a live check that goes on elsewhere.
  const number = await persons.relationHash({ kind: 'resident-id', number: document.number }, 'zhejiang');
  expect(number).toMatch(/^[\w-]{43}$/);
  const another = fictional('张三');
  hide('another name', another.name);
  hide('another ID number', another.number);
  const outcome = await proofings.compare(accountId, statementOf(another), {
    wanted: 3,
    returnUri: `${t.origin}/`,
  });
  expect(outcome.kind).toBe('continue');
  // A letter that nobody takes waits.
  await new Promise<void>((resolve) => mailServer.close(() => resolve()));
  await t.app.identity.oneTimeCodes.send({
    binding: randomBytes(32).toString('base64url'),
    purpose: 'change',
    to: { channel: 'email', value: `other.${email}` },
    accountId,
    message: 'code',
    language: 'zh-CN',
  });
  await vi.waitUntil(
    async () => (await t.app.messages.undelivered()).some(({ lastProblem }) => lastProblem),
    WAIT,
  );
}

/** Portals are told of the end by calls of ours. */
async function signOut(accountId: AccountId): Promise<void> {
  await t.app.oidc.signOutEverywhere(accountId, 'operator', 'operator');
  await vi.waitUntil(() => outbound.some(({ url }) => url === '/logout'), WAIT);
}

describe('whatever way it is written, it would be found', () => {
  const needle: Needle = { name: 'it', value: '王小示 19912344321' };
  const bytes = Buffer.from(needle.value);
  test.each<[string, string]>([
    ['as it is', `{"name":"${needle.value}"}`],
    ['in compatibility forms', '王小示 １９９１２３４４３２１'],
    ['as bytes of a database', `{"value": "\\\\x00${bytes.toString('hex')}ff"}`],
    ['in upper case digits', bytes.toString('hex').toUpperCase()],
    ['in base64', `"${bytes.toString('base64')}"`],
    [
      'in the middle of base64',
      `"${Buffer.concat([Buffer.from('ab'), bytes, Buffer.from('c')]).toString('base64url')}"`,
    ],
    ['behind what looks like base64', `/interaction/${bytes.toString('base64url')}/sign-in`],
    ['in percent-encoding', `https://id.example.cn/?q=${encodeURIComponent(needle.value)}`],
    [
      'in escapes',
      `"${[...needle.value].map((sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`,
    ],
    [
      'in a token in base64',
      Buffer.from(JSON.stringify({ jwt: `x.${bytes.toString('base64url')}.y` })).toString('base64'),
    ],
  ])('%s', (_how, written) => {
    expect(leaksIn(`before ${written} after`, [needle])).toEqual(['it']);
  });
  test('and a short number only where it stands alone', () => {
    const code: Needle = { name: 'code', value: '491231', alone: true };
    expect(leaksIn('{"code":"491231"}', [code])).toEqual(['code']);
    expect(leaksIn(Buffer.from('{"code":"491231"}').toString('hex'), [code])).toEqual(['code']);
    expect(leaksIn('0.4912317 1491231 ab491231cdef00998877', [code])).toEqual([]);
  });
});

test('the database holds no secret, nothing personal, no private key in the clear', async () => {
  const tables = await t.app.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  expect(tables.length).toBeGreaterThan(20);
  const filled = new Set<string>();
  let dump = '';
  for (const { name } of tables)
    for (const row of await t.app.db.query(`SELECT to_jsonb(x) AS row FROM "${name}" x`)) {
      dump += `${JSON.stringify(row)}\n`;
      filled.add(name);
    }
  // What holds something of a person did hold it.
  for (const { table } of [...IDENTITY_TABLES, ...OIDC_TABLES]) expect([...filled]).toContain(table);
  expect(leaksIn(dump, [{ name: 'a hash of a password', value: '$argon2id$v=19$' }])).toHaveLength(1);
  expect(leaksIn(dump, needles)).toEqual([]);
  // Every PKCS #8 document of a P-256 key begins with these octets; PEM with its line.
  expect(dump).not.toContain('308187020100301306072a8648ce3d0201');
  expect(dump).not.toContain('PRIVATE KEY');
});

test('Redis holds no session id, code, token, or anything personal in the clear', async () => {
  const { redis } = await openRedis();
  let dump = '';
  for await (const keys of redis.scanIterator({ MATCH: `${t.env['REDIS_KEY_PREFIX']}:*`, COUNT: 1000 }))
    for (const key of keys) {
      const type = await redis.type(key);
      const value =
        type === 'hash'
          ? await redis.hGetAll(key)
          : type === 'zset'
            ? await redis.zRange(key, 0, -1)
            : await redis.get(key);
      dump += `${key} ${JSON.stringify(value)}\n`;
    }
  await redis.close();
  for (const kept of ['RefreshToken', 'Grant', 'SignInProgress']) expect(dump).toContain(kept);
  expect(leaksIn(dump, needles)).toEqual([]);
});

test('the logs of all this hold none of it', () => {
  expect(lines.length).toBeGreaterThan(30);
  expect(leaksIn(lines.join('\n'), needles)).toEqual([]);
});

test('the metrics hold none of it', async () => {
  const metrics = await (await fetch(`${t.origin}/metrics`)).text();
  expect(metrics).toMatch(/yinxin_sign_ins_total\{.*outcome="accepted".*\} [1-9]/);
  expect(leaksIn(metrics, needles)).toEqual([]);
});

/** What a portal gets at its own address, and nothing else, has a code in it. */
const isHandedOver = ({ name }: Needle) => name === 'used code' || name === 'unused code';

test('no address that was visited has anything personal or secret in it, nor has the head of any answer', () => {
  expect(exchanges.length).toBeGreaterThan(30);
  const addresses = exchanges.map(({ url }) => url).join('\n');
  expect(addresses).toMatch(/\/interaction\/[\w-]+\/proofing/);
  expect(leaksIn(addresses, needles)).toEqual([]);
  // A browser is given its own cookies, and a portal's code on the way to the portal.
  const heads = exchanges
    .flatMap(({ headers }) => headers.map(([name, value]) => `${name}: ${value}`))
    .join('\n');
  const others = needles.filter((needle) => !isHandedOver(needle) && !needle.name.startsWith('cookie '));
  expect(leaksIn(heads, others)).toEqual([]);
});

describe('of a trace', () => {
  test('the id is all that is kept: it is the same in the answers and in the log', async () => {
    const response = await fetch(`${t.origin}/`, { headers: TRACED });
    expect(response.headers.get('x-trace-id')).toBe(TRACE_ID);
    expect([...response.headers.keys()]).not.toEqual(expect.arrayContaining(['tracestate']));
    for (const header of ['traceparent', 'tracestate', 'baggage'])
      expect(response.headers.has(header)).toBe(false);
    expect(lines.filter((line) => line.includes(`"traceId":"${TRACE_ID}"`)).length).toBeGreaterThan(10);
  });

  test.each([
    '00-nonsense',
    `ff-${TRACE_ID}-00f067aa0ba902b7-01`,
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    person.identifier,
  ])('what is no trace context begins a new one: %s', async (traceparent) => {
    const response = await fetch(`${t.origin}/`, { headers: { traceparent } });
    expect(response.headers.get('x-trace-id')).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(response.headers.get('x-trace-id')).not.toBe(TRACE_ID);
  });

  test('nothing of what callers add to it goes on to portals, gateways or mail servers', () => {
    expect(outbound.length).toBeGreaterThan(1);
    for (const { url, headers } of outbound) {
      expect(
        Object.keys(headers).filter((name) => /trace|baggage|x-request|forwarded/.test(name)),
        url,
      ).toEqual([]);
      expect(leaksIn(JSON.stringify({ ...headers, authorization: '' }), needles)).toEqual([]);
    }
  });
});

test('all of it can be brought under another data key, and is read with that one alone', async () => {
  const read = async ({ identity }: App) =>
    Promise.all(
      [person, other].map(async ({ identifier }) => {
        const accountId = await identity.find(identifier);
        if (accountId === undefined) throw new Error(`nobody is called ${identifier}`);
        return {
          account: await identity.account(accountId),
          person: await identity.persons.person(accountId),
          passkeys: await identity.passkeys.list(accountId),
          address: await identity.addresses.of(accountId),
          devices: await identity.devices.list(accountId, undefined),
          number: await identity.persons.relationHash(
            { kind: 'resident-id', number: document.number },
            'zhejiang',
          ),
        };
      }),
    );
  const before = await read(t.app);
  await t.app.stop();
  const DATA_KEY = randomBytes(32).toString('base64');
  const both = { ...t.env, DATA_KEY, DATA_KEY_OTHERS: t.env['DATA_KEY'] };
  const rotating = await createApp(toConfig(both), { logger });
  while ((await rotating.rotation.step()) !== 'done');
  const passes = await rotating.rotation.passes();
  expect(passes.filter(({ recordsLeft }) => recordsLeft > 0)).toEqual([]);
  expect(passes.filter(({ records }) => records === 0)).toEqual([]);
  expect((await rotating.rotation.keys()).map(({ empty }) => empty)).toEqual([false, true]);
  await rotating.stop();
  const alone = await createApp(toConfig({ ...t.env, DATA_KEY }), { logger });
  expect(await read(alone)).toEqual(before);
  await alone.stop();
});
