import { expect, test } from 'vitest';
import type { Certificates } from '../../src/certification/index.ts';
import { FormatError, type Format, type ParsedSignature } from '../../src/seals/formats/format.ts';
import type { SealRegistry } from '../../src/seals/registry.ts';
import { createVerification } from '../../src/seals/verification.ts';
import { TestClock } from '../support/clock.ts';

/** A verification whose documents have the signatures given. */
function verificationOf(signatures: ParsedSignature[]) {
  const format: Format = {
    mediaType: 'x',
    parse: () => ({ signatures }),
    prepare: () => expect.unreachable(),
  };
  return createVerification({
    clock: new TestClock(),
    format,
    certificates: {} as Certificates,
    registry: {} as SealRegistry,
  });
}
const signature = (bytes: number) =>
  ({ fieldName: 's', covered: [{ length: bytes } as Uint8Array] }) as unknown as ParsedSignature;

test.each([
  ['too many signatures', Array.from({ length: 101 }, () => signature(1))],
  ['too much to hash', Array.from({ length: 20 }, () => signature(60_000_000))],
])('a document with %s is refused before anything is hashed', async (_what, signatures) => {
  const refused = await verificationOf(signatures)
    .verify(new Uint8Array())
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(FormatError);
  expect((refused as FormatError).code).toBe('PDF_BEYOND_LIMITS');
});
