import type { AccountId } from '../../platform/ids.ts';
import type { Method } from '../assurance.ts';

/** That a person has just shown one thing that belongs to an account. What it is good for is decided elsewhere. */
export interface Showing {
  readonly accountId: AccountId;
  readonly method: Method;
  readonly at: Date;
}
