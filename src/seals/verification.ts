/** Verifies a document: finds its seals, gathers the evidence for each, and has it judged. */
import { createHash } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import type { Certificates } from './certificates.ts';
import type { Format } from './formats/format.ts';
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
      const { root, issuing } = await certificates.authorities();
      const trust = { roots: [root], intermediates: [issuing], at: clock.now() };
      const seals: SealVerdict[] = [];
      // The last one first: a seal that holds accounts for what was added before it was put on.
      let accountedFor = false;
      for (const signature of signatures.toReversed()) {
        const read = readSignature(signature);
        const fingerprint = read.certificate && createHash('sha256').update(read.certificate.der).digest();
        const registered = fingerprint && (await registry.findByCertificate(fingerprint));
        const verdict = judge({ signature, read, registered, accountedFor, ...trust });
        accountedFor ||= verdict.coversWholeDocument && verdict.indication === 'TOTAL-PASSED';
        seals.unshift(verdict);
      }
      return { indication: worstOf(seals), seals };
    },
  };
}

function worstOf(seals: readonly SealVerdict[]): Verdict['indication'] {
  const order = ['TOTAL-FAILED', 'INDETERMINATE', 'TOTAL-PASSED'] as const;
  return order.find((indication) => seals.some((seal) => seal.indication === indication)) ?? 'NO-SEAL';
}
