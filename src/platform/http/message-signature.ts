/** HTTP Message Signatures (RFC 9421) with hmac-sha256, and Content-Digest (RFC 9530): proves to an authority that a request is ours. Pure. */
import { createHash, createHmac, type KeyObject } from 'node:crypto';

export interface SignedRequest {
  readonly method: string;
  readonly url: string;
  /** Lower-case names; those that are there are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/**
 * @param options.created Seconds since 1970.
 * @returns the headers to add: `content-digest` where there is a body, `signature-input`, `signature`.
 */
export function signMessage(
  request: SignedRequest,
  options: { keyId: string; key: KeyObject; created: number },
): Record<string, string> {
  const digest = request.body === undefined ? {} : { 'content-digest': contentDigest(request.body) };
  const covered: Readonly<Record<string, string>> = {
    '@method': request.method,
    '@target-uri': request.url,
    ...request.headers,
    ...digest,
  };
  const names = Object.keys(covered)
    .map((name) => `"${name}"`)
    .join(' ');
  const parameters = `(${names});created=${options.created};keyid="${options.keyId}";alg="hmac-sha256"`;
  const base = [
    ...Object.entries(covered).map(([name, value]) => `"${name}": ${value}`),
    `"@signature-params": ${parameters}`,
  ].join('\n');
  const signature = createHmac('sha256', options.key).update(base).digest('base64');
  return { ...digest, 'signature-input': `yinxin=${parameters}`, signature: `yinxin=:${signature}:` };
}

export function contentDigest(body: string): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}
