/** Races for codes that people type, and for recoveries, against two server processes. */
import { readCode, readMessage } from '../../src/demo/outbox.ts';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import type { Person } from '../support/relying-party.ts';
import type { Field } from './races.ts';

const PARALLEL = 20;
const PASSWORD = 'a new lantern for the ferry';

/** How many of twenty at once went on to the portal, and what the others were told. */
export interface Outcome {
  readonly won: number;
  readonly wrong: number;
  readonly over: number;
  readonly serverErrors: number;
}

const phoneOf = ({ identifier }: Person) => `+86${identifier}`;

let networks = 0;
/** A browser at an address that no other race uses: the limits for one address are not what is raced for. */
function newBrowser(): { browser: UserAgent; address: string } {
  networks += 1;
  const address = `198.18.${Math.floor(networks / 250)}.${(networks % 250) + 1}`;
  return { address, browser: new UserAgent({ 'Accept-Language': 'zh-CN', 'X-Forwarded-For': address }) };
}

/** Sends the form of a page twenty times at once, half of them to each process. */
async function storm(
  { origins }: Field,
  { browser, address }: { browser: UserAgent; address: string },
  page: Page,
  action: string,
  fields: (i: number) => Record<string, string>,
): Promise<Outcome> {
  const form = page.forms.find((candidate) => candidate.action.pathname.endsWith(action));
  if (!form) throw new Error(`${page.url.href} has no form to ${action}`);
  const cookie = await browser.jar.getCookieString(form.action.href);
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, async (_, i) => {
      const response = await fetch(form.action.href.replace(origins[0], origins[i % 2] ?? ''), {
        method: 'POST',
        redirect: 'manual',
        headers: {
          Cookie: cookie,
          Origin: origins[0],
          Accept: 'text/html',
          'Accept-Language': 'zh-CN',
          'X-Forwarded-For': address,
        },
        body: new URLSearchParams({ ...form.fields, ...fields(i) }),
      });
      const location = response.headers.get('location') ?? '';
      return { status: response.status, location, text: await response.text() };
    }),
  );
  const count = (fits: (answer: (typeof answers)[number]) => boolean) => answers.filter(fits).length;
  return {
    // Where a request goes on, and not where it begins again.
    won: count(({ location }) => /\/authorize\/[\w-]+$/.test(location)),
    wrong: count(({ text }) => text.includes('验证码不正确')),
    over: count(({ text }) => text.includes('这个验证码已经失效')),
    serverErrors: count(({ status }) => status >= 500),
  };
}

async function open(field: Field, path: string, parameters: Record<string, string> = {}) {
  const { browser, address } = newBrowser();
  const page = await browser.get((await field.rp.begin(parameters)).url);
  return { browser, address, page: path === '' ? page : await browser.get(`${page.url.href}${path}`) };
}

/** One code sent by text message typed by twenty at once; then twenty guesses at once at another. */
export async function raceForSentCode(field: Field): Promise<{ right: Outcome; guessed: Outcome }> {
  const begin = async () => {
    const { person } = await field.registerWithPhone();
    const { browser, address, page } = await open(field, '/code');
    const sent = await browser.submit(page, { identifier: person.identifier }, '/code');
    return { browser, address, sent, code: await readCode(field.gateway, phoneOf(person)) };
  };
  const first = await begin();
  const right = await storm(field, first, first.sent, '/code/enter', () => ({ code: first.code }));
  const second = await begin();
  const wrong = (i: number) => String((Number(second.code) + 1 + i) % 1_000_000).padStart(6, '0');
  const guessed = await storm(field, second, second.sent, '/code/enter', (i) => ({ code: wrong(i) }));
  return { right, guessed };
}

/** Codes asked for by twenty browsers at once, for one address. @returns how many were sent. */
export async function raceForSending(field: Field): Promise<number> {
  const { person } = await field.registerWithPhone();
  const browsers = await Promise.all(Array.from({ length: PARALLEL }, () => open(field, '/recover')));
  await Promise.all(
    browsers.map(({ browser, page }) => browser.submit(page, { identifier: person.identifier }, '/recover')),
  );
  await readMessage(field.gateway, phoneOf(person), /\d{8}/);
  // What is told of the recovery codes is no code.
  return field.gateway.messagesTo(phoneOf(person)).filter((words) => /\d{8}/.test(words)).length;
}

/** One recovery code used by twenty at once. */
export async function raceForRecoveryCode(field: Field): Promise<Outcome> {
  const { person, recoveryCodes } = await field.registerWithPhone();
  const visitor = await open(field, '', { acr_values: 'urn:yinxin:loa:3' });
  const { browser, page } = visitor;
  const asked = await browser.submit(page, { ...person }, '/sign-in');
  const way = await browser.get(`${asked.url.origin}${asked.url.pathname}?way=recovery`);
  return storm(field, visitor, way, '/recovery-code', () => ({ code: recoveryCodes[0] ?? '' }));
}

/** From "I cannot sign in" to the page behind the code. */
async function recover(
  field: Field,
  person: Person,
): Promise<{ browser: UserAgent; address: string; page: Page }> {
  const { browser, address, page } = await open(field, '/recover');
  const sent = await browser.submit(page, { identifier: person.identifier }, '/recover');
  const code = /\d{8}/.exec(await readMessage(field.gateway, phoneOf(person), /\d{8}/))?.[0] ?? '';
  return { browser, address, page: await browser.submit(sent, { code }, '/recover/code') };
}

/** What was shown in one recovery used for twenty new passwords at once. */
export async function raceForNewPassword(field: Field): Promise<Outcome> {
  const { person, recoveryCodes } = await field.registerWithPhone();
  const visitor = await recover(field, person);
  const shown = await visitor.browser.submit(
    visitor.page,
    { code: recoveryCodes[1] ?? '' },
    '/recover/factor',
  );
  return storm(field, visitor, shown, '/recover/password', (i) => {
    const password = `${PASSWORD} ${i}`;
    return { password, passwordAgain: password };
  });
}

/** A recovery that has waited, completed at one process and stopped at the other in the same moment. @returns how many of the two happened. */
export async function raceToStop(field: Field): Promise<number> {
  const { person, accountId } = await field.registerWithPhone();
  const begun = await recover(field, person);
  await begun.browser.submit(begun.page, {}, '/recover/lost');
  const notice = await readMessage(field.gateway, phoneOf(person), /recovery\/stop/);
  const word = /(?:[0-9a-z]{4}-){3}[0-9a-z]{4}/.exec(notice)?.[0] ?? '';
  await field.letWait(accountId);
  const ready = await begun.browser.get(begun.page.url);
  const owner = new UserAgent({ 'Accept-Language': 'zh-CN' });
  const stopPage = await owner.get(`${field.origins[1]}/recovery/stop`);
  const fields = { password: PASSWORD, passwordAgain: PASSWORD };
  const [end, stop] = await Promise.all([
    begun.browser.submit(ready, fields, '/recover/password', field.rp.redirectUri),
    fetch(`${field.origins[1]}/recovery/stop`, {
      method: 'POST',
      headers: { Cookie: await owner.jar.getCookieString(field.origins[1]), Origin: field.origins[0] },
      body: new URLSearchParams({ ...stopPage.forms[0]?.fields, word }),
    }),
  ]);
  return Number(end.url.href.startsWith(field.rp.redirectUri)) + Number(stop.status === 200);
}
