import { expect, test } from 'vitest';
import { parseIdentifier } from '../../src/identity/identifiers.ts';

test.each([
  '13800138000',
  '+8613800138000',
  '8613800138000',
  ' 138 0013 8000 ',
  '138-0013-8000',
  '１３８００１３８０００',
])('%s is one phone number in its one form', (text) => {
  expect(parseIdentifier(text)).toEqual({ kind: 'phone', value: '+8613800138000' });
});

test.each([
  ['LiHua', 'lihua'],
  ['li.hua_2-x', 'li.hua_2-x'],
  ['ｌｉｈｕａ', 'lihua'],
])('%s is the user name %s', (text, value) => {
  expect(parseIdentifier(text)).toEqual({ kind: 'username', value });
});

test.each([
  [' LiHua@Example.CN ', 'lihua@example.cn'],
  ['li.hua+portal@mail.example.com.cn', 'li.hua+portal@mail.example.com.cn'],
])('%s is the address of e-mail %s', (text, value) => {
  expect(parseIdentifier(text)).toEqual({ kind: 'email', value });
});

test.each([
  '',
  'abc',
  '12800138000',
  '1380013800',
  '138001380001',
  '9lives',
  'li hua',
  'a'.repeat(33),
  'lihua@example',
  '@example.cn',
  'li..hua@example.cn',
  'lihua@-example.cn',
  'li hua@example.cn',
  'lihua@example.cn\r\nBcc: x@example.cn',
  `${'x'.repeat(65)}@example.cn`,
  '李华',
  'li\u0000hua',
  '../etc',
])('%j is none of them', (text) => {
  expect(parseIdentifier(text)).toBeUndefined();
});
