/** What a request still lacks, how it is put to the person, and its granting. */
import type Provider from 'oidc-provider';
import type { Portal, Resources } from '../../portals/index.ts';
import { applyAgreement, type Agreement, type ScopesByResource } from '../consents.ts';
import { actsOf, type SealAct } from '../rich-requests.ts';
import {
  OPENID_SCOPES,
  PERSONAL_CLAIMS,
  personalClaimOf,
  SCOPES,
  VERIFIED_CLAIMS,
  type About,
} from '../scopes.ts';
import { mayReceiveVerified } from '../claims.ts';
import { claimsWithin } from '../verified-claims.ts';

export type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** What a person is asked for. */
export interface Asked {
  readonly scopes: ScopesByResource;
  /** Personal claims, whichever way they are asked for; those that go with them are left out. */
  readonly claims: readonly { readonly claim: string; readonly optional: boolean; readonly scope?: string }[];
  /** Claims asked for one by one. */
  readonly single: readonly string[];
  readonly acts: readonly SealAct[];
}

/** A request's wishes, before they are put into words. */
export interface Wishes {
  readonly scopes: ScopesByResource;
  /** Claims asked for one by one. */
  readonly claims: readonly string[];
  /** The request's parameters. */
  readonly params: Readonly<Record<string, unknown>>;
}

/** What an interaction's request lacks, as oidc-provider's consent prompt puts it into `prompt.details`. Pure. */
export function missingIn(interaction: Interaction): Wishes {
  const details = interaction.prompt.details as {
    missingOIDCScope?: readonly string[];
    missingOIDCClaims?: readonly string[];
    missingResourceScopes?: ScopesByResource;
    missingVerifiedClaims?: readonly string[];
  };
  const { missingOIDCScope = [] } = details;
  // `prompt=consent`: all that is asked for is put to the person anew.
  const again = interaction.prompt.reasons.includes('consent_prompt')
    ? String(interaction.params['scope']).split(' ')
    : [];
  const repeated = again.filter((scope) => scope in OPENID_SCOPES && SCOPES[scope]?.consent === true);
  return {
    scopes: {
      '': [...new Set([...missingOIDCScope, ...repeated])],
      ...details.missingResourceScopes,
    },
    claims: [...(details.missingOIDCClaims ?? []), ...(details.missingVerifiedClaims ?? [])],
    params: interaction.params,
  };
}

/** What a person is asked for, claim by claim. Pure. */
export function askedFor({ scopes, claims: single, params }: Wishes, portal: Portal): Asked {
  const claims = new Map<string, Asked['claims'][number]>();
  for (const scope of scopes[''] ?? [])
    for (const claim of SCOPES[scope]?.claims ?? []) {
      const name = personalClaimOf(claim);
      if (name !== undefined)
        claims.set(name, { claim: name, scope, optional: portal.optionalClaims.includes(name) });
    }
  const essential = essentialClaims(params['claims']);
  // Verified claims are put to the person as the claims that they are.
  const within = single.includes(VERIFIED_CLAIMS)
    ? claimsWithin(params['claims']).filter((claim) => mayReceiveVerified(portal, claim))
    : [];
  for (const claim of new Set([...single, ...within])) {
    const name = personalClaimOf(claim);
    // OpenID Connect Core 1.0, section 5.5.1: without `essential`, a claim is voluntary.
    if (name !== undefined && !claims.has(name))
      claims.set(name, {
        claim: name,
        optional: portal.optionalClaims.includes(name) || !essential.has(claim),
      });
  }
  return {
    scopes,
    claims: [...claims.values()],
    single: [...new Set([...single, ...within])],
    acts: actsOf(params['authorization_details']),
  };
}

function essentialClaims(parameter: unknown): ReadonlySet<string> {
  if (typeof parameter !== 'string') return new Set();
  const request = JSON.parse(parameter) as Record<string, Record<string, { essential?: boolean } | null>>;
  return new Set(
    ['userinfo', 'id_token'].flatMap((place) =>
      Object.entries(request[place] ?? {})
        .filter(([, wanted]) => wanted?.essential === true)
        .map(([claim]) => claim),
    ),
  );
}

/** One line of the consent page. */
export interface Release {
  readonly name: string;
  readonly purpose: string;
  readonly value?: string | undefined;
  /** Name of the field by which it is chosen, where it may be refused. */
  readonly field?: string | undefined;
}

export function toReleases(
  asked: Asked,
  parts: {
    readonly portal: Portal;
    readonly portalName: string;
    readonly about: About;
    readonly resources: Resources;
    readonly language: string;
    t(key: string, params?: Readonly<Record<string, string>>): string;
  },
): Release[] {
  const { portal, about, resources, language, t } = parts;
  const inLanguage = (texts: Readonly<Record<string, string>> | undefined) =>
    texts?.[language] ?? texts?.['zh-CN'];
  const preset = (kind: string, name: string) => t(`${kind}.${name}.purpose`, { portal: parts.portalName });
  const claims = asked.claims.map(({ claim, scope, optional }) => ({
    name: t(`claim.${claim}.name`),
    purpose:
      inLanguage(portal.purposes[claim]) ??
      inLanguage(scope === undefined ? undefined : portal.purposes[scope]) ??
      preset('claim', claim),
    value: PERSONAL_CLAIMS[claim]?.shown(about, t) ?? t('consent.notOnRecord'),
    field: optional ? fieldOf(claim) : undefined,
  }));
  const scopes = Object.entries(asked.scopes).flatMap(([indicator, list]) =>
    list
      .filter((scope) => !SCOPES[scope]?.claims.some((claim) => personalClaimOf(claim) !== undefined))
      .map((scope) => {
        const resource = resources.find(indicator);
        return resource
          ? {
              name: inLanguage(resource.name) ?? indicator,
              purpose: inLanguage(resource.scopes[scope]) ?? scope,
            }
          : {
              name: t(`scope.${scope}.name`),
              purpose: inLanguage(portal.purposes[scope]) ?? preset('scope', scope),
            };
      }),
  );
  const acts = asked.acts.map((act) => ({
    name: t('consent.sealAct'),
    value: act.document_name,
    purpose: t('consent.sealActPurpose', {
      portal: parts.portalName,
      seal: act.identifier,
      digest: act.document_digest.slice(0, 16),
      purpose: act.purpose ?? '',
    }),
  }));
  return [...claims, ...scopes, ...acts];
}

function fieldOf(claim: string): string {
  return `claim-${claim}`;
}

/** What the person's answer agrees to: all that is asked, less the optional claims that were not chosen. */
export function toAgreement(asked: Asked, form: ReadonlyMap<string, string>): Agreement {
  const refused = asked.claims.filter(({ claim, optional }) => optional && !form.has(fieldOf(claim)));
  const whole = (list: Asked['claims']) =>
    list.flatMap(({ claim }) => [claim, ...(PERSONAL_CLAIMS[claim]?.with ?? [])]);
  const refusedClaims = whole(refused);
  const chosen = whole(asked.claims.filter((entry) => entry.optional && !refused.includes(entry)));
  return {
    scopes: asked.scopes,
    claims: [...new Set([...asked.single.filter((claim) => !refusedClaims.includes(claim)), ...chosen])],
    refused: refusedClaims,
  };
}

/** Adds an agreement to the grant of this account and portal, or to a new one. Not saved yet. */
export async function grantAgreement(
  provider: Provider,
  to: { readonly grantId: string | undefined; readonly accountId: string; readonly clientId: string },
  agreement: Agreement,
  acts: readonly SealAct[],
): Promise<InstanceType<Provider['Grant']>> {
  const existing = to.grantId === undefined ? undefined : await provider.Grant.find(to.grantId);
  const grant = existing ?? new provider.Grant({ accountId: to.accountId, clientId: to.clientId });
  applyAgreement(grant, agreement);
  for (const act of acts) grant.addRar(act);
  return grant;
}
