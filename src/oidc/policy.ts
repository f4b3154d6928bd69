/** When a person is asked something before a request is answered: oidc-provider's checks, with assurance and an end to every loop. */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import {
  decide,
  fullyShown,
  type Assurable,
  type Decision,
  type Factors,
  type Means,
  type Wanted,
} from '../identity/index.ts';
import { OWN_PORTAL, type Portal } from '../portals/index.ts';
import { ORGANISATION_SCOPE, SELECT_ORGANISATION, type WithChoice } from './acting.ts';
import type { Beginning } from './sessions.ts';

const { Check, Prompt, base } = interactionPolicy;

/** The part of the library's session that this provider adds: when each method was last shown, and how the session was begun. */
export interface SessionFactors {
  factors?: Factors;
  beginning?: Beginning;
}

export interface PolicyParts {
  portalOf(client: object): Portal | undefined;
  /** Claims inside `verified_claims` that the person has not been asked for. */
  verifiedClaimsMissing(ctx: KoaContextWithOIDC): string[];
  /** For how many organisations or units the person may act at the portal. */
  choicesOf(accountId: string, clientId: string): Promise<number>;
  /** Of the account that `findAccount` gave. */
  assurable(account: object): Assurable | undefined;
  /** What people can come by while they sign in. */
  readonly means: Means;
  /** Seconds since 1970. */
  now(): number;
}

/** What a request asks of assurance (OpenID Connect Core 1.0, sections 3.1.2.1 and 5.5.1.1), and what its portal demands. Pure. */
export function wantedAssurance(
  params: Readonly<Record<string, unknown>>,
  minimum: string | undefined,
): Wanted {
  const claims = params['claims'];
  const request = (typeof claims === 'string' ? JSON.parse(claims) : {}) as {
    id_token?: { acr?: { essential?: unknown; value?: unknown; values?: unknown } | null } | null;
  };
  const acr = request.id_token?.acr;
  const listed = Array.isArray(acr?.values) ? acr.values : acr?.value === undefined ? [] : [acr.value];
  const asked = listed.filter((value): value is string => typeof value === 'string');
  const wished = params['acr_values'];
  return {
    levels: asked.length > 0 ? asked : typeof wished === 'string' ? wished.split(' ') : [],
    essential: acr?.essential === true && asked.length > 0,
    minimum,
  };
}

/** What the sign-in of this interaction left behind, beside what the library knows. */
export interface LoginResult {
  readonly factors?: Factors;
  /** Of the session, if it begins with this. */
  readonly beginning?: Beginning;
  /** The person said no to setting up what a wish would need. */
  readonly declined?: boolean;
}

function decideAssurance(ctx: KoaContextWithOIDC, parts: PolicyParts): Decision | undefined {
  const { oidc } = ctx;
  const { session, account, client } = oidc;
  const assurable = account && parts.assurable(account);
  const portal = client && parts.portalOf(client);
  if (!session?.accountId || !assurable || !portal) return undefined;
  // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to the session's payload by `generation.ts`
  const factors = (session as unknown as SessionFactors).factors ?? {};
  const login = oidc.result?.login as LoginResult | undefined;
  return decide(
    { ...wantedAssurance(oidc.params ?? {}, portal.minimumAcr), declined: login?.declined === true },
    assurable,
    factors,
    { now: parts.now(), interactive: !oidc.prompts.has('none'), means: parts.means },
  );
}

/** The library checks a hint when a request comes in, and forgets it before the answer. It was verified then; its words still hold. */
function recallHint({ route, params, entities }: KoaContextWithOIDC['oidc']): void {
  const hint = params?.['id_token_hint'];
  if (route === 'resume' && typeof hint === 'string' && !('IdTokenHint' in entities))
    Object.assign(entities, {
      IdTokenHint: { header: decodeProtectedHeader(hint), payload: decodeJwt(hint) },
    });
}

export function createPolicy(parts: PolicyParts): InstanceType<typeof interactionPolicy.Prompt>[] {
  const policy = base();
  const login = policy.get('login');
  if (!login) throw new TypeError('the library has no login prompt');
  // Ours orders the levels, and ends where none can be reached.
  login.checks.remove('essential_acrs');
  login.checks.remove('essential_acr');
  login.checks.add(
    new Check(
      'assurance',
      'a level of assurance was asked for that another factor would reach',
      'login_required',
      (ctx) => {
        const decision = decideAssurance(ctx, parts);
        if (decision?.kind === 'reached') {
          if (ctx.oidc.session && ctx.oidc.session.acr !== decision.acr) ctx.oidc.session.acr = decision.acr;
          return Check.NO_NEED_TO_PROMPT;
        }
        if (decision === undefined) return Check.NO_NEED_TO_PROMPT;
        // Whoever has just shown a factor and still falls short would be asked for ever.
        if (decision.kind === 'unreachable' || ctx.oidc.result?.login)
          throw new errors.UnmetAuthenticationRequirements(
            'the requested level of assurance cannot be reached by this account',
          );
        return Check.REQUEST_PROMPT;
      },
    ),
  );
  // Whoever changes an account shows all that the account can show: see `sendToSignIn`.
  login.checks.add(
    new Check('full_authentication', 'everything that the account can show is asked for', (ctx) => {
      const { session, account, client, params, result } = ctx.oidc;
      // The library has checked that it is a number, and keeps its text.
      const maxAgeSeconds = params?.['max_age'] === undefined ? undefined : Number(params['max_age']);
      const assurable = account && parts.assurable(account);
      const own = client !== undefined && parts.portalOf(client)?.clientId === OWN_PORTAL;
      if (!own || !assurable || maxAgeSeconds === undefined || result?.login) return Check.NO_NEED_TO_PROMPT;
      // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to the session's payload by `generation.ts`
      const factors = (session as unknown as SessionFactors | undefined)?.factors ?? {};
      return fullyShown(assurable, factors, { now: parts.now(), maxAgeSeconds })
        ? Check.NO_NEED_TO_PROMPT
        : Check.REQUEST_PROMPT;
    }),
  );
  // The library would ask again and again for the account that a hint names; someone else has signed in, and that is the answer.
  for (const reason of ['id_token_hint', 'claims_id_token_sub_value']) {
    const check = login.checks.get(reason);
    if (!check) throw new TypeError(`the library has no check ${reason}`);
    const mismatches = check.check;
    check.check = async (ctx) => {
      recallHint(ctx.oidc);
      const mismatch = await mismatches(ctx);
      if (mismatch && ctx.oidc.result?.login)
        throw new errors.LoginRequired('the person who signed in is not the one that was asked for');
      return mismatch;
    };
  }
  // The library knows `verified_claims` as one claim; a person agrees to each that is inside.
  const consent = policy.get('consent');
  if (!consent) throw new TypeError('the library has no consent prompt');
  consent.checks.add(
    new Check(
      'verified_claims_missing',
      'requested verified claims not granted',
      'consent_required',
      (ctx) => (parts.verifiedClaimsMissing(ctx).length > 0 ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT),
      (ctx) => ({ missingVerifiedClaims: parts.verifiedClaimsMissing(ctx) }),
    ),
  );
  // OpenID Connect Core 1.0, section 3.1.2.1; the library leaves it to us.
  policy.add(new Prompt({ name: 'select_account', requestable: true }), 1);
  policy.add(
    new Prompt(
      { name: SELECT_ORGANISATION, requestable: true },
      new Check(
        'organisation_missing',
        'there is more than one organisation to act for',
        'interaction_required',
        async ({ oidc }) => {
          const { session, client, requestParamScopes } = oidc;
          // eslint-disable-next-line typescript/no-unsafe-type-assertion -- added to its payload by `acting.ts`
          const { acting } = (oidc.entities.Grant ?? {}) as WithChoice;
          if (!requestParamScopes.has(ORGANISATION_SCOPE) || !session?.accountId || !client || acting)
            return Check.NO_NEED_TO_PROMPT;
          return (await parts.choicesOf(session.accountId, client.clientId)) > 1
            ? Check.REQUEST_PROMPT
            : Check.NO_NEED_TO_PROMPT;
        },
      ),
    ),
    2,
  );
  return policy;
}
