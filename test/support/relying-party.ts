/** A portal for tests: stock `openid-client`, a redirect URI where nothing listens, and a receiver for back-channel logout. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import * as oidc from 'openid-client';
import type { App } from '../../src/app.ts';
import type { PortalRegistration } from '../../src/portals/index.ts';
import { readCode, type Inbox } from '../../src/demo/outbox.ts';
import type { Page, UserAgent } from '../../src/demo/user-agent.ts';

export interface RelyingParty {
  readonly clientId: string;
  readonly secret: string;
  readonly redirectUri: string;
  readonly client: oidc.Configuration;
  /** Bodies of the logout calls received, in order. */
  readonly logouts: URLSearchParams[];
  /** Starts a sign-in. `until` is where the browser stops. */
  begin(parameters?: Record<string, string>): Promise<{ url: URL; verifier: string; state: string }>;
  /** Redeems the code of a callback. */
  redeem(
    callback: URL,
    attempt: { verifier: string; state: string },
  ): Promise<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers>;
  stop(): Promise<void>;
}

export async function registerRelyingParty(
  { app, origin }: { app: App; origin: string },
  options: {
    clientId: string;
    sector?: string;
    scopes?: string[];
    scope?: string;
    /** More of the registration. */
    registration?: Partial<PortalRegistration>;
    /** How the portal authenticates; by its secret if not said. */
    authentication?: oidc.ClientAuth;
  },
): Promise<RelyingParty> {
  const logouts: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      logouts.push(new URLSearchParams(body));
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { clientId, scopes = ['openid', 'profile', 'phone', 'seals:use'], scope = 'openid' } = options;
  const redirectUri = `${own}/callback`;
  await app.portals.register(
    {
      clientId,
      name: { 'zh-CN': `测试门户 ${clientId}`, en: `Test portal ${clientId}` },
      sector: options.sector ?? clientId,
      homeUri: `${own}/`,
      redirectUris: [redirectUri],
      postLogoutRedirectUris: [`${own}/`],
      backchannelLogoutUri: `${own}/backchannel-logout`,
      scopes,
      ...options.registration,
    },
    'system',
  );
  const secret = await app.portals.issueSecret(clientId);
  const client = await oidc.discovery(new URL(origin), clientId, secret, options.authentication, {
    execute: [oidc.allowInsecureRequests],
  });
  return {
    clientId,
    secret,
    redirectUri,
    client,
    logouts,
    async begin(parameters = {}) {
      const verifier = oidc.randomPKCECodeVerifier();
      const state = oidc.randomState();
      const url = oidc.buildAuthorizationUrl(client, {
        redirect_uri: redirectUri,
        scope,
        state,
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        ...parameters,
      });
      return { url, verifier, state };
    },
    redeem: (callback, { verifier, state }) =>
      oidc.authorizationCodeGrant(client, callback, { pkceCodeVerifier: verifier, expectedState: state }),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Person {
  readonly identifier: string;
  readonly password: string;
}

let people = 0;
/** A person who does not exist. */
export function newPerson(): Person {
  people += 1;
  return { identifier: `person-${process.pid}-${people}`, password: `a quiet word ${people} by the river` };
}

/** A person with a phone number that nobody has. */
export function newPhonePerson(): Person {
  const { password } = newPerson();
  const number = `${process.pid % 1000}`.padStart(3, '0') + String(people).padStart(5, '0');
  return { identifier: `199${number}`, password };
}

/** Registers on the way to a portal: an address, the code that came to the inbox, a password. @returns the page after it. */
export async function registerByCode(
  inbox: Inbox,
  browser: UserAgent,
  signInPage: Page,
  { identifier, password }: Person,
  until?: string,
): Promise<Page> {
  const addressPage = await browser.get(`${signInPage.url.origin}${signInPage.url.pathname}/register`);
  const codePage = await browser.submit(addressPage, { identifier }, '/register');
  const to = identifier.includes('@') ? identifier : `+86${identifier}`;
  const passwordPage = await browser.submit(codePage, { code: await readCode(inbox, to) }, '/register/code');
  return browser.submit(passwordPage, { password, passwordAgain: password }, '/register/password', until);
}

/** Takes a browser from a portal's request to its callback: signs in if asked, agrees if asked. */
export async function signIn(
  rp: RelyingParty,
  browser: UserAgent,
  person: Person,
  parameters?: Record<string, string>,
) {
  const attempt = await rp.begin(parameters);
  let page: Page = await browser.get(attempt.url, rp.redirectUri);
  if (page.forms.some((form) => form.action.pathname.endsWith('/sign-in')))
    page = await browser.submit(page, { ...person }, '/sign-in', rp.redirectUri);
  if (page.forms.some((form) => form.action.pathname.endsWith('/consent')))
    page = await browser.submit(page, { decision: 'allow' }, '/consent', rp.redirectUri);
  return { ...attempt, page, callback: page.url };
}
