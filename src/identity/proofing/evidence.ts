/** Evidence: what was tried to find out who the holder of an account is, by whom, and what came of it. It is kept for ever and names nobody. */
import type { AuditLog } from '../../audit/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Queryable } from '../../platform/db/db.ts';
import { newId, type EvidenceId } from '../../platform/ids.ts';
import type { DocumentKind } from './documents.ts';

/** How it was found out who someone is. */
export type ProofingMethod = 'comparison' | 'live-check' | 'upstream' | 'counter' | 'register-event';

export interface Evidence {
  readonly id: EvidenceId;
  readonly authority: string;
  readonly trustFramework: string;
  /** Whether the authority's people are invented. */
  readonly fictional: boolean;
  readonly method: ProofingMethod;
  readonly documentKind: DocumentKind | undefined;
  readonly level: number;
  readonly result: 'confirmed' | 'refused' | 'unavailable' | 'taken' | 'conflict' | 'withdrawn';
  /** The authority's own name for it. */
  readonly reference: string | undefined;
  readonly at: Date;
  readonly supersededAt: Date | undefined;
}

/** Who asked whom, and how. */
export interface Source {
  readonly authority: string;
  readonly trustFramework: string;
  readonly fictional: boolean;
  readonly method: ProofingMethod;
  readonly reference?: string | undefined;
}

/** What came of asking. */
export interface Found {
  readonly documentKind: DocumentKind | undefined;
  readonly level: number;
  readonly result: Evidence['result'];
}

export interface EvidenceRow {
  id: EvidenceId;
  authority: string;
  trust_framework: string;
  fictional: boolean;
  method: ProofingMethod;
  document_kind: DocumentKind | null;
  level: number;
  result: Evidence['result'];
  reference: string | null;
  at: Date;
  superseded_at: Date | null;
}
/** The columns of `EvidenceRow`, of `proofing_evidence e`. */
export const EVIDENCE =
  'e.id, e.authority, e.trust_framework, e.fictional, e.method, e.document_kind, e.level, e.result, e.reference, e.at, e.superseded_at';

export interface EvidenceBook {
  /** Writes down what was tried. @returns `id`, or a new one. */
  add(tx: Queryable, accountId: string, source: Source, found: Found, id?: EvidenceId): Promise<EvidenceId>;
  /** Puts it on the audit log; called last in the transaction. */
  record(
    tx: Queryable,
    accountId: string,
    source: Source,
    evidenceId: EvidenceId,
    found: Found,
  ): Promise<void>;
  /** What was confirmed until now counts no more. */
  supersede(tx: Queryable, accountId: string): Promise<void>;
}

export function createEvidenceBook({ clock, audit }: { clock: Clock; audit: AuditLog }): EvidenceBook {
  return {
    async add(
      tx: Queryable,
      accountId: string,
      source: Source,
      found: Found,
      id: EvidenceId = newId('prf', clock.now()),
    ): Promise<EvidenceId> {
      await tx.query(
        `INSERT INTO proofing_evidence (id, account_id, authority, trust_framework, fictional, method, document_kind, level, result, reference, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
        [
          id,
          accountId,
          source.authority,
          source.trustFramework,
          source.fictional,
          source.method,
          found.documentKind ?? null,
          found.level,
          found.result,
          source.reference ?? null,
          clock.now(),
        ],
      );
      return id;
    },

    async record(
      tx: Queryable,
      accountId: string,
      source: Source,
      evidenceId: EvidenceId,
      found: Found,
    ): Promise<void> {
      await audit.record(tx, {
        type: 'proofing.recorded',
        actor:
          source.method === 'register-event' || source.method === 'counter' ? source.authority : accountId,
        subject: accountId,
        detail: {
          evidenceId,
          authority: source.authority,
          method: source.method,
          level: found.level,
          result: found.result,
          documentKind: found.documentKind ?? null,
        },
      });
    },

    async supersede(tx: Queryable, accountId: string): Promise<void> {
      await tx.query(
        `UPDATE proofing_evidence SET superseded_at = $2
        WHERE account_id = $1 AND result = 'confirmed' AND superseded_at IS NULL`,
        [accountId, clock.now()],
      );
    },
  };
}

/** What an operator has seen. @param reference In a word, how. */
export function counter(actor: string, reference: string): Source {
  return {
    authority: actor,
    trustFramework: 'urn:yinxin:trust-framework:counter',
    fictional: false,
    method: 'counter',
    reference,
  };
}

export function toEvidence(row: EvidenceRow): Evidence {
  return {
    id: row.id,
    authority: row.authority,
    trustFramework: row.trust_framework,
    fictional: row.fictional,
    method: row.method,
    documentKind: row.document_kind ?? undefined,
    level: row.level,
    result: row.result,
    reference: row.reference ?? undefined,
    at: row.at,
    supersededAt: row.superseded_at ?? undefined,
  };
}
