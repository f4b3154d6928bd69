import { createSecretKey, randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAuditLog } from '../../src/audit/index.ts';
import { createCustody, CustodyError, type Custody } from '../../src/custody/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import { migrate } from '../../src/platform/db/migrate.ts';
import type { KeyId } from '../../src/platform/ids.ts';
import { TestClock } from '../support/clock.ts';
import { DRIVERS } from '../support/databases.ts';

const OWNER = 'unit_two_processes';
const codeOf = (error: unknown) => (error instanceof CustodyError ? error.code : error);

describe.each(Object.entries(DRIVERS))('two processes with the same keys on %s', (_, open) => {
  let db: Db;
  let close: () => Promise<void>;
  /** It stands still: what one process learns of the other, it is told. */
  const clock = new TestClock();
  let one: Custody;
  let other: Custody;

  beforeAll(async () => {
    ({ db, close } = await open());
    await migrate(db);
    const audit = createAuditLog({ db, clock, signer: () => Promise.reject(new Error('no receipts')) });
    const keyEncryptionKey = createSecretKey(randomBytes(32));
    [one, other] = [1, 2].map(() => createCustody({ db, clock, audit, keyEncryptionKey })) as [
      Custody,
      Custody,
    ];
    await one.start();
    await other.start();
  });
  afterAll(async () => {
    await one.stop();
    await other.stop();
    await close();
  });

  const generate = () =>
    db.transaction((tx) => one.generate(tx, { owner: OWNER, purpose: 'seal', actor: 'system' }));
  const act = (custody: Custody, keyId: KeyId, kind: 'suspend' | 'destroy' | 'rotate' | 'compromise') =>
    db.transaction(async (tx) => {
      const request = { owner: OWNER, keyId, actor: 'system' };
      if (kind === 'destroy') await custody.destroy(tx, request);
      else if (kind === 'rotate') await custody.rotate(tx, request);
      else await custody.change(tx, { ...request, to: kind === 'suspend' ? 'suspended' : 'compromised' });
      return kind;
    });

  test('the one stops signing when the other suspends the key, without asking', async () => {
    const { id } = await generate();
    const signer = await other.signer(OWNER, id, 'ES256');
    await signer.sign(Buffer.from('x'));
    await act(one, id, 'suspend');
    // The notice is on its way: the test waits for it, however long it takes.
    let code: unknown;
    while (code !== 'KEY_NOT_ACTIVE') {
      code = await signer.sign(Buffer.from('x')).then(() => 'signed', codeOf);
      if (code === 'signed') await setTimeout(10);
    }
    expect(code).toBe('KEY_NOT_ACTIVE');
  });

  test('of many changes of one key at the same moment, each that happens is allowed after the one before', async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await generate();
      const results = await Promise.all([
        act(one, id, 'rotate').catch(codeOf),
        act(other, id, 'rotate').catch(codeOf),
        act(one, id, 'destroy').catch(codeOf),
        act(other, id, 'destroy').catch(codeOf),
      ]);
      expect(results.filter((result) => result === 'destroy')).toHaveLength(1);
      expect(results.filter((result) => result === 'rotate').length).toBeLessThan(2);
      for (const result of results) expect(['rotate', 'destroy', 'KEY_STATE']).toContain(result);
      const states = await db.query<{ type: string }>(
        `SELECT type FROM audit_events WHERE subject = $1 AND type = 'key.destroyed'`,
        [id],
      );
      expect(states).toHaveLength(1);
    }
  });

  test('many keys made for one owner at the same moment get versions of their own and one data key', async () => {
    const owner = 'unit_new';
    const made = await Promise.all(
      Array.from({ length: 6 }, (__, i) =>
        db.transaction((tx) =>
          (i % 2 ? one : other).generate(tx, { owner, purpose: 'seal', actor: 'system' }),
        ),
      ),
    );
    expect(new Set(made.map(({ version }) => version)).size).toBe(6);
    expect(await db.query('SELECT version FROM custody_data_keys WHERE owner = $1', [owner])).toHaveLength(1);
    for (const { id } of made) await one.signer(owner, id, 'ES256');
  });
});
