/** What may be said and done about data keys, from what the processes say of themselves and what was found in the holdings. Pure. */
import type { DataKeys } from '../platform/data-keys.ts';

/** A process that runs, and what it has. */
export interface ProcessKeys {
  readonly process: string;
  readonly current: string;
  readonly known: readonly string[];
}

/** A key under which records may lie. */
export interface KeyInUse {
  readonly id: string;
  readonly lastCurrentAt: Date;
}

/** How far the records of one holding are brought under one key. */
export interface Pass {
  readonly holding: string;
  readonly keyId: string;
  readonly position: string | undefined;
  readonly records: number;
  readonly recordsLeft: number;
  readonly startedAt: Date;
  readonly finishedAt: Date | undefined;
}

/** A process that has not said for so long that it runs, does not. */
export const LIVE_SECONDS = 60;
/** Records that could not be renewed are tried again after this time. */
const AGAIN_SECONDS = 3600;

export type Refusal =
  | { readonly code: 'DATA_KEY_MISSING'; readonly keyIds: readonly string[] }
  | { readonly code: 'DATA_KEY_EARLY'; readonly keyId: string };

/** Why a process with these keys must not run: it could not read what is there, or the others could not read what it writes. */
export function refusalOf(
  keys: DataKeys,
  others: readonly ProcessKeys[],
  inUse: readonly KeyInUse[],
): Refusal | undefined {
  const known = new Set(keys.known.map(({ id }) => id));
  const missing = [...inUse.map(({ id }) => id), ...others.map(({ current }) => current)].filter(
    (id) => !known.has(id),
  );
  if (missing.length > 0) return { code: 'DATA_KEY_MISSING', keyIds: [...new Set(missing)] };
  const { id } = keys.current;
  return others.every((other) => other.known.includes(id))
    ? undefined
    : { code: 'DATA_KEY_EARLY', keyId: id };
}

export type Work =
  | { readonly kind: 'begin'; readonly holding: string }
  | { readonly kind: 'go on'; readonly holding: string; readonly pass: Pass };

/** What is to be done next, if anything. A pass is good for something only if nothing was encrypted with another key since it began. */
export function nextWork(
  current: string,
  holdings: readonly string[],
  passes: readonly Pass[],
  inUse: readonly KeyInUse[],
  now: Date,
): Work | undefined {
  for (const holding of holdings) {
    const pass = passes.find((each) => each.holding === holding);
    if (!pass || pass.keyId !== current || !isSince(pass, inUse)) return { kind: 'begin', holding };
    if (!pass.finishedAt) return { kind: 'go on', holding, pass };
    if (pass.recordsLeft > 0 && pass.finishedAt.getTime() + AGAIN_SECONDS * 1000 < now.getTime())
      return { kind: 'begin', holding };
  }
  return undefined;
}

/** Keys under which nothing lies any more, once there is no work left. */
export function emptiedKeys(
  current: string,
  holdings: readonly string[],
  passes: readonly Pass[],
  inUse: readonly KeyInUse[],
): string[] {
  const clean = holdings.every((holding) => {
    const pass = passes.find((each) => each.holding === holding);
    return pass?.keyId === current && pass.finishedAt && pass.recordsLeft === 0 && isSince(pass, inUse);
  });
  return clean ? inUse.map(({ id }) => id).filter((id) => id !== current) : [];
}

function isSince(pass: Pass, inUse: readonly KeyInUse[]): boolean {
  return inUse.every(({ id, lastCurrentAt }) => id === pass.keyId || lastCurrentAt <= pass.startedAt);
}
