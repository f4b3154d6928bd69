/** The sealing room by itself: every store call broken in turn, crashes, permits. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkChain, createAuditLog, type AuditLog } from '../../src/audit/index.ts';
import type { Certification } from '../../src/certification/index.ts';
import { createCustody, PROVIDER, type Custody } from '../../src/custody/index.ts';
import { createOrganisations, type Organisations } from '../../src/organisations/index.ts';
import type { Db, Queryable } from '../../src/platform/db/db.ts';
import { newId, type AccountId } from '../../src/platform/ids.ts';
import { createSeals, type Seal, type Seals } from '../../src/seals/index.ts';
import { recordIntent, SealingPermit, signWithPermit } from '../../src/seals/permits.ts';
import { certificationOver, NOBODY, openRooms, type Rooms } from '../support/rooms.ts';

const document = readFileSync('test/vectors/pdf/ghostscript.pdf');
const request = (key?: string) => ({ document, options: { visible: true }, idempotencyKey: key });

let rooms: Rooms;
let seal: Seal;
let actor: { accountId: AccountId; clientId: string };

/** The rooms as one process would build them, over the database given. */
function build(db: Db): {
  seals: Seals;
  certification: Certification;
  audit: AuditLog;
  organisations: Organisations;
} {
  const parts = { db, clock: rooms.clock, keyEncryptionKey: rooms.keyEncryptionKey };
  const signer = async () => {
    const key = await custody.active(PROVIDER, 'audit');
    if (!key) throw new Error('no audit key');
    return custody.signer(PROVIDER, key.id, 'ES256');
  };
  const audit: AuditLog = createAuditLog({ ...parts, signer });
  const custody: Custody = createCustody({ ...parts, audit });
  const organisations = createOrganisations({
    ...parts,
    audit,
    ...NOBODY,
    facts: { ...NOBODY.facts, unitOfSeal: (q, id) => seals.registry.unitOf(q, id) },
  });
  const certification = certificationOver({ ...parts, audit, custody });
  const { certificates } = certification;
  const seals: Seals = createSeals({ ...parts, audit, custody, organisations, certificates });
  return { seals, certification, audit, organisations };
}

/** The same database, whose n-th statement fails as when the server goes away: nothing of its transaction stays. */
function breaking(db: Db, n: number): { db: Db; broke: () => boolean } {
  let calls = 0;
  const query: Queryable['query'] = async (sql, parameters) => {
    calls += 1;
    if (calls === n) throw Object.assign(new Error('connection lost'), { code: '08006' });
    return db.query(sql, parameters);
  };
  return {
    broke: () => calls >= n,
    db: {
      ...db,
      query,
      transaction: (work) =>
        db.transaction((tx) =>
          work({
            ...tx,
            async query(sql, parameters) {
              calls += 1;
              if (calls === n) throw Object.assign(new Error('connection lost'), { code: '08006' });
              return tx.query(sql, parameters);
            },
          }),
        ),
    },
  };
}

interface Row {
  id: string;
  state: string;
  increment: Uint8Array | null;
  result_seq: number | null;
}
const rowsOf = (key: string) =>
  rooms.db.query<Row>('SELECT id, state, increment, result_seq FROM sealings WHERE idempotency_key = $1', [
    key,
  ]);
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error);

beforeAll(async () => {
  rooms = await openRooms();
  const { seals, certification } = build(rooms.db);
  const organisations = createOrganisations({ ...rooms, ...NOBODY });
  await rooms.db.transaction((tx) => certification.ensure(tx));
  actor = { accountId: newId('acc', rooms.clock.now()), clientId: 'test' };
  await rooms.db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', now())`, [
    actor.accountId,
  ]);
  const organisation = await organisations.found(
    { unifiedSocialCreditCode: '91330106MADEMYXKJ3', name: '云栖示例' },
    'system',
  );
  const unit = await organisations.createUnit(organisation, '行政部', 'system');
  await organisations.grant({ accountId: actor.accountId, unitId: unit.id, role: 'seal-officer' }, 'system');
  seal = await seals.registry.register({ unit, name: '云栖示例有限公司' }, 'system');
});
afterAll(() => rooms.db.close());

describe('sealing, when a statement fails', () => {
  test('whichever it is, leaves no document without a record and no record of a document that was not released', async () => {
    let n = 0;
    for (;;) {
      n += 1;
      const key = `break-${n}`;
      const { db, broke } = breaking(rooms.db, n);
      const outcome = await build(db)
        .seals.sealing.seal(actor, seal.id, request(key))
        .catch((error: unknown) => error);
      const [row] = await rowsOf(key);
      if (!broke()) {
        // Every statement that sealing makes has failed once by now.
        expect(row?.state).toBe('completed');
        break;
      }
      expect(outcome, `statement ${n}`).toBeInstanceOf(Error);
      expect(row?.state ?? 'absent', `statement ${n}`).toMatch(/^(absent|intended|permitted|failed)$/);
      expect(row?.increment ?? null).toBeNull();
      expect(await checkChain(rooms.audit)).toMatchObject({ finding: undefined });

      // The same request again, the database being back: sealed if nothing was begun, else told what to do; never signed twice.
      const again = await build(rooms.db).seals.sealing.seal(actor, seal.id, request(key)).catch(codeOf);
      if (row === undefined) expect(again).toMatchObject({ replayed: false });
      else expect(['SEALING_FAILED_BEFORE', 'SEALING_IN_PROGRESS']).toContain(again);
      expect(await rowsOf(key)).toHaveLength(1);
    }
    expect(n).toBeGreaterThan(12);
  });

  test('a crash between signature and record leaves an intent; the same key says so, and a new one seals', async () => {
    const { seals } = build(rooms.db);
    await seals.sealing.seal(actor, seal.id, request('crash'));
    // As it lies there after `kill -9` before the last transaction.
    await rooms.db.query(
      `UPDATE sealings SET state = 'permitted', increment = NULL WHERE idempotency_key = 'crash'`,
    );
    expect(await seals.sealing.seal(actor, seal.id, request('crash')).catch(codeOf)).toBe(
      'SEALING_IN_PROGRESS',
    );
    rooms.clock.advance(61);
    expect(await seals.sealing.seal(actor, seal.id, request('crash')).catch(codeOf)).toBe(
      'SEALING_UNFINISHED',
    );
    expect(await seals.sealing.seal(actor, seal.id, request('after-crash'))).toMatchObject({
      replayed: false,
    });
  });
});

describe('a permit', () => {
  const acting = async () => {
    const found = await build(rooms.db).organisations.actingWithSeal(actor.accountId, seal.id, undefined);
    if (!found) throw new Error('the actor is no officer');
    return found;
  };
  const intent = async () => ({
    acting: await acting(),
    sealingId: newId('slg', rooms.clock.now()),
    sealId: seal.id,
    actor: actor.accountId,
    clientId: 'test',
    idempotencyKey: undefined,
    requestDigest: randomBytes(32),
    documentDigest: randomBytes(32),
  });
  const signer = () => rooms.custody.signer(seal.unitId, seal.keyId, 'ecdsa-with-SHA256');

  test('comes from a recorded intent and from nowhere else', () => {
    expect(() => new SealingPermit(Symbol('forged') as never, newId('slg', rooms.clock.now()))).toThrow(
      TypeError,
    );
  });

  test('is spent by one signature, also when two ask at once', async () => {
    const permit = await recordIntent(
      { ...rooms, organisations: build(rooms.db).organisations },
      await intent(),
    );
    const two = await Promise.allSettled([
      signWithPermit(rooms.db, permit, await signer(), Buffer.from('a')),
      signWithPermit(rooms.db, permit, await signer(), Buffer.from('b')),
    ]);
    expect(two.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await expect(signWithPermit(rooms.db, permit, await signer(), Buffer.from('c'))).rejects.toThrow('spent');
  });

  test('is given to nobody whose role has ended since', async () => {
    const { organisations } = build(rooms.db);
    const asked = await intent();
    const [membership] = await organisations.membershipsOf(actor.accountId);
    await organisations.end(membership?.id ?? '', 'system');
    const before = await rooms.db.query('SELECT 1 FROM sealings');
    expect(await recordIntent({ ...rooms, organisations }, asked).catch(codeOf)).toBe('AUTHORITY_MISSING');
    expect(await rooms.db.query('SELECT 1 FROM sealings')).toHaveLength(before.length);
    await organisations.grant(
      { accountId: actor.accountId, unitId: seal.unitId, role: 'seal-officer' },
      'system',
    );
  });

  test('is worth nothing when its intent is gone', async () => {
    const permit = await recordIntent(
      { ...rooms, organisations: build(rooms.db).organisations },
      await intent(),
    );
    await rooms.db.query('DELETE FROM sealings WHERE id = $1', [permit.sealingId]);
    await expect(signWithPermit(rooms.db, permit, await signer(), Buffer.from('a'))).rejects.toThrow('spent');
  });
});

describe('a certificate', () => {
  test('that is not valid now stops sealing, before anything is recorded', async () => {
    const before = await rooms.db.query('SELECT 1 FROM sealings');
    rooms.clock.advance(366 * 86_400);
    expect(await build(rooms.db).seals.sealing.seal(actor, seal.id, request('expired')).catch(codeOf)).toBe(
      'CERTIFICATE_NOT_VALID',
    );
    expect(await rooms.db.query('SELECT 1 FROM sealings')).toHaveLength(before.length);
  });

  test('that has expired leaves its seals undecided: no time-stamp proves that they are older', async () => {
    rooms.clock.advance(-366 * 86_400);
    const { seals } = build(rooms.db);
    const sealed = await seals.sealing.seal(actor, seal.id, request('old'));
    expect((await seals.verification.verify(sealed.document)).indication).toBe('TOTAL-PASSED');
    rooms.clock.advance(366 * 86_400);
    const verdict = await seals.verification.verify(sealed.document);
    expect(verdict).toMatchObject({
      indication: 'INDETERMINATE',
      seals: [{ subIndication: 'OUT_OF_BOUNDS_NO_POE', intact: true, valid: true, trusted: false }],
    });
  });

  test('that was revoked, or whose issuer was, stops sealing and fails its seals', async () => {
    rooms.clock.advance(-366 * 86_400);
    const { seals, certification } = build(rooms.db);
    const sealed = await seals.sealing.seal(actor, seal.id, request('before'));
    const stored = await certification.certificates.find(seal.certificateId);
    // First the authority, whose certificate is in the document, then the seal's own.
    for (const certificateId of [stored?.issuerId ?? '', seal.certificateId]) {
      await rooms.db.transaction((tx) =>
        certification.certificates.revoke(tx, { certificateId, reason: 'keyCompromise', actor: 'operator' }),
      );
      expect(await seals.verification.verify(sealed.document)).toMatchObject({
        indication: 'TOTAL-FAILED',
        seals: [{ subIndication: 'REVOKED', intact: true, valid: true, trusted: false }],
      });
      expect(await seals.sealing.seal(actor, seal.id, request(certificateId)).catch(codeOf)).toBe(
        'CERTIFICATE_NOT_VALID',
      );
    }
    await certification.stop();
  });
});
