/** Uploads: one document and a few short fields, as `multipart/form-data` (RFC 7578), bounded while they arrive. */
import { Busboy } from '@fastify/busboy';
import type { Context } from './context.ts';
import { HttpError } from './errors.ts';

export interface Upload {
  readonly document: Buffer;
  /** Name that the caller gave the file. A stranger's text: never a path. */
  readonly fileName: string | undefined;
  readonly fields: ReadonlyMap<string, string>;
}

const FIELD_MAX_BYTES = 16_384;

/**
 * Reads the part `document` (a file) and the text parts named in `fieldNames`; any other part is refused.
 * @throws {HttpError} UNSUPPORTED_MEDIA_TYPE, MULTIPART_UNREADABLE, DOCUMENT_MISSING, DOCUMENT_TOO_LARGE.
 */
export async function readUpload(
  ctx: Context,
  options: { maxBytes: number; fieldNames: readonly string[] },
): Promise<Upload> {
  const contentType = ctx.get('content-type');
  if (!ctx.is('multipart/form-data'))
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The body must be multipart/form-data.');
  const tooLarge = () =>
    new HttpError('DOCUMENT_TOO_LARGE', `The document is larger than ${options.maxBytes} bytes.`);
  if (
    Number(ctx.get('content-length')) >
    options.maxBytes + (options.fieldNames.length + 2) * FIELD_MAX_BYTES
  )
    throw tooLarge();

  return new Promise((resolve, reject) => {
    const unreadable = (message: string, cause?: unknown) =>
      new HttpError('MULTIPART_UNREADABLE', message, { cause });
    let parser: InstanceType<typeof Busboy>;
    try {
      parser = new Busboy({
        headers: { 'content-type': contentType },
        limits: {
          fileSize: options.maxBytes,
          files: 1,
          fields: options.fieldNames.length,
          fieldSize: FIELD_MAX_BYTES,
          fieldNameSize: 100,
          headerPairs: 20,
        },
      });
    } catch (cause) {
      reject(unreadable('The multipart body could not be read.', cause));
      return;
    }
    const chunks: Buffer[] = [];
    const fields = new Map<string, string>();
    let fileName: string | undefined;
    let found = false;
    const fail = (error: Error) => {
      ctx.req.unpipe(parser);
      ctx.req.resume();
      reject(error);
    };
    parser.on('file', (name, file, suppliedName) => {
      if (name !== 'document') fail(unreadable('The file part must be named "document".'));
      found = true;
      fileName = suppliedName;
      file.on('data', (chunk: Buffer) => chunks.push(chunk));
      file.on('limit', () => fail(tooLarge()));
      // A part that ends before its boundary. Without a listener this would end the process.
      file.on('error', (cause) => fail(unreadable('The multipart body could not be read.', cause)));
    });
    parser.on('field', (name, value, nameTruncated, valueTruncated) => {
      if (!options.fieldNames.includes(name) || fields.has(name))
        fail(unreadable('The body has a part that is not expected here.'));
      if (nameTruncated || valueTruncated)
        fail(unreadable(`A text part is longer than ${FIELD_MAX_BYTES} bytes.`));
      fields.set(name, value);
    });
    for (const event of ['partsLimit', 'filesLimit', 'fieldsLimit'] as const)
      parser.on(event, () => fail(unreadable('The body has more parts than are expected here.')));
    parser.on('error', (cause) => fail(unreadable('The multipart body could not be read.', cause)));
    parser.on('finish', () => {
      if (found) resolve({ document: Buffer.concat(chunks), fileName, fields });
      else reject(new HttpError('DOCUMENT_MISSING', 'The body has no part named "document".'));
    });
    ctx.req.on('aborted', () => fail(unreadable('The upload was cut off.')));
    ctx.req.pipe(parser);
  });
}
