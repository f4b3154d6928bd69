import { createSecretKey, randomBytes } from 'node:crypto';
import * as argon2 from 'argon2';
import { describe, expect, test } from 'vitest';
import { createPasswordHasher, passwordProblem } from '../../../src/identity/credentials/password.ts';
import { silentLogger } from '../../support/logger.ts';

const cost = { memoryKiB: 7168, passes: 1, lanes: 1 };
const pepper = createSecretKey(randomBytes(32));
const hasher = () => createPasswordHasher({ cost, pepper, logger: silentLogger });

describe('passwords', () => {
  test('are kept as argon2id in PHC form with the configured cost, and salted', async () => {
    const passwords = await hasher();
    const [one, two] = [
      await passwords.hash('spring rain on the lake'),
      await passwords.hash('spring rain on the lake'),
    ];
    expect(one).toMatch(/^\$argon2id\$v=19\$m=7168,t=1,p=1\$/);
    expect(one).not.toBe(two);
    expect(await passwords.verify(one, 'spring rain on the lake')).toBe(true);
    expect(await passwords.verify(one, 'spring rain on the lakE')).toBe(false);
  });

  test('cannot be checked without the pepper', async () => {
    const phc = await (await hasher()).hash('spring rain on the lake');
    expect(await argon2.verify(phc, 'spring rain on the lake')).toBe(false);
    const other = await createPasswordHasher({
      cost,
      pepper: createSecretKey(randomBytes(32)),
      logger: silentLogger,
    });
    expect(await other.verify(phc, 'spring rain on the lake')).toBe(false);
  });

  test('are the same however the keyboard composes them', async () => {
    const passwords = await hasher();
    const phc = await passwords.hash('é１２３ é１２３ é１２３'.normalize('NFD'));
    expect(await passwords.verify(phc, 'é123 é123 é123'.normalize('NFC'))).toBe(true);
  });

  test('of an unknown account cost a hash as well, and never match', async () => {
    const passwords = await hasher();
    expect(await passwords.verify(undefined, 'nobody has this password')).toBe(false);
  });

  test('hashes of either engine are verified by the other', async () => {
    const passwords = await hasher();
    const phc = await passwords.hash('spring rain on the lake');
    expect(await argon2.verify(phc, 'spring rain on the lake', { secret: pepper.export() })).toBe(true);
    const reference = await argon2.hash('spring rain on the lake', {
      type: argon2.argon2id,
      memoryCost: 7168,
      timeCost: 1,
      parallelism: 1,
      secret: pepper.export(),
    });
    expect(await passwords.verify(reference, 'spring rain on the lake')).toBe(true);
  });

  test.each([
    ['14 signs', 'a'.repeat(14), 'PASSWORD_SHORT'],
    ['15 signs', 'a'.repeat(15), undefined],
    ['15 signs outside the basic plane', '𠮷'.repeat(15), undefined],
    ['spaces and no digit', 'correct horse battery', undefined],
    ['256 signs', 'a'.repeat(256), undefined],
    ['257 signs', 'a'.repeat(257), 'PASSWORD_LONG'],
  ])('with %s are judged by length alone', (_what, password, problem) => {
    expect(passwordProblem(password)).toBe(problem);
  });
});
