import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  canBeHeldOn,
  conflictAmong,
  covers,
  DUTIES,
  gives,
  RIGHTS,
  ROLES,
  type Held,
  type Role,
} from '../../src/organisations/duties.ts';
import { Tree } from '../../src/organisations/tree.ts';
import type { UnitId } from '../../src/platform/ids.ts';

const unit = (name: string): UnitId => `unit_${name}`;
const held = (role: Role, unitId?: UnitId): Held => ({ role, unitId });
/** office > desk; workshop. */
const tree = new Tree([
  { id: unit('office'), parentId: undefined },
  { id: unit('desk'), parentId: unit('office') },
  { id: unit('workshop'), parentId: undefined },
]);

const pick = <T>(of: readonly [T, ...T[]]): T => of[randomInt(of.length)] ?? of[0];

type Places = readonly [undefined, ...UnitId[]];

/** A tree of up to ten units, each under one that is older. */
function anyTree(): { tree: Tree; places: Places } {
  const branches: { id: UnitId; parentId: UnitId | undefined }[] = [];
  const size = randomInt(1, 11);
  for (let i = 0; i < size; i++)
    branches.push({ id: unit(String(i)), parentId: pick([undefined, ...branches.map(({ id }) => id)]) });
  return { tree: new Tree(branches), places: [undefined, ...branches.map(({ id }) => id)] };
}
function anyHeld(places: Places): Held {
  for (;;) {
    const each = held(pick(ROLES), pick(places));
    if (canBeHeldOn(each.role, each.unitId)) return each;
  }
}

describe('a role', () => {
  test('that manages, approves or audits reaches every unit below, and none beside or above', () => {
    for (const role of ['administrator', 'auditor', 'approver'] as const) {
      expect(covers(held(role, unit('office')), unit('desk'), tree)).toBe(true);
      expect(covers(held(role, unit('desk')), unit('office'), tree)).toBe(false);
      expect(covers(held(role, unit('office')), unit('workshop'), tree)).toBe(false);
      expect(covers(held(role, unit('office')), undefined, tree)).toBe(false);
      expect(covers(held(role), unit('desk'), tree)).toBe(true);
    }
  });

  test('that keeps or uses seals is good in its very unit', () => {
    for (const role of ['seal-keeper', 'seal-officer'] as const) {
      expect(covers(held(role, unit('office')), unit('office'), tree)).toBe(true);
      expect(covers(held(role, unit('office')), unit('desk'), tree)).toBe(false);
      expect(canBeHeldOn(role, undefined)).toBe(false);
    }
  });

  test('gives no right in a place that it does not reach, whatever the tree', () => {
    for (let i = 0; i < 2000; i++) {
      const any = anyTree();
      const holds = [anyHeld(any.places), anyHeld(any.places)];
      for (const right of RIGHTS)
        for (const place of any.places)
          expect(gives(holds, right, place, any.tree)).toBe(
            holds.some(
              (each) =>
                DUTIES.rights[right].includes(each.role) &&
                (each.unitId === place ||
                  (DUTIES.roles[each.role].reaches === 'below' &&
                    place !== undefined &&
                    (each.unitId === undefined || any.tree.pathOf(place).includes(each.unitId)))),
            ),
          );
    }
  });
});

describe('separate duties', () => {
  test.each([
    ['administrator', 'seal-keeper'],
    ['administrator', 'auditor'],
    ['seal-keeper', 'auditor'],
    ['legal-representative', 'auditor'],
    ['seal-officer', 'auditor'],
    ['approver', 'auditor'],
  ] as const)('%s and %s are never one person, wherever in the organisation', (one, other) => {
    const place = (role: Role, of: UnitId) => held(role, canBeHeldOn(role, of) ? of : undefined);
    expect(conflictAmong([place(one, unit('desk')), place(other, unit('workshop'))], tree)).toBeDefined();
    expect(conflictAmong([place(other, unit('desk')), place(one, unit('workshop'))], tree)).toBeDefined();
  });

  test.each([
    ['seal-keeper', 'seal-officer'],
    ['seal-keeper', 'approver'],
    ['seal-officer', 'approver'],
  ] as const)('%s and %s are two persons in one unit, and may be one in two', (one, other) => {
    expect(conflictAmong([held(one, unit('desk')), held(other, unit('desk'))], tree)).toBeDefined();
    expect(conflictAmong([held(one, unit('desk')), held(other, unit('workshop'))], tree)).toBeUndefined();
  });

  test('meet where one of them reaches down to the other', () => {
    expect(
      conflictAmong([held('approver', unit('office')), held('seal-officer', unit('desk'))], tree),
    ).toBeDefined();
    expect(conflictAmong([held('approver'), held('seal-keeper', unit('workshop'))], tree)).toBeDefined();
    expect(
      conflictAmong([held('approver', unit('desk')), held('seal-officer', unit('office'))], tree),
    ).toBeUndefined();
  });

  test('leave a person of one office alone: represent, use seals, and manage', () => {
    const holds = [held('legal-representative'), held('seal-officer', unit('office')), held('administrator')];
    expect(conflictAmong(holds, tree)).toBeUndefined();
  });

  test('of a set are in conflict exactly when two of it are, in whatever order', () => {
    for (let i = 0; i < 3000; i++) {
      const { tree: any, places } = anyTree();
      const holds = Array.from({ length: randomInt(1, 5) }, () => anyHeld(places));
      const pairs = holds.flatMap((one, n) => holds.slice(n + 1).map((other) => [one, other]));
      const expected = pairs.some((pair) => conflictAmong(pair, any) !== undefined);
      expect(conflictAmong(holds, any) !== undefined).toBe(expected);
      expect(conflictAmong(holds.toReversed(), any) !== undefined).toBe(expected);
    }
  });

  test('more roles never heal a conflict', () => {
    for (let i = 0; i < 2000; i++) {
      const { tree: any, places } = anyTree();
      const holds = [anyHeld(places), anyHeld(places)];
      if (conflictAmong(holds, any)) expect(conflictAmong([...holds, anyHeld(places)], any)).toBeDefined();
    }
  });
});

describe('the tree', () => {
  test('moved about at will never has a unit below itself', () => {
    for (let i = 0; i < 500; i++) {
      const { tree: first, places } = anyTree();
      let any = first;
      for (let n = 0; n < 10; n++) {
        const [id, parentId] = [pick(places), pick(places)];
        if (id === undefined || (parentId !== undefined && any.isWithin(parentId, id))) continue;
        any = any.withParent(id, parentId);
      }
      for (const id of places) {
        if (id === undefined) continue;
        const path = any.pathOf(id);
        // The way up ends at the organisation, never at a unit that was passed.
        expect(new Set(path).size).toBe(path.length);
        expect(any.depth()).toBeGreaterThanOrEqual(path.length);
        expect(any.below(id).every((each) => any.pathOf(each).includes(id))).toBe(true);
      }
    }
  });
});

test('every role is in the rules, and the rules name no other', () => {
  expect(Object.keys(DUTIES.roles).toSorted()).toEqual([...ROLES].toSorted());
});
