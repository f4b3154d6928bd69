/** Sealing as an organisation's agent: what a token says it acts for is what it seals with, in every process, until the mandate ends. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { freePort } from '../setup/services.ts';
import { startProcess, type ServerProcess } from '../support/processes.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';
import { openSealDesk, type SealDesk } from '../support/sealing.ts';

const agreement = readFileSync('examples/documents/service-agreement.pdf');

let t: TestApp;
/** Another process on the same stores. */
let there: ServerProcess;
let thereOrigin: string;
let bureau: RelyingParty;
let desk: SealDesk;

beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  const port = await freePort();
  thereOrigin = `http://127.0.0.1:${port}`;
  there = await startProcess(['serve'], { ...t.env, PORT: String(port) });
  desk = await openSealDesk(t);
  bureau = await registerRelyingParty(t, {
    clientId: 'bureau',
    scopes: ['openid', 'organisation', 'seals:use'],
    scope: 'openid organisation seals:use',
  });
});
afterAll(async () => {
  await Promise.all([bureau.stop(), desk.rp.stop()]);
  await there.stop();
  await t.stop();
});

test('a token that acts by a mandate seals with what the mandate names, and stops in every process at once', async () => {
  const agent = newPerson();
  const { accountId: agentId } = await t.app.identity.register(agent);
  const { administration, finance } = desk.seals;
  const unit = await t.app.organisations.unit(administration.unitId);
  if (!unit) throw new Error('no unit');
  const mandate = await t.app.organisations.mandates.grant(
    {
      organisationId: unit.organisation.id,
      agentId,
      services: ['bureau'],
      seals: [administration.id],
      purpose: '代签年度合同',
      validTo: new Date(Date.now() + 86_400_000),
    },
    'system',
  );
  const attempt = await signIn(bureau, new UserAgent(), agent, { resource: `${t.origin}/api/v1` });
  const { access_token: token } = await bureau.redeem(attempt.callback, attempt);
  const seal = async (sealId: string) => {
    const form = new FormData();
    form.set('document', new Blob([agreement], { type: 'application/pdf' }), 'document.pdf');
    const response = await fetch(`${thereOrigin}/api/v1/seals/${sealId}/sealings`, {
      method: 'POST',
      body: form,
      headers: { Authorization: `Bearer ${token}` },
    });
    return response.status;
  };
  expect(await seal(administration.id)).toBe(201);
  expect(await seal(finance.id)).toBe(404);
  const uses = await t.app.organisations.mandates.uses(mandate.id, { limit: 10 });
  expect(uses).toMatchObject([{ service: 'bureau' }, { sealId: administration.id }]);

  await t.app.organisations.mandates.revoke(mandate.id, 'system');
  expect(await seal(administration.id)).toBe(401);
});
