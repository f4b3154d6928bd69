import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AppError } from '../../../src/platform/errors.ts';
import { PasswordQueueError } from '../../../src/identity/index.ts';
import { STATUSES, toPublicError } from '../../../src/platform/http/statuses.ts';

test('every code that the rooms can throw to the edge has a status', () => {
  const sources = globSync(
    'src/{api,custody,identity,organisations,portals,rotation,seals,platform}/**/*.ts',
  ).map((file) => readFileSync(file, 'utf8'));
  const thrown = sources.flatMap((source) =>
    [...source.matchAll(/new (?!Der|X509|Cms)\w+Error\(\s*'([A-Z][A-Z0-9_]+)'/g)].map(
      ([, code]) => code ?? '',
    ),
  );
  expect(thrown.length).toBeGreaterThan(20);
  expect([...new Set(thrown)].filter((code) => !(code in STATUSES))).toEqual([]);
});

test('what nobody foresaw is a 500 with a fixed text', () => {
  for (const error of [
    new Error('password=hunter2'),
    new TypeError('x'),
    'text',
    undefined,
    new AppError('NOT_IN_THE_TABLE', 'secret detail'),
  ])
    expect(toPublicError(error)).toEqual({
      code: 'INTERNAL_ERROR',
      status: 500,
      message: 'Something went wrong on our side.',
    });
});

test('a store that cannot be reached is a 503', () => {
  for (const code of ['ECONNREFUSED', '57P01', '08006', '53300'])
    expect(toPublicError(Object.assign(new Error(code), { code })).status).toBe(503);
  expect(toPublicError(Object.assign(new Error('x'), { code: '23505' })).status).toBe(500);
});

test('a queue for passwords that is full is a 503 with the time after which there is room', () => {
  const error = new PasswordQueueError('PASSWORDS_BUSY', 'Too many people.', { retryAfterSeconds: 7 });
  expect(toPublicError(error)).toEqual({
    code: 'PASSWORDS_BUSY',
    status: 503,
    message: 'Too many people.',
    retryAfterSeconds: 7,
  });
});
