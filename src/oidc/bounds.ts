/**
 * Bounds that the library does not set: how many parameters a request has, that a form is UTF-8, and how deep JSON may be nested. JSON.parse
 * reads any depth; what copies or writes it afterwards ends the stack.
 */
import getRawBody from 'raw-body';
import { HttpError } from '../platform/http/errors.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import { giveBody } from '../platform/http/reread.ts';

/** The library's own bound. */
const MAX_BYTES = 57_344;
const MAX_PARAMETERS = 100;
const MAX_DEPTH = 32;
const FORM = 'application/x-www-form-urlencoded';
const UTF8 = new TextDecoder('utf-8', { fatal: true });
const JWTS = ['client_assertion', 'request', 'id_token_hint'];
const JSONS = ['claims', 'authorization_details'];

/** Reads the form of a request to an endpoint and hands it on as text; the address is left as it is. */
export function boundedRequests(): Middleware {
  return async function bound(ctx, next) {
    if (ctx.state.area !== 'oidc') return next();
    let text = ctx.querystring;
    if (ctx.method === 'POST' && ctx.is(FORM)) {
      text = await readForm(ctx);
      giveBody(ctx.req, Buffer.from(text));
    }
    const parameters = new URLSearchParams(text);
    if (parameters.size > MAX_PARAMETERS)
      throw new HttpError('FORM_UNREADABLE', `The request has more than ${MAX_PARAMETERS} parameters.`);
    const deep = [
      ...JWTS.filter((name) => parameters.getAll(name).some((jwt) => jwt.split('.', 2).some(isDeepPart))),
      ...JSONS.filter((name) => parameters.getAll(name).some(isDeep)),
    ];
    if (deep.length > 0)
      throw new HttpError(
        'FORM_UNREADABLE',
        `${deep.join(' and ')}: nested more than ${MAX_DEPTH} levels deep.`,
      );
    return next();
  };
}

async function readForm(ctx: Context): Promise<string> {
  if (!['', 'utf-8', 'utf8'].includes(ctx.request.charset.toLowerCase()))
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The form must be UTF-8.');
  try {
    const body = await getRawBody(ctx.req, { limit: MAX_BYTES, length: ctx.get('content-length') || null });
    return UTF8.decode(body);
  } catch (cause) {
    const message = `The form could not be read, or is longer than ${MAX_BYTES} bytes.`;
    throw new HttpError('FORM_UNREADABLE', message, { cause });
  }
}

/** Whether JSON, or what is to be read as JSON, is nested too deeply. */
export function isDeep(json: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const sign = json[i];
    if (quoted) {
      if (sign === '\\') i++;
      else quoted = sign !== '"';
    } else if (sign === '"') quoted = true;
    else if (sign === '{' || sign === '[') {
      depth++;
      if (depth > MAX_DEPTH) return true;
    } else if (sign === '}' || sign === ']') depth--;
  }
  return false;
}

function isDeepPart(part: string): boolean {
  return isDeep(Buffer.from(part, 'base64url').toString('utf8'));
}
