import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { departure, type Context } from '../../../src/platform/http/context.ts';

function exchange() {
  const res = Object.assign(new EventEmitter(), { writableFinished: false });
  return { res, signal: departure({ res } as unknown as Context) };
}

test('whoever closes the connection before the answer has gone', () => {
  const { res, signal } = exchange();
  expect(signal.aborted).toBe(false);
  res.emit('close');
  expect(signal.aborted).toBe(true);
});

test('whoever has the answer has not', () => {
  const { res, signal } = exchange();
  res.writableFinished = true;
  res.emit('close');
  expect(signal.aborted).toBe(false);
});
