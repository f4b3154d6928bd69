/** The addresses that certificates name: authorities' certificates, lists, the OCSP responder, and the time-stamping authority. For everyone. */
import getRawBody from 'raw-body';
import { HttpError } from '../platform/http/errors.ts';
import type { Context, Middleware } from '../platform/http/context.ts';
import { refuseAmbiguous } from '../platform/http/unambiguous.ts';
import type { Certification } from './index.ts';
import { isHierarchyId } from './hierarchies.ts';
import type { OcspAnswer } from './ocsp-responder.ts';

const MAX_BYTES = 16_384;
/** Seconds that a list may lie in a cache. A new one comes out with each revocation. */
const LIST_SECONDS = 300;
const CERTIFICATE_SECONDS = 86_400;

export function certificationRoutes({ certificates, lists, ocsp, timeStamping }: Certification): Middleware {
  async function certificate(ctx: Context, id: string): Promise<void> {
    const found = (await certificates.authorities()).find((each) => each.id === id);
    if (!found) throw notFound();
    publish(ctx, 'application/pkix-cert', found.certificate.der, CERTIFICATE_SECONDS);
  }

  async function list(ctx: Context, id: string): Promise<void> {
    const found = await lists.find(id);
    if (!found) throw notFound();
    ctx.set('Last-Modified', found.thisUpdate.toUTCString());
    publish(ctx, 'application/pkix-crl', found.der, LIST_SECONDS);
  }

  async function ocspByPost(ctx: Context): Promise<void> {
    give(ctx, await ocsp.answer(await readBody(ctx, 'application/ocsp-request')));
  }

  /** RFC 5019 section 5: the request in base64, percent-encoded, as the rest of the path. */
  async function ocspByGet(ctx: Context, rest: string): Promise<void> {
    const request = fromPath(rest);
    const answer = await ocsp.answer(request);
    give(ctx, answer);
    if (!answer.reusable) return;
    const { thisUpdate, nextUpdate } = answer.reusable;
    // RFC 5019 section 6.2.
    ctx.set('Cache-Control', 'max-age=1800, public, no-transform, must-revalidate');
    ctx.set('Last-Modified', thisUpdate.toUTCString());
    ctx.set('Expires', nextUpdate.toUTCString());
  }

  async function timeStamp(ctx: Context, hierarchy?: string): Promise<void> {
    if (hierarchy !== undefined && !isHierarchyId(hierarchy)) throw notFound();
    const body = await readBody(ctx, 'application/timestamp-query');
    const answer = await timeStamping.answer(body, hierarchy);
    if (!answer) throw notFound();
    ctx.type = 'application/timestamp-reply';
    ctx.body = answer;
  }

  async function serve(ctx: Context): Promise<void> {
    const { path } = ctx;
    const ca = /^\/pki\/ca\/(cert_\w{26})\.cer$/.exec(path)?.[1];
    if (ca !== undefined) return only(ctx, 'GET', () => certificate(ctx, ca));
    const crl = /^\/pki\/crl\/(cert_\w{26})\.crl$/.exec(path)?.[1];
    if (crl !== undefined) return only(ctx, 'GET', () => list(ctx, crl));
    if (path === '/pki/ocsp' || path === '/pki/ocsp/') return only(ctx, 'POST', () => ocspByPost(ctx));
    if (path.startsWith('/pki/ocsp/'))
      return only(ctx, 'GET', () => ocspByGet(ctx, path.slice('/pki/ocsp/'.length)));
    const tsa = /^\/pki\/tsa(?:\/([\w-]{1,20}))?$/.exec(path);
    if (tsa) return only(ctx, 'POST', () => timeStamp(ctx, tsa[1]));
    throw notFound();
  }

  return async function pki(ctx, next) {
    if (ctx.path !== '/pki' && !ctx.path.startsWith('/pki/')) return next();
    ctx.state.area = 'api';
    await refuseAmbiguous(ctx, () => serve(ctx));
  };
}

async function only(ctx: Context, method: 'GET' | 'POST', act: () => Promise<void>): Promise<void> {
  if (ctx.method === method || (method === 'GET' && ctx.method === 'HEAD')) return act();
  ctx.set('Allow', method === 'GET' ? 'GET, HEAD' : method);
  throw new HttpError('METHOD_NOT_ALLOWED', `This address answers to ${method}.`);
}

function notFound(): HttpError {
  return new HttpError('NOT_FOUND', 'There is nothing at this address.');
}

function publish(ctx: Context, type: string, der: Uint8Array, seconds: number): void {
  ctx.set('Cache-Control', `public, max-age=${seconds}`);
  ctx.type = type;
  ctx.body = Buffer.from(der);
}

function give(ctx: Context, { der }: OcspAnswer): void {
  ctx.type = 'application/ocsp-response';
  ctx.body = der;
}

/** What does not decode is no request either: the responder says so in its own words. */
function fromPath(rest: string): Buffer {
  if (rest.length > (MAX_BYTES * 4) / 3) return Buffer.alloc(0);
  try {
    const text = decodeURIComponent(rest);
    const bytes = Buffer.from(text, 'base64');
    return bytes.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '') ? bytes : Buffer.alloc(0);
  } catch {
    return Buffer.alloc(0);
  }
}

async function readBody(ctx: Context, type: string): Promise<Buffer> {
  if (!ctx.is(type)) throw new HttpError('UNSUPPORTED_MEDIA_TYPE', `The body must be ${type}.`);
  try {
    return await getRawBody(ctx.req, { limit: MAX_BYTES, length: ctx.get('content-length') || null });
  } catch (cause) {
    throw new HttpError(
      'DOCUMENT_TOO_LARGE',
      `The request is longer than ${MAX_BYTES} bytes, or broke off.`,
      { cause },
    );
  }
}
