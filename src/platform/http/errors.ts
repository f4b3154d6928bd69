import { AppError } from '../errors.ts';

/** A request that HTTP itself, a form or an upload makes impossible to serve. */
export class HttpError extends AppError<
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'HEADER_TWICE'
  | 'FORM_UNREADABLE'
  | 'FORM_TOO_LARGE'
  | 'FORM_FROM_ELSEWHERE'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'MULTIPART_UNREADABLE'
  | 'DOCUMENT_MISSING'
  | 'DOCUMENT_TOO_LARGE'
> {}
