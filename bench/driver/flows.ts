/** What the driver asks of a provider, written against its discovery document: the same requests for every target. */
import { createHash, randomBytes } from 'node:crypto';
import { UserAgent, type Page } from '../../src/demo/user-agent.ts';
import { Connection, type Answer } from './connection.ts';

/** A provider under load. */
export interface Target {
  readonly label: string;
  /** Where it answers. With more than one process behind an issuer, requests go to each in turn. */
  readonly origins: readonly string[];
  readonly pids: readonly number[];
  readonly client: { readonly id: string; readonly secret: string; readonly redirectUri: string };
  /** Resource indicator for which it gives JWT access tokens to the client itself. */
  readonly resource: string;
  /** What the i-th person types into the forms. */
  person(i: number): Readonly<Record<string, string>>;
}

/** One connection to every origin of a target, used in turn. */
export class Lane {
  readonly #connections: readonly Connection[];
  #next = 0;

  constructor(target: Target) {
    this.#connections = target.origins.map((origin) => new Connection(origin));
  }

  request(...request: Parameters<Connection['request']>): Promise<Answer> {
    const connection = this.#connections[this.#next++ % this.#connections.length];
    if (!connection) throw new TypeError('a target has an origin');
    return connection.request(...request);
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

export type Operation = (lane: Lane) => Promise<unknown>;

/** @returns what one person (or client) does again and again; undefined if the provider does not offer it. */
export type Flow = (site: Site, person: number) => Promise<Operation | undefined> | Operation | undefined;

const SCOPE = 'openid profile';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

export const FLOWS = {
  discovery: () => async (lane) => expect(await lane.request('GET', DISCOVERY), 200),

  jwks: (site) => async (lane) => expect(await lane.request('GET', site.path('jwks_uri')), 200),

  cc_jwt: (site) => {
    if (!site.offersGrant('client_credentials')) return undefined;
    const body = form({ grant_type: 'client_credentials', resource: site.target.resource });
    return async (lane) => expect(await site.post(lane, 'token_endpoint', body), 200);
  },

  authorize: async (site, person) => {
    const { cookie } = await site.signIn(person);
    return async (lane) => codeOf(await site.authorize(lane, cookie, proofKey().challenge));
  },

  /** A person with a session comes from a portal: authorization code, then access token and ID token. */
  login: async (site, person) => {
    const { cookie } = await site.signIn(person);
    return async (lane) => {
      const { verifier, challenge } = proofKey();
      const code = codeOf(await site.authorize(lane, cookie, challenge));
      return idTokenOf(await site.redeem(lane, code, verifier));
    };
  },

  /** A person without a session signs in with a password: from the portal's request to the code, through the page with its form. */
  password: (site, person) => async (lane) => (await site.openSignIn(lane, person))(lane),

  userinfo: async (site, person) => {
    const headers = { authorization: `Bearer ${await site.accessToken(person)}` };
    return async (lane) => expect(await lane.request('GET', site.path('userinfo_endpoint'), headers), 200);
  },

  introspect: async (site, person) => {
    if (!site.offers('introspection_endpoint')) return undefined;
    const body = form({ token: await site.accessToken(person) });
    return async (lane) => {
      const { text } = expect(await site.post(lane, 'introspection_endpoint', body), 200);
      if (!text.includes('"active":true')) throw new Error(`not active: ${text}`);
    };
  },

  /** Every answer brings the refresh token for the next request where the provider rotates them. */
  refresh: async (site, person) => {
    if (!site.offersGrant('refresh_token')) return undefined;
    let token = (await site.tokens(person, 'openid offline_access', { prompt: 'consent' }))['refresh_token'];
    if (typeof token !== 'string') return undefined;
    return async (lane) => {
      const body = form({ grant_type: 'refresh_token', refresh_token: String(token) });
      const answer = expect(await site.post(lane, 'token_endpoint', body), 200).json();
      token = answer['refresh_token'] ?? token;
    };
  },
} satisfies Record<string, Flow>;

export type FlowName = keyof typeof FLOWS;

const DISCOVERY = '/.well-known/openid-configuration';

/** A target, its discovery document, and the steps that flows are made of. */
export class Site {
  readonly target: Target;
  readonly #metadata: Readonly<Record<string, unknown>>;
  readonly #authorization: string;

  private constructor(target: Target, metadata: Readonly<Record<string, unknown>>) {
    this.target = target;
    this.#metadata = metadata;
    // RFC 6749, section 2.3.1: both are form-urlencoded before they are joined.
    const { id, secret } = target.client;
    const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
    this.#authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  }

  static async open(target: Target): Promise<Site> {
    const lane = new Lane(target);
    try {
      return new Site(target, expect(await lane.request('GET', DISCOVERY), 200).json());
    } finally {
      lane.close();
    }
  }

  offers(endpoint: string): boolean {
    return typeof this.#metadata[endpoint] === 'string';
  }

  offersGrant(grantType: string): boolean {
    const offered = this.#metadata['grant_types_supported'];
    return Array.isArray(offered) && offered.includes(grantType);
  }

  path(endpoint: string): string {
    return new URL(String(this.#metadata[endpoint])).pathname;
  }

  /** A form, with the client's own authentication. */
  post(lane: Lane, endpoint: string, body: string): Promise<Answer> {
    return lane.request('POST', this.path(endpoint), { ...FORM, authorization: this.#authorization }, body);
  }

  authorize(lane: Lane, cookie: string, challenge: string): Promise<Answer> {
    return lane.request('GET', this.#authorizePath(challenge, SCOPE), { cookie });
  }

  redeem(lane: Lane, code: string, verifier: string): Promise<Answer> {
    const { redirectUri } = this.target.client;
    const grant = { grant_type: 'authorization_code', code, redirect_uri: redirectUri };
    return this.post(lane, 'token_endpoint', form({ ...grant, code_verifier: verifier }));
  }

  /** Signs a person in as a browser does, through whatever forms the provider shows. */
  async signIn(person: number, scope = SCOPE, extra: Record<string, string> = {}) {
    const { verifier, challenge } = proofKey();
    const { redirectUri } = this.target.client;
    // The browser sees the issuer; behind it is whichever process this is.
    const issuer = String(this.#metadata['issuer']);
    const [origin = issuer] = this.target.origins;
    const browser = new UserAgent(undefined, (url) =>
      url.origin === issuer ? new URL(url.pathname + url.search, origin) : url,
    );
    const start = new URL(this.#authorizePath(challenge, scope, extra), issuer);
    let page: Page = await browser.get(start, redirectUri);
    // Signing in, agreeing, and one to spare.
    for (let step = 0; step < 3 && !page.url.href.startsWith(redirectUri); step++)
      page = await browser.submit(page, this.target.person(person), actionOf(page), redirectUri);
    const code = page.url.searchParams.get('code');
    if (code === null) throw new Error(`no code at ${page.url.href}: ${page.text.slice(0, 300)}`);
    return { cookie: await browser.jar.getCookieString(start.href), code, verifier };
  }

  /**
   * Comes from a portal to the page with the sign-in form, with as little work as a browser can have.
   * @returns what sends the form and follows to the code; `once` sends the form alone.
   */
  async openSignIn(lane: Lane, person: number): Promise<(lane: Lane, once?: boolean) => Promise<void>> {
    const cookies = new Map<string, string>();
    const issuer = String(this.#metadata['issuer']);
    const ask = async (lane: Lane, method: string, path: string, body?: string): Promise<Answer> => {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const answer = await lane.request(method, path, { cookie, ...(body === undefined ? {} : FORM) }, body);
      for (const line of answer.headers('set-cookie')) {
        const [, name = '', value = ''] = COOKIE.exec(line) ?? [];
        cookies.set(name, value);
      }
      return answer;
    };
    const follow = async (lane: Lane, answer: Answer): Promise<Answer> => {
      const location = answer.header('location');
      if (location === undefined || location.startsWith(this.target.client.redirectUri)) return answer;
      const next = new URL(location, issuer);
      return follow(lane, await ask(lane, 'GET', next.pathname + next.search));
    };
    // For this scope nobody is asked anything.
    const path = this.#authorizePath(proofKey().challenge, 'openid');
    const page = await follow(lane, await ask(lane, 'GET', path));
    const action = SIGN_IN_FORM.exec(page.text)?.[1];
    const csrf = CSRF_FIELD.exec(page.text)?.[1];
    if (action === undefined || csrf === undefined)
      throw new Error(`no form: ${page.status} ${page.text.slice(0, 300)}`);
    const body = form({ ...this.target.person(person), csrf });
    return async (sending, once = false) => {
      const posted = expect(await ask(sending, 'POST', action, body), 303);
      if (!once) codeOf(await follow(sending, posted));
    };
  }

  /** Signs a person in and redeems the code. */
  async tokens(person: number, scope?: string, extra?: Record<string, string>) {
    const { code, verifier } = await this.signIn(person, scope, extra);
    const lane = new Lane(this.target);
    try {
      return expect(await this.redeem(lane, code, verifier), 200).json();
    } finally {
      lane.close();
    }
  }

  async accessToken(person: number): Promise<string> {
    return String((await this.tokens(person))['access_token']);
  }

  #authorizePath(challenge: string, scope: string, extra: Record<string, string> = {}): string {
    const query = form({
      client_id: this.target.client.id,
      response_type: 'code',
      redirect_uri: this.target.client.redirectUri,
      scope,
      state: random(8),
      nonce: random(8),
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...extra,
    });
    return `${this.path('authorization_endpoint')}?${query}`;
  }
}

const COOKIE = /^([^=]+)=([^;]*)/;
const SIGN_IN_FORM = /<form method="post" action="([^"]+\/sign-in)"/;
const CSRF_FIELD = /name="csrf" value="([^"]+)"/;

/** The form that leads on: not the one that cancels. */
function actionOf(page: Page): string {
  return page.forms.find(({ action }) => !action.pathname.endsWith('/cancel'))?.action.pathname ?? '';
}

function expect(answer: Answer, status: number): Answer {
  if (answer.status !== status) throw new Error(`${answer.status} ${answer.text.slice(0, 300)}`);
  return answer;
}

function codeOf(answer: Answer): string {
  const code = /[?&]code=([^&]+)/.exec(answer.header('location') ?? '')?.[1];
  if (code === undefined) throw new Error(`no code: ${answer.status} ${answer.text.slice(0, 300)}`);
  return code;
}

function idTokenOf(answer: Answer): string {
  const token = /"id_token":"([^"]+)"/.exec(expect(answer, 200).text)?.[1];
  if (token === undefined) throw new Error(`no ID token: ${answer.text.slice(0, 300)}`);
  return token;
}

function proofKey(): { verifier: string; challenge: string } {
  const verifier = random(32);
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

function random(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}

function form(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString();
}
