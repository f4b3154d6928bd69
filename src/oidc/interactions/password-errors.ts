/** What pages say of passwords. */
import { PasswordQueueError, type IdentityError, type PasswordPolicy } from '../../identity/index.ts';
import type { Context } from '../../platform/http/context.ts';
import type { FieldError } from './visits.ts';

/**
 * What is wrong with a new password, in the words of its field.
 * @param minimum Signs that it must have.
 * @returns undefined if the code says something else.
 */
export function passwordError(
  code: IdentityError['code'],
  policy: PasswordPolicy,
  minimum: number,
): FieldError | undefined {
  const field = 'password';
  switch (code) {
    case 'PASSWORD_SHORT':
      return { field, key: 'error.passwordShort', params: { minimum } };
    case 'PASSWORD_LONG':
      return { field, key: 'error.passwordLong' };
    case 'PASSWORD_COMMON':
      return { field, key: 'error.passwordCommon' };
    case 'PASSWORD_KINDS':
      return { field, key: 'error.passwordKinds', params: { kinds: policy.leastKinds } };
    case 'PASSWORD_REUSED':
      return { field, key: 'error.passwordReused', params: { history: policy.history } };
    default:
      return undefined;
  }
}

/**
 * Answers a form for which there was no room in the queue of hashes: the same page once more, with all but the password, as a 503.
 * @throws what it is given, if it is something else.
 */
export async function askToWait(
  ctx: Context,
  error: unknown,
  show: (errors: readonly FieldError[]) => Promise<void> | void,
): Promise<void> {
  if (!(error instanceof PasswordQueueError) || error.code !== 'PASSWORDS_BUSY') throw error;
  const seconds = error.retryAfterSeconds ?? 1;
  await show([{ field: 'form', key: 'error.busyForm', params: { seconds } }]);
  ctx.status = 503;
  ctx.set('Retry-After', String(seconds));
}
