/**
 * One operation of the API, described once: its route, what it reads, what it answers, and the words of OpenAPI 3.1 about it. What the
 * description says is what is checked.
 */
import type Router from '@koa/router';
import getRawBody from 'raw-body';
import { z } from 'zod';
import type { BearerToken } from '../oidc/index.ts';
import { HttpError } from '../platform/http/errors.ts';
import type { Context, RequestState } from '../platform/http/context.ts';
import type { Bearer } from './bearer.ts';
import { RequestError } from './errors.ts';
import type { Answer, Idempotency } from './idempotency.ts';

/** What a request asks for, read and checked. */
export interface Call<Q, B> {
  readonly actor: BearerToken;
  /** Of the path, as they came. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  /** Internet address of the caller, for limits. */
  readonly address: string;
}

interface Description {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  /** As OpenAPI writes it, `/units/{unitId}`; every parameter is an identifier. */
  readonly path: string;
  readonly scope: string;
  readonly summary: string;
  /** Statuses of its problems, besides 400, 401 and 404. */
  readonly problems?: readonly (keyof typeof PROBLEMS)[];
  /** What is answered, by the name of a schema; without one, 204. */
  readonly answers?: { readonly status: 200 | 201; readonly schema: string };
}

export interface Operation extends Description {
  readonly query: z.ZodType | undefined;
  readonly body: { readonly name: string; readonly schema: z.ZodType } | undefined;
  handle(call: Call<unknown, unknown>): Promise<Omit<Answer, 'status'>>;
}

export const PROBLEMS = {
  400: 'The request cannot be read',
  401: 'No valid token',
  403: 'The token or the roles of the person do not allow it',
  404: 'There is no such thing, or it is not yours to see',
  409: 'What is there does not allow it',
  422: 'The request does not fit; the code says why',
  429: 'Too many tries',
} as const;

/** Largest body, in bytes. */
const BODY_MAX_BYTES = 16_384;

/** Makes an operation of its description and what does it. */
export function operation<Q = undefined, B = undefined>(
  description: Description & {
    readonly query?: z.ZodType<Q>;
    readonly body?: { readonly name: string; readonly schema: z.ZodType<B> };
  },
  handle: (call: Call<Q, B>) => Promise<Omit<Answer, 'status'>>,
): Operation {
  const { query, body } = description;
  return {
    ...description,
    query,
    body,
    // eslint-disable-next-line typescript/no-unsafe-type-assertion -- read by these very schemas in `serve`
    handle: (call) => handle(call as Call<Q, B>),
  };
}

/** Puts operations on a router. */
export function serve(
  router: Router<RequestState>,
  operations: readonly Operation[],
  parts: { bearer: Bearer; idempotency: Idempotency },
): void {
  for (const each of operations)
    router[each.method](each.path.replaceAll(/\{(\w+)\}/g, ':$1'), async (ctx) => {
      const actor = await parts.bearer(ctx, each.scope);
      const query = each.query && readQuery(ctx, each.query);
      const written = each.body && (await readJson(ctx));
      const body = each.body && readBody(written, each.body.schema);
      const call = { actor, params: ctx.params, query, body, address: ctx.state.address };
      const work = async (): Promise<Answer> => ({
        status: each.answers?.status ?? 204,
        ...(await each.handle(call)),
      });
      const key = ctx.get('idempotency-key');
      const answer =
        each.method === 'post' && key !== ''
          ? await parts.idempotency.once(
              { ...actor, key, request: { method: each.method, path: ctx.path, body: written ?? null } },
              work,
            )
          : await work();
      if (answer.location !== undefined) ctx.set('Location', answer.location);
      ctx.body = answer.status === 204 ? null : answer.body;
      ctx.status = answer.status;
    });
}

function readQuery<T>(ctx: Context, schema: z.ZodType<T>): T {
  const given = new URLSearchParams(ctx.querystring);
  const once = Object.fromEntries(given);
  const parsed = schema.safeParse(once);
  if (parsed.success && Object.keys(once).length === given.size) return parsed.data;
  throw new RequestError(
    'PARAMETER_INVALID',
    `These parameters do not fit: ${parsed.success ? 'one came twice' : membersOf(parsed.error)}.`,
  );
}

async function readJson(ctx: Context): Promise<unknown> {
  if (!ctx.is('application/json'))
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json.');
  let text: string;
  try {
    text = await getRawBody(ctx.req, {
      limit: BODY_MAX_BYTES,
      length: ctx.get('content-length') || null,
      encoding: 'utf8',
    });
  } catch (cause) {
    const tooLarge =
      typeof cause === 'object' && cause !== null && 'type' in cause && cause.type === 'entity.too.large';
    throw tooLarge
      ? new RequestError('BODY_TOO_LARGE', `The body is longer than ${BODY_MAX_BYTES} bytes.`)
      : new RequestError('BODY_UNREADABLE', 'The body broke off.', { cause });
  }
  try {
    return JSON.parse(text);
  } catch {
    // Without its cause, which quotes the text.
    throw new RequestError('BODY_UNREADABLE', 'The body is not JSON.');
  }
}

function readBody<T>(written: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(written);
  if (parsed.success) return parsed.data;
  throw new RequestError('BODY_INVALID', `These members do not fit: ${membersOf(parsed.error)}.`);
}

/** Where something is wrong, as JSON pointers (RFC 6901). What is wrong with it would quote it. */
function membersOf({ issues }: z.ZodError): string {
  const pointers = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? ['a member that is not known']
      : [`/${issue.path.map(String).join('/')}`],
  );
  return [...new Set(pointers)].slice(0, 10).join(', ');
}

const problem = (status: keyof typeof PROBLEMS) => ({
  description: PROBLEMS[status],
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});
const reference = (name: string) => ({
  'application/json': { schema: { $ref: `#/components/schemas/${name}` } },
});

/** JSON Schema 2020-12, as OpenAPI 3.1 embeds it. */
export function jsonSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

/** The `paths` of OpenAPI 3.1 for operations, and the schemas of their bodies. @param prefixes Of the identifier that each parameter is. */
export function describe(
  operations: readonly Operation[],
  prefixes: Readonly<Record<string, string>>,
): { paths: Record<string, Record<string, unknown>>; schemas: Record<string, unknown> } {
  const paths: Record<string, Record<string, unknown>> = {};
  const schemas: Record<string, unknown> = {};
  for (const each of operations) {
    const query = each.query ? jsonSchema(each.query) : {};
    const required = (query['required'] ?? []) as readonly string[];
    if (each.body) schemas[each.body.name] = jsonSchema(each.body.schema);
    const problems = [400, 401, 404, ...(each.problems ?? [])] as const;
    (paths[each.path] ??= {})[each.method] = {
      summary: each.summary,
      security: [{ oauth2: [each.scope] }],
      parameters: [
        ...[...each.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
          name,
          in: 'path',
          required: true,
          schema: { type: 'string', pattern: `^${prefixes[name] ?? ''}_[0-9a-hjkmnp-tv-z]{26}$` },
        })),
        ...Object.entries((query['properties'] ?? {}) as Record<string, unknown>).map(([name, schema]) => ({
          name,
          in: 'query',
          required: required.includes(name),
          schema,
        })),
        ...(each.method === 'post'
          ? [
              {
                name: 'Idempotency-Key',
                in: 'header',
                description:
                  'The same request with the same key gets the same answer and does nothing more, for seven days.',
                schema: { type: 'string', minLength: 1, maxLength: 128 },
              },
            ]
          : []),
      ],
      ...(each.body ? { requestBody: { required: true, content: reference(each.body.name) } } : {}),
      responses: {
        ...(each.answers
          ? {
              [each.answers.status]: {
                description: each.answers.status === 201 ? 'It was made' : 'It is so',
                content: reference(each.answers.schema),
              },
            }
          : { 204: { description: 'It was done' } }),
        ...Object.fromEntries(problems.map((status) => [status, problem(status)])),
      },
    };
  }
  return { paths, schemas };
}
