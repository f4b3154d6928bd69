/** Prints what one verification takes by the engine that the product chooses, asked as its documentation says: milliseconds of CPU, and of the clock. */
import { randomBytes } from 'node:crypto';
import * as argon2 from 'argon2';

const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const secret = randomBytes(32);
const password = 'a quiet word by the river';
const phc = await argon2.hash(password, { ...COST, type: argon2.argon2id, secret });
const engine = await import('@node-rs/argon2').catch(() => argon2);
const verify = (): Promise<boolean> => engine.verify(phc, password, { secret });

for (let i = 0; i < 10; i++) await verify();
const RUNS = 60;
const started = performance.now();
const before = process.cpuUsage();
for (let i = 0; i < RUNS; i++) if (!(await verify())) throw new Error('it does not match');
const { user, system } = process.cpuUsage(before);
console.log((user + system) / 1000 / RUNS, (performance.now() - started) / RUNS);
