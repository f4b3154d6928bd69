import { createSecretKey, randomBytes } from 'node:crypto';
import * as argon2 from 'argon2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createPasswordHasher,
  pepperId,
  type PasswordHasher,
} from '../../../src/identity/credentials/password-hasher.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { silentLogger } from '../../support/logger.ts';

const cost = { memoryKiB: 7168, passes: 1, lanes: 1 };
const queue = { inFlight: 2, waitSeconds: 5 };
const pepper = createSecretKey(randomBytes(32));
const password = 'spring rain on the lake';
const open: PasswordHasher[] = [];

async function hasher(other: Partial<Parameters<typeof createPasswordHasher>[0]> = {}) {
  const made = await createPasswordHasher({ cost, pepper, queue, logger: silentLogger, ...other });
  open.push(made);
  return made;
}

describe('passwords', () => {
  let passwords: PasswordHasher;
  beforeAll(async () => {
    passwords = await hasher();
  });
  afterAll(() => Promise.all(open.map((each) => each.stop())));

  test('are kept as argon2id in PHC form with the configured cost, and salted', async () => {
    const [one, two] = [await passwords.hash(password), await passwords.hash(password)];
    expect(one.phc).toMatch(/^\$argon2id\$v=19\$m=7168,t=1,p=1\$/);
    expect(one.phc).not.toBe(two.phc);
    expect(await passwords.verify(one, password)).toEqual({ matches: true, outdated: false });
    expect(await passwords.verify(one, 'spring rain on the lakE')).toMatchObject({ matches: false });
  });

  test('are the same however the keyboard composes them', async () => {
    const hash = await passwords.hash('é１２３ é１２３ é１２３'.normalize('NFD'));
    expect(await passwords.verify(hash, 'é123 é123 é123'.normalize('NFC'))).toMatchObject({ matches: true });
  });

  test('longer than any that is accepted match nothing, not even one that begins the same', async () => {
    const longest = '𠮷'.repeat(256);
    const hash = await passwords.hash(longest);
    expect(await passwords.verify(hash, longest)).toMatchObject({ matches: true });
    expect(await passwords.verify(hash, longest.repeat(40))).toMatchObject({ matches: false });
  });

  test('of an unknown account cost a hash as well, and never match', async () => {
    expect(await passwords.verify(undefined, 'nobody has this password')).toMatchObject({ matches: false });
  });

  test('hashes of either engine are verified by the other', async () => {
    const { phc } = await passwords.hash(password);
    expect(await argon2.verify(phc, password, { secret: pepper.export() })).toBe(true);
    const reference = await argon2.hash(password, {
      type: argon2.argon2id,
      memoryCost: 7168,
      timeCost: 1,
      parallelism: 1,
      secret: pepper.export(),
    });
    expect(await passwords.verify({ phc: reference, pepper: pepperId(pepper) }, password)).toEqual({
      matches: true,
      outdated: false,
    });
  });

  test('are hashed by many at once, and each gets their own answer', async () => {
    const many = Array.from({ length: 12 }, (_, i) => `${password} ${i}`);
    const hashes = await Promise.all(many.map((one) => passwords.hash(one)));
    const answers = await Promise.all(
      hashes.map((hash, i) => passwords.verify(hash, many[(i + (i % 2)) % many.length] ?? '')),
    );
    expect(answers.map(({ matches }) => matches)).toEqual(many.map((_, i) => i % 2 === 0));
  });

  test.each<[string, argon2.HashOptions]>([
    ['of a lower cost', { type: argon2.argon2id, memoryCost: 1024, timeCost: 1, parallelism: 1 }],
    [
      'of more passes than are configured now',
      { type: argon2.argon2id, memoryCost: 7168, timeCost: 2, parallelism: 1 },
    ],
    ['of an older kind', { type: argon2.argon2i, memoryCost: 7168, timeCost: 2, parallelism: 1 }],
  ])('with a hash %s match, and say that it is outdated', async (_what, options) => {
    const phc = await argon2.hash(password, { ...options, secret: pepper.export() });
    const stored = { phc, pepper: pepperId(pepper) };
    expect(await passwords.verify(stored, password)).toEqual({ matches: true, outdated: true });
    expect(await passwords.verify(stored, `${password}.`)).toMatchObject({ matches: false });
  });

  test('with a hash that is damaged are wrong, and the operator learns of it', async () => {
    const lines: string[] = [];
    const logger = createLogger('error', { write: (line) => lines.push(line) });
    const loud = await hasher({ logger });
    const { phc, pepper: id } = await loud.hash(password);
    for (const damaged of ['', 'x', phc.slice(0, 40), phc.replace('$m=7168', '$m=x'), `${phc}\n`])
      expect(await loud.verify({ phc: damaged, pepper: id }, password)).toMatchObject({ matches: false });
    expect(lines).toHaveLength(5);
    expect(lines.join('')).not.toContain(password);
  });
});

describe('the pepper', () => {
  const newer = createSecretKey(randomBytes(32));

  test('is not in the stored hash, which cannot be checked without it', async () => {
    const passwords = await hasher();
    const { phc, pepper: id } = await passwords.hash(password);
    expect(await argon2.verify(phc, password)).toBe(false);
    expect(id).toMatch(/^[\w-]{11}$/);
    expect(pepper.export().toString('base64url')).not.toContain(id);
  });

  test('may be replaced while the one before is known: its hashes match and are outdated', async () => {
    const before = await (await hasher()).hash(password);
    const passwords = await hasher({ pepper: newer, otherPeppers: [pepper] });
    expect(await passwords.verify(before, password)).toEqual({ matches: true, outdated: true });
    expect(await passwords.verify(before, `${password}.`)).toMatchObject({ matches: false });
    const after = await passwords.hash(password);
    expect(after.pepper).toBe(pepperId(newer));
    expect(await passwords.verify(after, password)).toEqual({ matches: true, outdated: false });
  });

  test('of a hash without an id is whichever of those known fits', async () => {
    const { phc } = await (await hasher()).hash(password);
    const legacy = { phc, pepper: null };
    for (const peppers of [
      { pepper: newer, otherPeppers: [pepper] },
      { pepper, otherPeppers: [newer] },
    ])
      expect(await (await hasher(peppers)).verify(legacy, password)).toEqual({
        matches: true,
        outdated: true,
      });
    expect(await (await hasher()).verify(legacy, `${password}.`)).toMatchObject({ matches: false });
  });

  test('that is not known makes the password wrong, and says to the operator which variable lacks it', async () => {
    const before = await (await hasher()).hash(password);
    const lines: string[] = [];
    const logger = createLogger('error', { write: (line) => lines.push(line) });
    const passwords = await hasher({ pepper: newer, logger });
    expect(await passwords.verify(before, password)).toMatchObject({ matches: false });
    expect(lines.join('')).toContain('PASSWORD_PEPPER_OTHERS');
    expect(lines.join('')).toContain(pepperId(pepper));
  });
});
