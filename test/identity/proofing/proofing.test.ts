import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkChain } from '../../../src/audit/index.ts';
import type { AccountId } from '../../../src/platform/ids.ts';
import { ProofingError } from '../../../src/identity/proofing/errors.ts';
import { DRIVERS } from '../../support/databases.ts';
import { migrate } from '../../../src/platform/db/migrate.ts';
import { createAuditLog } from '../../../src/audit/index.ts';
import { TestClock } from '../../support/clock.ts';
import { fictional, LIVE_CHECK_URI, newAccount, openProofing, statementOf } from '../../support/proofing.ts';

const RETURN = 'https://id.example/back/{attempt}';
const codeOf = (error: unknown) => (error instanceof ProofingError ? error.code : error);
const referenceIn = (uri: string) => uri.slice(LIVE_CHECK_URI.length + 1);

describe.each(Object.entries(DRIVERS))('persons on %s', (_name, openDb) => {
  let rooms: {
    db: Awaited<ReturnType<typeof openDb>>['db'];
    clock: TestClock;
    audit: ReturnType<typeof createAuditLog>;
  };
  let close: () => Promise<void>;
  let house: ReturnType<typeof openProofing>;
  const merged: [string, string][] = [];

  beforeAll(async () => {
    const opened = await openDb();
    close = opened.close;
    await migrate(opened.db);
    const clock = new TestClock();
    const audit = createAuditLog({ db: opened.db, clock, signer: () => Promise.reject(new Error('unused')) });
    rooms = { db: opened.db, clock, audit };
    house = openProofing(rooms, { onMerge: [async (_tx, from, into) => void merged.push([from, into])] });
  });
  afterAll(() => close());

  const levelOf = async (accountId: string) => {
    const [row] = await rooms.db.query<{ proofing: number }>('SELECT proofing FROM accounts WHERE id = $1', [
      accountId,
    ]);
    return row?.proofing;
  };
  const compare = (accountId: string, name: string, wanted: 2 | 3 = 2, kind?: string) =>
    house.proofing.compare(accountId, statementOf(fictional(name, kind)), { wanted, returnUri: RETURN });

  test('three items that agree give level 2, and the evidence says how', async () => {
    const account = await newAccount(rooms);
    expect(await compare(account, '李华')).toEqual({ kind: 'proofed', level: 2 });
    expect(await levelOf(account)).toBe(2);
    expect(await house.persons.person(account)).toMatchObject({
      name: '李华',
      document: { kind: 'resident-id', number: '33999919900307001X' },
      facts: { birthdate: '1990-03-07', gender: 'male' },
      evidence: {
        authority: 'fiction',
        fictional: true,
        method: 'comparison',
        level: 2,
        result: 'confirmed',
      },
    });
  });

  test('whichever item is wrong, the answer is the same, nothing is raised, and the refusal is kept', async () => {
    const account = await newAccount(rooms);
    const right = statementOf(fictional('王小示'));
    const wrong = [
      { ...right, name: '王小样' },
      { ...right, number: statementOf(fictional('张三')).number },
      { ...right, third: { item: 'phone' as const, value: '19900000099' } },
      { ...right, third: { item: 'validUntil' as const, value: '2035-06-13' } },
    ];
    const outcomes = [];
    for (const statement of wrong)
      outcomes.push(await house.proofing.compare(account, statement, { wanted: 2, returnUri: RETURN }));
    expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome)))).toEqual(
      new Set(['{"kind":"refused"}']),
    );
    expect(await levelOf(account)).toBe(0);
    expect(await house.persons.person(account)).toBeUndefined();
    const evidence = await house.persons.evidence(account);
    expect(evidence.map(({ result }) => result)).toEqual(['refused', 'refused', 'refused', 'refused']);
  });

  test('evidence can be neither changed nor removed', async () => {
    const account = await newAccount(rooms);
    await compare(account, '张三');
    await rooms.db.transaction((tx) => house.persons.forget(tx, account));
    expect((await house.persons.evidence(account))[0]?.supersededAt).toEqual(rooms.clock.now());
    for (const sql of [
      'DELETE FROM proofing_evidence',
      `UPDATE proofing_evidence SET result = 'confirmed' WHERE result = 'refused'`,
      'UPDATE proofing_evidence SET superseded_at = NULL',
    ])
      await expect(rooms.db.query(sql)).rejects.toThrow('is kept');
  });

  test('any third item of the kind will do, in any usual spelling', async () => {
    const account = await newAccount(rooms);
    const right = statementOf(fictional('Anna Maria Eriksson', 'passport'));
    for (const third of [
      { item: 'validUntil' as const, value: '2031.06.23' },
      { item: 'birthdate' as const, value: '1969年8月6日' },
      { item: 'phone' as const, value: '+86 199-0000-0008' },
    ])
      expect(
        await house.proofing.compare(
          account,
          { ...right, name: 'ANNA  MARIA ERIKSSON', third },
          { wanted: 2, returnUri: RETURN },
        ),
      ).toEqual({ kind: 'proofed', level: 2 });
  });

  test('a statement that cannot be right is refused before anybody is asked', async () => {
    const account = await newAccount(rooms);
    const right = statementOf(fictional('张三'));
    const problemsOf = (change: object) =>
      house.proofing.check({ ...right, ...change }).map(({ code }) => code);
    expect(problemsOf({ number: '110105491231002' })).toEqual(['NUMBER_FIFTEEN']);
    expect(problemsOf({ name: '<b>', third: { item: 'phone', value: 'x' } })).toEqual([
      'NAME_FORM',
      'THIRD_ITEM_FORM',
    ]);
    // The number says it already.
    expect(problemsOf({ third: { item: 'birthdate', value: '1978-01-01' } })).toEqual(['THIRD_ITEM_FORM']);
    const attempt = house.proofing.compare(account, { ...right, name: '' }, { wanted: 2, returnUri: RETURN });
    expect(codeOf(await attempt.catch((error: unknown) => error))).toBe('NAME_FORM');
    expect(await house.persons.evidence(account)).toEqual([]);
  });

  test('a live check gives level 3, once', async () => {
    const account = await newAccount(rooms);
    const outcome = await compare(account, '买买提·示例', 3);
    if (outcome.kind !== 'continue') throw new Error(outcome.kind);
    expect(await levelOf(account)).toBe(0);
    expect(await house.proofing.resume(account, outcome.attempt)).toEqual({ kind: 'pending' });
    const back = await house.register.decide(referenceIn(outcome.uri), 'confirmed');
    expect(back).toBe(RETURN.replace('{attempt}', outcome.attempt));
    expect(await house.register.decide(referenceIn(outcome.uri), 'refused')).toBeUndefined();
    // Nobody else can take it.
    const stranger = await newAccount(rooms);
    expect(codeOf(await house.proofing.resume(stranger, outcome.attempt).catch((e: unknown) => e))).toBe(
      'ATTEMPT_OVER',
    );
    const both = await Promise.allSettled([1, 2].map(() => house.proofing.resume(account, outcome.attempt)));
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await levelOf(account)).toBe(3);
    const [evidence] = await house.persons.evidence(account);
    expect(evidence).toMatchObject({ method: 'live-check', level: 3, result: 'confirmed' });
    expect(await rooms.db.query('SELECT id FROM proofing_attempts WHERE id = $1', [outcome.attempt])).toEqual(
      [],
    );
  });

  test('a live check that failed, or that nobody finished in time, raises nothing', async () => {
    const account = await newAccount(rooms);
    const failed = await compare(account, '陈示港', 3, 'hk-macao-travel-permit');
    if (failed.kind !== 'continue') throw new Error(failed.kind);
    await house.register.decide(referenceIn(failed.uri), 'refused');
    expect(await house.proofing.resume(account, failed.attempt)).toEqual({ kind: 'refused' });
    const late = await compare(account, '陈示港', 3, 'hk-macao-travel-permit');
    if (late.kind !== 'continue') throw new Error(late.kind);
    rooms.clock.advance(3600);
    expect(codeOf(await house.proofing.resume(account, late.attempt).catch((e: unknown) => e))).toBe(
      'ATTEMPT_OVER',
    );
    expect(await levelOf(account)).toBe(0);
  });

  test('who was compared before needs the live check alone for level 3', async () => {
    const account = await newAccount(rooms);
    expect(await house.proofing.comparedBefore(account)).toBeUndefined();
    await compare(account, '陈示港', 2, 'hk-macao-residence-permit');
    expect(await house.proofing.comparedBefore(account)).toMatchObject({ fictional: true });
    const outcome = await house.proofing.continueToLiveCheck(account, RETURN);
    if (outcome.kind !== 'continue') throw new Error(outcome.kind);
    await house.register.decide(referenceIn(outcome.uri), 'confirmed');
    expect(await house.proofing.resume(account, outcome.attempt)).toEqual({ kind: 'proofed', level: 3 });
  });

  test('an account that was proofed with one document cannot be proofed with another', async () => {
    const account = await newAccount(rooms);
    await compare(account, '林示台', 2, 'taiwan-travel-permit');
    const other = compare(account, '林示台', 2, 'taiwan-residence-permit');
    expect(codeOf(await other.catch((error: unknown) => error))).toBe('DOCUMENT_DIFFERS');
  });

  async function twoAccountsOf(
    name: string,
    kind?: string,
  ): Promise<{ older: AccountId; newer: AccountId; link: string }> {
    const older = await newAccount(rooms);
    await compare(older, name, 2, kind);
    rooms.clock.advance(60);
    const newer = await newAccount(rooms);
    const outcome = await compare(newer, name, 2, kind);
    if (outcome.kind !== 'taken') throw new Error(outcome.kind);
    return { older, newer, link: outcome.link };
  }

  test('a document that another account holds raises nothing until both accounts were shown', async () => {
    const { older, newer, link } = await twoAccountsOf('张三');
    expect(await levelOf(newer)).toBe(0);
    expect((await house.persons.evidence(newer))[0]).toMatchObject({ result: 'taken', level: 2 });
    expect(await house.persons.linkedHolder(link, newer)).toBe(older);
    const stranger = await newAccount(rooms);
    expect(await house.persons.linkedHolder(link, stranger)).toBeUndefined();
    for (const [account, shown] of [
      [newer, stranger],
      [stranger, older],
      [older, newer],
    ] as const)
      expect(codeOf(await house.persons.link(link, account, shown).catch((e: unknown) => e))).toBe(
        'LINK_OVER',
      );

    const ends = await Promise.allSettled([1, 2, 3].map(() => house.persons.link(link, newer, older)));
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(
      await rooms.db.query('SELECT state, merged_into, proofing FROM accounts WHERE id = $1', [newer]),
    ).toEqual([{ state: 'closed', merged_into: older, proofing: 0 }]);
    expect(merged).toContainEqual([newer, older]);
    expect(await levelOf(older)).toBe(2);
    // Both comparisons are the person's.
    expect(await house.persons.evidence(older)).toHaveLength(2);
  });

  test('a document that an operator releases can be proofed with elsewhere', async () => {
    await rooms.db.query('DELETE FROM verified_documents');
    const { older, newer } = await twoAccountsOf('张三');
    await house.persons.release(older, 'operator');
    expect(await levelOf(older)).toBe(1);
    expect((await house.persons.evidence(older))[0]).toMatchObject({
      method: 'counter',
      result: 'withdrawn',
    });
    expect(await compare(newer, '张三')).toEqual({ kind: 'proofed', level: 2 });
    await house.persons.release(newer, 'operator');
  });

  test('a link that is not used in time is good for nothing', async () => {
    const { older, newer, link } = await twoAccountsOf('Jean Exemple', 'foreign-permanent-resident-card');
    rooms.clock.advance(1801);
    expect(await house.persons.linkedHolder(link, newer)).toBeUndefined();
    expect(codeOf(await house.persons.link(link, newer, older).catch((e: unknown) => e))).toBe('LINK_OVER');
  });

  test('a number that many accounts prove at once ends with one', async () => {
    await rooms.db.query('DELETE FROM verified_documents');
    const accounts = await Promise.all(Array.from({ length: 8 }, () => newAccount(rooms)));
    const outcomes = await Promise.all(accounts.map((account) => compare(account, '李华')));
    expect(outcomes.filter(({ kind }) => kind === 'proofed')).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === 'taken')).toHaveLength(7);
    expect(await rooms.db.query('SELECT account_id FROM verified_documents')).toHaveLength(1);
    const levels = await Promise.all(accounts.map(levelOf));
    expect(levels.filter((level) => level === 2)).toHaveLength(1);
  });

  test('a locked account is neither proofed nor linked to', async () => {
    const locked = await newAccount(rooms);
    await rooms.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [locked]);
    expect(codeOf(await compare(locked, '王小示').catch((e: unknown) => e))).toBe('ACCOUNT_NOT_ACTIVE');
    const { older, newer, link } = await twoAccountsOf('王小示');
    await rooms.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [older]);
    expect(codeOf(await house.persons.link(link, newer, older).catch((e: unknown) => e))).toBe(
      'ACCOUNT_NOT_ACTIVE',
    );
    // The attempt has changed nothing.
    expect(await house.persons.linkedHolder(link, newer)).toBe(older);
  });

  test('the hash that stands for a number differs by sector and is the same for every account', async () => {
    const { document } = (await house.persons.person((await twoAccountsOf('买买提·示例')).older)) ?? {};
    if (!document) throw new Error('no document');
    const hashes = await Promise.all(
      ['zhejiang', 'guangdong', 'zhejiang'].map((sector) => house.persons.relationHash(document, sector)),
    );
    expect(hashes[0]).toBe(hashes[2]);
    expect(hashes[0]).not.toBe(hashes[1]);
    expect(hashes[0]).toMatch(/^[\w-]{43}$/);
  });

  test('nothing of a person lies in the clear, and the audit chain holds', async () => {
    for (const table of [
      'verified_documents',
      'proofing_attempts',
      'proofing_evidence',
      'account_links',
      'audit_events',
    ]) {
      const text = JSON.stringify(await rooms.db.query(`SELECT t::text AS row FROM ${table} t`));
      for (const word of ['李华', '33999919900307001X', '19900000001', Buffer.from('李华').toString('hex')])
        expect(text).not.toContain(word);
    }
    expect((await checkChain(rooms.audit)).finding).toBeUndefined();
  });
});
