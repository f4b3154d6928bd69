import type { PasswordPolicy, PasswordProblem } from '../../identity/index.ts';
import type { FieldError } from './visits.ts';

/** What is wrong with a new password, in the words of its field. @param alone Whether it would be the only factor. */
export function passwordError(problem: PasswordProblem, policy: PasswordPolicy, alone: boolean): FieldError {
  const field = 'password';
  switch (problem) {
    case 'PASSWORD_SHORT':
      return { field, key: 'error.passwordShort', params: { minimum: policy.minimumLength(alone) } };
    case 'PASSWORD_LONG':
      return { field, key: 'error.passwordLong' };
    case 'PASSWORD_COMMON':
      return { field, key: 'error.passwordCommon' };
    case 'PASSWORD_KINDS':
      return { field, key: 'error.passwordKinds', params: { kinds: policy.leastKinds } };
    case 'PASSWORD_REUSED':
      return { field, key: 'error.passwordReused', params: { history: policy.history } };
  }
}
