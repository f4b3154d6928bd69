/** The whole job, done over HTTP as a citizen and an officer would, each step with its proof. */
import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import * as oidc from 'openid-client';
import type { App } from '../app.ts';
import { PEOPLE, SEAL_NAME } from './fictional.ts';
import { readCode, type Inbox } from './outbox.ts';
import { UserAgent, type Page } from './user-agent.ts';

export interface WalkOptions {
  /** Where the citizen's messages arrive. */
  readonly inbox: Inbox;
  readonly app: Pick<App, 'db' | 'identity'>;
  readonly origins: {
    readonly issuer: string;
    readonly zhejiang: string;
    readonly guangdong: string;
    readonly sealDesk: string;
  };
  readonly sealDesk: { readonly clientId: string; readonly secret: string };
  /** Where the files are left. */
  readonly directory: string;
  say(line: string): void;
}

const ORIGINAL = fileURLToPath(new URL('../../examples/documents/service-agreement.pdf', import.meta.url));

/** @returns whether every step held. */
export async function walk(options: WalkOptions): Promise<boolean> {
  const { app, origins, directory, say } = options;
  let step = 0;
  const proved = (what: string, proof: string) => say(`\n  ${++step}. ${what}\n     ${proof}`);
  try {
    const citizen = {
      identifier: `199${String(randomInt(100_000_000)).padStart(8, '0')}`,
      password: `${randomInt(1e9)} boats under the bridge`,
    };

    const [{ hash = '' } = {}, accountId = ''] = await register(citizen);
    proved(
      'A citizen registered with a phone number that a code has checked',
      `password kept as ${hash.split('$').slice(0, 4).join('$')}$..., phone number encrypted`,
    );

    const browser = new UserAgent();
    const zhejiang = await signIn(browser, citizen);
    const zhejiangSub = subjectOn(zhejiang);
    proved('Signed in at Zhejiang with the password', `sub ${zhejiangSub}`);

    const guangdong = await browser.get(`${origins.guangdong}/login`);
    const prompts = guangdong.visited.filter((url) => url.pathname.startsWith('/interaction'));
    const guangdongSub = subjectOn(guangdong);
    hold(prompts.length === 0, 'Guangdong prompted');
    proved(
      'Opened Guangdong without a prompt',
      `${guangdong.visited.length - 1} redirects, no page in between; sub ${guangdongSub}`,
    );

    hold(zhejiangSub !== guangdongSub, 'the two portals see the same sub');
    hold(
      ![zhejiangSub, guangdongSub].some((sub) => sub.includes(accountId) || accountId.includes(sub)),
      'a sub shows the account id',
    );
    proved(
      'Each portal knows the citizen by a number of its own',
      'the two subs differ, and neither shows the account id',
    );

    const tokens = await signOutOnce(browser);
    proved('Signed out once', `both portals received a valid logout token: jti ${tokens.join(' and ')}`);

    const { sealed, original, location } = await sealAsOfficer();
    hold(
      sealed.subarray(0, original.length).equals(original),
      'the sealed document does not begin with the original',
    );
    proved(
      'An officer sealed a 3-page PDF by the REST API',
      `201, Location ${location}; ${original.length} bytes of original untouched, ${sealed.length - original.length} added`,
    );

    const good = await verify(sealed);
    hold(good.indication === 'TOTAL-PASSED', `the seal was judged ${good.indication}`);
    proved(
      'The seal verifies',
      `${good.indication}: ${good.seals[0]?.checks.map((check) => check.code).join(', ')}`,
    );

    const tampered = flipByte(sealed);
    writeFileSync(join(directory, 'tampered.pdf'), tampered);
    const bad = await verify(tampered);
    const reason = bad.seals[0]?.checks.find((check) => check.outcome === 'failed');
    hold(
      bad.indication === 'TOTAL-FAILED' && reason !== undefined,
      `a changed document was judged ${bad.indication}`,
    );
    proved(
      'One flipped byte is found',
      `${bad.indication}, ${bad.seals[0]?.subIndication}: ${reason?.message}`,
    );

    say(
      `\n  Every step held. The files are in ${directory}: original.pdf, sealed.pdf, tampered.pdf, root.pem, receipt.json\n`,
    );
    return true;
  } catch (error) {
    say(`\n  Step ${step + 1} did not hold: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  }

  /** Registers at the page that Zhejiang leads to, on a browser of its own, with the code that comes to the phone. @returns what is stored of the password, and the account. */
  async function register(person: {
    identifier: string;
    password: string;
  }): Promise<[{ hash: string } | undefined, string | undefined]> {
    const browser = new UserAgent();
    const signInPage = await browser.get(`${origins.zhejiang}/login`);
    const registerPage = await browser.get(`${signInPage.url.href}/register`);
    const { identifier, password } = person;
    const codePage = await browser.submit(registerPage, { identifier }, '/register');
    const code = await readCode(options.inbox, `+86${identifier}`);
    const passwordPage = await browser.submit(codePage, { code }, '/register/code');
    const consentPage = await browser.submit(
      passwordPage,
      { password, passwordAgain: password },
      '/register/password',
    );
    subjectOn(await browser.submit(consentPage, { decision: 'allow' }, '/consent'));
    const accountId = await app.identity.find(person.identifier);
    const [credential] = await app.db.query<{ hash: string }>(
      'SELECT hash FROM password_credentials WHERE account_id = $1',
      [accountId],
    );
    hold(credential?.hash.startsWith('$argon2id$') === true, 'the password is not kept as argon2id');
    return [credential, accountId];
  }

  async function signIn(browser: UserAgent, person: { identifier: string; password: string }): Promise<Page> {
    const signInPage = await browser.get(`${origins.zhejiang}/login`);
    const after = await browser.submit(signInPage, person, '/sign-in');
    return after.url.origin === origins.issuer
      ? browser.submit(after, { decision: 'allow' }, '/consent')
      : after;
  }

  async function signOutOnce(browser: UserAgent): Promise<string[]> {
    const question = await browser.submit(await browser.get(`${origins.zhejiang}/`), {}, '/logout');
    await browser.submit(question, { logout: 'yes' }, '/confirm');
    const tokens = await Promise.all([lastLogout(origins.zhejiang), lastLogout(origins.guangdong)]);
    const page = await browser.get(`${origins.guangdong}/`);
    hold(!page.text.includes('class="in"'), 'Guangdong still shows a signed-in citizen');
    return tokens;
  }

  /** The newest logout token that a portal has accepted. */
  async function lastLogout(origin: string): Promise<string> {
    // The click does not wait for the portals: the calls follow at once.
    for (let attempt = 0; attempt < 50; attempt++) {
      const events = (await (await fetch(`${origin}/events`)).json()) as { jti: string }[];
      const last = events.at(-1);
      if (last) return last.jti;
      await setTimeout(100);
    }
    throw new Error(`${origin} has received no valid logout token`);
  }

  /** A stock OpenID Connect client asks for a token for the API; the officer signs in and agrees; the API seals. */
  async function sealAsOfficer(): Promise<{ original: Buffer; sealed: Buffer; location: string }> {
    const { clientId, secret } = options.sealDesk;
    const client = await oidc.discovery(new URL(origins.issuer), clientId, secret, undefined, {
      execute: [oidc.allowInsecureRequests],
    });
    const [verifier, state] = [oidc.randomPKCECodeVerifier(), oidc.randomState()];
    const redirectUri = `${origins.sealDesk}/callback`;
    const request = oidc.buildAuthorizationUrl(client, {
      redirect_uri: redirectUri,
      scope: 'openid seals:use',
      resource: `${origins.issuer}/api/v1`,
      state,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const browser = new UserAgent();
    const consentPage = await browser.submit(
      await browser.get(request),
      PEOPLE.officer,
      '/sign-in',
      redirectUri,
    );
    const callback = await browser.submit(consentPage, { decision: 'allow' }, '/consent', redirectUri);
    const { access_token: token } = await oidc.authorizationCodeGrant(client, callback.url, {
      pkceCodeVerifier: verifier,
      expectedState: state,
    });

    const authorization = { Authorization: `Bearer ${token}` };
    const { seals } = (await (
      await fetch(`${origins.issuer}/api/v1/seals`, { headers: authorization })
    ).json()) as { seals: { id: string; name: string }[] };
    const seal = seals.find((candidate) => candidate.name === SEAL_NAME);
    if (!seal) throw new Error('the officer has no seal');

    const original = readFileSync(ORIGINAL);
    const form = new FormData();
    form.set('document', new Blob([original], { type: 'application/pdf' }), 'service-agreement.pdf');
    form.set('options', JSON.stringify({ reason: '同意本协议', location: '杭州' }));
    const response = await fetch(`${origins.issuer}/api/v1/seals/${seal.id}/sealings`, {
      method: 'POST',
      headers: { ...authorization, 'Idempotency-Key': crypto.randomUUID() },
      body: form,
    });
    if (response.status !== 201)
      throw new Error(`the API answered ${response.status}: ${await response.text()}`);
    const sealed = Buffer.from(await response.arrayBuffer());
    const location = response.headers.get('location') ?? '';

    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'original.pdf'), original);
    writeFileSync(join(directory, 'sealed.pdf'), sealed);
    writeFileSync(
      join(directory, 'root.pem'),
      await (await fetch(`${origins.issuer}/api/v1/trust-anchors`)).text(),
    );
    writeFileSync(join(directory, 'receipt.json'), await receipt(location, authorization));
    return { original, sealed, location };
  }

  /** The record of the sealing, with the log's signature checked by the published keys. */
  async function receipt(location: string, headers: Record<string, string>): Promise<string> {
    const record = (await (await fetch(new URL(location, origins.issuer), { headers })).json()) as {
      receipt: { signature: string };
    };
    const keys = createLocalJWKSet(
      (await (await fetch(`${origins.issuer}/api/v1/audit/keys`)).json()) as JSONWebKeySet,
    );
    await compactVerify(record.receipt.signature, keys);
    return `${JSON.stringify(record, null, 2)}\n`;
  }

  async function verify(document: Uint8Array): Promise<Verdict> {
    const form = new FormData();
    form.set('document', new Blob([Buffer.from(document)], { type: 'application/pdf' }), 'document.pdf');
    const response = await fetch(`${origins.issuer}/api/v1/verifications`, { method: 'POST', body: form });
    if (response.status !== 200)
      throw new Error(`the API answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Verdict;
  }
}

interface Verdict {
  readonly indication: string;
  readonly seals: readonly {
    readonly subIndication?: string;
    readonly checks: readonly { readonly code: string; readonly outcome: string; readonly message: string }[];
  }[];
}

/** The `sub` that a portal shows to whoever is signed in there. */
function subjectOn(page: Page): string {
  const sub = /sub<\/dt><dd><code>([^<]+)</.exec(page.text)?.[1];
  if (sub === undefined) throw new Error(`nobody is signed in at ${page.url.href} (${page.status})`);
  return sub;
}

/** Changes one byte inside the first page's content, where a reader would see it. */
function flipByte(document: Buffer): Buffer {
  const changed = Buffer.from(document);
  const at = changed.indexOf('stream') + 40;
  changed[at] = (changed[at] ?? 0) ^ 0x01;
  return changed;
}

function hold(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
