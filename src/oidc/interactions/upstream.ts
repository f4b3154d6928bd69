/**
 * Signing in, and proving who one is, by an upstream identity provider. A person is sent away with a request that belongs to their browser and
 * to this interaction, and comes back to one address for all of them, from where the interaction takes it up.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type Router from '@koa/router';
import {
  ProofingError,
  UpstreamError,
  type Identity,
  type PendingUpstream,
  type Upstream,
  type UpstreamIdentity,
} from '../../identity/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Context, Middleware, RequestState } from '../../platform/http/context.ts';
import type { Records } from '../records.ts';
import type { SignInPage } from './password.ts';
import type { Steps, Way } from './steps.ts';
import type { InteractionParts, Visit, Visits } from './visits.ts';

/** Where every provider sends people back to: the redirect URI that is registered with them. */
export const UPSTREAM_RETURN_PATH = '/federation/callback';
const REQUEST = 'UpstreamRequest';
const RESULT = 'UpstreamResult';
/** How long a person may stay away, and how long what they came back with waits for the next request. Seconds. */
const AWAY = 900;
const WAITING = 60;

interface KeptRequest {
  readonly upstream: string;
  readonly uid: string;
  readonly pending: PendingUpstream;
  /** Digest of the cookie's value: whoever brings the answer must be who was sent away (RFC 9700, section 4.7). */
  readonly browser: string;
}

/** What came of it. A failure is a word of the catalogue. */
type KeptResult = { readonly uid: string } & (
  | { readonly identity: Omit<UpstreamIdentity, 'at'> & { readonly at: string } }
  | { readonly problem: 'upstreamRefused' | 'upstreamUnavailable' }
);

const digestOf = (value: string) => createHash('sha256').update(value).digest('base64url');
const cookieFor = (issuer: string) => (issuer.startsWith('https:') ? '__Secure-yx_upstream' : 'yx_upstream');

export function upstreamPages(
  router: Router<RequestState>,
  { issuer, identity, records, clock }: InteractionParts,
  { visiting, over, render }: Visits,
  steps: Steps,
  signInPage: SignInPage,
): void {
  const { federation } = identity;
  if (federation.upstreams.length === 0) return;
  const linksFor = (ctx: Context | undefined, visit: Visit, upstreams: readonly Upstream[]) =>
    upstreams.map(({ id, name }) => ({
      href: `${visit.base}/upstream/${id}`,
      name: name[ctx?.state.language.code ?? ''] ?? name['zh-CN'],
      names: name,
    }));

  signInPage.further.push((visit) => ({ upstreams: linksFor(undefined, visit, federation.upstreams) }));

  const way: Way = {
    name: 'upstream',
    methods: ['fed', 'fedmfa'],
    ask(ctx, visit, { others, errors }) {
      render(ctx, 'upstream', visit, {
        upstreams: linksFor(ctx, visit, federation.upstreams),
        others,
        errors,
      });
    },
  };
  steps.ways.push(way);

  router.get(
    '/upstream/:id',
    visiting(async (ctx, visit) => {
      const { id } = (ctx as { params?: { id?: string } }).params ?? {};
      const upstream = federation.upstreams.find((each) => each.id === id);
      if (!upstream) return over(ctx);
      const { step } = await steps.stepOf(ctx, visit);
      try {
        const { uri, pending } = await upstream.begin({
          level: step.kind === 'proofing' ? step.level : 0,
          // A session there is no showing here.
          anew: step.kind === 'factor',
        });
        const browser = randomBytes(32).toString('base64url');
        const kept: KeptRequest = {
          upstream: upstream.id,
          uid: visit.interaction.uid,
          pending,
          browser: digestOf(browser),
        };
        await records.put(REQUEST, pending.state, kept, AWAY);
        ctx.cookies.set(cookieFor(issuer), browser, {
          httpOnly: true,
          sameSite: 'lax',
          secure: issuer.startsWith('https:'),
          path: UPSTREAM_RETURN_PATH,
          maxAge: AWAY * 1000,
          signed: false,
          overwrite: true,
        });
        ctx.status = 303;
        ctx.redirect(uri);
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        await signInPage.render(ctx, visit, '', [{ field: 'form', key: 'error.upstreamUnavailable' }]);
      }
    }),
  );

  router.get(
    '/upstream-result',
    visiting(async (ctx, visit) => {
      const { ticket } = ctx.query;
      const found = typeof ticket === 'string' ? await records.find(RESULT, ticket) : undefined;
      const result = found?.payload as unknown as KeptResult | undefined;
      if (typeof ticket !== 'string' || !result || result.uid !== visit.interaction.uid) return over(ctx);
      if (!(await records.consume(RESULT, ticket, clock.now().getTime() / 1000))) return over(ctx);
      if ('problem' in result)
        return signInPage.render(ctx, visit, '', [{ field: 'form', key: `error.${result.problem}` }]);
      const shown: UpstreamIdentity = { ...result.identity, at: new Date(result.identity.at) };
      const { step, account } = await steps.stepOf(ctx, visit);
      try {
        if (step.kind !== 'proofing' || !account)
          return await steps.proceed(ctx, visit, await federation.signIn(shown));
        const outcome = await federation.prove(account.id, shown);
        if (outcome.kind === 'taken') {
          ctx.status = 303;
          return ctx.redirect(`${visit.base}/proofing/taken?link=${outcome.link}`);
        }
        await steps.note(visit, account, { proofed: outcome.level });
        await steps.proceed(ctx, visit);
      } catch (error) {
        if (!(error instanceof UpstreamError || error instanceof ProofingError)) throw error;
        const key = error.code === 'DOCUMENT_DIFFERS' ? 'error.DOCUMENT_DIFFERS' : 'error.upstreamRefused';
        await signInPage.render(ctx, visit, '', [{ field: 'form', key }]);
      }
    }),
  );
}

/** Takes what a person comes back with, once, and hands it to the interaction that sent them. */
export function upstreamReturn(parts: {
  identity: Identity;
  records: Records;
  clock: Clock;
  issuer: string;
}): Middleware {
  const { identity, records, clock, issuer } = parts;
  const cookie = cookieFor(issuer);

  /** The request that this browser was sent away with, once. */
  async function take(ctx: Context): Promise<KeptRequest | undefined> {
    const { state } = ctx.query;
    const found = typeof state === 'string' ? await records.find(REQUEST, state) : undefined;
    const kept = found?.payload as unknown as KeptRequest | undefined;
    const given = Buffer.from(digestOf(ctx.cookies.get(cookie, { signed: false }) ?? ''));
    if (typeof state !== 'string' || !kept || found?.consumedAt !== undefined) return undefined;
    const expected = Buffer.from(kept.browser);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    return (await records.consume(REQUEST, state, clock.now().getTime() / 1000)) ? kept : undefined;
  }

  async function resultOf(ctx: Context, { upstream: id, uid, pending }: KeptRequest): Promise<KeptResult> {
    const upstream = identity.federation.upstreams.find((each) => each.id === id);
    if (!upstream) return { uid, problem: 'upstreamUnavailable' };
    try {
      const shown = await upstream.complete(new URL(ctx.originalUrl, issuer), pending);
      return { uid, identity: { ...shown, at: shown.at.toISOString() } };
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      return {
        uid,
        problem: error.code === 'UPSTREAM_REFUSED' ? 'upstreamRefused' : 'upstreamUnavailable',
      };
    }
  }

  return async function returnFromUpstream(ctx, next) {
    if (ctx.path !== UPSTREAM_RETURN_PATH || ctx.method !== 'GET') return next();
    const kept = await take(ctx);
    ctx.status = 303;
    // Nobody's answer, or one that was brought before: there is nothing to go on with.
    if (!kept) return ctx.redirect('/');
    const ticket = randomBytes(32).toString('base64url');
    await records.put(RESULT, ticket, await resultOf(ctx, kept), WAITING);
    ctx.redirect(`/interaction/${kept.uid}/upstream-result?ticket=${ticket}`);
  };
}
