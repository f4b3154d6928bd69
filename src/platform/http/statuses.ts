/** One table for the whole program: which HTTP status each foreseen error is answered with. */
import { AppError } from '../errors.ts';

export const STATUSES: Readonly<Record<string, number>> = {
  // platform
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  HEADER_TWICE: 400,
  FORM_UNREADABLE: 400,
  FORM_TOO_LARGE: 413,
  FORM_FROM_ELSEWHERE: 403,
  UNSUPPORTED_MEDIA_TYPE: 415,
  MULTIPART_UNREADABLE: 400,
  DOCUMENT_MISSING: 400,
  DOCUMENT_TOO_LARGE: 413,
  TEMPORARILY_UNAVAILABLE: 503,
  // Nobody reads it: the caller has gone.
  REQUEST_ABANDONED: 408,
  DATA_KEY_UNKNOWN: 503,
  DATA_KEY_MISSING: 503,
  DATA_KEY_EARLY: 503,
  // identity
  IDENTIFIER_FORM: 422,
  IDENTIFIER_TAKEN: 409,
  PASSWORD_SHORT: 422,
  PASSWORD_LONG: 422,
  PASSWORD_COMMON: 422,
  PASSWORD_KINDS: 422,
  PASSWORD_REUSED: 422,
  PASSWORDS_BUSY: 503,
  CREDENTIALS_WRONG: 401,
  PASSKEY_REFUSED: 401,
  PASSKEY_NAME: 422,
  PASSKEY_LIMIT: 409,
  PASSKEY_NOT_FOUND: 404,
  LAST_WAY_IN: 409,
  CROSS_DEVICE_OVER: 410,
  CODE_WRONG: 422,
  CODE_OVER: 410,
  RECOVERY_NOT_READY: 409,
  ADDRESS_LAST: 409,
  CHANNEL_MISSING: 422,
  FACTOR_EXISTS: 409,
  TOO_MANY_TRIES: 429,
  NUMBER_LENGTH: 422,
  NUMBER_FORM: 422,
  NUMBER_FIFTEEN: 422,
  NUMBER_REGION: 422,
  NUMBER_DATE: 422,
  NUMBER_CHECK: 422,
  NUMBER_OTHER_KIND: 422,
  COUNTRY_FORM: 422,
  NAME_FORM: 422,
  THIRD_ITEM_FORM: 422,
  DOCUMENT_DIFFERS: 409,
  ATTEMPT_OVER: 409,
  LINK_OVER: 409,
  ACCOUNT_NOT_ACTIVE: 409,
  EVENT_INVALID: 400,
  UPSTREAM_REFUSED: 403,
  UPSTREAM_UNAVAILABLE: 503,
  // dual control
  ACT_NOT_FOUND: 404,
  ACT_PARAMETERS: 422,
  ACT_FORBIDDEN: 403,
  ACT_OWN: 403,
  ACT_APPROVED_BEFORE: 409,
  ACT_DIFFERS: 409,
  ACT_NOT_APPROVED: 409,
  ACT_OVER: 409,
  // custody
  KEY_NOT_FOUND: 404,
  KEY_NOT_ACTIVE: 409,
  KEY_STATE: 409,
  KEY_ALGORITHM: 422,
  KEY_UNAVAILABLE: 503,
  KEYS_BUSY: 503,
  KEY_NOT_EXPORTABLE: 409,
  BACKUP_INVALID: 422,
  SHARES_INVALID: 422,
  WRAPPING_KEY_WRONG: 503,
  // organisations
  CREDIT_CODE_INVALID: 422,
  REGION_UNKNOWN: 422,
  ORGANISATION_EXISTS: 409,
  NOT_FOUND_HERE: 404,
  ORGANISATION_NOT_ACTIVE: 409,
  ORGANISATION_DISSOLVED: 409,
  UNIT_EXISTS: 409,
  UNIT_CLOSED: 409,
  UNIT_IN_USE: 409,
  UNIT_CYCLE: 409,
  TREE_BEYOND_LIMITS: 422,
  NOT_PERMITTED: 403,
  ROLE_PLACE: 422,
  ROLE_HELD: 409,
  ROLE_FOR_ONESELF: 403,
  TWO_PERSONS_NEEDED: 403,
  DUTIES_SEPARATE: 409,
  MANDATE_PERIOD: 422,
  MANDATE_EMPTY: 422,
  MANDATE_SERVICE_UNKNOWN: 422,
  MANDATE_SEAL_UNKNOWN: 422,
  AUTHORITY_MISSING: 403,
  LEVEL_INSUFFICIENT: 403,
  REGISTER_MISSING: 409,
  REGISTER_UNAVAILABLE: 503,
  REPRESENTATIVE_REFUSED: 403,
  // portals
  PORTAL_INVALID: 422,
  PORTAL_SCOPE_UNKNOWN: 422,
  PORTAL_NOT_FOUND: 404,
  // certification
  CERTIFICATE_NOT_FOUND: 404,
  CERTIFICATE_REVOKED: 409,
  REVOCATION_REASON: 422,
  CERTIFIER_MISSING: 503,
  CHAIN_UNREADABLE: 422,
  CHAIN_KEY_DIFFERS: 422,
  CHAIN_PURPOSE: 422,
  CHAIN_UNTRUSTED: 422,
  // seals
  SEAL_NOT_FOUND: 404,
  SEAL_NOT_ACTIVE: 409,
  CERTIFICATE_NOT_VALID: 409,
  SEALING_NOT_FOUND: 404,
  SEALING_OPTIONS_INVALID: 400,
  IDEMPOTENCY_KEY_INVALID: 400,
  IDEMPOTENCY_KEY_REUSED: 422,
  SEALING_IN_PROGRESS: 409,
  SEALING_UNFINISHED: 409,
  SEALING_FAILED_BEFORE: 409,
  SEALING_FAILED: 500,
  NOT_A_PDF: 422,
  PDF_ENCRYPTED: 422,
  PDF_DAMAGED: 422,
  PDF_UNSUPPORTED: 422,
  PDF_BEYOND_LIMITS: 422,
  CHANGES_FORBIDDEN: 422,
  PAGE_NOT_FOUND: 422,
  PLACE_OUTSIDE_PAGE: 422,
  SIGNATURE_TOO_LARGE: 500,
  LETTER_MISSING: 422,
  NAME_LENGTH: 422,
  DIAMETER: 422,
  // api
  TOKEN_MISSING: 401,
  TOKEN_INVALID: 401,
  SCOPE_INSUFFICIENT: 403,
  BODY_UNREADABLE: 400,
  BODY_TOO_LARGE: 413,
  BODY_INVALID: 422,
  PARAMETER_INVALID: 400,
  PERSON_UNKNOWN: 422,
  REQUEST_IN_PROGRESS: 409,
  REQUEST_UNFINISHED: 409,
};

/** What a stranger is told of an error. */
export interface PublicError {
  readonly code: string;
  readonly status: number;
  /** Public sentence, in English, for developers. Pages use the catalogue. */
  readonly message: string;
  /** For the header `Retry-After`. */
  readonly retryAfterSeconds?: number | undefined;
}

/** Errors by which the two stores say that they cannot be reached: SQLSTATE classes 08 and 57P, socket errors, the Redis client's own. */
const UNAVAILABLE = /^(08...|57P0.|53300|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/;
const UNAVAILABLE_NAMES = new Set([
  'ClientOfflineError',
  'ClientClosedError',
  'SocketClosedUnexpectedlyError',
  'DisconnectsClientError',
]);

/** Maps any thrown value to what may be said of it. Whatever is not foreseen becomes a 500 with a fixed text. */
export function toPublicError(error: unknown): PublicError {
  if (error instanceof AppError) {
    const status = STATUSES[error.code];
    const { code, message, retryAfterSeconds } = error;
    if (status !== undefined)
      return { code, status, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  }
  if (isUnavailable(error))
    return {
      code: 'TEMPORARILY_UNAVAILABLE',
      status: 503,
      message: 'The service cannot answer at the moment. Try again shortly.',
    };
  return { code: 'INTERNAL_ERROR', status: 500, message: 'Something went wrong on our side.' };
}

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (
    UNAVAILABLE.test(code) ||
    UNAVAILABLE_NAMES.has(error.name) ||
    UNAVAILABLE_NAMES.has(error.constructor.name)
  );
}
