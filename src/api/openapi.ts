/** The description of /api/v1 (OpenAPI 3.1). */
import { jsonSchema, type describe } from './operation.ts';
import { ANSWERS } from './organisations/schemas.ts';

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});
const json = (description: string, schema: string) => ({
  description,
  content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
});
const bytes = { type: 'string', contentMediaType: 'application/octet-stream' };
const hex = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const id = (prefix: string) => ({ type: 'string', pattern: `^${prefix}_[0-9a-z]{26}$` });

/** @param described The paths and bodies of operations that describe themselves. */
export function openapi(issuer: string, described: ReturnType<typeof describe>): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Yinxin API', version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: `${issuer}/api/v1` }],
    paths: {
      ...described.paths,
      '/seals': {
        get: {
          summary: 'The seals that the person may use',
          security: [{ oauth2: ['seals:use'] }],
          responses: {
            200: json(
              'The seals of the units in which the person is seal officer, and those that mandates name',
              'Seals',
            ),
            401: problem('No valid token'),
            403: problem('Scope missing'),
          },
        },
      },
      '/seals/{sealId}/sealings': {
        post: {
          summary: 'Seal a PDF (PAdES B-B, visible seal)',
          security: [{ oauth2: ['seals:use'] }],
          parameters: [
            { name: 'sealId', in: 'path', required: true, schema: id('seal') },
            {
              name: 'Idempotency-Key',
              in: 'header',
              description:
                'A retry with the same key and the same request gets the same document and never signs again.',
              schema: { type: 'string', minLength: 1, maxLength: 128 },
            },
          ],
          requestBody: {
            required: true,
            content: {
              'multipart/form-data': {
                schema: {
                  type: 'object',
                  required: ['document'],
                  properties: { document: bytes, options: { $ref: '#/components/schemas/SealingOptions' } },
                },
                encoding: { options: { contentType: 'application/json' } },
              },
            },
          },
          responses: {
            201: {
              description: 'The sealed document; it begins with the exact bytes of the original',
              headers: { Location: { description: 'The record of the sealing', schema: { type: 'string' } } },
              content: { 'application/pdf': { schema: bytes } },
            },
            400: problem('The request cannot be read'),
            401: problem('No valid token'),
            403: problem('Scope missing'),
            404: problem('No such seal, or not yours to use'),
            409: problem('The seal or the idempotency key does not allow it now'),
            413: problem('The document is too large'),
            415: problem('Not multipart/form-data'),
            422: problem('The document cannot be sealed; the code says why. Nothing was signed'),
          },
        },
      },
      '/sealings/{sealingId}': {
        get: {
          summary: 'What is on record of a sealing, with its receipt',
          security: [{ oauth2: ['seals:use'] }],
          parameters: [{ name: 'sealingId', in: 'path', required: true, schema: id('slg') }],
          responses: {
            200: json('The record', 'Sealing'),
            401: problem('No valid token'),
            403: problem('Scope missing'),
            404: problem('No such sealing, or not yours'),
          },
        },
      },
      '/verifications': {
        post: {
          summary: 'Verify the seals of a document',
          security: [],
          requestBody: {
            required: true,
            content: {
              'multipart/form-data': {
                schema: { type: 'object', required: ['document'], properties: { document: bytes } },
              },
            },
          },
          responses: {
            200: json('The verdict, with a reason for each check', 'Verdict'),
            400: problem('The request cannot be read'),
            413: problem('The document is too large'),
            415: problem('Not multipart/form-data'),
            422: problem('The document cannot be read; the code says why'),
          },
        },
      },
      '/trust-anchors': {
        get: {
          summary: 'The root certificate, PEM',
          security: [],
          responses: {
            200: {
              description: 'PEM (RFC 7468)',
              content: { 'application/x-pem-file': { schema: { type: 'string' } } },
            },
          },
        },
      },
      '/audit/keys': {
        get: {
          summary: 'The keys by which receipts are checked (RFC 7517)',
          security: [],
          responses: { 200: json('JWK Set', 'JwkSet') },
        },
      },
    },
    components: {
      securitySchemes: {
        oauth2: {
          type: 'oauth2',
          description: `Ask for the token with resource=${issuer}/api/v1 (RFC 8707).`,
          flows: {
            authorizationCode: {
              authorizationUrl: `${issuer}/authorize`,
              tokenUrl: `${issuer}/token`,
              scopes: {
                'seals:use': 'Use the seals of your units',
                'organisations:read': 'See your organisations as your duties let you',
                'organisations:manage': 'Manage your organisations as your duties let you',
              },
            },
          },
        },
      },
      schemas: {
        ...Object.fromEntries(Object.entries(ANSWERS).map(([name, schema]) => [name, jsonSchema(schema)])),
        ...described.schemas,
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'code', 'traceId'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            code: { type: 'string' },
            traceId: { type: 'string' },
          },
        },
        Seals: {
          type: 'object',
          required: ['seals'],
          properties: {
            seals: {
              type: 'array',
              items: {
                type: 'object',
                required: ['id', 'code', 'unitId', 'name', 'kind', 'state'],
                properties: {
                  id: id('seal'),
                  code: { type: 'string', pattern: '^[0-9]{13}$' },
                  unitId: id('unit'),
                  name: { type: 'string' },
                  kind: { enum: ['official'] },
                  state: { enum: ['active', 'suspended', 'revoked', 'expired', 'destroyed'] },
                },
              },
            },
          },
        },
        SealingOptions: {
          type: 'object',
          additionalProperties: false,
          properties: {
            reason: { type: 'string', maxLength: 200 },
            location: { type: 'string', maxLength: 200 },
            visible: { type: 'boolean', default: true },
            place: {
              type: 'object',
              additionalProperties: false,
              description:
                'Where the seal stands, in millimetres from a corner of the page. Default: lower right of the last page',
              required: ['page', 'corner', 'x', 'y'],
              properties: {
                page: { oneOf: [{ type: 'integer', minimum: 1 }, { const: 'last' }] },
                corner: { enum: ['top-left', 'top-right', 'bottom-left', 'bottom-right'] },
                x: { type: 'number', minimum: 0 },
                y: { type: 'number', minimum: 0 },
              },
            },
          },
        },
        Sealing: {
          type: 'object',
          required: ['id', 'sealId', 'state', 'documentDigest', 'intendedAt', 'receipt'],
          properties: {
            id: id('slg'),
            sealId: id('seal'),
            state: { enum: ['intended', 'permitted', 'completed', 'failed'] },
            documentDigest: hex,
            sealedDigest: hex,
            intendedAt: { type: 'string', format: 'date-time' },
            completedAt: { type: 'string', format: 'date-time' },
            receipt: {
              type: 'object',
              description:
                'The entry of the audit log, its place in the chain, and the signature of the log (compact JWS)',
              required: ['entry', 'previous', 'hash', 'signature'],
              properties: {
                entry: { type: 'object' },
                previous: hex,
                hash: hex,
                signature: { type: 'string' },
              },
            },
          },
        },
        Verdict: {
          type: 'object',
          required: ['indication', 'seals'],
          properties: {
            indication: { $ref: '#/components/schemas/Indication' },
            seals: {
              type: 'array',
              items: {
                type: 'object',
                required: ['indication', 'checks'],
                properties: {
                  indication: { $ref: '#/components/schemas/Indication' },
                  checks: { type: 'array', items: { type: 'object' } },
                },
              },
            },
          },
        },
        Indication: {
          enum: ['TOTAL-PASSED', 'INDETERMINATE', 'TOTAL-FAILED', 'NO-SEAL'],
          description: 'ETSI EN 319 102-1; NO-SEAL for a document without any',
        },
        JwkSet: {
          type: 'object',
          required: ['keys'],
          properties: { keys: { type: 'array', items: { type: 'object' } } },
        },
      },
    },
  };
}
