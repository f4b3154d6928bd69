/** The seals room's door: the registry, sealing and verification. */
import type { AuditLog } from '../audit/index.ts';
import type { Certificates } from '../certification/index.ts';
import type { Custody } from '../custody/index.ts';
import type { Organisations } from '../organisations/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import { createGlyphSource } from './drawing/index.ts';
import { pdf } from './formats/pdf/index.ts';
import { createSealRegistry, type SealRegistry } from './registry.ts';
import { createSealing, type SealingRoom } from './sealing.ts';
import { createVerification, type Verification } from './verification.ts';

export { SealingError } from './errors.ts';
export type { Seal } from './registry.ts';
export { sealingOptions, type Actor } from './sealing.ts';
export type { Verdict } from './verification.ts';

export interface Seals {
  readonly registry: SealRegistry;
  readonly sealing: SealingRoom;
  readonly verification: Verification;
}

export function createSeals(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  organisations: Organisations;
  certificates: Certificates;
}): Seals {
  const registry = createSealRegistry({ ...parts, glyphs: createGlyphSource() });
  const verification = createVerification({ ...parts, registry, format: pdf });
  const sealing = createSealing({ ...parts, registry, verification, format: pdf });
  return { registry, sealing, verification };
}
