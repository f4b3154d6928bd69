/**
 * What a new password must be. As shipped: NIST SP 800-63B-4, section 3.1.1.2 - length counts, common ones are refused, composition and
 * age do not matter. `config/passwords.json` may ask for more, as audits of some deployments do.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import declared from '../../../config/passwords.json' with { type: 'json' };
import { ConfigError } from '../../platform/config.ts';
import { unforeseen } from './guessability.ts';
import { readWordFilter } from './word-filter.ts';

export type PasswordProblem =
  | 'PASSWORD_SHORT'
  | 'PASSWORD_LONG'
  | 'PASSWORD_COMMON'
  | 'PASSWORD_KINDS'
  /** It was the person's own before. */
  | 'PASSWORD_REUSED';

export interface PasswordPolicy {
  /** Signs that a password must have: more of them where it is the only factor. */
  minimumLength(alone: boolean): number;
  /** How many of lower case, upper case, digits and other signs it must have. 1: no rule. */
  readonly leastKinds: number;
  /** Age at which a password is changed at the next sign-in; undefined: never. */
  readonly maximumAgeSeconds: number | undefined;
  /** How many of the last passwords may not come again, the present one included. */
  readonly history: number;
  /** Whether the password is long enough to be the only factor. */
  standsAlone(password: string): boolean;
  /**
   * The first thing that is wrong with a new password.
   * @param wanted.alone Whether it will be the only factor.
   * @param wanted.context Words that whoever guesses would know: identifiers of the person.
   */
  problem(
    password: string,
    wanted: { readonly alone: boolean; readonly context?: readonly string[] },
  ): Exclude<PasswordProblem, 'PASSWORD_REUSED'> | undefined;
}

/** The least that the standard accepts is the least that can be declared. */
const rulesForm = z
  .object({
    /** Where the password is the only factor (section 3.1.1.2, item 1). */
    minimumLength: z.number().int().min(15).max(64),
    /** Where a second factor is always asked for. */
    minimumLengthWithSecondFactor: z.number().int().min(8).max(64),
    leastKinds: z.number().int().min(1).max(4),
    maximumAgeDays: z.number().int().min(1).max(3650).nullable(),
    history: z.number().int().min(0).max(24),
  })
  .strict()
  .refine(
    ({ minimumLength, minimumLengthWithSecondFactor }) => minimumLengthWithSecondFactor <= minimumLength,
    'minimumLengthWithSecondFactor is more than minimumLength',
  );
export type PasswordRules = z.infer<typeof rulesForm>;

/**
 * The rules that hold: those of `config/passwords.json`, with those that `overrides` names in their place.
 * @throws {ConfigError} naming what is below the standard, contradicts itself, or is no rule.
 */
export function toPasswordRules(overrides: unknown): PasswordRules {
  const isObject = typeof overrides === 'object' && overrides !== null && !Array.isArray(overrides);
  const parsed = rulesForm.safeParse({ ...declared, ...(isObject ? overrides : {}) });
  const problems = (parsed.error?.issues ?? []).map(
    ({ path, message }) => `${path.join('.') || 'it'}: ${message}`,
  );
  if (overrides !== undefined && !isObject) problems.push('is not a JSON object');
  if (!parsed.success || problems.length > 0)
    throw new ConfigError(problems.map((problem) => ({ variable: 'PASSWORD_RULES', problem })));
  return parsed.data;
}

/** Signs that are accepted at most (at least 64, item 2). */
const MAXIMUM_LENGTH = 256;
/** Signs that nobody could foresee, of which a password must be worth as many. */
const LEAST_WORTH = 6;
const KINDS = [/\p{Ll}|\p{Lo}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u];

const COMMON_PASSWORDS = readWordFilter(
  readFileSync(new URL('../../../config/common-passwords/filter.bin', import.meta.url)),
);

/** @param options.context Words of the service, which everybody knows. @param options.rules Default: those of `config/passwords.json`. */
export function createPasswordPolicy({
  context: own,
  rules = toPasswordRules(undefined),
}: {
  context: readonly string[];
  rules?: PasswordRules;
}): PasswordPolicy {
  const { minimumLength, minimumLengthWithSecondFactor, leastKinds, maximumAgeDays, history } = rules;
  const least = (alone: boolean) => (alone ? minimumLength : minimumLengthWithSecondFactor);
  return {
    minimumLength: least,
    leastKinds,
    maximumAgeSeconds: maximumAgeDays === null ? undefined : maximumAgeDays * 86_400,
    // A password that has to be changed is changed to another one.
    history: Math.max(history, maximumAgeDays === null ? 0 : 1),
    standsAlone: (password) => lengthOf(password) >= minimumLength,
    problem(password, { alone, context = [] }) {
      const length = lengthOf(password);
      if (length < least(alone)) return 'PASSWORD_SHORT';
      if (length > MAXIMUM_LENGTH) return 'PASSWORD_LONG';
      if (KINDS.filter((kind) => kind.test(password.normalize('NFKC'))).length < leastKinds)
        return 'PASSWORD_KINDS';
      const worth = unforeseen(password, {
        words: COMMON_PASSWORDS,
        context: [...own, ...context],
        enough: LEAST_WORTH,
      });
      return worth < LEAST_WORTH ? 'PASSWORD_COMMON' : undefined;
    },
  };
}

/** Unicode code points after NFKC, which turns the full-width signs of Chinese keyboards into plain ones. */
function lengthOf(password: string): number {
  return [...password.normalize('NFKC')].length;
}
