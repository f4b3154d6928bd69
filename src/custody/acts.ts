/** What is done to a unit's keys by two persons alone: making, keeping a copy, bringing one back, giving one up, ending one. */
import { z } from 'zod';
import { defineAct, type Act, type Part } from '../dual-control/index.ts';
import type { Transaction } from '../platform/db/db.ts';
import { isId, type KeyId } from '../platform/ids.ts';
import { readBackup } from './backup.ts';
import type { Custody } from './custody.ts';
import { KEY_TYPES } from './key-types.ts';

/**
 * Whether a person may ask for, or approve, such an act on the keys of the unit in `part.scope`. Declared here, answered by whoever knows
 * the offices of people.
 */
export type MayActOnKeys = (
  tx: Transaction,
  part: Part & { readonly act: string; readonly role: 'request' | 'approve' },
) => Promise<boolean> | boolean;

const keyId = z.custom<KeyId>((value) => isId('key', value));
const ofKey = z.object({ keyId }).strict();
/** Units' own keys serve seals. */
const creation = z
  .object({ purpose: z.literal('seal'), keyType: z.enum(KEY_TYPES), state: z.enum(['pre-active', 'active']) })
  .strict();
const restoring = z.object({ backup: z.unknown().refine((value) => readBackup(value)) }).strict();

/** The acts on keys; an act's scope is the owner. */
export function custodyActs(custody: Custody, may: MayActOnKeys): Readonly<Record<string, Act>> {
  const parts = (act: string) => ({
    mayRequest: (tx: Transaction, part: Part) => may(tx, { ...part, act, role: 'request' }),
    mayApprove: (tx: Transaction, part: Part) => may(tx, { ...part, act, role: 'approve' }),
  });
  return {
    'key.create': defineAct({
      parse: (parameters) => creation.parse(parameters),
      ...parts('key.create'),
      run: (tx, wish, { scope, executedBy }) =>
        custody.generate(tx, { ...wish, owner: scope, actor: executedBy }),
    }),
    'key.export': defineAct({
      parse: (parameters) => ofKey.parse(parameters),
      ...parts('key.export'),
      run: (tx, key, { scope, executedBy }) =>
        custody.exportBackup(tx, { ...key, owner: scope, actor: executedBy }),
    }),
    'key.restore': defineAct({
      parse: (parameters) => restoring.parse(parameters),
      ...parts('key.restore'),
      run: (tx, { backup }, { scope, executedBy }) =>
        custody.restoreBackup(tx, { backup, owner: scope, actor: executedBy }),
    }),
    'key.compromise': defineAct({
      parse: (parameters) => ofKey.parse(parameters),
      ...parts('key.compromise'),
      run: (tx, key, { scope, executedBy }) =>
        custody.change(tx, { ...key, owner: scope, to: 'compromised', actor: executedBy }),
    }),
    'key.destroy': defineAct({
      parse: (parameters) => ofKey.parse(parameters),
      ...parts('key.destroy'),
      run: (tx, key, { scope, executedBy }) =>
        custody.destroy(tx, { ...key, owner: scope, actor: executedBy }),
    }),
  };
}
