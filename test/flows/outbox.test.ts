/** The development outbox: what would have gone to people, on a page of embedded mode and nowhere else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UserAgent } from '../../src/demo/user-agent.ts';
import { startApp, type TestApp } from '../support/app.ts';

let embedded: TestApp;
let server: TestApp;

beforeAll(async () => {
  embedded = await startApp();
  server = await startApp({ mode: 'server' });
});
afterAll(async () => {
  await embedded.stop();
  await server.stop();
});

const message = (code: string) => ({
  channel: 'sms' as const,
  to: '+8619912340001',
  kind: 'signInCode' as const,
  language: 'zh-CN',
  parameters: { code, minutes: 10 },
});

test('in embedded mode messages are shown on a page that says what it is, the newest first', async () => {
  await embedded.app.messages.send(message('111111'));
  await expect.poll(() => embedded.app.messages.undelivered()).toEqual([]);
  await embedded.app.messages.send(message('<b>222222</b>'));
  await expect.poll(() => embedded.app.messages.undelivered()).toEqual([]);
  const { text, status } = await new UserAgent().get(`${embedded.origin}/outbox`);
  expect(status).toBe(200);
  expect(text).toContain('只用于开发');
  expect(text).toMatch(/&lt;b&gt;222222.*111111/s);
});

test('server mode has no such page, and without carriers it says so and keeps nothing for strangers to read', async () => {
  expect((await new UserAgent().get(`${server.origin}/outbox`)).status).toBe(404);
  await server.app.messages.send(message('333333'));
  await expect
    .poll(() => server.app.messages.undelivered())
    .toMatchObject([{ state: 'dead', lastProblem: 'there is no carrier for sms' }]);
});
