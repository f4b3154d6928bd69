import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectPg } from '../../src/platform/db/pg.ts';
import { createDatabase } from '../support/databases.ts';
import { silentLogger } from '../support/logger.ts';
import {
  raceForNewPassword,
  raceForRecoveryCode,
  raceForSending,
  raceForSentCode,
  raceToStop,
} from './codes.ts';
import { startField, type RunningField } from './field.ts';
import {
  openEightPortals,
  raceForAssertion,
  raceForBackchannel,
  raceForCode,
  raceForCrossDevice,
  raceForDevice,
  raceForPasskey,
  raceForPassword,
  raceForProof,
  raceForRefresh,
  raceForRequestUri,
  raceForTotp,
} from './races.ts';

let database: Awaited<ReturnType<typeof createDatabase>>;
let field: RunningField;

beforeAll(async () => {
  database = await createDatabase();
  field = await startField({ databaseUrl: database.url, redisUrl: inject('redisUrl') });
});
afterAll(async () => {
  await field.stop();
  await database.drop();
});

test('two processes that start at once on an empty database make one set of tables and one set of keys', async () => {
  const db = connectPg(database.url, { poolSize: 1, logger: silentLogger });
  expect(
    await db.query('SELECT purpose, count(*) AS n FROM custody_keys GROUP BY purpose ORDER BY purpose'),
  ).toEqual([
    { purpose: 'audit', n: 1 },
    { purpose: 'issuing-ca', n: 1 },
    { purpose: 'ocsp', n: 1 },
    { purpose: 'root-ca', n: 1 },
    { purpose: 'time-stamping', n: 1 },
    // One for each algorithm.
    { purpose: 'token', n: 2 },
  ]);
  expect(
    await db.query('SELECT profile, count(*) AS n FROM certificates GROUP BY profile ORDER BY profile'),
  ).toEqual([
    { profile: 'issuing', n: 1 },
    { profile: 'ocsp-responder', n: 1 },
    { profile: 'root', n: 1 },
    { profile: 'time-stamping', n: 1 },
  ]);
  await db.close();
});

test('of twenty that redeem one code at two processes exactly one gets tokens, and they fall with the replay', async () => {
  for (let round = 0; round < 3; round++) {
    const { statuses, errors, tokenAfterwards } = await raceForCode(field);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 400)).toHaveLength(19);
    expect(errors).toEqual(['invalid_grant']);
    expect(tokenAfterwards).toBe(401);
  }
});

test('of twenty that use one pushed request at two processes exactly one gets a code', async () => {
  const { codes, errors, serverErrors } = await raceForRequestUri(field);
  expect({ codes, serverErrors }).toEqual({ codes: 1, serverErrors: 0 });
  expect(errors).toEqual(['invalid_request_uri']);
});

test('of twenty that show one client assertion or one DPoP proof exactly one is let in', async () => {
  expect(await raceForAssertion(field)).toEqual({ won: 1, errors: ['invalid_client'], serverErrors: 0 });
  expect(await raceForProof(field)).toEqual({ won: 1, errors: ['invalid_grant'], serverErrors: 0 });
});

test('of twenty that confirm one device code exactly one goes on, and of twenty that redeem it exactly one gets tokens', async () => {
  const { confirmed, redeemed } = await raceForDevice(field);
  expect(confirmed).toMatchObject({ won: 1, serverErrors: 0 });
  expect(redeemed).toEqual({ won: 1, errors: ['invalid_grant'], serverErrors: 0 });
});

test('of twenty that redeem one approved backchannel request exactly one gets tokens', async () => {
  expect(await raceForBackchannel(field)).toEqual({ won: 1, errors: ['invalid_grant'], serverErrors: 0 });
});

test('of twenty that send one answer of an authenticator exactly one goes on', async () => {
  expect(await raceForPasskey(field)).toMatchObject({ won: 1, serverErrors: 0 });
});

test('of twenty phones that open one code, twenty that type its number and twenty screens that go on, one each does', async () => {
  const one = { won: 1, errors: [], serverErrors: 0 };
  expect(await raceForCrossDevice(field)).toEqual({ opened: one, approved: one, finished: one });
});

test('of twenty that type one code exactly one goes on, and of twenty guesses five are compared', async () => {
  const { right, guessed } = await raceForSentCode(field);
  expect(right).toMatchObject({ won: 1, serverErrors: 0 });
  // Ten are let through by the limit for one address, five of them are compared.
  expect(guessed).toEqual({ won: 0, wrong: 5, over: 5, serverErrors: 0 });
  expect(await raceForRecoveryCode(field)).toMatchObject({ won: 1, serverErrors: 0 });
});

test('of twenty that ask for a code to one address at once one is sent one', async () => {
  expect(await raceForSending(field)).toBe(1);
});

test('what was shown in a recovery is good for one new password, and it is completed or stopped', async () => {
  expect(await raceForNewPassword(field)).toMatchObject({ won: 1, serverErrors: 0 });
  for (let round = 0; round < 3; round++) expect(await raceToStop(field)).toBe(1);
});

test('twenty that refresh with one token at once, as tabs of one browser do, get one and the same answer', async () => {
  expect(await raceForRefresh(field)).toEqual({ different: 1, statuses: [200], livesOn: 200 });
});

test('eight portals opened at once in one session are all reached when it ends', async () => {
  for (let round = 0; round < 3; round++) expect(await openEightPortals(field)).toBe(8);
});

test('sixty guesses at once, at two processes, are compared no more often than the budget of the address or the account holds', async () => {
  const { oneAddress, everywhere } = await raceForPassword(field);
  expect(oneAddress).toEqual({ compared: 6, refused: 54, others: [] });
  expect(everywhere).toEqual({ compared: 20, refused: 40, others: [] });
  expect(await raceForTotp(field)).toEqual({ compared: 15, refused: 45, others: [] });
});
