/**
 * Passwords: argon2id (RFC 9106) as PHC strings, keyed with a pepper that the database does not hold. Rules after NIST SP 800-63B-4,
 * section 3.1.1: length counts, composition does not.
 */
import type { KeyObject } from 'node:crypto';
import * as argon2 from 'argon2';
import type { Config } from '../../platform/config.ts';
import type { Logger } from '../../platform/logger.ts';

/** A password that is the only factor (NIST SP 800-63B-4, section 3.1.1.1). */
export const PASSWORD_MIN_LENGTH = 15;
export const PASSWORD_MAX_LENGTH = 256;

export type PasswordProblem = 'PASSWORD_SHORT' | 'PASSWORD_LONG';

/** Judges a new password by its length in Unicode code points after NFKC. */
export function passwordProblem(password: string): PasswordProblem | undefined {
  const length = [...password.normalize('NFKC')].length;
  if (length < PASSWORD_MIN_LENGTH) return 'PASSWORD_SHORT';
  return length > PASSWORD_MAX_LENGTH ? 'PASSWORD_LONG' : undefined;
}

export interface PasswordHasher {
  /** @returns a PHC string (`$argon2id$v=19$...`). */
  hash(password: string): Promise<string>;
  /**
   * Compares, and does the same work whether or not there is anything to compare with.
   * @param phc The stored hash, or undefined when there is no such account: then the answer is false, after a hash of equal cost.
   */
  verify(phc: string | undefined, password: string): Promise<boolean>;
  /** Which engine does the work, for the log. */
  readonly engine: 'argon2' | '@node-rs/argon2';
}

/** `Algorithm.Argon2id` of @node-rs/argon2, whose const enum does not exist at run time. */
const ARGON2ID = 2;

interface Engine {
  readonly name: PasswordHasher['engine'];
  hash(password: string): Promise<string>;
  verify(phc: string, password: string): Promise<boolean>;
}

/** Chooses the engine, and begins to prepare the hash that unknown accounts are compared with. */
export async function createPasswordHasher(parts: {
  cost: Config['argon2'];
  pepper: KeyObject;
  logger: Logger;
}): Promise<PasswordHasher> {
  const secret = parts.pepper.export();
  const make = (await chooseEngine(secret, parts.logger)) ?? referenceEngine;
  const engine = make(parts.cost, secret);
  const nobody = engine.hash('nobody has this password');
  nobody.catch(() => undefined);
  const normalise = (password: string) => password.normalize('NFKC').slice(0, PASSWORD_MAX_LENGTH * 2);
  return {
    engine: engine.name,
    hash: (password) => engine.hash(normalise(password)),
    async verify(phc, password) {
      const matches = await engine.verify(phc ?? (await nobody), normalise(password));
      return matches && phc !== undefined;
    },
  };
}

type EngineMaker = (cost: Config['argon2'], secret: Buffer) => Engine;

const referenceEngine: EngineMaker = (cost, secret) => ({
  name: 'argon2',
  hash: (password) =>
    argon2.hash(password, {
      type: argon2.argon2id,
      memoryCost: cost.memoryKiB,
      timeCost: cost.passes,
      parallelism: cost.lanes,
      secret,
    }),
  verify: (phc, password) => argon2.verify(phc, password, { secret }),
});

/** Cheap enough to be done at every start; what is compared does not depend on the cost. */
const CROSS_CHECK_COST = { memoryKiB: 64, passes: 2, lanes: 1 };

/** The optional engine, two to four times cheaper, if it is installed and agrees with the reference in both directions. */
async function chooseEngine(secret: Buffer, logger: Logger): Promise<EngineMaker | undefined> {
  try {
    const rs = await import('@node-rs/argon2');
    const accelerated: EngineMaker = (cost, key) => ({
      name: '@node-rs/argon2',
      hash: (password) =>
        rs.hash(password, {
          algorithm: ARGON2ID,
          memoryCost: cost.memoryKiB,
          timeCost: cost.passes,
          parallelism: cost.lanes,
          secret: key,
        }),
      verify: (phc, password) => rs.verify(phc, password, { secret: key }),
    });
    const [one, other] = [accelerated(CROSS_CHECK_COST, secret), referenceEngine(CROSS_CHECK_COST, secret)];
    const probe = 'cross-check 交叉核对';
    const [ours, theirs] = [await one.hash(probe), await other.hash(probe)];
    const agree =
      (await other.verify(ours, probe)) &&
      (await one.verify(theirs, probe)) &&
      !(await one.verify(theirs, `${probe}.`));
    if (agree) return accelerated;
    logger.warn('@node-rs/argon2 disagrees with argon2 and is not used');
  } catch (error) {
    logger.info({ err: error }, '@node-rs/argon2 is not available; argon2 does the work');
  }
  return undefined;
}
