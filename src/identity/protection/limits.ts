/**
 * How often something may be tried (`config/limits.json`): each act has budgets, each of several windows that grow. A try is counted before
 * anything is compared. Whoever is at a device that the account knows has a budget of their own, which strangers cannot use up.
 * If the store cannot be reached nothing may be tried: a guess that is not counted would be free.
 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import declared from '../../../config/limits.json' with { type: 'json' };
import { networkOf, parseAddress } from '../../platform/address.ts';
import { ConfigError } from '../../platform/config.ts';
import type { DataKeys } from '../../platform/data-keys.ts';
import { AppError } from '../../platform/errors.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { deriveKey } from '../../platform/secrets.ts';
import type { LimitStore, Window } from './store/store.ts';

/** The budget is used up; `retryAfterSeconds` says for how long. It says no more, and the same of accounts that do not exist. */
export class LimitError extends AppError<'TOO_MANY_TRIES'> {}

/** What may be tried so and so often. */
export const ACTS = [
  'password',
  'one-time-code',
  'code-sending',
  'recovery',
  'registration',
  'user-name',
  'passkey',
  'cross-device',
  'proofing',
  'user-code',
  'polling',
  'client-authentication',
  'member-lookup',
] as const;
export type Act = (typeof ACTS)[number];

/** Whose budget it is. In the order in which they are asked: a stranger meets the limit of their own address first. */
const SCOPES = ['device', 'address', 'pair', 'account'] as const;
type Scope = (typeof SCOPES)[number];

export type LimitPlan = Readonly<Record<Act, Readonly<Partial<Record<Scope, readonly Window[]>>>>>;

/** Longest window, in seconds: what a counter is remembered for. */
const LONGEST = 31 * 86_400;

const windows = z
  .array(
    z.strictObject({
      tries: z.int().min(1).max(1_000_000),
      seconds: z.int().min(1).max(LONGEST),
    }),
  )
  .min(1)
  .max(8)
  .refine(
    (list) => list.every((window, i) => i === 0 || grows(list[i - 1], window)),
    'must grow: each window longer than the one before, with more tries',
  );
const plan = z.record(
  z.enum(ACTS),
  z
    .partialRecord(z.enum(SCOPES), windows)
    .refine((budgets) => Object.keys(budgets).length > 0, 'has no budget'),
);

function grows(shorter: Window | undefined, longer: Window): boolean {
  return shorter !== undefined && longer.seconds > shorter.seconds && longer.tries > shorter.tries;
}

/**
 * The limits that hold: those of `config/limits.json`, with the acts that `overrides` names in their place.
 * @throws {ConfigError} naming what is wrong.
 */
export function toLimitPlan(overrides: unknown): LimitPlan {
  const isObject = typeof overrides === 'object' && overrides !== null && !Array.isArray(overrides);
  const parsed = plan.safeParse({ ...declared, ...(isObject ? overrides : {}) });
  const problems = (parsed.error?.issues ?? []).map(
    ({ path, message }) => `${path.join('.') || 'it'}: ${message}`,
  );
  if (overrides !== undefined && !isObject) problems.push('is not a JSON object');
  if (!parsed.success || problems.length > 0)
    throw new ConfigError(problems.map((problem) => ({ variable: 'LIMITS', problem })));
  return parsed.data;
}

/** Who tries. */
export interface Trier {
  /** Internet address, in its one spelling. IPv6 counts by its /64, which is what one line is given. */
  readonly address: string;
  /** What is tried at: an account's id, or what was typed to name one. The same for accounts that do not exist. */
  readonly account?: string | undefined;
  /** The device, if the account knows it: then its budget counts and no other. */
  readonly device?: string | undefined;
}

/** A try that was counted and may be made. */
export interface Attempt {
  /** Tries at the account in its longest window that were not right, as far as strangers made them. */
  readonly failuresBefore: number;
  /** It was right, so it was no guess: gives it back, and forgets what went wrong before at this device, or at this address with this account. */
  succeeded(): Promise<void>;
  /** Nothing was compared after all: gives it back. */
  notMade(): Promise<void>;
}

export interface Limits {
  /**
   * Counts a try before it is known how it ends.
   * @throws {LimitError} TOO_MANY_TRIES; then nothing was counted.
   */
  take(act: Act, trier: Trier): Promise<Attempt>;
}

export function createLimits(parts: {
  store: LimitStore;
  plan: LimitPlan;
  dataKeys: DataKeys;
  metrics: Metrics;
}): Limits {
  const { store, metrics } = parts;
  const key = deriveKey(parts.dataKeys.current.secret, 'limits');
  const nameOf = (...words: string[]) =>
    createHmac('sha256', key).update(JSON.stringify(words)).digest('base64url');

  function budgetsOf(act: Act, { address, account, device }: Trier) {
    const parsed = parseAddress(address);
    const from = parsed ? networkOf(parsed, { ipv4: 32, ipv6: 64 }) : address;
    const budgets = parts.plan[act];
    const names: Record<Scope, string | undefined> = {
      device: device === undefined ? undefined : nameOf(act, 'device', device),
      address: nameOf(act, 'address', from),
      pair: account === undefined ? undefined : nameOf(act, 'pair', from, account),
      account: account === undefined ? undefined : nameOf(act, 'account', account),
    };
    const own = budgets.device !== undefined && device !== undefined;
    return SCOPES.flatMap((scope) => {
      const [name, list] = [names[scope], budgets[scope]];
      return name !== undefined && list && (scope === 'device') === own
        ? [{ scope, name, windows: list }]
        : [];
    });
  }

  return {
    async take(act, trier) {
      const taken: { scope: Scope; name: string }[] = [];
      let failuresBefore = 0;
      for (const { scope, name, windows: list } of budgetsOf(act, trier)) {
        const { waitSeconds, used } = await store.take(name, list);
        if (waitSeconds > 0) {
          // What is not tried must not use up anybody's budget.
          await Promise.all(taken.map((counted) => store.giveBack(counted.name)));
          metrics.limited.inc({ act, scope });
          throw new LimitError('TOO_MANY_TRIES', 'Too many tries. Try again later.', {
            retryAfterSeconds: waitSeconds,
          });
        }
        taken.push({ scope, name });
        if (scope === 'account') failuresBefore = used - 1;
      }
      return {
        failuresBefore,
        async succeeded() {
          await Promise.all(
            taken.map(({ scope, name }) =>
              scope === 'device' || scope === 'pair' ? store.clear(name) : store.giveBack(name),
            ),
          );
        },
        async notMade() {
          await Promise.all(taken.map(({ name }) => store.giveBack(name)));
        },
      };
    },
  };
}
