/** The seals room's door: the registry, the certificates behind it, sealing and verification. */
import type { AuditLog } from '../audit/index.ts';
import type { Custody } from '../custody/index.ts';
import type { Organisations } from '../organisations/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db } from '../platform/db/db.ts';
import { createCertificates, type Certificates } from './certificates.ts';
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
  readonly certificates: Certificates;
  readonly sealing: SealingRoom;
  readonly verification: Verification;
}

/** @param parts `serviceName` stands as organisation in the names of the certificate authorities. */
export function createSeals(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  organisations: Organisations;
  serviceName: string;
}): Seals {
  const certificates = createCertificates(parts);
  const registry = createSealRegistry({ ...parts, certificates, glyphs: createGlyphSource() });
  const verification = createVerification({ ...parts, certificates, registry, format: pdf });
  const sealing = createSealing({ ...parts, certificates, registry, verification, format: pdf });
  return { registry, certificates, sealing, verification };
}
