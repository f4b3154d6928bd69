/**
 * The wrapping key in shares (Shamir, GF(2^8)): any `threshold` of them give it back, fewer say nothing of it. The library,
 * shamir-secret-sharing, has been audited twice (Cure53, Zellic), has no dependencies, and says nothing of the result: the check does that here.
 */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { combine, split } from 'shamir-secret-sharing';
import { CustodyError } from './errors.ts';
import { wrappingKeyId } from './wrapping.ts';

const SHARE = /^yinxin-share\.([0-9a-f]{16})\.(\d{1,3})\.([A-Za-z0-9_-]{44})\.([0-9a-f]{8})$/;
const MOST_SHARES = 255;

/**
 * @param key 32 octets.
 * @returns One line each: `yinxin-share.<id of the key>.<threshold>.<share>.<check>`, the check being of the line before it.
 * @throws {RangeError} unless 2 <= threshold <= shares <= 255.
 */
export async function splitWrappingKey(
  key: KeyObject,
  { shares, threshold }: { shares: number; threshold: number },
): Promise<string[]> {
  const whole = Number.isInteger(shares) && Number.isInteger(threshold);
  if (!whole || threshold < 2 || threshold > shares || shares > MOST_SHARES)
    throw new RangeError('There are 2 to 255 shares, and at least 2 of them are needed');
  const secret = new Uint8Array(key.export());
  const parts = await split(secret, shares, threshold);
  secret.fill(0);
  return parts.map((part) => {
    const body = `yinxin-share.${wrappingKeyId(key)}.${threshold}.${Buffer.from(part).toString('base64url')}`;
    return `${body}.${checkOf(body)}`;
  });
}

/** @throws {CustodyError} SHARES_INVALID: one is damaged, they are of different keys, too few, or do not give the key that they name. */
export async function combineWrappingKey(lines: readonly string[]): Promise<KeyObject> {
  const shares = lines.map(readShare);
  const [first] = shares;
  if (!first || shares.some(({ id, threshold }) => id !== first.id || threshold !== first.threshold))
    throw invalid('The shares are not of one key.');
  const distinct = new Map(shares.map(({ part }) => [part.at(-1), part]));
  if (distinct.size < first.threshold)
    throw invalid(`${first.threshold} different shares are needed, and there are ${distinct.size}.`);
  const key = createSecretKey(await combine([...distinct.values()].map((part) => new Uint8Array(part))));
  if (wrappingKeyId(key) !== first.id) throw invalid('The shares do not give the key that they name.');
  return key;
}

function readShare(line: string, index: number): { id: string; threshold: number; part: Buffer } {
  const [, id, threshold, text, check] = SHARE.exec(line.trim()) ?? [];
  if (id === undefined || threshold === undefined || text === undefined)
    throw invalid(`Share ${index + 1} cannot be read.`);
  const body = line.trim().slice(0, -9);
  if (checkOf(body) !== check) throw invalid(`Share ${index + 1} is damaged.`);
  return { id, threshold: Number(threshold), part: Buffer.from(text, 'base64url') };
}

const checkOf = (body: string) => createHash('sha256').update(body).digest('hex').slice(0, 8);

function invalid(message: string): CustodyError {
  return new CustodyError('SHARES_INVALID', message);
}
