/** Single rooms on a database in this process, for tests that need no HTTP. */
import { createSecretKey, randomBytes } from 'node:crypto';
import { createAuditLog, type AuditLog } from '../../src/audit/index.ts';
import { createCertification, type Certification, type HierarchyId } from '../../src/certification/index.ts';
import { createCustody, PROVIDER, type Custody } from '../../src/custody/index.ts';
import type { Db } from '../../src/platform/db/db.ts';
import type { MandateFacts } from '../../src/organisations/index.ts';
import { TestClock } from './clock.ts';
import { openMigrated } from './databases.ts';
import { silentLogger } from './logger.ts';

/** What organisations are told where there are neither portals nor seals nor persons. */
export const NOBODY = {
  facts: { serviceExists: async () => false, unitOfSeal: async () => undefined } satisfies MandateFacts,
  person: async () => undefined,
  request: () => Promise.reject(new Error('nothing is asked of two persons')),
};

export interface Rooms {
  readonly db: Db;
  readonly clock: TestClock;
  readonly audit: AuditLog;
  readonly custody: Custody;
  readonly keyEncryptionKey: ReturnType<typeof createSecretKey>;
}

/** The certification room over others, with settings of no installation. */
export function certificationOver(
  parts: Pick<Rooms, 'db' | 'clock' | 'audit' | 'custody'>,
  settings: { hierarchies?: readonly HierarchyId[]; origin?: string; outsideAuthorities?: string } = {},
): Certification {
  return createCertification({
    ...parts,
    logger: silentLogger,
    serviceName: 'Yinxin',
    namesResponder: true,
    origin: settings.origin ?? 'http://pki.example.cn',
    hierarchies: settings.hierarchies ?? ['p-256'],
    sealPolicy: '2.25.1',
    timeStampPolicy: '2.25.2',
    outsideAuthorities: settings.outsideAuthorities,
  });
}

/** A migrated database with a clock, an audit log that can sign, and custody. */
export async function openRooms(keyEncryptionKey = createSecretKey(randomBytes(32))): Promise<Rooms> {
  const db = await openMigrated();
  const clock = new TestClock();
  const audit: AuditLog = createAuditLog({
    db,
    clock,
    signer: async () => {
      const key = await custody.active(PROVIDER, 'audit');
      if (!key) throw new Error('no audit key');
      return custody.signer(PROVIDER, key.id, 'ES256');
    },
  });
  const custody = createCustody({ db, clock, audit, keyEncryptionKey });
  await db.transaction((tx) => custody.generate(tx, { owner: PROVIDER, purpose: 'audit', actor: 'system' }));
  return { db, clock, audit, custody, keyEncryptionKey };
}
