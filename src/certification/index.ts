/** The certification room's door: authorities, certificates, revocation, the OCSP responder and the time-stamping authority. */
import type { AuditLog } from '../audit/index.ts';
import type { Custody } from '../custody/index.ts';
import { parseCertificate, pemToDer } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import type { Logger } from '../platform/logger.ts';
import { createCertificates, type Certificates } from './certificates.ts';
import type { HierarchyId } from './hierarchies.ts';
import { createOcspResponder, type OcspResponder } from './ocsp-responder.ts';
import { createOutsideCertificates, type OutsideCertificates } from './outside.ts';
import { createRevocationLists, type RevocationLists } from './revocation-lists.ts';
import { createTimeStamping, type TimeStamping } from './time-stamping.ts';

export { fingerprintOf } from './certificates.ts';
export type { Authority, Certificates, StoredCertificate } from './certificates.ts';
export { CertificationError } from './errors.ts';
export { HIERARCHIES, hierarchyIds, isHierarchyId, type HierarchyId } from './hierarchies.ts';
export { certificationRoutes } from './http.ts';
export type { OcspResponder } from './ocsp-responder.ts';
export type { TimeStamping } from './time-stamping.ts';

export interface Certification {
  readonly certificates: Certificates;
  readonly lists: RevocationLists;
  readonly ocsp: OcspResponder;
  readonly timeStamping: TimeStamping;
  readonly outside: OutsideCertificates;
  /** Makes what is missing: authorities, the certificates of the services, lists. In the caller's transaction. */
  ensure(tx: Queryable): Promise<void>;
  /** Does what is due now: renews what the services sign with, makes lists. Several processes may do it at once. */
  maintain(): Promise<void>;
  /** Maintains from now on, and listens for revocations. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** How often it is looked for what is due. */
const MAINTAIN_MS = 60_000;
/** Any number that nothing else in the database locks. */
const RENEWAL_LOCK = 20_261_124;

export function createCertification(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  logger: Logger;
  serviceName: string;
  origin: string;
  namesResponder: boolean;
  hierarchies: readonly HierarchyId[];
  sealPolicy: string;
  timeStampPolicy: string;
  /** Roots (PEM) of outside authorities that may certify seals here; undefined: none may. */
  outsideAuthorities: string | undefined;
}): Certification {
  const { db, logger } = parts;
  const outsideRoots =
    parts.outsideAuthorities === undefined
      ? []
      : pemToDer('CERTIFICATE', parts.outsideAuthorities).map((der) => parseCertificate(der));
  const certificates = createCertificates({
    ...parts,
    outsideRoots,
    onRevoked: () => {
      ocsp.forget();
      void publishSoon();
    },
  });
  const ocsp = createOcspResponder({ ...parts, certificates });
  const lists = createRevocationLists({ ...parts, certificates });
  const stopping: (() => Promise<unknown>)[] = [];
  /** At most one at a time in this process, and none forgotten. */
  let publishing: Promise<void> = Promise.resolve();

  function publishSoon(): Promise<void> {
    publishing = publishing
      .then(() => lists.publishDue())
      .catch((error: unknown) => logger.error({ err: error }, 'a revocation list was not made'));
    return publishing;
  }

  async function maintain(): Promise<void> {
    if (await certificates.isDue())
      await db.transaction(async (tx) => {
        await tx.query('SELECT pg_advisory_xact_lock($1)', [RENEWAL_LOCK]);
        await certificates.ensure(tx);
      });
    await publishSoon();
  }

  return {
    certificates,
    lists,
    maintain,
    ocsp,
    timeStamping: createTimeStamping({ ...parts, certificates, policy: parts.timeStampPolicy }),
    outside: createOutsideCertificates({ ...parts, roots: outsideRoots }),

    async ensure(tx) {
      await certificates.ensure(tx);
      await lists.publishDue(tx);
    },

    async start() {
      stopping.push(await ocsp.listen());
      const timer = setInterval(() => {
        maintain().catch((error: unknown) =>
          logger.error({ err: error }, 'certificates and lists were not looked after'),
        );
      }, MAINTAIN_MS);
      timer.unref();
      stopping.push(async () => clearInterval(timer));
    },

    async stop() {
      for (const stop of stopping.splice(0)) await stop();
      await publishing;
    },
  };
}
