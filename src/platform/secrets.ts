/**
 * The secrets of one installation, apart from its configuration so that printing a `Config` shows none. Server mode takes them from
 * the environment or from files and refuses placeholders; embedded mode makes its own on first start, for development alone.
 */
import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigProblem, RawEnv } from './config.ts';
import { toDataKeys, type DataKeys } from './data-keys.ts';

export interface Secrets {
  /** Wraps the data key of every unit (custody). Whoever has it and the database has every seal key. 32 bytes; undefined: it is in a token. */
  readonly keyEncryptionKey: KeyObject | undefined;
  /** Wrapping keys that are still, or already, known besides: what lies under them can be opened, and `yinxin keys rewrap` wraps it anew. */
  readonly otherKeyEncryptionKeys: readonly KeyObject[];
  /** Roots of the keys that encrypt personal data and session records at rest. 32 bytes each. */
  readonly dataKeys: DataKeys;
  /** Keyed into every password hash, so that a stolen database alone cannot be tried against a word list. 32 bytes. */
  readonly passwordPepper: KeyObject;
  /** Peppers that are still, or already, known besides: a hash made with one of them is made anew with the current one when its owner signs in. */
  readonly otherPasswordPeppers: readonly KeyObject[];
  /** Opens the token that `PKCS11_TOKEN` names; undefined: there is none. */
  readonly tokenPin: string | undefined;
  /** Sign cookies; the first signs, all verify. */
  readonly cookieKeys: readonly KeyObject[];
}

const DEVELOPMENT_FILE = 'development-secrets.json';
const VARIABLES = ['KEY_ENCRYPTION_KEY', 'DATA_KEY', 'PASSWORD_PEPPER', 'COOKIE_KEYS'] as const;
/** Lists of keys that are known besides the current ones. */
const OPTIONAL = ['KEY_ENCRYPTION_KEY_OTHERS', 'DATA_KEY_OTHERS', 'PASSWORD_PEPPER_OTHERS'];
type SecretVariable = (typeof VARIABLES)[number];

/**
 * Reads and judges the secrets. Values are 32 random bytes in base64 (`openssl rand -base64 32`); `COOKIE_KEYS` and, where
 * there are any, `KEY_ENCRYPTION_KEY_OTHERS`, `DATA_KEY_OTHERS` and `PASSWORD_PEPPER_OTHERS` are comma-separated lists.
 * @returns the secrets, or every problem found; a problem never shows a value.
 */
export function toSecrets(
  raw: RawEnv,
  options: { required: boolean; developmentDirectory: string; writeDevelopment: boolean },
): { value: Secrets } | { problems: ConfigProblem[] } {
  const given = options.required || [...VARIABLES, ...OPTIONAL].some((name) => raw[name] !== undefined);
  const source = given ? raw : developmentSecrets(options.developmentDirectory, options.writeDevelopment);
  const problems: ConfigProblem[] = [];
  const seen = new Map<string, string>();

  const decode = (variable: string, text: string): Buffer => {
    const problem = problemWithSecret(text);
    const twin = seen.get(text);
    if (problem) problems.push({ variable, problem });
    else if (twin !== undefined) problems.push({ variable, problem: `repeats the value of ${twin}` });
    seen.set(text, variable);
    return Buffer.from(text, 'base64');
  };
  const one = (variable: SecretVariable): KeyObject => {
    const text = source[variable];
    if (text !== undefined) return createSecretKey(decode(variable, text));
    problems.push({ variable, problem: 'is missing (32 random bytes in base64: openssl rand -base64 32)' });
    return createSecretKey(Buffer.alloc(32));
  };
  const several = (variable: string): Buffer[] =>
    (source[variable] ?? '')
      .split(',')
      .filter(Boolean)
      .map((text) => decode(variable, text.trim()));

  const value: Secrets = {
    keyEncryptionKey:
      raw['PKCS11_WRAPPING_KEY'] !== undefined && raw['KEY_ENCRYPTION_KEY'] === undefined
        ? undefined
        : one('KEY_ENCRYPTION_KEY'),
    otherKeyEncryptionKeys: several('KEY_ENCRYPTION_KEY_OTHERS').map((bytes) => createSecretKey(bytes)),
    dataKeys: toDataKeys(one('DATA_KEY'), several('DATA_KEY_OTHERS').map(createSecretKey)),
    passwordPepper: one('PASSWORD_PEPPER'),
    otherPasswordPeppers: several('PASSWORD_PEPPER_OTHERS').map((bytes) => createSecretKey(bytes)),
    tokenPin: raw['PKCS11_PIN'],
    cookieKeys: several('COOKIE_KEYS').map((bytes) => createSecretKey(bytes)),
  };
  if (value.cookieKeys.length === 0)
    problems.push({
      variable: 'COOKIE_KEYS',
      problem: 'is missing (32 random bytes in base64: openssl rand -base64 32)',
    });
  return problems.length > 0 ? { problems } : { value: Object.freeze(value) };
}

/** A key for one purpose, derived from a secret (HKDF-SHA-256, RFC 5869), so that one secret never serves two algorithms. */
export function deriveKey(secret: KeyObject, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `yinxin/${purpose}`, 32)));
}

/** The keys for one purpose, derived from every known data key, the current one's first. */
export function deriveKeys(
  { known: [current, ...others] }: DataKeys,
  purpose: string,
): [KeyObject, ...KeyObject[]] {
  return [deriveKey(current.secret, purpose), ...others.map(({ secret }) => deriveKey(secret, purpose))];
}

function problemWithSecret(text: string): string | undefined {
  const bytes = Buffer.from(text, 'base64');
  const wellFormed =
    /^[A-Za-z0-9+/]+={0,2}$/.test(text) &&
    bytes.toString('base64') === text.padEnd(Math.ceil(text.length / 4) * 4, '=');
  if (!wellFormed || bytes.length !== 32) return 'is not 32 bytes in base64 (openssl rand -base64 32)';
  // 32 random bytes repeat few values: 20 distinct ones is far below chance, and typed or padded text falls under it or spells ASCII.
  if (new Set(bytes).size < 20 || bytes.every((byte) => byte >= 0x20 && byte < 0x7f))
    return 'is a placeholder, not random bytes';
  return undefined;
}

/** Development secrets, as variables: made on first start, kept in a file that only its owner can read, ignored by git. */
export function developmentSecrets(directory: string, write: boolean): RawEnv {
  const path = join(directory, DEVELOPMENT_FILE);
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as RawEnv;
  const made = Object.fromEntries(VARIABLES.map((name) => [name, randomBytes(32).toString('base64')]));
  if (write) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(path, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  }
  return made;
}
