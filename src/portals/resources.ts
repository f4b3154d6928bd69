/** Resource servers (RFC 8707): APIs that portals call with access tokens of this provider. Few, so every process keeps them all. */
import { z } from 'zod';
import type { AuditLog } from '../audit/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';

const text = z.string().trim().min(1).max(200);

export const resourceRegistration = z
  .object({
    /** Resource indicator: an absolute URI without fragment (RFC 8707, section 2). */
    identifier: z
      .string()
      .max(500)
      .refine((uri) => URL.canParse(uri) && !uri.includes('#'), 'is no resource indicator'),
    name: z.record(z.string(), text).refine((names) => 'zh-CN' in names, 'needs a name in zh-CN'),
    /** What each scope lets a portal do, by language: shown to the person who is asked. */
    scopes: z.record(z.string().regex(/^[a-z0-9:._-]{1,64}$/), z.record(z.string(), text)),
    /** `jwt` (RFC 9068) is checked by the resource alone and cannot be revoked; `opaque` is looked up here. */
    tokenFormat: z.enum(['opaque', 'jwt']).default('opaque'),
    tokenSeconds: z.number().int().min(30).max(3600).default(300),
    /** Portals that may introspect tokens made for this resource (RFC 7662). */
    introspectedBy: z.array(z.string()).max(20).default([]),
  })
  .strict();
export type ResourceRegistration = z.input<typeof resourceRegistration>;
export type Resource = Readonly<z.output<typeof resourceRegistration>>;

export interface Resources {
  /** Registers a resource, or brings a registered one to this description. @throws {z.ZodError} */
  register(registration: ResourceRegistration, actor: string): Promise<Resource>;
  find(identifier: string): Resource | undefined;
}

interface Row {
  identifier: string;
  name: Record<string, string>;
  scopes: Record<string, Record<string, string>>;
  token_format: 'opaque' | 'jwt';
  token_seconds: number;
  introspected_by: string[];
}

const CHANNEL = 'resources_changed';

export async function createResources(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
}): Promise<Resources & { stop(): Promise<void> }> {
  const { db, clock, audit } = parts;
  let known = new Map<string, Resource>();
  async function load(): Promise<void> {
    const rows = await db.query<Row>(
      'SELECT identifier, name, scopes, token_format, token_seconds, introspected_by FROM resources',
    );
    known = new Map(
      rows.map((row) => [
        row.identifier,
        {
          identifier: row.identifier,
          name: row.name,
          scopes: row.scopes,
          tokenFormat: row.token_format,
          tokenSeconds: row.token_seconds,
          introspectedBy: row.introspected_by,
        },
      ]),
    );
  }
  const stop = await db.listen(CHANNEL, () => void load().catch(() => undefined));
  await load();

  return {
    async register(registration, actor) {
      const resource = resourceRegistration.parse(registration);
      await db.transaction(async (tx) => {
        await tx.query(
          `INSERT INTO resources (identifier, name, scopes, token_format, token_seconds, introspected_by, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (identifier) DO UPDATE SET name = $2, scopes = $3, token_format = $4, token_seconds = $5,
               introspected_by = $6, updated_at = $7`,
          [
            resource.identifier,
            JSON.stringify(resource.name),
            JSON.stringify(resource.scopes),
            resource.tokenFormat,
            resource.tokenSeconds,
            JSON.stringify(resource.introspectedBy),
            clock.now(),
          ],
        );
        await audit.record(tx, {
          type: 'resource.registered',
          actor,
          subject: resource.identifier,
          detail: { tokenFormat: resource.tokenFormat, tokenSeconds: resource.tokenSeconds },
        });
        await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, '']);
      });
      await load();
      return resource;
    },
    find: (identifier) => known.get(identifier),
    stop,
  };
}
