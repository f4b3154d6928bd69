import { createSecretKey, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createIdentity,
  createPasskeys,
  createPasswordHasher,
  IdentityError,
  type Identity,
  type Passkeys,
} from '../../../src/identity/index.ts';
import { createAccounts } from '../../../src/identity/accounts.ts';
import { derToPem, distinguishedName } from '../../../src/pki/index.ts';
import { toDataKeys } from '../../../src/platform/data-keys.ts';
import { issue, issueCa, type Holder } from '../../pki/support.ts';
import { Authenticator, type AuthenticatorTraits, type Deviation } from '../../support/authenticator.ts';
import { silentLogger } from '../../support/logger.ts';
import { recordedMessages } from '../../support/messages.ts';
import { openRooms, type Rooms } from '../../support/rooms.ts';

const origin = 'https://id.example.cn';
const dataKeys = toDataKeys(createSecretKey(randomBytes(32)));
let rooms: Rooms;
let identity: Identity;
let passkeys: Passkeys;
const taken = new Set<string>();
let people = 0;
const messages = recordedMessages();

const takeOnce = async (name: string) => {
  if (taken.has(name)) return false;
  taken.add(name);
  return true;
};

function open(authorities?: string): Passkeys {
  const accounts = createAccounts({ ...rooms, dataKeys, channels: new Set() });
  return createPasskeys({
    ...rooms,
    dataKeys,
    accounts,
    issuer: origin,
    serviceName: '印信',
    authorities,
    takeOnce,
  });
}

beforeAll(async () => {
  rooms = await openRooms();
  const passwords = await createPasswordHasher({
    cost: { memoryKiB: 7168, passes: 1, lanes: 1 },
    pepper: createSecretKey(randomBytes(32)),
    logger: silentLogger,
  });
  identity = createIdentity({
    ...rooms,
    dataKeys,
    passwords,
    messages,
    serviceName: '印信',
    issuer: origin,
    passkeyAuthorities: undefined,
    takeOnce,
    recoveryWaitHours: 72,
  });
  passkeys = identity.passkeys;
});
afterAll(() => rooms.db.close());

const codeOf = (error: unknown) => (error instanceof IdentityError ? error.code : error);

async function newAccount(): Promise<string> {
  people += 1;
  const person = { identifier: `reed-${people}`, password: 'a heron at the weir' };
  return (await identity.register(person)).accountId;
}

/** Makes a passkey as a browser does. */
async function enrol(
  accountId: string,
  authenticator: Authenticator,
  {
    name = '手机',
    deviation = {},
    room = passkeys,
  }: { name?: string; deviation?: Deviation; room?: Passkeys } = {},
) {
  const binding = 'session-of-enrolment';
  const options = await room.registrationOptions({ accountId, binding, userName: 'reed' });
  const response = authenticator.create(options, deviation);
  return (await room.register({ accountId, binding, response, name })).passkey;
}

/** Uses a passkey without a user name. */
async function use(authenticator: Authenticator, deviation: Deviation = {}, room = passkeys) {
  const binding = 'interaction';
  const options = await room.authenticationOptions({ binding });
  return room.authenticate({ binding, response: authenticator.get(options, deviation) });
}

async function person(traits: Partial<AuthenticatorTraits> = {}) {
  const accountId = await newAccount();
  const authenticator = new Authenticator({ origin, ...traits });
  const passkey = await enrol(accountId, authenticator);
  return { accountId, authenticator, passkey };
}

async function eventsOf(accountId: string, type: string) {
  return rooms.db.query<{ detail: Record<string, unknown> }>(
    'SELECT detail FROM audit_events WHERE subject = $1 AND type = $2 ORDER BY seq',
    [accountId, type],
  );
}

describe('a passkey', () => {
  test.each(['ES256', 'EdDSA', 'RS256'] as const)(
    'of %s signs its owner in without a user name',
    async (algorithm) => {
      const { accountId, authenticator } = await person({ algorithm });
      expect(await use(authenticator)).toEqual({ accountId, method: 'swk', at: rooms.clock.now() });
    },
  );

  test('is asked for as discoverable, with user verification, on this host, and not where there is one already', async () => {
    const { accountId, passkey, authenticator } = await person();
    const options = await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'reed' });
    expect(options).toMatchObject({
      rp: { id: 'id.example.cn' },
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      extensions: { credProps: true },
      excludeCredentials: [{ id: authenticator.keys[0]?.id.toString('base64url') }],
    });
    expect(options.pubKeyCredParams.map(({ alg }) => alg)).toEqual([-7, -8, -257]);
    expect(passkey).toMatchObject({ name: '手机', deviceBound: false, lastUsedAt: undefined });
    const request = await passkeys.authenticationOptions({ binding: 'b' });
    expect(request).toMatchObject({ rpId: 'id.example.cn', userVerification: 'required' });
    expect(request.allowCredentials).toBeUndefined();
  });

  test('knows its account by a random number that is the same for all of its passkeys and says nothing', async () => {
    const { accountId } = await person();
    const again = await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'reed' });
    const twice = await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'reed' });
    expect(again.user.id).toBe(twice.user.id);
    expect(Buffer.from(again.user.id, 'base64url')).toHaveLength(32);
    const raced = await newAccount();
    const ids = await Promise.all(
      Array.from({ length: 5 }, () =>
        passkeys.registrationOptions({ accountId: raced, binding: 'b', userName: 'reed' }),
      ),
    );
    expect(new Set(ids.map(({ user }) => user.id)).size).toBe(1);
    expect(ids[0]?.user.id).not.toBe(again.user.id);
  });

  test('is one of several, each listed with its name and last use, renamed and removed by its owner alone', async () => {
    const { accountId, authenticator, passkey } = await person();
    rooms.clock.advance(60);
    const second = await enrol(accountId, new Authenticator({ origin }), { name: '  办公室电脑 👨‍👩‍👧 ' });
    rooms.clock.advance(60);
    await use(authenticator);
    expect(await passkeys.list(accountId)).toMatchObject([
      { id: passkey.id, name: '手机', lastUsedAt: rooms.clock.now() },
      { id: second.id, name: '办公室电脑 👨‍👩‍👧', lastUsedAt: undefined },
    ]);
    await passkeys.rename(accountId, second.id, '平板');
    expect((await passkeys.list(accountId))[1]).toMatchObject({ name: '平板' });

    const stranger = await newAccount();
    expect(await passkeys.rename(stranger, second.id, 'mine').catch(codeOf)).toBe('PASSKEY_NOT_FOUND');
    expect(await passkeys.remove(stranger, second.id).catch(codeOf)).toBe('PASSKEY_NOT_FOUND');
    await passkeys.remove(accountId, second.id);
    expect(await passkeys.list(accountId)).toHaveLength(1);
    const events = await rooms.db.query<{ type: string }>(
      `SELECT type FROM audit_events WHERE subject = $1 AND type LIKE 'passkey.%' ORDER BY seq`,
      [accountId],
    );
    expect(events.map(({ type }) => type)).toEqual([
      'passkey.registered',
      'passkey.registered',
      'passkey.renamed',
      'passkey.removed',
    ]);
  });

  test('has a name of 1 to 60 signs that can be read', async () => {
    const { accountId, passkey } = await person();
    for (const name of ['', '   ', 'x'.repeat(61), 'a\u0000b', 'a\nb', '\u202Eabc'])
      expect(await passkeys.rename(accountId, passkey.id, name).catch(codeOf), JSON.stringify(name)).toBe(
        'PASSKEY_NAME',
      );
    await passkeys.rename(accountId, passkey.id, '📱'.repeat(60));
  });

  test('is at rest with its name encrypted, bound to the account', async () => {
    const { accountId } = await person();
    const rows = await rooms.db.query<{ name: Uint8Array }>(
      'SELECT name FROM passkeys WHERE account_id = $1',
      [accountId],
    );
    expect(Buffer.from(rows[0]?.name ?? []).toString('utf8')).not.toContain('手机');
    const { accountId: other } = await person();
    await rooms.db.query('UPDATE passkeys SET name = $2 WHERE account_id = $1', [other, rows[0]?.name]);
    await expect(passkeys.list(other)).rejects.toThrow();
  });

  test('is one of at most twenty', async () => {
    const accountId = await newAccount();
    for (let i = 0; i < 20; i++) await enrol(accountId, new Authenticator({ origin }));
    expect(await enrol(accountId, new Authenticator({ origin })).catch(codeOf)).toBe('PASSKEY_LIMIT');
  });

  test('is not removed when it is the last way in, not even by two who remove one each at once', async () => {
    const { accountId, passkey } = await person();
    await rooms.db.query('DELETE FROM password_credentials WHERE account_id = $1', [accountId]);
    expect(await passkeys.remove(accountId, passkey.id).catch(codeOf)).toBe('LAST_WAY_IN');
    const second = await enrol(accountId, new Authenticator({ origin }));
    const outcomes = await Promise.allSettled([
      passkeys.remove(accountId, passkey.id),
      passkeys.remove(accountId, second.id),
    ]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await passkeys.list(accountId)).toHaveLength(1);
  });

  test('may go where a code by text message lets its owner in', async () => {
    const { accountId } = await identity.register({
      identifier: '19900001234',
      password: 'a heron at the weir',
      verified: true,
    });
    const { id } = await enrol(accountId, new Authenticator({ origin }));
    await rooms.db.query('DELETE FROM password_credentials WHERE account_id = $1', [accountId]);
    await passkeys.remove(accountId, id);
    expect((await identity.account(accountId))?.methods).toEqual(['sms']);
  });

  test('that was asked for in a step-up is one of that account, by its list', async () => {
    const { accountId, authenticator } = await person();
    const { authenticator: strange } = await person();
    const options = await passkeys.authenticationOptions({ binding: 'i', accountId });
    expect(options.allowCredentials).toMatchObject([
      { id: authenticator.keys[0]?.id.toString('base64url'), transports: ['internal', 'hybrid'] },
    ]);
    // Authenticators that were told the credential need not say whose it is.
    const response = authenticator.get(options, { userHandle: null });
    expect(await passkeys.authenticate({ binding: 'i', accountId, response })).toMatchObject({ accountId });
    const other = await passkeys.authenticationOptions({ binding: 'i', accountId });
    expect(
      await passkeys.authenticate({ binding: 'i', accountId, response: strange.get(other) }).catch(codeOf),
    ).toBe('PASSKEY_REFUSED');
  });
});

describe('a sign-in by passkey is refused with one answer', () => {
  let owner: Awaited<ReturnType<typeof person>>;
  const answers = new Set<string>();
  beforeEach(async () => {
    owner = await person();
  });

  const refused = async (attempt: Promise<unknown>) => {
    const error = await attempt.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(IdentityError);
    if (error instanceof IdentityError) answers.add(`${error.code}: ${error.message}`);
  };

  const deviations: Record<string, Deviation> = {
    'from another origin': { origin: 'https://id.example.cn.evil.example' },
    'from a page without TLS': { origin: 'http://id.example.cn' },
    'from another port of this host': { origin: 'https://id.example.cn:8443' },
    'from a subdomain': { origin: 'https://www.id.example.cn' },
    'in a frame of another site': { crossOrigin: true },
    'for another relying party': { rpId: 'evil.example' },
    'without user verification': { userVerified: false },
    'without the user being there': { userPresent: false },
    'by a ceremony of another type': { type: 'webauthn.create' },
    'with an unknown credential': { credentialId: Buffer.alloc(32, 7) },
    'with no user handle': { userHandle: null },
    'with the account id as user handle': { userHandle: Buffer.from('acc_01').toString('base64url') },
    'with a challenge that nobody made': { challenge: randomBytes(54).toString('base64url') },
    'with a short challenge': { challenge: 'AAAA' },
    'with a tampered signature': { spoil: (signature) => (signature[signature.length - 1]! ^= 1) },
    'with a key that says now that it stays in one device': { backupEligible: false },
  };
  test.each(Object.entries(deviations))('%s', async (_, deviation) => {
    await refused(use(owner.authenticator, deviation));
    // It was the deviation, and it has done no harm.
    expect(await use(owner.authenticator)).toMatchObject({ accountId: owner.accountId });
  });

  test("with another account's user handle", async () => {
    const { authenticator: other } = await person();
    await refused(use(owner.authenticator, { userHandle: other.keys[0]?.userHandle ?? '' }));
  });

  test("with another person's credential id over one's own signature", async () => {
    const { authenticator: victim } = await person();
    const key = victim.keys[0];
    await refused(
      use(owner.authenticator, {
        credentialId: key?.id ?? Buffer.alloc(0),
        userHandle: key?.userHandle ?? '',
      }),
    );
  });

  test('when it is replayed, also by twenty at once', async () => {
    const options = await passkeys.authenticationOptions({ binding: 'i' });
    const response = owner.authenticator.get(options);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => passkeys.authenticate({ binding: 'i', response })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    await refused(passkeys.authenticate({ binding: 'i', response }));
  });

  test('when a challenge is signed twice', async () => {
    const options = await passkeys.authenticationOptions({ binding: 'i' });
    await passkeys.authenticate({ binding: 'i', response: owner.authenticator.get(options) });
    await refused(passkeys.authenticate({ binding: 'i', response: owner.authenticator.get(options) }));
  });

  test('in another browser than the challenge was made for', async () => {
    const options = await passkeys.authenticationOptions({ binding: 'one browser' });
    await refused(
      passkeys.authenticate({ binding: 'another browser', response: owner.authenticator.get(options) }),
    );
  });

  test('with a challenge of a registration, or of a step-up', async () => {
    const { accountId, authenticator } = owner;
    const creation = await passkeys.registrationOptions({ accountId, binding: 'i', userName: 'reed' });
    const asked = { challenge: creation.challenge, rpId: creation.rp.id ?? '' };
    await refused(passkeys.authenticate({ binding: 'i', response: authenticator.get(asked) }));
    const stepUp = await passkeys.authenticationOptions({ binding: 'i', accountId });
    await refused(passkeys.authenticate({ binding: 'i', response: authenticator.get(stepUp) }));
  });

  test('when the page was left open for more than a quarter of an hour', async () => {
    const options = await passkeys.authenticationOptions({ binding: 'i' });
    rooms.clock.advance(901);
    await refused(passkeys.authenticate({ binding: 'i', response: owner.authenticator.get(options) }));
  });

  test('for a locked account', async () => {
    await identity.setState(owner.accountId, 'locked', 'system');
    await refused(use(owner.authenticator));
  });

  test('for a passkey that was removed', async () => {
    await passkeys.remove(owner.accountId, owner.passkey.id);
    await refused(use(owner.authenticator));
  });

  test('when it is not what an authenticator answers', async () => {
    const options = await passkeys.authenticationOptions({ binding: 'i' });
    const honest = JSON.parse(owner.authenticator.get(options)) as { response: Record<string, string> };
    const bytes = (text: string) => Buffer.from(text).toString('base64url');
    const malformed = [
      '',
      'null',
      '[]',
      '{"id":{}}',
      '{'.repeat(10_000),
      JSON.stringify({ ...honest, type: 'password' }),
      JSON.stringify({ ...honest, id: 'x'.repeat(2000), rawId: 'x'.repeat(2000) }),
      JSON.stringify({ ...honest, rawId: bytes('another') }),
      ...(
        [
          ['clientDataJSON', bytes('not json')],
          ['clientDataJSON', bytes('{"challenge":["x"]}')],
          ['clientDataJSON', 'A'.repeat(5000)],
          ['authenticatorData', 'AAAA'],
          ['authenticatorData', '%%%'],
          ['signature', ''],
          ['signature', 'AAAA'],
          ['userHandle', 'A'.repeat(200)],
        ] as const
      ).map(([field, value]) =>
        JSON.stringify({ ...honest, response: { ...honest.response, [field]: value } }),
      ),
    ];
    for (const response of malformed) await refused(passkeys.authenticate({ binding: 'i', response }));
  });

  test('whatever was wrong', () => {
    expect([...answers]).toEqual(['PASSKEY_REFUSED: The passkey could not be accepted.']);
  });

  test('and a store that cannot be reached is not a refusal', async () => {
    const broken = createPasskeys({
      ...rooms,
      accounts: createAccounts({ ...rooms, dataKeys, channels: new Set() }),
      dataKeys,
      issuer: origin,
      serviceName: '印信',
      authorities: undefined,
      takeOnce: () => Promise.reject(new Error('the store is away')),
    });
    await expect(use(owner.authenticator, {}, broken)).rejects.toThrow('the store is away');
  });
});

describe('the counter of a passkey', () => {
  test('may rise by any number, and stay at zero where an authenticator has none', async () => {
    const { authenticator } = await person({ counter: 'counts', backupEligible: false });
    await use(authenticator);
    await use(authenticator, { counter: 4_294_967_295 });
    const { authenticator: synced } = await person({ counter: 'none' });
    await use(synced);
    await use(synced);
  });

  test.each([
    ['goes backwards', 3],
    ['stands still', 5],
    ['is gone', 0],
  ])('that %s gives away a copy: refused, suspended and on record', async (_, counter) => {
    const { accountId, authenticator, passkey } = await person({ counter: 'counts' });
    await use(authenticator, { counter: 5 });
    // Somebody else's signature says nothing of the counter.
    expect(await use(authenticator, { counter, spoil: (s) => s.fill(1, 8, 20) }).catch(codeOf)).toBe(
      'PASSKEY_REFUSED',
    );
    expect((await passkeys.list(accountId))[0]?.suspendedAt).toBeUndefined();

    expect(await use(authenticator, { counter }).catch(codeOf)).toBe('PASSKEY_REFUSED');
    expect((await passkeys.list(accountId))[0]?.suspendedAt).toEqual(rooms.clock.now());
    expect(await use(authenticator, { counter: 9 }).catch(codeOf)).toBe('PASSKEY_REFUSED');
    expect(await eventsOf(accountId, 'passkey.suspended')).toEqual([
      { detail: { passkey: passkey.id, reason: 'counter' } },
    ]);
    const options = await passkeys.authenticationOptions({ binding: 'i', accountId });
    expect(options.allowCredentials).toEqual([]);
    expect((await identity.account(accountId))?.methods).toEqual(['pwd']);
    // Whose only way in it was has none left; the broken one may go all the same.
    await rooms.db.query('DELETE FROM password_credentials WHERE account_id = $1', [accountId]);
    await passkeys.remove(accountId, passkey.id);
  });
});

test('its owner is told of each passkey that is made, suspended or removed', async () => {
  const { accountId } = await identity.register({
    identifier: '19900004321',
    password: 'a heron at the weir',
    verified: true,
  });
  messages.sent.length = 0;
  const authenticator = new Authenticator({ origin, counter: 'counts' });
  const { id } = await enrol(accountId, authenticator);
  await use(authenticator, { counter: 5 });
  await use(authenticator, { counter: 4 }).catch(() => undefined);
  await passkeys.remove(accountId, id);
  expect(messages.sent.map(({ kind, to }) => [kind, to])).toEqual(
    ['factorAdded', 'passkeySuspended', 'factorRemoved'].map((kind) => [kind, '+8619900004321']),
  );
});

describe('a registration of a passkey is refused', () => {
  const cases: Record<string, Deviation> = {
    'from another origin': { origin: 'https://evil.example' },
    'for another relying party': { rpId: 'evil.example' },
    'without user verification': { userVerified: false },
    'in a frame of another site': { crossOrigin: true },
    'by a ceremony of another type': { type: 'webauthn.get' },
    'with a challenge that nobody made': { challenge: randomBytes(54).toString('base64url') },
  };
  test.each(Object.entries(cases))('%s', async (_, deviation) => {
    const accountId = await newAccount();
    expect(await enrol(accountId, new Authenticator({ origin }), { deviation }).catch(codeOf)).toBe(
      'PASSKEY_REFUSED',
    );
    expect(await passkeys.list(accountId)).toEqual([]);
  });

  test('when it is replayed, meant for another account, or of a credential that somebody has', async () => {
    const [accountId, other] = [await newAccount(), await newAccount()];
    const authenticator = new Authenticator({ origin });
    const options = await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'reed' });
    const response = authenticator.create(options);
    const register = (whose: string, binding = 'b') =>
      passkeys.register({ accountId: whose, binding, response, name: '手机' }).catch(codeOf);
    expect(await register(other)).toBe('PASSKEY_REFUSED');
    expect(await register(accountId, 'another session')).toBe('PASSKEY_REFUSED');
    expect(await register(accountId)).toMatchObject({
      passkey: { name: '手机' },
      showing: { accountId, method: 'swk', at: rooms.clock.now() },
    });
    expect(await register(accountId)).toBe('PASSKEY_REFUSED');
    const stolen = { credentialId: authenticator.keys[0]?.id ?? Buffer.alloc(0) };
    expect(await enrol(other, new Authenticator({ origin }), { deviation: stolen }).catch(codeOf)).toBe(
      'PASSKEY_REFUSED',
    );
    expect(await use(authenticator)).toMatchObject({ accountId });
  });

  test('when the browser says that it is not discoverable, and for a locked account', async () => {
    const accountId = await newAccount();
    const options = await passkeys.registrationOptions({ accountId, binding: 'b', userName: 'reed' });
    const response = new Authenticator({ origin }).create(options).replace('"rk":true', '"rk":false');
    expect(await passkeys.register({ accountId, binding: 'b', response, name: 'key' }).catch(codeOf)).toBe(
      'PASSKEY_REFUSED',
    );
    await identity.setState(accountId, 'locked', 'system');
    expect(await enrol(accountId, new Authenticator({ origin })).catch(codeOf)).toBe('PASSKEY_REFUSED');
  });
});

describe('a key counts as kept in hardware', () => {
  let root: Holder;
  let maker: Holder;
  let room: Passkeys;
  const subject = distinguishedName([
    { countryName: 'CN' },
    { organizationName: '示例钥匙厂' },
    { organizationalUnitName: 'Authenticator Attestation' },
    { commonName: '示例安全密钥' },
  ]);
  /** A device with a certificate of its maker. */
  const deviceOf = (issuer: Holder) =>
    issue('示例安全密钥', {
      issuer,
      template: { subject },
      extensions: { basicConstraints: { cA: false, pathLenConstraint: undefined } },
    });
  const attestationOf = (holder: Holder) => ({
    certificates: [holder.certificate.der],
    key: holder.privateKey,
  });

  beforeAll(async () => {
    root = await issueCa('示例钥匙厂根证书');
    maker = await deviceOf(root);
    room = open(derToPem('CERTIFICATE', root.certificate.der));
  });

  async function methodOf(traits: Partial<AuthenticatorTraits>, at = room): Promise<string> {
    const accountId = await newAccount();
    const authenticator = new Authenticator({ origin, ...traits });
    const passkey = await enrol(accountId, authenticator, { room: at });
    expect(passkey.deviceBound).toBe(traits.backupEligible === false);
    const { method } = await use(authenticator, {}, at);
    expect((await identity.account(accountId))?.methods).toEqual([method, 'pwd']);
    return method;
  }

  test('when it cannot leave its device and a trusted maker has certified it', async () => {
    const accountId = await newAccount();
    expect(await room.registrationOptions({ accountId, binding: 'b', userName: 'reed' })).toMatchObject({
      attestation: 'direct',
    });
    expect(await methodOf({ backupEligible: false, attestation: attestationOf(maker) })).toBe('hwk');
  });

  test("and not on its own word, by a maker unknown, after the maker's certificate has expired, or when it is synced", async () => {
    const stranger = await deviceOf(await issueCa('陌生根证书'));
    const over = await issueCa('停业厂根证书', { template: { notAfter: new Date('2026-06-01T00:00:00Z') } });
    const late = open(derToPem('CERTIFICATE', over.certificate.der));
    expect(await methodOf({ backupEligible: false })).toBe('swk');
    expect(await methodOf({ backupEligible: false, attestation: attestationOf(stranger) })).toBe('swk');
    expect(await methodOf({ backupEligible: true, attestation: attestationOf(maker) })).toBe('swk');
    const expired = { backupEligible: false, attestation: attestationOf(await deviceOf(over)) };
    expect(await methodOf(expired, late)).toBe('swk');
    // Where no maker is trusted, a certificate means nothing.
    expect(await methodOf({ backupEligible: false, attestation: attestationOf(maker) }, passkeys)).toBe(
      'swk',
    );
  });

  test('and an attestation that does not verify is refused', async () => {
    const authenticator = new Authenticator({
      origin,
      backupEligible: false,
      attestation: attestationOf(maker),
    });
    const spoil = (signature: Buffer) => (signature[signature.length - 1]! ^= 1);
    expect(await enrol(await newAccount(), authenticator, { room, deviation: { spoil } }).catch(codeOf)).toBe(
      'PASSKEY_REFUSED',
    );
  });
});
