/**
 * `npm run scale`: whether a sign-in, the look-up of an ID number and the list of a person's sessions cost the same however many accounts
 * there are. Two installations on one PostgreSQL and one Redis, a smaller and a larger, are asked in turns; the ratio of each round is
 * taken, and the median of these ratios printed. Accounts are made up: nobody has these numbers.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createApp } from '../src/app.ts';
import type { Identity } from '../src/identity/index.ts';
import { documentKey, readDocument, type Document } from '../src/identity/proofing/documents.ts';
import { createRedisStore } from '../src/oidc/index.ts';
import { createRecords, keyOf, SESSION_CONTEXT } from '../src/oidc/records.ts';
import type { OidcStore } from '../src/oidc/store/store.ts';
import { createBlindIndex, createCipher } from '../src/platform/cipher.ts';
import { toConfig } from '../src/platform/config.ts';
import type { DataKeys } from '../src/platform/data-keys.ts';
import type { Db } from '../src/platform/db/db.ts';
import { newId, type AccountId } from '../src/platform/ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { connectRedis } from '../src/platform/redis.ts';
import { startServices } from '../test/setup/services.ts';
import { createDatabase, newSecrets } from './servers.ts';

const { values } = parseArgs({
  options: {
    accounts: { type: 'string', default: '100000,1000000' },
    runs: { type: 'string', default: '31' },
    operations: { type: 'string', default: '200' },
  },
});
const [small = 0, large = 0] = values.accounts.split(',').map(Number);
const runs = Number(values.runs);
const operations = Number(values.operations);

const logger = createLogger('silent');
const PASSWORD = 'a quiet word by the river';
const BATCH = 10_000;
/** One account in so many is signed in. */
const SIGNED_IN = 20;

interface Installation {
  readonly accounts: number;
  readonly identity: Identity;
  readonly store: OidcStore;
  readonly db: Db;
  /** Of the n-th account, however many there are. */
  accountId(n: number): AccountId;
  close(): Promise<void>;
}

/** A mainland number that no operator has given out: 199 and eight digits. */
const phoneOf = (n: number) => `199${String(n).padStart(8, '0')}`;

/** An ID number by GB 11643 of a district that does not exist, by the number of the account. */
function idNumberOf(n: number): string {
  const days = Math.floor(n / 1000) % 18_000;
  const birth = new Date(Date.UTC(1960, 0, 1) + days * 86_400_000)
    .toISOString()
    .slice(0, 10)
    .replaceAll('-', '');
  const region = 110_100 + (Math.floor(n / 18_000_000) % 18) + 1;
  const body = `${region}${birth}${String(n % 1000).padStart(3, '0')}`;
  const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
  const sum = weights.reduce((total, weight, i) => total + weight * Number(body[i]), 0);
  return `${body}${'10X98765432'[sum % 11]}`;
}

function documentOf(n: number): Document {
  const reading = readDocument({ kind: 'resident-id', number: idNumberOf(n) }, new Date());
  if ('problem' in reading) throw new Error(`${idNumberOf(n)}: ${reading.problem}`);
  return reading.document;
}

async function install(
  accounts: number,
  places: { databaseUrl: string; redisUrl: string },
): Promise<Installation> {
  const settings = toConfig({
    ...newSecrets(),
    // The hash costs the same for everybody; a cheap one lets the rest be seen.
    ARGON2_MEMORY_KIB: '7168',
    ARGON2_PASSES: '1',
    DATABASE_URL: await createDatabase(places.databaseUrl),
    DATABASE_POOL_SIZE: '4',
    REDIS_URL: places.redisUrl,
    REDIS_KEY_PREFIX: `scale-${randomBytes(6).toString('hex')}`,
    ISSUER: 'http://127.0.0.1:9',
  });
  const { config, secrets } = settings;
  const { dataKeys } = secrets;
  const app = await createApp(settings, { logger });
  const { db, identity } = app;
  const redis = await connectRedis(places.redisUrl, logger);
  const store = createRedisStore(redis, config.redisKeyPrefix);
  const { accountId: model } = await identity.register({ identifier: 'scale-model', password: PASSWORD });
  const [password] = await db.query<Password>(
    'SELECT hash, pepper FROM password_credentials WHERE account_id = $1',
    [model],
  );
  if (!password) throw new TypeError('the model has a password');
  const ids = await populate(accounts, { db, store, dataKeys, password });
  await db.script('VACUUM ANALYZE');
  await db.script('CHECKPOINT');
  return {
    accounts,
    identity,
    store,
    db,
    accountId: ids,
    async close() {
      await app.stop();
      await redis.close();
    },
  };
}

/** Everybody's. */
interface Password {
  readonly hash: string;
  readonly pepper: string;
}

/** Writes the accounts as the rooms would have, many to a statement. */
async function populate(
  accounts: number,
  parts: { db: Db; store: OidcStore; dataKeys: DataKeys; password: Password },
): Promise<(n: number) => AccountId> {
  const { db, store, dataKeys, password } = parts;
  const identifierIndex = createBlindIndex(dataKeys, 'account-identifier');
  const identifierCipher = createCipher(dataKeys, 'field/account-identifier');
  const documentIndex = createBlindIndex(dataKeys, 'verified-document');
  const records = createRecords({ store, cipher: createCipher(dataKeys, 'oidc-store') });
  const start = Date.now();
  const idOf = (n: number) =>
    newId('acc', new Date(start - n), () => {
      const bytes = Buffer.alloc(10);
      bytes.writeUInt32BE(n, 6);
      return bytes;
    });
  for (let first = 0; first < accounts; first += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, accounts - first) }, (_, i) => first + i);
    const ids = numbers.map(idOf);
    await db.transaction(async (tx) => {
      // What is told to caches and compared with other tables is of no interest here.
      await tx.query('SET LOCAL session_replication_role = replica');
      await tx.query(
        `INSERT INTO accounts (id, state, created_at, proofing) SELECT id, 'active', now(), 2 FROM unnest($1::text[]) AS id`,
        [ids],
      );
      await tx.query(
        `INSERT INTO account_identifiers (kind, blind_index, account_id, value, created_at, verified_at)
           SELECT 'phone', i, id, v, now(), now() FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS t (id, i, v)`,
        [
          ids,
          numbers.map((n) => identifierIndex.current(`phone:+86${phoneOf(n)}`)),
          numbers.map((n, i) => identifierCipher.encrypt(Buffer.from(`+86${phoneOf(n)}`), ids[i] ?? '')),
        ],
      );
      await tx.query(
        `INSERT INTO password_credentials (account_id, hash, pepper, created_at)
           SELECT id, $2, $3, now() FROM unnest($1::text[]) AS id`,
        [ids, password.hash, password.pepper],
      );
      await tx.query(
        `INSERT INTO verified_documents (account_id, number_index, kind, record, evidence_id, verified_at)
           SELECT id, i, 'resident-id', r, 'evd_' || id, now() FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS t (id, i, r)`,
        [
          ids,
          numbers.map((n) => documentIndex.current(documentKey(documentOf(n)))),
          ids.map(() => randomBytes(160)),
        ],
      );
    });
    await Promise.all(
      numbers
        .map((n, i) => [n, ids[i] ?? ''] as const)
        .filter(([n]) => n % SIGNED_IN === 0)
        .map(([, id]) => {
          const body = { accountId: id, uid: id, loginTs: 0, amr: ['pwd'] };
          return store.saveSession(
            keyOf(`session of ${id}`),
            {
              uid: keyOf(id),
              account: keyOf(id),
              body: records.sealText(JSON.stringify(body), SESSION_CONTEXT),
              set: {},
              remove: [],
            },
            86_400,
          );
        }),
    );
    if (first % (BATCH * 50) === 0) process.stderr.write(`\r${first} of ${accounts} accounts`);
  }
  process.stderr.write(`\r${accounts} accounts made in ${Math.round((Date.now() - start) / 1000)} s\n`);
  return idOf;
}

type Operation = (installation: Installation, n: number) => Promise<void>;

/** Each checks its answer: a look-up that finds nothing is quick, and worth nothing. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  async 'sign-in by password'(installation, n) {
    const { accountId } = await installation.identity.passwords.authenticate({
      identifier: phoneOf(n),
      password: PASSWORD,
    });
    const account = await installation.identity.account(accountId);
    if (!account) throw new Error(`account ${n} is not there`);
    await installation.identity.signedIn({
      account,
      factors: { pwd: 0 },
      clientId: 'scale',
      arrival: { cookie: undefined, address: '192.0.2.1', userAgent: '', language: 'zh-CN' },
    });
    equal(accountId, installation.accountId(n));
  },
  async 'the same, less the hash'(installation, n) {
    const accountId = await installation.identity.find(phoneOf(n));
    equal(accountId, installation.accountId(n));
    equal((await installation.identity.account(accountId ?? ''))?.phone, `+86${phoneOf(n)}`);
  },
  async 'account by ID number'(installation, n) {
    equal(await installation.identity.persons.holder(documentOf(n)), installation.accountId(n));
  },
  async 'sessions of an account'(installation, n) {
    const id = installation.accountId(n - (n % SIGNED_IN));
    const [key = ''] = await installation.store.sessionsOf(keyOf(id));
    equal((await installation.store.session(key)) !== undefined, true);
  },
};

function equal(given: unknown, expected: unknown): void {
  if (given !== expected) throw new Error(`${String(given)} is not ${String(expected)}`);
}

/** Microseconds an operation, of accounts at random. */
async function round(operation: Operation, installation: Installation, count: number): Promise<number> {
  const numbers = Array.from({ length: count }, () => randomInt(installation.accounts));
  const started = performance.now();
  for (const n of numbers) await operation(installation, n);
  return ((performance.now() - started) / count) * 1000;
}

const median = (list: readonly number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;

const services = await startServices();
try {
  const installations = [await install(small, services), await install(large, services)] as const;
  console.log(`${runs} rounds of ${operations} operations in turns: ${small} against ${large} accounts\n`);
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const pairs: [number, number][] = [];
    const count = name.startsWith('sign-in') ? Math.ceil(operations / 10) : operations;
    for (let run = -3; run < runs; run++) {
      const order = run % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
      const pair: [number, number] = [0, 0];
      for (const i of order) pair[i] = await round(operation, installations[i], count);
      // The first rounds fetch what the rounds after them find at hand.
      if (run >= 0) pairs.push(pair);
    }
    const ratio = median(pairs.map(([one, other]) => other / one));
    const [one, other] = [0, 1].map((i) => Math.round(median(pairs.map((pair) => pair[i] ?? 0))));
    console.log(
      `${name.padEnd(26)} ${String(one).padStart(6)} µs ${String(other).padStart(6)} µs   x ${ratio.toFixed(3)}`,
    );
  }
  for (const installation of installations) await installation.close();
} finally {
  await services.stop();
}
