/**
 * An upstream identity provider as seen by OpenID Connect (Core 1.0, authorization code with PKCE, `nonce`, `state`, and `iss` of RFC 9207): where
 * a person is sent, and what comes back says of them. Whom that is here is for `federation.ts`.
 */
import * as oidc from 'openid-client';
import type { Clock } from '../../platform/clock.ts';
import { AppError } from '../../platform/errors.ts';
import type { OutboundFetch } from '../../platform/http/outbound.ts';
import type { Logger } from '../../platform/logger.ts';
import type { UpstreamSource } from '../../platform/sources.ts';
import type { ByLanguage } from '../proofing/authority.ts';
import { isDocumentKind, isName, readDocument, type Document } from '../proofing/documents.ts';

export class UpstreamError extends AppError<'UPSTREAM_REFUSED' | 'UPSTREAM_UNAVAILABLE'> {}

/** What is kept between sending a person away and their coming back. */
export interface PendingUpstream {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** Who somebody is, in the words of an upstream provider that this installation believes. */
export interface UpstreamIdentity {
  readonly upstream: string;
  readonly issuer: string;
  readonly trustFramework: string;
  readonly subject: string;
  readonly method: 'fed' | 'fedmfa';
  /** Level of identity proofing that it stands for. */
  readonly level: number;
  /** Whose document, where it says so. */
  readonly person: { readonly document: Document; readonly name: string } | undefined;
  readonly at: Date;
}

export interface Upstream {
  readonly id: string;
  readonly name: ByLanguage;
  readonly trustFramework: string;
  /** The highest level of proofing that it can give, with a document: 0 if it names none. */
  readonly attainable: number;
  /**
   * Begins a sign-in there.
   * @param options.level Level of proofing that is wanted. @param options.anew Whether the person must show themselves once more.
   * @throws {UpstreamError} UPSTREAM_UNAVAILABLE
   */
  begin(options: {
    readonly level: number;
    readonly anew: boolean;
  }): Promise<{ uri: string; pending: PendingUpstream }>;
  /**
   * Reads what the person came back with.
   * @param callback The whole address that they came back to.
   * @throws {UpstreamError} UPSTREAM_REFUSED: the person or the provider said no, or what it says is not to be believed;
   *   UPSTREAM_UNAVAILABLE.
   */
  complete(callback: URL, pending: PendingUpstream): Promise<UpstreamIdentity>;
}

export function createUpstream(
  source: UpstreamSource,
  parts: { clock: Clock; logger: Logger; fetch: OutboundFetch; redirectUri: string },
): Upstream {
  const { clock, logger } = parts;
  const levels = Object.values(source.acr).map(({ proofing }) => proofing);
  let known: Promise<oidc.Configuration> | undefined;

  /** The provider's metadata, asked for when it is first needed, and again after that failed. */
  function configuration(): Promise<oidc.Configuration> {
    known ??= oidc.discovery(new URL(source.issuer), source.clientId, source.clientSecret, undefined, {
      timeout: Math.ceil(source.timeoutMs / 1000),
      [oidc.customFetch]: (url, options) =>
        parts.fetch(url, { ...options, redirect: 'error' } as Parameters<OutboundFetch>[1]),
      execute: source.issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : [],
    });
    known.catch(() => (known = undefined));
    return known;
  }

  function fail(code: 'UPSTREAM_REFUSED' | 'UPSTREAM_UNAVAILABLE', cause: unknown): UpstreamError {
    const message =
      code === 'UPSTREAM_REFUSED'
        ? 'The sign-in at the other provider was not accepted.'
        : 'The other provider cannot be reached.';
    logger.warn({ err: cause, upstream: source.id }, 'a sign-in by an upstream provider failed');
    return new UpstreamError(code, message, { cause });
  }

  async function reach<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // What was answered is a judgement; what was not answered is none.
      const answered =
        error instanceof oidc.AuthorizationResponseError ||
        error instanceof oidc.ResponseBodyError ||
        (error instanceof oidc.ClientError && error.code !== 'OAUTH_TIMEOUT' && isProtocol(error));
      throw fail(answered ? 'UPSTREAM_REFUSED' : 'UPSTREAM_UNAVAILABLE', error);
    }
  }

  return {
    id: source.id,
    name: source.name,
    trustFramework: source.trustFramework,
    attainable: source.claims === undefined ? 0 : Math.max(0, ...levels),

    async begin({ level, anew }) {
      const config = await reach(configuration);
      const pending: PendingUpstream = {
        state: oidc.randomState(),
        nonce: oidc.randomNonce(),
        verifier: oidc.randomPKCECodeVerifier(),
      };
      const wanted = Object.entries(source.acr)
        .filter(([, { proofing }]) => proofing >= level)
        .map(([acr]) => acr);
      const uri = oidc.buildAuthorizationUrl(config, {
        redirect_uri: parts.redirectUri,
        scope: source.scope,
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
        ...(wanted.length > 0 ? { acr_values: wanted.join(' ') } : {}),
        ...(anew ? { prompt: 'login' } : {}),
        ...(source.claimsRequest === undefined ? {} : { claims: JSON.stringify(source.claimsRequest) }),
      });
      return { uri: uri.href, pending };
    },

    async complete(callback, { state, nonce, verifier }) {
      const config = await reach(configuration);
      const { idToken, claims } = await reach(async () => {
        const tokens = await oidc.authorizationCodeGrant(config, callback, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
        const idToken = tokens.claims();
        if (!idToken) throw new oidc.ClientError('there is no ID token');
        const further =
          source.claims !== undefined && config.serverMetadata().userinfo_endpoint !== undefined
            ? await oidc.fetchUserInfo(config, tokens.access_token, idToken.sub)
            : {};
        return { idToken, claims: { ...idToken, ...further } };
      });
      const meaning = typeof idToken['acr'] === 'string' ? source.acr[idToken['acr']] : undefined;
      if (!meaning) throw fail('UPSTREAM_REFUSED', new Error('it reached no level that means anything here'));
      const at = clock.now();
      return {
        upstream: source.id,
        issuer: source.issuer,
        trustFramework: source.trustFramework,
        subject: idToken.sub,
        method: meaning.method,
        level: meaning.proofing,
        person: personIn(source.claims, claims, at),
        at,
      };
    },
  };
}

/** Errors of the library about what was answered; others of it are about not being answered. */
function isProtocol(error: oidc.ClientError): boolean {
  return !(error.cause instanceof TypeError);
}

function personIn(
  where: UpstreamSource['claims'],
  claims: Readonly<Record<string, unknown>>,
  now: Date,
): UpstreamIdentity['person'] {
  if (!where) return undefined;
  const text = (path: string): string | undefined => {
    const value = path
      .split('.')
      .reduce<unknown>(
        (object, member) =>
          typeof object === 'object' && object !== null
            ? (object as Record<string, unknown>)[member]
            : undefined,
        claims,
      );
    return typeof value === 'string' ? value : undefined;
  };
  const kind = where.documentKind.startsWith('=') ? where.documentKind.slice(1) : text(where.documentKind);
  const number = text(where.number);
  const name = text(where.name);
  const issuingCountry = where.issuingCountry === undefined ? undefined : text(where.issuingCountry);
  if (!isDocumentKind(kind) || number === undefined || name === undefined || !isName(name)) return undefined;
  const reading = readDocument({ kind, number, issuingCountry }, now);
  return 'document' in reading ? { document: reading.document, name } : undefined;
}
