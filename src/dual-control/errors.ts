import { AppError } from '../platform/errors.ts';

/**
 * Why an act that needs two persons does not go on. Codes, for the operator:
 * - `ACT_NOT_FOUND` there is none with this id in this scope
 * - `ACT_PARAMETERS` what was asked for cannot be read, or its time or number of approvals is out of bounds
 * - `ACT_FORBIDDEN` this person may not ask for it, approve it, refuse it, withdraw it, or have it done
 * - `ACT_OWN` who asked for it cannot be who approves it
 * - `ACT_APPROVED_BEFORE` this person has approved it
 * - `ACT_DIFFERS` what was approved is not what is kept
 * - `ACT_NOT_APPROVED` too few approvals, or one of those who gave them may no longer
 * - `ACT_OVER` done, refused, withdrawn, or too old
 */
export class DualControlError extends AppError<
  | 'ACT_NOT_FOUND'
  | 'ACT_PARAMETERS'
  | 'ACT_FORBIDDEN'
  | 'ACT_OWN'
  | 'ACT_APPROVED_BEFORE'
  | 'ACT_DIFFERS'
  | 'ACT_NOT_APPROVED'
  | 'ACT_OVER'
> {}
