/** Sign-in across portals, over real HTTP: what a browser and a portal see, then what is stored. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkChain } from '../../src/audit/index.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import {
  newPerson,
  newPhonePerson,
  registerByCode,
  registerRelyingParty,
  type Person,
  signIn,
  type RelyingParty,
} from '../support/relying-party.ts';
import { stable } from '../support/stable.ts';

let t: TestApp;
let zhejiang: RelyingParty;
let guangdong: RelyingParty;

beforeAll(async () => {
  t = await startApp();
  zhejiang = await registerRelyingParty(t, { clientId: 'zhejiang', scope: 'openid phone profile' });
  guangdong = await registerRelyingParty(t, { clientId: 'guangdong' });
});
afterAll(async () => {
  await zhejiang.stop();
  await guangdong.stop();
  await t.stop();
});

async function register(browser: UserAgent, person: Person, rp = guangdong) {
  const attempt = await rp.begin();
  const signInPage = await browser.get(attempt.url);
  const callback = await registerByCode(t.origin, browser, signInPage, person, rp.redirectUri);
  return { ...attempt, callback: callback.url };
}

describe('sign-in', () => {
  test('a person registers on the way to a portal and arrives there signed in', async () => {
    const person = newPhonePerson();
    const attempt = await register(new UserAgent(), person);
    const tokens = await guangdong.redeem(attempt.callback, attempt);
    const accountId = await t.app.identity.find(person.identifier);
    expect(accountId).toMatch(/^acc_/);
    expect(tokens.claims()).toMatchObject({ aud: 'guangdong', amr: ['pwd'], iss: t.origin });
    expect(tokens.claims()?.sub).not.toContain(accountId);
    const [stored] = await t.app.db.query<{ hash: string }>(
      'SELECT hash FROM password_credentials WHERE account_id = $1',
      [accountId],
    );
    expect(stored?.hash).toMatch(/^\$argon2id\$v=19\$m=7168,t=1,p=1\$/);
  });

  test('one sign-in serves a second portal with no page in between, under another sub', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const browser = new UserAgent();
    const first = await signIn(zhejiang, browser, person);
    const second = await signIn(guangdong, browser, person);
    expect(second.page.visited.some((url) => url.pathname.startsWith('/interaction'))).toBe(false);
    const [a, b] = [
      await zhejiang.redeem(first.callback, first),
      await guangdong.redeem(second.callback, second),
    ];
    expect(a.claims()?.sub).not.toBe(b.claims()?.sub);
    const rows = await t.app.db.query<{ sub: string }>(
      'SELECT sub FROM pairwise_subjects WHERE sub = ANY($1)',
      [[a.claims()?.sub, b.claims()?.sub]],
    );
    expect(rows).toHaveLength(2);
  });

  test('the sub of a person at a portal is the same at every sign-in, and follows the sector, not the redirect URI', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const sibling = await registerRelyingParty(t, { clientId: 'guangdong-mobile', sector: 'guangdong' });
    const subs = [];
    for (const rp of [guangdong, guangdong, sibling]) {
      const attempt = await signIn(rp, new UserAgent(), person);
      subs.push((await rp.redeem(attempt.callback, attempt)).claims()?.sub);
    }
    await sibling.stop();
    expect(new Set(subs).size).toBe(1);
  });

  test('claims leave only after consent, which shows them with their middle hidden, and is not asked twice in a session', async () => {
    const person = { identifier: '19900001111', password: 'a lantern on the bridge' };
    await t.app.identity.register(person);
    const browser = new UserAgent();
    const attempt = await zhejiang.begin();
    const consent = await browser.submit(
      await browser.get(attempt.url),
      person,
      '/sign-in',
      zhejiang.redirectUri,
    );
    expect(consent.url.pathname).toMatch(/^\/interaction\//);
    expect(consent.text).toContain('199****1111');
    expect(consent.text).not.toContain('19900001111');
    const callback = await browser.submit(consent, { decision: 'allow' }, '/consent', zhejiang.redirectUri);
    const tokens = await zhejiang.redeem(callback.url, attempt);
    const userinfo = await (
      await fetch(`${t.origin}/userinfo`, { headers: { Authorization: `Bearer ${tokens.access_token}` } })
    ).json();
    expect(userinfo).toMatchObject({ phone_number: '+8619900001111', phone_number_verified: false });
    expect(userinfo).not.toHaveProperty('preferred_username');
    const again = await signIn(zhejiang, browser, person);
    expect(again.page.visited.some((url) => url.pathname.startsWith('/interaction'))).toBe(false);
  });

  test('consent is remembered on other devices, and asked again only for what is more', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const first = await signIn(zhejiang, new UserAgent(), person, { scope: 'openid phone' });
    expect(first.page.visited.filter((url) => url.pathname.endsWith('/consent'))).toHaveLength(1);
    const elsewhere = new UserAgent();
    const second = await signIn(zhejiang, elsewhere, person, { scope: 'openid phone' });
    expect(second.page.visited.some((url) => url.pathname.endsWith('/consent'))).toBe(false);
    const more = await elsewhere.get((await zhejiang.begin({ scope: 'openid phone profile' })).url);
    expect(more.text).toContain('用户名');
    expect(more.text).not.toContain('手机号');
    const asked = await elsewhere.get((await zhejiang.begin({ scope: 'openid', prompt: 'consent' })).url);
    expect(asked.forms.some((form) => form.action.pathname.endsWith('/consent'))).toBe(true);
  });

  test('who does not agree goes back to the portal with access_denied, and nothing was released', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const browser = new UserAgent();
    const attempt = await zhejiang.begin();
    const consent = await browser.submit(
      await browser.get(attempt.url),
      { ...person },
      '/sign-in',
      zhejiang.redirectUri,
    );
    const callback = await browser.submit(consent, { decision: 'deny' }, '/consent', zhejiang.redirectUri);
    expect(callback.url.searchParams.get('error')).toBe('access_denied');
    expect(callback.url.searchParams.get('iss')).toBe(t.origin);
    await expect(zhejiang.redeem(callback.url, attempt)).rejects.toThrow();
  });

  test('who goes back without signing in arrives at the portal with access_denied', async () => {
    const browser = new UserAgent();
    const attempt = await guangdong.begin();
    const callback = await browser.submit(
      await browser.get(attempt.url),
      {},
      '/cancel',
      guangdong.redirectUri,
    );
    expect(callback.url.searchParams.get('error')).toBe('access_denied');
  });

  test('an unknown account and a wrong password get the same page, status and headers, and the password never comes back', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const answer = async (identifier: string, password: string) => {
      const browser = new UserAgent();
      const attempt = await guangdong.begin();
      const page = await browser.submit(await browser.get(attempt.url), { identifier, password }, '/sign-in');
      expect(page.text).not.toContain(password);
      const [, , uid = ''] = page.url.pathname.split('/');
      const csrf = page.forms[0]?.fields['csrf'] ?? '';
      const blank = (text: string) =>
        stable(text).replaceAll(identifier, 'ID').replaceAll(uid, 'UID').replaceAll(csrf, 'CSRF');
      return { status: page.status, text: blank(page.text), headers: [...page.headers.keys()].sort() };
    };
    const wrong = await answer(person.identifier, 'not the password at all');
    expect(wrong.status).toBe(422);
    expect(await answer('nobody-of-this-name', 'not the password at all')).toEqual(wrong);
    expect(await answer('李', 'not the password at all')).toEqual(wrong);
    await t.app.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [
      await t.app.identity.find(person.identifier),
    ]);
    expect(await answer(person.identifier, person.password)).toEqual(wrong);
  });

  test('login_hint fills the field', async () => {
    const browser = new UserAgent();
    const attempt = await guangdong.begin({ login_hint: 'lihua"><b>' });
    const page = await browser.get(attempt.url);
    expect(page.text).toContain('value="lihua&quot;&gt;&lt;b&gt;"');
  });

  test('prompt=none without a session answers login_required', async () => {
    const attempt = await guangdong.begin({ prompt: 'none' });
    const page = await new UserAgent().get(attempt.url, guangdong.redirectUri);
    expect(page.url.searchParams.get('error')).toBe('login_required');
  });

  test('the ID token is ES256, signed by a published key, and carries what was asked', async () => {
    const person = newPerson();
    await t.app.identity.register(person);
    const attempt = await signIn(guangdong, new UserAgent(), person, { nonce: 'n-1' });
    const callbackCode = attempt.callback.searchParams.get('code');
    expect(callbackCode).toMatch(/^[\w-]{43}$/);
    const response = await fetch(`${t.origin}/token`, {
      method: 'POST',
      headers: { Authorization: `Basic ${btoa(`guangdong:${guangdong.secret}`)}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: callbackCode ?? '',
        redirect_uri: guangdong.redirectUri,
        code_verifier: attempt.verifier,
      }),
    });
    const { id_token: idToken } = (await response.json()) as { id_token: string };
    const header = JSON.parse(Buffer.from(idToken.split('.')[0] ?? '', 'base64url').toString()) as {
      alg: string;
      kid: string;
    };
    const { keys } = (await (await fetch(`${t.origin}/jwks`)).json()) as {
      keys: { kid: string; d?: string }[];
    };
    expect(header).toMatchObject({ alg: 'ES256', kid: keys[0]?.kid });
    expect(keys.every((key) => key.d === undefined)).toBe(true);
    expect(decodeJwt(idToken)).toMatchObject({
      nonce: 'n-1',
      aud: 'guangdong',
      sid: expect.any(String) as string,
    });
  });

  test('a portal with a wrong secret gets invalid_client, and several secrets may be good at once', async () => {
    const ask = (secret: string) =>
      fetch(`${t.origin}/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code: 'x',
          redirect_uri: guangdong.redirectUri,
          code_verifier: 'x'.repeat(43),
          client_id: 'guangdong',
          client_secret: secret,
        }),
      }).then((response) => response.json() as Promise<{ error: string }>);
    const second = await t.app.portals.issueSecret('guangdong');
    expect(await ask('wrong')).toMatchObject({ error: 'invalid_client' });
    expect(await ask(guangdong.secret)).toMatchObject({ error: 'invalid_grant' });
    expect(await ask(second)).toMatchObject({ error: 'invalid_grant' });
  });

  test('PKCE is asked of every client', async () => {
    const { url } = await guangdong.begin();
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const page = await new UserAgent().get(url, guangdong.redirectUri);
    expect(page.url.searchParams.get('error')).toBe('invalid_request');
  });

  test('a scope that the portal is not registered for is not granted', async () => {
    const modest = await registerRelyingParty(t, {
      clientId: 'modest',
      scopes: ['openid'],
      scope: 'openid phone',
    });
    const page = await new UserAgent().get((await modest.begin()).url, modest.redirectUri);
    expect(page.url.searchParams.get('error')).toBe('invalid_scope');
    await modest.stop();
  });

  test('all of this is on record, and the chain holds', async () => {
    expect(await checkChain(t.app.audit)).toMatchObject({ finding: undefined });
    const types = await t.app.db.query<{ type: string }>('SELECT DISTINCT type FROM audit_events');
    expect(types.map((row) => row.type)).toEqual(
      expect.arrayContaining([
        'account.registered',
        'account.signed-in',
        'consent.given',
        'portal.registered',
      ]),
    );
  });
});
