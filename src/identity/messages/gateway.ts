/** Text messages by an HTTP gateway, as `docs/message-gateway.md` describes it. */
import { createHash, createHmac } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import type { createOutboundFetch } from '../../platform/http/outbound.ts';
import { Unacceptable } from '../../platform/outbox.ts';
import type { Carrier } from './messages.ts';

/** How the gateway knows us: a bearer token (RFC 6750), or a key that signs each request (RFC 9421, `hmac-sha256`). */
export type GatewayAuthentication =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'signature'; readonly key: Uint8Array; readonly keyId: string };

const TIMEOUT_MS = 15_000;
/** Statuses of the 4xx class that another try may change. */
const PASSING = new Set([401, 403, 404, 408, 425, 429]);

export function createGatewayCarrier(options: {
  url: URL;
  authentication: GatewayAuthentication;
  fetch: ReturnType<typeof createOutboundFetch>;
  clock: Clock;
}): Carrier {
  const { url, authentication, fetch, clock } = options;
  return async ({ id, to, kind, language, parameters, text }) => {
    const body = JSON.stringify({ id, to, kind, language, parameters, text });
    const headers: Record<string, string> = {
      'Content-Type': 'application/json',
      Accept: 'application/json',
      'Idempotency-Key': id,
      ...(authentication.kind === 'bearer'
        ? { Authorization: `Bearer ${authentication.token}` }
        : signatureOf(url, body, authentication, clock.now())),
    };
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((error: unknown) => {
      throw new Error(`no answer: ${nameOf(error)}`);
    });
    await response.body?.cancel();
    if (response.ok) return;
    const said = `HTTP ${response.status}`;
    const final = response.status >= 400 && response.status < 500 && !PASSING.has(response.status);
    throw final ? new Unacceptable(said) : new Error(said);
  };
}

/** HTTP Message Signatures (RFC 9421) over method, address, content type and digest of the content (RFC 9530). */
function signatureOf(
  url: URL,
  body: string,
  { key, keyId }: Extract<GatewayAuthentication, { kind: 'signature' }>,
  at: Date,
): Record<string, string> {
  const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
  const created = Math.floor(at.getTime() / 1000);
  const parameters = `("@method" "@target-uri" "content-type" "content-digest");created=${created};keyid="${keyId}";alg="hmac-sha256"`;
  const base = [
    '"@method": POST',
    `"@target-uri": ${url.href}`,
    '"content-type": application/json',
    `"content-digest": ${digest}`,
    `"@signature-params": ${parameters}`,
  ].join('\n');
  return {
    'Content-Digest': digest,
    'Signature-Input': `yinxin=${parameters}`,
    Signature: `yinxin=:${createHmac('sha256', key).update(base).digest('base64')}:`,
  };
}

/** Kind of a failed connection: its words may name addresses. */
function nameOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (typeof cause !== 'object' || cause === null) return 'unknown';
  if ('code' in cause && typeof cause.code === 'string') return cause.code;
  return cause instanceof Error ? cause.name : 'unknown';
}
