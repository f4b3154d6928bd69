/**
 * The keys from which everything that encrypts data at rest is derived. One is current and encrypts; others may be known besides, so that
 * what they encrypted is still read, or is read already when another process encrypts with them. A key is named by what it is.
 */
import { createHmac, type KeyObject } from 'node:crypto';

/** Length of the name of a key in a record, in bytes. */
export const KEY_ID_BYTES = 8;

export interface DataKey {
  /** Names the key without showing it: 16 hexadecimal digits. Stored with what it encrypts, shown to operators. */
  readonly id: string;
  readonly secret: KeyObject;
}

export interface DataKeys {
  /** Encrypts. */
  readonly current: DataKey;
  /** Every known key, the current one first: all of them decrypt. */
  readonly known: readonly [DataKey, ...DataKey[]];
}

/** @param secrets 32 bytes each. */
export function toDataKeys(current: KeyObject, others: readonly KeyObject[] = []): DataKeys {
  const first = toDataKey(current);
  return Object.freeze({ current: first, known: Object.freeze([first, ...others.map(toDataKey)] as const) });
}

function toDataKey(secret: KeyObject): DataKey {
  const name = createHmac('sha256', secret).update('yinxin/data-key/id').digest();
  return Object.freeze({ id: name.subarray(0, KEY_ID_BYTES).toString('hex'), secret });
}
