/** What a person has shown so far in one interaction, kept under its id until the sign-in is finished. */
import type { AccountId } from '../../platform/ids.ts';
import type { Factors, Showing } from '../../identity/index.ts';
import { TTL } from '../configuration.ts';
import type { Records } from '../records.ts';

const MODEL = 'SignInProgress';

/** Two accounts of one person that become one, once the other has been shown as well. */
export interface Linking {
  readonly link: string;
  /** The account that will be closed, and what was shown of it. */
  readonly from: AccountId;
  readonly factors: Factors;
}

export interface Progress {
  readonly accountId: AccountId;
  /** Shown in this interaction. */
  readonly factors: Factors;
  /** The level of proofing that was reached in this interaction, if any. */
  readonly proofed?: number | undefined;
  /** The person said no to setting up what a wish would need. */
  readonly declined?: boolean | undefined;
  /** Whether the sign-in is unusual, as it was when something was first shown. */
  readonly unusual?: boolean | undefined;
  readonly linking?: Linking | undefined;
  /** The secret of an authenticator app that is being set up, in base 32. */
  readonly totpSecret?: string | undefined;
}

export interface ProgressStore {
  of(uid: string): Promise<Progress | undefined>;
  /** @param ttlSeconds How long the interaction lives. Default: as long as a new one, which is never too short. */
  save(uid: string, progress: Progress, ttlSeconds?: number): Promise<void>;
}

/**
 * What was shown, put to what was shown before. What was shown of one account says nothing of another. Pure.
 * @param unusual Whether the sign-in is, if this is the first that is shown of the account.
 */
export function withShowings(
  before: Progress | undefined,
  showings: readonly Showing[],
  unusual: boolean,
): Progress | undefined {
  return showings.reduce<Progress | undefined>((progress, { accountId, method, at }) => {
    const same = progress?.accountId === accountId ? progress : undefined;
    return {
      ...same,
      linking: progress?.linking,
      accountId,
      factors: { ...same?.factors, [method]: Math.floor(at.getTime() / 1000) },
      unusual: same?.unusual ?? unusual,
    };
  }, before);
}

export function createProgressStore(records: Records): ProgressStore {
  return {
    async of(uid) {
      const found = await records.find(MODEL, uid);
      return found?.payload as Progress | undefined;
    },
    save: (uid, progress, ttlSeconds = TTL.Interaction) => records.put(MODEL, uid, progress, ttlSeconds),
  };
}
