/**
 * Password hashes: argon2id (RFC 9106) as PHC strings, keyed with a pepper that the database does not hold (NIST SP 800-63B-4, section
 * 3.1.1.2). Each says by the id of its pepper which key it was made with, so that the key can be changed while the old ones are still known.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Config } from '../../platform/config.ts';
import type { Logger } from '../../platform/logger.ts';
import { createPasswordQueue, type PasswordQueue, type Turn } from './password-queue.ts';
import { BATCH, createPasswordThreads } from './password-threads.ts';

/** What is stored of a password. */
export interface PasswordHash {
  /** PHC string (`$argon2id$v=19$...`). */
  readonly phc: string;
  /** Id of the pepper; null for a hash from before peppers had ids. */
  readonly pepper: string | null;
}

export interface PasswordHasher {
  /** @throws {PasswordQueueError} */
  hash(password: string, turn?: Turn): Promise<PasswordHash>;
  /**
   * Compares, and does the same work whether or not there is anything to compare with.
   * @param stored Undefined when there is no such account, or no password: nothing matches, after a hash of equal cost.
   * @returns `outdated`: it was made with another cost, algorithm or pepper than is configured, and should be made anew.
   * @throws {PasswordQueueError}
   */
  verify(
    stored: PasswordHash | undefined,
    password: string,
    turn?: Turn,
  ): Promise<{ readonly matches: boolean; readonly outdated: boolean }>;
  depth: PasswordQueue['depth'];
  stop(): Promise<void>;
}

/** UTF-16 units that are hashed: more than any accepted password has, so that what is cut off never matches. */
const MOST_UNITS = 1024;
/** A hash of any argon2; its parameters stand in the order that the engine likes. */
const PHC = /^\$argon2(id|i|d)\$v=(\d+)\$((?:[mtp]=\d+,?){3})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/;

/** Starts a thread, and makes the hash that unknown accounts are compared with. */
export async function createPasswordHasher(parts: {
  cost: Config['argon2'];
  /** The pepper of new hashes. */
  pepper: KeyObject;
  /** Peppers that hashes in the database may be keyed with besides. */
  otherPeppers?: readonly KeyObject[];
  queue?: Config['passwordQueue'];
  logger: Logger;
}): Promise<PasswordHasher> {
  const { cost, logger } = parts;
  const known = [parts.pepper, ...(parts.otherPeppers ?? [])];
  const peppers = new Map(known.map((key) => [pepperId(key), key.export()]));
  const [current = ''] = peppers.keys();
  const wanted = `id 19 m=${cost.memoryKiB},p=${cost.lanes},t=${cost.passes}`;

  const { inFlight, waitSeconds } = parts.queue ?? { inFlight: availableParallelism(), waitSeconds: 5 };
  const threads = createPasswordThreads({ data: { cost, peppers }, threads: inFlight, logger });
  const queue = createPasswordQueue({ inFlight, ahead: inFlight * (BATCH - 1), waitSeconds });
  const make = async (password: string, turn?: Turn): Promise<PasswordHash> => ({
    phc: await queue.run(() => threads.run({ act: 'hash', password, pepper: current }), turn),
    pepper: current,
  });
  const nobody = await make('nobody has this password').catch(async (error: unknown) => {
    await threads.stop();
    throw error;
  });

  /** Whether a stored hash can be checked at all. What cannot is the operator's to mend, and to a stranger a wrong password. */
  function isReadable({ phc, pepper }: PasswordHash): boolean {
    if (pepper !== null && !peppers.has(pepper))
      logger.error(
        { pepper },
        'a password cannot be checked: its pepper is neither PASSWORD_PEPPER nor in PASSWORD_PEPPER_OTHERS',
      );
    else if (strengthOf(phc) === undefined) logger.error('a password cannot be checked: its hash is damaged');
    else return true;
    return false;
  }

  return {
    hash: (password, turn) => make(normalise(password), turn),
    async verify(stored, password, turn) {
      const real = stored !== undefined && isReadable(stored);
      const { phc, pepper } = real ? stored : nobody;
      const text = normalise(password);
      // Which pepper a hash without an id was made with is found by trying, once: then it is made anew, with an id.
      const tried = pepper === null ? [...peppers.keys()] : [pepper];
      let equal = false;
      for (const key of tried)
        equal ||= await queue.run(
          () => threads.run({ act: 'verify', password: text, phc, pepper: key }),
          turn,
        );
      return { matches: real && equal, outdated: pepper !== current || strengthOf(phc) !== wanted };
    },
    depth: () => queue.depth(),
    stop: () => threads.stop(),
  };
}

/** Kind, version and cost of a hash, written one way; undefined if it is none. */
function strengthOf(phc: string): string | undefined {
  const [, kind, version, parameters] = PHC.exec(phc) ?? [];
  return parameters && `${kind} ${version} ${parameters.split(',').sort().join(',')}`;
}

/** Which key it is, without a hint at what it is: 64 bits of a keyed hash (HMAC-SHA-256) of a fixed text. */
export function pepperId(pepper: KeyObject): string {
  return createHmac('sha256', pepper)
    .update('yinxin/password-pepper-id')
    .digest()
    .toString('base64url', 0, 8);
}

/** The same password however the keyboard composes it (NIST SP 800-63B-4, section 3.1.1.2: NFKC). */
function normalise(password: string): string {
  return password.normalize('NFKC').slice(0, MOST_UNITS);
}
