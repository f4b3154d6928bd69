import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadLanguages } from '../../src/platform/i18n.ts';
import { PSEUDO, withPseudoLanguage } from '../support/pseudo-language.ts';

const languages = loadLanguages();
const catalogue = (code: string) =>
  JSON.parse(readFileSync(new URL(`../../config/languages/${code}.json`, import.meta.url), 'utf8')) as Record<
    string,
    string
  >;
const byLetter = (a = '', b = '') => a.localeCompare(b);
const placeholders = (message: string) =>
  [...message.matchAll(/\{(\w+)(?:\}|, plural,)/g)]
    .map(([, name = '']) => name)
    .toSorted((a, b) => a.localeCompare(b));

test('every language has every message, with the same placeholders', () => {
  const reference = catalogue('zh-CN');
  for (const { code } of languages.all) {
    const messages = catalogue(code);
    expect(Object.keys(messages), code).toEqual(Object.keys(reference));
    for (const [key, message] of Object.entries(messages))
      expect(placeholders(message), `${code} ${key}`).toEqual(placeholders(reference[key] ?? ''));
  }
});

/** Keys that are put together from a code, a scope or another word. */
const COMPOSED = [
  'account\\.(proofing\\d|\\w+Hint)',
  'claim\\..*',
  'contact\\.(phone|email)\\.\\w+',
  'crossDevice\\.\\w+\\.(title|lead|text)',
  'document\\.[\\w-]+',
  'error\\.[A-Z_]+',
  'error\\.\\w+Form',
  'error\\.\\w+\\.(title|message)',
  'event\\..*',
  'evidence\\.[\\w-]+',
  'act\\.(approve|refuse|withdraw|execute|(state|done)\\.\\w+|organisation\\.[\\w-]+)',
  'address\\.\\w+',
  'field\\.(phone|validUntil|birthdate)(Hint)?',
  'gender\\.\\w+',
  'home\\.\\w+(Title|Text)',
  'language\\.(name|direction)',
  'lifetime\\.\\w+',
  'mandate\\.state\\.\\w+',
  'message\\..*',
  'organisation\\.state\\.\\w+',
  'proofing\\.use\\.\\w+',
  'releases\\.way\\..*',
  'role\\.[\\w-]+',
  'scope\\..*',
  'setUp\\.\\w+\\.(name|text)',
  'way\\.\\w+',
];

test('every message is used, and every message that is used exists', () => {
  const keys = Object.keys(catalogue('zh-CN'));
  const sources = [...globSync('views/**/*.eta'), ...globSync('src/**/*.ts')]
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  const used = new Set([...sources.matchAll(/'((?:[a-z]+[A-Z]?\w*\.)+\w+)'/g)].map(([, key]) => key));
  const composed = new RegExp(`^(${COMPOSED.join('|')})$`);
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

test('a message chooses its form by number, as its language counts', () => {
  const english = languages.get('en');
  expect(english?.t('error.tooMany.minutes', { n: 1 })).toContain('1 minute.');
  expect(english?.t('error.tooMany.minutes', { n: 2 })).toContain('2 minutes.');
  expect(languages.get('zh-CN')?.t('error.tooMany.minutes', { n: 1 })).toContain('1 分钟');
});

test('every plural has the forms that its language tells apart, and no other', () => {
  for (const { code } of languages.all) {
    const { pluralCategories } = new Intl.PluralRules(code).resolvedOptions();
    for (const [key, message] of Object.entries(catalogue(code)))
      for (const [, forms = ''] of message.matchAll(/\{\w+, plural,((?: \w+ \{[^{}]*\})+)\}/g))
        expect(
          [...forms.matchAll(/(\w+) \{/g)].map(([, category]) => category).toSorted(byLetter),
          `${code} ${key}`,
        ).toEqual(pluralCategories.toSorted(byLetter));
    expect(JSON.stringify(catalogue(code)).match(/plural/g)?.length ?? 0).toBe(
      [...JSON.stringify(catalogue(code)).matchAll(/\{\w+, plural,(?: \w+ \{[^{}]*\})+\}/g)].length,
    );
  }
});

test('a language says which way it is written; what is filled in from another script stands by itself', () => {
  expect(languages.all.map(({ direction }) => direction)).toEqual(['ltr', 'ltr']);
  const mirrored = loadLanguages({ directory: withPseudoLanguage() }).get(PSEUDO);
  expect(mirrored?.direction).toBe('rtl');
  expect(mirrored?.t('page.backToPortal', { portal: 'Zhejiang (1)' })).toMatch(/\u2068Zhejiang \(1\)\u2069$/);
  expect(languages.get('en')?.t('page.backToPortal', { portal: 'Zhejiang' })).not.toContain('\u2068');
});

test('no right-to-left language is shipped without its direction', () => {
  const written = /[\u0590-\u08ff]/;
  for (const { code, direction } of languages.all)
    expect(written.test(catalogue(code)['service.name'] ?? ''), code).toBe(direction === 'rtl');
});
