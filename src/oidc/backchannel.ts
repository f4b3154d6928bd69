/**
 * Client-initiated backchannel authentication (CIBA Core 1.0): a portal asks without a browser, the person approves on a device of their
 * own, on the page `/approvals`, and the portal is told by ping or finds out by polling.
 */
import { setTimeout } from 'node:timers/promises';
import Router from '@koa/router';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import { decide, type Identity, type Means } from '../identity/index.ts';
import { createCipher } from '../platform/cipher.ts';
import type { Clock } from '../platform/clock.ts';
import type { Config } from '../platform/config.ts';
import type { Db } from '../platform/db/db.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import type { Forms } from '../platform/http/forms.ts';
import type { Pages } from '../platform/http/pages.ts';
import { under } from '../platform/http/under.ts';
import { newId, type Id } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import type { Secrets } from '../platform/secrets.ts';
import { portalName, type Portal, type Portals, type Resources } from '../portals/index.ts';
import type { EncryptedTable } from '../rotation/index.ts';
import type { ConfigurationParts } from './configuration.ts';
import type { Claims } from './claims.ts';
import type { Consents } from './consents.ts';
import { askedFor, grantAgreement, toAgreement, toReleases, type Wishes } from './interactions/consent.ts';
import { ownSession, sendToSignIn } from './own-session.ts';
import { OPENID_SCOPES } from './scopes.ts';

type Request = InstanceType<Provider['BackchannelAuthenticationRequest']> & {
  readonly params: Readonly<Record<string, unknown>>;
};

/** A request that waits for its person. */
interface Pending {
  readonly id: Id<'bcr'>;
  readonly clientId: string;
  readonly authReqId: string;
}

export interface Backchannel {
  readonly configuration: ConfigurationParts['backchannel'];
  /** What waits for an account, oldest first. */
  pending(accountId: string): Promise<Pending[]>;
  /** Decides a request. Of any number who decide at once one gets `true`. */
  settle(id: string, accountId: string, state: 'approved' | 'refused'): Promise<boolean>;
}

/** Shown on both devices, so that a person can tell requests apart (CIBA Core 1.0, section 7.1). */
const BINDING_MESSAGE = /^[\p{L}\p{N} .,:#/_-]{1,60}$/u;

/** How requests lie in the database. */
export const BACKCHANNEL_REQUESTS = {
  table: 'backchannel_requests',
  key: { id: 'text' },
  values: { auth_req_id: { purpose: 'backchannel-request', context: (row) => row['id'] } },
} as const satisfies EncryptedTable;

export function createBackchannel(parts: {
  db: Db;
  clock: Clock;
  secrets: Secrets;
  identity: Identity;
}): Backchannel {
  const { db, clock, identity } = parts;
  const cipher = createCipher(parts.secrets.dataKeys, BACKCHANNEL_REQUESTS.values.auth_req_id.purpose);
  return {
    configuration: {
      async processLoginHint(_ctx, hint) {
        return hint === undefined ? undefined : identity.find(hint);
      },
      processLoginHintToken() {
        throw new errors.InvalidRequest('login_hint_token is not supported; use login_hint or id_token_hint');
      },
      // People approve where they are signed in; there is no second code to know.
      verifyUserCode: async () => undefined,
      validateRequestContext: async () => undefined,
      async validateBindingMessage(_ctx, message) {
        if (message !== undefined && !BINDING_MESSAGE.test(message))
          throw new errors.InvalidBindingMessage(
            'binding_message must be 1 to 60 letters, digits, spaces and .,:#/_-',
          );
      },
      async triggerAuthenticationDevice(_ctx, request, account, client) {
        const now = clock.now();
        const id = newId('bcr', now);
        await db.query(
          `INSERT INTO backchannel_requests (id, account_id, client_id, auth_req_id, state, created_at, expires_at)
             VALUES ($1, $2, $3, $4, 'pending', $5, $6)`,
          [
            id,
            account.accountId,
            client.clientId,
            cipher.encrypt(Buffer.from(request.jti), id),
            now,
            new Date(now.getTime() + request.expiration * 1000),
          ],
        );
        await db.query('DELETE FROM backchannel_requests WHERE account_id = $1 AND expires_at < $2', [
          account.accountId,
          now,
        ]);
      },
    },

    async pending(accountId) {
      const rows = await db.query<{
        id: Id<'bcr'>;
        client_id: string;
        auth_req_id: Uint8Array;
      }>(
        `SELECT id, client_id, auth_req_id FROM backchannel_requests
          WHERE account_id = $1 AND state = 'pending' AND expires_at > $2 ORDER BY id LIMIT 20`,
        [accountId, clock.now()],
      );
      return rows.map((row) => ({
        id: row.id,
        clientId: row.client_id,
        authReqId: Buffer.from(cipher.decrypt(row.auth_req_id, row.id)).toString('utf8'),
      }));
    },

    async settle(id, accountId, state) {
      const rows = await db.query(
        `UPDATE backchannel_requests SET state = $3
          WHERE id = $1 AND account_id = $2 AND state = 'pending' AND expires_at > $4 RETURNING id`,
        [id, accountId, state, clock.now()],
      );
      return rows.length === 1;
    },
  };
}

/** Pauses before a ping is tried again, in milliseconds. A portal that misses all of them finds out by polling. */
const PING_PAUSES = [1000, 5000, 15_000];

/** Lets the person's click not wait for the portal's answer to a ping. */
export function pingInBackground(provider: Provider, logger: Logger): void {
  const prototype = provider.Client.prototype as unknown as {
    clientId: string;
    backchannelPing(request: unknown): Promise<void>;
  };
  const ping = prototype.backchannelPing;
  prototype.backchannelPing = async function backchannelPing(request) {
    const attempt = async (pauses: readonly number[]): Promise<void> => {
      try {
        await ping.call(this, request);
      } catch (error) {
        const [pause, ...later] = pauses;
        logger.warn({ err: error, clientId: this.clientId }, 'a ping was not accepted');
        if (pause === undefined || isAnswer(error)) return;
        await setTimeout(pause, undefined, { ref: false });
        await attempt(later);
      }
    };
    void attempt(PING_PAUSES);
  };
}

/** Whether the portal has said what it thinks of a ping. Nothing heard, or an error of its server, is no answer. */
function isAnswer(error: unknown): boolean {
  const { response } = error as { response?: Response };
  return response !== undefined && response.status < 500;
}

interface ApprovalParts {
  readonly config: Config;
  readonly provider: Provider;
  readonly backchannel: Backchannel;
  readonly consents: Consents;
  readonly claims: Claims;
  readonly identity: Identity;
  readonly portals: Portals;
  readonly resources: Resources;
  readonly forms: Forms;
  readonly pages: Pages;
  /** What people can come by while they sign in. */
  readonly means: Means;
  /** Seconds since 1970. */
  now(): number;
}

/** The page on which a person approves, signing in first if need be. */
export function approvalRoutes(parts: ApprovalParts): Middleware {
  const { provider, backchannel, claims, consents, identity, portals, resources, forms, pages } = parts;
  const router = new Router<RequestState>({ prefix: '/approvals' });
  const toSignIn = (ctx: Context, options?: { fullWithinSeconds?: number; acrValues?: string }) =>
    sendToSignIn(ctx, parts.config.issuer, '/approvals', options);

  async function renderList(ctx: Context, accountId: string, noticeKey?: string): Promise<void> {
    const account = await identity.account(accountId);
    if (!account) return toSignIn(ctx);
    const { language } = ctx.state;
    const requests = await Promise.all(
      (await backchannel.pending(accountId)).map(async (pending) => {
        const found = await load(pending);
        const asked = found && askedFor(found.wishes, found.portal);
        return (
          found &&
          asked && {
            action: `/approvals/${pending.id}`,
            portal: {
              name: portalName(found.portal, language.code),
              host: new URL(found.portal.homeUri).host,
            },
            message: found.request.params['binding_message'],
            releases: toReleases(asked, {
              portal: found.portal,
              portalName: portalName(found.portal, language.code),
              about: await claims.about(
                account,
                asked.claims.map(({ claim }) => claim),
              ),
              resources,
              language: language.code,
              t: language.t,
            }),
          }
        );
      }),
    );
    pages.render(ctx, 'approvals', { requests: requests.filter(Boolean), noticeKey }, { path: '/approvals' });
  }

  async function load(
    pending: Pending,
  ): Promise<{ request: Request; portal: Portal; wishes: Wishes } | undefined> {
    const portal = await portals.find(pending.clientId);
    const request = (await provider.BackchannelAuthenticationRequest.find(pending.authReqId)) as
      Request | undefined;
    if (!portal || !request) return undefined;
    const scopes = [...request.scopes].filter((scope) => scope in OPENID_SCOPES && scope !== 'openid');
    return { request, portal, wishes: { scopes: { '': scopes }, claims: [], params: request.params } };
  }

  router.get('/', async (ctx) => {
    const session = await ownSession(provider, ctx);
    if (session.accountId === undefined) toSignIn(ctx);
    else await renderList(ctx, session.accountId);
  });

  router.post('/:id', async (ctx) => {
    const form = await forms.read(ctx);
    const session = await ownSession(provider, ctx);
    const { accountId } = session;
    const account = accountId === undefined ? undefined : await identity.account(accountId);
    if (accountId === undefined || !account) return toSignIn(ctx);
    const pending = (await backchannel.pending(accountId)).find(({ id }) => id === ctx.params['id']);
    const found = pending && (await load(pending));
    if (!pending || !found) return renderList(ctx, accountId, 'approvals.over');
    const { request, portal, wishes } = found;

    if (form.get('decision') !== 'allow') {
      if (await backchannel.settle(pending.id, accountId, 'refused'))
        await provider.backchannelResult(request, new errors.AccessDenied('the person refused'));
      return renderList(ctx, accountId, 'approvals.refused');
    }
    const acrValues = request.params['acr_values'];
    const decision = decide(
      {
        levels: typeof acrValues === 'string' ? acrValues.split(' ') : [],
        essential: false,
        minimum: portal.minimumAcr,
      },
      account,
      session.factors ?? {},
      { now: parts.now(), interactive: true, means: parts.means },
    );
    if (decision.kind === 'step-up') return toSignIn(ctx, { acrValues: decision.lacking.acr });
    if (decision.kind === 'unreachable') {
      if (await backchannel.settle(pending.id, accountId, 'refused'))
        await provider.backchannelResult(
          request,
          new errors.UnmetAuthenticationRequirements('the level of assurance cannot be reached'),
        );
      return renderList(ctx, accountId, 'approvals.unreachable');
    }
    if (!(await backchannel.settle(pending.id, accountId, 'approved')))
      return renderList(ctx, accountId, 'approvals.over');
    const asked = askedFor(wishes, portal);
    const agreement = toAgreement(asked, form);
    await consents.remember(accountId, portal.clientId, agreement);
    const to = { grantId: undefined, accountId, clientId: portal.clientId };
    const grant = await grantAgreement(provider, to, agreement, asked.acts);
    grant.addOIDCScope('openid');
    await consents.save(grant);
    await provider.backchannelResult(request, grant, {
      ...(decision.acr === undefined ? {} : { acr: decision.acr }),
      ...(session.amr === undefined ? {} : { amr: session.amr }),
      ...(session.loginTs === undefined ? {} : { authTime: session.loginTs }),
    });
    return renderList(ctx, accountId, 'approvals.approved');
  });

  return under('/approvals', router.routes() as unknown as Middleware);
}
