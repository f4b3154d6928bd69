/**
 * A complete relying party in one file: sign-in with OpenID Connect, sign-out, and back-channel logout, on stock `openid-client` 6 and
 * `jose`. Copy it, set the variables, and you have a portal.
 *
 *   ISSUER=http://localhost:3000 CLIENT_ID=zhejiang CLIENT_SECRET=... PORT=3001 NAME=浙江政务服务网 SCOPE="openid phone" node portal.mjs
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT = '3001', NAME = CLIENT_ID, SCOPE = 'openid' } = process.env;
const ORIGIN = process.env.ORIGIN ?? `http://localhost:${PORT}`;
const REDIRECT_URI = `${ORIGIN}/callback`;
// Cookies do not know ports: two portals on one host need two names.
const COOKIE = `portal_${CLIENT_ID}`;
const COOKIE_ATTRIBUTES = `; Path=/; HttpOnly; SameSite=Lax${ORIGIN.startsWith('https:') ? '; Secure' : ''}`;

// Plain http is for a demonstration on this machine alone.
const provider = await discover();
const providerKeys = createRemoteJWKSet(new URL(provider.serverMetadata().jwks_uri));

/** Sessions of this portal, by cookie. A real portal keeps them in its own store. */
const sessions = new Map();
/** Logout tokens received, newest last; shown on `/events` so that an integrator sees what arrives. */
const events = [];

const routes = {
  /** What a visitor sees. */
  'GET /': async (_request, response, session) => {
    const who = session?.claims
      ? `<p class="in">已登录 · Signed in</p>
         <dl><dt>用户标识 sub</dt><dd><code>${escape(session.claims.sub)}</code></dd>
         ${session.claims.preferred_username ? `<dt>用户名 User name</dt><dd>${escape(session.claims.preferred_username)}</dd>` : ''}
         ${session.claims.phone_number ? `<dt>手机号 Phone</dt><dd>${escape(session.claims.phone_number)}</dd>` : ''}</dl>
         <form method="post" action="/logout"><button>退出登录 · Sign out</button></form>`
      : `${session?.notice ? `<p class="notice">${escape(session.notice)}</p>` : ''}
         <p>办事前请先登录。<br>Please sign in to use the services.</p>
         <p><a class="button" href="/login">登录 · Sign in</a></p>`;
    page(response, 200, who);
  },

  /** Starts a sign-in: PKCE, state and nonce are made anew for each attempt and wait in the visitor's session. */
  'GET /login': async (_request, response, _session) => {
    const attempt = {
      verifier: oidc.randomPKCECodeVerifier(),
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
    };
    const url = oidc.buildAuthorizationUrl(provider, {
      redirect_uri: REDIRECT_URI,
      scope: SCOPE,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
    });
    redirect(response, url.href, startSession({ attempt }));
  },

  /** The provider sends the visitor back with a code, or with an error that says why not. */
  'GET /callback': async (request, response, session) => {
    if (!session?.attempt) return redirect(response, '/');
    const { verifier, state, nonce } = session.attempt;
    let tokens;
    try {
      tokens = await oidc.authorizationCodeGrant(provider, new URL(request.url, ORIGIN), {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
    } catch (error) {
      return redirect(
        response,
        '/',
        startSession({ notice: `没有登录 · Not signed in (${error.error ?? error.code ?? 'error'})` }),
      );
    }
    const idToken = tokens.claims();
    const userinfo = await oidc.fetchUserInfo(provider, tokens.access_token, idToken.sub);
    // A new session id after sign-in: whoever knew the old one has nothing.
    redirect(response, '/', startSession({ claims: userinfo, sid: idToken.sid, idToken: tokens.id_token }));
  },

  /** Signs out here, then at the provider, which tells every other portal. */
  'POST /logout': async (request, response, session) => {
    const origin = request.headers.origin;
    if (!session?.claims || (origin !== undefined && origin !== ORIGIN)) return redirect(response, '/');
    sessions.delete(session.id);
    redirect(
      response,
      oidc.buildEndSessionUrl(provider, {
        id_token_hint: session.idToken,
        post_logout_redirect_uri: `${ORIGIN}/`,
      }).href,
    );
  },

  /** OpenID Connect Back-Channel Logout 1.0: the provider's own call, when the person signed out elsewhere. */
  'POST /backchannel-logout': async (request, response) => {
    try {
      const body = new URLSearchParams(await readBody(request));
      const { payload } = await jwtVerify(body.get('logout_token') ?? '', providerKeys, {
        issuer: provider.serverMetadata().issuer,
        audience: CLIENT_ID,
        algorithms: ['ES256'],
        typ: 'logout+jwt',
        maxTokenAge: '2 minutes',
        requiredClaims: ['jti', 'events', 'sid'],
      });
      if (!payload.events['http://schemas.openid.net/event/backchannel-logout'] || 'nonce' in payload)
        throw new Error('not a logout token');
      if (events.some((event) => event.jti === payload.jti)) throw new Error('replayed');
      const ended = [...sessions.values()].filter((session) => session.sid === payload.sid);
      for (const session of ended)
        sessions.set(session.id, {
          id: session.id,
          notice: '已在统一身份认证平台退出 · Signed out at the provider',
        });
      events.push({
        type: 'logout',
        jti: payload.jti,
        sub: payload.sub,
        sid: payload.sid,
        sessionsEnded: ended.length,
      });
      if (events.length > 100) events.shift();
      answer(response, 200, 'text/plain', '');
    } catch (error) {
      answer(
        response,
        400,
        'application/json',
        JSON.stringify({ error: 'invalid_request', error_description: String(error.message) }),
      );
    }
  },

  'GET /events': async (_request, response) =>
    answer(response, 200, 'application/json', JSON.stringify(events)),
};

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, ORIGIN);
  try {
    const route = routes[`${request.method} ${pathname}`];
    if (route) await route(request, response, sessionOf(request));
    else page(response, 404, '<p>没有这个页面 · Not found</p>');
  } catch (error) {
    console.error(error);
    if (!response.headersSent) page(response, 500, '<p>出错了 · Something went wrong</p>');
  }
}).listen(Number(PORT), () => console.log(`${NAME} ${ORIGIN}`));

async function discover() {
  const options = ISSUER.startsWith('http:') ? { execute: [oidc.allowInsecureRequests] } : {};
  return oidc.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, options);
}

function sessionOf(request) {
  const cookies = Object.fromEntries(
    (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('=')),
  );
  return sessions.get(cookies[COOKIE]);
}

/** @returns the header that gives the visitor a new session. */
function startSession(content) {
  const id = randomBytes(32).toString('base64url');
  sessions.set(id, { ...content, id });
  if (sessions.size > 10_000) sessions.delete(sessions.keys().next().value);
  return { 'Set-Cookie': `${COOKIE}=${id}${COOKIE_ATTRIBUTES}` };
}

function redirect(response, location, headers = {}) {
  response.writeHead(303, { Location: location, 'Cache-Control': 'no-store', ...headers }).end();
}

function answer(response, status, type, body) {
  response
    .writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    })
    .end(body);
}

async function readBody(request) {
  let body = '';
  for await (const chunk of request) if ((body += chunk).length > 16_384) throw new Error('too large');
  return body;
}

function escape(text) {
  return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function page(response, status, body) {
  const nonce = randomBytes(16).toString('base64');
  response.writeHead(status, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    // `form-action` names the provider too: signing out posts here and is redirected there.
    'Content-Security-Policy': `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'self' ${new URL(ISSUER).origin}; frame-ancestors 'none'; base-uri 'none'`,
  });
  response.end(`<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${escape(NAME)}</title>
<style nonce="${nonce}">
body{font:1rem/1.7 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;max-width:38rem;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.6rem;border-bottom:.2rem solid #1c5d99;padding-bottom:.6rem}code{word-break:break-all}dt{font-weight:600;margin-top:.8rem}dd{margin:0}
.button,button{display:inline-block;font:inherit;font-weight:600;min-height:2.75rem;padding:.4rem 1.6rem;box-sizing:border-box;color:#fff;background:#1c5d99;border:0;border-radius:.25rem;text-decoration:none;cursor:pointer}
.in{color:#1c7c3c;font-weight:600}.notice{border-left:.25rem solid #b26a00;padding-left:.75rem}form{margin-top:1.5rem}
:focus-visible{outline:.2rem solid #e08a00;outline-offset:.15rem}@media(prefers-color-scheme:dark){.in{color:#6fd08c}}
</style><h1>${escape(NAME)}</h1>${body}</html>`);
}
