import { expect, test } from 'vitest';
import { recoveryStep, type Method } from '../../src/identity/index.ts';

const NOW = new Date('2026-11-24T08:00:00.000Z');
const after = (hours: number) => new Date(NOW.getTime() + hours * 3_600_000);
const METHODS: readonly Method[] = ['pwd', 'otp', 'sms', 'email', 'recovery', 'swk', 'hwk', 'fed'];
const STRONG: readonly Method[] = ['otp', 'recovery', 'swk', 'hwk'];
const subsets = (list: readonly Method[]): Method[][] =>
  list.reduce<Method[][]>((all, method) => [...all, ...all.map((each) => [...each, method])], [[]]);
const WAITING = [
  undefined,
  { readyAt: after(1), expiresAt: after(100) },
  { readyAt: after(-1), expiresAt: after(100) },
  { readyAt: NOW, expiresAt: after(1) },
  { readyAt: after(-200), expiresAt: after(-1) },
  { readyAt: after(-200), expiresAt: NOW },
];

test('whatever an account has and whatever was shown, a new password is set only with the second factor, without there being one, or after the wait', () => {
  let decided = 0;
  for (const methods of subsets(METHODS))
    for (const shown of [['sms'], ['email'], ...STRONG.map((method) => ['email', method])] as Method[][])
      for (const waiting of WAITING) {
        const step = recoveryStep({ methods }, shown, waiting, NOW);
        const has = methods.some((method) => STRONG.includes(method));
        const proven = shown.some((method) => STRONG.includes(method));
        const waited = waiting !== undefined && waiting.readyAt <= NOW && waiting.expiresAt > NOW;
        expect(step.kind === 'new-password').toBe(!has || proven || waited);
        // What is asked for is something that the account has.
        if (step.kind === 'second-factor') {
          expect(step.methods.length).toBeGreaterThan(0);
          expect(step.methods.every((method) => methods.includes(method) && STRONG.includes(method))).toBe(
            true,
          );
        }
        if (step.kind === 'wait') expect(step.until > NOW).toBe(true);
        decided += 1;
      }
  expect(decided).toBe(256 * 6 * WAITING.length);
});
