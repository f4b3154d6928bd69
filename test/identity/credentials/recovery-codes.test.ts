import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IdentityError } from '../../../src/identity/index.ts';
import { createRecoveryCodes, type RecoveryCodes } from '../../../src/identity/credentials/recovery-codes.ts';
import { newId, type AccountId } from '../../../src/platform/ids.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

let rooms: Rooms;
let recovery: RecoveryCodes;

beforeAll(async () => {
  rooms = await openRooms();
  recovery = createRecoveryCodes(rooms);
});
afterAll(() => rooms.db.close());

async function newAccount(): Promise<AccountId> {
  const accountId = newId('acc', rooms.clock.now());
  await rooms.db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', $2)`, [
    accountId,
    rooms.clock.now(),
  ]);
  return accountId;
}
const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);
const use = (accountId: string, code = '') => recovery.check({ accountId, code }).catch(codeOf);
const recorded = (accountId: string) =>
  rooms.db.query(`SELECT type, detail FROM audit_events WHERE subject = $1 ORDER BY seq`, [accountId]);

describe('recovery codes', () => {
  test('are ten, all different, with 80 random bits each, and each is good once', async () => {
    const accountId = await newAccount();
    const codes = await recovery.generate(accountId);
    expect(new Set(codes).size).toBe(10);
    for (const code of codes) expect(code).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$/);
    expect(await use(accountId, codes[3])).toEqual({ accountId, method: 'recovery', at: rooms.clock.now() });
    expect(await use(accountId, codes[3])).toBe('CODE_WRONG');
    expect(await recovery.left(accountId)).toBe(9);
    expect(await recorded(accountId)).toEqual([
      { type: 'account.recovery-codes-made', detail: { codes: 10 } },
      { type: 'account.recovery-code-used', detail: { left: 9 } },
    ]);
  });

  test.each<[string, (code: string) => string]>([
    ['without hyphens', (code) => code.replaceAll('-', '')],
    ['in capitals, with spaces', (code) => ` ${code.toUpperCase().replaceAll('-', ' ')} `],
    ['with long dashes', (code) => code.replaceAll('-', '—')],
    [
      'in full width',
      (code) => code.replaceAll(/[\w-]/g, (c) => String.fromCodePoint((c.codePointAt(0) ?? 0) + 0xfee0)),
    ],
    ['with letters that look like digits', (code) => code.replaceAll('0', 'O').replaceAll('1', 'l')],
  ])('may be typed %s', async (_how, typed) => {
    const accountId = await newAccount();
    for (const code of await recovery.generate(accountId))
      expect(await use(accountId, typed(code)), code).toMatchObject({ method: 'recovery' });
    expect(await recovery.left(accountId)).toBe(0);
  });

  test('of a new set take the place of the old ones, two sets made at once leave one', async () => {
    const accountId = await newAccount();
    const [old] = await recovery.generate(accountId);
    const sets = await Promise.all([recovery.generate(accountId), recovery.generate(accountId)]);
    expect(await use(accountId, old)).toBe('CODE_WRONG');
    expect(await recovery.left(accountId)).toBe(10);
    const good = await Promise.all(sets.map(([first]) => use(accountId, first)));
    expect(good.filter((outcome) => outcome !== 'CODE_WRONG')).toHaveLength(1);
  });

  test('of another account, of a locked one, and nonsense are refused alike', async () => {
    const [one, other] = [await newAccount(), await newAccount()];
    const codes = await recovery.generate(one);
    expect(await use(other, codes[0])).toBe('CODE_WRONG');
    expect(await use('acc_nobody', codes[0])).toBe('CODE_WRONG');
    for (const nonsense of ['', 'x'.repeat(10_000), '\u0000', '0000-0000-0000-0000'])
      expect(await use(one, nonsense)).toBe('CODE_WRONG');
    await rooms.db.query(`UPDATE accounts SET state = 'locked' WHERE id = $1`, [one]);
    expect(await use(one, codes[0])).toBe('CODE_WRONG');
    await rooms.db.query(`UPDATE accounts SET state = 'active' WHERE id = $1`, [one]);
    expect(await use(one, codes[0])).toMatchObject({ accountId: one });
  });

  test('that twenty send at once let one of them through', async () => {
    const accountId = await newAccount();
    const [code] = await recovery.generate(accountId);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => use(accountId, code)));
    expect(outcomes.filter((outcome) => outcome !== 'CODE_WRONG')).toHaveLength(1);
    expect(await recovery.left(accountId)).toBe(9);
  });

  test('lie as digests, and can be taken away', async () => {
    const accountId = await newAccount();
    const codes = await recovery.generate(accountId);
    const dump = JSON.stringify(await rooms.db.query('SELECT to_jsonb(r) FROM recovery_codes r'));
    for (const code of codes) {
      const plain = code.replaceAll('-', '');
      for (const form of [plain, Buffer.from(plain).toString('hex')]) expect(dump).not.toContain(form);
    }
    expect(await recovery.remove(accountId)).toBe(true);
    expect(await recovery.remove(accountId)).toBe(false);
    expect(await use(accountId, codes[0])).toBe('CODE_WRONG');
  });
});
