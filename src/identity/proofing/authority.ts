/**
 * The port to whoever can say whether a person exists as they say: a population register, or a service that asks one. Declared here, by the
 * room that needs it; drivers stand beside it.
 */
import type { Document, DocumentKind, ThirdItem } from './documents.ts';

/** Text by language tag; `zh-CN` is always there. */
export type ByLanguage = Readonly<Record<string, string>>;

/** Level of identity proofing that a comparison gives, and the one that a live check adds to it (`config/assurance.json`). */
export const COMPARED = 2;
export const LIVE_CHECKED = 3;
export type ProofingLevel = typeof COMPARED | typeof LIVE_CHECKED;

/** At least three items: the number, the name, and one that does not follow from them. */
export interface Claim {
  readonly document: Document;
  /** As the person wrote it. */
  readonly name: string;
  readonly third:
    | { readonly item: ThirdItem; readonly value: string }
    /** An earlier comparison that this authority confirmed, for the same person: only the live check is missing. */
    | { readonly item: 'reference'; readonly value: string };
}

export interface Comparison {
  /** The same for every try of one comparison, so that trying again asks nothing twice. */
  readonly requestId: string;
  readonly claim: Claim;
  readonly wanted: ProofingLevel;
  /** Where a live check sends the person back to. */
  readonly returnUri: string;
}

/** Which item was wrong is never told: whoever knows two could try for the third. */
export type Answer =
  | { readonly kind: 'confirmed'; readonly level: ProofingLevel; readonly reference: string }
  | { readonly kind: 'refused'; readonly reference?: string | undefined }
  | { readonly kind: 'unavailable' };

export interface ProofingAuthority {
  /** Closed word for evidence and the audit log, such as `mps`. */
  readonly id: string;
  readonly name: ByLanguage;
  /** OpenID Connect for Identity Assurance 1.0: by which rules it identifies people. */
  readonly trustFramework: string;
  /** Whether the people in it are invented. Said on every page and in the evidence. */
  readonly fictional: boolean;
  readonly kinds: readonly DocumentKind[];
  /** The highest level that it gives. */
  readonly attainable: ProofingLevel;
  /** Compares a claim. `continue`: the items agree, and the live check goes on at `uri`. */
  compare(
    comparison: Comparison,
  ): Promise<Answer | { readonly kind: 'continue'; readonly uri: string; readonly reference: string }>;
  /** How a live check ended. `pending`: it has not. */
  result(reference: string): Promise<Answer | { readonly kind: 'pending' }>;
}
