import { describe, expect, test } from 'vitest';
import { decide, LADDER, type Assurable, type Factors, type Wanted } from '../../src/identity/index.ts';

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
    expect(of({ levels: [loa(3)] }, strong)).toEqual({ kind: 'step-up', methods: ['otp'] });
    // The password has aged, the other factor has not.
    expect(of({ levels: [loa(3)] }, strong, { pwd: ago(HOUR), otp: ago(60) })).toEqual({
      kind: 'step-up',
      methods: ['pwd'],
    });
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
    expect(of({ minimum }, account(2), { pwd: ago(3 * HOUR) })).toEqual({
      kind: 'step-up',
      methods: ['pwd'],
    });
    expect(of({ minimum, levels: [loa(4)] }, account(2))).toEqual({ kind: 'reached', acr: loa(2) });
    expect(of({ minimum: 'urn:unknown' }, account(4))).toEqual({ kind: 'unreachable' });
  });
});
