/** Certificates: the authorities of each hierarchy, what they issue by the profile in this room's README, and what they revoke. */
import { createHash, randomBytes } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import { PROVIDER, type Custody, type KeyPurpose, type KeyRecord } from '../custody/index.ts';
import type { Unit } from '../organisations/index.ts';
import {
  buildCertificate,
  keyIdentifier,
  parseCertificate,
  revocationReasons,
  type Certificate,
  type Name,
  type RevocationReason,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable, Transaction } from '../platform/db/db.ts';
import { isId, newId, type CertificateId, type KeyId } from '../platform/ids.ts';
import { CertificationError } from './errors.ts';
import { HIERARCHIES, hierarchyFor, isHierarchyId, type HierarchyId } from './hierarchies.ts';
import {
  extensionsOf,
  RENEW_MS,
  sealName,
  serviceName,
  validityOf,
  type Addresses,
  type Profile,
} from './profile.ts';

export interface StoredCertificate {
  readonly id: CertificateId;
  readonly keyId: KeyId;
  readonly certificate: Certificate;
  /** The authority that issued it; `undefined` for roots, and for certificates of outside authorities. */
  readonly issuerId: CertificateId | undefined;
  readonly revocation: Revocation | undefined;
}

export interface Revocation {
  readonly at: Date;
  readonly reason: RevocationReason;
}

/** A certificate authority of ours. */
export interface Authority extends StoredCertificate {
  readonly hierarchy: HierarchyId;
  readonly profile: 'root' | 'issuing';
}

/** A certificate that a service of ours signs with. */
export type ServiceProfile = 'ocsp-responder' | 'time-stamping';

/** Heard by every process when a certificate is revoked; the payload is its id. */
export const REVOKED_CHANNEL = 'certificate_revoked';

export interface Certificates {
  /** Makes what this installation lacks: roots, issuing authorities, and certificates of the services that are missing or soon to end. */
  ensure(tx: Queryable): Promise<void>;
  /** Whether a service's certificate is missing or soon to end. */
  isDue(): Promise<boolean>;
  /**
   * Issues the certificate of a seal for a unit's key, in the caller's transaction, under the hierarchy of the key's kind.
   * @throws {CertificationError} CERTIFIER_MISSING
   */
  issueSealCertificate(
    tx: Queryable,
    request: { unit: Unit; sealName: string; key: KeyRecord; actor: string },
  ): Promise<StoredCertificate>;
  /**
   * Revokes a certificate of ours for good, in the caller's transaction. Of two who do it at once one succeeds. The list follows at once, and the
   * responder's answers change.
   * @param request.invalidSince Since when the key is thought to be in wrong hands.
   * @throws {CertificationError} CERTIFICATE_NOT_FOUND, CERTIFICATE_REVOKED, REVOCATION_REASON.
   */
  revoke(
    tx: Transaction,
    request: {
      certificateId: string;
      reason: string;
      invalidSince?: Date | undefined;
      actor: string;
    },
  ): Promise<void>;
  /**
   * All authorities of ours, those of the first hierarchy first, the newest of a kind first. Those that were revoked are among them.
   * @param on The transaction in which some were made, if it has not committed yet.
   */
  authorities(on?: Queryable): Promise<readonly Authority[]>;
  /** What seals are verified with: roots, ours first and then those of outside authorities; and issuing authorities of ours. */
  trust(): Promise<{
    readonly roots: readonly Certificate[];
    readonly intermediates: readonly Certificate[];
  }>;
  /** Which of these certificates we have revoked. @returns SHA-256 of each, hex. */
  revokedAmong(certificates: readonly Certificate[]): Promise<ReadonlySet<string>>;
  find(id: CertificateId): Promise<StoredCertificate | undefined>;
  /** The authorities from a certificate's issuer up to the root, the issuer first; or what came with that of an outside authority. */
  chainOf(id: CertificateId): Promise<readonly Certificate[]>;
  /** The certificate that a service signs with now under an authority, and the authority. */
  serviceCertificate(
    profile: ServiceProfile,
    issuerId: CertificateId,
  ): Promise<StoredCertificate | undefined>;
}

interface Issuance {
  readonly hierarchy: HierarchyId;
  readonly profile: Profile;
  readonly subject: Name;
  readonly key: Pick<KeyRecord, 'id' | 'publicKey'>;
  /** `undefined`: it issues itself. */
  readonly issuer: Authority | undefined;
  readonly actor: string;
}

interface CertificateRow {
  id: CertificateId;
  key_id: KeyId;
  issuer_id: CertificateId | null;
  profile: string;
  hierarchy: string;
  der: Uint8Array;
  revoked_at: Date | null;
  revocation_reason: RevocationReason | null;
}

const COLUMNS = 'id, key_id, issuer_id, profile, hierarchy, der, revoked_at, revocation_reason';
/** How long the authorities are remembered: another process may have made some. */
const REMEMBER_MS = 60_000;
const SERVICES: readonly ServiceProfile[] = ['ocsp-responder', 'time-stamping'];

export interface CertificatesParts {
  readonly db: Db;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly custody: Custody;
  /** Stands as organisation in the names of authorities and services. */
  readonly serviceName: string;
  /** Origin under which certificates, lists and answers are found. */
  readonly origin: string;
  /** Whether certificates name the OCSP responder at that origin. */
  readonly namesResponder: boolean;
  /** The hierarchies of this installation, the one for keys of any kind first. */
  readonly hierarchies: readonly HierarchyId[];
  /** Dotted decimal. */
  readonly sealPolicy: string;
  /** Roots of outside authorities that may certify seals here. */
  readonly outsideRoots: readonly Certificate[];
}

export function createCertificates(
  parts: CertificatesParts & {
    /** Told, after the commit, whose list has to be made anew. */
    readonly onRevoked: (issuerId: CertificateId) => void;
  },
): Certificates {
  const { db, clock, audit, custody } = parts;
  let known: { readonly all: Promise<readonly Authority[]>; readonly until: number } | undefined;

  function addressesOf(issuer: Authority): Addresses {
    return {
      certificate: `${parts.origin}/pki/ca/${issuer.id}.cer`,
      crl: `${parts.origin}/pki/crl/${issuer.id}.crl`,
      ocsp: issuer.profile === 'issuing' && parts.namesResponder ? `${parts.origin}/pki/ocsp` : undefined,
    };
  }

  /** Builds, signs and stores one certificate. */
  async function issue(tx: Queryable, issuance: Issuance): Promise<StoredCertificate> {
    const { hierarchy, profile, key, issuer, actor } = issuance;
    const issuerKey = issuer ? { id: issuer.keyId, publicKey: issuer.certificate.publicKey } : key;
    const serial = serialNumber();
    const der = await buildCertificate(
      {
        serialNumber: serial,
        issuer: issuer?.certificate.subject ?? issuance.subject,
        subject: issuance.subject,
        ...validityOf(profile, clock.now(), issuer?.certificate.notAfter),
        subjectPublicKey: key.publicKey,
        extensions: {
          ...extensionsOf(profile, issuer && addressesOf(issuer), parts.sealPolicy),
          subjectKeyIdentifier: keyIdentifier(key.publicKey),
          authorityKeyIdentifier: keyIdentifier(issuerKey.publicKey),
        },
      },
      await custody.signer(PROVIDER, issuerKey.id, HIERARCHIES[hierarchy].algorithm, tx),
    );
    const certificate = parseCertificate(der);
    const fingerprint = createHash('sha256').update(der).digest();
    const id = newId('cert', clock.now());
    await tx.query(
      `INSERT INTO certificates (id, profile, hierarchy, key_id, issuer_id, serial_number, fingerprint, der, not_before, not_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        id,
        profile,
        hierarchy,
        key.id,
        issuer?.id ?? null,
        serial,
        fingerprint,
        der,
        certificate.notBefore,
        certificate.notAfter,
      ],
    );
    await audit.record(tx, {
      type: 'certificate.issued',
      actor,
      subject: id,
      detail: {
        profile,
        keyId: key.id,
        fingerprint: fingerprint.toString('hex'),
        notAfter: certificate.notAfter.toISOString(),
      },
    });
    return { id, keyId: key.id, certificate, issuerId: issuer?.id, revocation: undefined };
  }

  async function readAuthorities(on: Queryable): Promise<readonly Authority[]> {
    const rows = await on.query<CertificateRow>(
      `SELECT ${COLUMNS} FROM certificates WHERE profile IN ('root', 'issuing') ORDER BY not_after DESC, id DESC`,
    );
    const all = rows.flatMap((row): Authority[] => {
      const { hierarchy, profile } = row;
      return isHierarchyId(hierarchy) && (profile === 'root' || profile === 'issuing')
        ? [{ ...toStored(row), hierarchy, profile }]
        : [];
    });
    const rank = ({ hierarchy }: Authority) => {
      const at = parts.hierarchies.indexOf(hierarchy);
      return at < 0 ? parts.hierarchies.length : at;
    };
    return all.toSorted((a, b) => rank(a) - rank(b));
  }

  /** The authority that issues now. */
  function current(
    all: readonly Authority[],
    hierarchy: HierarchyId,
    profile: Authority['profile'],
  ): Authority | undefined {
    const now = clock.now();
    return all.find(
      (each) =>
        each.hierarchy === hierarchy &&
        each.profile === profile &&
        !each.revocation &&
        now < each.certificate.notAfter,
    );
  }

  async function makeAuthority(
    tx: Queryable,
    hierarchy: HierarchyId,
    profile: Authority['profile'],
    issuer: Authority | undefined,
  ): Promise<Authority> {
    const { keyType, label } = HIERARCHIES[hierarchy];
    const purpose: KeyPurpose = profile === 'root' ? 'root-ca' : 'issuing-ca';
    const key = await custody.generate(tx, { owner: PROVIDER, purpose, actor: 'system', keyType });
    const commonName = `Yinxin ${label}${profile === 'root' ? 'Root' : 'Seal'} CA`;
    const stored = await issue(tx, {
      hierarchy,
      profile,
      subject: serviceName(parts.serviceName, commonName),
      key,
      issuer,
      actor: 'system',
    });
    return { ...stored, hierarchy, profile };
  }

  async function newestService(
    on: Queryable,
    profile: ServiceProfile,
    issuerId: CertificateId,
  ): Promise<StoredCertificate | undefined> {
    const [row] = await on.query<CertificateRow>(
      `SELECT ${COLUMNS} FROM certificates
        WHERE profile = $1 AND issuer_id = $2 AND not_after > $3 AND revoked_at IS NULL ORDER BY not_after DESC LIMIT 1`,
      [profile, issuerId, clock.now()],
    );
    return row && toStored(row);
  }

  async function isServiceDue(on: Queryable, profile: ServiceProfile, issuer: Authority): Promise<boolean> {
    const newest = await newestService(on, profile, issuer.id);
    const left = (newest?.certificate.notAfter.getTime() ?? 0) - clock.now().getTime();
    // Near the end of the issuer nothing longer can be had.
    return (
      left < RENEW_MS[profile] &&
      newest?.certificate.notAfter.getTime() !== issuer.certificate.notAfter.getTime()
    );
  }

  async function authorities(on?: Queryable): Promise<readonly Authority[]> {
    if (on) return readAuthorities(on);
    const now = clock.now().getTime();
    if (!known || known.until <= now) {
      const all = readAuthorities(db);
      const entry = { all, until: now + REMEMBER_MS };
      all.catch(() => {
        if (known === entry) known = undefined;
      });
      known = entry;
    }
    return known.all;
  }

  return {
    authorities,

    async ensure(tx) {
      const all = await readAuthorities(tx);
      for (const hierarchy of parts.hierarchies) {
        const issuing =
          current(all, hierarchy, 'issuing') ??
          (await makeAuthority(
            tx,
            hierarchy,
            'issuing',
            current(all, hierarchy, 'root') ?? (await makeAuthority(tx, hierarchy, 'root', undefined)),
          ));
        for (const profile of SERVICES) {
          if (!(await isServiceDue(tx, profile, issuing))) continue;
          const { keyType, label } = HIERARCHIES[hierarchy];
          const purpose = profile === 'time-stamping' ? 'time-stamping' : 'ocsp';
          const key = await custody.generate(tx, { owner: PROVIDER, purpose, actor: 'system', keyType });
          const commonName = `Yinxin ${label}${profile === 'time-stamping' ? 'Time-Stamping' : 'OCSP Responder'}`;
          await issue(tx, {
            hierarchy,
            profile,
            subject: serviceName(parts.serviceName, commonName),
            key,
            issuer: issuing,
            actor: 'system',
          });
        }
      }
      forgetAuthorities();
      tx.afterCommit?.(forgetAuthorities);
    },

    async isDue() {
      const all = await authorities();
      for (const hierarchy of parts.hierarchies) {
        const issuing = current(all, hierarchy, 'issuing');
        if (!issuing) return true;
        for (const profile of SERVICES) if (await isServiceDue(db, profile, issuing)) return true;
      }
      return false;
    },

    async issueSealCertificate(tx, { unit, sealName: name, key, actor }) {
      const all = await readAuthorities(tx);
      const hierarchy = hierarchyFor(key.publicKey, parts.hierarchies);
      const issuer = hierarchy && current(all, hierarchy, 'issuing');
      if (!hierarchy || !issuer)
        throw new CertificationError('CERTIFIER_MISSING', 'No authority here certifies keys of this kind.');
      return issue(tx, {
        hierarchy,
        profile: 'seal',
        subject: sealName(unit, name),
        key,
        issuer,
        actor,
      });
    },

    async revoke(tx, { certificateId, reason, invalidSince, actor }) {
      // A hold can be taken back; what is revoked here is revoked for good.
      const named = revocationReasons.find((each) => each === reason && each !== 'certificateHold');
      if (!named)
        throw new CertificationError(
          'REVOCATION_REASON',
          `A reason is one of ${revocationReasons.filter((each) => each !== 'certificateHold').join(', ')}.`,
        );
      const [row] = isId('cert', certificateId)
        ? await tx.query<{ profile: string; issuer_id: CertificateId }>(
            `UPDATE certificates SET revoked_at = $2, revocation_reason = $3, invalid_since = $4
              WHERE id = $1 AND revoked_at IS NULL AND issuer_id IS NOT NULL RETURNING profile, issuer_id`,
            [certificateId, wholeSecond(clock.now()), named, invalidSince ?? null],
          )
        : [];
      if (!row) {
        const [other] = await tx.query(
          'SELECT id FROM certificates WHERE id = $1 AND issuer_id IS NOT NULL',
          [certificateId],
        );
        throw other
          ? new CertificationError('CERTIFICATE_REVOKED', 'The certificate is revoked already.')
          : new CertificationError('CERTIFICATE_NOT_FOUND', 'There is no such certificate.');
      }
      await tx.query('SELECT pg_notify($1, $2)', [REVOKED_CHANNEL, certificateId]);
      tx.afterCommit(() => {
        forgetAuthorities();
        parts.onRevoked(row.issuer_id);
      });
      await audit.record(tx, {
        type: 'certificate.revoked',
        actor,
        subject: certificateId,
        detail: { profile: row.profile, reason: named },
      });
    },

    async trust() {
      const all = (await authorities()).filter(({ revocation }) => !revocation);
      const of = (wanted: Authority['profile']) =>
        all.filter(({ profile }) => profile === wanted).map(({ certificate }) => certificate);
      return { roots: [...of('root'), ...parts.outsideRoots], intermediates: of('issuing') };
    },

    async revokedAmong(candidates) {
      if (candidates.length === 0) return new Set();
      const rows = await db.query<{ fingerprint: string }>(
        `SELECT encode(fingerprint, 'hex') AS fingerprint FROM certificates
          WHERE revoked_at IS NOT NULL AND fingerprint IN (SELECT decode(each, 'hex') FROM unnest($1::text[]) each)`,
        [candidates.map(fingerprintOf)],
      );
      return new Set(rows.map(({ fingerprint }) => fingerprint));
    },

    async find(id) {
      const [row] = await db.query<CertificateRow>(`SELECT ${COLUMNS} FROM certificates WHERE id = $1`, [id]);
      return row && toStored(row);
    },

    async chainOf(id) {
      const [row] = await db.query<CertificateRow>(`SELECT ${COLUMNS} FROM certificates WHERE id = $1`, [id]);
      if (!row) return [];
      if (row.profile === 'outside') {
        const chain = await db.query<{ der: Uint8Array }>(
          'SELECT der FROM outside_chains WHERE certificate_id = $1 ORDER BY position',
          [id],
        );
        return chain.map(({ der }) => parseCertificate(der));
      }
      const all = await authorities();
      const chain: Certificate[] = [];
      for (let next = row.issuer_id; next !== null;) {
        const issuer = all.find((each) => each.id === next);
        if (!issuer) break;
        chain.push(issuer.certificate);
        next = issuer.issuerId ?? null;
      }
      return chain;
    },

    serviceCertificate: (profile, issuerId) => newestService(db, profile, issuerId),
  };

  function forgetAuthorities(): void {
    known = undefined;
  }
}

/** RFC 5280, section 4.1.2.2: positive, at most 20 octets; 126 random bits, of fixed length. */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** SHA-256 of the whole certificate, hex. */
export function fingerprintOf(certificate: Certificate): string {
  return createHash('sha256').update(certificate.der).digest('hex');
}

/** Lists and answers tell time in whole seconds. */
export function wholeSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}

function toStored(row: CertificateRow): StoredCertificate {
  return {
    id: row.id,
    keyId: row.key_id,
    certificate: parseCertificate(row.der),
    issuerId: row.issuer_id ?? undefined,
    revocation:
      row.revoked_at && row.revocation_reason
        ? { at: row.revoked_at, reason: row.revocation_reason }
        : undefined,
  };
}
