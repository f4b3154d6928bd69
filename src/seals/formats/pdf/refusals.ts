/** Why a PDF is refused, and how much of one is read before it is. */
import { FormatError } from '../format.ts';

/** Bounds of one document. Real documents stay far below; whoever exceeds one means harm or is broken. */
export const LIMITS = {
  /** Arrays and dictionaries inside one another. */
  depth: 100,
  /** Values read from one document, counted over all its objects. */
  values: 1_000_000,
  /** Elements of arrays gone through, each time they are: walks over shared arrays cannot multiply the work. */
  steps: 1_000_000,
  /** Bytes read as syntax, counted anew for every object read: overlapping objects cannot multiply the work. */
  syntaxBytes: 128 * 1024 * 1024,
  /** What all decompressed streams may add up to. Only cross-reference and object streams are ever decompressed. */
  inflatedBytes: 64 * 1024 * 1024,
  /** One string, decoded. */
  stringBytes: 4 * 1024 * 1024,
  /** Cross-reference sections, one per saving of the file. */
  sections: 512,
  /** Highest object number (ISO 32000-1, annex C). */
  objectNumber: 8_388_607,
  /** A document, in bytes: offsets have ten digits in a cross-reference table, and memory is finite. */
  documentBytes: 1024 * 1024 * 1024,
} as const;

/** The file contradicts itself or breaks off. Readers would have to guess, and two readers would guess differently. */
export function damaged(detail: string, cause?: unknown): FormatError {
  return new FormatError('PDF_DAMAGED', 'The PDF is damaged or incomplete.', {
    cause: cause === undefined ? detail : new Error(detail, { cause }),
  });
}

export function beyondLimits(what: keyof typeof LIMITS): FormatError {
  return new FormatError(
    'PDF_BEYOND_LIMITS',
    'The PDF is larger or more deeply nested than this service reads.',
    {
      cause: `more than ${LIMITS[what]} ${what}`,
    },
  );
}

/** What reading one document has cost so far. */
export class Budget {
  #values = 0;
  #steps = 0;
  #syntaxBytes = 0;
  #inflatedBytes = 0;

  spendValue(): void {
    if (++this.#values > LIMITS.values) throw beyondLimits('values');
  }

  spendSteps(steps: number): void {
    if ((this.#steps += steps) > LIMITS.steps) throw beyondLimits('steps');
  }

  spendSyntax(bytes: number): void {
    if ((this.#syntaxBytes += bytes) > LIMITS.syntaxBytes) throw beyondLimits('syntaxBytes');
  }

  spendInflated(bytes: number): void {
    if ((this.#inflatedBytes += bytes) > LIMITS.inflatedBytes) throw beyondLimits('inflatedBytes');
  }

  /** Bytes that may still be decompressed. */
  get inflatable(): number {
    return LIMITS.inflatedBytes - this.#inflatedBytes;
  }
}
