/** Signing in by an upstream identity provider: another installation of this very program. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { freePort } from '../setup/services.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { fictional, statementOf } from '../support/proofing.ts';
import { newPerson, registerRelyingParty, type Person, type RelyingParty } from '../support/relying-party.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
/** Knows people. */
let national: TestApp;
let issuer: string;
/** Believes it. */
let regional: TestApp;
let rp: RelyingParty;
let strict: RelyingParty;
let lihua: Person;
const SECRET = 'a secret between the two of them';

beforeAll(async () => {
  // Browsers keep cookies by host, whatever the port: the two must not share one.
  const port = String(await freePort());
  issuer = `http://127.0.0.1:${port}`;
  national = await startApp({
    env: { PORT: port, ISSUER: issuer, IDENTITY_SOURCES: '{"authorities":[{"driver":"fictional"}]}' },
  });
  const sources = {
    authorities: [{ driver: 'fictional' }],
    upstreams: [
      {
        id: 'national',
        name: { 'zh-CN': '国家身份服务', en: 'National identity' },
        issuer,
        clientId: 'regional',
        clientSecret: SECRET,
        scope: 'openid realname',
        claimsRequest: { userinfo: { id_number: { essential: true }, id_number_type: { essential: true } } },
        acr: {
          [loa(2)]: { proofing: 2, method: 'fed' },
          [loa(3)]: { proofing: 3, method: 'fedmfa' },
          [loa(1)]: { proofing: 0, method: 'fed' },
        },
        claims: { name: 'name', number: 'id_number', documentKind: 'id_number_type' },
        trustFramework: 'urn:example:national',
      },
    ],
  };
  regional = await startApp({ env: { IDENTITY_SOURCES: JSON.stringify(sources) } });
  await national.app.portals.register(
    {
      clientId: 'regional',
      name: { 'zh-CN': '区域身份服务' },
      sector: 'regional',
      homeUri: regional.origin,
      redirectUris: [`${regional.origin}/federation/callback`],
      scopes: ['openid', 'realname'],
      entitlements: ['id-number'],
    },
    'system',
  );
  await national.app.portals.addSecret('regional', SECRET);
  lihua = await nationalPerson('李华');
  rp = await registerRelyingParty(regional, { clientId: 'open', scopes: ['openid', 'realname'] });
  strict = await registerRelyingParty(regional, { clientId: 'strict', registration: { minimumAcr: loa(2) } });
});
afterAll(async () => {
  await Promise.all([rp.stop(), strict.stop()]);
  await regional.stop();
  await national.stop();
});

async function nationalPerson(name: string | undefined): Promise<Person> {
  const person = newPerson();
  const { accountId } = await national.app.identity.register(person);
  if (name !== undefined)
    await national.app.identity.proofing.compare(accountId, statementOf(fictional(name)), {
      wanted: 2,
      returnUri: 'x',
    });
  else await national.app.identity.recordProofing(accountId, { level: 1, method: 'counter' }, 'system');
  return person;
}
const upstreamLink = (page: Page) => {
  const href = /href="([^"]*\/upstream\/national)"/.exec(page.text)?.[1];
  if (href === undefined)
    throw new Error(`${page.url.href} (${page.status}) has no way to the national provider`);
  return new URL(href, page.url);
};
/** From the regional page to the national one, through it, and back. */
async function through(browser: UserAgent, page: Page, person: Person, until: string): Promise<Page> {
  let next = await browser.get(upstreamLink(page), until);
  if (next.forms.some(({ action }) => action.pathname.endsWith('/sign-in')))
    next = await browser.submit(next, { ...person }, '/sign-in', until);
  if (next.url.origin === issuer && next.forms.some(({ action }) => action.pathname.endsWith('/consent')))
    next = await browser.submit(next, { decision: 'allow' }, '/consent', until);
  return next;
}
async function signInBy(portal: RelyingParty, person: Person, browser = new UserAgent(), parameters = {}) {
  const attempt = await portal.begin(parameters);
  const page = await browser.get(attempt.url, portal.redirectUri);
  let done = await through(browser, page, person, portal.redirectUri);
  if (done.forms.some(({ action }) => action.pathname.endsWith('/consent')))
    done = await browser.submit(done, { decision: 'allow' }, '/consent', portal.redirectUri);
  return { attempt, done, browser };
}
const claims = async (portal: RelyingParty, { attempt, done }: Awaited<ReturnType<typeof signInBy>>) =>
  (await portal.redeem(done.url, attempt)).claims();

test('somebody new gets an account that is proofed as the other provider says, and finds it again', async () => {
  const person = lihua;
  const first = await claims(strict, await signInBy(strict, person));
  expect(first).toMatchObject({ acr: loa(2), sub: expect.any(String) });
  const again = await claims(strict, await signInBy(strict, person));
  expect(again?.sub).toBe(first?.sub);
  const [link] = await regional.app.db.query<{ account_id: string }>('SELECT account_id FROM upstream_links');
  const known = await regional.app.identity.persons.person(link?.account_id ?? '');
  expect(known).toMatchObject({
    name: '李华',
    document: { number: '33999919900307001X' },
    evidence: { authority: 'national', method: 'upstream', trustFramework: 'urn:example:national', level: 2 },
  });
});

test('whoever holds the document here already is who it is, however the other account came about', async () => {
  const here = newPerson();
  const { accountId } = await regional.app.identity.register(here);
  await regional.app.identity.proofing.compare(accountId, statementOf(fictional('王小示')), {
    wanted: 2,
    returnUri: 'x',
  });
  await signInBy(strict, await nationalPerson('王小示'));
  const links = await regional.app.db.query('SELECT id FROM upstream_links WHERE account_id = $1', [
    accountId,
  ]);
  expect(links).toHaveLength(1);
});

test('a provider that does not know who someone is signs in, and proofs nobody', async () => {
  const person = await nationalPerson(undefined);
  const said = await claims(rp, await signInBy(rp, person));
  expect(said).not.toHaveProperty('acr', loa(2));
  // A portal that needs more asks for it: here, for the document.
  const { done } = await signInBy(strict, person);
  expect(done.url.pathname).toMatch(/\/proofing$/);
});

test('a person who is signed in can be proofed by the other provider instead of by a document', async () => {
  const here = newPerson();
  const { accountId } = await regional.app.identity.register(here);
  const browser = new UserAgent();
  const attempt = await strict.begin();
  const signInPage = await browser.get(attempt.url, strict.redirectUri);
  const proofing = await browser.submit(signInPage, { ...here }, '/sign-in', strict.redirectUri);
  expect(proofing.url.pathname).toMatch(/\/proofing$/);
  const done = await through(browser, proofing, await nationalPerson('张三'), strict.redirectUri);
  expect((await strict.redeem(done.url, attempt)).claims()).toMatchObject({ acr: loa(2), amr: ['pwd'] });
  expect((await regional.app.identity.account(accountId))?.proofing).toBe(2);
});

test('an account is not found by what it has in common with the other: a document that another holds leads to linking', async () => {
  const here = newPerson();
  await regional.app.identity.register(here);
  const browser = new UserAgent();
  const attempt = await strict.begin();
  const signInPage = await browser.get(attempt.url, strict.redirectUri);
  const proofing = await browser.submit(signInPage, { ...here }, '/sign-in', strict.redirectUri);
  const taken = await through(browser, proofing, lihua, strict.redirectUri);
  expect(taken.text).toContain('您已经有一个实名账号');
});

test('an answer is taken from the browser that was sent away, once, and from no other', async () => {
  const person = await nationalPerson(undefined);
  const browser = new UserAgent();
  const attempt = await rp.begin();
  const page = await browser.get(attempt.url, rp.redirectUri);
  const stop = `${regional.origin}/federation/callback`;
  const answer = await through(browser, page, person, stop);
  expect(answer.url.searchParams.get('code')).not.toBeNull();
  const elsewhere = await new UserAgent().get(answer.url);
  expect(elsewhere.url.pathname).toBe('/');
  const forged = new URL(answer.url);
  forged.searchParams.set('state', 'of somebody else');
  expect((await browser.get(forged)).url.pathname).toBe('/');
  const done = await browser.get(answer.url, rp.redirectUri);
  expect(done.url.searchParams.get('code')).not.toBeNull();
  expect((await browser.get(answer.url)).url.pathname).toBe('/');
});

test('an answer of another issuer is refused, and the page says that nothing was confirmed', async () => {
  const person = await nationalPerson(undefined);
  const browser = new UserAgent();
  const attempt = await rp.begin();
  const page = await browser.get(attempt.url, rp.redirectUri);
  const answer = await through(browser, page, person, `${regional.origin}/federation/callback`);
  const mixed = new URL(answer.url);
  mixed.searchParams.set('iss', 'https://evil.example');
  const refused = await browser.get(mixed);
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('没有确认您的身份');
});

test('a person who says no there is back at the sign-in page here', async () => {
  const browser = new UserAgent();
  const attempt = await rp.begin();
  const page = await browser.get(attempt.url, rp.redirectUri);
  const there = await browser.get(upstreamLink(page));
  const back = await browser.submit(there, {}, '/cancel');
  expect(back.url.origin).toBe(regional.origin);
  expect(back.text).toContain('没有确认您的身份');
  expect(back.forms.some(({ action }) => action.pathname.endsWith('/sign-in'))).toBe(true);
});

test('whose only way in is the other provider shows themselves there again when that is asked for', async () => {
  const person = await nationalPerson(undefined);
  const first = await signInBy(rp, person);
  const before = await claims(rp, first);
  const attempt = await rp.begin({ prompt: 'login' });
  const page = await first.browser.get(attempt.url, rp.redirectUri);
  expect(page.text).not.toContain('name="password"');
  // The session there is no showing: the password is asked for once more.
  const there = await first.browser.get(upstreamLink(page), rp.redirectUri);
  expect(there.url.origin).toBe(issuer);
  const form = there.forms.find(({ action }) => /\/(confirm|sign-in)$/.test(action.pathname));
  const done = await first.browser.submit(there, { ...person }, form?.action.pathname ?? '', rp.redirectUri);
  expect((await rp.redeem(done.url, attempt)).claims()?.sub).toBe(before?.sub);
});

test('two first visits at once end with one account', async () => {
  const { federation } = regional.app.identity;
  const shown = {
    upstream: 'national',
    issuer,
    trustFramework: 'urn:example:national',
    subject: 'somebody at two windows',
    method: 'fed' as const,
    level: 2,
    person: { document: { kind: 'resident-id' as const, number: '11010519491231002X' }, name: '赵示例' },
    at: new Date(),
  };
  const showings = await Promise.all(Array.from({ length: 5 }, () => federation.signIn(shown)));
  expect(new Set(showings.map(({ accountId }) => accountId)).size).toBe(1);
});

test('a provider that cannot be reached is said so', async () => {
  const lonely = await startApp({
    env: {
      IDENTITY_SOURCES: JSON.stringify({
        upstreams: [
          {
            id: 'national',
            name: { 'zh-CN': '国家身份服务' },
            issuer: 'http://127.0.0.1:9',
            clientId: 'x',
            clientSecret: SECRET,
            acr: {},
            timeoutMs: 1000,
          },
        ],
      }),
    },
  });
  const portal = await registerRelyingParty(lonely, { clientId: 'open' });
  const browser = new UserAgent();
  const page = await browser.get((await portal.begin()).url);
  expect((await browser.get(upstreamLink(page))).text).toContain('暂时无法连接');
  await portal.stop();
  await lonely.stop();
});
