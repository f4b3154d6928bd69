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

interface Engine {
  readonly name: PasswordHasher['engine'];
  hash(password: string): Promise<string>;
  verify(phc: string, password: string): Promise<boolean>;
}

/** Chooses the engine, and prepares the hash that unknown accounts are compared with. */
export async function createPasswordHasher(parts: {
  cost: Config['argon2'];
  pepper: KeyObject;
  logger: Logger;
}): Promise<PasswordHasher> {
  const secret = parts.pepper.export();
  const reference = referenceEngine(parts.cost, secret);
  const engine = (await acceleratedEngine(parts.cost, secret, reference, parts.logger)) ?? reference;
  const nobody = await engine.hash('nobody has this password');
  const normalise = (password: string) => password.normalize('NFKC').slice(0, PASSWORD_MAX_LENGTH * 2);
  return {
    engine: engine.name,
    hash: (password) => engine.hash(normalise(password)),
    async verify(phc, password) {
      const matches = await engine.verify(phc ?? nobody, normalise(password));
      return matches && phc !== undefined;
    },
  };
}

function referenceEngine(cost: Config['argon2'], secret: Buffer): Engine {
  return {
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
  };
}

/** The optional engine, two to four times cheaper, if it is installed and agrees with the reference in both directions. */
async function acceleratedEngine(
  cost: Config['argon2'],
  secret: Buffer,
  reference: Engine,
  logger: Logger,
): Promise<Engine | undefined> {
  try {
    const rs = await import('@node-rs/argon2');
    const options = {
      algorithm: 2,
      memoryCost: cost.memoryKiB,
      timeCost: cost.passes,
      parallelism: cost.lanes,
      secret,
    };
    const engine: Engine = {
      name: '@node-rs/argon2',
      hash: (password) => rs.hash(password, options),
      verify: (phc, password) => rs.verify(phc, password, { secret }),
    };
    const probe = 'cross-check 交叉核对';
    const agree =
      (await reference.verify(await engine.hash(probe), probe)) &&
      (await engine.verify(await reference.hash(probe), probe)) &&
      !(await engine.verify(await reference.hash(probe), `${probe}.`));
    if (agree) return engine;
    logger.warn('@node-rs/argon2 disagrees with argon2 and is not used');
  } catch (error) {
    logger.info({ err: error }, '@node-rs/argon2 is not available; argon2 does the work');
  }
  return undefined;
}
