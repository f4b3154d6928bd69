/** /api/v1 over organisations, as a portal uses it. Every request and answer is held to the description. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkChain } from '../../src/audit/index.ts';
import { UserAgent } from '../../src/demo/user-agent.ts';
import type { Organisation, Role, Unit } from '../../src/organisations/index.ts';
import type { AccountId } from '../../src/platform/ids.ts';
import { startApp, type TestApp } from '../support/app.ts';
import { checkAnswer, describesRequest, fetchDescription, type Document } from '../support/openapi.ts';
import { newPerson, registerRelyingParty, signIn, type RelyingParty } from '../support/relying-party.ts';

interface Caller {
  readonly accountId: AccountId;
  readonly identifier: string;
  readonly token: string;
}
interface Said {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}
interface House {
  readonly organisation: Organisation;
  readonly office: Unit;
  readonly desk: Unit;
  readonly workshop: Unit;
  readonly representative: Caller;
  readonly administrator: Caller;
}

let t: TestApp;
let rp: RelyingParty;
let document: Document;
let house: House;
beforeAll(async () => {
  t = await startApp({ mode: 'server' });
  rp = await registerRelyingParty(t, {
    clientId: 'office-portal',
    scopes: ['openid', 'organisations:read', 'organisations:manage'],
    scope: 'openid organisations:read organisations:manage',
  });
  document = await fetchDescription(t.origin);
  house = await openHouse('91330106MADEMYXKJ3');
});
afterAll(async () => {
  await rp.stop();
  await t.stop();
});

async function newCaller(scope = 'openid organisations:read organisations:manage'): Promise<Caller> {
  const person = newPerson();
  const { accountId } = await t.app.identity.register(person);
  const attempt = await signIn(rp, new UserAgent(), person, { scope, resource: `${t.origin}/api/v1` });
  const { access_token: token } = await rp.redeem(attempt.callback, attempt);
  return { accountId, identifier: person.identifier, token };
}

/** office > desk; workshop; with a representative and an administrator. */
async function openHouse(unifiedSocialCreditCode: string): Promise<House> {
  const { organisations } = t.app;
  const organisation = await organisations.found({ unifiedSocialCreditCode, name: '虚构示例单位' }, 'system');
  const office = await organisations.createUnit(organisation, '办公室', 'system');
  const desk = await organisations.createUnit(organisation, '前台', 'system', office.id);
  const workshop = await organisations.createUnit(organisation, '车间', 'system');
  const [representative, administrator] = [await newCaller(), await newCaller()];
  const organisationId = organisation.id;
  await organisations.grant(
    { accountId: representative.accountId, organisationId, role: 'legal-representative' },
    'system',
  );
  await organisations.grant(
    { accountId: administrator.accountId, organisationId, role: 'administrator' },
    'system',
  );
  return { organisation, office, desk, workshop, representative, administrator };
}

/** Asks the API, and holds the answer to the description; the request too, unless it is refused for what it is. */
async function ask(
  caller: Caller,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Said> {
  const response = await fetch(`${t.origin}/api/v1${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${caller.token}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>);
  checkAnswer(document, method, path.split('?')[0] ?? '', {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    body: parsed,
  });
  if (response.status < 300)
    expect(describesRequest(document, method, path, body), `${method} ${path} as described`).toBe(true);
  return { status: response.status, headers: response.headers, body: parsed ?? {} };
}
const idOf = ({ body }: Said) => String(body['id']);
const itemsOf = ({ body }: Said) => body['items'] as Record<string, unknown>[];
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
const mandateFor = (agent: Caller, more: object = {}) => ({
  identifier: agent.identifier,
  services: ['office-portal'],
  purpose: '代为申报年度材料',
  validTo: inDays(30),
  ...more,
});

describe('the API of organisations', () => {
  test('is described by OpenAPI 3.1, every operation with its scope and its problems', () => {
    expect(document.openapi).toBe('3.1.0');
    const own = Object.entries(document.paths).filter(([path]) =>
      /^\/(organisations|units|memberships|mandates)/.test(path),
    );
    expect(own.flatMap(([, methods]) => Object.keys(methods))).toHaveLength(23);
    for (const [, methods] of own)
      for (const described of Object.values(methods))
        expect(Object.keys(described.responses)).toEqual(expect.arrayContaining(['400', '401', '404']));
  });

  test('lists for whom a person acts, and shows an organisation to whoever holds a role in it', async () => {
    const { organisation, administrator } = house;
    const listed = await ask(administrator, 'GET', '/organisations');
    expect(itemsOf(listed)).toMatchObject([
      { organisation: { id: organisation.id }, unitId: null, roles: ['administrator'], mandateId: null },
    ]);
    expect((await ask(administrator, 'GET', `/organisations/${organisation.id}`)).body).toMatchObject({
      unifiedSocialCreditCode: '91330106MADEMYXKJ3',
      kind: 'enterprise',
      region: '330106',
      state: 'active',
    });
    expect((await ask(await newCaller(), 'GET', `/organisations/${organisation.id}`)).status).toBe(404);
  });

  test('makes, renames, moves and closes units', async () => {
    const { organisation, office, workshop, administrator } = house;
    const units = `/organisations/${organisation.id}/units`;
    const made = await ask(administrator, 'POST', units, { name: '档案室', parentId: office.id });
    expect(made).toMatchObject({ status: 201, body: { parentId: office.id, state: 'active' } });
    const path = `/units/${idOf(made)}`;
    expect(made.headers.get('location')).toBe(`/api/v1${path}`);
    expect((await ask(administrator, 'PATCH', path, { name: '资料室' })).body).toMatchObject({
      name: '资料室',
    });
    expect((await ask(administrator, 'PATCH', path, { parentId: null })).body).toMatchObject({
      parentId: null,
    });
    expect((await ask(administrator, 'PATCH', path, { parentId: idOf(made) })).body).toMatchObject({
      code: 'UNIT_CYCLE',
    });
    expect((await ask(administrator, 'PATCH', path, { parentId: workshop.id })).status).toBe(200);
    expect((await ask(administrator, 'PATCH', path, {})).body).toMatchObject({ code: 'BODY_INVALID' });
    expect((await ask(administrator, 'DELETE', `/units/${workshop.id}`)).body).toMatchObject({
      code: 'UNIT_IN_USE',
    });
    expect((await ask(administrator, 'DELETE', path)).status).toBe(204);
    expect((await ask(administrator, 'DELETE', path)).status).toBe(409);
  });

  test('pages through what there is, by a cursor', async () => {
    const { organisation, desk, administrator } = house;
    for (let i = 0; i < 5; i++)
      await t.app.organisations.createUnit(organisation, `分组${i}`, 'system', desk.id);
    const seen: unknown[] = [];
    let cursor: unknown = null;
    do {
      const more = typeof cursor === 'string' ? `&cursor=${cursor}` : '';
      const said = await ask(administrator, 'GET', `/organisations/${organisation.id}/units?limit=3${more}`);
      expect(itemsOf(said).length).toBeLessThanOrEqual(3);
      seen.push(...itemsOf(said).map(({ id }) => id));
      cursor = said.body['next'];
    } while (cursor !== null);
    expect(seen).toHaveLength(8);
    expect(new Set(seen).size).toBe(8);
    for (const query of ['limit=0', 'limit=101', 'cursor=AAAA', 'offset=3', 'limit=1&limit=2'])
      expect(
        (await ask(administrator, 'GET', `/organisations/${organisation.id}/units?${query}`)).body,
      ).toMatchObject({ code: 'PARAMETER_INVALID' });
  });

  test('gives roles and ends them, and names people by the number that the portal knows', async () => {
    const { organisation, desk, administrator } = house;
    const members = `/organisations/${organisation.id}/members`;
    const officer = await newCaller();
    const given = await ask(administrator, 'POST', members, {
      identifier: officer.identifier,
      role: 'seal-officer',
      unitId: desk.id,
    });
    expect(given).toMatchObject({ status: 201, body: { role: 'seal-officer', unitId: desk.id } });
    const { sub } = given.body;
    expect(sub).not.toBe(officer.accountId);
    expect(JSON.stringify(given.body)).not.toContain('acc_');
    const listed = await ask(administrator, 'GET', `${members}?unitId=${desk.id}`);
    expect(itemsOf(listed)).toEqual([given.body]);
    expect((await ask(administrator, 'POST', members, { sub, role: 'auditor' })).body).toMatchObject({
      code: 'DUTIES_SEPARATE',
    });
    expect((await ask(administrator, 'POST', members, { sub, role: 'administrator' })).body).toMatchObject({
      code: 'TWO_PERSONS_NEEDED',
    });
    expect(
      (await ask(administrator, 'POST', members, { identifier: 'nobody-at-all', role: 'auditor' })).body,
    ).toMatchObject({ code: 'PERSON_UNKNOWN' });
    expect((await ask(officer, 'GET', members)).status).toBe(403);
    expect((await ask(administrator, 'DELETE', `/memberships/${idOf(given)}`)).status).toBe(204);
    expect((await ask(administrator, 'DELETE', `/memberships/${idOf(given)}`)).status).toBe(404);
    const again = await ask(administrator, 'POST', members, { sub, role: 'seal-officer', unitId: desk.id });
    expect((await ask(officer, 'DELETE', `/memberships/${idOf(again)}`)).status).toBe(204);
  });

  test('grants mandates, shows them and their uses to grantor and agent, and revokes them', async () => {
    const { organisation, administrator } = house;
    const agent = await newCaller();
    const path = `/organisations/${organisation.id}/mandates`;
    const granted = await ask(administrator, 'POST', path, mandateFor(agent));
    expect(granted).toMatchObject({ status: 201, body: { services: ['office-portal'], revokedAt: null } });
    const own = `/mandates/${idOf(granted)}`;
    expect(itemsOf(await ask(agent, 'GET', '/mandates'))).toEqual([granted.body]);
    expect(itemsOf(await ask(agent, 'GET', '/organisations'))).toMatchObject([{ mandateId: idOf(granted) }]);
    const acting = { organisationId: organisation.id, mandateId: idOf(granted) as `mdt_${string}` };
    await t.app.db.transaction((tx) =>
      t.app.organisations.use(tx, agent.accountId, acting, { service: 'office-portal' }),
    );
    for (const caller of [administrator, agent]) {
      expect((await ask(caller, 'GET', own)).body).toEqual(granted.body);
      expect(itemsOf(await ask(caller, 'GET', `${own}/uses`))).toMatchObject([{ service: 'office-portal' }]);
    }
    expect((await ask(agent, 'GET', path)).status).toBe(404);
    expect((await ask(administrator, 'DELETE', own)).status).toBe(204);
    expect((await ask(agent, 'GET', own)).body['revokedAt']).toEqual(expect.any(String));
    expect(itemsOf(await ask(agent, 'GET', '/organisations'))).toEqual([]);
    const second = await ask(administrator, 'POST', path, mandateFor(agent));
    expect((await ask(agent, 'DELETE', `/mandates/${idOf(second)}`)).status).toBe(204);
    expect(
      (await ask(administrator, 'POST', path, mandateFor(agent, { services: ['nowhere'] }))).body,
    ).toMatchObject({ code: 'MANDATE_SERVICE_UNKNOWN' });
  });

  test('has an administrator appointed by two persons', async () => {
    const { organisation, representative, administrator } = house;
    const nominee = await newCaller();
    const acts = `/organisations/${organisation.id}/acts`;
    const asked = await ask(representative, 'POST', acts, { identifier: nominee.identifier });
    expect(asked).toMatchObject({
      status: 201,
      body: { state: 'requested', approvals: 0, approvalsNeeded: 1 },
    });
    const act = `${acts}/${idOf(asked)}`;
    const approval = { digest: asked.body['digest'] };
    expect((await ask(nominee, 'POST', `${act}/approval`, approval)).status).toBe(404);
    expect((await ask(representative, 'POST', `${act}/approval`, approval)).body).toMatchObject({
      code: 'ACT_OWN',
    });
    expect((await ask(representative, 'POST', `${act}/execution`)).body).toMatchObject({
      code: 'ACT_NOT_APPROVED',
    });
    expect(
      (await ask(administrator, 'POST', `${act}/approval`, { digest: '0'.repeat(64) })).body,
    ).toMatchObject({ code: 'ACT_DIFFERS' });
    expect((await ask(administrator, 'POST', `${act}/approval`, approval)).body).toMatchObject({
      approvals: 1,
    });
    expect((await ask(administrator, 'POST', `${act}/execution`)).body).toMatchObject({ state: 'executed' });
    expect(itemsOf(await ask(nominee, 'GET', '/organisations'))).toMatchObject([
      { roles: ['administrator'] },
    ]);
    const second = await ask(representative, 'POST', acts, { identifier: (await newCaller()).identifier });
    expect((await ask(administrator, 'POST', `${acts}/${idOf(second)}/refusal`)).body).toMatchObject({
      state: 'refused',
    });
    const third = await ask(administrator, 'POST', acts, { identifier: (await newCaller()).identifier });
    expect((await ask(administrator, 'POST', `${acts}/${idOf(third)}/withdrawal`)).body).toMatchObject({
      state: 'withdrawn',
    });
    expect(itemsOf(await ask(administrator, 'GET', acts))).toHaveLength(3);
  });

  test('asks for a token with the scope of what is asked', async () => {
    const reader = await newCaller('openid organisations:read');
    expect((await ask(reader, 'GET', '/organisations')).status).toBe(200);
    const refused = await ask(reader, 'POST', `/organisations/${house.organisation.id}/units`, {
      name: '新',
    });
    expect(refused).toMatchObject({ status: 403, body: { code: 'SCOPE_INSUFFICIENT' } });
    expect(refused.headers.get('www-authenticate')).toContain('insufficient_scope');
    const nobody = { ...reader, token: 'nothing' };
    expect((await ask(nobody, 'GET', '/organisations')).status).toBe(401);
  });

  test.each([
    ['no JSON', '{"name":', 'BODY_UNREADABLE'],
    ['an array', '[]', 'BODY_INVALID'],
    ['a member that is not known', { name: '新', owner: 'me' }, 'BODY_INVALID'],
    ['a name of blanks', { name: '  ' }, 'BODY_INVALID'],
    ['a name with a sign that does not show', { name: '办公\u202E室' }, 'BODY_INVALID'],
    ['a name with a zero', { name: 'a\u0000b' }, 'BODY_INVALID'],
    ['half a letter', '{"name":"\\ud800"}', 'BODY_INVALID'],
    ['a long name', { name: '名'.repeat(65) }, 'BODY_INVALID'],
    ['the id of something else', { name: '新', parentId: house?.organisation.id ?? 'org_1' }, 'BODY_INVALID'],
  ])('refuses %s', async (_what, body, code) => {
    const said = await ask(
      house.administrator,
      'POST',
      `/organisations/${house.organisation.id}/units`,
      body,
    );
    expect(said).toMatchObject({ body: { code, traceId: expect.stringMatching(/^[0-9a-f]{32}$/) } });
    expect([400, 422]).toContain(said.status);
    expect(said.headers.get('content-type')).toContain('application/problem+json');
  });
});

describe('Idempotency-Key', () => {
  const create = (name: string, key: string, caller = house.administrator) =>
    ask(
      caller,
      'POST',
      `/organisations/${house.organisation.id}/units`,
      { name },
      { 'Idempotency-Key': key },
    );

  test('gives the same request the same answer, and another request none', async () => {
    const first = await create('复印室', 'key-1');
    const second = await create('复印室', 'key-1');
    expect(second).toMatchObject({ status: 201, body: first.body });
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect(await create('会议室', 'key-1')).toMatchObject({
      status: 422,
      body: { code: 'IDEMPOTENCY_KEY_REUSED' },
    });
    // Keys of others are others.
    expect((await create('会议室', 'key-1', house.representative)).status).toBe(201);
    expect((await create('会客室', 'k'.repeat(129))).body).toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
  });

  test('stays free after a refusal', async () => {
    expect((await create('办公室', 'key-2')).status).toBe(409);
    expect((await create('收发室', 'key-2')).status).toBe(201);
  });

  test('of twenty at the same moment does one', async () => {
    const said = await Promise.all(Array.from({ length: 20 }, () => create('值班室', 'key-3')));
    const done = said.filter(({ status }) => status === 201);
    expect(done.length).toBeGreaterThan(0);
    expect(new Set(done.map(idOf)).size).toBe(1);
    expect(
      said.filter(({ status }) => status !== 201).every(({ body }) => body['code'] === 'REQUEST_IN_PROGRESS'),
    ).toBe(true);
    const units = await t.app.organisations.units(house.organisation);
    expect(units.filter(({ name }) => name === '值班室')).toHaveLength(1);
  });

  test('leaves neither the key nor the request in the database', async () => {
    const rows = await t.app.db.query(
      'SELECT encode(key_hash, $1) AS k, encode(request_hash, $1) AS r FROM api_requests',
      ['escape'],
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toMatch(/key-\d|复印/);
  });
});

const ROLES_ON_UNIT: readonly Role[] = [
  'administrator',
  'auditor',
  'approver',
  'seal-keeper',
  'seal-officer',
];

/** Everything of a house that a table holds. */
async function stateOf({ organisation }: House): Promise<unknown> {
  const values = [organisation.id];
  const acts = `SELECT a.id, a.state, count(p.act_id) AS approvals FROM dual_control_acts a
    LEFT JOIN dual_control_approvals p ON p.act_id = a.id WHERE a.scope = $1 GROUP BY a.id, a.state ORDER BY a.id`;
  return Promise.all([
    t.app.db.query(
      'SELECT id, name, parent_id, state FROM units WHERE organisation_id = $1 ORDER BY id',
      values,
    ),
    t.app.db.query(
      'SELECT id, role, account_id FROM memberships WHERE organisation_id = $1 ORDER BY id',
      values,
    ),
    t.app.db.query('SELECT id, revoked_at FROM mandates WHERE organisation_id = $1 ORDER BY id', values),
    t.app.db.query(acts, values),
  ]);
}
const refusalsBy = async ({ accountId }: Caller): Promise<number> => {
  const rows = await t.app.db.query(
    `SELECT seq FROM audit_events WHERE type = 'organisation.refused' AND actor = $1`,
    [accountId],
  );
  return rows.length;
};

describe('whoever has every role elsewhere', () => {
  let target: House;
  /** Requests on the things of `target.workshop`, or of the whole organisation. */
  let onUnit: [string, string, unknown?][];
  let onOrganisation: [string, string, unknown?][];
  beforeAll(async () => {
    target = await openHouse('91350100M000100Y43');
    const { organisation, office, workshop, representative, administrator } = target;
    const officer = await newCaller();
    const member = await t.app.organisations.grant(
      { accountId: officer.accountId, unitId: workshop.id, role: 'seal-officer' },
      administrator.accountId,
    );
    const own = `/organisations/${organisation.id}`;
    const mandate = await ask(
      administrator,
      'POST',
      `${own}/mandates`,
      mandateFor(officer, { unitId: workshop.id }),
    );
    const wide = await ask(administrator, 'POST', `${own}/mandates`, mandateFor(officer));
    const nominee = await newCaller();
    const unitAct = await ask(representative, 'POST', `${own}/acts`, {
      identifier: nominee.identifier,
      unitId: workshop.id,
    });
    const wideAct = await ask(representative, 'POST', `${own}/acts`, { identifier: nominee.identifier });
    const [representing] = await t.app.organisations.membershipsOf(representative.accountId);
    const named = { identifier: nominee.identifier };
    const actRequests = (act: Said): [string, string, unknown?][] => [
      ['GET', `${own}/acts/${idOf(act)}`],
      ['POST', `${own}/acts/${idOf(act)}/approval`, { digest: act.body['digest'] }],
      ['POST', `${own}/acts/${idOf(act)}/refusal`],
      ['POST', `${own}/acts/${idOf(act)}/withdrawal`],
      ['POST', `${own}/acts/${idOf(act)}/execution`],
    ];
    const mandateRequests = (granted: Said): [string, string, unknown?][] => [
      ['GET', `/mandates/${idOf(granted)}`],
      ['GET', `/mandates/${idOf(granted)}/uses`],
      ['DELETE', `/mandates/${idOf(granted)}`],
    ];
    onUnit = [
      ['GET', `/units/${workshop.id}`],
      ['PATCH', `/units/${workshop.id}`, { name: '夺来' }],
      ['PATCH', `/units/${workshop.id}`, { parentId: office.id }],
      ['DELETE', `/units/${workshop.id}`],
      ['POST', `${own}/units`, { name: '新', parentId: workshop.id }],
      ['GET', `${own}/members?unitId=${workshop.id}`],
      ['POST', `${own}/members`, { ...named, role: 'seal-officer', unitId: workshop.id }],
      ['DELETE', `/memberships/${member.id}`],
      ['GET', `${own}/mandates?unitId=${workshop.id}`],
      ['POST', `${own}/mandates`, mandateFor(nominee, { unitId: workshop.id })],
      ...mandateRequests(mandate),
      ['POST', `${own}/acts`, { ...named, unitId: workshop.id }],
      ...actRequests(unitAct),
    ];
    onOrganisation = [
      ['POST', `${own}/units`, { name: '新' }],
      ['GET', `${own}/members`],
      ['POST', `${own}/members`, { ...named, role: 'auditor' }],
      ['DELETE', `/memberships/${representing?.id}`],
      ['GET', `${own}/mandates`],
      ['POST', `${own}/mandates`, mandateFor(nominee)],
      ...mandateRequests(wide),
      ['GET', `${own}/acts`],
      ['POST', `${own}/acts`, named],
      ...actRequests(wideAct),
    ];
  });

  test('in another organisation is told that nothing is there, and each try is on record', async () => {
    const before = await stateOf(target);
    const requests: [string, string, unknown?][] = [
      ['GET', `/organisations/${target.organisation.id}`],
      ['GET', `/organisations/${target.organisation.id}/units`],
      ...onUnit,
      ...onOrganisation,
    ];
    // Every operation that names something is among them.
    const tried = new Set(
      requests.map(
        ([method, path]) => `${method} ${path.split('?')[0]?.replaceAll(/[a-z]+_[0-9a-z]{26}/g, '{}')}`,
      ),
    );
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      /^\/(organisations|units|memberships|mandates)\/\{/.test(path)
        ? Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '{}')}`)
        : [],
    );
    expect(described.filter((each) => !tried.has(each))).toEqual([]);
    const attackers = [house.representative, house.administrator];
    for (const role of ROLES_ON_UNIT) {
      const attacker = await newCaller();
      await t.app.organisations.grant(
        { accountId: attacker.accountId, unitId: house.office.id, role },
        'system',
      );
      attackers.push(attacker);
    }
    for (const attacker of attackers) {
      const known = await refusalsBy(attacker);
      for (const [method, path, body] of requests)
        expect((await ask(attacker, method, path, body)).status, `${method} ${path}`).toBe(404);
      expect(await refusalsBy(attacker)).toBe(known + requests.length);
    }
    expect(await stateOf(target)).toEqual(before);
  });

  test('in another unit of the organisation may do nothing in this one, and each try is on record', async () => {
    const before = await stateOf(target);
    for (const role of ROLES_ON_UNIT) {
      const attacker = await newCaller();
      const { id } = await t.app.organisations.grant(
        { accountId: attacker.accountId, unitId: target.office.id, role },
        'system',
      );
      for (const [method, path, body] of [...onUnit, ...onOrganisation])
        expect([403, 404], `${role}: ${method} ${path}`).toContain(
          (await ask(attacker, method, path, body)).status,
        );
      expect(await refusalsBy(attacker), role).toBe(onUnit.length + onOrganisation.length);
      // What it may see is its own.
      const units = await ask(attacker, 'GET', `/organisations/${target.organisation.id}/units`);
      expect(itemsOf(units).map(({ id: unit }) => unit)).not.toContain(target.workshop.id);
      await t.app.organisations.end(id, 'system');
    }
    expect(await stateOf(target)).toEqual(before);
  });

  test('and the audit chain stands', async () => {
    expect((await checkChain(t.app.audit)).finding).toBeUndefined();
  });
});
