/** Holds requests and answers of the API to its own description (OpenAPI 3.1): what is not in the document is an error. */
import { z } from 'zod';

interface Described {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> };
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: unknown }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>
  >;
}
export interface Document {
  readonly openapi: string;
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

export async function fetchDescription(origin: string): Promise<Document> {
  return (await (await fetch(`${origin}/api/v1/openapi.json`)).json()) as Document;
}

/** A schema of the document, its references followed, as something that checks. */
function checkerOf(document: Document, schema: unknown): z.ZodType {
  const follow = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(follow);
    if (typeof node !== 'object' || node === null) return node;
    const name = '$ref' in node && typeof node.$ref === 'string' ? node.$ref.split('/').at(-1) : undefined;
    if (name !== undefined) {
      const found = document.components.schemas[name];
      if (found === undefined) throw new Error(`the description has no schema ${name}`);
      return follow(found);
    }
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, follow(value)]));
  };
  return z.fromJSONSchema(follow(schema) as Parameters<typeof z.fromJSONSchema>[0]);
}

/** The operation that a request is, by method and path below the server. */
export function operationOf(document: Document, method: string, path: string): Described {
  for (const [template, operations] of Object.entries(document.paths)) {
    const described = operations[method.toLowerCase()];
    if (described && new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)) return described;
  }
  throw new Error(`the description has no ${method} ${path}`);
}

/** @throws the answer is none that the description has for this request. */
export function checkAnswer(
  document: Document,
  method: string,
  path: string,
  answer: { status: number; type: string; body: unknown },
): void {
  const response = operationOf(document, method, path).responses[String(answer.status)];
  if (!response) throw new Error(`${method} ${path} is described without ${answer.status}`);
  const type = answer.type.split(';')[0] ?? '';
  if (!response.content) {
    if (answer.body !== undefined) throw new Error(`${method} ${path} is described without a body`);
    return;
  }
  const schema = response.content[type]?.schema;
  if (schema === undefined) throw new Error(`${method} ${path} is described without ${type}`);
  checkerOf(document, schema).parse(answer.body);
}

/** Whether the description takes a request's body and query. */
export function describesRequest(document: Document, method: string, path: string, body: unknown): boolean {
  const [bare = '', query = ''] = path.split('?');
  const { requestBody, parameters = [] } = operationOf(document, method, bare);
  const schema = requestBody?.content['application/json']?.schema;
  const bodyFits =
    schema === undefined ? body === undefined : checkerOf(document, schema).safeParse(body).success;
  const queryFits = [...new URLSearchParams(query)].every(([name, value]) => {
    const parameter = parameters.find((each) => each.in === 'query' && each.name === name);
    return parameter !== undefined && checkerOf(document, parameter.schema).safeParse(value).success;
  });
  return bodyFits && queryFits;
}
