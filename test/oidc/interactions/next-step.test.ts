import { describe, expect, test } from 'vitest';
import type { Account, Method } from '../../../src/identity/index.ts';
import { nextStep, type Demands, type Standing } from '../../../src/oidc/interactions/next-step.ts';

const NOW = 1_800_000_000;
const loa = (n: number) => `urn:yinxin:loa:${n}`;

const account = (
  proofing: number,
  methods: Method[] = ['pwd'],
  password: Account['password'] = { standsAlone: true, since: new Date(0) },
): Account => ({
  id: 'acc_0',
  createdAt: new Date(0),
  username: 'somebody',
  phone: undefined,
  phoneVerified: false,
  email: undefined,
  emailVerified: false,
  proofing,
  methods,
  password,
});
const step = (
  standing: Partial<Standing>,
  demands: Partial<Demands> & { levels?: string[]; minimum?: string } = {},
  proofing = 3,
  passwordSeconds?: number,
) => {
  const { levels = [], minimum, ...rest } = demands;
  const shownNow = standing.shownNow ?? {};
  return nextStep(
    {
      account: undefined,
      factors: shownNow,
      proofed: undefined,
      declined: false,
      unusual: false,
      ...standing,
      shownNow,
    },
    { wanted: { levels, essential: false, minimum }, anew: false, fullWithinSeconds: undefined, ...rest },
    { now: NOW, means: { proofing }, passwordSeconds },
  );
};

describe('a sign-in', () => {
  test('begins with whom it is, and ends when nothing is lacking', () => {
    expect(step({})).toEqual({ kind: 'sign-in' });
    expect(step({ account: account(1), shownNow: { pwd: NOW } })).toEqual({ kind: 'done' });
  });

  test('that must be anew is not content with the session', () => {
    const standing = { account: account(1, ['pwd', 'otp']), factors: { pwd: NOW - 60, otp: NOW - 60 } };
    expect(step(standing, { anew: true })).toEqual({ kind: 'factor', methods: ['pwd'] });
    expect(step({ ...standing, shownNow: { pwd: NOW } }, { anew: true })).toEqual({ kind: 'done' });
  });

  test('asks for a factor that the account has before it asks for anything else', () => {
    const standing = { account: account(1, ['pwd', 'otp']), shownNow: { pwd: NOW } };
    expect(step(standing, { minimum: loa(3) })).toEqual({ kind: 'factor', methods: ['otp'] });
    expect(step({ ...standing, shownNow: { pwd: NOW, otp: NOW } }, { minimum: loa(3) })).toEqual({
      kind: 'proofing',
      level: 3,
      optional: false,
    });
  });

  test('that is unusual asks for a second factor whatever level is wanted, if the account has one', () => {
    const standing = { account: account(1, ['pwd', 'otp']), shownNow: { pwd: NOW }, unusual: true };
    expect(step(standing)).toEqual({ kind: 'factor', methods: ['otp'] });
    // What an older session has shown does not speak for who is here now.
    expect(step({ ...standing, factors: { pwd: NOW, otp: NOW - 60 } })).toEqual({
      kind: 'factor',
      methods: ['otp'],
    });
    expect(step({ ...standing, shownNow: { pwd: NOW, otp: NOW } })).toEqual({ kind: 'done' });
    expect(step({ ...standing, account: account(1) })).toEqual({ kind: 'done' });
    expect(step({ ...standing, account: account(1, ['pwd', 'email']) })).toEqual({ kind: 'done' });
    expect(
      step({ account: account(1, ['pwd', 'otp', 'swk']), shownNow: { swk: NOW }, unusual: true }),
    ).toEqual({
      kind: 'done',
    });
  });

  test('proves the person before a factor is tied to them, and says what may be left out', () => {
    const standing = { account: account(1), shownNow: { pwd: NOW } };
    expect(step(standing, { levels: [loa(3)] })).toEqual({ kind: 'proofing', level: 3, optional: true });
    const proofed = { ...standing, account: account(3), proofed: 3 };
    expect(step(proofed, { levels: [loa(3)] })).toEqual({ kind: 'enrolment', optional: true });
    expect(step(proofed, { minimum: loa(3) })).toEqual({ kind: 'enrolment', optional: false });
    expect(step({ ...proofed, declined: true }, { levels: [loa(3)] })).toEqual({ kind: 'done' });
  });

  test('by password alone into an account that was proofed does not tie a new factor to it', () => {
    const stolen = { account: account(3), shownNow: { pwd: NOW } };
    expect(step(stolen, { minimum: loa(3) })).toEqual({ kind: 'proofing', level: 3, optional: false });
    // Where nobody can prove it again, the level is out of reach.
    expect(step(stolen, { minimum: loa(3) }, 0)).toEqual({ kind: 'unreachable' });
    expect(step(stolen, { levels: [loa(3)] }, 0)).toEqual({ kind: 'done' });
  });

  test('to our own pages shows all that the account can show, where they ask for it', () => {
    const standing = { account: account(1, ['pwd', 'otp']), shownNow: { pwd: NOW } };
    expect(step(standing, { fullWithinSeconds: 300 })).toEqual({ kind: 'factor', methods: ['otp'] });
    expect(step({ account: account(1), shownNow: { pwd: NOW } }, { fullWithinSeconds: 300 })).toEqual({
      kind: 'done',
    });
  });
});

describe('a password', () => {
  const since = (secondsAgo: number) => new Date((NOW - secondsAgo) * 1000);
  const short = { standsAlone: false, since: since(60) };

  test('that is short asks for a second factor, whatever level is wanted', () => {
    const holder = account(1, ['pwd', 'otp'], short);
    expect(step({ account: holder, shownNow: { pwd: NOW } })).toEqual({ kind: 'factor', methods: ['otp'] });
    expect(step({ account: holder, shownNow: { pwd: NOW, otp: NOW } })).toEqual({ kind: 'done' });
  });

  test('that is short is not helped by a factor of an earlier sign-in', () => {
    const holder = account(1, ['pwd', 'otp'], short);
    const standing = { account: holder, shownNow: { pwd: NOW }, factors: { pwd: NOW, otp: NOW - 600 } };
    expect(step(standing)).toEqual({ kind: 'factor', methods: ['otp'] });
  });

  test('that is short and all that there is must be changed', () => {
    const holder = account(1, ['pwd'], short);
    expect(step({ account: holder, shownNow: { pwd: NOW } })).toEqual({
      kind: 'new-password',
      reason: 'short',
    });
  });

  test('that is short does not matter to who signs in by something else', () => {
    const holder = account(1, ['pwd', 'swk'], short);
    expect(step({ account: holder, shownNow: { swk: NOW } })).toEqual({ kind: 'done' });
  });

  test('never ages where no age is declared', () => {
    expect(step({ account: account(1), shownNow: { pwd: NOW } })).toEqual({ kind: 'done' });
  });

  test('that is older than is allowed is changed by who has shown all that the account can show', () => {
    const day = 86_400;
    const aged = (methods: Method[], days: number) =>
      account(1, methods, { standsAlone: true, since: since(days * day) });
    const shown = { shownNow: { pwd: NOW } };
    const judge = (standing: Partial<Standing>) => step(standing, {}, 3, 90 * day);
    expect(judge({ account: aged(['pwd'], 90), ...shown })).toEqual({ kind: 'done' });
    expect(judge({ account: aged(['pwd'], 91), ...shown })).toEqual({ kind: 'new-password', reason: 'aged' });
    expect(judge({ account: aged(['pwd', 'otp'], 91), ...shown })).toEqual({
      kind: 'factor',
      methods: ['otp'],
    });
    expect(judge({ account: aged(['pwd', 'otp'], 91), shownNow: { pwd: NOW, otp: NOW } })).toEqual({
      kind: 'new-password',
      reason: 'aged',
    });
    // A session that stands goes on.
    expect(judge({ account: aged(['pwd'], 91), factors: { pwd: NOW - 60 } })).toEqual({ kind: 'done' });
  });
});
