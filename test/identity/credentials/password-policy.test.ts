import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { commonPasswords } from '../../../config/common-passwords/build.ts';
import {
  createPasswordPolicy,
  toPasswordRules,
  type PasswordRules,
} from '../../../src/identity/credentials/password-policy.ts';
import { ConfigError } from '../../../src/platform/config.ts';
import { hashOf, readWordFilter, writeWordFilter } from '../../../src/identity/credentials/word-filter.ts';

const NIST: PasswordRules = {
  minimumLength: 15,
  minimumLengthWithSecondFactor: 8,
  leastKinds: 1,
  maximumAgeDays: null,
  history: 0,
};
const policyOf = (rules: Partial<PasswordRules> = {}) =>
  createPasswordPolicy({
    context: ['Yinxin', '印信统一登录'],
    rules: toPasswordRules({ ...NIST, ...rules }),
  });
const policy = policyOf();

/** Repeatable signs: digest after digest. */
function signs(alphabet: string, length: number, seed: number): string {
  const letters = [...alphabet];
  const bytes = createHash('sha512').update(`${alphabet} ${length} ${seed}`).digest();
  return Array.from({ length }, (_, i) => letters[bytes.readUInt16BE(i * 2) % letters.length]).join('');
}

describe('a new password', () => {
  test('is judged by the rules of NIST where nothing else is declared', () => {
    expect(JSON.parse(readFileSync('config/passwords.json', 'utf8'))).toEqual(NIST);
  });

  test.each([
    ['14 signs', 'spring rain, a', 'PASSWORD_SHORT'],
    ['15 signs', 'spring rain, ah', undefined],
    ['15 signs outside the basic plane', '𠮷𠀋𡈽𡌛𡑮𡢽𠮟𡚴𡸴𣇄𣗄𣜿𣝣𣳾𤟱', undefined],
    ['spaces and no digit', 'correct horse battery', undefined],
    ['256 signs', signs('abcdefgh', 16, 1).repeat(16), undefined],
    ['257 signs', `${signs('abcdefgh', 16, 1).repeat(16)}x`, 'PASSWORD_LONG'],
    [
      'full-width signs, which count as what they stand for',
      'ｓｐｒｉｎｇ　ｒａｉｎ，　ａ',
      'PASSWORD_SHORT',
    ],
  ])('alone with %s', (_what, password, problem) => {
    expect(policy.problem(password, { alone: true })).toBe(problem);
  });

  test('needs 8 signs where a second factor is always asked for', () => {
    expect(policy.problem('k8j2p9q', { alone: false })).toBe('PASSWORD_SHORT');
    expect(policy.problem('k8j2p9qx', { alone: false })).toBeUndefined();
    expect(policy.minimumLength(false)).toBe(8);
    expect(policy.standsAlone('k8j2p9qx')).toBe(false);
    expect(policy.standsAlone('a heron at the weir')).toBe(true);
  });

  test.each([
    'password',
    'PASSWORD',
    'Password1!',
    'p@ssw0rd',
    'password1234567',
    'passwordpassword',
    'iloveyou2024',
    'qwertyuiop',
    'qwertyuiopasdfghjkl',
    '1qaz2wsx3edc4rfv5tgb',
    'zaq12wsxcde3',
    '147258369',
    '1q2w3e4r5t6y7u8i',
    'aaaaaaaa',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'abcabcabcabcabcabc',
    'xyxyxyxyxyxyxyxy',
    'aaabbbcccdddeee',
    '123456789012345',
    '98765432109876543210',
    '20240101',
    '31121999',
    '19900101zhangwei',
    'administrator2024',
    'woaini1314520',
    'woaini5201314520',
    '5201314woaini',
    'WoAiNi1314!',
    'zhangwei123',
    'wangfang19880808',
    'a123456789',
    'qq123456qq123456',
    'admin@huawei123',
    'mima123456',
    'zhejiangzhengwu2024',
    '我爱你我爱你我爱你',
    '好好学习天天向上',
    '床前明月光疑是地上霜',
    '１２３４５６７８',
  ])('that everybody would try is refused, whatever its length: %s', (password) => {
    const padded = [...password.normalize('NFKC')].length >= 8;
    expect(padded).toBe(true);
    expect(policyOf({ minimumLength: 15 }).problem(password, { alone: false })).toBe('PASSWORD_COMMON');
  });

  test.each([
    'a heron at the weir',
    'spring rain on the lake',
    'correct horse battery staple',
    'a small boat on the wide river',
    '春天的雨落在湖上',
    '门前老树长新芽院里枯木又开花',
    'k8j2p9qx',
    'Tr0ub4dor&3zebra',
    'mountain teacup violet',
    'Xk#9_vQ2',
    'the password is in the drawer',
    '8392017465',
  ])('is accepted with a word in it, and without capitals or signs: %s', (password) => {
    expect(policy.problem(password, { alone: false })).toBeUndefined();
  });

  test('made of what belongs to the person or the service is refused, and to nobody else', () => {
    const context = ['li.lei_1988@example.cn', '+8613812345670'];
    for (const password of [
      'lilei1988example',
      'example.cn13812345670',
      'lei_1988lei_1988',
      '13812345670yinxin',
      '印信统一登录2024',
      '12345670lilei1988',
    ])
      expect(policy.problem(password, { alone: false, context }), password).toBe('PASSWORD_COMMON');
    expect(policy.problem('wujiaochang#meihua', { alone: true })).toBeUndefined();
    expect(policy.problem('wujiaochang#meihua', { alone: true, context: ['wujiaochang-meihua'] })).toBe(
      'PASSWORD_COMMON',
    );
  });

  test('is judged in bounded work, however it is made', () => {
    for (const unit of ['a', 'ab', '我', '1qaz', 'password', '19900101', '@4$1'])
      expect(policy.problem([...unit.repeat(256)].slice(0, 256).join(''), { alone: true })).toBe(
        'PASSWORD_COMMON',
      );
  });

  test.each([
    ['abcdefghijklmnopqrstuvwxyz0123456789', 8, 0.012],
    ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!@#$%', 8, 0.012],
    ['abcdefghijklmnopqrstuvwxyz', 15, 0.001],
  ])(
    'that is random is refused by mistake as rarely as is documented: %s, %i signs',
    (alphabet, length, most) => {
      let refused = 0;
      for (let seed = 0; seed < 4000; seed++)
        if (policy.problem(signs(alphabet, length, seed), { alone: false })) refused += 1;
      expect(refused / 4000).toBeLessThan(most);
    },
  );
});

describe('a stricter policy', () => {
  test('may ask for kinds of signs', () => {
    const strict = policyOf({ leastKinds: 3 });
    expect(strict.problem('a heron at the weir', { alone: true })).toBe('PASSWORD_KINDS');
    expect(strict.problem('A heron at the weir', { alone: true })).toBeUndefined();
    expect(policyOf({ leastKinds: 4 }).problem('A heron at the weir', { alone: true })).toBe(
      'PASSWORD_KINDS',
    );
    expect(policyOf({ leastKinds: 4 }).problem('A heron at weir 9', { alone: true })).toBeUndefined();
  });

  test('may ask for longer passwords, an age and a history', () => {
    const strict = policyOf({
      minimumLength: 20,
      minimumLengthWithSecondFactor: 12,
      maximumAgeDays: 90,
      history: 5,
    });
    expect(strict.problem('a heron at the weir', { alone: true })).toBe('PASSWORD_SHORT');
    expect(strict.problem('k8j2p9qx', { alone: false })).toBe('PASSWORD_SHORT');
    expect(strict).toMatchObject({ maximumAgeSeconds: 7_776_000, history: 5 });
    expect(policy).toMatchObject({ maximumAgeSeconds: undefined, history: 0 });
  });

  test.each([
    ['shorter than the standard allows', { minimumLength: 14 }],
    ['shorter than the standard allows beside a second factor', { minimumLengthWithSecondFactor: 7 }],
    ['longer than people can be asked for', { minimumLength: 65 }],
    ['longer beside a second factor than alone', { minimumLengthWithSecondFactor: 16 }],
    ['of five kinds', { leastKinds: 5 }],
    ['with an age of nothing', { maximumAgeDays: 0 }],
  ])('cannot be declared %s', (_what, rules) => {
    expect(() => toPasswordRules(rules)).toThrow(ConfigError);
  });

  test.each([[], 'long', 7, null])('cannot be declared as %j', (rules) => {
    expect(() => toPasswordRules(rules)).toThrow(/PASSWORD_RULES: is not a JSON object/);
  });

  test('changes an aged password to another one at least', () => {
    expect(policyOf({ maximumAgeDays: 90 }).history).toBe(1);
  });

  test('cannot be declared with a rule that does not exist', () => {
    expect(() => toPasswordRules({ maximumLength: 20 })).toThrow(/PASSWORD_RULES: it: .*maximumLength/);
  });
});

describe('the list of common passwords', () => {
  const file = readFileSync('config/common-passwords/filter.bin');
  const filter = readWordFilter(file);
  const words = commonPasswords();

  test('is the file that its sources make', () => {
    expect(words.length).toBeGreaterThan(60_000);
    expect(writeWordFilter(words).equals(file)).toBe(true);
  });

  test('has every word of its sources', () => {
    expect(words.filter((word) => !filter.has(hashOf(word)))).toEqual([]);
  });

  test('has other words by mistake fewer than twice in 100 000', () => {
    const known = new Set(words);
    let mistakes = 0;
    for (let i = 0; i < 500_000; i++) {
      const word = `${i.toString(36)}~${(i * 2_654_435_761).toString(36)}`;
      if (!known.has(word) && filter.has(hashOf(word))) mistakes += 1;
    }
    expect(mistakes).toBeLessThan(10);
  });

  test.each([
    ['is empty', Buffer.alloc(0)],
    ['is of another kind', Buffer.concat([Buffer.from('ABCD'), file.subarray(4)])],
    ['was cut short', file.subarray(0, -1)],
    ['says that it has no bits', Buffer.concat([file.subarray(0, 4), Buffer.alloc(8)])],
  ])('is refused at the start if the file %s', (_what, damaged) => {
    expect(() => readWordFilter(damaged)).toThrow(TypeError);
  });
});
