/** Verifies a document: finds its seals, gathers the evidence for each, and has it judged. */
import { createHash } from 'node:crypto';
import type { Certificates } from '../certification/index.ts';
import type { Clock } from '../platform/clock.ts';
import { FormatError, type Format, type ParsedSignature } from './formats/format.ts';
import { judge, readSignature, type Indication, type SealVerdict } from './judgement.ts';
import type { SealRegistry } from './registry.ts';

/** What can be said of a document. */
export interface Verdict {
  /** The worst of its seals, or `NO-SEAL`. */
  readonly indication: Indication | 'NO-SEAL';
  /** In the order in which they were put on. */
  readonly seals: readonly SealVerdict[];
}

export interface Verification {
  /** @throws {FormatError} the document as a whole cannot be read. */
  verify(document: Uint8Array): Promise<Verdict>;
}

const MAX_SIGNATURES = 100;
const MAX_HASHED_BYTES = 1_073_741_824;

export function createVerification(parts: {
  clock: Clock;
  certificates: Certificates;
  registry: SealRegistry;
  format: Format;
}): Verification {
  const { clock, certificates, registry, format } = parts;
  return {
    async verify(document) {
      const { signatures } = format.parse(document);
      refuseExcess(signatures);
      const trust = { ...(await certificates.trust()), at: clock.now() };
      const seals: SealVerdict[] = [];
      // The last one first: a seal that holds accounts for what was added before it was put on.
      let accountedFor = false;
      for (const signature of signatures.toReversed()) {
        const read = readSignature(signature);
        const fingerprint = read.certificate && createHash('sha256').update(read.certificate.der).digest();
        const registered = fingerprint && (await registry.findByCertificate(fingerprint));
        const revoked = await certificates.revokedAmong(
          read.certificate ? [read.certificate, ...read.certificates, ...trust.intermediates] : [],
        );
        const verdict = judge({ signature, read, registered, accountedFor, revoked, ...trust });
        accountedFor ||= verdict.coversWholeDocument && verdict.indication === 'TOTAL-PASSED';
        seals.unshift(verdict);
      }
      return { indication: worstOf(seals), seals };
    },
  };
}

/** Each signature covers most of the document: a file of many thousands would keep the process hashing for hours. */
function refuseExcess(signatures: readonly ParsedSignature[]): void {
  const hashed = signatures
    .flatMap((signature) => (signature.problem ? [] : signature.covered))
    .reduce((sum, part) => sum + part.length, 0);
  if (signatures.length > MAX_SIGNATURES || hashed > MAX_HASHED_BYTES)
    throw new FormatError('PDF_BEYOND_LIMITS', 'The document has more signatures than are verified here.');
}

function worstOf(seals: readonly SealVerdict[]): Verdict['indication'] {
  const order = ['TOTAL-FAILED', 'INDETERMINATE', 'TOTAL-PASSED'] as const;
  return order.find((indication) => seals.some((seal) => seal.indication === indication)) ?? 'NO-SEAL';
}
