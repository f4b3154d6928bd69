/** What authenticators answer, in bounds (Web Authentication Level 3): JSON as of `PublicKeyCredential.toJSON()`. Pure. */
import { z } from 'zod';
import { IdentityError } from '../errors.ts';

/** Bounds of what an authenticator sends; the largest attestations are a few thousand octets. */
const base64url = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[\w-]+$/);
const credential = {
  // Credential ids have at most 1023 octets (Web Authentication Level 3, section 4).
  id: base64url(1364),
  rawId: base64url(1364),
  type: z.literal('public-key'),
};
export const registrationResponse = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url(4096),
    attestationObject: base64url(12_000),
    transports: z.array(z.string().max(20)).max(10).default([]),
  }),
  clientExtensionResults: z.object({ credProps: z.object({ rk: z.boolean().optional() }).optional() }),
});
export const authenticationResponse = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: base64url(4096),
    authenticatorData: base64url(4096),
    signature: base64url(2048),
    userHandle: base64url(128).nullish(),
  }),
});
export const clientData = z.object({ challenge: base64url(128), crossOrigin: z.boolean().optional() });

/** Whatever is wrong with an answer, the person is told the same. @param why Goes to the log. */
export function refusal(why: string, underneath?: unknown): IdentityError {
  const cause = new Error(why, { cause: underneath });
  return new IdentityError('PASSKEY_REFUSED', 'The passkey could not be accepted.', { cause });
}

/** @throws {IdentityError} PASSKEY_REFUSED: the text is not JSON of this shape. */
export function read<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw refusal('it is not what an authenticator answers', cause);
  }
}
