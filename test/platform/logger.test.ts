import { expect, test } from 'vitest';
import { recordingLogger } from '../support/logger.ts';

test('what could carry a secret or a person is cut out, wherever it stands', () => {
  const { lines, logger } = recordingLogger();
  logger.info(
    {
      password: 'hunter2',
      form: { identifier: '13800138000', token: 'abc' },
      request: { headers: { authorization: 'Bearer x', cookie: 'y' } },
    },
    'm',
  );
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    password: '[cut]',
    form: { identifier: '[cut]', token: '[cut]' },
    request: { headers: { authorization: '[cut]', cookie: '[cut]' } },
  });
});

test('of an error stand its kind, its words and its place, and nothing that a driver hangs on it', () => {
  const { lines, logger } = recordingLogger();
  const cause = Object.assign(new Error('duplicate key'), { detail: 'Key (value)=(13800138000)' });
  const error = Object.assign(new TypeError('failed', { cause }), {
    params: ['13800138000'],
    query: 'SELECT',
  });
  logger.error({ err: error }, 'm');
  expect(lines[0]).not.toContain('13800138000');
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    err: { type: 'TypeError', message: 'failed: duplicate key' },
  });
});
