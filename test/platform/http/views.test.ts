/** The table of pages in `views/README.md`. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VIEWS } from '../../support/walks.ts';

test('every page is in the table of pages, and the table has no other', () => {
  const readme = readFileSync('views/README.md', 'utf8');
  const named = [...readme.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name),
  );
  const byLetter = (a = '', b = '') => a.localeCompare(b);
  expect(named.toSorted(byLetter)).toEqual(VIEWS.toSorted(byLetter));
});
