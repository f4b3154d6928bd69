/** The hierarchies of authorities that an installation can have. Each is of one kind of key from root to seal. */
import type { KeyType } from '../custody/index.ts';
import { isSm2, type SignatureAlgorithm } from '../pki/index.ts';
import type { KeyObject } from 'node:crypto';

export type HierarchyId = 'p-256' | 'rsa' | 'sm2';

export interface Hierarchy {
  readonly keyType: KeyType;
  readonly algorithm: SignatureAlgorithm;
  /** Stands in the names of its authorities. The first hierarchy that there was has none. */
  readonly label: string;
}

export const HIERARCHIES: Readonly<Record<HierarchyId, Hierarchy>> = {
  'p-256': { keyType: 'P-256', algorithm: 'ecdsa-with-SHA256', label: '' },
  rsa: { keyType: 'RSA-3072', algorithm: 'sha256WithRSAEncryption', label: 'RSA ' },
  sm2: { keyType: 'SM2', algorithm: 'sm2-with-SM3', label: 'SM2 ' },
};

// eslint-disable-next-line typescript/no-unsafe-type-assertion -- the table above is closed
export const hierarchyIds = Object.keys(HIERARCHIES) as HierarchyId[];

export function isHierarchyId(text: string): text is HierarchyId {
  return Object.hasOwn(HIERARCHIES, text);
}

/** Which of the hierarchies at hand certifies this key: the one of its kind, otherwise the first. SM2 is certified by SM2 alone, and certifies nothing else. */
export function hierarchyFor(publicKey: KeyObject, atHand: readonly HierarchyId[]): HierarchyId | undefined {
  const others = atHand.filter((id) => id !== 'sm2');
  if (isSm2(publicKey)) return atHand.find((id) => id === 'sm2');
  const kind = publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'p-256';
  return others.includes(kind) ? kind : others[0];
}
