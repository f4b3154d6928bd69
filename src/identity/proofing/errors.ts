import { AppError } from '../../platform/errors.ts';
import type { DocumentProblem } from './documents.ts';

/** What can be wrong with what a person gives to prove who they are, before anybody is asked. */
export class ProofingError extends AppError<
  | DocumentProblem
  | 'NAME_FORM'
  | 'THIRD_ITEM_FORM'
  /** The account was proofed with another document. */
  | 'DOCUMENT_DIFFERS'
  /** The live check is over: settled, expired, or somebody else's. */
  | 'ATTEMPT_OVER'
  /** The linking of two accounts is over, or the wrong account was shown. */
  | 'LINK_OVER'
  | 'ACCOUNT_NOT_ACTIVE'
> {}
