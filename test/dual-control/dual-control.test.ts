import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuditLog, checkChain } from '../../src/audit/index.ts';
import {
  canonicalAct,
  createDualControl,
  defineAct,
  DualControlError,
  type ActRecord,
  type DualControl,
} from '../../src/dual-control/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import { TestClock } from '../support/clock.ts';
import { DRIVERS } from '../support/databases.ts';

const SCOPE = 'unit_示例';
const codeOf = (error: unknown) => (error instanceof DualControlError ? error.code : error);

describe.each(Object.entries(DRIVERS))('dual control on %s', (_, open) => {
  let db: Db;
  let close: () => Promise<void>;
  const clock = new TestClock();
  let officers: Set<string>;
  let done: string[];
  let fails: boolean;

  /** As one process has it: a door of its own over the same tables. */
  const door = (): DualControl => {
    const audit = createAuditLog({
      db,
      clock,
      signer: () => Promise.reject(new Error('no receipts are asked for')),
    });
    const act = defineAct<{ what: string }, string>({
      parse(parameters) {
        if (typeof parameters !== 'object' || parameters === null || !('what' in parameters))
          throw new TypeError('what is missing');
        return { what: String(parameters.what) };
      },
      mayRequest: (_tx, { person, scope }) => scope === SCOPE && officers.has(person),
      mayApprove: (_tx, { person, scope }) => scope === SCOPE && officers.has(person) && person !== 'clerk',
      async run(tx, { what }, { approvers }) {
        await tx.query('INSERT INTO effects (what) VALUES ($1)', [what]);
        done.push(what);
        if (fails) throw new Error('the effect failed');
        return `${what} by ${approvers.join(' and ')}`;
      },
    });
    return createDualControl({ db, clock, audit, acts: { 'test.act': act } });
  };
  let control: DualControl;
  const ask = (changes: Partial<Parameters<DualControl['request']>[1]> = {}): Promise<ActRecord> =>
    db.transaction((tx) =>
      control.request(tx, {
        act: 'test.act',
        parameters: { what: 'x' },
        requestedBy: 'ann',
        scope: SCOPE,
        ...changes,
      }),
    );
  const effects = async () => (await db.query('SELECT what FROM effects')).length;
  const eventsOf = async (id: string) =>
    (
      await db.query<{ type: string }>('SELECT type FROM audit_events WHERE subject = $1 ORDER BY seq', [id])
    ).map(({ type }) => type);

  beforeAll(async () => {
    ({ db, close } = await open());
    await migrate(db);
    await db.query('CREATE TABLE effects (what text)');
    control = door();
  });
  afterAll(() => close());
  beforeEach(async () => {
    officers = new Set(['ann', 'bob', 'cai', 'dan', 'clerk']);
    done = [];
    fails = false;
    await db.query('DELETE FROM effects');
  });

  test('an act is done when another has approved its very words, and each step is on record', async () => {
    const act = await ask();
    const { id, digest } = act;
    await control.approve({ scope: SCOPE, id, by: 'bob', digest });
    expect(await control.find(SCOPE, id)).toMatchObject({ state: 'requested', approvers: ['bob'] });
    expect(await control.execute({ scope: SCOPE, id, by: 'ann' })).toBe('x by bob');
    expect(await effects()).toBe(1);
    expect(await control.find(SCOPE, id)).toMatchObject({ state: 'executed', parameters: { what: 'x' } });
    expect(await eventsOf(id)).toEqual(['act.requested', 'act.approved', 'act.executed']);
    expect(canonicalAct(act)).toBe(
      `{"act":"test.act","id":"${id}","parameters":{"what":"x"},"scope":"${SCOPE}"}`,
    );
  });

  test('whoever asked cannot approve, nobody approves twice, and strangers take no part', async () => {
    const { id, digest } = await ask({ approvals: 2 });
    const approve = (by: string, of = digest) =>
      control.approve({ scope: SCOPE, id, by, digest: of }).catch(codeOf);
    expect(await approve('ann')).toBe('ACT_OWN');
    expect(await approve('clerk')).toBe('ACT_FORBIDDEN');
    expect(await approve('stranger')).toBe('ACT_FORBIDDEN');
    expect(await approve('bob', 'ab'.repeat(32))).toBe('ACT_DIFFERS');
    await approve('bob');
    expect(await approve('bob')).toBe('ACT_APPROVED_BEFORE');
    const execute = (by: string) => control.execute({ scope: SCOPE, id, by }).catch(codeOf);
    expect(await execute('ann')).toBe('ACT_NOT_APPROVED');
    await approve('cai');
    expect(await execute('stranger')).toBe('ACT_FORBIDDEN');
    expect(await ask({ requestedBy: 'stranger' }).catch(codeOf)).toBe('ACT_FORBIDDEN');
    expect(await execute('cai')).toBe('x by bob and cai');
    expect((await eventsOf(id)).filter((type) => type === 'act.denied')).toHaveLength(4);
  });

  test('does not exist in another scope', async () => {
    const { id, digest } = await ask();
    const other = 'unit_other';
    expect(await control.find(other, id)).toBeUndefined();
    expect(await control.list(other)).toEqual([]);
    for (const code of await Promise.all(
      [
        control.approve({ scope: other, id, by: 'bob', digest }),
        control.refuse({ scope: other, id, by: 'bob' }),
        control.withdraw({ scope: other, id, by: 'ann' }),
        control.execute({ scope: other, id, by: 'ann' }),
      ].map((attempt) => attempt.catch(codeOf)),
    ))
      expect(code).toBe('ACT_NOT_FOUND');
  });

  test('counts only those who still may when it is done', async () => {
    const { id, digest } = await ask();
    await control.approve({ scope: SCOPE, id, by: 'bob', digest });
    officers.delete('bob');
    expect(await control.execute({ scope: SCOPE, id, by: 'ann' }).catch(codeOf)).toBe('ACT_NOT_APPROVED');
    officers.add('bob');
    officers.delete('ann');
    expect(await control.execute({ scope: SCOPE, id, by: 'bob' }).catch(codeOf)).toBe('ACT_NOT_APPROVED');
    expect(await effects()).toBe(0);
  });

  test('is over when it was refused, withdrawn, done, or is too old', async () => {
    const over = async (id: string, digest: string) => {
      for (const code of await Promise.all(
        [
          control.approve({ scope: SCOPE, id, by: 'cai', digest }),
          control.refuse({ scope: SCOPE, id, by: 'cai' }),
          control.withdraw({ scope: SCOPE, id, by: 'ann' }),
          control.execute({ scope: SCOPE, id, by: 'ann' }),
        ].map((attempt) => attempt.catch(codeOf)),
      ))
        expect(code).toBe('ACT_OVER');
    };
    const refused = await ask();
    expect(await control.refuse({ scope: SCOPE, id: refused.id, by: 'ann' }).catch(codeOf)).toBe(
      'ACT_FORBIDDEN',
    );
    await control.refuse({ scope: SCOPE, id: refused.id, by: 'bob' });
    await over(refused.id, refused.digest);
    const withdrawn = await ask();
    expect(await control.withdraw({ scope: SCOPE, id: withdrawn.id, by: 'bob' }).catch(codeOf)).toBe(
      'ACT_FORBIDDEN',
    );
    await control.withdraw({ scope: SCOPE, id: withdrawn.id, by: 'ann' });
    await over(withdrawn.id, withdrawn.digest);
    const old = await ask();
    await control.approve({ scope: SCOPE, id: old.id, by: 'bob', digest: old.digest });
    clock.advance(86_400);
    expect(await control.find(SCOPE, old.id)).toMatchObject({ state: 'expired' });
    await over(old.id, old.digest);
    expect(await effects()).toBe(0);
    const open = await ask();
    expect((await control.list(SCOPE, { openOnly: true })).map(({ id }) => id)).toContain(open.id);
    expect((await control.list(SCOPE, { openOnly: true })).map(({ id }) => id)).not.toContain(old.id);
  });

  test('takes nothing when its effect fails, and can be done again', async () => {
    const { id, digest } = await ask();
    await control.approve({ scope: SCOPE, id, by: 'bob', digest });
    fails = true;
    await expect(control.execute({ scope: SCOPE, id, by: 'ann' })).rejects.toThrow('the effect failed');
    expect(await effects()).toBe(0);
    fails = false;
    await control.execute({ scope: SCOPE, id, by: 'ann' });
    expect(await effects()).toBe(1);
  });

  test('is not done when somebody changed its words in the database after they were approved', async () => {
    const { id, digest } = await ask();
    await control.approve({ scope: SCOPE, id, by: 'bob', digest });
    const forged = canonicalAct({ act: 'test.act', scope: SCOPE, id, parameters: { what: 'forged' } });
    await db.query('UPDATE dual_control_acts SET canonical = $2 WHERE id = $1', [id, forged]);
    expect(await control.execute({ scope: SCOPE, id, by: 'ann' }).catch(codeOf)).toBe('ACT_DIFFERS');
    await db.query('UPDATE dual_control_acts SET digest = $2 WHERE id = $1', [
      id,
      createHash('sha256').update(forged).digest(),
    ]);
    expect(await control.execute({ scope: SCOPE, id, by: 'ann' }).catch(codeOf)).toBe('ACT_DIFFERS');
    expect(done).toEqual([]);
  });

  test('is refused when it cannot be read or is out of bounds', async () => {
    for (const changes of [
      { parameters: {} },
      { parameters: { what: 'x'.repeat(20_000) } },
      { approvals: 0 },
      { approvals: 11 },
      { approvals: 1.5 },
      { expiresAt: clock.now() },
      { expiresAt: new Date(Number.NaN) },
      { expiresAt: new Date(clock.now().getTime() + 31 * 86_400_000) },
    ])
      expect(await ask(changes).catch(codeOf)).toBe('ACT_PARAMETERS');
    await expect(ask({ act: 'toString' })).rejects.toThrow(TypeError);
  });

  test('of many approvals and executions at the same moment, through two processes, each counts once', async () => {
    const other = door();
    for (let round = 0; round < 5; round++) {
      const { id, digest } = await ask();
      const approvals = await Promise.all(
        [control, other, control, other].map((each) =>
          each.approve({ scope: SCOPE, id, by: 'bob', digest }).then(() => 'approved', codeOf),
        ),
      );
      expect(approvals.filter((result) => result === 'approved')).toHaveLength(1);
      expect(approvals.filter((result) => result === 'ACT_APPROVED_BEFORE')).toHaveLength(3);
      const executions = await Promise.all(
        [control, other, control, other, control, other].map((each, i) =>
          each.execute({ scope: SCOPE, id, by: i % 2 ? 'ann' : 'bob' }).then(() => 'done', codeOf),
        ),
      );
      expect(executions.filter((result) => result === 'done')).toHaveLength(1);
      expect(executions.filter((result) => result === 'ACT_OVER')).toHaveLength(5);
      expect(await effects()).toBe(round + 1);
    }
  });

  test('of a withdrawal and an execution at the same moment one wins', async () => {
    for (let round = 0; round < 5; round++) {
      const before = await effects();
      const { id, digest } = await ask();
      await control.approve({ scope: SCOPE, id, by: 'bob', digest });
      const results = await Promise.all([
        control.execute({ scope: SCOPE, id, by: 'bob' }).then(() => 'done', codeOf),
        control.withdraw({ scope: SCOPE, id, by: 'ann' }).then(() => 'withdrawn', codeOf),
      ]);
      expect(results.filter((result) => result === 'ACT_OVER')).toHaveLength(1);
      expect((await effects()) - before).toBe(results.includes('done') ? 1 : 0);
    }
  });

  test('the audit chain stands', async () => {
    const audit = createAuditLog({ db, clock, signer: () => Promise.reject(new Error('none')) });
    expect(await checkChain(audit)).toMatchObject({ finding: undefined });
  });
});
