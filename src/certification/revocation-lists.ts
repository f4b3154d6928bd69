/** Revocation lists: made by schedule and after each revocation, kept as the octets that are handed out. */
import type { AuditLog } from '../audit/index.ts';
import { PROVIDER, type Custody } from '../custody/index.ts';
import { buildCrl, keyIdentifier, type RevocationReason } from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import { only, type Db, type Queryable } from '../platform/db/db.ts';
import { isId, type CertificateId } from '../platform/ids.ts';
import { wholeSecond, type Authority, type Certificates } from './certificates.ts';
import { HIERARCHIES } from './hierarchies.ts';

/** A list as it is handed out. */
export interface PublishedList {
  readonly der: Uint8Array;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

export interface RevocationLists {
  /** The newest list of an authority. @param issuerId A stranger's text. */
  find(issuerId: string): Promise<PublishedList | undefined>;
  /** Makes every list that is missing, old, or lacks a revocation. @param on The transaction in which the authorities were made, if any. */
  publishDue(on?: Queryable): Promise<void>;
}

/** A list is made anew when it is this old, and may be relied on for twice as long: a day without this service breaks nothing. */
const LIST_MS = 24 * 3_600_000;

export function createRevocationLists(parts: {
  db: Db;
  clock: Clock;
  audit: AuditLog;
  custody: Custody;
  certificates: Certificates;
}): RevocationLists {
  const { db, clock, audit, custody, certificates } = parts;

  async function isDue(on: Queryable, issuerId: CertificateId): Promise<boolean> {
    const { due } = only(
      await on.query<{ due: boolean }>(
        `SELECT NOT EXISTS (
           SELECT 1 FROM revocation_lists l WHERE l.issuer_id = $1 AND l.this_update > $2
              AND l.entries = (SELECT count(*) FROM certificates c WHERE c.issuer_id = $1 AND c.revoked_at IS NOT NULL)
         ) AS due`,
        [issuerId, new Date(clock.now().getTime() - LIST_MS)],
      ),
    );
    return due;
  }

  async function publish(tx: Queryable, issuer: Authority): Promise<void> {
    // One process at a time makes an authority's list, and the second finds that it need not.
    await tx.query('SELECT id FROM certificates WHERE id = $1 FOR UPDATE', [issuer.id]);
    if (!(await isDue(tx, issuer.id))) return;
    const rows = await tx.query<{
      serial_number: Uint8Array;
      revoked_at: Date;
      revocation_reason: RevocationReason;
      invalid_since: Date | null;
    }>(
      // Entries stay when the certificate has expired: seals of that time are still verified.
      `SELECT serial_number, revoked_at, revocation_reason, invalid_since FROM certificates
        WHERE issuer_id = $1 AND revoked_at IS NOT NULL ORDER BY revoked_at, serial_number`,
      [issuer.id],
    );
    const [last] = await tx.query<{ crl_number: number }>(
      'SELECT crl_number FROM revocation_lists WHERE issuer_id = $1',
      [issuer.id],
    );
    const cRLNumber = (last?.crl_number ?? 0) + 1;
    const thisUpdate = wholeSecond(clock.now());
    const nextUpdate = new Date(thisUpdate.getTime() + 2 * LIST_MS);
    const { subject, publicKey } = issuer.certificate;
    const der = await buildCrl(
      {
        issuer: subject,
        thisUpdate,
        nextUpdate,
        cRLNumber,
        authorityKeyIdentifier: keyIdentifier(publicKey),
        revokedCertificates: rows.map((row) => ({
          serialNumber: row.serial_number,
          revocationDate: row.revoked_at,
          reason: row.revocation_reason,
          invalidityDate: row.invalid_since ?? undefined,
        })),
      },
      await custody.signer(PROVIDER, issuer.keyId, HIERARCHIES[issuer.hierarchy].algorithm, tx),
    );
    await tx.query(
      `INSERT INTO revocation_lists (issuer_id, crl_number, entries, this_update, next_update, der) VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (issuer_id) DO UPDATE SET crl_number = $2, entries = $3, this_update = $4, next_update = $5, der = $6`,
      [issuer.id, cRLNumber, rows.length, thisUpdate, nextUpdate, der],
    );
    await audit.record(tx, {
      type: 'revocation-list.issued',
      actor: 'system',
      subject: issuer.id,
      detail: { crlNumber: cRLNumber, entries: rows.length },
    });
  }

  return {
    async find(issuerId) {
      if (!isId('cert', issuerId)) return undefined;
      const [row] = await db.query<{ der: Uint8Array; this_update: Date; next_update: Date }>(
        'SELECT der, this_update, next_update FROM revocation_lists WHERE issuer_id = $1',
        [issuerId],
      );
      return row && { der: row.der, thisUpdate: row.this_update, nextUpdate: row.next_update };
    },

    async publishDue(on) {
      for (const authority of await certificates.authorities(on)) {
        if (clock.now() > authority.certificate.notAfter) continue;
        if (on) await publish(on, authority);
        else if (await isDue(db, authority.id)) await db.transaction((tx) => publish(tx, authority));
      }
    },
  };
}
