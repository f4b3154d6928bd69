/** Pages of errors: whatever goes wrong, a person is told so in words, gets a number for the help desk, and a way on. */
import { errors } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { pageMessageOf } from '../../src/platform/http/edge.ts';
import { STATUSES } from '../../src/platform/http/statuses.ts';
import { loadLanguages } from '../../src/platform/i18n.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { newPerson, registerRelyingParty, type RelyingParty } from '../support/relying-party.ts';

/** What the ports answer while it is set. */
let broken: Error | undefined;
let t: TestApp;
let rp: RelyingParty;

beforeAll(async () => {
  t = await startApp({
    through: (port, made) =>
      port !== 'hasher'
        ? made
        : new Proxy(made, {
            get(target, name, receiver) {
              const member: unknown = Reflect.get(target, name, receiver);
              if (typeof member !== 'function') return member;
              return (...args: unknown[]) => {
                if (broken) return Promise.reject(broken);
                return (member as (...given: unknown[]) => unknown).apply(target, args);
              };
            },
          }),
  });
  rp = await registerRelyingParty(t, { clientId: 'open' });
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

const oauthCodes = Object.values(errors)
  .map((Kind) => {
    try {
      return new (Kind as new (message: string) => { error?: string })('x').error;
    } catch {
      return undefined;
    }
  })
  .filter((code) => code !== undefined);

test('every code that an error can have has words in every language', () => {
  const codes = [
    ...Object.entries(STATUSES).map(([code, status]) => ({ code, status })),
    ...oauthCodes.flatMap((code) => [400, 500].map((status) => ({ code, status }))),
    { code: 'INTERNAL_ERROR', status: 500 },
  ];
  expect(codes.length).toBeGreaterThan(60);
  for (const language of loadLanguages().all)
    for (const said of codes) {
      const word = pageMessageOf(said);
      for (const key of word === 'tooMany'
        ? [`error.${word}.title`, 'error.tooMany.minutes', 'error.tooMany.hours']
        : [`error.${word}.title`, `error.${word}.message`])
        expect(language.t(key, { seconds: 5, n: 2 }).length, `${language.code} ${said.code}`).toBeGreaterThan(
          3,
        );
    }
});

test('what our own forms and addresses are refused for is not put down to a portal', () => {
  const blamed = Object.entries(STATUSES).filter(
    ([code, status]) => pageMessageOf({ code, status }) === 'invalidRequest',
  );
  expect(blamed).toEqual([]);
});

const links = (page: Page) =>
  [...page.text.matchAll(/<main[\s\S]*<\/main>/g)].flatMap(([main]) =>
    [...main.matchAll(/href="([^"]+)"/g)].map(([, href]) => href),
  );

function expectWayOn(page: Page, status: number): void {
  expect(page.status).toBe(status);
  expect(page.headers.get('content-type')).toContain('text/html');
  const trace = page.headers.get('x-trace-id') ?? '';
  expect(trace).toMatch(/^[0-9a-f]{32}$/);
  expect(page.text).toContain(trace);
  expect(links(page)).toContain('/');
}

const post = async (
  browser: UserAgent,
  path: string,
  body: string | URLSearchParams,
  headers: Record<string, string> = {},
) =>
  fetch(`${t.origin}${path}`, {
    method: 'POST',
    body,
    redirect: 'manual',
    headers: {
      Accept: 'text/html',
      Origin: t.origin,
      Cookie: await browser.jar.getCookieString(`${t.origin}${path}`),
      ...headers,
    },
  });

describe('within a request of a portal', () => {
  test.each([
    ['a form from elsewhere', 403, { csrf: 'x' }, {}],
    ['a form that is too large', 413, { identifier: 'x'.repeat(20_000) }, {}],
    ['a body of another kind', 415, {}, { 'Content-Type': 'application/json' }],
  ] as const)('%s leads back to where one was, and to the portal', async (_what, status, body, headers) => {
    const browser = new UserAgent();
    const page = await browser.get((await rp.begin()).url);
    const answer = await post(browser, `${page.url.pathname}/sign-in`, new URLSearchParams(body), headers);
    expect(answer.status).toBe(status);
    const text = await answer.text();
    expect(text).toContain(answer.headers.get('x-trace-id'));
    expect(text).toContain(`href="${page.url.pathname}"`);
    expect(text).toContain(`href="${new URL('/', rp.redirectUri).href}"`);
    // The page is still there.
    expect((await browser.get(page.url)).status).toBe(200);
  });

  test.each([
    ['a store that is away', 503, Object.assign(new Error('away'), { code: 'ECONNREFUSED' })],
    ['a mistake of ours', 500, new TypeError('a mistake')],
  ] as const)(
    '%s keeps what was typed, less the password, and tries again by a button',
    async (_what, status, error) => {
      const browser = new UserAgent();
      const person = newPerson();
      await t.app.identity.register(person);
      const attempt = await rp.begin();
      const page = await browser.get(attempt.url);
      broken = error;
      const failed = await browser
        .submit(page, { ...person }, '/sign-in')
        .finally(() => (broken = undefined));
      expectWayOn(failed, status);
      expect(failed.text).not.toContain(person.password);
      expect(failed.text).toContain(`href="${new URL('/', rp.redirectUri).href}"`);
      const again = failed.forms.find(({ action }) => action.pathname.endsWith('/sign-in'));
      expect(again?.fields).toMatchObject({ identifier: person.identifier });
      expect(again?.fields).not.toHaveProperty('password');
      const form = await browser.submit(failed, {}, '/sign-in');
      expect(form.forms[0]?.fields['identifier'] ?? form.text).toContain(person.identifier);
      const done = await browser.submit(form, { ...person }, '/sign-in', rp.redirectUri);
      expect(done.url.searchParams.get('code')).toBeTruthy();
    },
  );

  test('a request that is over leads to its portal', async () => {
    const browser = new UserAgent();
    await browser.get((await rp.begin()).url);
    const page = await browser.get(`${t.origin}/interaction/${'x'.repeat(43)}`);
    expectWayOn(page, 400);
    expect(links(page)).toContain(new URL('/', rp.redirectUri).href);
  });
});

test.each([
  ['/nowhere', 404],
  ['/authorize?client_id=nobody', 400],
  ['/assets/nothing.css', 404],
  ['/account/passkeys/nothing', 200],
])('%s leads home', async (path, status) => {
  const page = await new UserAgent().get(`${t.origin}${path}`);
  if (status === 200) expect(page.forms.length).toBeGreaterThan(0);
  else expectWayOn(page, status);
});

test('nothing that a page repeats is a secret or a number of a person', async () => {
  const browser = new UserAgent();
  const page = await browser.get((await rp.begin()).url);
  broken = new TypeError('a mistake');
  const typed = {
    password: 'pass-word-1',
    code: '123456',
    number: '110105199901010000',
    value: '19900000000',
    credential: 'cred',
  };
  const failed = await browser
    .submit(page, { identifier: 'somebody', ...typed }, '/sign-in')
    .finally(() => (broken = undefined));
  expect(failed.status).toBe(500);
  for (const secret of Object.values(typed)) expect(failed.text).not.toContain(secret);
});
