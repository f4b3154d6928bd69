import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { toDataKeys } from '../../src/platform/data-keys.ts';
import {
  emptiedKeys,
  nextWork,
  refusalOf,
  type KeyInUse,
  type Pass,
  type ProcessKeys,
} from '../../src/rotation/standing.ts';

const newKey = () => createSecretKey(randomBytes(32));
const [a, b] = [newKey(), newKey()];
const [idA, idB] = [toDataKeys(a).current.id, toDataKeys(b).current.id];
const at = (minute: number) => new Date(Date.UTC(2026, 10, 23, 8, minute));

describe('a process may run', () => {
  const runs = (current: string, ...known: string[]): ProcessKeys => ({
    process: 'proc_x',
    current,
    known: [current, ...known],
  });
  const used = (...ids: string[]): KeyInUse[] => ids.map((id) => ({ id, lastCurrentAt: at(0) }));

  test('through every step of replacing a key', () => {
    expect(refusalOf(toDataKeys(a), [], [])).toBeUndefined();
    expect(refusalOf(toDataKeys(a, [b]), [runs(idA)], used(idA))).toBeUndefined();
    expect(refusalOf(toDataKeys(b, [a]), [runs(idA, idB)], used(idA))).toBeUndefined();
    expect(refusalOf(toDataKeys(a, [b]), [runs(idB, idA)], used(idA, idB))).toBeUndefined();
    expect(refusalOf(toDataKeys(b), [runs(idB, idA)], used(idB))).toBeUndefined();
  });

  test('not without a key under which records may lie, or with which another process encrypts', () => {
    expect(refusalOf(toDataKeys(b), [], used(idA))).toEqual({ code: 'DATA_KEY_MISSING', keyIds: [idA] });
    expect(refusalOf(toDataKeys(b), [runs(idA, idB)], used(idA, idB))).toEqual({
      code: 'DATA_KEY_MISSING',
      keyIds: [idA],
    });
    expect(refusalOf(toDataKeys(b), [runs(idA, idB)], [])).toMatchObject({ code: 'DATA_KEY_MISSING' });
  });

  test('not with a current key that a running process does not know', () => {
    expect(refusalOf(toDataKeys(b, [a]), [runs(idA)], used(idA))).toEqual({
      code: 'DATA_KEY_EARLY',
      keyId: idB,
    });
  });
});

describe('what is to be done', () => {
  const pass = (more: Partial<Pass> = {}): Pass => ({
    holding: 'x',
    keyId: idB,
    position: undefined,
    records: 10,
    recordsLeft: 0,
    startedAt: at(10),
    finishedAt: at(11),
    ...more,
  });
  const inUse = (minute: number): KeyInUse[] => [
    { id: idA, lastCurrentAt: at(minute) },
    { id: idB, lastCurrentAt: at(59) },
  ];
  const next = (passes: Pass[], minute = 9, now = at(12)) =>
    nextWork(idB, ['x'], passes, inUse(minute), now)?.kind;
  const emptied = (passes: Pass[], minute = 9) => emptiedKeys(idB, ['x'], passes, inUse(minute));

  test('a holding is gone through once for each key, and goes on where it was', () => {
    expect(next([])).toBe('begin');
    expect(next([pass({ keyId: idA })])).toBe('begin');
    expect(next([pass({ finishedAt: undefined })])).toBe('go on');
    expect(next([pass()])).toBeUndefined();
  });

  test('it begins again when something was encrypted with another key since', () => {
    expect(next([pass()], 11)).toBe('begin');
    expect(next([pass({ finishedAt: undefined })], 11)).toBe('begin');
  });

  test('records that were left over are tried again after an hour', () => {
    expect(next([pass({ recordsLeft: 1 })])).toBeUndefined();
    expect(next([pass({ recordsLeft: 1 })], 9, at(72))).toBe('begin');
  });

  test('a key is needed until every holding was gone through with nothing left', () => {
    expect(emptied([pass()])).toEqual([idA]);
    expect(emptied([])).toEqual([]);
    expect(emptied([pass({ recordsLeft: 1 })])).toEqual([]);
    expect(emptied([pass({ finishedAt: undefined })])).toEqual([]);
    expect(emptied([pass()], 11)).toEqual([]);
    expect(emptiedKeys(idB, ['x', 'y'], [pass()], inUse(9))).toEqual([]);
  });
});
