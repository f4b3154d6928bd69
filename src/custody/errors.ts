import { AppError } from '../platform/errors.ts';

/**
 * What custody answers instead of a key. Codes, for the operator:
 * - `KEY_NOT_FOUND` the owner has no such key
 * - `KEY_NOT_ACTIVE` it exists and does not sign (NIST SP 800-57 part 1, section 7)
 * - `KEY_STATE` its state does not lead to the one asked for, or somebody else has changed it meanwhile
 * - `KEY_ALGORITHM` it does not sign under this algorithm, or keys of this type are not made here
 * - `KEY_UNAVAILABLE` it cannot be opened, or the token that holds it cannot be reached
 * - `KEYS_BUSY` more signatures are asked for than can be made soon
 * - `KEY_NOT_EXPORTABLE` it lives in a token, which gives none away
 * - `BACKUP_INVALID` a backup that cannot be read, or belongs to another owner or installation
 * - `WRAPPING_KEY_WRONG` the wrapping key of this database is not among those given
 * - `SHARES_INVALID` shares of a wrapping key that are too few, damaged, or of different keys
 */
export class CustodyError extends AppError<
  | 'KEY_NOT_FOUND'
  | 'KEY_NOT_ACTIVE'
  | 'KEY_STATE'
  | 'KEY_ALGORITHM'
  | 'KEY_UNAVAILABLE'
  | 'KEYS_BUSY'
  | 'KEY_NOT_EXPORTABLE'
  | 'BACKUP_INVALID'
  | 'WRAPPING_KEY_WRONG'
  | 'SHARES_INVALID'
> {}
