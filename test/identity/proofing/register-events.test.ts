import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRegisterEvents, RegisterEventError } from '../../../src/identity/proofing/register-events.ts';
import { createOutboundFetch } from '../../../src/platform/http/outbound.ts';
import { fictional, newAccount, openProofing, statementOf } from '../../support/proofing.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const ISSUER = 'https://register.example';
const AUDIENCE = 'https://id.example';
const EVENT = 'urn:yinxin:register-event:';
let rooms: Rooms;
let house: ReturnType<typeof openProofing>;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;
let jwk: object;
let ended: string[];
let failing = false;
let number = 0;

beforeAll(async () => {
  rooms = await openRooms();
  house = openProofing(rooms);
  keys = await generateKeyPair('ES256');
  jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256' };
});
afterAll(() => rooms.db.close());

function receiver(register: object = { issuer: ISSUER, jwks: { keys: [jwk] } }) {
  ended = [];
  return createRegisterEvents({
    ...rooms,
    persons: house.persons,
    registers: [register as never],
    audience: AUDIENCE,
    fetch: createOutboundFetch(['127.0.0.0/8']),
    endSessions: async (accountId) => {
      if (failing) throw new Error('the store cannot be reached');
      ended.push(accountId);
    },
  });
}

const subject = (person: { kind: string; number: string }) => ({
  format: 'urn:yinxin:subject:document',
  kind: person.kind,
  number: person.number,
});

function payloadOf(type: string, person = fictional('李华'), members: object = {}): JWTPayload {
  number += 1;
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    iat: Math.floor(rooms.clock.now().getTime() / 1000),
    jti: `event-${number}`,
    sub_id: subject(person),
    events: { [`${EVENT}${type}`]: members },
  };
}
const sign = (payload: JWTPayload, header: object = {}, key = keys.privateKey) =>
  new SignJWT(payload)
    .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: 'one', ...header })
    .sign(key);

async function proofed(name: string) {
  const account = await newAccount(rooms);
  const outcome = await house.proofing.compare(account, statementOf(fictional(name)), {
    wanted: 2,
    returnUri: 'https://id.example/back',
  });
  if (outcome.kind !== 'proofed') throw new Error(outcome.kind);
  return account;
}
const stateOf = async (accountId: string) =>
  (
    await rooms.db.query<{ state: string; proofing: number }>(
      'SELECT state, proofing FROM accounts WHERE id = $1',
      [accountId],
    )
  )[0];
const problemOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'taken',
    (error: unknown) => (error instanceof RegisterEventError ? error.problem : error),
  );

describe('events of a register', () => {
  test('a death locks the account, ends its sessions, and its document opens nothing again', async () => {
    const events = receiver();
    const account = await proofed('李华');
    await events.receive(await sign(payloadOf('death')));
    expect(await stateOf(account)).toEqual({ state: 'locked', proofing: 1 });
    expect(ended).toEqual([account]);
    const other = await newAccount(rooms);
    const outcome = await house.proofing.compare(other, statementOf(fictional('李华')), {
      wanted: 2,
      returnUri: 'x',
    });
    expect(outcome.kind).toBe('taken');
    const [newest, before] = await house.persons.evidence(account);
    expect(newest).toMatchObject({ method: 'register-event', result: 'withdrawn', level: 0 });
    expect(before?.supersededAt).toEqual(rooms.clock.now());
  });

  test('a change of name holds from then on, and sessions end', async () => {
    const events = receiver();
    const account = await proofed('王小示');
    await events.receive(await sign(payloadOf('name-changed', fictional('王小示'), { name: '王大示' })));
    expect(await house.persons.person(account)).toMatchObject({
      name: '王大示',
      evidence: { method: 'register-event', authority: `register:${ISSUER}`, level: 2 },
    });
    expect(await stateOf(account)).toEqual({ state: 'active', proofing: 2 });
    expect(ended).toEqual([account]);
    // Without the new name nothing is known any more.
    await events.receive(await sign(payloadOf('name-changed', fictional('王小示'))));
    expect(await house.persons.person(account)).toBeUndefined();
    expect(await stateOf(account)).toEqual({ state: 'active', proofing: 1 });
  });

  test('a change of number moves the account to the new one, unless another account holds it', async () => {
    const events = receiver();
    const account = await proofed('王小示');
    const next = fictional('买买提·示例');
    const change = { document: { kind: next.kind, number: next.number } };
    await events.receive(await sign(payloadOf('number-changed', fictional('王小示'), change)));
    expect((await house.persons.person(account))?.document.number).toBe(next.number);
    const other = await proofed('张三');
    await events.receive(await sign(payloadOf('number-changed', fictional('张三'), change)));
    expect(await house.persons.person(other)).toBeUndefined();
    expect((await house.persons.evidence(other))[0]).toMatchObject({ result: 'conflict' });
    expect(await stateOf(other)).toEqual({ state: 'active', proofing: 1 });
    expect((await house.persons.person(account))?.document.number).toBe(next.number);
  });

  test('an event is taken once, however often and however parallel it comes', async () => {
    const events = receiver();
    const account = await proofed('张三');
    const token = await sign(payloadOf('name-changed', fictional('张三'), { name: '张四' }));
    await Promise.all([1, 2, 3, 4].map(() => events.receive(token)));
    await events.receive(token);
    const taken = (await house.persons.evidence(account)).filter(({ method }) => method === 'register-event');
    expect(taken).toHaveLength(1);
  });

  test('an event whose sessions could not be ended is finished when it comes again', async () => {
    const events = receiver();
    const person = fictional('张三');
    const token = await sign(payloadOf('document-void', person));
    failing = true;
    await expect(events.receive(token)).rejects.toThrow('the store cannot be reached');
    failing = false;
    await events.receive(token);
    expect(ended).toHaveLength(1);
    await events.receive(token);
    expect(ended).toHaveLength(1);
  });

  test('an event about somebody who has no account is taken, and does nothing', async () => {
    const events = receiver();
    await events.receive(
      await sign(payloadOf('death', { ...fictional('李华'), number: '11010519491231002X' })),
    );
    expect(ended).toEqual([]);
  });

  test('a token that is forged, for somebody else, of another kind or malformed is refused by its word', async () => {
    const events = receiver();
    const other = await generateKeyPair('ES256');
    const good = payloadOf('death');
    const cases: [string, Promise<string> | string][] = [
      ['authentication_failed', sign(good, {}, other.privateKey)],
      ['invalid_key', sign(good, { kid: 'two' })],
      ['invalid_issuer', sign({ ...good, iss: 'https://other.example' })],
      ['invalid_audience', sign({ ...good, aud: 'https://other.example' })],
      ['invalid_request', sign(good, { typ: 'JWT' })],
      ['invalid_request', sign({ ...good, iat: (good.iat ?? 0) + 3600 })],
      ['invalid_request', sign({ ...good, sub_id: { format: 'email', email: 'a@example' } })],
      ['invalid_request', sign({ ...good, sub_id: subject({ kind: 'resident-id', number: '1' }) })],
      ['invalid_request', sign({ ...good, events: {} })],
      ['invalid_request', sign({ ...good, events: { 'urn:other': {} } })],
      [
        'invalid_request',
        sign({ ...good, events: { [`${EVENT}death`]: {}, [`${EVENT}document-void`]: {} } }),
      ],
      ['invalid_request', sign({ ...good, events: { [`${EVENT}name-changed`]: { name: '<b>' } } })],
      ['invalid_request', ''],
      ['invalid_request', 'a.b.c'],
      [
        'invalid_request',
        `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(good)).toString('base64url')}.`,
      ],
    ];
    for (const [problem, token] of cases) expect(await problemOf(events.receive(await token))).toBe(problem);
    expect(ended).toEqual([]);
  });

  test('the keys of a register may lie where it publishes them', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const jwksUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
    const events = receiver({ issuer: ISSUER, jwksUri });
    await events.receive(await sign(payloadOf('document-void')));
    server.close();
    // Keys that cannot be reached are no judgement on the token: it is sent again.
    const unreachable = receiver({ issuer: ISSUER, jwksUri });
    expect(await problemOf(unreachable.receive(await sign(payloadOf('document-void'))))).toBeInstanceOf(
      Error,
    );
  });
});
