/** One table for the whole program: which HTTP status each foreseen error is answered with. */
import { AppError } from '../errors.ts';

export const STATUSES: Readonly<Record<string, number>> = {
  // platform
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  FORM_UNREADABLE: 400,
  FORM_TOO_LARGE: 413,
  FORM_FROM_ELSEWHERE: 403,
  UNSUPPORTED_MEDIA_TYPE: 415,
  MULTIPART_UNREADABLE: 400,
  DOCUMENT_MISSING: 400,
  DOCUMENT_TOO_LARGE: 413,
  TEMPORARILY_UNAVAILABLE: 503,
};

/** What a stranger is told of an error. */
export interface PublicError {
  readonly code: string;
  readonly status: number;
  /** Public sentence, in English, for developers. Pages use the catalogue. */
  readonly message: string;
}

/** Errors by which the two stores say that they cannot be reached: SQLSTATE classes 08 and 57P, socket errors, the Redis client's own. */
const UNAVAILABLE = /^(08...|57P0.|53300|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
const UNAVAILABLE_NAMES = new Set(['ClientOfflineError', 'ClientClosedError', 'SocketClosedUnexpectedlyError', 'DisconnectsClientError']);

/** Maps any thrown value to what may be said of it. Whatever is not foreseen becomes a 500 with a fixed text. */
export function toPublicError(error: unknown): PublicError {
  if (error instanceof AppError) {
    const status = STATUSES[error.code];
    if (status !== undefined) return { code: error.code, status, message: error.message };
  }
  if (isUnavailable(error))
    return { code: 'TEMPORARILY_UNAVAILABLE', status: 503, message: 'The service cannot answer at the moment. Try again shortly.' };
  return { code: 'INTERNAL_ERROR', status: 500, message: 'Something went wrong on our side.' };
}

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return UNAVAILABLE.test(code) || UNAVAILABLE_NAMES.has(error.name) || UNAVAILABLE_NAMES.has(error.constructor.name);
}
