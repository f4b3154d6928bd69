/** HTML forms: a bounded body, and proof that it was our own page that sent it. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import getRawBody from 'raw-body';
import type { DataKeys } from '../data-keys.ts';
import { deriveKeys } from '../secrets.ts';
import type { Context } from './context.ts';
import { HttpError } from './errors.ts';

const FORM_MAX_BYTES = 16_384;
const FORM_MAX_FIELDS = 50;
/** Fields that are neither secret nor a number by which a person is known: an error page may carry them. */
const KEPT = /^(?:identifier|kind|third|name|decision|confirm|outcome|claim-\w+)$/;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

export interface Forms {
  /** The value for the hidden field `csrf` of every form on a page; sets the cookie that it is bound to. */
  token(ctx: Context): string;
  /**
   * Reads `application/x-www-form-urlencoded` and checks `csrf`. A field given twice keeps its first value.
   * @throws {HttpError} UNSUPPORTED_MEDIA_TYPE, FORM_TOO_LARGE, FORM_UNREADABLE, FORM_FROM_ELSEWHERE.
   */
  read(ctx: Context): Promise<ReadonlyMap<string, string>>;
}

/**
 * Signed double submit: a random cookie that other sites cannot read, and in the form its HMAC, which they cannot compute. It works
 * before sign-in, needs no store, and survives several tabs. `Origin`, which browsers send with every POST, is checked besides. A form
 * from a process with another current data key is taken where that key is known.
 */
export function createForms(options: { issuer: string; dataKeys: DataKeys }): Forms {
  const secure = options.issuer.startsWith('https:');
  const cookie = secure ? '__Host-yx_csrf' : 'yx_csrf';
  const keys = deriveKeys(options.dataKeys, 'csrf');
  const tokenFor = (value: string, key = keys[0]) => createHmac('sha256', key).update(value).digest();

  return {
    token(ctx) {
      let value = ctx.cookies.get(cookie);
      if (value === undefined || !/^[\w-]{22}$/.test(value)) {
        value = randomBytes(16).toString('base64url');
        ctx.cookies.set(cookie, value, {
          httpOnly: true,
          sameSite: 'lax',
          secure,
          path: '/',
          signed: false,
          overwrite: true,
        });
      }
      return tokenFor(value).toString('base64url');
    },
    async read(ctx) {
      const fields = await readFields(ctx);
      ctx.state.typed = Object.fromEntries([...fields].filter(([name]) => KEPT.test(name)));
      const origin = ctx.get('origin');
      const kept = ctx.cookies.get(cookie);
      const given = Buffer.from(fields.get('csrf') ?? '', 'base64url');
      const ours =
        kept !== undefined &&
        keys.some((key) => isToken(given, tokenFor(kept, key))) &&
        (origin === '' || origin === options.issuer);
      if (!ours)
        throw new HttpError(
          'FORM_FROM_ELSEWHERE',
          'The form was not sent from a page of this service, or the page was too old.',
        );
      return fields;
    },
  };
}

function isToken(given: Buffer, expected: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function readFields(ctx: Context): Promise<ReadonlyMap<string, string>> {
  if (!ctx.is('application/x-www-form-urlencoded'))
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/x-www-form-urlencoded.');
  let body: Buffer;
  try {
    body = await getRawBody(ctx.req, { limit: FORM_MAX_BYTES, length: ctx.get('content-length') || null });
  } catch (cause) {
    const tooLarge = cause instanceof Error && 'type' in cause && cause.type === 'entity.too.large';
    if (tooLarge)
      throw new HttpError('FORM_TOO_LARGE', `The form is larger than ${FORM_MAX_BYTES} bytes.`, { cause });
    throw new HttpError('FORM_UNREADABLE', 'The form could not be read.', { cause });
  }
  const fields = new Map<string, string>();
  try {
    const entries = [...new URLSearchParams(UTF8.decode(body))];
    if (entries.length > FORM_MAX_FIELDS) throw new RangeError(`${entries.length} fields`);
    for (const [name, value] of entries) if (!fields.has(name)) fields.set(name, value);
  } catch (cause) {
    throw new HttpError('FORM_UNREADABLE', 'The form could not be read.', { cause });
  }
  return fields;
}
