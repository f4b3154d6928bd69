import { AppError } from '../platform/errors.ts';

/** Why a token is not enough (RFC 6750, section 3.1). */
export class TokenError extends AppError<'TOKEN_MISSING' | 'TOKEN_INVALID' | 'SCOPE_INSUFFICIENT'> {}

/** What is wrong with a request to the API. The message names members and parameters, never their values. */
export class RequestError extends AppError<
  | 'BODY_UNREADABLE'
  | 'BODY_TOO_LARGE'
  | 'BODY_INVALID'
  | 'PARAMETER_INVALID'
  | 'PERSON_UNKNOWN'
  | 'IDEMPOTENCY_KEY_INVALID'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'REQUEST_IN_PROGRESS'
  | 'REQUEST_UNFINISHED'
> {}
