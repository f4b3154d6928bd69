/** Preloaded into a server under test: while the file that `RSA_LOAD_WHILE` names is there, two threads of custody sign with RSA-4096 without pause. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { createSigningThreads } from '../../src/custody/signing-threads.ts';

const THREADS = 2;
const LOOK_MS = 50;
const file = process.env['RSA_LOAD_WHILE'];
const data = randomBytes(32);

// Threads preload it too.
if (isMainThread && file !== undefined) {
  const threads = createSigningThreads({ threads: THREADS });
  const key = threads.know(generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey);
  let working = 0;
  const work = async () => {
    working += 1;
    while (existsSync(file)) await threads.sign(key, 'sha256WithRSAEncryption', data);
    working -= 1;
  };
  setInterval(() => {
    // Two jobs for each thread: while it works on one, the next is there.
    if (existsSync(file)) while (working < 2 * THREADS) void work();
  }, LOOK_MS).unref();
}
