/** The whole program with its keys in a token, and acts on units' keys by the people whose duty they are. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectToken, CustodyError, makeTokenWrappingKey, type KeyRecord } from '../../src/custody/index.ts';
import { DualControlError, type Json } from '../../src/dual-control/index.ts';
import type { Role } from '../../src/organisations/index.ts';
import { verifySignature } from '../../src/pki/index.ts';
import { newId, type AccountId, type UnitId } from '../../src/platform/ids.ts';
import { newSecrets, startApp, type TestApp } from '../support/app.ts';
import { makeSoftToken, type SoftToken } from '../support/token.ts';

let soft: SoftToken;
let running: TestApp;
const units: UnitId[] = [];
const people = new Map<string, AccountId>();
const codeOf = (error: unknown) =>
  error instanceof DualControlError || error instanceof CustodyError ? error.code : error;

beforeAll(async () => {
  soft = makeSoftToken('yinxin-flow');
  const token = await connectToken(soft.settings);
  await makeTokenWrappingKey(token, 'wrapping');
  await token.close();
  const { KEY_ENCRYPTION_KEY: _, ...secrets } = newSecrets();
  running = await startApp({
    env: {
      ...secrets,
      KEY_ENCRYPTION_KEY: undefined,
      PKCS11_MODULE: soft.settings.module,
      PKCS11_TOKEN: soft.settings.label,
      PKCS11_PIN: soft.settings.pin,
      PKCS11_WRAPPING_KEY: 'wrapping',
      PKCS11_KEYS: 'yes',
    },
  });
  const { organisations, db } = running.app;
  for (const [index, code] of ['91350100M000100Y43', '91350100ARUJWX97A0'].entries()) {
    const founded = await organisations.found(
      { unifiedSocialCreditCode: code, name: `示例${index}` },
      'system',
    );
    const unit = await organisations.createUnit(founded, '示例处', 'system');
    units.push(unit.id);
    for (const role of ['seal-keeper', 'approver', 'auditor'] as const)
      await person(`${role}-${index}`, role, unit.id);
  }
  async function person(name: string, role: Role, unitId: UnitId): Promise<void> {
    const accountId = newId('acc', new Date());
    await db.query(`INSERT INTO accounts (id, state, created_at) VALUES ($1, 'active', now())`, [accountId]);
    people.set(name, accountId);
    await organisations.grant({ accountId, role, unitId }, 'system');
  }
});
afterAll(async () => {
  await running.stop();
  soft.remove();
});

const who = (name: string): string => people.get(name) ?? 'nobody';
const ask = (by: string, act: string, parameters: Json, scope = units[0] ?? '') =>
  running.app.db.transaction((tx) =>
    running.app.dualControl.request(tx, { act, parameters, requestedBy: who(by), scope }),
  );
const together = async (act: string, parameters: Json) => {
  const { id, scope, digest } = await ask('seal-keeper-0', act, parameters);
  await running.app.dualControl.approve({ scope, id, by: who('approver-0'), digest });
  return running.app.dualControl.execute({ scope, id, by: who('seal-keeper-0') });
};
const creation = { purpose: 'seal', keyType: 'P-256', state: 'active' };

describe('a program whose keys are in a token', () => {
  test('starts, publishes its keys, and keeps none in the database', async () => {
    expect((await fetch(`${running.origin}/readyz`)).status).toBe(200);
    const { keys } = (await (await fetch(`${running.origin}/jwks`)).json()) as { keys: object[] };
    expect(keys.length).toBeGreaterThan(1);
    for (const { keyType, driver } of await running.app.custody.count())
      expect(driver).toBe(keyType === 'SM2' ? 'envelope' : 'pkcs11');
    const receipt = await running.app.audit.receipt(
      (await running.app.audit.find(1)) ?? expect.fail('the log is empty'),
    );
    expect(receipt.signature.split('.')).toHaveLength(3);
  });
});

describe("acts on a unit's keys", () => {
  test('are asked for by its keeper and approved by its approver: a key is made, signs, and ends', async () => {
    const key = (await together('key.create', creation)) as KeyRecord;
    const signer = await running.app.custody.signer(key.owner, key.id, 'ES256');
    const data = Buffer.from('以此为凭');
    expect(verifySignature('ES256', key.publicKey, data, await signer.sign(data))).toBe(true);
    await together('key.destroy', { keyId: key.id });
    expect(await signer.sign(data).then(String, codeOf)).toBe('KEY_NOT_ACTIVE');
  });

  test('are for nobody of another unit, no auditor, and no stranger', async () => {
    for (const by of ['seal-keeper-1', 'approver-1', 'auditor-0', 'auditor-1'])
      expect(await ask(by, 'key.create', creation).catch(codeOf)).toBe('ACT_FORBIDDEN');
    const { id, scope, digest } = await ask('seal-keeper-0', 'key.create', creation);
    for (const by of ['seal-keeper-1', 'approver-1', 'auditor-0', 'auditor-1']) {
      expect(await running.app.dualControl.approve({ scope, id, by: who(by), digest }).catch(codeOf)).toBe(
        'ACT_FORBIDDEN',
      );
      expect(await running.app.dualControl.refuse({ scope, id, by: who(by) }).catch(codeOf)).toBe(
        'ACT_FORBIDDEN',
      );
      expect(await running.app.dualControl.execute({ scope, id, by: who(by) }).catch(codeOf)).toBe(
        'ACT_FORBIDDEN',
      );
    }
  });

  test("never reach another unit's key", async () => {
    const key = (await together('key.create', creation)) as KeyRecord;
    const other = units[1] ?? '';
    for (const act of ['key.export', 'key.compromise', 'key.destroy']) {
      const asked = await ask('seal-keeper-1', act, { keyId: key.id }, other);
      await running.app.dualControl.approve({
        scope: other,
        id: asked.id,
        by: who('approver-1'),
        digest: asked.digest,
      });
      expect(
        await running.app.dualControl
          .execute({ scope: other, id: asked.id, by: who('seal-keeper-1') })
          .catch(codeOf),
      ).toBe('KEY_NOT_FOUND');
    }
    expect((await running.app.custody.find(key.owner, key.id))?.state).toBe('active');
  });

  test('count no longer when the approver has lost the office before they are done', async () => {
    const { id, scope, digest } = await ask('seal-keeper-0', 'key.create', creation);
    await running.app.dualControl.approve({ scope, id, by: who('approver-0'), digest });
    const [membership] = await running.app.db.query<{ id: string }>(
      `SELECT id FROM memberships WHERE account_id = $1`,
      [who('approver-0')],
    );
    await running.app.organisations.end(membership?.id ?? '', 'system');
    expect(await running.app.dualControl.execute({ scope, id, by: who('seal-keeper-0') }).catch(codeOf)).toBe(
      'ACT_NOT_APPROVED',
    );
  });
});
