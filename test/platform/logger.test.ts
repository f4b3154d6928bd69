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
