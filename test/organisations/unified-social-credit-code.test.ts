import { expect, test } from 'vitest';
import { isUnifiedSocialCreditCode } from '../../src/organisations/index.ts';
import { divisionOf, kindOf } from '../../src/organisations/unified-social-credit-code.ts';

test.each(['91350100M000100Y43', '91350100ARUJWX97A0'])('accepts %s, whose check sign is right', (code) => {
  expect(isUnifiedSocialCreditCode(code)).toBe(true);
});

test('accepts a remainder of zero, whose check sign is 0', () => {
  expect(isUnifiedSocialCreditCode('91350100ARUJWX97A0')).toBe(true);
  expect(isUnifiedSocialCreditCode('91350100ARUJWX97AY')).toBe(false);
});

test.each([
  ['a wrong check sign', '91350100M000100Y4Z'],
  ['two neighbours exchanged', '91350100M000100Y34'],
  ['lower case', '91350100m000100y43'],
  ['a letter that the alphabet leaves out', '91350100I000100Y43'],
  ['letters in the division', '9135A100M000100Y43'],
  ['17 signs', '91350100M000100Y4'],
  ['19 signs', '91350100M000100Y433'],
  ['nothing', ''],
])('refuses %s', (_what, code) => {
  expect(isUnifiedSocialCreditCode(code)).toBe(false);
});

test('refuses every single wrong digit of a valid code', () => {
  const valid = '91350100M000100Y43';
  for (let i = 0; i < 18; i++)
    for (const sign of '0123456789')
      if (sign !== valid[i] && /\d/.test(valid.charAt(i)))
        expect(
          isUnifiedSocialCreditCode(valid.slice(0, i) + sign + valid.slice(i + 1)),
          `${sign} at ${i}`,
        ).toBe(false);
});

test.each([
  ['11330000MADEMY001J', 'government', '330000'],
  ['12110000MADEMY001R', 'institution', '110000'],
  ['52440000MADEMY0016', 'social-organisation', '440000'],
  ['91350100M000100Y43', 'enterprise', '350100'],
  ['92330106MADEMY0013', 'individual-business', '330106'],
  ['93330106MADEMY0010', 'cooperative', '330106'],
  ['Y1330106MADEMY001G', 'other', '330106'],
])('reads in %s what kind of organisation it is issued to, and where', (code, kind, division) => {
  expect(isUnifiedSocialCreditCode(code)).toBe(true);
  expect([kindOf(code), divisionOf(code)]).toEqual([kind, division]);
});
