/** Judges the seals of a document: gathers the evidence, then draws conclusions in short checks that each give their reason. */
import { createHash } from 'node:crypto';
import type { Organisations } from '../organisations/index.ts';
import {
  buildPath,
  CmsError,
  DerError,
  parseSignedData,
  verifySignerInfo,
  withoutZeroPadding,
  X509Error,
  type Certificate,
  type PathFailureReason,
  type SignedData,
} from '../pki/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { Certificates } from './certificates.ts';
import type { Format, ParsedSignature } from './formats/format.ts';
import type { SealState } from './policy.ts';
import type { SealRegistry } from './registry.ts';

/** ETSI EN 319 102-1, section 5.1.3; `NO-SEAL` for a document that has none. */
export type Indication = 'TOTAL-PASSED' | 'INDETERMINATE' | 'TOTAL-FAILED';
export type SubIndication =
  | 'FORMAT_FAILURE'
  | 'HASH_FAILURE'
  | 'SIG_CRYPTO_FAILURE'
  | 'SIG_CONSTRAINTS_FAILURE'
  | 'NO_CERTIFICATE_CHAIN_FOUND'
  | 'CERTIFICATE_CHAIN_GENERAL_FAILURE'
  | 'OUT_OF_BOUNDS_NO_POE'
  | 'NOT_YET_VALID'
  | 'REVOKED'
  | 'TRY_LATER';

/** One question asked of a seal. */
export interface Check {
  readonly name:
    | 'place'
    | 'structure'
    | 'digest'
    | 'signature'
    | 'signing-certificate'
    | 'chain'
    | 'coverage'
    | 'registry';
  readonly outcome: 'passed' | 'failed' | 'undecided';
  /** Stable; says what was found. */
  readonly code: string;
  /** The reason, as a sentence. */
  readonly message: string;
}

/** What can be said of one seal. A bad seal is a value, not an exception. */
export interface SealVerdict {
  readonly fieldName: string;
  readonly indication: Indication;
  readonly subIndication?: SubIndication;
  /** The bytes that it covers are those that were sealed. */
  readonly intact: boolean;
  /** The signature verifies under the certificate's key. */
  readonly valid: boolean;
  /** The chain reaches our root now. */
  readonly trusted: boolean;
  /** The seal's state in our registry; `unknown` for a seal that is not in it. */
  readonly sealStatus: SealState | 'unknown';
  readonly seal?: { readonly id: string; readonly code: string; readonly name: string };
  /** As the certificate says. */
  readonly signer?: {
    readonly organisation?: string;
    readonly unit?: string;
    readonly name?: string;
    readonly subject: string;
  };
  /** The time that the sealer claims; nothing proves it. */
  readonly claimedAt?: Date;
  readonly reason?: string;
  readonly location?: string;
  readonly page?: number;
  readonly coversWholeDocument: boolean;
  readonly checks: readonly Check[];
}

export interface Verdict {
  /** The worst of its seals, or `NO-SEAL`. */
  readonly indication: Indication | 'NO-SEAL';
  readonly seals: readonly SealVerdict[];
}

export interface Verification {
  /** @throws {FormatError} the document as a whole cannot be read. */
  verify(document: Uint8Array): Promise<Verdict>;
}

export function createVerification(parts: {
  clock: Clock;
  certificates: Certificates;
  registry: SealRegistry;
  organisations: Organisations;
  format: Format;
}): Verification {
  const { clock, certificates, registry, format } = parts;
  return {
    async verify(document) {
      const { signatures } = format.parse(document);
      const { root, issuing } = await certificates.authorities();
      const at = clock.now();
      // A later seal over the whole document accounts for what was added after an earlier one.
      const sealedAsAWhole = signatures.some(
        (signature) => !signature.problem && signature.coversWholeDocument,
      );
      const seals: SealVerdict[] = [];
      for (const signature of signatures) {
        const evidence = readEvidence(signature);
        const certificate = evidence.certificate;
        const registered =
          certificate &&
          (await registry.findByCertificate(createHash('sha256').update(certificate.der).digest()));
        seals.push(judge({ signature, evidence, registered, root, issuing, at, sealedAsAWhole }));
      }
      return { indication: worstOf(seals.map((seal) => seal.indication)), seals };
    },
  };
}

const ORDER = ['TOTAL-FAILED', 'INDETERMINATE', 'TOTAL-PASSED'] as const;

function worstOf(indications: readonly Indication[]): Verdict['indication'] {
  return ORDER.find((indication) => indications.includes(indication)) ?? 'NO-SEAL';
}
