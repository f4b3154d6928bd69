import { AppError } from '../platform/errors.ts';
import type { PasswordProblem } from './credentials/password-policy.ts';

/** What can be wrong with what a person gives to prove or change who they are. */
export class IdentityError extends AppError<
  | 'IDENTIFIER_FORM'
  | 'IDENTIFIER_TAKEN'
  | PasswordProblem
  | 'CREDENTIALS_WRONG'
  | 'CODE_WRONG'
  | 'CODE_OVER'
  | 'FACTOR_EXISTS'
  | 'PASSKEY_REFUSED'
  | 'PASSKEY_NAME'
  | 'PASSKEY_LIMIT'
  | 'PASSKEY_NOT_FOUND'
  | 'LAST_WAY_IN'
  | 'CROSS_DEVICE_OVER'
  | 'RECOVERY_NOT_READY'
  | 'ADDRESS_LAST'
  | 'CHANNEL_MISSING'
> {}
