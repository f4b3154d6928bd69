import { describe, expect, test } from 'vitest';
import {
  amrOf,
  decide,
  fullyShown,
  LADDER,
  secondFactors,
  type Assurable,
  type Factors,
  type Lacking,
  type Wanted,
} from '../../src/identity/index.ts';

const loa = (n: number) => `urn:yinxin:loa:${n}`;
const NOW = 1_800_000_000;
const ago = (seconds: number) => NOW - seconds;
const HOUR = 3600;

const account = (proofing: number, methods: Assurable['methods'] = ['pwd']): Assurable => ({
  proofing,
  methods,
});
const wanted = (more: Partial<Wanted> = {}): Wanted => ({
  levels: [],
  essential: false,
  minimum: undefined,
  ...more,
});
const of = (w: Partial<Wanted>, a: Assurable, factors: Factors = { pwd: ago(10) }, interactive = true) =>
  decide(wanted(w), a, factors, { now: NOW, interactive });

const stepUp = (level: number, lacking: Partial<Lacking>) => ({
  kind: 'step-up',
  lacking: { acr: loa(level), methods: [], enrolment: false, proofing: undefined, ...lacking },
});

describe('assurance', () => {
  test('the ladder rises in proofing and falls in age', () => {
    expect(LADDER.map(({ acr }) => acr)).toEqual([1, 2, 3, 4].map(loa));
    for (const [i, level] of LADDER.entries()) {
      expect(level.proofing).toBe(i + 1);
      expect(level.maxAgeSeconds).toBeLessThanOrEqual(LADDER[i - 1]?.maxAgeSeconds ?? Infinity);
    }
  });

  test('without a wish, the level that stands is asserted, and none below the first', () => {
    expect(of({}, account(0))).toEqual({ kind: 'reached', acr: undefined });
    expect(of({}, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    // Two hours on, the second level has aged out; the first stands.
    expect(of({}, account(2), { pwd: ago(3 * HOUR) })).toEqual({ kind: 'reached', acr: loa(1) });
    expect(of({}, account(2), { pwd: ago(9 * HOUR) })).toEqual({ kind: 'reached', acr: undefined });
  });

  test('proofing without the factors, and factors without the proofing, reach nothing higher', () => {
    expect(of({}, account(4))).toEqual({ kind: 'reached', acr: loa(2) });
    expect(of({}, account(1, ['pwd', 'hwk']), { pwd: ago(1), hwk: ago(1) })).toEqual({
      kind: 'reached',
      acr: loa(1),
    });
    expect(of({}, account(4, ['pwd', 'hwk']), { pwd: ago(1), hwk: ago(1) })).toEqual({
      kind: 'reached',
      acr: loa(4),
    });
  });

  test('wishes are honoured in their order', () => {
    expect(of({ levels: [loa(1), loa(2)] }, account(2))).toEqual({ kind: 'reached', acr: loa(1) });
    expect(of({ levels: [loa(2), loa(1)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    // The first wish is out of reach for ever, the second is not.
    expect(of({ levels: [loa(4), loa(2)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
  });

  test('a wish that another factor would reach asks for that factor alone', () => {
    const strong = account(3, ['pwd', 'otp']);
    expect(of({ levels: [loa(3)] }, strong)).toEqual(stepUp(3, { methods: ['otp'] }));
    // The password has aged, the other factor has not.
    expect(of({ levels: [loa(3)] }, strong, { pwd: ago(HOUR), otp: ago(60) })).toEqual(
      stepUp(3, { methods: ['pwd'] }),
    );
    expect(of({ levels: [loa(3)] }, strong, { pwd: ago(60), otp: ago(60) })).toEqual({
      kind: 'reached',
      acr: loa(3),
    });
  });

  test('where nobody can be asked, a level further down the list that stands will do', () => {
    const strong = account(3, ['pwd', 'otp']);
    expect(of({ levels: [loa(3), loa(2)] }, strong, { pwd: ago(60) }, false)).toEqual({
      kind: 'reached',
      acr: loa(2),
    });
    expect(of({ levels: [loa(3), loa(2)] }, strong, { pwd: ago(60) })).toMatchObject({ kind: 'step-up' });
  });

  test('a wish that cannot be reached ends nothing; an essential one ends the request', () => {
    expect(of({ levels: [loa(3)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    expect(of({ levels: ['urn:unknown'] }, account(1))).toEqual({ kind: 'reached', acr: loa(1) });
    expect(of({ levels: [loa(3)], essential: true }, account(2))).toEqual({ kind: 'unreachable' });
    expect(of({ levels: ['urn:unknown'], essential: true }, account(4))).toEqual({ kind: 'unreachable' });
    expect(of({ levels: [loa(3), loa(2)], essential: true }, account(2))).toEqual({
      kind: 'reached',
      acr: loa(2),
    });
  });

  test("the portal's least level holds whatever is wished", () => {
    const minimum = loa(2);
    expect(of({ minimum, levels: [loa(1)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    expect(of({ minimum, levels: [loa(1)] }, account(1))).toEqual({ kind: 'unreachable' });
    expect(of({ minimum }, account(1))).toEqual({ kind: 'unreachable' });
    expect(of({ minimum, levels: ['urn:unknown'] }, account(1))).toEqual({ kind: 'unreachable' });
    expect(of({ minimum }, account(2), { pwd: ago(3 * HOUR) })).toEqual(stepUp(2, { methods: ['pwd'] }));
    expect(of({ minimum, levels: [loa(4)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    expect(of({ minimum: 'urn:unknown' }, account(4))).toEqual({ kind: 'unreachable' });
  });

  describe('what could be set up on the way', () => {
    const means = { proofing: 3 };
    const by = (w: Partial<Wanted>, a: Assurable, factors: Factors = { pwd: ago(10) }) =>
      decide(wanted(w), a, factors, { now: NOW, interactive: true, means });

    test('only what is missing is asked for: proofing, a factor, or both', () => {
      const levels = [loa(3)];
      expect(by({ levels }, account(1))).toEqual(stepUp(3, { enrolment: true, proofing: 3 }));
      expect(by({ levels }, account(3))).toEqual(stepUp(3, { enrolment: true }));
      expect(by({ levels }, account(1, ['pwd', 'otp']))).toEqual(
        stepUp(3, { methods: ['otp'], proofing: 3 }),
      );
      expect(by({ levels }, account(1, ['pwd', 'otp']), { pwd: ago(1), otp: ago(1) })).toEqual(
        stepUp(3, { proofing: 3 }),
      );
    });

    test('a level within reach as things are comes before one that needs setting up', () => {
      expect(by({ levels: [loa(3), loa(2)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
      expect(by({ levels: [loa(3)], minimum: loa(1) }, account(2))).toMatchObject({ kind: 'step-up' });
    });

    test('who declines gets what stands, unless the level is essential or the least of the portal', () => {
      const declined = true;
      expect(by({ levels: [loa(3)], declined }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
      expect(by({ levels: [loa(3)], declined, essential: true }, account(2)).kind).toBe('step-up');
      expect(by({ minimum: loa(3), declined }, account(2)).kind).toBe('step-up');
    });

    test('hardware and a level beyond every authority stay out of reach', () => {
      expect(by({ levels: [loa(4)], essential: true }, account(1)).kind).toBe('unreachable');
      expect(by({ levels: [loa(4)], essential: true }, account(1, ['pwd', 'hwk'])).kind).toBe('unreachable');
    });
  });

  test('a code by e-mail is a way in, and no second factor', () => {
    expect(of({}, account(3, ['pwd', 'email']), { email: ago(1) })).toEqual({ kind: 'reached', acr: loa(1) });
    expect(
      of({ levels: [loa(3)], essential: true }, account(3, ['email', 'otp']), { email: ago(1), otp: ago(1) }),
    ).toEqual(stepUp(3, { enrolment: true }));
    expect(secondFactors(account(1, ['pwd', 'email', 'otp']), ['pwd'])).toEqual(['otp']);
  });

  test('codes to addresses alone reach the first level, whoever holds the account and however many addresses there are', () => {
    const proofed = account(4, ['pwd', 'sms', 'email']);
    for (const shown of [{ sms: ago(1) }, { email: ago(1) }, { sms: ago(1), email: ago(1) }]) {
      expect(of({}, proofed, shown)).toEqual({ kind: 'reached', acr: loa(1) });
      // The password first: where a code to an address is not enough, another one is not asked for.
      expect(of({ levels: [loa(2)], essential: true }, proofed, shown)).toEqual(
        stepUp(2, { methods: ['pwd'] }),
      );
    }
    expect(of({ levels: [loa(3)] }, proofed, {})).toEqual(stepUp(3, { methods: ['pwd'] }));
    expect(of({ levels: [loa(3)] }, proofed, { pwd: ago(1) })).toEqual(stepUp(3, { methods: ['sms'] }));
    expect(of({ levels: [loa(3)] }, proofed, { pwd: ago(1), sms: ago(1) })).toEqual({
      kind: 'reached',
      acr: loa(3),
    });
    // Where there is nothing else, something is set up.
    expect(of({ levels: [loa(2)] }, account(4, ['sms', 'email']), { sms: ago(1) })).toEqual(
      stepUp(2, { enrolment: true }),
    );
  });

  test('an account has shown all that it can, or not', () => {
    const within = { now: NOW, maxAgeSeconds: 300 };
    expect(fullyShown(account(1), { pwd: ago(10) }, within)).toBe(true);
    expect(fullyShown(account(1), { pwd: ago(301) }, within)).toBe(false);
    expect(fullyShown(account(1, ['pwd', 'otp']), { pwd: ago(10) }, within)).toBe(false);
    expect(fullyShown(account(1, ['pwd', 'otp']), { pwd: ago(10), otp: ago(200) }, within)).toBe(true);
    expect(fullyShown(account(1, ['pwd', 'swk']), { swk: ago(10) }, within)).toBe(true);
  });

  test('amr says how, in the words of RFC 8176', () => {
    expect(amrOf(['pwd'])).toEqual(['pwd']);
    expect(amrOf(['pwd', 'otp'])).toEqual(['pwd', 'otp', 'mfa']);
    expect(amrOf(['pwd', 'email'])).toEqual(['pwd', 'otp']);
    expect(amrOf(['swk'])).toEqual(['swk', 'user', 'mfa']);
    expect(amrOf([])).toEqual([]);
  });
});
