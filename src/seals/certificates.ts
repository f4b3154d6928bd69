/** The certificates behind the seals: a root, an issuing authority, and one certificate per seal, by the profile in this room's README. */
import { createHash, randomBytes } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import { PROVIDER, type Custody, type KeyRecord } from '../custody/index.ts';
import type { Unit } from '../organisations/index.ts';
import {
  buildCertificate,
  distinguishedName,
  keyIdentifier,
  parseCertificate,
  type Certificate,
  type Extensions,
  type Name,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { newId, type CertificateId, type KeyId } from '../platform/ids.ts';

type Profile = 'root' | 'issuing' | 'seal';

export interface StoredCertificate {
  readonly id: CertificateId;
  readonly keyId: KeyId;
  readonly certificate: Certificate;
}

export interface Certificates {
  /** Makes the root and the issuing authority, if this installation has none yet, in the caller's transaction. */
  ensureAuthorities(tx: Queryable): Promise<void>;
  /** Issues the certificate of a seal for a unit's key, in the caller's transaction. */
  issueSealCertificate(
    tx: Queryable,
    request: { unit: Unit; sealName: string; key: KeyRecord; actor: string },
  ): Promise<StoredCertificate>;
  /** The root that verifiers trust, and the authority between it and the seals. */
  authorities(): Promise<{ root: Certificate; issuing: Certificate }>;
  find(id: CertificateId): Promise<StoredCertificate | undefined>;
}

interface CertificateRequest {
  readonly profile: Profile;
  readonly subject: Name;
  readonly key: Pick<KeyRecord, 'id' | 'publicKey'>;
  readonly issuer: {
    readonly name: Name;
    readonly key: Pick<KeyRecord, 'id' | 'publicKey'>;
    readonly certificateId?: CertificateId;
  };
  readonly extensions: Extensions;
  readonly actor: string;
}

interface CertificateRow {
  id: CertificateId;
  key_id: KeyId;
  der: Uint8Array;
}

const DAY_MS = 86_400_000;
const VALID_DAYS: Readonly<Record<Profile, number>> = { root: 7300, issuing: 3650, seal: 365 };
/** Clocks of verifiers that run late must not find a new certificate in the future. */
const BACKDATE_MS = 300_000;

export function createCertificates(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  serviceName: string;
}): Certificates {
  const { db, clock, audit, custody } = parts;
  let known: Promise<{ root: Certificate; issuing: Certificate }> | undefined;

  /** RFC 5280, section 4.1.2.2: positive, at most 20 octets; 127 random bits. */
  function serialNumber(): Uint8Array {
    const bytes = randomBytes(16);
    bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
    return bytes;
  }

  function validity(profile: Profile): { notBefore: Date; notAfter: Date } {
    // Certificates tell time in whole seconds.
    const start = Math.floor((clock.now().getTime() - BACKDATE_MS) / 1000) * 1000;
    return { notBefore: new Date(start), notAfter: new Date(start + VALID_DAYS[profile] * DAY_MS) };
  }

  /** Builds, signs and stores one certificate. For a root, `issuer` is itself. */
  async function issue(tx: Queryable, request: CertificateRequest): Promise<StoredCertificate> {
    const { profile, key, issuer, actor } = request;
    const der = await buildCertificate(
      {
        serialNumber: serialNumber(),
        issuer: issuer.name,
        subject: request.subject,
        ...validity(profile),
        subjectPublicKey: key.publicKey,
        extensions: {
          ...request.extensions,
          subjectKeyIdentifier: keyIdentifier(key.publicKey),
          authorityKeyIdentifier: keyIdentifier(issuer.key.publicKey),
        },
      },
      await custody.signer(PROVIDER, issuer.key.id, 'ecdsa-with-SHA256', tx),
    );
    const id = newId('cert', clock.now());
    const certificate = parseCertificate(der);
    const fingerprint = createHash('sha256').update(der).digest();
    await tx.query(
      `INSERT INTO certificates (id, profile, key_id, issuer_id, fingerprint, der, not_before, not_after)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        id,
        profile,
        key.id,
        issuer.certificateId ?? null,
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
    return { id, keyId: key.id, certificate };
  }

  async function authority(
    profile: 'root' | 'issuing',
    on: Queryable,
  ): Promise<StoredCertificate | undefined> {
    const [row] = await on.query<CertificateRow>(
      'SELECT id, key_id, der FROM certificates WHERE profile = $1 ORDER BY not_after DESC LIMIT 1',
      [profile],
    );
    return row && toStored(row);
  }

  return {
    async ensureAuthorities(tx) {
      if (await authority('issuing', tx)) return;
      const nameOf = (commonName: string) =>
        distinguishedName([{ organizationName: parts.serviceName }, { commonName }]);
      const rootName = nameOf('Yinxin Root CA');
      const rootKey = await custody.generate(tx, { owner: PROVIDER, purpose: 'root-ca', actor: 'system' });
      const root = await issue(tx, {
        profile: 'root',
        subject: rootName,
        key: rootKey,
        issuer: { name: rootName, key: rootKey },
        extensions: { basicConstraints: { cA: true }, keyUsage: ['keyCertSign', 'cRLSign'] },
        actor: 'system',
      });
      const issuingKey = await custody.generate(tx, {
        owner: PROVIDER,
        purpose: 'issuing-ca',
        actor: 'system',
      });
      await issue(tx, {
        profile: 'issuing',
        subject: nameOf('Yinxin Seal CA'),
        key: issuingKey,
        issuer: { name: rootName, key: rootKey, certificateId: root.id },
        extensions: {
          basicConstraints: { cA: true, pathLenConstraint: 0 },
          keyUsage: ['keyCertSign', 'cRLSign'],
        },
        actor: 'system',
      });
    },

    async issueSealCertificate(tx, { unit, sealName, key, actor }) {
      const issuer = await authority('issuing', tx);
      if (!issuer) throw new TypeError('there is no issuing authority');
      const { organisation } = unit;
      return issue(tx, {
        profile: 'seal',
        subject: distinguishedName([
          { countryName: 'CN' },
          { organizationName: organisation.name },
          // ETSI EN 319 412-1, section 5.1.4: NTR (national trade register), country, hyphen, number in it.
          { organizationIdentifier: `NTRCN-${organisation.unifiedSocialCreditCode}` },
          { organizationalUnitName: unit.name },
          { commonName: sealName },
        ]),
        key,
        issuer: {
          name: issuer.certificate.subject,
          key: { id: issuer.keyId, publicKey: issuer.certificate.publicKey },
          certificateId: issuer.id,
        },
        extensions: { basicConstraints: { cA: false }, keyUsage: ['digitalSignature', 'nonRepudiation'] },
        actor,
      });
    },

    authorities() {
      known ??= (async () => {
        const [root, issuing] = await Promise.all([authority('root', db), authority('issuing', db)]);
        if (!root || !issuing) throw new TypeError('the authorities have not been made');
        return { root: root.certificate, issuing: issuing.certificate };
      })();
      known.catch(() => (known = undefined));
      return known;
    },

    async find(id) {
      const [row] = await db.query<CertificateRow>('SELECT id, key_id, der FROM certificates WHERE id = $1', [
        id,
      ]);
      return row && toStored(row);
    },
  };
}

function toStored(row: CertificateRow): StoredCertificate {
  return { id: row.id, keyId: row.key_id, certificate: parseCertificate(row.der) };
}
