/**
 * Makes `filter.bin` from the common passwords of `@zxcvbn-ts/language-common` (breaches, mostly of the West) and from `chinese.json`:
 * `node config/common-passwords/build.ts`. The outcome is the same for the same sources, and a test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { z } from 'zod';
import { isWord } from '../../src/identity/credentials/guessability.ts';
import { writeWordFilter } from '../../src/identity/credentials/word-filter.ts';

const chinese = z
  .object({
    /** As they are. */
    words: z.array(z.string()),
    /** In pinyin; every surname is joined to every given name. */
    surnames: z.array(z.string()),
    givenNames: z.array(z.string()),
  })
  .strict();

/** Every word of the sources in the form in which it is looked up: lower case, long enough, each once. */
export function commonPasswords(): string[] {
  // The package's own export is unpacked when it is loaded; this is the list that it comes from.
  const listed = readJson(
    createRequire(import.meta.url)
      .resolve('@zxcvbn-ts/language-common')
      .replace(/dist.*$/, 'src/passwords.json'),
  );
  const { words, surnames, givenNames } = chinese.parse(readJson(new URL('chinese.json', import.meta.url)));
  const names = surnames.flatMap((surname) => givenNames.map((name) => surname + name));
  const all = [...z.array(z.string()).parse(listed), ...words, ...surnames, ...givenNames, ...names];
  return [...new Set(all.map((word) => word.normalize('NFKC').toLowerCase()))].filter((word) => isWord(word));
}

function readJson(file: string | URL): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

if (import.meta.main)
  writeFileSync(new URL('filter.bin', import.meta.url), writeWordFilter(commonPasswords()));
