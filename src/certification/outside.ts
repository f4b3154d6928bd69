/** Certificates of outside authorities for keys that stay in custody: a request goes out (PKCS #10), a chain comes in and is checked. */
import { createHash } from 'node:crypto';
import type { AuditLog } from '../audit/index.ts';
import { CustodyError, type Custody } from '../custody/index.ts';
import {
  buildCertificationRequest,
  buildPath,
  isSm2,
  parseCertificate,
  type Certificate,
  type Name,
  type SignatureAlgorithm,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Queryable } from '../platform/db/db.ts';
import { newId, type CertificateId, type KeyId } from '../platform/ids.ts';
import { CertificationError } from './errors.ts';
import { isUnreadable } from './ocsp-responder.ts';

export interface OutsideCertificates {
  /**
   * Asks an outside authority to certify a unit's key.
   * @returns DER of a CertificationRequest, signed with that key.
   * @throws {CustodyError} when the unit has no such key, or it may not sign.
   */
  request(request: { owner: string; keyId: KeyId; subject: Name }): Promise<Buffer>;
  /**
   * Takes in what the authority sent back, in the caller's transaction: the certificate is for this very key, is for signatures, and leads now,
   * through the chain, to a root that is trusted for this.
   * @param arrival.chain DER of each, the key's certificate first. A root at its end is passed over.
   * @throws {CertificationError} CHAIN_UNREADABLE, CHAIN_KEY_DIFFERS, CHAIN_PURPOSE, CHAIN_UNTRUSTED. @throws {CustodyError} KEY_NOT_FOUND.
   */
  accept(
    tx: Queryable,
    arrival: { owner: string; keyId: KeyId; chain: readonly Uint8Array[]; actor: string },
  ): Promise<{ readonly id: CertificateId; readonly certificate: Certificate }>;
}

const MAX_CHAIN = 8;

export function createOutsideCertificates(parts: {
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  /** Roots of outside authorities that may certify seals here. */
  roots: readonly Certificate[];
}): OutsideCertificates {
  const { clock, audit, custody, roots } = parts;

  async function keyOf(owner: string, keyId: KeyId, on?: Queryable) {
    const key = await custody.find(owner, keyId, on);
    if (!key) throw new CustodyError('KEY_NOT_FOUND', 'There is no such key.');
    return key;
  }

  return {
    async request({ owner, keyId, subject }) {
      const { publicKey } = await keyOf(owner, keyId);
      const algorithm: SignatureAlgorithm = isSm2(publicKey)
        ? 'sm2-with-SM3'
        : publicKey.asymmetricKeyType === 'rsa'
          ? 'sha256WithRSAEncryption'
          : publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1'
            ? 'ecdsa-with-SHA384'
            : 'ecdsa-with-SHA256';
      const signer = await custody.signer(owner, keyId, algorithm);
      const extensions = { keyUsage: ['digitalSignature', 'nonRepudiation'] } as const;
      return buildCertificationRequest({ subject, extensions }, signer);
    },

    async accept(tx, { owner, keyId, chain, actor }) {
      const { publicKey } = await keyOf(owner, keyId, tx);
      const [certificate, ...others] = read(chain);
      if (!certificate) throw new CertificationError('CHAIN_UNREADABLE', 'The chain has no certificate.');
      if (!certificate.publicKey.equals(publicKey))
        throw new CertificationError('CHAIN_KEY_DIFFERS', 'The first certificate is for another key.');
      const { keyUsage, basicConstraints, extKeyUsage } = certificate.extensions;
      const maySign = keyUsage?.some((usage) => usage === 'digitalSignature' || usage === 'nonRepudiation');
      // A purpose that has to be kept to is never that of a seal: time-stamping, OCSP, servers.
      if (!maySign || basicConstraints?.cA || extKeyUsage?.critical)
        throw new CertificationError('CHAIN_PURPOSE', 'The certificate is not one for seals.');
      const result = buildPath(certificate, others, roots, clock.now());
      if (!result.ok)
        throw new CertificationError(
          'CHAIN_UNTRUSTED',
          `The chain leads to no root that is trusted here, or does not hold now: ${result.failures[0].reason}.`,
        );
      const root = result.path.at(-1);
      const between = result.path.slice(1, -1);
      const id = newId('cert', clock.now());
      const fingerprint = createHash('sha256').update(certificate.der).digest();
      await tx.query(
        `INSERT INTO certificates (id, profile, hierarchy, key_id, serial_number, fingerprint, der, not_before, not_after)
           VALUES ($1, 'outside', 'outside', $2, $3, $4, $5, $6, $7)`,
        [
          id,
          keyId,
          certificate.serialNumber,
          fingerprint,
          certificate.der,
          certificate.notBefore,
          certificate.notAfter,
        ],
      );
      for (const [position, each] of [...between, ...(root ? [root] : [])].entries())
        await tx.query('INSERT INTO outside_chains (certificate_id, position, der) VALUES ($1, $2, $3)', [
          id,
          position,
          each.der,
        ]);
      await audit.record(tx, {
        type: 'certificate.accepted',
        actor,
        subject: id,
        detail: {
          keyId,
          fingerprint: fingerprint.toString('hex'),
          notAfter: certificate.notAfter.toISOString(),
        },
      });
      return { id, certificate };
    },
  };
}

function read(chain: readonly Uint8Array[]): Certificate[] {
  if (chain.length > MAX_CHAIN)
    throw new CertificationError('CHAIN_UNREADABLE', `A chain has at most ${MAX_CHAIN} certificates.`);
  try {
    return chain.map((der) => parseCertificate(der));
  } catch (error) {
    if (isUnreadable(error))
      throw new CertificationError('CHAIN_UNREADABLE', 'A certificate of the chain cannot be read.', {
        cause: error,
      });
    throw error;
  }
}
