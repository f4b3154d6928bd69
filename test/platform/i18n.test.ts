import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadLanguages } from '../../src/platform/i18n.ts';

const languages = loadLanguages();
const catalogue = (code: string) =>
  JSON.parse(readFileSync(new URL(`../../config/languages/${code}.json`, import.meta.url), 'utf8')) as Record<
    string,
    string
  >;
const placeholders = (message: string) =>
  [...message.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name).toSorted((a, b) => a.localeCompare(b));

test('every language has every message, with the same placeholders', () => {
  const reference = catalogue('zh-CN');
  for (const { code } of languages.all) {
    const messages = catalogue(code);
    expect(Object.keys(messages), code).toEqual(Object.keys(reference));
    for (const [key, message] of Object.entries(messages))
      expect(placeholders(message), `${code} ${key}`).toEqual(placeholders(reference[key] ?? ''));
  }
});

test('every message is used, and every message that is used exists', () => {
  const keys = Object.keys(catalogue('zh-CN'));
  const sources = [...globSync('views/**/*.eta'), ...globSync('src/**/*.ts')]
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const used = new Set([...sources.matchAll(/'((?:[a-z]+[A-Z]?\w*\.)+\w+)'/g)].map(([, key]) => key));
  // Keys that are put together from a code or a scope.
  const composed =
    /^(document\.[\w-]+|field\.(phone|validUntil|birthdate)(Hint)?|proofing\.use\.\w+|error\.[A-Z_]+|error\.\w+Form|way\.\w+|setUp\.\w+\.(name|text)|error\.\w+\.(title|message)|home\.\w+(Title|Text)|(scope|claim|message)\..*|language\.name)$/;
  expect(keys.filter((key) => !used.has(key) && !composed.test(key))).toEqual([]);
  const asked = [...sources.matchAll(/\bt\('([^']+)'/g)].map(([, key]) => key);
  expect(asked.filter((key) => key !== undefined && !keys.includes(key))).toEqual([]);
});

test.each([
  [{ uiLocales: 'fr en' }, 'en'],
  [{ uiLocales: 'zh-Hans-CN', cookie: 'en' }, 'zh-CN'],
  [{ cookie: 'en', acceptLanguage: 'zh-CN' }, 'en'],
  [{ cookie: 'xx', acceptLanguage: 'fr, en;q=0.8, zh;q=0.9' }, 'zh-CN'],
  [{ acceptLanguage: 'en-GB;q=0.7, de' }, 'en'],
  [{ acceptLanguage: 'zh;q=0, en' }, 'en'],
  [{ acceptLanguage: ';;;,,,q=' }, 'zh-CN'],
  [{}, 'zh-CN'],
])('of the wishes %j the language is %s', (wishes, code) => {
  expect(languages.choose(wishes).code).toBe(code);
});

test('placeholders are filled, and a message that does not exist is a mistake of the program', () => {
  const english = languages.get('en');
  expect(english?.t('error.passwordShort', { minimum: 15 })).toContain('15');
  expect(() => english?.t('no.such.message')).toThrow(TypeError);
});
