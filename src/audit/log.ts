/** The log: appends inside the transaction of the change that it records, reads, and signs what it says. */
import type { Clock } from '../platform/clock.ts';
import type { Db, Queryable } from '../platform/db/db.ts';
import { only } from '../platform/db/db.ts';
import type { Signer } from '../pki/index.ts';
import { thumbprint, toJwks } from '../pki/index.ts';
import { canonicalJson, linkOf, type AuditEntry } from './chain.ts';
import type { AuditEvent, AuditEventType } from './events.ts';

/** An entry with its place in the chain; the links as hex. */
export interface ChainedEntry {
  readonly entry: AuditEntry;
  readonly previous: string;
  readonly hash: string;
}

/** A chained entry with the log's signature: a compact JWS (RFC 7515, ES256) over the canonical JSON of the rest. */
export interface AuditReceipt extends ChainedEntry {
  readonly signature: string;
}

export interface AuditLog {
  /**
   * Appends one event in the caller's transaction, so that change and entry commit together. The row of `audit_head` stays locked until
   * the transaction ends: call it last.
   */
  record<T extends AuditEventType>(tx: Queryable, event: AuditEvent<T>): Promise<ChainedEntry>;
  /** Appends several events, one after another, for the price of one. */
  recordAll(tx: Queryable, events: readonly AuditEvent[]): Promise<ChainedEntry[]>;
  /** The entry with this sequence number. */
  find(seq: number): Promise<ChainedEntry | undefined>;
  /** Entries after `seq`, oldest first, at most `limit`. */
  after(seq: number, limit: number): Promise<ChainedEntry[]>;
  /** Entries about a subject, the newest first. @param page.before Sequence number after which the page begins. */
  about(
    subject: string,
    page: { readonly limit: number; readonly before?: number | undefined },
  ): Promise<ChainedEntry[]>;
  /** Signs an entry, so that whoever holds the receipt can prove what the log said. */
  receipt(chained: ChainedEntry): Promise<AuditReceipt>;
  /** The newest entry's sequence number and link. */
  head(): Promise<{ seq: number; hash: string }>;
  /** JWK Set (RFC 7517) by which receipts are checked. */
  jwks(): Promise<object>;
}

interface EventRow {
  seq: number;
  at: Date;
  type: string;
  actor: string;
  subject: string;
  detail: Record<string, unknown>;
  previous: Uint8Array;
  hash: Uint8Array;
}

const COLUMNS = 'seq, at, type, actor, subject, detail, previous, hash';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** @param signer Gives the log's key (ES256) when it is first needed. */
export function createAuditLog(parts: { db: Db; clock: Clock; signer: () => Promise<Signer> }): AuditLog {
  const { db, clock } = parts;

  async function recordAll(tx: Queryable, events: readonly AuditEvent[]): Promise<ChainedEntry[]> {
    let { seq, hash } = only(
      await tx.query<{ seq: number; hash: Uint8Array }>('SELECT seq, hash FROM audit_head FOR UPDATE'),
    );
    const at = clock.now().toISOString();
    const rows: unknown[][] = [];
    const recorded = events.map(({ type, actor, subject, detail }) => {
      const previous = hash;
      seq += 1;
      const entry: AuditEntry = { seq, at, type, actor, subject, detail: { ...detail } };
      hash = linkOf(previous, entry);
      rows.push([seq, at, type, actor, subject, JSON.stringify(entry.detail), previous, hash]);
      return { entry, previous: hex(previous), hash: hex(hash) };
    });
    const places = rows.map((row, i) => `(${row.map((_, j) => `$${i * row.length + j + 3}`).join(', ')})`);
    const append = `WITH head AS (UPDATE audit_head SET seq = $1, hash = $2)
       INSERT INTO audit_events (${COLUMNS}) VALUES ${places.join(', ')}`;
    const parameters = [seq, hash, ...rows.flat()];
    if (tx.send) tx.send(append, parameters);
    else await tx.query(append, parameters);
    return recorded;
  }

  return {
    record: async (tx, event) => only(await recordAll(tx, [event])),
    recordAll,
    async find(seq) {
      const [row] = await db.query<EventRow>(`SELECT ${COLUMNS} FROM audit_events WHERE seq = $1`, [seq]);
      return row && toChained(row);
    },
    async after(seq, limit) {
      const rows = await db.query<EventRow>(
        `SELECT ${COLUMNS} FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT $2`,
        [seq, limit],
      );
      return rows.map(toChained);
    },
    async about(subject, { limit, before }) {
      const rows = await db.query<EventRow>(
        `SELECT ${COLUMNS} FROM audit_events WHERE subject = $1 AND ($2::bigint IS NULL OR seq < $2)
          ORDER BY seq DESC LIMIT $3`,
        [subject, before ?? null, limit],
      );
      return rows.map(toChained);
    },
    async receipt(chained) {
      const signer = await parts.signer();
      const header = {
        alg: signer.algorithm,
        typ: 'yinxin-audit-receipt+jwt',
        kid: await thumbprint(signer.publicKey),
      };
      const signed = [canonicalJson(header), canonicalJson(chained)]
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.');
      const signature = await signer.sign(Buffer.from(signed, 'ascii'));
      return { ...chained, signature: `${signed}.${Buffer.from(signature).toString('base64url')}` };
    },
    async head() {
      const row = only(await db.query<{ seq: number; hash: Uint8Array }>('SELECT seq, hash FROM audit_head'));
      return { seq: row.seq, hash: hex(row.hash) };
    },
    async jwks() {
      const signer = await parts.signer();
      return toJwks([signer.publicKey]);
    },
  };
}

function toChained(row: EventRow): ChainedEntry {
  const { seq, type, actor, subject, detail } = row;
  return {
    entry: { seq, at: row.at.toISOString(), type, actor, subject, detail },
    previous: hex(row.previous),
    hash: hex(row.hash),
  };
}
