import { AppError } from '../platform/errors.ts';

export class CustodyError extends AppError<
  'KEY_NOT_FOUND' | 'KEY_NOT_ACTIVE' | 'KEY_UNAVAILABLE' | 'WRAPPING_KEY_WRONG'
> {}
