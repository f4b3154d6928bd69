import { expect, test } from 'vitest';
import { judge, type Facts } from '../../../src/identity/protection/risk.ts';

const NOW = new Date('2026-11-23T08:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000);
const FACTS: Facts = {
  knownDevice: false,
  knownNetwork: true,
  last: { at: ago(86_400), sameNetwork: true },
  failures: 0,
};
const signsOf = (facts: Partial<Facts>) => judge({ ...FACTS, ...facts }, NOW).signs;

test('a known device is never unusual, wherever it is and whatever strangers try', () => {
  const facts: Facts = {
    knownDevice: true,
    knownNetwork: false,
    last: { at: ago(60), sameNetwork: false },
    failures: 99,
  };
  expect(judge(facts, NOW)).toEqual({ newDevice: false, signs: [] });
});

test('the first sign-in of all is not unusual', () => {
  expect(judge({ knownDevice: false, knownNetwork: false, last: undefined, failures: 99 }, NOW)).toEqual({
    newDevice: false,
    signs: [],
  });
});

test('a new device in a known network is told of and no more', () => {
  expect(judge(FACTS, NOW)).toEqual({ newDevice: true, signs: [] });
});

test('a new device asks for a second factor when anything else is odd', () => {
  expect(signsOf({ knownNetwork: false, last: { at: ago(86_400), sameNetwork: false } })).toEqual([
    'new-network',
  ]);
  expect(signsOf({ failures: 9 })).toEqual([]);
  expect(signsOf({ failures: 10 })).toEqual(['many-failures']);
  expect(signsOf({ last: { at: ago(179 * 86_400), sameNetwork: true } })).toEqual([]);
  expect(signsOf({ last: { at: ago(181 * 86_400), sameNetwork: true } })).toEqual(['long-away']);
  expect(signsOf({ last: { at: ago(16 * 60), sameNetwork: false } })).toEqual([]);
  expect(signsOf({ last: { at: ago(14 * 60), sameNetwork: false } })).toEqual(['elsewhere-just-now']);
});
