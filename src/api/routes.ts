/** REST API /api/v1: organisations; seal, verify, and check what is on record. Errors are problem details (RFC 9457). */
import Router from '@koa/router';
import type { AuditLog } from '../audit/index.ts';
import type { Certificates } from '../certification/index.ts';
import type { Oidc } from '../oidc/index.ts';
import { derToPem } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { DataKeys } from '../platform/data-keys.ts';
import type { Context, Middleware, RequestState } from '../platform/http/context.ts';
import { readUpload } from '../platform/http/multipart.ts';
import { refuseAmbiguous } from '../platform/http/unambiguous.ts';
import type { Metrics } from '../platform/metrics.ts';
import { sealingOptions, SealingError, type Actor, type Seals } from '../seals/index.ts';
import { createBearer } from './bearer.ts';
import { createIdempotency } from './idempotency.ts';
import { openapi } from './openapi.ts';
import { describe, serve } from './operation.ts';
import { organisationOperations, type OrganisationApiParts } from './organisations/operations.ts';
import { PREFIXES } from './organisations/schemas.ts';

export interface ApiParts extends OrganisationApiParts {
  readonly issuer: string;
  readonly clock: Clock;
  readonly dataKeys: DataKeys;
  readonly oidc: Oidc;
  readonly seals: Seals;
  readonly certificates: Certificates;
  readonly audit: AuditLog;
  readonly metrics: Metrics;
  readonly documentMaxBytes: number;
}

export function apiRoutes(parts: ApiParts): Middleware {
  const { oidc, seals, certificates, organisations, audit, metrics } = parts;
  const router = new Router<RequestState>({ prefix: '/api/v1' });

  const bearer = createBearer(oidc);
  const operations = organisationOperations(parts);
  const description = JSON.stringify(openapi(parts.issuer, describe(operations, PREFIXES)));
  const sealActor = (ctx: Context): Promise<Actor> => bearer(ctx, 'seals:use');

  router.get('/openapi.json', (ctx) => {
    ctx.type = 'application/json';
    ctx.body = description;
  });

  router.get('/trust-anchors', async (ctx) => {
    ctx.type = 'application/x-pem-file';
    const { roots } = await certificates.trust();
    ctx.body = roots.map(({ der }) => derToPem('CERTIFICATE', der)).join('');
  });

  router.get('/audit/keys', async (ctx) => {
    ctx.body = await audit.jwks();
  });

  router.get('/seals', async (ctx) => {
    const actor = await sealActor(ctx);
    const { unitIds, sealIds } = await organisations.sealsFor(actor.accountId, actor.acting);
    const named = await Promise.all(sealIds.map((id) => seals.registry.find(id)));
    const usable = new Map(
      [...(await seals.registry.ofUnits(unitIds)), ...named.flatMap((seal) => seal ?? [])].map((seal) => [
        seal.id,
        seal,
      ]),
    );
    // Which seals somebody may use says where they work.
    await oidc.recordRelease({ ...actor, claims: ['seals'] });
    ctx.body = {
      seals: [...usable.values()].map(({ id, code, unitId, name, kind, state }) => ({
        id,
        code,
        unitId,
        name,
        kind,
        state,
      })),
    };
  });

  router.post('/seals/:sealId/sealings', async (ctx) => {
    const actor = await sealActor(ctx);
    const upload = await readUpload(ctx, { maxBytes: parts.documentMaxBytes, fieldNames: ['options'] });
    const key = ctx.get('idempotency-key');
    try {
      const sealed = await seals.sealing.seal(actor, ctx.params['sealId'] ?? '', {
        document: upload.document,
        options: readOptions(upload.fields.get('options')),
        idempotencyKey: key === '' ? undefined : key,
      });
      metrics.sealings.inc({ outcome: sealed.replayed ? 'replayed' : 'completed' });
      ctx.status = 201;
      ctx.set('Location', `/api/v1/sealings/${sealed.sealingId}`);
      ctx.type = sealed.mediaType;
      ctx.body = Buffer.from(sealed.document);
    } catch (error) {
      metrics.sealings.inc({ outcome: 'refused' });
      throw error;
    }
  });

  router.get('/sealings/:sealingId', async (ctx) => {
    const record = await seals.sealing.find(await sealActor(ctx), ctx.params['sealingId'] ?? '');
    if (!record) throw new SealingError('SEALING_NOT_FOUND', 'There is no such sealing, or it is not yours.');
    ctx.body = record;
  });

  router.post('/verifications', async (ctx) => {
    const upload = await readUpload(ctx, { maxBytes: parts.documentMaxBytes, fieldNames: [] });
    ctx.body = await seals.verification.verify(upload.document);
  });

  serve(router, operations, { bearer, idempotency: createIdempotency(parts) });

  const routes = router.routes() as unknown as Middleware;
  return async function api(ctx, next) {
    if (ctx.path !== '/api' && !ctx.path.startsWith('/api/')) return next();
    ctx.state.area = 'api';
    await refuseAmbiguous(ctx, () => routes(ctx, async () => undefined));
  };
}

function readOptions(text: string | undefined) {
  try {
    return sealingOptions.parse(text === undefined ? {} : JSON.parse(text));
  } catch {
    // Without its cause, which quotes the text.
    throw new SealingError(
      'SEALING_OPTIONS_INVALID',
      'The part "options" is not JSON of the documented form.',
    );
  }
}
