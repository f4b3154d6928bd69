import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { checkChain } from '../../src/audit/index.ts';
import { openRooms, type Rooms } from '../support/rooms.ts';

let rooms: Rooms;
const opened: Rooms[] = [];

beforeEach(async () => {
  rooms = await openRooms();
  opened.push(rooms);
});
afterAll(async () => {
  for (const { db } of opened) await db.close();
});

/** Adds three entries to the one that the audit key made. */
async function fill(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    rooms.clock.advance(1);
    await rooms.db.transaction((tx) =>
      rooms.audit.record(tx, {
        type: 'unit.created',
        actor: 'system',
        subject: `unit_${i}`,
        detail: { organisationId: 'org_1', parentId: null },
      }),
    );
  }
}

/** Changes the table as its owner could, past the trigger. */
async function asOwner(sql: string): Promise<void> {
  await rooms.db.script(
    `ALTER TABLE audit_events DISABLE TRIGGER ALL; ${sql}; ALTER TABLE audit_events ENABLE TRIGGER ALL;`,
  );
}

describe('the audit log', () => {
  test('of an untouched table holds together', async () => {
    await fill();
    expect(await checkChain(rooms.audit)).toEqual({ entries: 4, finding: undefined });
  });

  test('loses the entry of a change that is rolled back, and the chain goes on without it', async () => {
    await rooms.db
      .transaction(async (tx) => {
        await rooms.audit.record(tx, {
          type: 'unit.created',
          actor: 'system',
          subject: 'unit_x',
          detail: { organisationId: 'org_1', parentId: null },
        });
        throw new Error('no');
      })
      .catch(() => undefined);
    await fill();
    expect(await checkChain(rooms.audit)).toEqual({ entries: 4, finding: undefined });
  });

  test('keeps its order when twenty changes commit at once', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        rooms.db.transaction((tx) =>
          rooms.audit.record(tx, {
            type: 'unit.created',
            actor: 'system',
            subject: `unit_${i}`,
            detail: { organisationId: 'org_1', parentId: null },
          }),
        ),
      ),
    );
    expect(await checkChain(rooms.audit)).toEqual({ entries: 21, finding: undefined });
  });

  test.each([
    [
      'a changed actor',
      `UPDATE audit_events SET actor = 'someone' WHERE seq = 3`,
      { seq: 3, problem: 'CHANGED' },
    ],
    [
      'a changed detail',
      `UPDATE audit_events SET detail = '{"organisationId": "org_2"}' WHERE seq = 2`,
      { seq: 2, problem: 'CHANGED' },
    ],
    [
      'a moved time',
      `UPDATE audit_events SET at = at + interval '1 ms' WHERE seq = 4`,
      { seq: 4, problem: 'CHANGED' },
    ],
    ['a deleted row', 'DELETE FROM audit_events WHERE seq = 2', { seq: 2, problem: 'MISSING' }],
    ['a deleted end', 'DELETE FROM audit_events WHERE seq > 2', { seq: 3, problem: 'TRUNCATED' }],
    [
      'two rows exchanged',
      'UPDATE audit_events SET seq = -1 WHERE seq = 2; UPDATE audit_events SET seq = 2 WHERE seq = 3; UPDATE audit_events SET seq = 3 WHERE seq = -1',
      { seq: 2, problem: 'OUT_OF_ORDER' },
    ],
    [
      'an end cut off together with the head',
      'DELETE FROM audit_events WHERE seq > 3; UPDATE audit_head SET seq = 3',
      { seq: 3, problem: 'CHANGED' },
    ],
  ])('names %s', async (_what, sql, finding) => {
    await fill();
    await asOwner(sql);
    expect((await checkChain(rooms.audit)).finding).toEqual(finding);
  });

  test('gives receipts that the published keys verify, and whose entry is the one recorded', async () => {
    await fill();
    const chained = await rooms.audit.find(3);
    if (!chained) throw new Error('no entry');
    const receipt = await rooms.audit.receipt(chained);
    const keys = createLocalJWKSet((await rooms.audit.jwks()) as JSONWebKeySet);
    const { payload, protectedHeader } = await compactVerify(receipt.signature, keys);
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'yinxin-audit-receipt+jwt' });
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(chained);
    const forged = receipt.signature.replace(
      /\.[^.]+\./,
      `.${Buffer.from(JSON.stringify({ ...chained, previous: '' })).toString('base64url')}.`,
    );
    await expect(compactVerify(forged, keys)).rejects.toThrow();
  });
});
