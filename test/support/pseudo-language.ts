/**
 * A language that nobody speaks, made of the English catalogue in Arabic letters: longer than the original, and written from right to left.
 * It shows that a page holds what a real catalogue of such a language would bring. It is never shipped.
 */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** ICU's tag of the pseudo-language that is mirrored. */
export const PSEUDO = 'ar-XB';

const SHIPPED = fileURLToPath(new URL('../../config/languages/', import.meta.url));
const LETTERS: Readonly<Record<string, string>> = Object.fromEntries(
  [...'abcdefghijklmnopqrstuvwxyz'].map((letter, index) => [
    letter,
    'ابتثجحخدذرزسشصضطظعغفقكلمنه'.charAt(index),
  ]),
);

/** Writes the shipped catalogues and the pseudo-language into a fresh folder. @returns the folder. */
export function withPseudoLanguage(): string {
  const directory = mkdtempSync(join(tmpdir(), 'yinxin-languages-'));
  cpSync(SHIPPED, directory, { recursive: true });
  const english = JSON.parse(readFileSync(join(SHIPPED, 'en.json'), 'utf8')) as Record<string, string>;
  const messages = Object.fromEntries(Object.entries(english).map(([key, text]) => [key, mirrored(text)]));
  const catalogue = { ...messages, 'language.name': mirrored('Mirrored'), 'language.direction': 'rtl' };
  writeFileSync(join(directory, `${PSEUDO}.json`), JSON.stringify(catalogue));
  return directory;
}

/** Every Latin letter by an Arabic one, save those inside of braces: names of placeholders, and forms of the plural. */
function mirrored(text: string): string {
  return text
    .split(/(\{(?:[^{}]|\{[^{}]*\})*\})/)
    .map((part) =>
      part.startsWith('{')
        ? part
        : part.replaceAll(/[a-z]/gi, (letter) => LETTERS[letter.toLowerCase()] ?? ''),
    )
    .join('');
}
